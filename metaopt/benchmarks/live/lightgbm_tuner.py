"""``optuna_integration``'s LightGBMTuner, as its users call it, on the folds of a benchmark."""

from __future__ import annotations

import contextlib
import time
import warnings
from importlib import import_module
from typing import Any, Final

import numpy as np
import optuna

from metaopt.benchmarks.live.studies import Setting, Trials
from metaopt.collect.preparation import Fold

#: Rounds of boosting and of patience: the defaults of the tuner and of its documentation.
MOST_ROUNDS: Final = 1000
PATIENCE: Final = 100


class _Enough(Exception):
    """The number of trials is reached; the tuner itself has no such limit."""


def run_lightgbm_tuner(setting: Setting) -> Trials:
    """The first trials of ``LightGBMTunerCV``; early stopping on the folds finds the rounds.

    For the test split, a model is fitted to all rows to tune on, with as many rounds.
    """
    import lightgbm

    trials = Trials()
    task = setting.task
    fold = task.test_fold(setting.estimator)
    most_rounds = min(MOST_ROUNDS, setting.max_trees or MOST_ROUNDS)
    arguments: dict[str, Any] = {
        "num_boost_round": most_rounds,
        "folds": _folds(setting),
        "callbacks": [lightgbm.early_stopping(PATIENCE, verbose=False)],
    }

    def dataset() -> Any:
        nominal = list(fold.nominal)
        return lightgbm.Dataset(fold.X_train, fold.y_train, categorical_feature=nominal)

    def test() -> float:
        params = {**tuner.lgbm_params, **tuner.best_params}
        scores: dict[str, Any] = lightgbm.cv(params, dataset(), **arguments)
        rounds = len(next(iter(scores.values())))
        booster = lightgbm.train(params, dataset(), num_boost_round=rounds)
        return setting.loss(_predictions(booster, fold, task.search.kind), fold.y_test)

    started = time.process_time()

    def after(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        nonlocal started
        assert trial.value is not None
        spent = time.process_time() - started
        # In units of the standardised target where it is one.
        trials.add(trial.value * fold.scale, seconds=spent, test=test)
        if len(trials.losses) >= setting.n_trials:
            raise _Enough
        started = time.process_time()

    tuner = import_module("optuna_integration.lightgbm").LightGBMTunerCV(
        _params(setting),
        dataset(),
        **arguments,
        optuna_callbacks=[after],
        show_progress_bar=False,
        optuna_seed=setting.seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(_Enough):
            tuner.run()
    return trials


def _params(setting: Setting) -> dict[str, Any]:
    search = setting.task.search
    if search.kind == "regression":
        objective = {"objective": "regression", "metric": "rmse"}
    elif search.n_classes == 2:
        objective = {"objective": "binary", "metric": "binary_error"}
    else:
        objective = {"objective": "multiclass", "metric": "multi_error"}
    several = {"num_class": search.n_classes} if search.n_classes > 2 else {}
    quiet = {"verbosity": -1, "num_threads": 1, "seed": 0, "deterministic": True}
    return {**objective, **several, **quiet}


def _folds(setting: Setting) -> Any:
    """The splitter that makes the folds of every other method."""
    from sklearn.model_selection import KFold, StratifiedKFold

    kind = setting.task.search.kind
    splitter = StratifiedKFold if kind == "classification" else KFold
    return splitter(setting.n_folds, shuffle=True, random_state=0)


def _predictions(booster: Any, fold: Fold, kind: str) -> np.ndarray:
    scores = np.asarray(booster.predict(fold.X_test))
    if kind == "regression":
        return scores * fold.scale + fold.mean
    return scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0.5).astype(int)
