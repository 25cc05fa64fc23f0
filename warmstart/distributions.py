"""Optuna's distributions as parameters of a search space."""

from __future__ import annotations

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from warmstart.errors import SearchSpaceError
from warmstart.space import Categorical, Float, Integer, Parameter


def parameter_of(distribution: BaseDistribution) -> Parameter:
    """The parameter that an Optuna distribution describes.

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
        return Categorical(tuple(distribution.choices))
    raise SearchSpaceError(
        f"{distribution!r} given; expected a float, int or categorical distribution of Optuna."
    )
