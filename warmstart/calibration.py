"""How what a model predicts of losses is put right, by the number of trials it has seen.

With few trials the scale of a new task's losses is all but unknown: they span less than the task
does, and the best of them is farther from the task's best than it seems. How much so is learned
on the source tasks, each predicted by those of other families, and kept beside the prior. It
corrects predictions alone; what the sampler proposes does not depend on it.

Notation:
    k: numbers of trials at which it was learned. A, B: points of the grid of the best loss a, and
    of the range b, in ``warmstart.posterior``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

#: How wide the tail is, in units of the spread of the losses seen.
TAIL_SPREADS = 5.0
_DIGITS = 4


@dataclass(frozen=True)
class Correction:
    """The correction after one number of trials.

    Attributes:
        factors: Of standard deviations of the terms by their group, ``(n_groups,)``: the points
            of the grid in the order of A and B; before any trial those that believe the source
            tasks, and the rest.
        log_weights: Of the terms by their group, ``(n_groups,)``.
        tail: Logarithm of the weight of what no term foresees, where they have 1 together; minus
            infinity before any trial, when the scale is known.
    """

    factors: np.ndarray
    log_weights: np.ndarray
    tail: float = -np.inf


@dataclass(frozen=True)
class Calibration:
    """The corrections of one prior.

    Attributes:
        first_factor: Of standard deviations before any trial.
        alone: Logarithmic weight, before any trial, of the terms that don't believe the source
            tasks.
        alone_factor: Of their standard deviations then, besides.
        n_trials: Rising, 1 or more, ``(k,)``.
        factors: Of standard deviations, ``(k,)``.
        best: Logarithmic weights, ``(k, A)``.
        extent: Logarithmic weights, ``(k, B)``.
        tails: Logarithmic weights, ``(k,)``.

    Raises:
        ValueError: If the shapes don't match, or a number is not finite.
    """

    first_factor: float
    alone: float
    alone_factor: float
    n_trials: np.ndarray
    factors: np.ndarray
    best: np.ndarray
    extent: np.ndarray
    tails: np.ndarray

    def __post_init__(self) -> None:
        k = len(self.n_trials)
        parts = (self.factors, self.best, self.extent, self.tails)
        shapes = [part.shape for part in parts]
        if (
            not k
            or [len(shape) for shape in shapes] != [1, 2, 2, 1]
            or {s[0] for s in shapes} != {k}
        ):
            raise ValueError(f"calibration of shapes {shapes} at {k} numbers of trials")
        first = [self.first_factor, self.alone_factor, self.alone]
        numbers = np.concatenate([first, *(p.ravel() for p in parts)])
        factors = [self.first_factor, self.alone_factor, *self.factors]
        if not np.isfinite(numbers).all() or min(factors) <= 0:
            raise ValueError("a calibration with numbers that are not finite, or factors below 0")
        if self.n_trials[0] < 1 or (np.diff(self.n_trials) <= 0).any():
            raise ValueError(f"calibration at {list(self.n_trials)} trials, expected rising ones")

    def after(self, n_trials: int) -> Correction:
        """The correction after so many trials, between those learned by their logarithm."""
        if n_trials == 0:
            factors = self.first_factor * np.array([1.0, self.alone_factor])
            return Correction(factors, np.array([0.0, self.alone]))
        at = np.interp(np.log(n_trials), np.log(self.n_trials), np.arange(len(self.n_trials)))
        low = min(int(at), len(self.n_trials) - 1)
        share = at - low

        def between(values: np.ndarray) -> np.ndarray:
            high = min(low + 1, len(values) - 1)
            return np.asarray((1.0 - share) * values[low] + share * values[high])

        grid = between(self.best)[:, None] + between(self.extent)[None]
        return Correction(
            factors=np.full(grid.size, between(self.factors)),
            log_weights=grid.ravel(),
            tail=float(between(self.tails)),
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON-serialisable description; ``from_json`` restores it but for rounding."""
        return {
            name: np.round(getattr(self, name), _DIGITS).tolist()
            for name in self.__dataclass_fields__
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Calibration:
        """Restore from ``to_json``'s output.

        Raises:
            KeyError: If something is missing.
            TypeError: If it is of another kind.
            ValueError: If it makes no sense.
        """
        names = ("n_trials", "factors", "best", "extent", "tails")
        return cls(
            first_factor=float(data["first_factor"]),
            alone=float(data["alone"]),
            alone_factor=float(data["alone_factor"]),
            **{name: np.asarray(data[name], dtype=float) for name in names},
        )
