"""What a study keeps of a trial's folds: one user attribute, so that a study tells all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import joblib
import numpy as np
from sklearn.utils import _safe_indexing

from warmstart.choices import plain_choice
from warmstart.sklearn.folds import FoldResult, Rows, len_of

#: Name of the user attribute.
ATTRIBUTE: Final = "cross_validation"

# Rows of the data that tell it from other data.
_MOST_ROWS: Final = 1000


@dataclass(frozen=True)
class Record:
    """The folds of one trial; a pruned trial has fewer than the others.

    Attributes:
        data: What the scores are of: a digest of data, folds and scoring.
        scores: By name, of each fold.
        train_scores: Likewise; empty if they were not asked for.
        fit_seconds: Of each fold.
        score_seconds: Of each fold.
        n_trees: Of each fold, that early stopping found; empty without it.
    """

    data: str
    scores: Mapping[str, Sequence[float]]
    train_scores: Mapping[str, Sequence[float]]
    fit_seconds: Sequence[float]
    score_seconds: Sequence[float]
    n_trees: Sequence[int] = ()

    @classmethod
    def of(cls, data: str, folds: Sequence[FoldResult]) -> Record:
        """The record of folds, in their order."""
        names = list(dict.fromkeys(name for fold in folds for name in fold.scores))
        train = list(dict.fromkeys(name for fold in folds for name in fold.train_scores))
        return cls(
            data,
            {name: [fold.scores.get(name, math.nan) for fold in folds] for name in names},
            {name: [fold.train_scores.get(name, math.nan) for fold in folds] for name in train},
            [fold.fit_seconds for fold in folds],
            [fold.score_seconds for fold in folds],
            [fold.n_trees for fold in folds if fold.n_trees is not None],
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON-serialisable description; NaN is ``None``."""
        return {
            "data": self.data,
            "scores": {name: _packed(values) for name, values in self.scores.items()},
            "train_scores": {n: _packed(values) for n, values in self.train_scores.items()},
            "fit_seconds": list(self.fit_seconds),
            "score_seconds": list(self.score_seconds),
            "n_trees": list(self.n_trees),
        }

    @classmethod
    def read(cls, user_attrs: Mapping[str, Any]) -> Record | None:
        """The inverse of ``to_json``; ``None`` if a trial has no such record."""
        said = user_attrs.get(ATTRIBUTE)
        if not isinstance(said, dict):
            return None
        return cls(
            said["data"],
            {name: _unpacked(values) for name, values in said["scores"].items()},
            {name: _unpacked(values) for name, values in said["train_scores"].items()},
            said["fit_seconds"],
            said["score_seconds"],
            said["n_trees"],
        )


def digest(X: Any, y: Any, splits: Sequence[tuple[Rows, Rows]], scoring: Any) -> str:
    """Tells apart what scores are of: the data (by a part of it), the folds, the scoring."""
    n_rows = len_of(X)
    rows = np.unique(np.linspace(0, n_rows - 1, min(n_rows, _MOST_ROWS)).astype(int))
    parts = (
        n_rows,
        _safe_indexing(X, rows),
        None if y is None else _safe_indexing(y, rows),
        [(train[:_MOST_ROWS], test[:_MOST_ROWS]) for train, test in splits],
        str(plain_choice(scoring)),
    )
    return str(joblib.hash(parts))


def _packed(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _unpacked(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]
