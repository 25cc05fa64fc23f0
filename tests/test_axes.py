from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from parameter_strategies import contains, distributions, grids
from quadratic_tasks import ENCODING, SPACE, axes

from warmstart.axes import Axes, Axis
from warmstart.distributions import parameter_of
from warmstart.encoding import Encoding
from warmstart.estimator import UNKNOWN, uncatalogued
from warmstart.matching import Matcher
from warmstart.space import Categorical, Condition, Float, Integer, Parameter, SearchSpace, Value


def axis_of(parameter: Parameter, *, canonical: Parameter | None = None) -> Axis:
    """An axis of one parameter, on a canonical one or on itself."""
    space = SearchSpace({"value": canonical or parameter})
    match = Matcher(uncatalogued("model", space)).match("value", parameter)
    assert match is not None
    return Axis(match, parameter, Encoding(space))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


seeds = st.integers(0, 2**32 - 1)


@given(distributions, seeds)
def test_every_value_that_is_drawn_or_moved_to_lies_in_the_users_distribution(
    distribution: BaseDistribution, seed: int
) -> None:
    axis = axis_of(parameter_of(distribution))
    random = rng(seed)
    drawn = axis.draw(20, random)
    moved = axis.move(drawn, random.normal(0, 0.3, 20), random)
    nearest = axis.nearest(random.uniform(-0.5, 1.5, 20))
    for position in [*drawn, *moved, *nearest]:
        assert contains(distribution, axis.value(float(position)))


@given(distributions, seeds)
def test_a_value_comes_back_from_its_position(distribution: BaseDistribution, seed: int) -> None:
    axis = axis_of(parameter_of(distribution))
    for position in axis.draw(10, rng(seed)):
        value = axis.value(float(position))
        again = axis.position(value)
        assert again is not None
        if isinstance(value, float) and isinstance(axis.parameter, Float):
            span = axis.parameter.high - axis.parameter.low
            assert axis.value(again) == pytest.approx(value, rel=1e-9, abs=1e-9 * span)
        else:
            assert axis.value(again) == value
            assert type(axis.value(again)) is type(value)


@given(distributions, seeds)
def test_coordinates_of_positions_are_those_of_their_values(
    distribution: BaseDistribution, seed: int
) -> None:
    axis = axis_of(parameter_of(distribution))
    drawn = axis.draw(10, rng(seed))
    expected = [axis.coordinate(axis.value(float(position))) for position in drawn]
    assert axis.coordinates(drawn) == pytest.approx(np.array(expected), abs=1e-9)


@given(distributions, seeds)
def test_the_nearest_position_to_its_own_coordinate_is_a_position_itself(
    distribution: BaseDistribution, seed: int
) -> None:
    axis = axis_of(parameter_of(distribution))
    drawn = axis.draw(10, rng(seed))
    coordinates = axis.coordinates(drawn)
    again = axis.nearest(coordinates)
    assert axis.coordinates(again) == pytest.approx(coordinates, abs=1e-9)


@given(grids())
def test_optunas_own_grid_values_have_positions(distribution: FloatDistribution) -> None:
    assert distribution.step is not None
    axis = axis_of(parameter_of(distribution))
    n = round((distribution.high - distribution.low) / distribution.step)
    for k in {0, 1, n // 2, n}:
        for value in (
            min(distribution.low + k * distribution.step, distribution.high),
            min(round(distribution.low + k * distribution.step, 4), distribution.high),
        ):
            position = axis.position(value)
            assert position is not None, (value, axis.levels)
            assert axis.value(position) == pytest.approx(value)


@given(distributions)
def test_what_the_parameter_cannot_take_has_no_position(distribution: BaseDistribution) -> None:
    parameter = parameter_of(distribution)
    axis = axis_of(parameter)
    assert axis.position("something else") is None
    if not isinstance(parameter, Categorical):
        beyond = 3 * parameter.high - 2 * parameter.low + 1
        between = parameter.low + 0.3 * (parameter.step or 0)
        assert axis.position(beyond) is None
        assert axis.levels is None or axis.position(between) is None


def test_draws_are_uniform_on_the_users_scale() -> None:
    quantiles = [0.1, 0.5, 0.9]
    log = axis_of(Float(1e-4, 1.0, log=True))
    values = np.log10([log.value(float(u)) for u in log.draw(4000, rng())])
    assert np.quantile(values, quantiles) == pytest.approx([-3.6, -2.0, -0.4], abs=0.15)
    counts = axis_of(Integer(1, 100, log=True))
    values = np.log10([counts.value(float(u)) for u in counts.draw(4000, rng())])
    assert np.quantile(values, quantiles) == pytest.approx([0.2, 1.0, 1.8], abs=0.15)
    steps = axis_of(Integer(0, 40, step=10))
    drawn = np.bincount(steps.draw(5000, rng()).astype(int))
    assert drawn / 5000 == pytest.approx(np.full(5, 0.2), abs=0.03)


def test_a_narrower_range_lies_inside_the_canonical_one() -> None:
    axis = axis_of(Float(1e-2, 1e-1, log=True), canonical=Float(1e-4, 1.0, log=True))
    assert axis.coordinates(np.array([0.0, 0.5, 1.0])) == pytest.approx([0.5, 0.625, 0.75])
    assert axis.nearest(np.array([0.1, 0.625, 0.9])) == pytest.approx([0.0, 0.5, 1.0])


def test_another_scale_is_translated() -> None:
    axis = axis_of(Float(0.0, 1.0), canonical=Float(1e-4, 1.0, log=True))
    tenth = axis.position(0.1)
    assert tenth is not None
    assert axis.coordinate(0.1) == pytest.approx(0.75)
    # Tabulated between knots: near enough for a model, exact for the value itself.
    assert axis.coordinates(np.array([tenth]))[0] == pytest.approx(0.75, abs=0.01)
    assert axis.value(tenth) == pytest.approx(0.1)


def test_a_short_step_on_a_grid_leads_to_the_neighbour() -> None:
    axis = axis_of(Integer(1, 11))
    positions = np.array([0.0, 5.0, 10.0, 5.0])
    moved = axis.move(positions, np.array([-0.001, 0.001, 0.001, 0.0]), rng())
    assert moved.tolist() == [0.0, 6.0, 10.0, 5.0]


def test_a_step_on_a_continuous_range_is_as_long_as_asked() -> None:
    axis = axis_of(Float(0.0, 10.0))
    moved = axis.move(np.array([0.5, 0.5, 0.95]), np.array([0.1, -0.2, 0.2]), rng())
    assert moved == pytest.approx([0.6, 0.3, 1.0])


def test_a_category_is_drawn_anew() -> None:
    axis = axis_of(Categorical(("a", "b", "c")))
    positions = np.ones(300)
    moved = axis.move(positions, np.repeat([0.0, 1.0], 150), rng())
    assert (moved[:150] == 1).all()
    assert set(moved[150:]) == {0, 1, 2}


def test_numbers_as_choices_lie_on_the_canonical_scale() -> None:
    axis = axis_of(Categorical((100, 1, 10)), canonical=Integer(1, 100, log=True))
    assert axis.is_numeric
    assert axis.coordinates(np.array([0.0, 1.0, 2.0])) == pytest.approx([1.0, 0.0, 0.5])
    assert [axis.value(float(p)) for p in axis.nearest(np.array([0.1, 0.6, 2.0]))] == [1, 10, 100]


def test_a_choice_that_was_never_learned_about_has_no_coordinate() -> None:
    axis = axis_of(Categorical(("a", "new", "b")), canonical=Categorical(("a", "b", "c")))
    assert axis.coordinates(np.arange(3.0)) == pytest.approx([0, np.nan, 1], nan_ok=True)
    assert axis.has(np.array([0.0, 1.0, 2.0])).tolist() == [True, True, False]
    assert axis.position("new") == 1.0


def test_coordinates_of_all_axes_stand_in_the_order_of_the_encoding() -> None:
    columns = axes()
    values = {"rate": 1e-2, "depth": 16, "kind": "wide", "width": 10.0}
    positions = np.array([[axis.position(values[axis.name]) for axis in columns.axes]])
    assert columns.coordinates(positions) == pytest.approx(ENCODING.coordinates([values]))
    assert columns.values(positions[0]) == pytest.approx(values)


def test_a_child_is_empty_where_its_parent_switches_it_off() -> None:
    columns = axes()
    names = [axis.name for axis in columns.axes]
    positions = columns.draw(50, rng())
    plain = positions[:, names.index("kind")] == 0
    width = columns.coordinates(positions)[:, ENCODING.names.index("width")]
    assert 0 < plain.sum() < 50
    assert np.isnan(width).tolist() == plain.tolist()


def test_what_is_not_tuned_lies_at_its_fixed_value() -> None:
    tuned = {name: SPACE.parameters[name] for name in ("rate", "kind")}
    columns = axes(tuned, fixed={"depth": 16, "width": UNKNOWN})
    rows = columns.coordinates(columns.draw(10, rng()))
    assert (rows[:, ENCODING.names.index("depth")] == 1.0).all()
    assert np.isnan(rows[:, ENCODING.names.index("width")]).all()


def test_who_tunes_a_child_has_its_parent_active() -> None:
    columns = axes({"width": SPACE.parameters["width"]}, fixed={"kind": "plain"})
    rows = columns.coordinates(np.array([[0.25]]))
    assert rows[0, ENCODING.names.index("kind")] == 1
    assert rows[0, ENCODING.names.index("width")] == pytest.approx(0.25)


def test_configurations_with_a_category_that_the_user_lacks_are_left_out() -> None:
    space = SearchSpace({"kind": Categorical(("a", "b", "c")), "size": Float(0, 1)})
    user: dict[str, Parameter] = {"kind": Categorical(("c", "a")), "size": Float(0, 1)}
    columns = axes(user, space=space)
    coordinates = Encoding(space).coordinates(
        [{"kind": "a", "size": 0.2}, {"kind": "b", "size": 0.5}, {"kind": "c", "size": 0.9}]
    )
    reached = [columns.values(row) for row in columns.nearest(coordinates)]
    assert reached == [
        {"kind": "a", "size": pytest.approx(0.2)},
        {"kind": "c", "size": pytest.approx(0.9)},
    ]


@given(st.lists(distributions, min_size=1, max_size=5), seeds)
def test_neighbours_lie_in_the_users_space(drawn: list[BaseDistribution], seed: int) -> None:
    parameters = {f"p{i}_{chr(97 + i)}": parameter_of(d) for i, d in enumerate(drawn)}
    columns = axes(parameters, space=SearchSpace(parameters))
    positions = columns.draw(20, rng(seed))
    moved = columns.neighbours(positions, np.geomspace(1e-3, 1, 20), rng(seed))
    assert moved.shape == positions.shape
    for row in moved:
        for distribution, value in zip(drawn, _in_order(columns, row, parameters), strict=True):
            assert contains(distribution, value)


def _in_order(columns: Axes, row: np.ndarray, names: dict[str, Parameter]) -> list[Value]:
    values = columns.values(row)
    return [values[name] for name in names]


def test_neighbours_move_a_few_parameters_about_as_far_as_asked() -> None:
    parameters: dict[str, Parameter] = {f"x{i}": Float(0, 1) for i in range(10)}
    columns = axes(parameters, space=SearchSpace(parameters))
    start = np.full((3000, 10), 0.5)
    moved = columns.neighbours(start, np.full(3000, 0.05), rng()) - start
    touched = moved != 0
    assert 0.1 < touched.mean() < 0.6
    assert moved[touched].std() == pytest.approx(0.05, rel=0.1)
    again = columns.neighbours(start, np.full(3000, 0.05), rng()) - start
    assert (moved == again).all()


def test_a_space_without_any_known_parameter_has_no_axes() -> None:
    columns = axes({})
    assert columns.draw(3, rng()).shape == (3, 0)
    assert columns.coordinates(columns.draw(3, rng())).shape == (3, 4)
    assert columns.values(np.empty(0)) == {}


def test_parents_of_parents_are_made_active() -> None:
    space = SearchSpace(
        {
            "outer": Categorical((False, True)),
            "inner": Categorical(("off", "on")),
            "size": Float(0, 1),
        },
        {"inner": Condition("outer", (True,)), "size": Condition("inner", ("on",))},
    )
    columns = axes({"size": Float(0, 1)}, space=space, fixed={"outer": False})
    row = columns.coordinates(np.array([[0.5]]))[0]
    assert Encoding(space).configuration(row) == {"outer": True, "inner": "on", "size": 0.5}


@given(st.integers(1, 600), st.integers(1, 20))
def test_short_integer_ranges_are_counted(n: int, step: int) -> None:
    distribution = IntDistribution(5, 5 + n * step, step=step)
    axis = axis_of(parameter_of(distribution))
    if axis.levels is not None:
        assert list(axis.levels) == list(range(5, 5 + n * step + 1, step))
