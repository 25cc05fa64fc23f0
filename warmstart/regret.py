"""Normalised losses: the regret of a task's configurations, on a logarithmic scale.

Regret is 0 at the best loss of a task and 1 at the worst. Near the best, what matters are ratios,
so models work on ``log(regret + EPSILON)``.
"""

from __future__ import annotations

import numpy as np

EPSILON = 0.05
# Losses are capped at so many times the distance from the best to the median: a few diverged
# models, or a log loss of thirty, would make all others look alike.
_CAP = 10.0
_HUGE = 1e300


def regret(losses: np.ndarray) -> np.ndarray:
    """Losses ``(n,)`` of one task as regret in [0, 1]; failed trials (NaN) get 1.

    Raises:
        ValueError: If no trial finished.
    """
    finished = losses[np.isfinite(losses)]
    if not len(finished):
        raise ValueError("No finished trial given; expected at least one finite loss.")
    best, worst = finished.min(), finished.max()
    if worst <= best:
        return np.where(np.isfinite(losses), 0.0, 1.0)
    # The difference of two huge losses may be larger than a float can be, but not of their halves.
    unit = 0.5 if max(abs(best), abs(worst)) > _HUGE else 1.0
    scaled = np.minimum((losses * unit - best * unit) / (worst * unit - best * unit), 1.0)
    return np.where(np.isfinite(losses), scaled, 1.0)


def capped(losses: np.ndarray) -> np.ndarray:
    """Losses ``(n,)`` of one task, those far beyond the median lowered to where "far" begins."""
    finished = losses[np.isfinite(losses)]
    if not len(finished):
        return losses
    best, median = finished.min(), np.median(finished)
    return np.minimum(losses, best + _CAP * (median - best)) if median > best else losses


def log_regret(regrets: np.ndarray) -> np.ndarray:
    """Regret on the scale of the models."""
    return np.asarray(np.log(np.maximum(regrets, 0.0) + EPSILON))


def from_log_regret(values: np.ndarray) -> np.ndarray:
    """The inverse of ``log_regret``, at least 0."""
    return np.maximum(np.exp(values) - EPSILON, 0.0)
