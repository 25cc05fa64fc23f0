"""LightGBM and XGBoost in the search, as their users use them."""

from __future__ import annotations

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import IntDistribution
from sklearn.datasets import load_diabetes, load_iris, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from warmstart.alignment import align
from warmstart.catalogue import resolve_estimator
from warmstart.errors import SearchSpaceError
from warmstart.matching import Matcher
from warmstart.sklearn import WarmStartSearchCV
from warmstart.space import Categorical, Float, Integer

lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is an optional dependency")
LEAVES = {"num_leaves": IntDistribution(4, 16)}
FEW = {"n_trials": 2, "cv": 2, "random_state": 0}


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


def booster(**options):
    return lightgbm.LGBMClassifier(verbose=-1, n_jobs=1, random_state=0, **options)


def test_a_classifier_is_tuned_without_more_to_say(iris):
    search = WarmStartSearchCV(booster(n_estimators=10), **FEW).fit(*iris)
    assert {"num_leaves", "learning_rate"} <= set(search.best_params_)
    # It was set by the user.
    assert "n_estimators" not in search.best_params_
    assert search.score(*iris) > 0.9


def test_the_number_of_trees_is_found_where_boosting_stops_early(iris):
    search = WarmStartSearchCV(booster(), LEAVES, early_stopping_rounds=3, **FEW).fit(*iris)
    found = search.best_params_["n_estimators"]
    record = search.study_.trials[search.best_index_].user_attrs["cross_validation"]
    assert found == round(np.mean(record["n_trees"]))
    assert 1 <= found < 500
    assert search.best_estimator_.n_estimators_ == found
    # As if someone who knows the number had fitted it.
    again = booster().set_params(**search.best_params_).fit(*iris)
    np.testing.assert_array_equal(search.predict_proba(iris[0]), again.predict_proba(iris[0]))


def test_the_number_of_trees_is_not_tuned_where_it_is_found():
    tuned = WarmStartSearchCV(booster()).space_.parameters
    found = WarmStartSearchCV(booster(), early_stopping_rounds=5).space_.parameters
    assert set(tuned) - set(found) == {"n_estimators"}


def test_trees_end_at_the_number_that_the_user_set(iris):
    search = WarmStartSearchCV(
        booster(n_estimators=4, learning_rate=0.01), LEAVES, early_stopping_rounds=50, **FEW
    ).fit(*iris)
    assert search.best_params_["n_estimators"] == 4


def test_boosting_at_the_end_of_a_pipeline_stops_early(iris):
    model = make_pipeline(StandardScaler(), booster())
    space = {"lgbmclassifier__num_leaves": IntDistribution(4, 8)}
    search = WarmStartSearchCV(model, space, early_stopping_rounds=3, **FEW)
    search.fit(*iris)
    found = search.best_params_["lgbmclassifier__n_estimators"]
    assert search.best_estimator_[-1].n_estimators_ == found


def test_regressors_and_weights_stop_early():
    X, y = load_diabetes(return_X_y=True)
    model = lightgbm.LGBMRegressor(verbose=-1, n_jobs=1)
    search = WarmStartSearchCV(model, LEAVES, early_stopping_rounds=5, **FEW)
    search.fit(X, y, sample_weight=np.linspace(0.5, 1, len(y)))
    assert 1 < search.best_params_["n_estimators"] < 500
    assert search.best_score_ > 0.2


def test_boosting_without_end_has_no_best_number(iris):
    # Trees that are dropped again never let it stop early.
    model = booster(boosting_type="dart", n_estimators=5)
    search = WarmStartSearchCV(model, LEAVES, early_stopping_rounds=2, n_trials=1, cv=2)
    with pytest.warns(UserWarning, match="dart"):
        search.fit(*iris)
    assert search.best_params_["n_estimators"] == 5


def test_xgboost_stops_early(iris):
    xgboost = pytest.importorskip("xgboost", reason="XGBoost is an optional dependency")
    model = xgboost.XGBClassifier(n_jobs=1, learning_rate=0.3)
    search = WarmStartSearchCV(model, {"max_depth": [2, 3]}, early_stopping_rounds=5, **FEW).fit(
        *iris
    )
    found = search.best_params_["n_estimators"]
    assert 1 <= found < 500
    assert search.best_estimator_.get_booster().num_boosted_rounds() == found
    assert search.best_estimator_.early_stopping_rounds is None


def test_of_several_estimators_those_stop_early_that_can(iris):
    candidates = {"boosting": booster(), "svm": SVC()}
    space = {"boosting": LEAVES, "svm": {"C": [1.0, 2.0]}}
    search = WarmStartSearchCV(
        candidates,
        space,
        early_stopping_rounds=3,
        n_trials=4,
        cv=2,
        sampler=optuna.samplers.RandomSampler(seed=1),
        refit=lambda results: [p["estimator"] for p in results["params"]].index("boosting"),
    ).fit(*iris)
    assert search.best_params_["boosting__n_estimators"] < 500
    assert {p["estimator"] for p in search.cv_results_["params"]} == {"boosting", "svm"}


def test_early_stopping_is_refused_where_nothing_can_stop(iris):
    for model in (SVC(), RandomForestClassifier()):
        with pytest.raises(SearchSpaceError, match="expected an estimator of LightGBM or XGB"):
            WarmStartSearchCV(model, early_stopping_rounds=5).fit(*iris)


def test_trees_that_are_both_tuned_and_found_are_refused(iris):
    search = WarmStartSearchCV(booster(), {"n_estimators": [10, 20]}, early_stopping_rounds=5)
    with pytest.raises(SearchSpaceError, match="'n_estimators' and early_stopping_rounds given"):
        search.fit(*iris)


def test_categories_of_data_frames_reach_the_boosting():
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 6, 300)
    X = pd.DataFrame({"kind": pd.Categorical(kind), "noise": rng.normal(size=300)})
    y = np.isin(kind, [1, 3, 4]).astype(int)  # no threshold on codes tells them apart
    model = booster(
        n_estimators=5, max_depth=1, min_child_samples=1, cat_smooth=0.1, min_data_per_group=1
    )
    search = WarmStartSearchCV(
        model, {"learning_rate": [0.3, 0.5]}, early_stopping_rounds=3, **FEW
    ).fit(X, y)
    assert search.best_score_ > 0.95
    as_numbers = WarmStartSearchCV(model, {"learning_rate": [0.3, 0.5]}, **FEW)
    assert as_numbers.fit(X.astype(float), y).best_score_ < search.best_score_


def test_unbalanced_classes_are_weighed_by_the_space_or_by_the_user():
    X, y = make_classification(200, weights=[0.9], random_state=0)
    assert "class_weight" in WarmStartSearchCV(booster()).space_.parameters
    assert (
        "class_weight" not in WarmStartSearchCV(booster(class_weight="balanced")).space_.parameters
    )
    search = WarmStartSearchCV(
        booster(n_estimators=5, is_unbalance=True), LEAVES, scoring="balanced_accuracy", **FEW
    ).fit(X, y)
    assert search.best_estimator_.get_params()["is_unbalance"]


ALIASES = {
    "lgb_learning_rate": "learning_rate",
    "eta": "learning_rate",
    "shrinkage_rate": "learning_rate",
    "num_iterations": "n_estimators",
    "num_boost_round": "n_estimators",
    "bagging_fraction": "subsample",
    "bagging_freq": "subsample_freq",
    "feature_fraction": "colsample_bytree",
    "lambda_l1": "reg_alpha",
    "lambda_l2": "reg_lambda",
    "min_data_in_leaf": "min_child_samples",
    "min_sum_hessian_in_leaf": "min_child_weight",
    "min_gain_to_split": "min_split_gain",
    "num_leaf": "num_leaves",
    "boosting": "boosting_type",
}


@pytest.mark.parametrize("alias", ALIASES)
def test_names_that_lightgbm_itself_takes_are_known(alias):
    known = resolve_estimator("lightgbm.LGBMClassifier")
    meant = ALIASES[alias]
    natural = known.space.parameters[meant]
    assert isinstance(natural, Categorical | Float | Integer)
    matched = align({alias: natural}, Matcher(known)).matched
    assert matched[alias].canonical == meant
