"""LightGBM tuned by its own training API, with early stopping on the folds of a benchmark.

Two ways: ``optuna_integration``'s LightGBMTuner as its users call it, and ``warmstart.lightgbm``.
For the test split, a model is fitted to all rows to tune on, with as many rounds as were best on
the folds.
"""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna

from metaopt.benchmarks.live.studies import Setting, Trials, warm_start_sampler
from metaopt.collect.preparation import Fold
from warmstart.provenance import META_LEARNER, read_provenance

#: Rounds of boosting and of patience: the defaults of the tuner and of its documentation.
MOST_ROUNDS: Final = 1000
PATIENCE: Final = 100


class _Enough(Exception):
    """The number of trials is reached; the tuner itself has no such limit."""


class _Data:
    """The rows of a setting as LightGBM's API has them."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.fold: Fold = setting.task.test_fold(setting.estimator)
        self.most_rounds = min(MOST_ROUNDS, setting.max_trees or MOST_ROUNDS)

    def dataset(self) -> Any:
        """The rows to tune on."""
        import lightgbm

        nominal = list(self.fold.nominal)
        return lightgbm.Dataset(self.fold.X_train, self.fold.y_train, categorical_feature=nominal)

    def params(self) -> dict[str, Any]:
        """What a user would give: the task, and nothing that is to be tuned."""
        search = self.setting.task.search
        if search.kind == "regression":
            objective: dict[str, Any] = {"objective": "regression", "metric": "rmse"}
        elif search.n_classes == 2:
            objective = {"objective": "binary", "metric": "binary_error"}
        else:
            objective = {"objective": "multiclass", "metric": "multi_error"}
            objective["num_class"] = search.n_classes
        quiet = {"verbosity": -1, "num_threads": 1, "seed": 0, "deterministic": True}
        return {**objective, **quiet}

    def splitter(self) -> Any:
        """What makes the folds of every other method."""
        from sklearn.model_selection import KFold, StratifiedKFold

        is_classification = self.setting.task.search.kind == "classification"
        splitter = StratifiedKFold if is_classification else KFold
        return splitter(self.setting.n_folds, shuffle=True, random_state=0)

    def test(self, params: Mapping[str, Any], rounds: int) -> float:
        """The loss on the test split."""
        import lightgbm

        booster = lightgbm.train(dict(params), self.dataset(), num_boost_round=rounds)
        scores = np.asarray(booster.predict(self.fold.X_test))
        if self.setting.task.search.kind == "regression":
            predicted = scores * self.fold.scale + self.fold.mean
        else:
            predicted = scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0.5).astype(int)
        return self.setting.loss(predicted, self.fold.y_test)


def run_lightgbm_tuner(setting: Setting) -> Trials:
    """The first trials of ``LightGBMTunerCV``."""
    import lightgbm

    data = _Data(setting)
    trials = Trials()
    arguments: dict[str, Any] = {
        "num_boost_round": data.most_rounds,
        "folds": data.splitter(),
        "callbacks": [lightgbm.early_stopping(PATIENCE, verbose=False)],
    }

    def test() -> float:
        params = {**tuner.lgbm_params, **tuner.best_params}
        scores: dict[str, Any] = lightgbm.cv(params, data.dataset(), **arguments)
        return data.test(params, len(next(iter(scores.values()))))

    started = time.process_time()

    def after(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        nonlocal started
        assert trial.value is not None
        spent = time.process_time() - started
        # In units of the standardised target where it is one.
        trials.add(trial.value * data.fold.scale, seconds=spent, test=test)
        if len(trials.losses) >= setting.n_trials:
            raise _Enough
        started = time.process_time()

    tuner = import_module("optuna_integration.lightgbm").LightGBMTunerCV(
        data.params(),
        data.dataset(),
        **arguments,
        optuna_callbacks=[after],
        show_progress_bar=False,
        optuna_seed=setting.seed,
    )
    with warnings.catch_warnings(), contextlib.suppress(_Enough):
        warnings.simplefilter("ignore")
        tuner.run()
    return trials


def run_lightgbm_tune(setting: Setting, artifact: Path | None) -> Trials:
    """``warmstart.lightgbm.tune`` with an artifact."""
    from warmstart.lightgbm import tune

    data = _Data(setting)
    trials = Trials()
    params = {**data.params(), "feature_pre_filter": False}
    started = time.process_time()

    def after(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        nonlocal started
        spent = time.process_time() - started
        said = read_provenance(trial.user_attrs)
        trials.add(
            np.nan if trial.value is None else trial.value * data.fold.scale,
            seconds=spent,
            test=lambda: data.test(
                {**params, **trial.params}, trial.user_attrs["lightgbm"]["rounds"]
            ),
            proposed=None if said is None else said.by == META_LEARNER,
        )
        started = time.process_time()

    tune(
        params,
        data.dataset(),
        data.most_rounds,
        folds=data.splitter(),
        early_stopping_rounds=PATIENCE,
        n_trials=setting.n_trials,
        sampler=warm_start_sampler(setting, artifact),
        callbacks=[after],
    )
    return trials
