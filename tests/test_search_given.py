"""Spaces as users give them."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
import scipy.stats
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC

from warmstart.errors import SearchSpaceError
from warmstart.sklearn import WarmStartSearchCV
from warmstart.sklearn.given_space import given_space, labelled
from warmstart.space import Categorical, Float, Integer


def parameter(what):
    return given_space({"a": what}, {}).space.parameters["a"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (FloatDistribution(0.1, 1.0, log=True), Float(0.1, 1.0, log=True)),
        (IntDistribution(2, 8, step=2), Integer(2, 8, step=2)),
        (CategoricalDistribution(["a", None]), Categorical(("a", None))),
        (Float(0.0, 2.0), Float(0.0, 2.0)),
        (scipy.stats.uniform(2, 3), Float(2.0, 5.0)),
        (scipy.stats.loguniform(1e-3, 10), Float(1e-3, 10.0, log=True)),
        (scipy.stats.loguniform(1, 10), Float(1.0, 10.0, log=True)),
        (scipy.stats.randint(1, 500), Integer(1, 499)),
        ([1, "two", None, True], Categorical((1, "two", None, True))),
        ((1, 2), Categorical((1, 2))),
        (np.array([0.1, 0.2]), Categorical((0.1, 0.2))),
        (range(3), Categorical((0, 1, 2))),
        ([1, 1, True], Categorical((1, True))),
    ],
)
def test_ranges_are_read_as_they_are_meant(given, expected):
    assert parameter(given) == expected


def test_distributions_without_ends_are_cut_at_their_outer_half_per_cent():
    normal = parameter(scipy.stats.norm(3, 1))
    assert normal == Float(*scipy.stats.norm(3, 1).ppf([0.005, 0.995]))
    assert parameter(scipy.stats.expon(scale=2)).log
    assert isinstance(parameter(scipy.stats.poisson(30)), Integer)


def test_distributions_of_scipy_s_new_kind_are_read():
    made = scipy.stats.Uniform(a=1.0, b=4.0)
    assert parameter(made) == Float(1.0, 4.0)


@pytest.mark.parametrize("what", ["rbf", 3, [], {"a": 1}, None, scipy.stats.cauchy(scale=np.inf)])
def test_what_is_no_space_is_refused_by_its_name(what):
    with pytest.raises(SearchSpaceError, match=r"param_distributions\['a'\]"):
        parameter(what)


def test_choices_may_be_any_objects():
    minmax, standard = MinMaxScaler(), StandardScaler()
    labels, objects = labelled([minmax, standard, "passthrough", (3, 4), MinMaxScaler()])
    assert labels == (
        *("MinMaxScaler()", "StandardScaler()", "passthrough", "[3, 4]", "MinMaxScaler() (2)"),
    )
    assert objects["MinMaxScaler()"] is minmax
    assert objects["[3, 4]"] == (3, 4)
    assert "passthrough" not in objects


def test_estimators_and_tuples_are_set_as_they_are():
    X, y = load_iris(return_X_y=True)
    pipeline = Pipeline(
        [("scale", StandardScaler()), ("mlp", MLPClassifier(max_iter=20, random_state=0))]
    )
    space = {
        "scale": [MinMaxScaler(), "passthrough"],
        "mlp__hidden_layer_sizes": [(4,), (3, 3)],
    }
    search = WarmStartSearchCV(
        pipeline, space, n_trials=4, cv=2, sampler=optuna.samplers.RandomSampler(seed=1)
    )
    with pytest.warns(match="Maximum iterations"):
        search.fit(X, y)
    for params in search.cv_results_["params"]:
        assert params["mlp__hidden_layer_sizes"] in [(4,), (3, 3)]
        assert params["scale"] == "passthrough" or isinstance(params["scale"], MinMaxScaler)
    assert search.best_estimator_.named_steps["mlp"].hidden_layer_sizes in [(4,), (3, 3)]
    sizes = search.cv_results_["param_mlp__hidden_layer_sizes"]
    assert sizes[0] == search.cv_results_["params"][0]["mlp__hidden_layer_sizes"]
    # A study, and its storage, hold plain values only.
    assert all(type(v) is str for t in search.study_.trials for v in t.params.values())


def test_parameters_of_a_step_that_is_tuned_itself_are_accepted():
    X, y = load_iris(return_X_y=True)
    pipeline = Pipeline([("scale", StandardScaler()), ("svc", SVC())])
    space = {"scale": [MinMaxScaler()], "scale__clip": [True], "svc__C": [1.0, 2.0]}
    search = WarmStartSearchCV(pipeline, space, n_trials=1, cv=2).fit(X, y)
    assert search.best_estimator_.named_steps["scale"].clip


def test_the_given_estimator_is_tried_first_where_nothing_else_is_known():
    X, y = load_iris(return_X_y=True)
    space = {"strategy": ["most_frequent", "stratified", "uniform"], "random_state": [0]}
    search = WarmStartSearchCV(
        DummyClassifier(strategy="uniform"), space, n_trials=2, cv=2, random_state=0
    ).fit(X, y)
    assert search.cv_results_["params"][0]["strategy"] == "uniform"


def test_the_space_is_shown_before_and_after_the_fit():
    X, y = load_iris(return_X_y=True)
    search = WarmStartSearchCV(SVC(), {"C": scipy.stats.loguniform(0.1, 10)}, n_trials=1, cv=2)
    before = search.space_
    assert dict(before.parameters) == {"C": Float(0.1, 10.0, log=True)}
    assert search.fit(X, y).space_ == before
