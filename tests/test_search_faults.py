"""What OptunaSearchCV is known to do wrong, and this search does not.

After the issues of optuna and optuna-integration that their users opened.
"""

from __future__ import annotations

import ast
import inspect
import warnings
from pathlib import Path

import joblib
import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import FloatDistribution
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import warmstart.sklearn
from warmstart.sklearn import WarmStartSearchCV

C = {"C": FloatDistribution(1e-2, 1e2, log=True)}
FEW = {"n_trials": 2, "cv": 2, "random_state": 0}


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


def test_folds_of_sorted_labels_are_stratified(iris):
    # Whoever is not known as a classifier gets folds in which classes are missing, and 0.
    assert is_classifier(WarmStartSearchCV(SVC()))
    ours = cross_val_score(WarmStartSearchCV(SVC(), C, **FEW), *iris, cv=3)
    theirs = cross_val_score(GridSearchCV(SVC(), {"C": [1.0, 10.0]}, cv=2), *iris, cv=3)
    assert ours.min() > 0.9
    assert theirs.min() > 0.9


def test_two_fits_of_two_trials_leave_two_trials(iris):
    search = WarmStartSearchCV(SVC(), C, **FEW)
    search.fit(*iris)
    search.fit(*iris)
    assert len(search.study_.trials) == 2


def test_a_given_study_does_not_carry_test_rows_from_one_fold_to_the_next(iris):
    X, y = iris
    study = optuna.create_study(direction="maximize")
    search = WarmStartSearchCV(SVC(), C, study=study, **FEW)
    search.fit(X[::2], y[::2])
    with pytest.raises(ValueError, match=r"study with 2 trials on other data, folds or scoring"):
        search.fit(X[1::2], y[1::2])
    assert len(study.trials) == 2


def test_clones_don_t_share_a_given_study(iris):
    sampler = optuna.samplers.TPESampler(seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    search = WarmStartSearchCV(SVC(), C, study=study, **FEW)
    scores = cross_val_score(search, *iris, cv=3, error_score="raise")
    again = cross_val_score(search, *iris, cv=3, error_score="raise")
    np.testing.assert_array_equal(scores, again)  # each fold starts where the study stood
    assert not study.trials


def test_predictions_can_be_cross_validated(iris):
    search = WarmStartSearchCV(SVC(), C, **FEW)
    assert (cross_val_predict(search, *iris, cv=3) == iris[1]).mean() > 0.9


def test_threads_don_t_share_a_fitted_column_transformer(iris):
    X = pd.DataFrame(iris[0], columns=list("abcd"))
    prepare = ColumnTransformer([("scale", StandardScaler(), list("ab"))], remainder="passthrough")
    search = WarmStartSearchCV(
        make_pipeline(prepare, SVC()), {"svc__C": C["C"]}, n_jobs=3, error_score="raise", **FEW
    )
    with joblib.parallel_config(backend="threading"):
        threaded = search.fit(X, iris[1]).cv_results_["mean_test_score"]
    params = search.cv_results_["params"]
    for i, own in enumerate(params):
        model = make_pipeline(prepare, SVC()).set_params(**own)
        assert threaded[i] == pytest.approx(cross_val_score(model, X, iris[1], cv=2).mean())


def test_several_scores_are_taken(iris):
    scoring = ["accuracy", "f1_macro"]
    search = WarmStartSearchCV(SVC(), C, scoring=scoring, refit="f1_macro", **FEW).fit(*iris)
    assert {"mean_test_accuracy", "rank_test_f1_macro"} <= set(search.cv_results_)


def test_a_sampler_is_an_argument():
    assert "sampler" in inspect.signature(WarmStartSearchCV).parameters


def test_spaces_have_conditions(iris):
    search = WarmStartSearchCV(SVC(), n_trials=6, cv=2, sampler=optuna.samplers.RandomSampler(0))
    for params in search.fit(*iris).cv_results_["params"]:
        assert ("degree" in params) == (params["kernel"] == "poly")


def test_nothing_is_warned_of_where_all_is_well(iris):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WarmStartSearchCV(SVC(), **FEW, n_jobs=1, pruning=True).fit(*iris)
        WarmStartSearchCV(SVC(), C, **FEW).fit(*iris)


def test_only_what_scikit_learn_publishes_is_used():
    # Its private modules change with each version; _safe_indexing is what libraries use.
    allowed = {"_safe_indexing"}
    private = []
    for path in Path(warmstart.sklearn.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sklearn"):
                names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
                private += [n for n in names if n.startswith("_") and n not in allowed]
    assert not private


def test_scores_of_a_search_are_those_of_its_best_trial_alone(iris):
    # Not of trials that were in a study before, of which nothing is known.
    study = optuna.create_study(direction="maximize")
    study.add_trial(optuna.trial.create_trial(params={"C": 50.0}, distributions=C, value=99.0))
    search = WarmStartSearchCV(SVC(), C, study=study, **FEW).fit(*iris)
    assert search.best_score_ <= 1.0
    assert np.isfinite(search.best_score_)
