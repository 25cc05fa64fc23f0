"""The comparison of the learned optimizer with one arm, on numbers alone.

Symbols: a *curve* maps the share of the horizon to the mean final validation loss of trainings
that were told to end there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

NEVER: Final = 2.0  # what a fraction counts as if the target is never reached
N_RESAMPLES: Final = 2000
_ROUNDING: Final = 1e-9

Curve = Mapping[float, float]


def first_share(curve: Curve, target: float) -> float:
    """The smallest share at which a curve is as low as ``target``; infinity if none is."""
    reached = [share for share, loss in curve.items() if loss <= target + _ROUNDING]
    return min(reached, default=math.inf)


def time_fraction(ours: Curve, theirs: Curve) -> float:
    """Our shortest horizon that reaches their best loss, over their own shortest.

    A shorter training alone is no win: they, too, are rerun at every share.
    """
    target = min(theirs.values())
    if not math.isfinite(target):
        return 0.0 if math.isfinite(min(ours.values())) else math.inf
    return first_share(ours, target) / first_share(theirs, target)


@dataclass(frozen=True)
class Summary:
    """Fractions of all tasks together; what was never reached counts as ``NEVER``.

    Attributes:
        median: Of the fractions.
        low: Lower end of the bootstrap 95 % interval of the median over tasks, within tiers.
        high: Upper end.
        geometric_mean: Of the fractions.
        n_reached: Tasks on which the target was reached.
        n_tasks: All.
    """

    median: float
    low: float
    high: float
    geometric_mean: float
    n_reached: int
    n_tasks: int


def summarise(fractions: Sequence[float], tiers: Sequence[str], *, seed: int = 0) -> Summary:
    """Summarise the fractions of tasks.

    Args:
        fractions: Of each task; infinity where the target was never reached.
        tiers: Of each task; tasks are drawn anew within them.
        seed: Of the draws.
    """
    values = np.minimum(np.asarray(fractions, dtype=float), NEVER)
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(np.asarray(tiers) == tier) for tier in sorted({*tiers})]
    drawn = np.concatenate(
        [rng.choice(group, size=(N_RESAMPLES, len(group))) for group in groups], axis=1
    )
    low, high = np.quantile(np.median(values[drawn], axis=1), (0.025, 0.975))
    return Summary(
        median=float(np.median(values)),
        low=float(low),
        high=float(high),
        geometric_mean=float(np.exp(np.log(np.maximum(values, 1e-3)).mean())),
        n_reached=int(np.isfinite(np.asarray(fractions)).sum()),
        n_tasks=len(values),
    )
