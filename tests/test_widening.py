from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmstart.choices import distinct
from warmstart.column import Column, outside
from warmstart.space import (
    Categorical,
    Condition,
    Float,
    Integer,
    Parameter,
    SearchSpace,
    Value,
    value_at,
)
from warmstart.widening import cover, join, join_spaces

numbers = st.floats(-1e6, 1e6, allow_subnormal=False)
choices = st.none() | st.booleans() | st.integers(-9, 9) | numbers | st.text(max_size=2)


@st.composite
def floats(draw: st.DrawFn) -> Float:
    low, high = sorted((draw(numbers), draw(numbers)))
    log = low > 0 and draw(st.booleans())
    step = None if log else draw(st.sampled_from([None, 0.1, 0.25, 1.0]))
    return Float(low, high, log, step)


@st.composite
def integers(draw: st.DrawFn) -> Integer:
    low, high = sorted((draw(st.integers(-(2**60), 2**60)), draw(st.integers(-50, 50))))
    log = low > 0 and draw(st.booleans())
    return Integer(low, high, log, 1 if log else draw(st.integers(1, 5)))


categoricals = st.lists(choices, min_size=1, max_size=4).map(
    lambda drawn: Categorical(distinct(tuple(drawn)))
)
parameters = floats() | integers() | categoricals
spaces = st.dictionaries(st.sampled_from("abc"), parameters, max_size=3).map(SearchSpace)


def holds(parameter: Parameter, value: Value) -> bool:
    return not outside(Column.from_values([value]), parameter).any()


def values_of(parameter: Parameter) -> tuple[Value, ...]:
    if isinstance(parameter, Categorical):
        return parameter.choices
    return (parameter.low, value_at(parameter, 0.4), value_at(parameter, 1.0))


@given(parameters, parameters)
def test_a_join_holds_what_both_hold_unless_it_drops_the_scale(a: Parameter, b: Parameter) -> None:
    joined = join(a, b)
    for part in (a, b):
        if isinstance(part, Categorical) or not isinstance(joined, Categorical):
            assert all(holds(joined, value) for value in values_of(part))


@given(parameters, parameters)
def test_joining_again_changes_nothing(a: Parameter, b: Parameter) -> None:
    joined = join(a, b)
    assert join(joined, a) == joined
    assert join(joined, b) == joined


@given(parameters, choices)
def test_what_covers_a_value_holds_it(parameter: Parameter, value: Value) -> None:
    covered = cover(parameter, value)
    assert holds(covered, value)
    assert cover(covered, value) == covered


@pytest.mark.parametrize(
    ("a", "b", "joined"),
    [
        (Float(1, 10, log=True), Float(0.1, 5, log=True), Float(0.1, 10, log=True)),
        (Float(1, 10, log=True), Float(0, 5), Float(0, 10)),
        (Float(0, 1, step=0.25), Float(0.5, 2, step=0.25), Float(0, 2, step=0.25)),
        (Float(0, 1, step=0.25), Float(0.1, 2.1, step=0.25), Float(0, 2.1)),
        (Float(-1e308, 0, step=0.5), Float(1e308, 1e308, step=0.5), Float(-1e308, 1e308)),
        (Integer(0, 10, step=2), Integer(4, 20, step=2), Integer(0, 20, step=2)),
        (Integer(0, 10, step=4), Integer(2, 20, step=6), Integer(0, 20, step=2)),
        (Integer(1, 5), Float(0.5, 2), Float(0.5, 5)),
        (Categorical(("a", None)), Categorical(("b", "a")), Categorical(("a", None, "b"))),
        (Categorical((True,)), Categorical((1,)), Categorical((True, 1))),
        (Integer(1, 5), Categorical((None, 3)), Categorical((None, 3))),
    ],
)
def test_the_join_is_as_narrow_as_it_can_be(a: Parameter, b: Parameter, joined: Parameter) -> None:
    assert join(a, b) == joined


@pytest.mark.parametrize(
    ("parameter", "value", "covered"),
    [
        (Float(0, 1), 0.5, Float(0, 1)),
        (Float(0, 1), 7, Float(0, 7)),
        (Float(1, 2, log=True), 0.0, Float(0, 2)),
        (Float(1, 2, step=0.5), 1.2, Float(1, 2)),
        (Integer(1, 5), -3, Integer(-3, 5)),
        (Integer(0, 10, step=2), 3, Integer(0, 10)),
        (Integer(1, 5), 2.5, Float(1, 5)),
        (Categorical(("a",)), 2, Categorical(("a", 2))),
    ],
)
def test_a_value_outside_widens_no_further_than_to_it(
    parameter: Parameter, value: Value, covered: Parameter
) -> None:
    assert cover(parameter, value) == covered


@given(spaces, spaces)
def test_a_joint_space_has_all_parameters_and_joining_again_changes_nothing(
    a: SearchSpace, b: SearchSpace
) -> None:
    joined = join_spaces(a, b)
    assert set(joined.parameters) == {*a.parameters, *b.parameters}
    assert join_spaces(joined, a) == joined
    assert join_spaces(joined, b) == joined


def test_conditions_stay_where_both_spaces_have_them() -> None:
    kernel, gamma, degree = Categorical(("rbf", "poly")), Float(0.1, 1), Integer(2, 5)
    conditions = {
        "gamma": Condition("kernel", ("rbf",)),
        "degree": Condition("kernel", ("poly",)),
    }
    parameters = {"kernel": kernel, "gamma": gamma, "degree": degree}
    a = SearchSpace(parameters, conditions)
    b = SearchSpace(parameters, {"gamma": conditions["gamma"]})
    assert join_spaces(a, b).conditions == {"gamma": conditions["gamma"]}
