"""LightGBM's own training API: parameter dicts under its aliases, and Datasets."""

from __future__ import annotations

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.model_selection import StratifiedKFold

from warmstart.catalogue import resolve_estimator
from warmstart.errors import SearchSpaceError
from warmstart.explanation import explain
from warmstart.lightgbm import describe_dataset, suggest_params, tune
from warmstart.lightgbm_params import _TUNED, CLASSIFIER, PATIENCE, REGRESSOR, ROUNDS, tuned
from warmstart.matching import Matcher
from warmstart.provenance import META_LEARNER, read_provenance
from warmstart.sampler import WarmStartSampler
from warmstart.search_spaces import search_space

lightgbm = pytest.importorskip("lightgbm", reason="LightGBM is an optional dependency")
BINARY = {"objective": "binary", "metric": "auc", "num_threads": 1, "deterministic": True}
FEW = {"nfold": 2, "n_trials": 2}


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return X[::3], y[::3]


@pytest.fixture
def data(cancer):
    return lightgbm.Dataset(*cancer)


@pytest.fixture
def calls(monkeypatch):
    """The parameters and settings of each call of ``lightgbm.cv``."""
    listed = []
    cv = lightgbm.cv

    def recorded(params, train_set, **settings):
        listed.append((dict(params), settings))
        return cv(params, train_set, **settings)

    monkeypatch.setattr(lightgbm, "cv", recorded)
    return listed


class TestNames:
    def test_they_are_all_that_lightgbm_knows_of_what_is_tuned(self):
        for names in _TUNED.values():
            assert lightgbm.basic._ConfigAliases.get(names[0]) == set(names)
        for names in (ROUNDS, PATIENCE):
            assert lightgbm.basic._ConfigAliases.get(names[0]) == set(names)

    @pytest.mark.parametrize("estimator", [CLASSIFIER, REGRESSOR])
    def test_the_sampler_knows_what_each_of_them_stands_for(self, estimator):
        matcher = Matcher(resolve_estimator(estimator))
        space = search_space(estimator)
        for canonical, names in _TUNED.items():
            for name in names:
                assert matcher.match(name, space.parameters[canonical]).canonical == canonical

    def test_all_that_is_tuned_of_the_class_is_tuned_but_rounds_and_weights_of_classes(self):
        left_out = {"n_estimators", "class_weight"}
        assert set(_TUNED) == set(search_space(CLASSIFIER).parameters) - left_out

    @pytest.mark.parametrize(
        ("alias", "name"),
        [
            ("eta", "learning_rate"),
            ("num_leaf", "num_leaves"),
            ("sub_feature", "feature_fraction"),
            ("subsample", "bagging_fraction"),
            ("reg_alpha", "lambda_l1"),
            ("lambda", "lambda_l2"),
            ("min_child_samples", "min_data_in_leaf"),
        ],
    )
    def test_what_is_given_under_an_alias_is_not_tuned(self, alias, name):
        assert set(tuned({})) - set(tuned({alias: 0.5})) == {name}

    def test_one_parameter_under_two_names_is_refused(self):
        with pytest.raises(SearchSpaceError, match=r"\['learning_rate', 'eta'\] given"):
            tuned({"eta": 0.1, "learning_rate": 0.2})


class TestSuggestedParams:
    def test_they_are_what_is_given_and_what_the_trial_was_asked_for(self):
        trial = optuna.create_study().ask()
        params = suggest_params(trial, {"objective": "binary", "eta": 0.05})
        assert params == {"objective": "binary", "eta": 0.05, **trial.params}
        assert trial.params["eta"] == 0.05
        assert len(trial.params) == len(_TUNED)

    def test_what_is_fixed_is_what_the_others_are_chosen_for(self):
        def proposed(eta):
            sampler = WarmStartSampler(estimator=CLASSIFIER, seed=0)
            trial = optuna.create_study(sampler=sampler).ask()
            return suggest_params(trial, {"objective": "binary", **eta})

        default, slow = proposed({"eta": 0.1}), proposed({"eta": 0.005})
        assert default["num_leaves"] != slow["num_leaves"]

    @pytest.mark.parametrize(
        "given", [{"lambda_l1": 0}, {"extra_trees": True}, {"num_leaf": 7.0}, {"max_depth": -1}]
    )
    def test_what_is_fixed_stays_of_its_own_type(self, given):
        params = suggest_params(optuna.create_study().ask(), given)
        (name,) = given
        assert repr(params[name]) == repr(given[name])

    def test_a_distribution_is_asked_for_under_the_users_own_name(self):
        trial = optuna.create_study().ask()
        params = suggest_params(trial, {"num_leaf": IntDistribution(3, 5)})
        assert 3 <= params["num_leaf"] <= 5
        assert "num_leaves" not in params

    def test_they_train_a_booster(self, data):
        params = suggest_params(optuna.create_study().ask(), BINARY)
        booster = lightgbm.train({**params, "verbosity": -1}, data, 3)
        assert booster.params["lambda_l1"] == params["lambda_l1"]


class TestTuning:
    def test_the_first_trials_are_the_meta_learners(self, data):
        found = tune(BINARY, data, 10, **FEW)
        for trial in found.study.trials:
            assert read_provenance(trial.user_attrs).by == META_LEARNER
        assert found.study.direction.name == "MAXIMIZE"
        assert found.metric == "auc"
        assert 0.9 < found.best_score == found.study.best_value <= 1

    def test_what_is_given_reaches_lightgbm_as_it_is(self, data, calls):
        own = {"eta": 0.2, "sub_feature": 0.7, "is_unbalance": True, "max_bin": 31}
        found = tune({**BINARY, **own}, data, 5, **FEW)
        for params, _ in calls:
            assert {name: params[name] for name in own} == own
            assert not {"learning_rate", "feature_fraction"} & set(params)
        assert {name: found.best_params[name] for name in own} == own

    @pytest.mark.parametrize(
        "given", [{"boosting": "goss"}, {"data_sample_strategy": "goss"}, {"boosting": "rf"}]
    )
    def test_forests_and_sampling_by_gradient_are_tuned_as_lightgbm_takes_them(self, given, data):
        found = tune({**BINARY, **given}, data, 5, **FEW)
        assert {trial.state.name for trial in found.study.trials} == {"COMPLETE"}
        assert ("bagging_fraction" in found.best_params) == (given == {"boosting": "rf"})

    def test_early_stopping_finds_the_rounds_with_the_best_score(self, data):
        found = tune({**BINARY, "eta": 0.5}, data, 200, early_stopping_rounds=5, **FEW)
        assert 1 <= found.best_iteration < 200
        cv = {"nfold": 2, "stratified": True, "seed": 0}
        scores = lightgbm.cv(found.best_params, data, found.best_iteration, **cv)
        assert scores["valid auc-mean"][-1] == pytest.approx(found.best_score)
        assert max(scores["valid auc-mean"]) == pytest.approx(found.best_score)

    def test_without_early_stopping_all_rounds_are_taken(self, data):
        found = tune(BINARY, data, 7, early_stopping_rounds=None, **FEW)
        assert found.best_iteration == 7

    def test_rounds_and_patience_in_the_params_count(self, data, calls):
        params = {**BINARY, "n_estimators": 4, "n_iter_no_change": 2}
        found = tune(params, data, **FEW)
        assert [settings["num_boost_round"] for _, settings in calls[1:]] == [4, 4]
        assert all(len(settings["callbacks"]) == 2 for _, settings in calls)
        assert not {"n_estimators", "n_iter_no_change"} & set(found.best_params)
        assert found.best_iteration <= 4

    def test_the_last_validation_set_is_the_judge_where_there_are_some(self, cancer):
        X, y = cancer
        train = lightgbm.Dataset(X[:120], y[:120])
        valid = train.create_valid(X[120:], y[120:])
        found = tune(BINARY, train, 20, valid_sets=[train, valid], n_trials=2)
        record = {}
        lightgbm.train(
            found.best_params,
            train,
            found.best_iteration,
            valid_sets=[valid],
            callbacks=[lightgbm.record_evaluation(record)],
        )
        assert record["valid_0"]["auc"][-1] == pytest.approx(found.best_score)

    def test_a_regression_is_minimised_without_stratified_folds(self):
        X, y = load_diabetes(return_X_y=True)
        params = {"metric": ["l1", "l2"], "num_threads": 1}
        found = tune(params, lightgbm.Dataset(X, y), 5, **FEW)
        assert found.metric == "l1"
        assert found.study.direction.name == "MINIMIZE"
        assert read_provenance(found.study.trials[0].user_attrs).estimator == REGRESSOR

    def test_columns_that_the_dataset_calls_categorical_are_described_as_such(self, cancer):
        X, y = cancer
        frame = pd.DataFrame({"code": np.arange(len(y)) % 4, "x": X[:, 0], "z": X[:, 1]})
        data = lightgbm.Dataset(frame, y, categorical_feature=["code"])
        told, untold = (describe_dataset(d, BINARY) for d in (data, lightgbm.Dataset(frame, y)))
        # The classes count as one more.
        assert told.metafeatures["NumberOfSymbolicFeatures"] == 2
        assert untold.metafeatures["NumberOfSymbolicFeatures"] == 1

    def test_a_dataset_whose_columns_were_filtered_is_lightgbms_own_error(self, data):
        data.construct()
        with pytest.raises(lightgbm.basic.LightGBMError, match="feature_pre_filter"):
            tune(BINARY, data, 3, **FEW)

    def test_a_dataset_without_its_data_is_tuned_all_the_same(self, cancer):
        data = lightgbm.Dataset(*cancer, params={"feature_pre_filter": False, "verbosity": -1})
        data.construct()
        assert describe_dataset(data, BINARY) is None
        assert tune(BINARY, data, 3, **FEW).best_score > 0.9

    def test_a_metric_of_the_users_own_has_its_own_direction(self, data):
        def lowest(predictions, train):
            return "lowest", float(predictions.min()), True

        found = tune({**BINARY, "metric": "None"}, data, 3, feval=lowest, **FEW)
        assert (found.metric, found.study.direction.name) == ("lowest", "MAXIMIZE")

    def test_folds_of_positions_serve_every_trial(self, data, calls):
        halves = np.arange(190) % 2
        pairs = ((np.flatnonzero(halves != k), np.flatnonzero(halves == k)) for k in range(2))
        found = tune(BINARY, data, 3, folds=pairs, n_trials=2)
        assert len(found.study.trials) == 2
        assert [len(settings["folds"]) for _, settings in calls] == [2, 2, 2]

    def test_folds_may_be_scikit_learns(self, data):
        splitter = StratifiedKFold(2, shuffle=True, random_state=0)
        assert tune(BINARY, data, 3, folds=splitter, n_trials=1).best_score > 0.9

    def test_rounds_are_not_searched(self, data):
        params = {**BINARY, "n_estimators": IntDistribution(10, 100)}
        with pytest.raises(SearchSpaceError, match="early stopping finds the rounds"):
            tune(params, data, **FEW)

    def test_a_study_goes_on(self, data):
        study = tune(BINARY, data, 3, **FEW).study
        again = tune(BINARY, data, 3, nfold=2, n_trials=1, study=study)
        assert again.study is study
        assert len(study.trials) == 3

    def test_a_study_made_or_loaded_without_a_sampler_is_warm(self, data, tmp_path):
        storage = JournalStorage(JournalFileBackend(str(tmp_path / "study.log")))
        study = optuna.create_study(storage=storage, study_name="boosted", direction="maximize")
        tune(BINARY, data, 3, study=study, **FEW)
        loaded = optuna.load_study(storage=storage, study_name="boosted")
        tune(BINARY, data, 3, study=loaded, **FEW)
        assert list(explain(loaded)["by"]) == ["meta-learner"] * 4

    def test_a_study_keeps_a_sampler_of_its_own(self, data):
        own = optuna.samplers.RandomSampler(seed=0)
        study = optuna.create_study(direction="maximize", sampler=own)
        tune(BINARY, data, 3, study=study, **FEW)
        assert study.sampler is own

    def test_a_sampler_takes_the_place_of_the_studys(self, data):
        cold = optuna.create_study(direction="maximize")
        sampler = optuna.samplers.TPESampler(seed=0)
        tune(BINARY, data, 3, study=cold, sampler=sampler, **FEW)
        assert cold.sampler is sampler
        assert list(explain(cold)["by"]) == ["then"] * 2

    def test_same_seed_same_trials(self, cancer):
        first, second = (
            tune(BINARY, lightgbm.Dataset(*cancer), 5, **FEW, seed=3).study.trials
            for _ in range(2)
        )
        assert [(t.params, t.value) for t in first] == [(t.params, t.value) for t in second]

    def test_params_that_lightgbm_refuses_fail_and_the_others_go_on(self, data):
        # A random forest needs bagging, which leaves out some rows.
        params = {**BINARY, "boosting": "rf", "bagging_freq": 1}
        params["bagging_fraction"] = FloatDistribution(0.5, 1.0)
        sampler = optuna.samplers.GridSampler({"bagging_fraction": [1.0, 0.5]}, seed=0)
        found = tune({**params, **FIXED}, data, 3, nfold=2, n_trials=2, sampler=sampler)
        assert sorted(t.state.name for t in found.study.trials) == ["COMPLETE", "FAIL"]
        assert found.best_params["bagging_fraction"] == 0.5

    def test_what_can_not_be_fitted_at_all_is_lightgbms_own_error(self, cancer):
        X, _ = cancer
        data = lightgbm.Dataset(X, -1.0 - np.arange(len(X)) % 2)
        with pytest.raises(lightgbm.basic.LightGBMError):
            tune({**BINARY, "objective": "poisson"}, data, 3, **FEW)

    def test_a_study_of_the_other_direction_is_refused(self, data):
        with pytest.raises(ValueError, match="to minimize given; expected one to maximize"):
            tune(BINARY, data, 3, study=optuna.create_study(), **FEW)

    def test_a_study_of_other_params_is_refused_but_not_of_the_same_in_other_words(self, data):
        study = tune({**BINARY, "eta": 0.1}, data, 3, **FEW).study
        with pytest.raises(ValueError, match=r"other values of .*is_unbalance"):
            tune({**BINARY, "eta": 0.1, "is_unbalance": True}, data, 3, study=study, **FEW)
        same = {"learning_rate": np.float64(0.1), "n_jobs": 1, "verbose": -1}
        tune({**BINARY, **same}, data, 3, nfold=2, n_trials=1, study=study)
        assert len(study.trials) == 3

    def test_a_study_of_something_else_is_refused(self, data):
        study = optuna.create_study(direction="maximize")
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), 1)
        with pytest.raises(ValueError, match="has trials of something else"):
            tune(BINARY, data, 3, study=study, **FEW)

    @pytest.mark.parametrize(("bad", "said"), [(np.nan, "NaN"), (np.inf, "infinity")])
    def test_labels_that_lightgbm_would_take_for_other_numbers_are_refused(self, bad, said):
        X, y = load_diabetes(return_X_y=True)
        y[7] = bad
        with pytest.raises(ValueError, match=f"Input y contains {said} in 1 of 442 rows, first"):
            tune({"num_threads": 1}, lightgbm.Dataset(X, y), 3, **FEW)

    def test_nothing_evaluated_is_an_error(self, data):
        with pytest.raises(ValueError, match="LightGBM evaluated nothing"):
            tune({**BINARY, "metric": "None"}, data, 3, early_stopping_rounds=None, **FEW)


#: All but the bagging.
FIXED = {
    "eta": 0.1,
    "num_leaves": 5,
    "max_depth": 3,
    "min_data": 5,
    "feature_fraction": 1.0,
    "lambda_l1": 0.0,
    "lambda_l2": 0.0,
    "min_gain_to_split": 0.0,
    "extra_trees": False,
}
