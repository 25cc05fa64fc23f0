"""What a search tunes: plain parameters, and the objects that some of their choices stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from optuna.trial import Trial

from warmstart.distributions import suggest_value
from warmstart.space import (
    Categorical,
    Condition,
    Integer,
    Parameter,
    SearchSpace,
    Value,
    same_choice,
)

#: Of several candidates, the parameter that says which.
BRANCH: Final = "estimator"

# Of a range, how far off its grid a value may be that counts as on it.
_OFF_GRID: Final = 1e-9


@dataclass(frozen=True)
class TunedSpace:
    """What is tuned of an estimator.

    Attributes:
        space: By the names that ``set_params`` takes, constants included.
        objects: By name and choice, what a choice stands for where it is not itself the value.
        usual: What the estimator was given, where the space has it.
        constants: Names of hyperparameters that the user set, and that stay as they are. The
            study holds them so that its samplers and its readers know the whole configuration.
    """

    space: SearchSpace
    objects: Mapping[str, Mapping[Value, Any]] = field(default_factory=dict)
    usual: Mapping[str, Value] = field(default_factory=dict)
    constants: frozenset[str] = frozenset()

    @property
    def tuned(self) -> SearchSpace:
        """The space without constants."""
        return without(self.space, self.constants)

    def suggest(self, trial: Trial) -> dict[str, Value]:
        """One configuration by Optuna, without what is inactive in it."""
        configuration: dict[str, Value] = {}
        for name in self.space.ordered_names():
            if self.space.is_active(name, configuration):
                configuration[name] = suggest_value(trial, name, self.space.parameters[name])
        return configuration

    def values(self, configuration: Mapping[str, Value]) -> dict[str, Any]:
        """The values that ``set_params`` takes, without constants and what the space lacks."""
        return {
            name: self.objects.get(name, {}).get(value, value)
            for name, value in configuration.items()
            if name in self.space.parameters and name not in self.constants
        }


def join_branches(branches: Mapping[str, TunedSpace]) -> TunedSpace:
    """The space of several candidates: which of them, and what is tuned of that one."""
    parameters: dict[str, Parameter] = {BRANCH: Categorical(tuple(branches))}
    conditions: dict[str, Condition] = {}
    objects: dict[str, Mapping[Value, Any]] = {}
    usual: dict[str, Value] = {}
    constants: set[str] = set()
    for branch, tuned in branches.items():
        prefix = f"{branch}__"
        for name, parameter in tuned.space.parameters.items():
            parameters[prefix + name] = parameter
            own = tuned.space.conditions.get(name)
            conditions[prefix + name] = (
                Condition(BRANCH, (branch,))
                if own is None
                else Condition(prefix + own.parameter, own.values)
            )
        objects |= {prefix + name: stands_for for name, stands_for in tuned.objects.items()}
        usual |= {prefix + name: value for name, value in tuned.usual.items()}
        constants |= {prefix + name for name in tuned.constants}
    return TunedSpace(SearchSpace(parameters, conditions), objects, usual, frozenset(constants))


def usual_values(
    parameters: Mapping[str, Parameter], settings: Mapping[str, Any]
) -> dict[str, Value]:
    """Those of an estimator's settings that the parameters can take."""
    return {
        name: settings[name]
        for name, parameter in parameters.items()
        if name in settings and _holds(parameter, settings[name])
    }


def without(space: SearchSpace, names: Iterable[str]) -> SearchSpace:
    """The space without some parameters, none of which others depend on."""
    left_out = frozenset(names)
    return SearchSpace(
        {n: p for n, p in space.parameters.items() if n not in left_out},
        {n: c for n, c in space.conditions.items() if n not in left_out},
    )


def _holds(parameter: Parameter, value: object) -> bool:
    if isinstance(parameter, Categorical):
        plain = value is None or isinstance(value, bool | int | float | str)
        return plain and same_choice(value, parameter.choices)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if isinstance(parameter, Integer) and not isinstance(value, int):
        return False
    if not parameter.low <= value <= parameter.high:
        return False
    if parameter.step is None:
        return True
    steps = (value - parameter.low) / parameter.step
    return abs(steps - round(steps)) < _OFF_GRID
