"""Tasks from histories: trials seen are the support, trials to predict the query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metaopt.episodes.episode import Episode, Points
from warmstart.aligned import align_histories
from warmstart.encoding import Encoding
from warmstart.history import History

__all__ = ["HistoryTask", "history_tasks", "normal_scores"]


@dataclass(frozen=True)
class HistoryTask:
    """The trials of one estimator on one task.

    Attributes:
        name: Of the task.
        family: Of its data set.
        x: ``(n, n_features)`` configurations as features.
        y: ``(n,)`` losses on a scale of the task, lower is better; NaN where a trial failed.
        most_support: An episode's support has 0 to so many trials, each number equally likely.
        n_query: Trials to predict, those of the support never among them.

    Raises:
        ValueError: If fewer than two trials finished: one to predict, one to be told it from.
    """

    name: str
    family: str
    x: Tensor
    y: Tensor
    most_support: int = 50
    n_query: int = 50

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y) or int(self.y.isfinite().sum()) < 2:
            raise ValueError(
                f"{self.name!r} with {int(self.y.isfinite().sum())} finished trials given; "
                "expected two or more: leave this task out."
            )

    def episode(self, generator: torch.Generator) -> Episode:
        """See ``Task``; support and query are random sets of trials."""
        most = min(self.most_support, len(self.y) - 1)
        n_support = int(torch.randint(most + 1, (1,), generator=generator))
        return self.split(n_support, generator)

    def split(self, n_support: int, generator: torch.Generator) -> Episode:
        """An episode with a support of so many trials; both sides padded to their full size.

        Raises:
            ValueError: If no trial would be left to predict, or it is more than ``most_support``.
        """
        most = min(self.most_support, len(self.y) - 1)
        if not 0 <= n_support <= most:
            raise ValueError(f"Support of {n_support} trials given; expected 0 to {most}.")
        order = torch.randperm(len(self.y), generator=generator)
        s, q = order[:n_support], order[n_support : n_support + self.n_query]
        return Episode(
            _padded(Points.of(self.x[s], self.y[s]), self.most_support),
            _padded(Points.of(self.x[q], self.y[q]), self.n_query),
        )


def _padded(points: Points, n: int) -> Points:
    """Points of one size, whatever a task has: batches of other shapes would cost time."""
    room = n - len(points.x)
    pad = torch.nn.functional.pad
    return Points(
        pad(points.x, (0, 0, 0, room)),
        pad(points.y, (0, 0, 0, room)),
        pad(points.weight, (0, room)),
    )


def history_tasks(
    histories: Sequence[History],
    *,
    scale: Callable[[np.ndarray], np.ndarray] | None = None,
    most_support: int = 50,
    n_query: int = 50,
) -> list[HistoryTask]:
    """The tasks of histories of one estimator, on one space of features.

    Histories with fewer than two finished trials, or all of one loss, are left out: there is
    nothing to predict.

    Args:
        histories: Of one estimator; their parameters may be named and ranged differently.
        scale: Maps the losses of a task ``(n,)`` to its targets; None: to normal scores.
        most_support: See ``HistoryTask``.
        n_query: See ``HistoryTask``.

    Raises:
        ValueError: If they are of several estimators, or of none.
    """
    estimators = sorted({history.info.estimator for history in histories})
    if len(estimators) != 1:
        raise ValueError(f"Histories of {estimators} given; expected those of one estimator.")
    _, space, aligned = align_histories(estimators[0], histories)
    encoding = Encoding(space)
    return [
        HistoryTask(
            name=history.task.id,
            family=history.task.family or history.task.dataset or history.task.id,
            x=torch.from_numpy(encoding.features(history.coordinates)).float(),
            y=torch.from_numpy((scale or normal_scores)(history.losses)).float(),
            most_support=most_support,
            n_query=n_query,
        )
        for history in aligned
        if history.is_informative
    ]


def normal_scores(losses: np.ndarray) -> np.ndarray:
    """Losses ``(n,)`` as normal scores by rank, 0 at the median, ties averaged, NaN kept.

    Source: Salinas et al. 2020, section 3.1.
    """
    from scipy.stats import norm, rankdata

    scores = np.full(len(losses), np.nan)
    finished = np.isfinite(losses)
    ranks = rankdata(losses[finished])
    scores[finished] = norm.ppf((ranks - 0.5) / max(len(ranks), 1))
    return scores
