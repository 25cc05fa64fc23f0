"""Optuna's distributions as parameters of a search space."""

from __future__ import annotations

from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from warmstart.choices import plain_choice
from warmstart.errors import SearchSpaceError
from warmstart.space import Categorical, Float, Integer, Parameter, Value, same_choice


def parameter_of(distribution: BaseDistribution) -> Parameter:
    """The parameter that an Optuna distribution describes; its choices as plain values.

    Raises:
        SearchSpaceError: If it is of a kind that Optuna did not have when this was written.
    """
    if isinstance(distribution, FloatDistribution):
        return Float(
            distribution.low, distribution.high, log=distribution.log, step=distribution.step
        )
    if isinstance(distribution, IntDistribution):
        return Integer(
            distribution.low, distribution.high, log=distribution.log, step=distribution.step
        )
    if isinstance(distribution, CategoricalDistribution):
        return Categorical(tuple(map(plain_choice, distribution.choices)))
    raise SearchSpaceError(
        f"{distribution!r} given; expected a float, int or categorical distribution of Optuna."
    )


def external_value(distribution: BaseDistribution, value: Value) -> Any:
    """The value as the distribution has it: for a plain choice, the choice itself.

    Raises:
        SearchSpaceError: If the distribution lacks the choice.
    """
    if not isinstance(distribution, CategoricalDistribution):
        return value
    for choice in distribution.choices:
        if same_choice(plain_choice(choice), (value,)):
            return choice
    raise SearchSpaceError(f"{value!r} given; expected one of {distribution.choices!r}.")


def suggest_value(trial: Trial, name: str, parameter: Parameter) -> Value:
    """Ask a running trial for one parameter."""
    if isinstance(parameter, Categorical):
        choice: Value = trial.suggest_categorical(name, parameter.choices)
        return choice
    if isinstance(parameter, Integer):
        return trial.suggest_int(
            name, parameter.low, parameter.high, step=parameter.step, log=parameter.log
        )
    return trial.suggest_float(
        name, parameter.low, parameter.high, step=parameter.step, log=parameter.log
    )
