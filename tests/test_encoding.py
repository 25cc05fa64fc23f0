from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution
from parameter_strategies import distributions

from warmstart.distributions import parameter_of
from warmstart.encoding import Encoding
from warmstart.errors import SearchSpaceError
from warmstart.space import Categorical, Condition, Float, Integer, SearchSpace

SPACE = SearchSpace(
    {
        "width": Float(0.1, 10.0, log=True),
        "size": Integer(1, 5),
        "kernel": Categorical(("linear", "rbf", "poly")),
        "degree": Integer(2, 4),
        "scaled": Categorical((True, False)),
    },
    {
        "width": Condition("kernel", ("rbf", "poly")),
        "degree": Condition("kernel", ("poly",)),
        "kernel": Condition("scaled", (True,)),
    },
)
ENCODING = Encoding(SPACE)
FULL = {"width": 1.0, "size": 2, "kernel": "poly", "degree": 3, "scaled": True}


def row(configuration: dict[str, object]) -> dict[str, float]:
    coordinates = ENCODING.coordinates([configuration])[0]
    return dict(zip(ENCODING.names, coordinates.tolist(), strict=True))


def distance(a: dict[str, object], b: dict[str, object]) -> float:
    first, second = ENCODING.features(ENCODING.coordinates([a, b]))
    return float(np.linalg.norm(first - second))


def test_numbers_lie_on_their_own_scale_and_categories_at_their_index() -> None:
    places = {"width": 0.5, "size": 0.25, "kernel": 2, "degree": 0.5, "scaled": 0}
    assert row(FULL) == pytest.approx(places)


def test_parents_are_columns_before_their_children() -> None:
    names = ENCODING.names
    assert sorted(names) == sorted(SPACE.parameters)
    assert names.index("scaled") < names.index("kernel") < names.index("width")


@pytest.mark.parametrize(
    ("change", "inactive"),
    [
        ({"kernel": "rbf"}, {"degree"}),
        ({"kernel": "linear"}, {"degree", "width"}),
        ({"scaled": False}, {"kernel", "degree", "width"}),
    ],
)
def test_what_has_no_effect_is_emptied(change: dict[str, object], inactive: set[str]) -> None:
    empty = {name for name, place in row({**FULL, **change}).items() if np.isnan(place)}
    assert empty == inactive


def test_a_child_of_an_unknown_category_stays() -> None:
    places = row({**FULL, "kernel": "sigmoid"})
    assert np.isnan(places["kernel"])
    assert places["width"] == pytest.approx(0.5)


def test_what_is_absent_or_means_nothing_is_not_known() -> None:
    places = row({"size": "many", "scaled": True, "width": np.nan})
    assert {name for name, place in places.items() if not np.isnan(place)} == {"scaled"}


def test_a_number_far_outside_counts_as_a_little_outside() -> None:
    assert 1.0 < row({"size": 1000})["size"] < 1.5
    assert row({"size": 1000}) == pytest.approx(row({"size": 7000}), nan_ok=True)
    assert -0.5 < row({"size": -1000})["size"] < 0.0


def test_two_different_categories_are_as_far_apart_as_the_ends_of_a_range() -> None:
    categories = [{**FULL, "kernel": kernel} for kernel in ("poly", "rbf")]
    categories = [{k: v for k, v in c.items() if k != "degree"} for c in categories]
    assert distance(*categories) == pytest.approx(1.0)
    assert distance({**FULL, "size": 1}, {**FULL, "size": 5}) == pytest.approx(1.0)


def test_an_inactive_number_adds_nothing_to_a_distance_from_the_middle() -> None:
    assert distance({"kernel": "rbf"}, {"kernel": "rbf", "width": 1.0}) == pytest.approx(0.0)


def test_features_name_the_hyperparameter_they_belong_to() -> None:
    features = ENCODING.features(ENCODING.coordinates([FULL]))
    assert features.shape == (1, len(ENCODING.column_of))
    counts = np.bincount(ENCODING.column_of, minlength=len(ENCODING.names))
    assert dict(zip(ENCODING.names, counts.tolist(), strict=True)) == {
        "width": 1,
        "size": 1,
        "kernel": 3,
        "degree": 1,
        "scaled": 2,
    }
    assert not np.isnan(features).any()


def test_parents_of_a_hyperparameter_say_what_activates_it() -> None:
    configuration = {"width": 1.0, **dict(ENCODING.parents("width"))}
    assert SPACE.is_active("width", configuration)
    assert ENCODING.parents("size") == []


@given(st.integers(0, 2**32 - 1))
def test_a_sampled_configuration_comes_back_from_its_coordinates(seed: int) -> None:
    sampled = ENCODING.sample(20, np.random.default_rng(seed))
    configurations = [ENCODING.configuration(coordinates) for coordinates in sampled]
    for configuration in configurations:
        active = {name for name in SPACE.parameters if SPACE.is_active(name, configuration)}
        assert set(configuration) == active
    snapped = ENCODING.coordinates(configurations)
    again = ENCODING.coordinates([ENCODING.configuration(place) for place in snapped])
    assert again == pytest.approx(snapped, nan_ok=True)


def test_samples_cover_the_space() -> None:
    sampled = ENCODING.sample(3000, np.random.default_rng(0))
    by_name = dict(zip(ENCODING.names, sampled.T, strict=True))
    kernels = by_name["kernel"][~np.isnan(by_name["kernel"])]
    assert np.bincount(kernels.astype(int)) / 1500 == pytest.approx(1 / 3, abs=0.05)
    assert np.isnan(by_name["scaled"]).sum() == 0
    assert np.quantile(by_name["size"], [0.1, 0.5, 0.9]) == pytest.approx(
        [0.1, 0.5, 0.9], abs=0.05
    )


@given(st.lists(distributions, min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_values_of_any_space_come_back(drawn: list[BaseDistribution], seed: int) -> None:
    space = SearchSpace({f"p{i}": parameter_of(d) for i, d in enumerate(drawn)})
    encoding = Encoding(space)
    for configuration in space.sample(5, np.random.default_rng(seed)):
        again = encoding.configuration(encoding.coordinates([configuration])[0])
        for name, value in configuration.items():
            parameter = space.parameters[name]
            if isinstance(parameter, Float):
                span = parameter.high - parameter.low
                assert again[name] == pytest.approx(value, rel=1e-9, abs=1e-9 * span + 1e-15)
            else:
                assert again[name] == value
                assert type(again[name]) is type(value)


def test_a_condition_on_a_number_is_refused() -> None:
    space = SearchSpace(
        {"size": Integer(1, 5), "width": Float(0, 1)}, {"width": Condition("size", (1,))}
    )
    with pytest.raises(SearchSpaceError, match="'width' depends on 'size', a number"):
        Encoding(space)
