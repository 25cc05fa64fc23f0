"""Sample weights and groups, with and without scikit-learn's metadata routing."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn
from optuna.distributions import FloatDistribution
from sklearn.datasets import load_iris
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import Ridge
from sklearn.metrics import get_scorer
from sklearn.model_selection import GroupKFold, cross_validate
from sklearn.svm import SVC

from warmstart.sklearn import WarmStartSearchCV

C = {"C": FloatDistribution(1e-2, 1e2, log=True)}
FEW = {"n_trials": 2, "random_state": 0}


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


class Weighed(Ridge):
    """Remembers the weights it was fitted with."""

    seen: list[np.ndarray] = []  # noqa: RUF012 - shared by clones on purpose

    def fit(self, X, y, sample_weight=None):
        Weighed.seen.append(np.asarray(sample_weight))
        return super().fit(X, y, sample_weight)


def groups_of(y):
    return np.arange(len(y)) % 5


def test_groups_go_to_the_splitter(iris):
    X, y = iris
    seen = []

    def n_rows(estimator, X, y):
        seen.append(len(X))
        return estimator.score(X, y)

    search = WarmStartSearchCV(SVC(), C, cv=GroupKFold(5), scoring=n_rows, **FEW)
    search.fit(X, y, groups=groups_of(y))
    assert search.n_splits_ == 5
    assert set(seen) == {30}


def test_a_splitter_that_needs_groups_says_so(iris):
    with pytest.raises(ValueError, match="groups"):
        WarmStartSearchCV(SVC(), C, cv=GroupKFold(5), **FEW).fit(*iris)


def test_weights_are_cut_with_the_folds(iris):
    X, y = iris
    weights = np.arange(150.0) + 1
    Weighed.seen = []
    search = WarmStartSearchCV(Weighed(), {"alpha": [1.0]}, cv=3, n_trials=1)
    search.fit(X, y, sample_weight=list(weights))
    assert [len(seen) for seen in Weighed.seen] == [100, 100, 100, 150]
    np.testing.assert_array_equal(Weighed.seen[-1], weights)
    np.testing.assert_array_equal(Weighed.seen[0], weights[50:])


def test_metadata_is_routed_to_those_who_ask_for_it(iris, routing):
    X, y = iris
    weights = np.random.default_rng(0).uniform(0.1, 1, 150)
    estimator = SVC().set_fit_request(sample_weight=True)
    scorer = get_scorer("accuracy").set_score_request(sample_weight=True)
    search = WarmStartSearchCV(estimator, C, cv=GroupKFold(3), scoring=scorer, **FEW)
    search.fit(X, y, sample_weight=weights, groups=groups_of(y))
    for params, mean in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        expected = cross_validate(
            estimator.set_params(**params),
            X,
            y,
            cv=GroupKFold(3),
            scoring=scorer,
            params={"sample_weight": weights, "groups": groups_of(y)},
        )
        assert mean == pytest.approx(expected["test_score"].mean())
    unweighted = search.score(X, y)
    assert search.score(X, y, sample_weight=np.eye(150)[0]) in (0.0, 1.0)
    assert 0.0 < unweighted <= 1.0


def test_metadata_that_nobody_asks_for_is_refused(iris, routing):
    search = WarmStartSearchCV(SVC(), C, cv=2, **FEW)
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        search.fit(*iris, sample_weight=np.ones(150))


def test_each_of_several_estimators_gets_what_it_asks_for(iris, routing):
    Weighed.seen = []
    candidates = {
        "deaf": Ridge().set_fit_request(sample_weight=False),
        "heard": Weighed().set_fit_request(sample_weight=True),
    }
    space = {"deaf": {"alpha": [1.0]}, "heard": {"alpha": [1.0]}}
    scorer = get_scorer("r2").set_score_request(sample_weight=False)
    search = WarmStartSearchCV(
        candidates, space, n_trials=8, cv=2, scoring=scorer, random_state=0, refit=False
    )
    search.fit(*iris, sample_weight=np.ones(150))
    assert {params["estimator"] for params in search.cv_results_["params"]} == {"deaf", "heard"}
    assert all(seen.shape == (75,) for seen in Weighed.seen)


def test_a_search_can_be_routed_to(iris, routing):
    X, y = iris
    inner = WarmStartSearchCV(
        SVC().set_fit_request(sample_weight=True),
        C,
        cv=2,
        scoring=get_scorer("accuracy").set_score_request(sample_weight=False),
        **FEW,
    )
    outer = cross_validate(inner, X, y, cv=2, params={"sample_weight": np.ones(150)})
    assert outer["test_score"].min() > 0.9


def test_score_takes_no_metadata_without_routing(iris):
    search = WarmStartSearchCV(SVC(), C, cv=2, **FEW).fit(*iris)
    with pytest.raises(ValueError, match=r"\['sample_weight'\] given to score"):
        search.score(*iris, sample_weight=np.ones(150))
