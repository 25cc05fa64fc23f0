"""scikit-learn's own checks of estimators."""

from __future__ import annotations

import pytest
from optuna.distributions import FloatDistribution
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from warmstart.sklearn import WarmStartSearchCV

RANGE = FloatDistribution(0.1, 1.0, log=True)
# As few and as small as shows it, and what fails is raised as it comes: scikit-learn checks its
# own search classes so, too.
FEW = {"n_trials": 2, "cv": 2, "error_score": "raise", "random_state": 0}
SEARCHES = [
    WarmStartSearchCV(Ridge(), {"alpha": RANGE}, **FEW),
    WarmStartSearchCV(
        Pipeline([("pca", PCA()), ("model", LogisticRegression())]), {"model__C": RANGE}, **FEW
    ),
    WarmStartSearchCV(
        {"ridge": Ridge(), "rough": Ridge(tol=0.1)},
        {"ridge": {"alpha": RANGE}, "rough": {"alpha": RANGE}},
        **FEW,
    ),
]
Y_OF_SEVERAL_COLUMNS = {
    "check_supervised_y_2d": (
        "A target of one column goes to the estimator as it is, and Ridge takes targets of "
        "several columns: there is nothing to convert or to warn of. GridSearchCV fails it, too."
    )
}


def expected_failures(search):
    return {} if isinstance(search.estimator, Pipeline) else Y_OF_SEVERAL_COLUMNS


# scikit-learn looks at a target without finite values before it refuses it.
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
# It checks that one class alone is fitted or refused; that there is nothing to learn is said, too.
@pytest.mark.filterwarnings("ignore:y has the same value:warmstart.WarmStartWarning")
@parametrize_with_checks(SEARCHES, expected_failed_checks=expected_failures)
def test_it_is_an_estimator_of_scikit_learn(estimator, check):
    check(estimator)
