"""Learners on the scores by which the sampler's current surrogate is judged, too.

The learners see the normal scores of trials among all runs of the task, which a sampler doesn't
know: this favours them over the current surrogate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from scipy.special import ndtr

from metaopt.benchmarks.learners.inputs import BUDGETS, JUDGING_FOLD, N_SPLITS, Inputs
from metaopt.benchmarks.learners.searching import (
    cell_score,
    cells,
    expected_improvement,
    rank_correlation,
    search,
)
from metaopt.episodes.episode import Episode, Points
from metaopt.episodes.histories import HistoryTask
from metaopt.learners import Gaussian, Learner, Theta

#: What learners are compared with: the sampler's own surrogate, and random search.
CURRENT: Final = "current surrogate"
RANDOM: Final = "random search"
_N_RANDOM: Final = 200  # searches of each pool


def learner_curve(
    learner: Learner, theta: Theta, task: HistoryTask, regrets: np.ndarray
) -> np.ndarray:
    """The regret of a search among a task's runs by a learner's predictions.

    A predictive distribution is searched by its expected improvement, anything else by the
    lowest prediction.

    Args:
        learner: Trained.
        theta: Its meta-parameters.
        task: The runs, ``n`` of them.
        regrets: Of these, ``(n,)``.

    Returns:
        The best so far, after each of ``searching.N_TRIALS`` runs.
    """
    x, y = task.x, task.y.numpy().astype(float)
    room = task.most_support

    def choose(seen: Sequence[int]) -> np.ndarray:
        support = Points(torch.zeros(room, x.shape[1]), torch.zeros(room, 1), torch.zeros(room))
        rows = torch.tensor(seen, dtype=torch.long)
        support.x[: len(seen)] = x[rows]
        support.y[: len(seen), 0] = task.y[rows]
        support.weight[: len(seen)] = 1.0
        with torch.no_grad():
            prediction = learner.adapt(theta, support)(x)
        if not isinstance(prediction, Gaussian):
            return -prediction[:, 0].numpy()
        mean, variance = (part[:, 0].numpy().astype(float) for part in prediction)
        if not seen:
            return -mean
        return expected_improvement(mean, np.sqrt(variance), float(y[seen].min()))

    return search(regrets, choose)


def regrets_of(inputs: Inputs, source: str, task: int) -> np.ndarray:
    """The regret of the runs of one task, by its place in ``inputs``, ``(n,)``."""
    regrets = inputs[f"{source}/regret"][task]
    return regrets[np.isfinite(regrets)].astype(float)


def order_scores(
    learner: Learner, theta: Theta, episodes: Episode, tasks: Sequence[HistoryTask]
) -> dict[str, float]:
    """Scores that depend on the order of losses alone, as the current surrogate's do."""
    ranks, scores = [], []
    for i in range(len(tasks) * N_SPLITS):
        episode = episodes.tasks(slice(i, i + 1))
        support, query = (Points(*(tensor[0] for tensor in points)) for points in episode)
        there = query.weight > 0
        with torch.no_grad():
            prediction = learner.adapt(theta, support)(query.x[there])
        is_distribution = isinstance(prediction, Gaussian)
        expected = (prediction.mean if is_distribution else prediction)[:, 0].numpy()
        observed = query.y[there, 0].numpy()
        ranks.append(rank_correlation(expected, observed))
        if is_distribution:
            deviation = prediction.variance.sqrt()[:, 0].numpy()
            ends = cells(observed, tasks[i // N_SPLITS].y.numpy())
            scores.append(cell_score(*(ndtr((end - expected) / deviation) for end in ends)))
    return {
        "rank_correlation": float(np.mean(ranks)),
        **({"cell_score": float(np.mean(scores))} if scores else {}),
    }


def reference(inputs: Inputs, source: str, which: str, *, seed: int) -> dict[str, Any]:
    """What is told of ``CURRENT`` or ``RANDOM``, as of a learner."""
    judged = [int(i) for i in np.flatnonzero(inputs[f"{source}/fold"] == JUDGING_FOLD)]
    after: dict[str, Any] = {}
    if which == CURRENT:
        curves = {i: inputs[f"{source}/current/curve"][i] for i in judged}
        for b, budget in enumerate(BUDGETS):
            after[str(budget)] = {
                score: float(inputs[f"{source}/current/{score}"][judged, b].mean())
                for score in ("rank_correlation", "cell_score")
            }
    else:
        curves = {i: _random_curve(regrets_of(inputs, source, i), seed=seed) for i in judged}
    names, families = inputs[f"{source}/task"], inputs[f"{source}/family"]
    return {
        "n_tasks": len(judged),
        "after": after,
        "search": {
            str(names[i]): {"family": str(families[i]), "curve": curves[i].tolist()}
            for i in judged
        },
    }


def _random_curve(regrets: np.ndarray, *, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)

    def choose(seen: Sequence[int]) -> np.ndarray:
        return rng.random(len(regrets))

    return np.mean([search(regrets, choose) for _ in range(_N_RANDOM)], axis=0)
