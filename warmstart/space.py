"""Search spaces: named parameters with ranges, scale, kind and conditions.

These are plain values, independent of Optuna: the sampler converts distributions at its door.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from warmstart.errors import SearchSpaceError

Value: TypeAlias = bool | int | float | str | None
Configuration: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True)
class Float:
    """A real parameter in ``[low, high]``; ``log`` needs ``low > 0``; ``step`` makes a grid."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log)
        if self.step is not None and not self.step > 0:
            raise SearchSpaceError(f"step={self.step!r} given; expected a positive number.")


@dataclass(frozen=True)
class Integer:
    """An integer parameter in ``[low, high]``, both included."""

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log)
        if self.step < 1:
            raise SearchSpaceError(f"step={self.step!r} given; expected an integer of at least 1.")


@dataclass(frozen=True)
class Categorical:
    """An unordered parameter; ``choices`` keep their order and types."""

    choices: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.choices:
            raise SearchSpaceError("choices=() given; expected at least one choice.")


Parameter: TypeAlias = Float | Integer | Categorical


@dataclass(frozen=True)
class Condition:
    """A parameter is active only where ``parameter`` takes one of ``values``."""

    parameter: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class SearchSpace:
    """Named parameters, and for some of them the condition under which they are active.

    Conditions may chain, but not in a circle: a parameter whose parent is inactive is inactive.
    """

    parameters: Mapping[str, Parameter]
    conditions: Mapping[str, Condition] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, condition in self.conditions.items():
            for part in (name, condition.parameter):
                if part not in self.parameters:
                    raise SearchSpaceError(
                        f"A condition names {part!r}; expected one of {sorted(self.parameters)}."
                    )
        self.ordered_names()

    def ordered_names(self) -> list[str]:
        """Names with every parent before its children."""
        order: list[str] = []
        for name in self.parameters:
            chain = [name]
            while chain[-1] in self.conditions:
                parent = self.conditions[chain[-1]].parameter
                if parent in chain:
                    raise SearchSpaceError(f"Conditions form a circle: {[*chain, parent]}.")
                chain.append(parent)
            order += [link for link in reversed(chain) if link not in order]
        return order

    def is_active(self, name: str, configuration: Configuration) -> bool:
        """Whether ``name`` has an effect in ``configuration``; an inactive parent has none."""
        condition = self.conditions.get(name)
        if condition is None:
            return True
        if not self.is_active(condition.parameter, configuration):
            return False
        return same_choice(configuration.get(condition.parameter), condition.values)

    def sample(self, n: int, rng: np.random.Generator) -> list[dict[str, Value]]:
        """Draw ``n`` configurations uniformly on their scales; inactive parameters left out."""
        order = self.ordered_names()
        drawn = []
        for _ in range(n):
            configuration: dict[str, Value] = {}
            for name in order:
                if self.is_active(name, configuration):
                    configuration[name] = draw(self.parameters[name], rng)
            drawn.append(
                {name: configuration[name] for name in self.parameters if name in configuration}
            )
        return drawn

    def to_json(self) -> dict[str, Any]:
        """A JSON-serialisable description; ``from_json`` restores it."""
        return {
            "parameters": {name: _parameter_to_json(p) for name, p in self.parameters.items()},
            "conditions": {
                name: {"parameter": c.parameter, "values": list(c.values)}
                for name, c in self.conditions.items()
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SearchSpace:
        """Restore a space from ``to_json``'s output.

        Raises:
            SearchSpaceError: If ``data`` is not such a description.
        """
        try:
            parameters = {n: _parameter_from_json(p) for n, p in data["parameters"].items()}
            conditions = {
                n: Condition(c["parameter"], tuple(c["values"]))
                for n, c in data.get("conditions", {}).items()
            }
        except (KeyError, TypeError, AttributeError) as error:
            raise SearchSpaceError(
                f"Not a search space: {error!r} in {str(data)[:200]}."
            ) from error
        return cls(parameters, conditions)


def same_choice(value: object, choices: tuple[Value, ...]) -> bool:
    """Whether ``value`` is one of ``choices``, keeping ``True`` and ``1`` apart."""
    return any(
        value == choice and isinstance(value, bool) == isinstance(choice, bool)
        for choice in choices
    )


def draw(parameter: Parameter, rng: np.random.Generator) -> Value:
    """Draw one value uniformly on the parameter's own scale."""
    return from_unit(parameter, float(rng.random()))


def to_unit(parameter: Parameter, value: Value) -> float:
    """Place a value on the parameter's scale: 0 at ``low``, 1 at ``high``, no clipping.

    A categorical value becomes its index among the choices.

    Raises:
        SearchSpaceError: If the value is of another kind, not a choice, or not positive where
            the scale is logarithmic.
    """
    if isinstance(parameter, Categorical):
        for index, choice in enumerate(parameter.choices):
            if same_choice(value, (choice,)):
                return float(index)
        raise SearchSpaceError(f"{value!r} given; expected one of {list(parameter.choices)}.")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SearchSpaceError(f"{value!r} given; expected a finite number.")
    low, high = parameter.low, parameter.high
    if parameter.log:
        if value <= 0:
            raise SearchSpaceError(f"{value!r} given; expected a positive number (log scale).")
        low, high, value = math.log(low), math.log(high), math.log(value)
    return 0.5 if high == low else (value - low) / (high - low)


def from_unit(parameter: Parameter, unit: float) -> Value:
    """The value at ``unit`` in [0, 1] (clipped), on the parameter's grid, as a Python scalar.

    For a categorical parameter [0, 1] is cut into equal parts, one a choice.
    """
    unit = min(max(unit, 0.0), 1.0)
    if isinstance(parameter, Categorical):
        n = len(parameter.choices)
        return parameter.choices[min(int(unit * n), n - 1)]
    if isinstance(parameter, Integer):
        # Half a step on each side gives the end points the same share as the others.
        if parameter.log:
            low, high = math.log(parameter.low - 0.5), math.log(parameter.high + 0.5)
            raw = math.exp(low + unit * (high - low))
        else:
            half = parameter.step / 2
            raw = parameter.low - half + unit * (parameter.high - parameter.low + 2 * half)
        return snap(parameter, raw)
    if parameter.log:
        low, high = math.log(parameter.low), math.log(parameter.high)
        return snap(parameter, math.exp(low + unit * (high - low)))
    return snap(parameter, parameter.low + unit * (parameter.high - parameter.low))


def value_at(parameter: Parameter, position: float) -> Value:
    """The value at a position on the parameter's scale, clipped and on its grid.

    The inverse of ``to_unit``: 0 is ``low`` and 1 ``high``; of a categorical, the index.
    """
    if isinstance(parameter, Categorical):
        return parameter.choices[int(position)]
    position = min(max(position, 0.0), 1.0)
    if parameter.log:
        low, high = math.log(parameter.low), math.log(parameter.high)
        return snap(parameter, math.exp(low + position * (high - low)))
    return snap(parameter, parameter.low + position * (parameter.high - parameter.low))


def snap(parameter: Float | Integer, value: float) -> Value:
    """The value nearest to ``value`` that the parameter can take."""
    step = parameter.step
    value = min(max(value, parameter.low), parameter.high)
    if step is not None:
        n_steps = math.floor((parameter.high - parameter.low) / step + 1e-9)
        value = parameter.low + step * min(round((value - parameter.low) / step), n_steps)
    if isinstance(parameter, Integer):
        return round(value)
    return float(min(value, parameter.high))


def _check_range(low: float, high: float, log: bool) -> None:
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise SearchSpaceError(f"low={low!r}, high={high!r} given; expected finite low <= high.")
    if log and low <= 0:
        raise SearchSpaceError(f"low={low!r} given with log=True; expected low > 0.")


def _parameter_to_json(parameter: Parameter) -> dict[str, Any]:
    if isinstance(parameter, Categorical):
        return {"kind": "categorical", "choices": list(parameter.choices)}
    kind = "integer" if isinstance(parameter, Integer) else "float"
    return {
        "kind": kind,
        "low": parameter.low,
        "high": parameter.high,
        "log": parameter.log,
        "step": parameter.step,
    }


def _parameter_from_json(data: Mapping[str, Any]) -> Parameter:
    kind = data["kind"]
    if kind == "categorical":
        return Categorical(tuple(data["choices"]))
    if kind == "integer":
        return Integer(data["low"], data["high"], data["log"], data["step"])
    if kind == "float":
        return Float(data["low"], data["high"], data["log"], data["step"])
    raise SearchSpaceError(f"kind={kind!r} given; expected 'float', 'integer' or 'categorical'.")
