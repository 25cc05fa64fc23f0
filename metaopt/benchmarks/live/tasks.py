"""A data set as a benchmark uses it: rows to tune on, and a test split that no method sees."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

import numpy as np
import pandas as pd

from metaopt.collect.configurations import collected_space
from metaopt.collect.data_set import DataSet, subsampled
from metaopt.collect.measures import PRIMARY
from metaopt.collect.preparation import Fold, preparation_of, prepared_fold
from warmstart.catalogue import resolve_estimator
from warmstart.descriptor import TaskDescriptor, describe
from warmstart.space import SearchSpace

#: The test split is one of so many stratified parts.
TEST_PARTS: Final = 4


@dataclass(frozen=True)
class Splitting:
    """How data sets are split.

    Attributes:
        n_folds: Of the cross-validation.
        max_rows: Most rows to tune on.
        seed: Of the test split and of the sample of the other rows.
    """

    n_folds: int
    max_rows: int
    seed: int


@dataclass(frozen=True)
class LiveData:
    """A data set that may be sent to other processes; equal if its digest is.

    Attributes:
        data: All rows.
        digest: Of all that a fit can depend on.
    """

    data: DataSet = field(compare=False)
    digest: str

    @classmethod
    def of(cls, data: DataSet) -> LiveData:
        """A data set with its digest."""
        digest = hashlib.sha256()
        for text in (data.name, data.kind, *data.categorical, *data.X.columns):
            digest.update(text.encode() + b"\0")
        for name in data.X.columns:
            digest.update(
                pd.util.hash_pandas_object(data.X[name], index=False).to_numpy().tobytes()
            )
        digest.update(np.ascontiguousarray(data.y).tobytes())
        return cls(data, digest.hexdigest()[:24])


@dataclass(frozen=True, eq=False)
class LiveTask:
    """One split of one data set.

    Attributes:
        search: The rows to tune on, and nothing else.
        task: Described by these rows alone.
        whole: All rows of the classes that are frequent enough to be split.
        search_rows: Positions of ``search`` in ``whole``.
        test_rows: Positions of the test split in ``whole``.
    """

    search: DataSet
    task: TaskDescriptor
    whole: DataSet
    search_rows: np.ndarray
    test_rows: np.ndarray

    @property
    def metric(self) -> str:
        """What the objective measures."""
        return PRIMARY[self.search.kind]

    @property
    def scale(self) -> float:
        """What test losses are divided by: the target's spread in the test split, or 1."""
        if self.search.kind == "classification":
            return 1.0
        return float(self.whole.y[self.test_rows].std()) or 1.0

    def space(self, estimator: str, *, max_trees: int | None) -> SearchSpace:
        """What is tuned of an estimator."""
        return collected_space(estimator, self.task, max_trees=max_trees)

    def test_fold(self, estimator: str) -> Fold:
        """All rows to tune on against the test split, prepared for an estimator."""
        preparation = preparation_of(resolve_estimator(estimator))
        return prepared_fold(self.whole, preparation, self.search_rows, self.test_rows)


@lru_cache(maxsize=2)  # the studies of one split come one after the other
def live_task(live: LiveData, splitting: Splitting) -> LiveTask:
    """One split of one data set: the same for every method.

    Raises:
        DescriptorError: If fewer than two classes have enough rows to be split.
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    # So many rows of a class that each fold of each side has one.
    fewest = max(TEST_PARTS, 2 * splitting.n_folds)
    whole = subsampled(live.data, max_rows=live.data.n_rows, n_folds=fewest, seed=splitting.seed)
    splitter = StratifiedKFold if whole.kind == "classification" else KFold
    parts = splitter(TEST_PARTS, shuffle=True, random_state=splitting.seed)
    others, test_rows = next(parts.split(np.empty((whole.n_rows, 0)), whole.y))
    rest = _at(whole, others)
    # The positions travel as a column through the sampling of rows.
    marked = replace(rest, X=pd.DataFrame({"row": others}))
    sampled = subsampled(
        marked, max_rows=splitting.max_rows, n_folds=splitting.n_folds, seed=splitting.seed
    )
    search_rows = sampled.X["row"].to_numpy()
    search = _at(whole, search_rows)
    task = describe(
        search.X,
        search.y,
        kind=search.kind,
        categorical=list(search.categorical),
        name=search.name,
    )
    return LiveTask(search, task, whole, search_rows, test_rows)


def _at(data: DataSet, rows: np.ndarray) -> DataSet:
    return replace(data, X=data.X.iloc[rows].reset_index(drop=True), y=data.y[rows])
