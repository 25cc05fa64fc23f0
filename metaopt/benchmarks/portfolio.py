"""Greedy portfolios: configurations that together serve the training tasks best.

Source: Feurer et al. 2022, Auto-sklearn 2.0, section 3.1.1. Departure: the losses of candidates
on tasks where they were not run come from a forest fitted to each task's own runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metaopt.benchmarks.problems import Forest, UnitEncoder
from warmstart.history import History
from warmstart.space import Configuration, SearchSpace, Value

N_TREES = 32
MIN_TRIALS = 10  # a history with fewer says nothing of other configurations


def finished(history: History) -> tuple[list[dict[str, Value]], np.ndarray]:
    """Configurations and losses ``(n,)`` of the trials that have a loss."""
    kept = np.flatnonzero(~np.isnan(history.losses))
    configurations = history.configurations()
    return [configurations[i] for i in kept], history.losses[kept]


def space_of(histories: Sequence[History]) -> SearchSpace:
    """The search space that histories of one source share.

    Raises:
        ValueError: If they have none, or different ones.
    """
    spaces = [history.info.space for history in histories]
    if not spaces or spaces[0] is None or any(space != spaces[0] for space in spaces):
        raise ValueError("Histories of different search spaces, or none, given; expected one.")
    return spaces[0]


def can_be_learned_from(losses: np.ndarray) -> bool:
    """Whether the losses of a task tell configurations apart."""
    return len(losses) >= MIN_TRIALS and float(np.ptp(losses)) > 0


def greedy_portfolio(
    histories: Sequence[History], *, size: int, n_candidates_per_task: int = 10
) -> list[Configuration]:
    """Choose configurations one by one, each lowering the mean over tasks of the best loss most.

    Losses count on the scale of each task's own runs: 0 the best, 1 the worst.

    Args:
        histories: Of the training tasks; those that can't be learned from are passed over.
        size: How many at most; fewer if the candidates run out.
        n_candidates_per_task: The best configurations of each task that can be chosen.
    """
    encoder = UnitEncoder(space_of(histories))
    candidates: list[Configuration] = []
    forests, scales = [], []
    for history in histories:
        configurations, losses = finished(history)
        if not can_be_learned_from(losses):
            continue
        order = np.argsort(losses, kind="stable")[:n_candidates_per_task]
        candidates += [configurations[i] for i in order]
        forests.append(Forest(encoder, encoder(configurations), losses, n_trees=N_TREES))
        scales.append((losses.min(), losses.max()))
    candidates = list({str(sorted(c.items())): c for c in candidates}.values())
    if not candidates:
        return []
    rows = encoder(candidates)
    regrets = np.stack(
        [
            (forest.predict_rows(rows) - best) / (worst - best)
            for forest, (best, worst) in zip(forests, scales, strict=True)
        ]
    )  # (n_tasks, n_candidates)
    return [candidates[i] for i in greedy_choice(regrets, size=size)]


def greedy_choice(regrets: np.ndarray, *, size: int) -> list[int]:
    """Columns of ``(n_tasks, n_candidates)``, each lowering the mean of the row minima most.

    When no column lowers it any more, the choice goes on as if it began anew with the rest.
    """
    left = np.ones(regrets.shape[1], dtype=bool)
    best = np.full(len(regrets), np.inf)
    chosen: list[int] = []
    while len(chosen) < min(size, regrets.shape[1]):
        totals = np.minimum(best[:, None], regrets).mean(axis=0)
        totals[~left] = np.inf
        pick = int(totals.argmin())
        if totals[pick] >= best.mean() and np.isfinite(best).all():
            best = np.full(len(regrets), np.inf)
            continue
        chosen.append(pick)
        left[pick] = False
        best = np.minimum(best, regrets[:, pick])
    return chosen
