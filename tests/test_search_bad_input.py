"""What can't be searched is one clear error, or what scikit-learn makes of it."""

from __future__ import annotations

import inspect

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import FloatDistribution
from sklearn.datasets import load_iris
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score
from sklearn.model_selection import KFold
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC, SVR

from warmstart.errors import SearchSpaceError, WarmStartWarning
from warmstart.sklearn import WarmStartSearchCV

C = {"C": FloatDistribution(1e-2, 1e2, log=True)}
FEW = {"n_trials": 2, "cv": 2, "random_state": 0}


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ({"n_trials": 0}, "n_trials=0 given; expected an integer of at least 1"),
        ({"n_trials": 2.5}, "n_trials=2.5 given"),
        ({"n_trials": None}, "n_trials=None and timeout=None given"),
        ({"timeout": -1}, "timeout=-1 given; expected seconds above 0"),
        ({"n_jobs": "all"}, "n_jobs='all' given"),
        ({"verbose": "yes"}, "verbose='yes' given"),
        ({"error_score": "ignore"}, "error_score='ignore' given; expected 'raise' or a number"),
        ({"pruning": "median"}, "pruning='median' given; expected True, False or a pruner"),
        ({"sampler": "tpe"}, "sampler='tpe' given; expected a sampler of Optuna"),
        ({"study": "study.db"}, "study='study.db' given; expected a study of Optuna"),
        ({"early_stopping_rounds": 0}, "early_stopping_rounds=0 given"),
        ({"scoring": "accurate"}, "accurate"),
        ({"scoring": []}, r"scoring=\[\] given; expected at least one score"),
        ({"cv": 1}, "at least one train/test split|n_splits=1"),
        ({"cv": []}, r"cv=\[\] given, which makes no folds"),
    ],
)
def test_an_argument_that_can_t_be_used_is_named(iris, argument, expected):
    search = WarmStartSearchCV(SVC(), C, **{"n_trials": 1, **argument})
    with pytest.raises(ValueError, match=expected):
        search.fit(*iris)


def test_a_study_that_minimizes_is_refused(iris):
    search = WarmStartSearchCV(SVC(), C, study=optuna.create_study())
    with pytest.raises(
        ValueError, match=r"directions \['MINIMIZE'\] given; expected one that max"
    ):
        search.fit(*iris)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"param_grid": {"C": [1]}}, "param_grid given; expected param_distributions"),
        ({"param_distributions": C, "n_iter": 5}, "n_iter given; expected n_trials in place of"),
        ({"search_spaces": C, "seed": 0}, "search_spaces, seed given; .*; random_state in place"),
    ],
)
def test_arguments_of_other_search_classes_are_told_what_they_are_called_here(arguments, expected):
    with pytest.raises(TypeError, match=expected):
        WarmStartSearchCV(SVC(), **arguments)


def test_other_unknown_arguments_are_a_plain_error_and_the_signature_stays_readable():
    with pytest.raises(TypeError, match="unexpected keyword argument 'n_trails'"):
        WarmStartSearchCV(SVC(), n_trails=3)
    parameters = inspect.signature(WarmStartSearchCV).parameters
    assert set(parameters) == set(WarmStartSearchCV(SVC()).get_params(deep=False))


@pytest.mark.parametrize("estimator", [SVC, "SVC", None])
def test_what_is_no_estimator_is_refused(iris, estimator):
    with pytest.raises(TypeError, match="expected an instance with fit"):
        WarmStartSearchCV(estimator, C).fit(*iris)


@pytest.mark.parametrize("space", [["C"], 3, "C"])
def test_what_is_no_space_is_refused(iris, space):
    with pytest.raises(SearchSpaceError, match="expected a dict of distributions by name"):
        WarmStartSearchCV(SVC(), space).fit(*iris)


def test_a_parameter_that_the_estimator_lacks_is_named_before_anything_is_fitted(iris):
    search = WarmStartSearchCV(SVC(), {"cost": FloatDistribution(0.1, 1)})
    with pytest.raises(SearchSpaceError, match=r"\['cost'\] given for SVC, which refuses them"):
        search.fit(*iris)
    assert not hasattr(search, "study_")


@pytest.mark.parametrize("missing", [np.nan, None])
def test_missing_classes_are_one_error_before_anything_is_fitted(iris, missing):
    X, y = iris
    y = y.astype(object)
    y[[3, 7]] = missing
    search = WarmStartSearchCV(SVC(), C, **FEW)
    with pytest.raises(ValueError, match="Input y contains NaN in 2 of 150 rows, first in row 3"):
        search.fit(X, y)
    assert not hasattr(search, "study_")


@pytest.mark.parametrize(("bad", "said"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_numeric_targets_that_are_not_finite_are_one_error(iris, bad, said):
    X, y = iris
    y = y.astype(float)
    y[5] = bad
    search = WarmStartSearchCV(SVR(), C, **FEW)
    with pytest.raises(ValueError, match=f"Input y contains {said} in 1 of 150 rows"):
        search.fit(X, pd.Series(y))
    assert not hasattr(search, "study_")


def test_a_constant_target_warns_and_is_what_the_estimator_says(iris):
    X, _ = iris
    with (
        pytest.warns(WarmStartWarning, match="y has the same value"),
        pytest.raises(ValueError, match=r"All the 4 fits failed(.|\n)*class"),
    ):
        WarmStartSearchCV(SVC(), C, **FEW).fit(X, np.zeros(150))
    constant = WarmStartSearchCV(SVR(), C, **FEW)
    with pytest.warns(WarmStartWarning, match="y has the same value"):
        constant.fit(X, np.full(150, 2.5))
    assert constant.predict(X[:1]) == pytest.approx(2.5)


def test_a_fold_with_one_class_fails_alone(iris):
    X, y = iris
    # In the first of these folds, nothing but class 0 is left to train on.
    folds = [(np.arange(40), np.arange(40, 150)), *KFold(2, shuffle=True, random_state=0).split(X)]
    search = WarmStartSearchCV(SVC(), C, n_trials=2, cv=folds, error_score=0.0, random_state=0)
    with pytest.warns(FitFailedWarning, match=r"2 of 6 fits failed"):
        search.fit(X, y)
    assert list(search.cv_results_["split0_test_score"]) == [0.0, 0.0]
    for other in ("split1_test_score", "split2_test_score"):
        assert search.cv_results_[other].min() > 0.0


def test_a_fold_without_a_score_is_nan_and_its_trial_failed(iris):
    X, y = iris
    folds = [(np.arange(40), np.arange(40, 150)), *KFold(2, shuffle=True, random_state=0).split(X)]
    search = WarmStartSearchCV(SVC(), C, n_trials=2, cv=folds)
    with pytest.raises(ValueError, match=r"None of the trials has a score on all folds"):
        search.fit(X, y)
    assert {t.state.name for t in search.study_.trials} == {"FAIL"}


def test_scores_that_are_not_defined_on_a_fold_are_explained(iris):
    X, y = iris
    folds = [(np.r_[0:40, 60:100], np.arange(40, 50))]
    search = WarmStartSearchCV(LogisticRegression(), C, n_trials=1, cv=folds, scoring="roc_auc")
    with pytest.warns(match="Only one class"), pytest.raises(ValueError, match="several classes"):
        search.fit(X, y)


def test_missing_values_that_the_estimator_can_t_take_are_its_error(iris):
    X, y = iris
    X = X.copy()
    X[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"All the 4 fits failed|None of the(.|\n)*NaN"):
        WarmStartSearchCV(SVC(), C, **FEW).fit(X, y)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        WarmStartSearchCV(SVC(), C, error_score="raise", **FEW).fit(X, y)


def test_a_configuration_that_can_t_be_fitted_fails_and_the_others_go_on(iris):
    space = {"C": [-1.0, 1.0]}
    search = WarmStartSearchCV(
        SVC(), space, n_trials=6, cv=2, sampler=optuna.samplers.RandomSampler(seed=0)
    )
    with pytest.warns(FitFailedWarning, match=r"fits failed(.|\n)*'C' parameter of SVC"):
        search.fit(*iris)
    assert search.best_params_ == {"C": 1.0}
    failed = search.cv_results_["param_C"] == -1.0
    assert np.isnan(search.cv_results_["mean_test_score"][failed]).all()
    assert {t.state.name for t in search.study_.trials} == {"COMPLETE", "FAIL"}
    assert len(set(search.cv_results_["rank_test_score"][failed])) == 1


def test_if_all_fits_fail_the_error_says_why(iris):
    search = WarmStartSearchCV(SVC(), {"C": [-1.0]}, **FEW)
    with pytest.raises(ValueError, match=r"All the 4 fits failed(.|\n)*'C' parameter of SVC"):
        search.fit(*iris)


def test_the_first_error_can_be_raised_as_it_is(iris):
    search = WarmStartSearchCV(SVC(), {"C": [-1.0]}, error_score="raise", **FEW)
    with pytest.raises(ValueError, match=r"^The 'C' parameter of SVC"):
        search.fit(*iris)


def fails(estimator, X, y):
    raise RuntimeError("no score today")


def test_scoring_that_fails_is_one_error(iris):
    with pytest.raises(ValueError, match=r"None of the trials(.|\n)*4 scores(.|\n)*today"):
        WarmStartSearchCV(SVC(), C, scoring=fails, **FEW).fit(*iris)
    with pytest.raises(RuntimeError, match="no score today"):
        WarmStartSearchCV(SVC(), C, scoring=fails, error_score="raise", **FEW).fit(*iris)


def test_scoring_that_fails_at_times_is_warned_of_once(iris):
    given = iter([0.5, None, 0.5, 0.5])

    def score(estimator, X, y):
        value = next(given)
        if value is None:
            raise RuntimeError("no score today")
        return value

    search = WarmStartSearchCV(SVC(), C, scoring=score, **FEW)
    with pytest.warns(UserWarning, match=r"Scoring failed on 1 of 4 folds") as seen:
        search.fit(*iris)
    assert len(seen) == 1
    assert search.best_index_ == 1


def test_one_of_several_scores_may_fail(iris):
    search = WarmStartSearchCV(
        SVC(), C, scoring={"good": "accuracy", "bad": fails}, refit="good", **FEW
    )
    with pytest.warns(UserWarning, match="Scoring failed"):
        search.fit(*iris)
    assert search.best_score_ > 0.5
    assert np.isnan(search.cv_results_["mean_test_bad"]).all()


@pytest.mark.parametrize("score", ["high", None, np.zeros(2), 1j])
def test_scoring_that_gives_no_number_is_refused(iris, score):
    search = WarmStartSearchCV(SVC(), C, scoring=lambda estimator, X, y: score, **FEW)
    with pytest.raises(ValueError, match=r"scoring gave(.|\n)*expected a number"):
        search.fit(*iris)


def test_a_metric_is_no_scorer(iris):
    with pytest.raises(ValueError, match="scorer"):
        WarmStartSearchCV(SVC(), C, scoring=accuracy_score, **FEW).fit(*iris)


def test_refit_by_a_name_that_the_scores_lack_is_refused(iris):
    search = WarmStartSearchCV(
        SVC(), C, scoring=lambda estimator, X, y: {"a": 1.0}, refit="b", **FEW
    )
    with pytest.raises(ValueError, match=r"refit='b' given; expected one of the scores \['a'\]"):
        search.fit(*iris)


def test_methods_that_the_estimator_lacks_are_missing(iris):
    search = WarmStartSearchCV(SVC(), C, **FEW)
    assert not hasattr(search, "predict_proba")
    assert not hasattr(search, "transform")
    assert hasattr(WarmStartSearchCV(GaussianNB()), "predict_proba")


def test_a_target_is_asked_for(iris):
    with pytest.raises(ValueError, match="requires y to be passed"):
        WarmStartSearchCV(Ridge()).fit(iris[0])


class Interrupting(SVC):
    """Is interrupted in its ``interrupted_at``-th fit."""

    fits = 0

    def __init__(self, interrupted_at=1, C=1.0):
        super().__init__(C=C)
        self.interrupted_at = interrupted_at

    def fit(self, X, y):
        Interrupting.fits += 1
        if Interrupting.fits == self.interrupted_at:
            raise KeyboardInterrupt
        return super().fit(X, y)


def test_an_interrupted_fit_has_the_best_so_far_and_a_usable_study(iris):
    Interrupting.fits = 0
    search = WarmStartSearchCV(Interrupting(interrupted_at=6), C, n_trials=9, cv=2, random_state=0)
    with pytest.warns(WarmStartWarning, match=r"Interrupted: the best of 2 finished trials"):
        search.fit(*iris)
    assert search.score(*iris) > 0.9
    assert len(search.cv_results_["params"]) == 2
    assert [t.state.name for t in search.study_.trials] == ["COMPLETE", "COMPLETE", "FAIL"]
    more = WarmStartSearchCV(
        Interrupting(interrupted_at=0), C, n_trials=2, cv=2, study=search.study_
    ).fit(*iris)
    assert len(more.cv_results_["params"]) == 4


def test_a_fit_that_is_interrupted_before_anything_is_known_ends(iris):
    Interrupting.fits = 0
    search = WarmStartSearchCV(Interrupting(interrupted_at=2), C, n_trials=9, cv=2)
    with pytest.raises(KeyboardInterrupt):
        search.fit(*iris)
    assert [t.state.name for t in search.study_.trials] == ["FAIL"]


def test_trials_that_were_proposed_together_all_end_when_interrupted(iris):
    def interrupts(trial):
        if trial.number == 3:
            raise KeyboardInterrupt
        return {"C": trial.suggest_float("C", 0.1, 1.0)}

    # Two at a time: the second pair is interrupted.
    search = WarmStartSearchCV(SVC(), interrupts, n_trials=6, cv=5, n_jobs=2)
    with pytest.warns(WarmStartWarning, match="Interrupted"):
        search.fit(*iris)
    states = [t.state.name for t in search.study_.trials]
    assert states == ["COMPLETE", "COMPLETE", "FAIL", "FAIL"]
