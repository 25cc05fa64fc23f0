"""Choosing between estimators."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from warmstart.errors import SearchSpaceError
from warmstart.explanation import explain
from warmstart.sklearn import WarmStartSearchCV
from warmstart.space import Categorical, Condition

CANDIDATES = {
    "svm": make_pipeline(StandardScaler(), SVC()),
    "forest": RandomForestClassifier(n_estimators=10, random_state=0),
}


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def fitted(iris):
    sampler = optuna.samplers.RandomSampler(seed=1)
    return WarmStartSearchCV(CANDIDATES, n_trials=6, cv=2, sampler=sampler).fit(*iris)


def test_a_study_chooses_an_estimator_and_has_a_branch_for_each(fitted):
    space = fitted.space_
    assert space.parameters["estimator"] == Categorical(("svm", "forest"))
    assert space.conditions["forest__max_depth"] == Condition("estimator", ("forest",))
    assert space.conditions["svm__svc__gamma"].parameter == "svm__svc__kernel"
    tried = {params["estimator"] for params in fitted.cv_results_["params"]}
    assert tried == {"svm", "forest"}
    for params in fitted.cv_results_["params"]:
        others = [n for n in params if n != "estimator"]
        assert others
        assert all(name.startswith(f"{params['estimator']}__") for name in others)


def test_the_best_of_all_is_fitted(fitted, iris):
    chosen = fitted.best_params_["estimator"]
    assert type(fitted.best_estimator_) is type(CANDIDATES[chosen])
    assert fitted.score(*iris) > 0.9
    assert is_classifier(fitted)
    assert fitted.best_score_ == fitted.cv_results_["mean_test_score"].max()


def test_each_branch_is_tuned_with_what_is_known_of_its_estimator(iris):
    search = WarmStartSearchCV(CANDIDATES, n_trials=8, cv=2, random_state=0).fit(*iris)
    told = explain(search.study_)
    by = dict(zip(search.cv_results_["param_estimator"], told["estimator"], strict=True))
    assert by["svm"] == "sklearn.svm.SVC"
    assert by["forest"] == "sklearn.ensemble.RandomForestClassifier"
    assert "estimator" in told.attrs["unmatched"]


def test_several_estimators_are_searched_from_the_first_trial_on(iris):
    search = WarmStartSearchCV(CANDIDATES, n_trials=4, cv=2, random_state=0)
    assert search.fit(*iris).best_score_ > 0.9
    again = clone(search).fit(*iris)
    assert [t.params for t in again.study_.trials] == [t.params for t in search.study_.trials]


def test_candidates_may_be_a_list_with_or_without_names(iris):
    plain = WarmStartSearchCV([SVC(), LogisticRegression()])
    assert plain.space_.parameters["estimator"] == Categorical(("svc", "logisticregression"))
    named = WarmStartSearchCV([("a", SVC()), ("b", SVC(kernel="linear"))])
    assert named.space_.parameters["estimator"] == Categorical(("a", "b"))
    assert "a__kernel" in named.space_.parameters
    assert "b__kernel" not in named.space_.parameters


def test_spaces_are_given_by_the_names_of_the_estimators(iris):
    search = WarmStartSearchCV(
        {"nb": GaussianNB(), "svm": SVC()},
        {"nb": {"var_smoothing": [1e-9, 1e-3]}},
        n_trials=2,
        cv=2,
    )
    names = set(search.space_.parameters)
    assert {"estimator", "nb__var_smoothing", "svm__C"} <= names
    assert np.isfinite(search.fit(*iris).best_score_)


def test_a_function_may_choose_the_estimator(iris):
    def space(trial):
        if trial.suggest_categorical("estimator", ["svm", "nb"]) == "nb":
            return {"estimator": "nb"}
        return {"estimator": "svm", "svm__C": trial.suggest_float("svm__C", 0.1, 10.0)}

    search = WarmStartSearchCV(
        {"nb": GaussianNB(), "svm": SVC()},
        space,
        n_trials=5,
        cv=2,
        sampler=optuna.samplers.RandomSampler(seed=0),
    ).fit(*iris)
    assert {p["estimator"] for p in search.cv_results_["params"]} == {"svm", "nb"}


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ([SVC(), Ridge()], "estimators of the kinds"),
        ([SVC(), SVC()], "expected different names"),
        ([], "at least one"),
        ({"a__b": SVC()}, "without '__'"),
        ({1: SVC()}, "estimator named 1 given"),
    ],
)
def test_candidates_that_can_t_be_told_apart_are_refused(iris, candidates, expected):
    with pytest.raises(ValueError, match=expected):
        WarmStartSearchCV(candidates).fit(*iris)


def test_a_space_for_an_estimator_that_is_none_of_them_is_refused(iris):
    search = WarmStartSearchCV(CANDIDATES, {"boosting": {}})
    with pytest.raises(SearchSpaceError, match=r"for \['boosting'\] given; expected the est"):
        search.fit(*iris)


def test_an_estimator_that_is_none_of_them_is_refused(iris):
    search = WarmStartSearchCV(CANDIDATES, lambda trial: {"estimator": "boosting"}, n_trials=1)
    with pytest.raises(SearchSpaceError, match="estimator='boosting' proposed"):
        search.fit(*iris)
