"""A data set with its target: checked, and cut down to as many rows as are to be fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from metaopt.benchmarks.families import family_of
from warmstart.errors import DescriptorError
from warmstart.target import read_target

Kind: TypeAlias = Literal["classification", "regression"]


@dataclass(frozen=True, eq=False)
class DataSet:
    """One table and its target, without missing targets.

    Attributes:
        name: For people; the family follows from it unless one is given.
        X: ``(n_rows, n_columns)``, columns under text names.
        y: ``(n_rows,)`` class codes from 0 without gaps, or floats.
        kind: Of the task.
        categorical: Names of the columns that are nominal.
        id: Unique name, such as ``"openml-dataset-3"``.
        family: Data sets of one family are never split between training and test.
        licence: Under which the data are published.
        recipe: How its rows were chosen from more of them; empty for all.
    """

    name: str
    X: pd.DataFrame
    y: np.ndarray
    kind: Kind
    categorical: tuple[str, ...] = ()
    id: str = ""
    family: str = ""
    licence: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.y)

    @property
    def n_classes(self) -> int:
        """Number of classes; 0 for regression."""
        return 0 if self.kind == "regression" else int(self.y.max()) + 1


def data_set(
    name: str,
    X: pd.DataFrame,
    y: Any,
    *,
    kind: Kind | None = None,
    categorical: Sequence[str] | None = None,
    id: str = "",
    family: str = "",
    licence: str = "",
    recipe: Mapping[str, Any] | None = None,
) -> DataSet:
    """Check a table and its target, and make a data set of them.

    Args:
        name: See ``DataSet``, as for what is not said here.
        X: ``(n_rows, n_columns)``.
        y: ``(n_rows,)``; rows without a target are left out.
        kind: Of the task; None to infer it (see ``warmstart.target.read_target``).
        categorical: Names of nominal columns beside those that hold no numbers.
        id: By default made of the name.
        family: By default follows from the name.
        licence: See ``DataSet``.
        recipe: See ``DataSet``.

    Raises:
        DescriptorError: If there are no columns, a nominal column is not there, or the target is
            constant, or not of this kind.
    """
    X = X.rename(columns=str)
    if not X.shape[1]:
        raise DescriptorError(f"Data set {name!r} has no columns beside its target.")
    unknown = sorted(set(categorical or ()) - set(X.columns))
    if unknown:
        raise DescriptorError(
            f"Data set {name!r}: nominal columns {unknown} given; expected some of "
            f"{list(X.columns)}."
        )
    try:
        target = read_target(y, n_rows=len(X), kind=kind)
    except DescriptorError as error:
        raise DescriptorError(f"Data set {name!r}: {error}") from error
    if len(target.values) == 0 or np.ptp(target.values) == 0:
        raise DescriptorError(
            f"Data set {name!r} has a constant target; expected at least two values of it."
        )
    X = X.loc[~target.missing]
    numbers = X.select_dtypes(include=["number"]).columns
    nominal = tuple(c for c in X.columns if c in (categorical or ()) or c not in numbers)
    return DataSet(
        name=name,
        X=X.reset_index(drop=True),
        y=target.values,
        kind=target.kind,
        categorical=nominal,
        id=id or f"dataset-{name}",
        family=family or family_of(name),
        licence=licence,
        recipe=dict(recipe or {}),
    )


def subsampled(data: DataSet, *, max_rows: int, n_folds: int, seed: int) -> DataSet:
    """At most ``max_rows`` rows, by class in proportion, in their order.

    Classes with fewer rows than folds are left out: no split would have them on both sides. A
    class keeps as many rows as there are folds even where its share is smaller.

    Raises:
        DescriptorError: If fewer than two classes, or fewer rows than folds, are left.
    """
    rng = np.random.default_rng(seed)
    counts = np.bincount(data.y) if data.kind == "classification" else np.array([data.n_rows])
    codes = data.y if data.kind == "classification" else np.zeros(data.n_rows, dtype=int)
    kept = np.flatnonzero(counts >= max(2, n_folds))
    if len(kept) < (2 if data.kind == "classification" else 1):
        raise DescriptorError(
            f"Data set {data.name!r} has {len(kept)} classes of at least {n_folds} rows; expected "
            "two or more, or regression."
        )
    share = min(1.0, max_rows / counts[kept].sum())
    if share == 1.0 and len(kept) == len(counts):
        return data
    rows = [
        rng.choice(np.flatnonzero(codes == c), max(n_folds, int(counts[c] * share)), replace=False)
        for c in kept
    ]
    chosen = np.sort(np.concatenate(rows))
    y = data.y[chosen]
    return replace(
        data,
        X=data.X.iloc[chosen].reset_index(drop=True),
        y=np.unique(y, return_inverse=True)[1].reshape(-1) if data.n_classes else y,
        recipe={
            **data.recipe,
            "rows": len(chosen),
            "of_rows": data.recipe.get("of_rows", data.n_rows),
            "sample": "stratified" if data.n_classes else "random",
            "seed": seed,
            "classes_left_out": len(counts) - len(kept),
        },
    )
