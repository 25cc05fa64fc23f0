"""The search class as scikit-learn's users use one."""

from __future__ import annotations

import pickle

import numpy as np
import optuna
import pandas as pd
import pytest
import scipy.sparse
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import make_scorer, mean_absolute_error, r2_score
from sklearn.model_selection import (
    GridSearchCV,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from warmstart.errors import SearchSpaceError
from warmstart.explanation import explain
from warmstart.sklearn import WarmStartSearchCV

C = {"C": FloatDistribution(1e-2, 1e2, log=True)}
ALPHA = {"alpha": FloatDistribution(1e-3, 10, log=True)}


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def diabetes():
    return load_diabetes(return_X_y=True)


@pytest.fixture(scope="module")
def fitted(iris):
    search = WarmStartSearchCV(SVC(), n_trials=5, cv=3, random_state=0, return_train_score=True)
    return search.fit(*iris)


def test_the_first_trials_come_from_the_meta_learner(fitted):
    said = [trial.user_attrs["warmstart"] for trial in fitted.study_.trials]
    assert all('"by":"meta-learner"' in text for text in said)
    assert fitted.cv_results_["mean_test_score"][0] > 0.9


def test_the_best_of_the_trials_is_fitted_on_all_data(fitted, iris):
    X, y = iris
    results = fitted.cv_results_
    assert fitted.best_index_ == results["mean_test_score"].argmax()
    assert fitted.best_score_ == results["mean_test_score"].max() == fitted.study_.best_value
    assert fitted.best_params_ == results["params"][fitted.best_index_]
    again = SVC(**fitted.best_params_).fit(X, y)
    np.testing.assert_array_equal(fitted.predict(X), again.predict(X))
    np.testing.assert_array_equal(fitted.decision_function(X), again.decision_function(X))
    np.testing.assert_array_equal(fitted.classes_, [0, 1, 2])
    assert fitted.score(X, y) == again.score(X, y)
    assert fitted.n_features_in_ == 4
    assert fitted.n_splits_ == 3
    assert fitted.refit_time_ > 0
    assert not fitted.multimetric_


def test_results_have_the_keys_of_scikit_learn(fitted, iris):
    grid = GridSearchCV(SVC(), {"C": [1.0, 2.0]}, cv=3, return_train_score=True).fit(*iris)
    own = {key for key in fitted.cv_results_ if not key.startswith("param_")}
    theirs = {key for key in grid.cv_results_ if not key.startswith("param_")}
    assert own == theirs | {"trial_number"}
    assert {key for key in fitted.cv_results_ if key.startswith("param_")} >= {"param_C"}
    assert {len(column) for column in fitted.cv_results_.values()} == {5}
    assert pd.DataFrame(fitted.cv_results_)["rank_test_score"].min() == 1


def test_scores_are_those_of_cross_validation(fitted, iris):
    for params, mean in zip(
        fitted.cv_results_["params"], fitted.cv_results_["mean_test_score"], strict=True
    ):
        assert mean == pytest.approx(cross_val_score(SVC(**params), *iris, cv=3).mean())


def test_parameters_that_have_no_effect_are_masked(fitted):
    for i, params in enumerate(fitted.cv_results_["params"]):
        assert fitted.cv_results_["param_gamma"].mask[i] == ("gamma" not in params)
        assert ("gamma" in params) == (params["kernel"] != "linear")


def test_same_seed_same_trials_and_another_seed_others(iris):
    def trials(seed):
        search = WarmStartSearchCV(SVC(), n_trials=4, cv=2, random_state=seed).fit(*iris)
        return search.cv_results_["params"], list(search.cv_results_["mean_test_score"])

    assert trials(0) == trials(0)
    assert trials(0) != trials(1)
    assert trials(np.random.RandomState(3)) == trials(np.random.RandomState(3))


def test_a_second_fit_starts_afresh(iris):
    search = WarmStartSearchCV(SVC(), n_trials=3, cv=2, random_state=0)
    first = search.fit(*iris).study_
    second = search.fit(*iris).study_
    assert first is not second
    assert [t.params for t in first.trials] == [t.params for t in second.trials]


def test_it_is_of_the_kind_of_its_estimator():
    assert is_classifier(WarmStartSearchCV(SVC()))
    assert is_regressor(WarmStartSearchCV(make_pipeline(StandardScaler(), Ridge())))


def test_a_clone_has_the_same_parameters_and_is_not_fitted(fitted):
    copied = clone(fitted)
    assert repr(copied.get_params()) == repr(fitted.get_params())
    with pytest.raises(NotFittedError):
        copied.predict([[0.0] * 4])
    assert not hasattr(copied, "n_features_in_")


def test_a_fitted_search_can_be_pickled(fitted, iris):
    restored = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(restored.predict(iris[0]), fitted.predict(iris[0]))
    assert len(restored.study_.trials) == 5
    assert restored.space_ == fitted.space_


def test_parameters_can_be_set_after_it_was_made(iris):
    search = WarmStartSearchCV(SVC(), C).set_params(n_trials=2, cv=2, estimator__kernel="linear")
    search.fit(*iris)
    assert len(search.study_.trials) == 2
    assert search.best_estimator_.kernel == "linear"
    assert set(search.best_params_) == {"C"}


def test_it_can_be_nested_in_cross_validation(iris):
    search = WarmStartSearchCV(SVC(), n_trials=2, cv=2, random_state=0)
    assert cross_val_score(search, *iris, cv=3).min() > 0.9
    assert (cross_val_predict(search, *iris, cv=3) == iris[1]).mean() > 0.9


def test_without_refit_there_is_a_best_trial_and_no_estimator(iris):
    search = WarmStartSearchCV(SVC(), C, n_trials=2, cv=2, refit=False).fit(*iris)
    assert search.best_params_ == search.cv_results_["params"][search.best_index_]
    assert not hasattr(search, "predict")
    assert not hasattr(search, "best_estimator_")


def test_of_several_scores_refit_names_the_one_that_counts(diabetes):
    scoring = {"r2": "r2", "mae": make_scorer(mean_absolute_error, greater_is_better=False)}
    search = WarmStartSearchCV(
        Ridge(), ALPHA, n_trials=4, cv=3, scoring=scoring, refit="mae", random_state=0
    ).fit(*diabetes)
    assert search.multimetric_
    assert set(search.scorer_) == {"r2", "mae"}
    assert search.best_score_ == search.cv_results_["mean_test_mae"].max()
    assert search.study_.best_value == search.best_score_
    assert search.score(*diabetes) == pytest.approx(
        -mean_absolute_error(diabetes[1], search.predict(diabetes[0]))
    )
    assert "split2_test_r2" in search.cv_results_


def test_several_scores_may_be_a_list_or_a_function_that_gives_a_dict(diabetes):
    def both(estimator, X, y):
        predicted = estimator.predict(X)
        return {"r2": r2_score(y, predicted), "mae": -mean_absolute_error(y, predicted)}

    options = {"n_trials": 3, "cv": 2, "random_state": 0}
    listed = WarmStartSearchCV(
        Ridge(), ALPHA, scoring=["r2", "neg_mean_absolute_error"], refit="r2", **options
    ).fit(*diabetes)
    given = WarmStartSearchCV(Ridge(), ALPHA, scoring=both, refit="r2", **options).fit(*diabetes)
    assert given.multimetric_
    assert listed.best_params_ == given.best_params_
    np.testing.assert_allclose(
        given.cv_results_["mean_test_mae"],
        listed.cv_results_["mean_test_neg_mean_absolute_error"],
    )
    assert given.score(*diabetes) == pytest.approx(listed.score(*diabetes))


def test_refit_may_be_a_function_of_the_results(diabetes):
    def last(results):
        return len(results["params"]) - 1

    search = WarmStartSearchCV(Ridge(), ALPHA, n_trials=3, cv=2, refit=last).fit(*diabetes)
    assert search.best_index_ == 2
    assert search.best_params_ == search.cv_results_["params"][2]
    assert not hasattr(search, "best_score_")


@pytest.mark.parametrize(
    ("index", "error"), [("first", TypeError), (7, IndexError), (-1, IndexError)]
)
def test_refit_that_gives_no_index_is_refused(diabetes, index, error):
    search = WarmStartSearchCV(Ridge(), ALPHA, n_trials=2, cv=2, refit=lambda results: index)
    with pytest.raises(error, match="best_index_"):
        search.fit(*diabetes)


@pytest.mark.parametrize("refit", [True, "accuracy"])
def test_several_scores_without_one_that_counts_are_refused(diabetes, refit):
    search = WarmStartSearchCV(Ridge(), ALPHA, scoring=["r2", "neg_max_error"], refit=refit)
    with pytest.raises(ValueError, match=f"refit={refit!r} given with several"):
        search.fit(*diabetes)


def test_several_scores_need_no_refit(diabetes):
    search = WarmStartSearchCV(
        Ridge(), ALPHA, n_trials=2, cv=2, scoring=["r2", "neg_max_error"], refit=False
    ).fit(*diabetes)
    assert "mean_test_neg_max_error" in search.cv_results_
    assert not hasattr(search, "best_params_")


def test_cv_takes_a_splitter_or_the_folds_themselves(iris):
    X, y = iris
    splitter = ShuffleSplit(2, random_state=0)
    folds = list(splitter.split(X))
    options = {"n_trials": 2, "random_state": 0}
    by_splitter = WarmStartSearchCV(SVC(), C, cv=splitter, **options).fit(X, y)
    by_folds = WarmStartSearchCV(SVC(), C, cv=folds, **options).fit(X, y)
    assert by_splitter.n_splits_ == by_folds.n_splits_ == 2
    np.testing.assert_array_equal(
        by_splitter.cv_results_["split1_test_score"], by_folds.cv_results_["split1_test_score"]
    )


def test_all_trials_have_the_same_folds_where_the_splitter_is_random(iris):
    seen = set()

    def remember(estimator, X, y):
        seen.add(X.tobytes())
        return estimator.score(X, y)

    splitter = ShuffleSplit(2, test_size=0.3)
    WarmStartSearchCV(SVC(), C, cv=splitter, scoring=remember, n_trials=3).fit(*iris)
    assert len(seen) == 2


def test_data_frames_keep_their_names_and_types(iris):
    X, y = load_iris(return_X_y=True, as_frame=True)
    X["kind"] = pd.Categorical(np.where(X.iloc[:, 0] > 5.5, "long", "short"))
    prepare = ColumnTransformer([("words", OneHotEncoder(), ["kind"])], remainder=StandardScaler())
    search = WarmStartSearchCV(make_pipeline(prepare, SVC()), n_trials=3, cv=2, random_state=0)
    search.fit(X, y)
    np.testing.assert_array_equal(search.feature_names_in_, X.columns)
    assert search.score(X, y) > 0.9


def test_sparse_matrices_are_searched(iris):
    X, y = iris
    model = LogisticRegression(max_iter=5000)
    dense = WarmStartSearchCV(model, C, n_trials=2, cv=2, random_state=0).fit(X, y)
    sparse = clone(dense).fit(scipy.sparse.coo_array(X), y)
    np.testing.assert_allclose(
        sparse.cv_results_["mean_test_score"], dense.cv_results_["mean_test_score"], atol=0.02
    )


def test_distances_between_rows_are_cut_in_both_directions(iris):
    X, y = iris
    kernel = X @ X.T
    options = {"n_trials": 2, "cv": 3, "sampler": optuna.samplers.RandomSampler(seed=0)}
    search = WarmStartSearchCV(SVC(kernel="precomputed"), C, **options)
    linear = WarmStartSearchCV(SVC(kernel="linear"), C, **options)
    np.testing.assert_allclose(
        search.fit(kernel, y).cv_results_["mean_test_score"],
        linear.fit(X, y).cv_results_["mean_test_score"],
    )


def test_lists_of_rows_are_searched(iris):
    X, y = iris
    search = WarmStartSearchCV(SVC(), C, n_trials=1, cv=2).fit(X.tolist(), y.tolist())
    assert search.score(X, y) > 0.9


def test_estimators_without_a_target_are_searched(iris):
    search = WarmStartSearchCV(
        KMeans(n_init=1, random_state=0), {"n_clusters": [2, 3, 4]}, n_trials=3, cv=2
    ).fit(iris[0])
    assert search.best_params_["n_clusters"] in (2, 3, 4)
    assert search.transform(iris[0]).shape == (150, search.best_params_["n_clusters"])


def test_output_is_set_before_and_after_the_fit(iris):
    search = WarmStartSearchCV(PCA(), {"n_components": [1, 2]}, n_trials=1, cv=2)
    search.set_output(transform="pandas")
    assert isinstance(clone(search).fit(iris[0]).transform(iris[0]), pd.DataFrame)
    plain = clone(search).set_output(transform="default").fit(iris[0])
    assert isinstance(plain.transform(iris[0]), np.ndarray)
    assert isinstance(plain.set_output(transform="pandas").transform(iris[0]), pd.DataFrame)


def test_transformations_are_undone_by_the_best_estimator(iris):
    search = WarmStartSearchCV(PCA(), {"n_components": [2, 3]}, n_trials=2, cv=2).fit(iris[0])
    back = search.inverse_transform(search.transform(iris[0]))
    assert np.abs(back - iris[0]).max() < 1.0
    assert search.score_samples(iris[0]).shape == (150,)
    assert not hasattr(search, "predict")


def test_callbacks_see_each_trial_and_can_stop_the_study(iris):
    seen = []

    def stop_after_two(study, trial):
        seen.append((trial.number, trial.state))
        if len(seen) == 2:
            study.stop()

    search = WarmStartSearchCV(SVC(), C, n_trials=9, cv=2, callbacks=[stop_after_two])
    search.fit(*iris)
    assert seen == [(0, TrialState.COMPLETE), (1, TrialState.COMPLETE)]
    assert len(search.cv_results_["params"]) == 2


def test_no_trial_begins_after_the_time_is_up(iris):
    search = WarmStartSearchCV(SVC(), C, n_trials=None, timeout=0.3, cv=2).fit(*iris)
    first, last = search.study_.trials[0], search.study_.trials[-1]
    assert (last.datetime_start - first.datetime_start).total_seconds() <= 0.3


def test_a_sampler_is_used_and_its_state_stays_as_it_was(iris):
    sampler = optuna.samplers.RandomSampler(seed=4)
    search = WarmStartSearchCV(SVC(), C, n_trials=3, cv=2, sampler=sampler)
    first = search.fit(*iris).cv_results_["params"]
    again = search.fit(*iris).cv_results_["params"]
    assert first == again
    assert isinstance(search.study_.sampler, optuna.samplers.RandomSampler)
    assert search.study_.sampler is not sampler


def test_a_sampler_may_be_made_for_the_data(iris):
    seen = []

    def make(task):
        seen.append(task)
        return optuna.samplers.RandomSampler(seed=0)

    WarmStartSearchCV(SVC(), C, n_trials=1, cv=2, sampler=make).fit(*iris)
    assert seen[0].kind == "classification"
    assert seen[0].metafeatures["NumberOfInstances"] == 150


def test_nothing_is_printed_unless_asked_for(iris, capfd):
    WarmStartSearchCV(SVC(), C, n_trials=2, cv=2).fit(*iris)
    assert capfd.readouterr() == ("", "")


def test_a_progress_bar_counts_trials(iris, capfd):
    WarmStartSearchCV(SVC(), C, n_trials=2, cv=2, verbose=1).fit(*iris)
    printed = capfd.readouterr().err
    assert "2/2" in printed
    assert "best=0." in printed


def test_pruning_stops_trials_after_bad_folds(iris):
    scores = iter([0.8] * 3 + [0.9] * 3 + [0.1] * 2)
    search = WarmStartSearchCV(
        SVC(),
        C,
        n_trials=3,
        cv=StratifiedKFold(3),
        scoring=lambda estimator, X, y: next(scores),
        pruning=optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=1),
        random_state=0,
    ).fit(*iris)
    assert [t.state.name for t in search.study_.trials] == ["COMPLETE", "COMPLETE", "PRUNED"]
    assert search.study_.trials[2].intermediate_values == {0: 0.1, 1: 0.1}
    assert search.cv_results_["split1_test_score"][2] == 0.1
    assert np.isnan(search.cv_results_["split2_test_score"][2])
    assert np.isnan(search.cv_results_["mean_test_score"][2])
    assert list(search.cv_results_["rank_test_score"]) == [2, 1, 3]


def test_a_rank_test_over_folds_gets_each_fold(iris):
    scores = iter([0.5, 0.7, 0.9])
    search = WarmStartSearchCV(
        SVC(),
        C,
        n_trials=1,
        cv=3,
        scoring=lambda estimator, X, y: next(scores),
        pruning=optuna.pruners.WilcoxonPruner(),
    ).fit(*iris)
    assert search.study_.trials[0].intermediate_values == {0: 0.5, 1: 0.7, 2: 0.9}


def test_without_pruning_nothing_is_reported(fitted):
    assert all(not trial.intermediate_values for trial in fitted.study_.trials)


def test_a_study_can_be_continued_on_the_same_data(iris):
    options = {"cv": 2, "random_state": 0}
    first = WarmStartSearchCV(SVC(), C, n_trials=2, **options).fit(*iris)
    scores = list(first.cv_results_["mean_test_score"])
    more = WarmStartSearchCV(SVC(), C, n_trials=3, study=first.study_, **options).fit(*iris)
    assert more.study_ is first.study_
    assert len(more.cv_results_["params"]) == 5
    assert list(more.cv_results_["mean_test_score"][:2]) == scores
    assert list(more.cv_results_["trial_number"]) == [0, 1, 2, 3, 4]


def test_a_study_of_ones_own_keeps_its_sampler_and_what_was_enqueued(iris):
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.enqueue_trial({"C": 3.0})
    search = WarmStartSearchCV(SVC(), C, n_trials=2, cv=2, study=study).fit(*iris)
    assert study.sampler is sampler
    assert search.cv_results_["params"][0] == {"C": 3.0}


def test_a_study_that_was_made_or_loaded_without_a_sampler_is_warm(iris, tmp_path):
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "study.log")))
    made = optuna.create_study(storage=storage, study_name="svm", direction="maximize")
    options = {"n_trials": 2, "cv": 2, "random_state": 0}
    WarmStartSearchCV(SVC(), study=made, **options).fit(*iris)
    loaded = optuna.load_study(storage=storage, study_name="svm")
    WarmStartSearchCV(SVC(), study=loaded, **options).fit(*iris)
    assert list(explain(loaded)["by"]) == ["meta-learner"] * 4
    tpe = optuna.samplers.TPESampler(seed=0)
    cold = optuna.create_study(direction="maximize")
    WarmStartSearchCV(SVC(), study=cold, sampler=tpe, **options).fit(*iris)
    assert list(explain(cold)["by"]) == ["then"] * 2


def test_where_nothing_is_known_a_study_keeps_its_own_tpe(iris):
    tpe = optuna.samplers.TPESampler(multivariate=True, seed=0)
    study = optuna.create_study(direction="maximize", sampler=tpe)
    space = {"var_smoothing": FloatDistribution(1e-9, 1e-3, log=True)}
    WarmStartSearchCV(GaussianNB(), space, n_trials=2, cv=2, study=study).fit(*iris)
    assert study.sampler is tpe


def test_a_study_keeps_what_it_needs_to_show_its_trials_in_its_storage(iris, tmp_path):
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "study.log")))
    study = optuna.create_study(storage=storage, study_name="svm", direction="maximize")
    options = {"cv": 2, "random_state": 0}
    first = WarmStartSearchCV(SVC(), C, n_trials=2, study=study, **options).fit(*iris)
    loaded = optuna.load_study(storage=storage, study_name="svm")
    more = WarmStartSearchCV(SVC(), C, n_trials=1, study=loaded, **options).fit(*iris)
    for key in ("mean_test_score", "mean_fit_time", "split0_test_score"):
        np.testing.assert_array_equal(more.cv_results_[key][:2], first.cv_results_[key])


def test_the_space_may_be_a_function_of_a_trial(iris):
    def space(trial):
        kernel = trial.suggest_categorical("kernel", ["linear", "rbf"])
        params = {"kernel": kernel, "C": 10 ** trial.suggest_float("log_C", -2, 2)}
        if kernel == "rbf":
            params["gamma"] = trial.suggest_float("gamma", 1e-3, 1.0, log=True)
        return params

    search = WarmStartSearchCV(SVC(), space, n_trials=4, cv=2, random_state=0)
    assert not hasattr(search, "space_")
    search.fit(*iris)
    assert search.best_params_["C"] == search.best_estimator_.C
    assert "log_C" not in search.best_params_
    assert {"kernel", "log_C"} <= set(search.space_.parameters)


def test_a_function_may_give_up_a_configuration(iris):
    def space(trial):
        C = trial.suggest_float("C", 0.1, 10.0)
        if trial.number == 1:
            raise optuna.TrialPruned
        return {"C": C}

    search = WarmStartSearchCV(SVC(), space, n_trials=3, cv=2).fit(*iris)
    assert [t.state.name for t in search.study_.trials] == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert list(search.cv_results_["trial_number"]) == [0, 2]


def test_a_function_that_gives_no_parameters_is_refused(iris):
    search = WarmStartSearchCV(SVC(), lambda trial: None, n_trials=2, cv=2)
    with pytest.raises(SearchSpaceError, match=r"gave None; expected a dict of parameters"):
        search.fit(*iris)
