"""Normalised losses: the regret of a task's configurations, on a logarithmic scale.

Regret is 0 at the best loss of a task and 1 at the worst. Near the best, what matters are ratios,
so models work on ``log(regret + EPSILON)``.
"""

from __future__ import annotations

import numpy as np

EPSILON = 0.05


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
    # Halves, because the difference of two losses may be larger than a float can be.
    scaled = np.minimum((losses / 2 - best / 2) / (worst / 2 - best / 2), 1.0)
    return np.where(np.isfinite(losses), scaled, 1.0)


def log_regret(regrets: np.ndarray) -> np.ndarray:
    """Regret on the scale of the models."""
    return np.asarray(np.log(np.maximum(regrets, 0.0) + EPSILON))


def from_log_regret(values: np.ndarray) -> np.ndarray:
    """The inverse of ``log_regret``, at least 0."""
    return np.maximum(np.exp(values) - EPSILON, 0.0)
