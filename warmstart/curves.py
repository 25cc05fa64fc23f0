"""Learning curves: what of them says whether a trial will still become the best.

A *curve* is the losses that a trial reported, by step. The *incumbent* is the finished curve that
ended lowest. All features are ratios, so that neither the unit of the loss nor the number of steps
matters.

Notation: y losses of the curve so far, b of the incumbent; s last step of y, T last step of b;
S the scale of the study's losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

FEATURES: Final = (
    "share of the steps done",
    "log of the number of reports",
    "log of the number of reports of the incumbent",
    "log of the number of finished curves",
    "y(s) - b(s)",
    "y(s) - b(T)",
    "min y - b(T)",
    "y(s) - y(2s/3)",
    "y(s) - y(s/3)",
    "y(s) - y(0)",
    "b(T) - b(s)",
    "most that a finished curve fell after s",
    "median that the finished curves fell after s",
    "second lowest end - b(T)",
    "roughness of the last reports",
    "share of the finished curves that were higher at s",
    "log of the number of other curves that reached s",
    "share of them that were higher at s",
    "y(s) - the lowest of them at s",
    "y(s) - the median of them at s",
)

# Differences in units of S enter as arcsinh(_MAGNIFICATION · d), so that small ones near the
# incumbent count and huge ones don't drown the rest.
_MAGNIFICATION: Final = 10.0
_LARGEST: Final = 6.0
_RECENT: Final = 6  # reports


@dataclass(frozen=True)
class Curve:
    """Losses by step.

    Attributes:
        steps: ``(n,)``, increasing.
        losses: ``(n,)``, lower is better, finite.
    """

    steps: np.ndarray
    losses: np.ndarray

    def at(self, step: float) -> float:
        """The loss at a step: linear between two reports."""
        after = int(np.searchsorted(self.steps, step))
        if after in (0, len(self.steps)) or self.steps[after] == step:
            return float(self.losses[min(after, len(self.steps) - 1)])
        return float(np.interp(step, self.steps, self.losses))

    def until(self, n_reports: int) -> Curve:
        """Its first reports."""
        return Curve(self.steps[:n_reports], self.losses[:n_reports])


class StudyCurves:
    """The curves of a study's other trials, which one is measured against.

    Args:
        curves: The finished ones; at least one.
        stopped: Those that were stopped; each at least one report.
    """

    def __init__(self, curves: Sequence[Curve], stopped: Sequence[Curve] = ()) -> None:
        self._stopped = stopped
        ends = np.array([curve.losses[-1] for curve in curves])
        incumbent = curves[int(ends.argmin())]
        self.incumbent = incumbent
        self.best = float(ends.min())
        self._ends = ends
        self._table = np.stack(
            [
                curve.losses
                if np.array_equal(curve.steps, incumbent.steps)
                else np.interp(incumbent.steps, curve.steps, curve.losses)
                for curve in curves
            ]
        )
        fallen = np.sort(np.abs(incumbent.losses - self.best))[int(0.9 * (len(incumbent.losses)))]
        spread = float(np.median(ends - self.best))
        self.scale = max(float(fallen), spread)
        self._second = float(np.partition(ends, 1)[1] - self.best) if len(ends) > 1 else self.scale

    def share_done(self, step: float) -> float:
        """How much of the incumbent's steps is done, 0 at its first report and 1 at its last."""
        first, last = float(self.incumbent.steps[0]), float(self.incumbent.steps[-1])
        return min(max((step - first) / (last - first), 0.0), 1.0) if last > first else 1.0

    def at(self, step: float) -> np.ndarray:
        """The losses of the finished ones at a step ``(n_curves,)``; linear between reports."""
        steps = self.incumbent.steps
        after = int(np.searchsorted(steps, step))
        if after == 0 or after == len(steps):
            return np.asarray(self._table[:, min(after, len(steps) - 1)])
        weight = (step - steps[after - 1]) / (steps[after] - steps[after - 1])
        before = self._table[:, after - 1]
        return np.asarray(before + weight * (self._table[:, after] - before))

    def features(self, curve: Curve) -> np.ndarray | None:
        """What ``FEATURES`` names of a curve so far; None where the losses have no scale."""
        if not (np.isfinite(self.scale) and self.scale > 0):
            return None
        y, step = curve.losses, float(curve.steps[-1])
        first = float(self.incumbent.steps[0])
        now = self.at(step)
        fallen = now - self._ends
        earlier = np.interp(
            [first + (step - first) * share for share in (2 / 3, 1 / 3)], curve.steps, y
        )
        recent = y[-_RECENT:]
        reached = np.array([*now, *(c.at(step) for c in self._stopped if c.steps[-1] >= step)])
        differences = np.array(
            [
                y[-1] - np.interp(step, self.incumbent.steps, self.incumbent.losses),
                y[-1] - self.best,
                y.min() - self.best,
                *(y[-1] - earlier),
                y[-1] - y[0],
                self.best - now[self._ends.argmin()],
                fallen.max(),
                np.median(fallen),
                self._second,
                np.abs(np.diff(recent, 2)).mean() if len(recent) > 2 else 0.0,
                y[-1] - reached.min(),
                y[-1] - np.median(reached),
            ]
        )
        ratios = np.arcsinh(_MAGNIFICATION * (differences / self.scale))
        ratios = np.clip(ratios, -_LARGEST, _LARGEST)
        return np.array(
            [
                self.share_done(step),
                np.log(len(y)),
                np.log(len(self.incumbent.losses)),
                np.log(len(self._ends)),
                *ratios[:-2],
                np.mean(now > y[-1]),
                np.log(len(reached)),
                np.mean(reached > y[-1]),
                *ratios[-2:],
            ]
        )
