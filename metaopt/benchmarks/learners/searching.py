"""Searching a pool of recorded runs by what a surrogate predicts, and scoring its predictions.

The same for every surrogate, so that all are judged alike. Losses are taken as they are; the
scores depend on their order only, so surrogates may predict them on any scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

N_TRIALS: Final = 50
#: Nats; what a prediction all but excluded counts as this.
LOWEST_SCORE: Final = -20.0


def search(regrets: np.ndarray, choose: Callable[[Sequence[int]], np.ndarray]) -> np.ndarray:
    """The regret of the best run so far, after each of ``N_TRIALS`` runs.

    Args:
        regrets: Of all runs of the pool, ``(n,)``.
        choose: Maps the runs seen, by index and in their order, to how promising each run of the
            pool is, ``(n,)``.

    Returns:
        ``(N_TRIALS,)``; a smaller pool ends at its best.
    """
    seen: list[int] = []
    for _ in range(min(N_TRIALS, len(regrets))):
        promise = np.array(choose(seen), dtype=float)
        promise[seen] = -np.inf
        seen.append(int(promise.argmax()))
    curve = np.minimum.accumulate(regrets[seen])
    return np.append(curve, np.full(N_TRIALS - len(curve), curve[-1]))


def expected_improvement(mean: np.ndarray, deviation: np.ndarray, best: float) -> np.ndarray:
    """Of normal predictions ``(n,)`` below the best value seen."""
    from scipy.stats import norm

    u = (best - mean) / deviation
    return np.asarray(deviation * (u * norm.cdf(u) + norm.pdf(u)))


def cells(values: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each value the interval around it that holds no other one.

    Its ends lie in the middle to the next smaller and the next larger value; the outermost are
    infinite. The probability of these intervals scores predictions on any scale.

    Args:
        values: ``(n,)``, each one of ``among``.
        among: All values there are, ``(m,)``.
    """
    distinct = np.unique(among)
    middles = np.concatenate([[-np.inf], 0.5 * (distinct[1:] + distinct[:-1]), [np.inf]])
    place = np.searchsorted(distinct, values)
    return middles[place], middles[place + 1]


def cell_score(below_low: np.ndarray, below_high: np.ndarray) -> float:
    """The mean log probability of the cells, from the distribution at their ends, ``(n,)``."""
    probability = np.maximum(below_high - below_low, np.exp(LOWEST_SCORE))
    return float(np.log(probability).mean())


def rank_correlation(expected: np.ndarray, observed: np.ndarray) -> float:
    """Spearman's, 0 where one of both is constant."""
    from scipy.stats import rankdata

    ranks = [rankdata(values) for values in (expected, observed)]
    return float(np.corrcoef(*ranks)[0, 1]) if all(np.ptp(rank) > 0 for rank in ranks) else 0.0
