"""A user's search space as axes along which candidates are drawn, moved and encoded.

An axis is one parameter of the user's that stands for a hyperparameter. Its positions are what
the user's parameter can take; each position has a coordinate in the canonical space. So whatever
is proposed lies in the user's space, and whatever is compared lies in the canonical one.

Notation:
    p: number of axes.
    positions: ``(n, p)``; on an axis with levels the index of a level, else the unit scale of the
        user's parameter.
    coordinates: ``(n, d)``, see ``warmstart.encoding``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from warmstart.encoding import Encoding
from warmstart.errors import SearchSpaceError
from warmstart.estimator import UNKNOWN, Unknown
from warmstart.matching import Match
from warmstart.space import Categorical, Float, Integer, Parameter, Value, same_choice, to_unit
from warmstart.space import value_at as value_on

# A grid up to this long is kept as levels; a longer one is as good as continuous.
_MOST_LEVELS = 512
# Two values of a grid nearer than this, in steps, are one; Optuna takes the same.
_SAME_STEP = 1e-8
# Points at which the mapping of a continuous range is tabulated.
_N_KNOTS = 129


class Axis:
    """One parameter of the user's space, and where its values lie in the canonical space.

    Attributes:
        name: The user's name of the parameter.
        column: The canonical hyperparameter's column.
        parameter: The user's parameter.
        levels: The values it can take, if they can be counted; else ``None``.
        is_numeric: Whether the hyperparameter is a number, whatever the user's parameter is.
    """

    def __init__(self, match: Match, parameter: Parameter, encoding: Encoding) -> None:
        self.name = match.user
        self.canonical = match.canonical
        self.parameter = parameter
        self.column = encoding.names.index(match.canonical)
        self.levels = _levels(parameter)
        self._match = match
        self._encoding = encoding
        self.is_numeric = not encoding.n_choices[self.column]
        if self.levels is None:
            self._places = np.unique(self._on_grid(np.linspace(0.0, 1.0, _N_KNOTS)))
            values: Sequence[Value] = [value_on(parameter, float(u)) for u in self._places]
        else:
            self._places = np.arange(len(self.levels), dtype=float)
            values = self.levels
        self._coordinates = np.array([self.coordinate(value) for value in values])
        known = ~np.isnan(self._coordinates)
        order = np.argsort(self._coordinates[known], kind="stable")
        self._sorted_places = self._places[known][order]
        self._sorted_coordinates = self._coordinates[known][order]

    def coordinate(self, value: Value) -> float:
        """The canonical coordinate of one of the user's values; NaN if it has none."""
        canonical = self._match.to_canonical(value)
        if isinstance(canonical, Unknown):
            return np.nan
        return self._encoding.coordinate(self.canonical, canonical)

    def coordinates(self, positions: np.ndarray) -> np.ndarray:
        """Canonical coordinates of positions, ``(n,)``."""
        if self.levels is None:
            return np.interp(self._on_grid(positions), self._places, self._coordinates)
        return self._coordinates[positions.astype(int)]

    def _on_grid(self, positions: np.ndarray) -> np.ndarray:
        """Positions on a unit scale, moved to where the nearest value of a long grid lies."""
        parameter = self.parameter
        if isinstance(parameter, Categorical) or parameter.step is None:
            return positions
        low, high, step = parameter.low, parameter.high, parameter.step
        if low == high:
            return positions
        if not parameter.log:
            n_steps = (high - low) / step
            places = np.minimum(np.rint(positions * n_steps), np.floor(n_steps + 1e-9)) / n_steps
            return np.asarray(np.minimum(places, 1.0))
        span = np.log(high) - np.log(low)
        values = np.rint(low * np.exp(np.clip(positions, 0.0, 1.0) * span))
        return np.asarray(np.clip((np.log(values) - np.log(low)) / span, 0.0, 1.0))

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw ``n`` positions, uniform on the user's scale."""
        if self.levels is None:
            return rng.random(n)
        if isinstance(self.parameter, Integer) and self.parameter.log:
            unit = rng.random(n)
            low, high = np.log(self.parameter.low), np.log(self.parameter.high)
            values = np.exp(low + unit * (high - low))
            return np.clip(np.rint(values - self.parameter.low), 0, len(self.levels) - 1)
        return rng.integers(0, len(self.levels), n).astype(float)

    def nearest(self, coordinates: np.ndarray) -> np.ndarray:
        """The positions whose coordinates come nearest, ``(n,)``; NaN gives a middle one."""
        if not len(self._sorted_places):
            return np.zeros(len(coordinates))
        middle = self._sorted_coordinates[len(self._sorted_coordinates) // 2]
        wanted = np.where(np.isnan(coordinates), middle, coordinates)
        if self.levels is None:
            return np.interp(wanted, self._sorted_coordinates, self._sorted_places)
        right = np.searchsorted(self._sorted_coordinates, wanted)
        right = np.clip(right, 1, max(len(self._sorted_places) - 1, 1))
        left = right - 1
        right = np.minimum(right, len(self._sorted_places) - 1)
        nearer_left = np.abs(wanted - self._sorted_coordinates[left]) <= np.abs(
            self._sorted_coordinates[right] - wanted
        )
        return self._sorted_places[np.where(nearer_left, left, right)]

    def has(self, coordinates: np.ndarray) -> np.ndarray:
        """Which coordinates a position reaches, ``(n,)``: any number, but not every category."""
        if self.is_numeric:
            return np.ones(len(coordinates), dtype=bool)
        return np.isin(coordinates, self._coordinates)

    def move(
        self, positions: np.ndarray, steps: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Positions moved by ``steps``, in coordinates; a category is drawn anew.

        Args:
            positions: ``(n,)``.
            steps: ``(n,)``; where it is 0 the position stays.
            rng: Source of randomness.
        """
        if not self.is_numeric or not len(self._sorted_places):
            return np.where(steps != 0, self.draw(len(positions), rng), positions)
        if self.levels is None:
            # On the user's scale, where a step is as wide as the learned range is long.
            span = self._sorted_coordinates[-1] - self._sorted_coordinates[0]
            moved = positions + steps / max(span, 0.1)
            return np.clip(moved, 0.0, 1.0)
        here = self._coordinates[positions.astype(int)]
        moved = self.nearest(here + steps)
        # A step too short for the grid still leads to the neighbour.
        n = len(self.levels)
        stuck = (steps != 0) & (moved == positions)
        neighbour = np.clip(positions + np.sign(steps), 0, n - 1)
        return np.where(stuck, neighbour, moved)

    def position(self, value: Value) -> float | None:
        """The position of a user's value; ``None`` if the parameter can't take it."""
        if isinstance(self.parameter, Categorical):
            for index, level in enumerate(self.parameter.choices):
                if same_choice(value, (level,)):
                    return float(index)
            return None
        try:
            unit = to_unit(self.parameter, value)
        except SearchSpaceError:
            return None
        low, high = self.parameter.low, self.parameter.high
        number = float(value)  # type: ignore[arg-type] # or it had no place on the scale
        if not -1e-9 <= unit <= 1 + 1e-9 or (low == high and number != low):
            return None
        if self.levels is None:
            return unit
        # The same value of a grid may be written with other last digits.
        n_steps = (number - low) / (self.parameter.step or 1)
        index = round(n_steps)
        return float(index) if abs(n_steps - index) < _SAME_STEP else None

    def value(self, position: float) -> Value:
        """The user's value at a position, a Python scalar of the parameter's own kind."""
        if self.levels is None:
            return value_on(self.parameter, position)
        return self.levels[int(position)]


def _levels(parameter: Parameter) -> tuple[Value, ...] | None:
    if isinstance(parameter, Categorical):
        return parameter.choices
    if parameter.step is None:
        return None
    n = int(np.floor((parameter.high - parameter.low) / parameter.step + 1e-9)) + 1
    if n > _MOST_LEVELS:
        return None
    if isinstance(parameter, Integer):
        return tuple(parameter.low + i * parameter.step for i in range(n))
    assert isinstance(parameter, Float)
    # The last one may lie beyond the end by a rounding error.
    return tuple(min(float(parameter.low + i * parameter.step), parameter.high) for i in range(n))


class Axes:
    """All axes of a user's space, and the coordinates of what the user does not tune.

    Args:
        axes: The axes by canonical name.
        encoding: Of the canonical space.
        fixed: Canonical values of what is not tuned; ``UNKNOWN`` and absent ones stay open.

    Attributes:
        axes: In the order of the encoding.
        base: Coordinates of what is not tuned, ``(d,)``; NaN elsewhere.
    """

    def __init__(
        self,
        axes: Mapping[str, Axis],
        encoding: Encoding,
        *,
        fixed: Mapping[str, Value | Unknown],
    ) -> None:
        self.encoding = encoding
        self.axes = tuple(axes[name] for name in encoding.names if name in axes)
        self.base = np.full(len(encoding.names), np.nan)
        for name, value in fixed.items():
            if value is not UNKNOWN and name in encoding.names and name not in axes:
                self.base[encoding.names.index(name)] = encoding.coordinate(name, value)
        for axis in self.axes:
            # Who tunes a parameter has it active, whatever the library's default says.
            for parent, category in encoding.parents(axis.canonical):
                if parent not in axes:
                    column = encoding.names.index(parent)
                    self.base[column] = encoding.coordinate(parent, category)

    def coordinates(self, positions: np.ndarray) -> np.ndarray:
        """Canonical coordinates ``(n, d)`` of positions ``(n, p)``."""
        rows = np.tile(self.base, (len(positions), 1))
        for k, axis in enumerate(self.axes):
            rows[:, axis.column] = axis.coordinates(positions[:, k])
        return self.encoding.settle(rows)

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw ``n`` positions uniformly over the user's space, ``(n, p)``."""
        columns = [axis.draw(n, rng) for axis in self.axes]
        return np.stack(columns, axis=1) if columns else np.empty((n, 0))

    def nearest(self, coordinates: np.ndarray) -> np.ndarray:
        """The positions ``(n, p)`` nearest to canonical coordinates ``(m, d)``, ``n <= m``.

        Rows with a category that the user's space lacks are left out.
        """
        reachable = np.ones(len(coordinates), dtype=bool)
        for axis in self.axes:
            wanted = coordinates[:, axis.column]
            reachable &= axis.has(wanted) | np.isnan(wanted)
        rows = coordinates[reachable]
        columns = [axis.nearest(rows[:, axis.column]) for axis in self.axes]
        return np.stack(columns, axis=1) if columns else np.empty((len(rows), 0))

    def neighbours(
        self, positions: np.ndarray, scales: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """One neighbour for each position, a few parameters moved, ``(n, p)``.

        Args:
            positions: ``(n, p)``.
            scales: ``(n,)``; standard deviation of a step, in coordinates.
            rng: Source of randomness.
        """
        n, p = positions.shape
        chosen = rng.random((n, p)) < max(0.3, 1.5 / max(p, 1))
        steps = rng.normal(size=(n, p)) * scales[:, None] * chosen
        categorical = rng.random((n, p)) < 0.1
        moved = np.empty_like(positions)
        for k, axis in enumerate(self.axes):
            step = steps[:, k] if axis.is_numeric else categorical[:, k].astype(float)
            moved[:, k] = axis.move(positions[:, k], step, rng)
        return moved

    def values(self, row: np.ndarray) -> dict[str, Value]:
        """The user's values at one row of positions ``(p,)``, inactive parameters too."""
        return {
            axis.name: axis.value(float(position))
            for axis, position in zip(self.axes, row, strict=True)
        }
