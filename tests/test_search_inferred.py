"""Spaces that are inferred from the steps that are known of an estimator."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.samplers import PartialFixedSampler, RandomSampler
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import (
    AdaBoostClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier

from warmstart.errors import SearchSpaceError, WarmStartWarning
from warmstart.search_spaces import search_space
from warmstart.sklearn import WarmStartSearchCV
from warmstart.space import Categorical, Float, Integer


def space_of(estimator):
    return WarmStartSearchCV(estimator).space_


def names_of(estimator):
    return set(space_of(estimator).parameters)


SVC_NAMES = set(search_space("SVC").parameters)
FOREST_NAMES = set(search_space("RandomForestClassifier").parameters)


def prefixed(prefix, names):
    return {f"{prefix}__{name}" for name in names}


def test_a_known_estimator_is_tuned_as_people_tune_it():
    assert space_of(SVC()) == search_space("SVC")


def test_each_known_step_of_a_pipeline_is_tuned_with_its_conditions():
    space = space_of(make_pipeline(SimpleImputer(), StandardScaler(), PCA(), SVC()))
    steps = {"simpleimputer__strategy", "standardscaler", "pca__n_components"}
    assert set(space.parameters) == steps | prefixed("svc", SVC_NAMES)
    assert space.conditions["svc__gamma"].parameter == "svc__kernel"
    assert space.parameters["standardscaler"] == Categorical(
        ("StandardScaler()", "MaxAbsScaler()")
    )
    assert space.parameters["simpleimputer__strategy"] == Categorical(
        ("mean", "median", "most_frequent")
    )


def test_scaling_is_not_tuned_where_only_trees_see_it():
    forest = make_pipeline(StandardScaler(), RandomForestClassifier())
    assert names_of(forest) == prefixed("randomforestclassifier", FOREST_NAMES)


def test_branches_of_a_column_transformer_are_tuned():
    numbers = Pipeline([("impute", SimpleImputer()), ("scale", StandardScaler())])
    words = Pipeline([("impute", SimpleImputer(strategy="most_frequent"))])
    prepare = ColumnTransformer([("num", numbers, [0]), ("cat", words, [1])])
    names = names_of(Pipeline([("prepare", prepare), ("model", SVC())]))
    assert {"prepare__num__impute__strategy", "prepare__num__scale"} <= names
    # It was set by the user: "mean" is no strategy for words.
    assert "prepare__cat__impute__strategy" not in names


def test_the_regressor_of_a_transformed_target_is_tuned():
    assert names_of(TransformedTargetRegressor(regressor=Ridge())) == {"regressor__alpha"}


def test_members_of_ensembles_are_tuned():
    members = [("svc", SVC()), ("nb", GaussianNB())]
    assert names_of(VotingClassifier(members)) == prefixed("svc", SVC_NAMES)
    stack = StackingClassifier(members, final_estimator=LogisticRegression())
    logistic = set(search_space("LogisticRegression").parameters)
    assert names_of(stack) == prefixed("svc", SVC_NAMES) | prefixed("final_estimator", logistic)


def test_estimators_in_wrappers_and_unions_are_tuned():
    assert names_of(CalibratedClassifierCV(SVC())) == prefixed("estimator", SVC_NAMES)
    union = FeatureUnion([("pca", PCA()), ("svd", TruncatedSVD())])
    names = names_of(make_pipeline(union, SVC()))
    assert {"featureunion__pca__n_components", "featureunion__svd__n_components"} <= names


def test_the_stump_of_ada_boost_is_tuned_once():
    alone = names_of(AdaBoostClassifier())
    assert "estimator__max_depth" in alone
    assert names_of(AdaBoostClassifier(DecisionTreeClassifier())) == alone
    of_forests = names_of(AdaBoostClassifier(RandomForestClassifier()))
    assert prefixed("estimator", FOREST_NAMES) <= of_forests


def test_what_the_user_set_stays_as_it_is():
    space = space_of(SVC(kernel="linear", C=3.0))
    assert set(space.parameters) == {"class_weight"}
    assert names_of(make_pipeline(PCA(n_components=2), SVC())) == prefixed("svc", SVC_NAMES)


def test_what_the_user_set_is_in_the_study_so_that_samplers_know_it():
    X, y = load_iris(return_X_y=True)
    search = WarmStartSearchCV(SVC(kernel="linear"), n_trials=2, cv=2, random_state=0).fit(X, y)
    assert all(trial.params["kernel"] == "linear" for trial in search.study_.trials)
    assert all("kernel" not in params for params in search.cv_results_["params"])
    assert search.best_estimator_.kernel == "linear"


def test_text_and_polynomials_have_spaces():
    text = space_of(make_pipeline(TfidfVectorizer(), LogisticRegression()))
    assert text.parameters["tfidfvectorizer__ngram_range"] == Categorical(
        ("[1, 1]", "[1, 2]", "[1, 3]")
    )
    polynomials = space_of(make_pipeline(PolynomialFeatures(), Ridge()))
    assert polynomials.parameters["polynomialfeatures__degree"] == Integer(1, 2)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few iterations
def test_choices_of_text_are_set_as_tuples():
    texts = ["good film", "bad film", "good book", "bad book"] * 10
    search = WarmStartSearchCV(
        make_pipeline(TfidfVectorizer(), LogisticRegression()), n_trials=2, cv=2, random_state=0
    ).fit(texts, [1, 0] * 20)
    assert search.best_estimator_[0].ngram_range in [(1, 1), (1, 2), (1, 3)]
    assert search.predict(["good one"])[0] == 1


def test_sizes_end_at_the_size_of_the_data():
    X, y = load_iris(return_X_y=True)
    model = make_pipeline(SelectKBest(), HistGradientBoostingClassifier(max_iter=5))
    search = WarmStartSearchCV(model, n_trials=1, cv=2, random_state=0)
    before = search.space_.parameters["selectkbest__k"]
    assert before.high > 4
    after = search.fit(X, y).space_.parameters
    assert after["selectkbest__k"] == Integer(1, 4, log=True)


def test_nothing_known_and_nothing_given_is_one_clear_error():
    with pytest.raises(SearchSpaceError, match=r"GaussianNB given without param_distributions"):
        WarmStartSearchCV(GaussianNB()).fit(*load_iris(return_X_y=True))


def test_a_model_that_nothing_is_known_of_is_named_where_only_preprocessing_is_tuned():
    model = make_pipeline(make_pipeline(StandardScaler()), GaussianNB())
    with pytest.warns(WarmStartWarning, match="Nothing is known of GaussianNB: only steps before"):
        assert names_of(model) == {"pipeline__standardscaler"}


def test_the_first_trials_keep_preprocessing_as_it_was_given():
    X, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), SVC())
    search = WarmStartSearchCV(model, n_trials=8, cv=2, random_state=0).fit(X, y)
    first, second = search.study_.trials[:2]
    for trial in (first, second):
        assert trial.params["standardscaler"] == "StandardScaler()"
        assert '"by":"meta-learner"' in trial.user_attrs["warmstart"]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few iterations
@pytest.mark.parametrize(
    "model",
    [
        make_pipeline(SimpleImputer(), StandardScaler(), PCA(), SVC()),
        AdaBoostClassifier(n_estimators=3),
        VotingClassifier([("a", SVC()), ("b", DecisionTreeClassifier(random_state=0))]),
        make_pipeline(
            ColumnTransformer(
                [("all", make_pipeline(StandardScaler(), PCA()), [0, 1, 2])],
                remainder="passthrough",
            ),
            LogisticRegression(max_iter=1000),
        ),
    ],
    ids=["pipeline", "stumps", "voting", "columns"],
)
def test_random_configurations_of_inferred_spaces_can_be_fitted(model):
    X, y = load_iris(return_X_y=True)
    search = WarmStartSearchCV(
        model, n_trials=5, cv=2, error_score="raise", sampler=optuna.samplers.RandomSampler(0)
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_support_vector_machines_end_on_columns_of_different_scales():
    X, y = load_breast_cancer(return_X_y=True)
    hard = PartialFixedSampler({"kernel": "linear", "C": 1e4}, RandomSampler(0))
    search = WarmStartSearchCV(SVC(), n_trials=1, cv=2, sampler=hard)
    with pytest.warns(ConvergenceWarning, match=r"max_iter=1000000.*StandardScaler"):
        search.fit(X, y)
    assert search.best_estimator_.n_iter_.max() == 1_000_000


@pytest.mark.parametrize(
    ("estimator", "given", "n_iterations"),
    [
        ({"a": Ridge(), "b": make_pipeline(StandardScaler(), SVR())}, None, 1_000_000),
        ({"a": Ridge(), "b": make_pipeline(StandardScaler(), SVR(max_iter=900))}, None, 900),
        ({"a": Ridge(), "b": make_pipeline(StandardScaler(), SVR())}, {"b": {"svr__C": [1]}}, -1),
    ],
)
def test_iterations_are_limited_where_the_user_said_nothing(estimator, given, n_iterations):
    X, y = load_diabetes(return_X_y=True)
    choose_b = PartialFixedSampler({"estimator": "b"}, RandomSampler(0))
    search = WarmStartSearchCV(estimator, given, n_trials=1, cv=2, sampler=choose_b).fit(X, y)
    assert search.best_estimator_[-1].max_iter == n_iterations
    assert "b__svr__max_iter" not in search.best_params_


def test_regressors_in_pipelines_are_tuned():
    X, y = load_diabetes(return_X_y=True)
    model = TransformedTargetRegressor(
        regressor=make_pipeline(StandardScaler(), Ridge()), transformer=StandardScaler()
    )
    search = WarmStartSearchCV(model, n_trials=3, cv=2, random_state=0).fit(X, y)
    assert set(search.best_params_) == {"regressor__ridge__alpha", "regressor__standardscaler"}
    assert search.best_score_ > 0.3


def test_what_is_frozen_is_left_as_it_is_and_the_rest_tuned():
    X, y = load_iris(return_X_y=True)
    scaler = StandardScaler().fit(X)
    model = make_pipeline(FrozenEstimator(scaler), SVC())
    assert names_of(model) == prefixed("svc", SVC_NAMES)
    search = WarmStartSearchCV(
        make_pipeline(StandardScaler(), FrozenEstimator(SVC().fit(X, y))), n_trials=1, cv=2
    )
    with pytest.warns(WarmStartWarning, match="Nothing is known of FrozenEstimator"):
        search.fit(X, y)
    assert set(search.best_params_) == {"standardscaler"}


@pytest.mark.parametrize("wrapped", [lambda frozen: frozen, CalibratedClassifierCV])
def test_where_all_is_frozen_the_error_says_so(wrapped):
    X, y = load_iris(return_X_y=True)
    frozen = wrapped(FrozenEstimator(SVC().fit(X, y)))
    with pytest.raises(SearchSpaceError, match=r"FrozenEstimator.*is not fitted again"):
        WarmStartSearchCV(frozen, n_trials=1, cv=2).fit(X, y)


@pytest.mark.parametrize("n_rows", [24, 80])
def test_networks_get_batches_that_folds_can_fill(n_rows):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n_rows, 3)), np.arange(n_rows) % 2
    batches = PartialFixedSampler({"solver": "adam"}, RandomSampler(0))
    model = MLPClassifier(hidden_layer_sizes=(2,), max_iter=2000, tol=0.1, early_stopping=True)
    search = WarmStartSearchCV(model, n_trials=8, cv=2, sampler=batches).fit(X, y)
    assert max(search.cv_results_["param_batch_size"]) >= 0.25 * n_rows


def test_encoders_without_choices_worth_tuning_are_left_alone():
    model = make_pipeline(OneHotEncoder(), LogisticRegression())
    assert not any(name.startswith("onehotencoder") for name in names_of(model))


def test_shares_of_variance_fit_any_number_of_columns():
    assert isinstance(space_of(make_pipeline(PCA(), SVC())).parameters["pca__n_components"], Float)
