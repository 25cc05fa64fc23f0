"""The search class in several processes."""

from __future__ import annotations

import os

import joblib
import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from threadpoolctl import threadpool_info

from warmstart.sklearn import WarmStartSearchCV
from warmstart.sklearn.processes import Workers, trials_at_a_time, with_one_thread

C = {"C": FloatDistribution(1e-2, 1e2, log=True)}


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


class Where(LogisticRegression):
    """Remembers the process that it was fitted in, and its threads."""

    def fit(self, X, y, sample_weight=None):
        super().fit(X, y, sample_weight)
        self.process_ = os.getpid()
        self.n_threads_ = max(pool["num_threads"] for pool in threadpool_info())
        return self


def process_and_threads(estimator, X, y):
    return {
        "score": estimator.score(X, y),
        "process": estimator.process_,
        "threads": estimator.n_threads_,
    }


class Greedy(LogisticRegression):
    """Is of a library that takes all threads."""

    __module__ = "lightgbm.sklearn"


def nearness(estimator, X, y):
    return -abs(np.log10(estimator.C) - len(X) / 100)


@pytest.mark.parametrize(
    ("n_workers", "n_folds", "expected"),
    [(1, 5, 1), (2, 4, 1), (2, 5, 2), (2, 3, 2), (4, 5, 3), (5, 5, 1), (8, 5, 3), (2, 10, 1)],
)
def test_as_few_trials_at_a_time_as_keep_the_workers_busy(n_workers, n_folds, expected):
    assert trials_at_a_time(n_workers, n_folds) == expected


def test_folds_in_processes_give_what_they_give_in_one(iris):
    def results(n_jobs):
        search = WarmStartSearchCV(SVC(), n_trials=3, cv=4, random_state=0, n_jobs=n_jobs)
        return search.fit(*iris).cv_results_

    one, two = results(1), results(2)
    assert one["params"] == two["params"]
    for fold in range(4):
        key = f"split{fold}_test_score"
        np.testing.assert_array_equal(one[key], two[key])


def test_trials_that_are_proposed_together_are_the_same_each_time(iris):
    def trials():
        # Five folds keep two processes busy two trials at a time; the last one is alone.
        search = WarmStartSearchCV(SVC(), n_trials=3, cv=5, random_state=0, n_jobs=2)
        return [(t.number, t.params, t.value) for t in search.fit(*iris).study_.trials]

    first = trials()
    assert len(first) == 3
    assert first == trials()


def test_pruned_trials_are_the_same_each_time(iris):
    def states():
        search = WarmStartSearchCV(
            SVC(),
            C,
            n_trials=8,
            cv=5,
            n_jobs=2,
            scoring=nearness,
            sampler=optuna.samplers.RandomSampler(seed=2),
            pruning=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1),
        )
        return [(t.state.name, t.intermediate_values) for t in search.fit(*iris).study_.trials]

    first = states()
    assert {name for name, _ in first} == {"COMPLETE", "PRUNED"}
    assert first == states()


def test_processes_stay_and_have_one_thread_each(iris):
    search = WarmStartSearchCV(
        Where(max_iter=1000),
        C,
        n_trials=6,
        cv=2,
        n_jobs=2,
        scoring=process_and_threads,
        refit="score",
    ).fit(*iris)
    results = search.cv_results_
    processes = {results[f"split{i}_test_process"][j] for i in range(2) for j in range(6)}
    assert os.getpid() not in processes
    assert len(processes) <= 2
    assert (results["mean_test_threads"] == 1).all()


def test_estimators_don_t_start_threads_of_their_own_in_processes():
    model = make_pipeline(RandomForestClassifier(n_jobs=-1))
    assert with_one_thread(model)[0].n_jobs == 1
    assert with_one_thread(Greedy()).n_jobs == 1
    # None means one to scikit-learn, and some of its estimators warn of any number.
    assert with_one_thread(LogisticRegression()).n_jobs is None
    # Who asks for a number of them gets it.
    assert with_one_thread(RandomForestClassifier(n_jobs=3)).n_jobs == 3


def test_the_best_estimator_has_the_threads_that_it_was_given(iris):
    search = WarmStartSearchCV(
        RandomForestClassifier(n_estimators=5, n_jobs=-1),
        {"max_depth": [2, 3]},
        n_trials=1,
        cv=2,
        n_jobs=2,
    ).fit(*iris)
    assert search.best_estimator_.n_jobs == -1


def test_a_backend_that_the_user_chose_is_used(iris):
    with joblib.parallel_config(backend="threading", n_jobs=2):
        search = WarmStartSearchCV(
            Where(max_iter=1000), C, n_trials=1, cv=2, scoring=process_and_threads, refit="score"
        ).fit(*iris)
    assert set(search.cv_results_["split0_test_process"]) == {os.getpid()}


def test_functions_that_can_t_be_imported_reach_the_processes(iris):
    def score(estimator, X, y):
        return estimator.score(X, y) / 2

    search = WarmStartSearchCV(SVC(), C, n_trials=1, cv=2, n_jobs=2, scoring=score).fit(*iris)
    assert search.best_score_ <= 0.5


def test_one_worker_needs_no_processes():
    workers = Workers(1)
    with workers.open():
        assert workers.run([(os.getpid, ())]) == [os.getpid()]


def test_an_error_in_a_process_ends_the_fit_and_leaves_no_trial_running(iris):
    search = WarmStartSearchCV(
        SVC(), {"C": [-1.0]}, n_trials=4, cv=5, n_jobs=2, error_score="raise"
    )
    with pytest.raises(ValueError, match="'C' parameter of SVC"):
        search.fit(*iris)
    assert {t.state.name for t in search.study_.trials} == {"FAIL"}
