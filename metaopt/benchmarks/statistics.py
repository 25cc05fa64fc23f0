"""The statistics of a benchmark, on arrays.

Symbols: a *curve* ``(n_trials,)`` is the regret of the best trial so far.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence

import numpy as np

N_RESAMPLES = 2000
TOLERANCE = 1e-9  # a difference in regret below this is rounding


def regret_curve(losses: Sequence[float | None], *, best: float, worst: float) -> np.ndarray:
    """The regret of the best trial so far, ``(n_trials,)``: 0 at ``best``, 1 at ``worst``.

    Clipped at 0; a failed trial (None or NaN) improves nothing, and before the first that
    finished regret is 1.
    """
    values = np.array([math.nan if loss is None else loss for loss in losses], dtype=float)
    regret = (values - best) / (worst - best)
    regret = np.where(np.isnan(regret), np.inf, regret)
    sofar = np.minimum.accumulate(regret)
    return np.asarray(np.maximum(np.where(np.isinf(sofar), 1.0, sofar), 0.0))


def area(curve: np.ndarray, *, n_trials: int = 50) -> float:
    """The mean of a curve over its first ``n_trials``."""
    return float(curve[:n_trials].mean())


def trials_to_match(curve: np.ndarray, target: float) -> float:
    """The first trial (from 1) at which a curve is as low as ``target``; infinity if never."""
    reached = np.flatnonzero(curve <= target + TOLERANCE)
    return float(reached[0] + 1) if len(reached) else math.inf


def geometric_mean(values: Sequence[float]) -> float:
    """Of positive numbers; infinity if one is."""
    return float(np.exp(np.mean(np.log(values)))) if len(values) else math.nan


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """The mean rank of each column of ``(n_tasks, n_methods)``: 1 is lowest, ties averaged."""
    from scipy.stats import rankdata

    rounded = np.round(values, 9)
    return np.asarray(rankdata(rounded, axis=1).mean(axis=0))


def averaged_by(groups: Sequence[Hashable], values: np.ndarray) -> np.ndarray:
    """The mean of the rows of ``(n, ...)`` in each group, groups in order of appearance."""
    rows: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        rows.setdefault(group, []).append(row)
    return np.stack([values[of].mean(axis=0) for of in rows.values()])


def paired_p_value(differences: np.ndarray) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test; 1 if nothing differs."""
    from scipy.stats import wilcoxon

    differences = np.where(np.abs(differences) < TOLERANCE, 0.0, differences)
    if not differences.any():
        return 1.0
    return float(wilcoxon(differences, zero_method="pratt", method="asymptotic").pvalue)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjust p-values for their number (Holm 1979)."""
    order = sorted(p_values, key=lambda name: p_values[name])
    adjusted: dict[str, float] = {}
    largest = 0.0
    for i, name in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - i) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def bootstrap_interval(
    groups: Sequence[Hashable], values: np.ndarray, *, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The 95 % interval of the mean of rows when whole groups are drawn anew.

    Args:
        groups: ``(n,)`` the family of each row.
        values: ``(n, ...)``.
        seed: Of the draws.

    Returns:
        The lower and upper bound, each ``(...)``.
    """
    sizes: dict[Hashable, int] = {}
    sums: dict[Hashable, np.ndarray] = {}
    for group, value in zip(groups, np.asarray(values, dtype=float), strict=True):
        sizes[group] = sizes.get(group, 0) + 1
        sums[group] = sums.get(group, np.zeros_like(value)) + value
    size, total = np.array(list(sizes.values()), dtype=float), np.stack(list(sums.values()))
    n = len(size)
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=N_RESAMPLES)
    counts = (drawn @ size).reshape(-1, *[1] * (total.ndim - 1))
    means = np.tensordot(drawn, total, axes=1) / counts
    low, high = np.quantile(means, (0.025, 0.975), axis=0)
    return low, high


def lost_share(values: np.ndarray, reference: np.ndarray) -> float:
    """The share of tasks where the mean is worse than the reference's by over two deviations.

    Args:
        values: ``(n_tasks, n_seeds)`` regrets of a method.
        reference: ``(n_tasks, n_reference_seeds)`` regrets without transfer; its standard
            deviation over seeds is the unit. At least two seeds.
    """
    limit = reference.mean(axis=1) + 2.0 * reference.std(axis=1, ddof=1)
    return float((values.mean(axis=1) > limit + TOLERANCE).mean())
