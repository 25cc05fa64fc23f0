"""A search space as arrays, for models that need distances.

Symbols: n configurations, d parameters in ``SearchSpace.ordered_names`` order (parents before
children), c columns. *Units* ``(n, d)`` hold numbers on their own scale in [0, 1], a categorical
as the index of its choice, and NaN where a parameter is inactive. *Columns* ``(n, c)`` are what
distances are taken of: a categorical is one column for each choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from warmstart.space import (
    Categorical,
    Configuration,
    Float,
    Integer,
    SearchSpace,
    Value,
    snap,
    to_unit,
)

_INACTIVE = 0.5  # the middle: nearest to all values at once
_CHOICE = math.sqrt(0.5)  # so that two choices lie at distance 1, as the two ends of a range


class UnitSpace:
    """Translates between configurations, units and columns.

    Args:
        space: The search space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.names = tuple(space.ordered_names())
        self._parameters = [space.parameters[name] for name in self.names]
        self._n_choices = [
            len(p.choices) if isinstance(p, Categorical) else 0 for p in self._parameters
        ]
        self._conditions: list[tuple[int, np.ndarray] | None] = []
        for name in self.names:
            condition = space.conditions.get(name)
            if condition is None:
                self._conditions.append(None)
                continue
            parent = self.names.index(condition.parameter)
            of = self._parameters[parent]
            self._conditions.append(
                (parent, np.array([to_unit(of, value) for value in condition.values]))
            )
        self.groups = np.array(
            [j for j, n in enumerate(self._n_choices) for _ in range(max(n, 1))], dtype=int
        )

    @property
    def n_parameters(self) -> int:
        """The number of parameters, d."""
        return len(self.names)

    def units(self, configurations: Sequence[Configuration]) -> np.ndarray:
        """``(n, d)`` units of configurations."""
        out = np.full((len(configurations), self.n_parameters), np.nan)
        for i, configuration in enumerate(configurations):
            for j, (name, parameter) in enumerate(zip(self.names, self._parameters, strict=True)):
                if name in configuration:
                    out[i, j] = to_unit(parameter, configuration[name])
        return out

    def columns(self, units: np.ndarray) -> np.ndarray:
        """``(n, c)`` columns of units."""
        out = []
        for j, n_choices in enumerate(self._n_choices):
            value = units[:, j]
            if n_choices:
                out += [np.where(value == k, _CHOICE, 0.0) for k in range(n_choices)]
            else:
                out.append(np.where(np.isnan(value), _INACTIVE, value))
        return np.stack(out, axis=1)

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """``(n, d)`` units, uniform on each scale."""
        units = rng.random((n, self.n_parameters))
        for j, n_choices in enumerate(self._n_choices):
            if n_choices:
                units[:, j] = np.floor(units[:, j] * n_choices)
        return self._repaired(units, rng)

    def perturbed(
        self, units: np.ndarray, *, scale: float, rng: np.random.Generator
    ) -> np.ndarray:
        """Neighbours of units: a random few of the numbers moved, now and then a new choice.

        Args:
            units: ``(n, d)``.
            scale: Standard deviation of a move.
            rng: Source of randomness.

        Returns:
            ``(n, d)`` units.
        """
        n, d = units.shape
        moved = rng.random((n, d)) < max(0.3, 1.5 / d)
        moved[np.arange(n), rng.integers(d, size=n)] = True
        step = scale * rng.standard_normal((n, d))
        out = units.copy()
        for j, n_choices in enumerate(self._n_choices):
            if n_choices:
                anew = moved[:, j] & (rng.random(n) < 0.3) & ~np.isnan(units[:, j])
                out[anew, j] = rng.integers(n_choices, size=int(anew.sum()))
            else:
                out[:, j] = np.where(moved[:, j], np.clip(out[:, j] + step[:, j], 0, 1), out[:, j])
        return self._repaired(out, rng)

    def configuration(self, row: np.ndarray) -> dict[str, Value]:
        """The configuration of one row of units ``(d,)``."""
        out: dict[str, Value] = {}
        for name, parameter, unit in zip(self.names, self._parameters, row, strict=True):
            if np.isnan(unit):
                continue
            if isinstance(parameter, Categorical):
                out[name] = parameter.choices[int(unit)]
            else:
                out[name] = snap(parameter, _raw(parameter, float(unit)))
        return out

    def _repaired(self, units: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Units that a configuration can have: on the grid, inactive exactly where they must."""
        for j, (parameter, condition) in enumerate(
            zip(self._parameters, self._conditions, strict=True)
        ):
            if condition is not None:
                parent, values = condition
                active = np.isin(units[:, parent], values)
                units[~active, j] = np.nan
                unset = active & np.isnan(units[:, j])
                n_choices = self._n_choices[j]
                drawn = rng.random(int(unset.sum()))
                units[unset, j] = np.floor(drawn * n_choices) if n_choices else drawn
            if not isinstance(parameter, Categorical):
                known = ~np.isnan(units[:, j])
                units[known, j] = _on_grid(parameter, units[known, j])
        return units


def _raw(parameter: Float | Integer, unit: float) -> float:
    """The inverse of ``to_unit``, not yet on the grid."""
    if parameter.log:
        low, high = math.log(parameter.low), math.log(parameter.high)
        return math.exp(low + unit * (high - low))
    return parameter.low + unit * (parameter.high - parameter.low)


def _on_grid(parameter: Float | Integer, units: np.ndarray) -> np.ndarray:
    """The units nearest to ``units`` that the parameter can take."""
    low, high, step = parameter.low, parameter.high, parameter.step
    if low == high:
        return np.full_like(units, 0.5)
    if step is None:
        return units
    span = np.log(high / low) if parameter.log else high - low
    raw = low * np.exp(units * span) if parameter.log else low + units * span
    n_steps = np.floor((high - low) / step + 1e-9)
    raw = low + step * np.minimum(np.round((raw - low) / step), n_steps)
    return np.asarray((np.log(raw / low) if parameter.log else raw - low) / span)
