from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution
from parameter_strategies import contains, distributions

from warmstart.distributions import parameter_of
from warmstart.errors import SearchSpaceError
from warmstart.space import (
    Categorical,
    Condition,
    Float,
    Integer,
    SearchSpace,
    from_unit,
    same_choice,
    snap,
    to_unit,
    value_at,
)

NESTED = SearchSpace(
    {
        "width": Float(0.1, 10.0, log=True),
        "kernel": Categorical(("linear", "rbf")),
        "use_kernel": Categorical((True, False)),
    },
    {
        "width": Condition("kernel", ("rbf",)),
        "kernel": Condition("use_kernel", (True,)),
    },
)


@given(distributions, st.floats(-0.2, 1.2))
def test_every_place_of_the_unit_range_is_a_value_that_optuna_takes(
    distribution: BaseDistribution, unit: float
) -> None:
    assert contains(distribution, from_unit(parameter_of(distribution), unit))


@given(distributions, st.floats(0, 1))
def test_a_value_keeps_its_place_on_the_scale(distribution: BaseDistribution, unit: float) -> None:
    parameter = parameter_of(distribution)
    value = from_unit(parameter, unit)
    again = value_at(parameter, to_unit(parameter, value))
    assert contains(distribution, again)
    if isinstance(parameter, Float):
        span = max(parameter.high - parameter.low, 1e-9)
        assert again == pytest.approx(value, rel=1e-9, abs=1e-9 * span)
    else:
        assert again == value
        assert type(again) is type(value)


@given(distributions)
def test_the_ends_of_a_range_are_at_0_and_1(distribution: BaseDistribution) -> None:
    parameter = parameter_of(distribution)
    if isinstance(parameter, Categorical):
        indices = [to_unit(parameter, choice) for choice in parameter.choices]
        assert indices == list(range(len(parameter.choices)))
    elif parameter.low == parameter.high:
        assert to_unit(parameter, parameter.low) == 0.5
    else:
        assert (to_unit(parameter, parameter.low), to_unit(parameter, parameter.high)) == (0, 1)


def test_logarithmic_ranges_are_cut_in_ratios() -> None:
    assert value_at(Float(1e-4, 1.0, log=True), 0.5) == pytest.approx(1e-2)
    assert value_at(Integer(1, 100, log=True), 0.5) == 10
    assert to_unit(Float(1e-4, 1.0, log=True), 1e-3) == pytest.approx(0.25)


@pytest.mark.parametrize(
    "parameter", [Integer(1, 5), Integer(0, 40, step=10), Categorical(("a", "b", "c", "d", "e"))]
)
def test_values_of_a_grid_are_equally_likely(parameter: Integer | Categorical) -> None:
    drawn = [from_unit(parameter, u) for u in (np.arange(1000) + 0.5) / 1000]
    assert {str(v): drawn.count(v) for v in drawn} == {str(v): 200 for v in drawn}
    assert len(set(drawn)) == 5


def test_snapping_gives_the_nearest_value_of_the_grid_within_the_range() -> None:
    grid = Float(0.0, 1.0, step=0.3)
    given_and_nearest = [(-1, 0.0), (0.14, 0.0), (0.16, 0.3), (0.8, 0.9), (7.0, 0.9)]
    assert [snap(grid, value) for value, _ in given_and_nearest] == pytest.approx(
        [nearest for _, nearest in given_and_nearest]
    )
    assert snap(Integer(1, 8), 3.4) == 3


def test_true_and_1_are_different_choices() -> None:
    assert same_choice(1.0, (1,))
    assert not same_choice(True, (1, 0))
    assert to_unit(Categorical((1, True)), True) == 1


@pytest.mark.parametrize("value", ["x", None, True, np.nan, np.inf, 0.0, -1.0])
def test_what_is_no_number_of_a_logarithmic_range_is_named(value: object) -> None:
    with pytest.raises(SearchSpaceError, match=r"given; expected a (finite|positive) number"):
        to_unit(Float(0.1, 1.0, log=True), value)


def test_a_choice_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(SearchSpaceError, match=r"'c' given; expected one of \['a', 'b'\]"):
        to_unit(Categorical(("a", "b")), "c")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Float(1.0, 0.0),
        lambda: Float(0.0, np.inf),
        lambda: Float(np.nan, 1.0),
        lambda: Float(0.0, 1.0, log=True),
        lambda: Float(0.0, 1.0, step=0.0),
        lambda: Float(0.0, 1.0, step=np.nan),
        lambda: Integer(0, 5, log=True),
        lambda: Integer(0, 5, step=0),
        lambda: Categorical(()),
        lambda: SearchSpace({"a": Integer(0, 1)}, {"a": Condition("b", (1,))}),
        lambda: SearchSpace({"a": Integer(0, 1)}, {"b": Condition("a", (1,))}),
        lambda: SearchSpace({"a": Categorical((1,))}, {"a": Condition("a", (1,))}),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(make: object) -> None:
    with pytest.raises(SearchSpaceError):
        make()


def test_parents_come_before_their_children() -> None:
    assert NESTED.ordered_names() == ["use_kernel", "kernel", "width"]


def test_a_child_of_an_inactive_parent_is_inactive() -> None:
    assert NESTED.is_active("width", {"use_kernel": True, "kernel": "rbf"})
    assert not NESTED.is_active("width", {"use_kernel": True, "kernel": "linear"})
    assert not NESTED.is_active("width", {"use_kernel": False, "kernel": "rbf"})


def test_samples_hold_active_parameters_only_and_follow_the_seed() -> None:
    drawn = NESTED.sample(200, np.random.default_rng(3))
    assert drawn == NESTED.sample(200, np.random.default_rng(3))
    for configuration in drawn:
        active = [name for name in NESTED.parameters if NESTED.is_active(name, configuration)]
        assert list(configuration) == active
    assert {len(configuration) for configuration in drawn} == {1, 2, 3}


@given(st.lists(distributions, max_size=4))
def test_a_space_comes_back_from_its_json(drawn: list[BaseDistribution]) -> None:
    parameters = {f"p{i}": parameter_of(distribution) for i, distribution in enumerate(drawn)}
    space = SearchSpace({**NESTED.parameters, **parameters}, NESTED.conditions)
    again = SearchSpace.from_json(json.loads(json.dumps(space.to_json())))
    assert again == space
    assert str(again) == str(space)  # True is not 1


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"parameters": 3},
        {"parameters": {"a": {"kind": "float"}}},
        [],
        {"parameters": {"a": 1}},
    ],
)
def test_what_describes_no_space_is_refused(data: object) -> None:
    with pytest.raises(SearchSpaceError, match="Not a search space"):
        SearchSpace.from_json(data)


def test_a_kind_of_parameter_from_the_future_is_named() -> None:
    with pytest.raises(SearchSpaceError, match="'ordinal' given; expected 'float'"):
        SearchSpace.from_json({"parameters": {"a": {"kind": "ordinal"}}})


def test_choices_that_are_no_plain_values_become_text() -> None:
    with pytest.warns(UserWarning, match="for persistent storage"):
        distribution = CategoricalDistribution([(64, 64), "relu", None])
    parameter = parameter_of(distribution)
    assert parameter == Categorical(("[64, 64]", "relu", None))
