import numpy as np
import pytest
from benchmark_synthetic import SPACE
from hypothesis import given
from hypothesis import strategies as st

from metaopt.benchmarks.unit_space import UnitSpace
from warmstart.space import Categorical, Condition, Float, Integer, SearchSpace

CHAIN = SearchSpace(
    {
        "leaf": Integer(2, 64, log=True),
        "root": Categorical(("a", "b", None)),
        "middle": Categorical((True, 1)),
        "step": Integer(10, 30, step=5),
        "grid": Float(0.0, 1.0, step=0.3),
        "fixed": Float(2.0, 2.0),
    },
    {"middle": Condition("root", ("a", None)), "leaf": Condition("middle", (1,))},
)


@pytest.mark.parametrize("space", [SPACE, CHAIN])
@given(seed=st.integers(0, 10_000))
def test_configurations_survive_units_and_back(space, seed):
    unit_space = UnitSpace(space)
    for configuration in space.sample(5, np.random.default_rng(seed)):
        back = unit_space.configuration(unit_space.units([configuration])[0])
        assert set(back) == set(configuration)
        for name, value in configuration.items():
            assert type(back[name]) is type(value)
            assert back[name] == (pytest.approx(value) if type(value) is float else value)


@pytest.mark.parametrize("space", [SPACE, CHAIN])
@given(seed=st.integers(0, 10_000))
def test_samples_and_their_neighbours_are_valid_and_on_the_grid(space, seed):
    unit_space, rng = UnitSpace(space), np.random.default_rng(seed)
    units = unit_space.sample(4, rng)
    units = np.concatenate([units, unit_space.perturbed(units, scale=0.3, rng=rng)])
    for row in units:
        configuration = unit_space.configuration(row)
        for name in space.parameters:
            assert (name in configuration) == space.is_active(name, configuration)
        np.testing.assert_allclose(unit_space.units([configuration])[0], row, atol=1e-9)


def test_two_choices_are_as_far_apart_as_the_ends_of_a_range():
    space = SearchSpace({"a": Categorical(("x", "y")), "b": Float(0, 1)})
    unit_space = UnitSpace(space)
    columns = unit_space.columns(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    assert np.sum((columns[0] - columns[1]) ** 2) == pytest.approx(1.0)
    assert np.sum((columns[0] - columns[2]) ** 2) == pytest.approx(1.0)
    assert unit_space.groups.tolist() == [0, 0, 1]
