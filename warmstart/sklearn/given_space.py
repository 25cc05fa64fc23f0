"""Spaces as users give them: Optuna's distributions, scipy's, lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from warmstart.choices import plain_choice
from warmstart.distributions import parameter_of
from warmstart.errors import SearchSpaceError
from warmstart.sklearn.tuned_space import TunedSpace, usual_values
from warmstart.space import Categorical, Float, Integer, Parameter, SearchSpace, Value, same_choice

# Of a scipy distribution that has no ends, what is left out on either side.
_TAIL: Final = 0.005
# Scipy's distributions that have ends and are flat in between.
_FLAT: Final = ("uniform", "randint", "loguniform", "reciprocal")
# A positive range with ends this many times apart is tuned on a logarithmic scale.
_WIDE: Final = 100.0


def given_space(given: Mapping[str, Any], settings: Mapping[str, Any]) -> TunedSpace:
    """The space that a user gave.

    Of a scipy distribution the range is taken, on a logarithmic scale if it is positive and
    wide; of one without ends, all but the outer half per cent on either side.

    Args:
        given: By the names that ``set_params`` takes: an Optuna or a scipy distribution, a list
            of choices (anything, estimators too), or a parameter of ``warmstart.space``.
        settings: What the estimator was given, by name.

    Raises:
        SearchSpaceError: If it is nothing of these.
    """
    parameters: dict[str, Parameter] = {}
    objects: dict[str, dict[Value, Any]] = {}
    usual: dict[str, Value] = {}
    for name, what in given.items():
        if not isinstance(name, str):
            raise SearchSpaceError(f"{name!r} given as a parameter's name; expected text.")
        parameter, stands_for = _parameter(name, what)
        parameters[name] = parameter
        if stands_for:
            objects[name] = stands_for
            for label, value in stands_for.items():
                if name in settings and value is settings[name]:
                    usual[name] = label
    usual |= usual_values(parameters, settings)
    return TunedSpace(SearchSpace(parameters), objects, usual)


def labelled(choices: Iterable[Any]) -> tuple[tuple[Value, ...], dict[Value, Any]]:
    """Choices as plain values, each once, and what those stand for that were not plain."""
    labels: list[Value] = []
    objects: dict[Value, Any] = {}
    for choice in choices:
        value = choice.item() if isinstance(choice, np.generic) else choice
        label = plain_choice(value)
        is_plain = type(label) is type(value) and label == value
        if is_plain and same_choice(label, tuple(labels)):
            continue
        if not is_plain:
            text = " ".join(str(label).split())
            label, n = text, 2
            while same_choice(label, tuple(labels)):
                label, n = f"{text} ({n})", n + 1
            objects[label] = value
        labels.append(label)
    return tuple(labels), objects


def _parameter(name: str, what: Any) -> tuple[Parameter, dict[Value, Any]]:
    if isinstance(what, CategoricalDistribution):
        what = what.choices
    if isinstance(what, BaseDistribution):
        return parameter_of(what), {}
    if isinstance(what, Float | Integer | Categorical):
        return what, {}
    if callable(getattr(what, "support", None)):
        return _of_scipy(name, what), {}
    if isinstance(what, Iterable) and not isinstance(what, str | bytes | Mapping):
        labels, objects = labelled(what)
        if labels:
            return Categorical(labels), objects
    raise SearchSpaceError(
        f"param_distributions[{name!r}]={what!r} given; expected a distribution of Optuna or "
        "scipy, or a list with at least one choice."
    )


def _of_scipy(name: str, distribution: Any) -> Parameter:
    kind = getattr(getattr(distribution, "dist", None), "name", type(distribution).__name__)
    quantile = getattr(distribution, "ppf", None) or getattr(distribution, "icdf", None)
    low, high = (float(end) for end in distribution.support())
    is_flat = kind.lower() in _FLAT
    if not is_flat and quantile is not None:
        low, high = float(quantile(_TAIL)), float(quantile(1.0 - _TAIL))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise SearchSpaceError(
            f"param_distributions[{name!r}]={kind} from {low} to {high} given; expected a "
            "distribution with finite quantiles."
        )
    is_linear = kind.lower() in ("uniform", "randint")
    log = not is_linear and low > 0.0 and (high >= _WIDE * low or is_flat)
    if _is_discrete(distribution):
        return Integer(round(low), round(high), log=log)
    return Float(low, high, log=log)


def _is_discrete(distribution: Any) -> bool:
    if hasattr(distribution, "dist"):
        return hasattr(distribution.dist, "pmf")
    return any(base.__name__ == "DiscreteDistribution" for base in type(distribution).__mro__)
