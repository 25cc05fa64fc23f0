"""Hypothesis strategies for Optuna distributions of all kinds, and for values within them."""

from __future__ import annotations

from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

finite = st.floats(-1e9, 1e9, allow_subnormal=False)
positive = st.floats(1e-9, 1e9)


@st.composite
def floats(draw: st.DrawFn) -> FloatDistribution:
    log = draw(st.booleans())
    low, high = sorted([draw(positive if log else finite), draw(positive if log else finite)])
    return FloatDistribution(low, high, log=log)


@st.composite
def grids(draw: st.DrawFn) -> FloatDistribution:
    """Grids as people write them, with a few decimals."""
    decimals = draw(st.integers(0, 4))
    low, n = draw(st.integers(-50, 50)), draw(st.integers(1, 700))
    step = draw(st.integers(1, 30))
    return FloatDistribution(
        round(low * 10.0**-decimals, decimals),
        round((low + n * step) * 10.0**-decimals, decimals),
        step=round(step * 10.0**-decimals, decimals),
    )


@st.composite
def integers(draw: st.DrawFn) -> IntDistribution:
    log = draw(st.booleans())
    low = draw(st.integers(1 if log else -1000, 10**6))
    step = 1 if log else draw(st.integers(1, 1000))
    n = draw(st.integers(0, 10) | st.integers(0, 10**6))
    return IntDistribution(low, low + n * step, log=log, step=step)


choices = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=3)


@st.composite
def categories(draw: st.DrawFn) -> CategoricalDistribution:
    unique = st.lists(choices, min_size=1, max_size=5, unique_by=lambda c: (type(c), str(c)))
    # 1, 1.0 and True are one to Optuna.
    drawn: list[object] = []
    for choice in draw(unique):
        if choice not in drawn:
            drawn.append(choice)
    return CategoricalDistribution(drawn)


distributions: st.SearchStrategy[BaseDistribution] = floats() | grids() | integers() | categories()


def contains(distribution: BaseDistribution, value: object) -> bool:
    """Whether Optuna takes the value, in the kind that it would suggest itself."""
    internal = distribution.to_internal_repr(value)
    external = distribution.to_external_repr(internal)
    return distribution._contains(internal) and external == value and type(external) is type(value)
