"""Nearest training tasks by meta-features, and what was best on them.

Source: Feurer et al. 2015, Initializing Bayesian hyperparameter optimization via meta-learning:
L1 distance of scaled meta-features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from metaopt.benchmarks.portfolio import can_be_learned_from, finished, greedy_portfolio
from warmstart.descriptor import TaskDescriptor
from warmstart.history import History
from warmstart.space import Configuration


@dataclass(frozen=True)
class Neighbours:
    """The best configuration of each described training task, to be looked up by meta-features.

    Attributes:
        vectors: ``(n_tasks, n_metafeatures)``, scaled to [0, 1], the middle where unknown.
        low: ``(n_metafeatures,)`` scaled to 0.
        high: ``(n_metafeatures,)`` scaled to 1.
        best: One configuration a task.
        otherwise: For a task without descriptor: the greedy portfolio.
    """

    vectors: np.ndarray
    low: np.ndarray
    high: np.ndarray
    best: Sequence[Configuration]
    otherwise: Sequence[Configuration]

    def configurations(self, qualities: Mapping[str, float] | None) -> list[Configuration]:
        """What was best on the nearest tasks, nearest first, without repetition."""
        n = len(self.otherwise)
        if qualities is None or not len(self.best):
            return list(self.otherwise)
        vector = TaskDescriptor.from_openml_qualities(qualities).vector()
        distance = np.abs(self.vectors - _scaled(vector[None], self.low, self.high)).sum(axis=1)
        order = np.argsort(distance, kind="stable")
        distinct = {str(sorted(self.best[i].items())): self.best[i] for i in order}
        return list(distinct.values())[:n]


def train_neighbours(histories: Sequence[History], *, size: int) -> Neighbours:
    """Describe the training tasks; ``size`` is the number of configurations to start with."""
    vectors, best = [], []
    for history in histories:
        configurations, losses = finished(history)
        descriptor = history.info.descriptor
        if descriptor is not None and can_be_learned_from(losses):
            vectors.append(TaskDescriptor.from_json(descriptor).vector())
            best.append(configurations[int(losses.argmin())])
    matrix = np.array(vectors) if vectors else np.empty((0, 1))
    missing = np.isnan(matrix)
    some = ~missing.all(axis=0)
    low = np.where(some, np.where(missing, np.inf, matrix).min(axis=0, initial=np.inf), 0.0)
    high = np.where(some, np.where(missing, -np.inf, matrix).max(axis=0, initial=-np.inf), 1.0)
    return Neighbours(
        vectors=_scaled(matrix, low, high),
        low=low,
        high=high,
        best=best,
        otherwise=greedy_portfolio(histories, size=size),
    )


def _scaled(vectors: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    span = np.where(high > low, high - low, 1.0)
    return np.asarray(np.where(np.isnan(vectors), 0.5, np.clip((vectors - low) / span, 0, 1)))
