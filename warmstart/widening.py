"""The narrowest parameter that holds what several parameters, or values, say."""

from __future__ import annotations

import math

from warmstart.choices import distinct
from warmstart.space import Categorical, Float, Integer, Parameter, SearchSpace, Value


def join_spaces(a: SearchSpace, b: SearchSpace) -> SearchSpace:
    """The space that holds all configurations of both; conditions are those of both."""
    parameters = dict(a.parameters)
    for name, parameter in b.parameters.items():
        known = parameters.get(name)
        parameters[name] = parameter if known is None else join(known, parameter)
    conditions = {name: c for name, c in a.conditions.items() if b.conditions.get(name) == c}
    return SearchSpace(parameters, conditions)


def join(a: Parameter, b: Parameter) -> Parameter:
    """The narrowest parameter that holds both.

    Scale and grid stay where both have the same. Of a number and a categorical only the choices
    are kept: what was a choice is no point on a scale.
    """
    if isinstance(a, Categorical) or isinstance(b, Categorical):
        choices = [p.choices for p in (a, b) if isinstance(p, Categorical)]
        return Categorical(distinct(tuple(choice for part in choices for choice in part)))
    if a == b:
        return a
    low, high = min(a.low, b.low), max(a.high, b.high)
    log = a.log and b.log
    if isinstance(a, Integer) and isinstance(b, Integer):
        step = math.gcd(a.step, b.step, b.low - a.low)
        return Integer(int(low), int(high), log=log, step=step)
    return Float(float(low), float(high), log=log, step=_common_step(a, b))


def cover(parameter: Parameter, value: Value) -> Parameter:
    """The narrowest parameter that holds another and a value; a number has to be finite."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(parameter, Categorical) or not is_number:
        return join(parameter, Categorical((value,)))
    assert isinstance(value, int | float)
    log = parameter.log and value > 0
    if isinstance(parameter, Integer) and isinstance(value, int):
        return join(parameter, Integer(value, value, log=log, step=parameter.step))
    return join(parameter, Float(float(value), float(value), log=log, step=parameter.step))


def _common_step(a: Float | Integer, b: Float | Integer) -> float | None:
    if a.step is None or a.step != b.step:
        return None
    steps = (b.low - a.low) / a.step
    if not math.isfinite(steps):
        return None  # the ranges are as far apart as floats go
    return float(a.step) if abs(steps - round(steps)) <= 1e-9 * max(1.0, abs(steps)) else None
