"""Means over tasks with their uncertainty."""

from __future__ import annotations

import math

from torch import Tensor


def mean_and_interval(values: Tensor) -> tuple[float, float]:
    """The mean of ``(n_tasks,)``, and half the width of its 95 % interval (normal)."""
    half = 1.96 * float(values.std()) / math.sqrt(len(values))
    return float(values.mean()), half
