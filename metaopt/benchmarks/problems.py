"""Tuning problems with a known answer: tables of real runs and surrogates of them.

A problem is one task of one source: a search space, a loss for every configuration, and the two
reference losses between which regret is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from warmstart.space import Categorical, Configuration, SearchSpace, to_unit

PROBLEMS_VERSION = (
    1  # raised when a problem's losses or reference change: results lose their worth
)

LossFunction = Callable[[Sequence[Configuration]], np.ndarray]


@dataclass(frozen=True)
class Problem:
    """One task of one source, ready to be tuned.

    Attributes:
        source: Where the histories come from, e.g. ``"openml/random_forest"``.
        task: Id of the task, e.g. ``"openml-task-3"``.
        family: Tasks of one family must stay on one side of every split.
        estimator: Canonical name of what is tuned.
        space: The search space in the estimator's canonical names.
        losses: Maps configurations to losses ``(n,)``; deterministic, lower is better.
        best: Loss at regret 0, the lowest of a fixed reference set.
        worst: Loss at regret 1, the highest of the same set.
        qualities: OpenML data qualities of the task's data set, where known.
    """

    source: str
    task: str
    family: str
    estimator: str
    space: SearchSpace
    losses: LossFunction = field(repr=False)
    best: float
    worst: float
    qualities: Mapping[str, float] | None = field(default=None, repr=False)

    def regret(self, losses: np.ndarray) -> np.ndarray:
        """Losses on the scale of the reference: 0 the best of it (clipped there), 1 the worst."""
        return np.maximum((losses - self.best) / (self.worst - self.best), 0.0)


class UnitEncoder:
    """Encodes configurations of a space as rows for trees and neighbours.

    Numbers lie in [0, 1] on their own scale, a categorical is one 0/1 column for each choice, and
    an inactive parameter is -1 (0 in all columns of a categorical).
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space

    def __call__(self, configurations: Sequence[Configuration]) -> np.ndarray:
        """Encode ``n`` configurations as ``(n, n_columns)``."""
        columns = []
        for name, parameter in self._space.parameters.items():
            values = [
                to_unit(parameter, configuration[name]) if name in configuration else -1.0
                for configuration in configurations
            ]
            if isinstance(parameter, Categorical):
                codes = np.asarray(values)
                columns += [(codes == k).astype(float) for k in range(len(parameter.choices))]
            else:
                columns.append(np.asarray(values, dtype=float))
        return np.stack(columns, axis=1)


class NearestRun:
    """A table as it is: the loss of the recorded run that lies nearest (ties: the first)."""

    def __init__(self, encoder: UnitEncoder, rows: np.ndarray, losses: np.ndarray) -> None:
        self._encoder = encoder
        self._rows = rows
        self._losses = losses

    def __call__(self, configurations: Sequence[Configuration]) -> np.ndarray:
        """The losses of the nearest runs, ``(n,)``."""
        rows = self._encoder(configurations)
        distance = ((rows[:, None, :] - self._rows[None, :, :]) ** 2).sum(axis=2)
        return np.asarray(self._losses[distance.argmin(axis=1)])


class Forest:
    """A random forest fitted to a table: a continuous space of configurations to move in.

    The trees are kept as flat arrays, because scikit-learn takes milliseconds for a single row.
    """

    def __init__(
        self, encoder: UnitEncoder, rows: np.ndarray, losses: np.ndarray, *, n_trees: int = 100
    ) -> None:
        from sklearn.ensemble import RandomForestRegressor

        forest = RandomForestRegressor(n_estimators=n_trees, random_state=0).fit(rows, losses)
        trees = [tree.tree_ for tree in forest.estimators_]
        offsets = np.cumsum([0, *(tree.node_count for tree in trees)])
        self._encoder = encoder
        self._roots = offsets[:-1]
        self._feature = np.concatenate([tree.feature for tree in trees])
        self._threshold = np.concatenate([tree.threshold for tree in trees])
        pairs = list(zip(trees, offsets[:-1], strict=True))
        self._left = np.concatenate([tree.children_left + offset for tree, offset in pairs])
        self._right = np.concatenate([tree.children_right + offset for tree, offset in pairs])
        self._value = np.concatenate([tree.value[:, 0, 0] for tree in trees])

    def __call__(self, configurations: Sequence[Configuration]) -> np.ndarray:
        """The forest's predictions, ``(n,)``."""
        return self.predict_rows(self._encoder(configurations))

    def predict_rows(self, rows: np.ndarray) -> np.ndarray:
        """The predictions for encoded rows ``(n, n_columns)``."""
        rows = rows.astype(np.float32)  # as scikit-learn compares
        node = np.broadcast_to(self._roots, (len(rows), len(self._roots))).copy()
        at = np.arange(len(rows))[:, None]
        while True:
            feature = self._feature[node]
            inner = feature >= 0
            if not inner.any():
                return np.asarray(self._value[node].mean(axis=1))
            goes_left = rows[at, np.maximum(feature, 0)] <= self._threshold[node]
            child = np.where(goes_left, self._left[node], self._right[node])
            node = np.where(inner, child, node)
