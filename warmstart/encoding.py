"""The array contract between training and inference: configurations as coordinates and features.

Notation:
    d: number of hyperparameters of the canonical space.
    D: number of feature columns, at least d.
    coordinates: ``(n, d)``; a number on its own scale (0 at the low end of the learned range, 1 at
        the high end), a category's index, NaN where a hyperparameter is inactive or not known.
    features: ``(n, D)``; what kernels measure distances between.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from warmstart.errors import SearchSpaceError
from warmstart.space import Categorical, Configuration, SearchSpace, Value, to_unit, value_at

# Beyond this a value is just far from all that was learned.
_FARTHEST = 0.3
# What is inactive lies in the middle, so that it adds nothing to a distance.
_NEUTRAL = 0.5


class Encoding:
    """Encodes configurations of one canonical space.

    Attributes:
        space: The canonical space.
        names: The hyperparameters, parents before children; the columns of coordinates.
        n_choices: For each hyperparameter the number of its choices, 0 for a number, ``(d,)``.
        column_of: For each feature column the hyperparameter it belongs to, ``(D,)``.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.names = tuple(space.ordered_names())
        parameters = [space.parameters[name] for name in self.names]
        self.n_choices = np.array(
            [len(p.choices) if isinstance(p, Categorical) else 0 for p in parameters], dtype=int
        )
        self.column_of = np.repeat(np.arange(len(self.names)), np.maximum(self.n_choices, 1))
        self.numeric = np.flatnonzero(self.n_choices == 0)
        self._numeric_columns = np.flatnonzero(np.isin(self.column_of, self.numeric))
        categories = [np.arange(n) if n else np.full(1, np.nan) for n in self.n_choices]
        self._category = np.concatenate([np.empty(0), *categories])[None, :]
        self._conditions = [
            (j, *self._parent(name))
            for j, name in enumerate(self.names)
            if name in space.conditions
        ]

    def _parent(self, name: str) -> tuple[int, np.ndarray]:
        condition = self.space.conditions[name]
        parameter = self.space.parameters[condition.parameter]
        if not isinstance(parameter, Categorical):
            raise SearchSpaceError(
                f"{name!r} depends on {condition.parameter!r}, a number; expected a categorical."
            )
        codes = [to_unit(parameter, value) for value in condition.values]
        return self.names.index(condition.parameter), np.array(codes)

    def coordinates(self, configurations: Sequence[Configuration]) -> np.ndarray:
        """Coordinates ``(n, d)`` of configurations; what they lack, or can't mean, is NaN."""
        rows = np.full((len(configurations), len(self.names)), np.nan)
        for j, name in enumerate(self.names):
            for i, configuration in enumerate(configurations):
                if name in configuration:
                    rows[i, j] = self.coordinate(name, configuration[name])
        return self.settle(rows)

    def coordinate(self, name: str, value: Value) -> float:
        """The coordinate of one value; NaN if the hyperparameter can't take it."""
        try:
            return to_unit(self.space.parameters[name], value)
        except SearchSpaceError:
            return np.nan

    def settle(self, coordinates: np.ndarray) -> np.ndarray:
        """Clip numbers to where something was learned, and empty what is inactive; in place.

        A child of a category that is not known stays.
        """
        numbers = coordinates[:, self.numeric]
        coordinates[:, self.numeric] = np.clip(numbers, -_FARTHEST, 1 + _FARTHEST)
        inactive: dict[int, np.ndarray] = {}
        for j, parent, codes in self._conditions:
            category = coordinates[:, parent]
            inactive[j] = (category[:, None] != codes).all(axis=1) & ~np.isnan(category)
            if parent in inactive:
                inactive[j] |= inactive[parent]
            coordinates[inactive[j], j] = np.nan
        return coordinates

    def parents(self, name: str) -> list[tuple[str, Value]]:
        """What has to hold for ``name`` to be active: each parent and a category of it."""
        needed = []
        while name in self.space.conditions:
            condition = self.space.conditions[name]
            needed.append((condition.parameter, condition.values[0]))
            name = condition.parameter
        return needed

    def features(self, coordinates: np.ndarray) -> np.ndarray:
        """Features ``(n, D)`` of coordinates ``(n, d)``.

        A number is its own feature; a category is one column a choice, scaled so that two
        different choices lie at distance 1.
        """
        spread = coordinates[:, self.column_of]
        features = (spread == self._category) * np.sqrt(0.5)
        numbers = spread[:, self._numeric_columns]
        features[:, self._numeric_columns] = np.where(np.isnan(numbers), _NEUTRAL, numbers)
        return features

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw ``n`` coordinates uniformly over the canonical space, ``(n, d)``."""
        rows = rng.random((n, len(self.names)))
        for j, n_choices in enumerate(self.n_choices):
            if n_choices:
                rows[:, j] = np.floor(rows[:, j] * n_choices)
        return self.settle(rows)

    def configuration(self, row: np.ndarray) -> dict[str, Value]:
        """The canonical configuration at one row of coordinates ``(d,)``; NaN is left out."""
        return {
            name: value_at(self.space.parameters[name], float(coordinate))
            for name, coordinate in zip(self.names, row, strict=True)
            if not np.isnan(coordinate)
        }
