"""The spaces that people tune: valid for the libraries, inside the catalogue, and well filled."""

import importlib
import warnings

import numpy as np
import pytest

from warmstart.catalogue import resolve_estimator
from warmstart.descriptor import describe
from warmstart.errors import SearchSpaceError, UnknownEstimatorError
from warmstart.search_spaces import (
    default_configuration,
    draw,
    search_space,
    space_filling,
    tunable_estimators,
)
from warmstart.space import Categorical, Condition, Float, Integer, SearchSpace, to_unit

ESTIMATORS = tunable_estimators()


def fitted(name, configuration):
    """An estimator of the catalogue with this configuration, fitted to a few rows."""
    module, _, class_name = name.rpartition(".")
    pytest.importorskip(module.partition(".")[0], reason=f"{module} is not installed")
    rng = np.random.default_rng(0)
    x = rng.random((60, 3))
    y = np.arange(60) % 2 if resolve_estimator(name).family == "classifier" else x[:, 0]
    model = getattr(importlib.import_module(module), class_name)()
    if name.endswith("AdaBoostClassifier"):
        from sklearn.tree import DecisionTreeClassifier

        model.set_params(estimator=DecisionTreeClassifier())
    model.set_params(**configuration)
    if {"n_estimators", "max_iter"} & set(configuration):
        few = {"n_estimators": 5, "max_iter": 5}
        model.set_params(**{k: v for k, v in few.items() if k in configuration})
    if "lightgbm" in name:
        model.set_params(verbose=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(x, y)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_configuration_can_be_given_to_the_estimator_as_it_is(name):
    for configuration in space_filling(search_space(name), 4, seed=0):
        fitted(name, configuration)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_defaults_can_be_given_to_the_estimator_too(name):
    space = search_space(name)
    defaults = default_configuration(name, space)
    if name.endswith(("MLPClassifier", "MLPRegressor")):
        assert defaults["hidden_layer_sizes"] == 100
    fitted(name, defaults)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_spaces_lie_within_the_catalogue(name):
    natural = {h.name: h for h in resolve_estimator(name).hyperparameters}
    space = search_space(name)
    for parameter_name, parameter in space.parameters.items():
        wide = natural[parameter_name].parameter
        if isinstance(parameter, Categorical):
            assert set(parameter.choices) <= set(wide.choices), parameter_name
        else:
            # counts where the catalogue has counts: both ends are within its range
            assert to_unit(wide, parameter.low) >= -1e-9, parameter_name
            assert to_unit(wide, parameter.high) <= 1 + 1e-9, parameter_name
            assert wide.log == parameter.log, parameter_name


def test_what_is_fixed_is_not_tuned_nor_what_has_no_effect_then():
    linear = search_space("sklearn.svm.SVC", fixed={"kernel": "linear"})
    assert set(linear.parameters) == {"C", "class_weight"}
    rbf = search_space("sklearn.svm.SVC", fixed={"kernel": "rbf", "C": 2.0, "cache_size": 500})
    assert set(rbf.parameters) == {"gamma", "class_weight"}
    assert not rbf.conditions


def test_on_few_rows_counts_of_rows_end_early():
    rng = np.random.default_rng(0)
    task = describe(rng.random((40, 3)), np.arange(40) % 2)
    space = search_space("KNeighborsClassifier", task=task)
    assert space.parameters["n_neighbors"] == Integer(1, 20, log=True)
    assert search_space("LGBMClassifier", task=task).parameters["min_child_samples"].high == 10


@pytest.mark.parametrize(("n_rows", "low", "high"), [(40, 16, 16), (20, 8, 8), (400, 16, 160)])
def test_a_batch_has_no_more_rows_than_a_fold(n_rows, low, high):
    task = describe(np.random.default_rng(0).random((n_rows, 3)), np.arange(n_rows) % 2)
    space = search_space("MLPClassifier", task=task)
    assert space.parameters["batch_size"] == Integer(low, high, log=True)
    assert search_space("MLPClassifier").parameters["batch_size"] == Integer(16, 256, log=True)


def test_an_estimator_without_a_space_is_named():
    with pytest.raises(SearchSpaceError, match="rpart"):
        search_space("rpart")
    with pytest.raises(UnknownEstimatorError, match="LGBMClasifier"):
        search_space("LGBMClasifier")


def test_a_design_is_the_same_by_seed_and_its_start_for_every_length():
    space = search_space("sklearn.svm.SVC")
    design = space_filling(space, 20, seed=3)
    assert design == space_filling(space, 20, seed=3)
    assert design[:7] == space_filling(space, 7, seed=3)
    assert design != space_filling(space, 20, seed=4)


def test_a_design_fills_every_parameter_evenly():
    space = SearchSpace(
        {"x": Float(0.0, 1.0), "kind": Categorical(("a", "b")), "n": Integer(1, 4)},
        {"n": Condition("kind", ("b",))},
    )
    design = space_filling(space, 64, seed=0)
    counts, _ = np.histogram([c["x"] for c in design], bins=8, range=(0, 1))
    assert counts.tolist() == [8] * 8
    of_b = [c for c in design if c["kind"] == "b"]
    assert len(of_b) == 32
    assert all(("n" in c) == (c["kind"] == "b") for c in design)
    assert {c["n"] for c in of_b} == {1, 2, 3, 4}


def test_a_draw_lies_in_the_space():
    space = search_space("MLPClassifier")
    rng = np.random.default_rng(0)
    for _ in range(20):
        configuration = draw(space, rng)
        assert all(space.is_active(name, configuration) for name in configuration)
        if configuration["solver"] == "lbfgs":
            assert "momentum" not in configuration


def test_a_space_without_parameters_has_one_configuration():
    assert space_filling(SearchSpace({}), 2, seed=0) == [{}, {}]
