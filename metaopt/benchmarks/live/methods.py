"""The methods that are compared on real fits."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import optuna

from metaopt.benchmarks.live.lightgbm_api import run_lightgbm_tune, run_lightgbm_tuner
from metaopt.benchmarks.live.options import (
    DEFAULT,
    OWN_TUNER,
    PRODUCT,
    REFERENCE,
    TUNER,
    ZERO_SHOT,
)
from metaopt.benchmarks.live.studies import (
    Setting,
    Trials,
    run_configurations,
    run_sampler,
    warm_start_sampler,
)
from warmstart.search_spaces import default_configuration

#: What FLAML calls the estimators that it has zero-shot configurations of.
_FLAML: Final = {
    "lightgbm.LGBMClassifier": "lgbm",
    "lightgbm.LGBMRegressor": "lgbm",
    "xgboost.XGBClassifier": "xgboost",
    "xgboost.XGBRegressor": "xgboost",
    "sklearn.ensemble.RandomForestClassifier": "rf",
    "sklearn.ensemble.RandomForestRegressor": "rf",
    "sklearn.ensemble.ExtraTreesClassifier": "extra_tree",
    "sklearn.ensemble.ExtraTreesRegressor": "extra_tree",
}
_LIGHTGBM: Final = ("lightgbm.LGBMClassifier", "lightgbm.LGBMRegressor")

Run = Callable[[Setting, Path | None], Trials]


@dataclass(frozen=True)
class LiveMethod:
    """One way to choose configurations.

    Attributes:
        name: Unique among methods.
        run: Maps a setting, and the artifact if it has one, to trials.
        is_trained: Whether it needs an artifact.
        estimators: Those that it is for; None for all.
        package: A package that it needs beside the benchmark's own, and what installs it.
        max_trials: In one study.
        max_seeds: Of each data set, for slow methods.
        modules: Packages whose code the results depend on beside the benchmark's own.
    """

    name: str
    run: Run
    is_trained: bool = False
    estimators: Sequence[str] | None = None
    package: tuple[str, str] | None = None
    max_trials: int | None = None
    max_seeds: int | None = None
    modules: tuple[str, ...] = ()

    def is_for(self, estimator: str) -> bool:
        """Whether it can tune an estimator."""
        return self.estimators is None or estimator in self.estimators

    def why_missing(self) -> str:
        """Why it can't run here, and what to do; empty if it can."""
        if self.package is None or importlib.util.find_spec(self.package[0]) is not None:
            return ""
        name, install = self.package
        return f"{name} is not installed: pip install {install}"


def _warmstart(setting: Setting, artifact: Path | None) -> Trials:
    return run_sampler(setting, lambda: warm_start_sampler(setting, artifact))


def _tpe(setting: Setting, artifact: Path | None) -> Trials:
    return run_sampler(setting, lambda: optuna.samplers.TPESampler(seed=setting.seed))


def _gp(setting: Setting, artifact: Path | None) -> Trials:
    return run_sampler(setting, lambda: optuna.samplers.GPSampler(seed=setting.seed))


def _random(setting: Setting, artifact: Path | None) -> Trials:
    return run_sampler(setting, lambda: optuna.samplers.RandomSampler(seed=setting.seed))


def _default(setting: Setting, artifact: Path | None) -> Trials:
    space = setting.task.space(setting.estimator, max_trees=setting.max_trees)
    return run_configurations(setting, lambda: [default_configuration(setting.estimator, space)])


def _flaml(setting: Setting, artifact: Path | None) -> Trials:
    """FLAML's zero-shot configuration; it sees the same rows, and the same preprocessing after."""

    def propose() -> list[Mapping[str, Any]]:
        search = setting.task.search
        proposed, _ = import_module("flaml.default").suggest_hyperparams(
            search.kind, search.X, search.y, _FLAML[setting.estimator]
        )
        return [{k: v for k, v in proposed.items() if k not in ("verbose", "verbosity")}]

    return run_configurations(setting, propose)


def _lightgbm_tuner(setting: Setting, artifact: Path | None) -> Trials:
    return run_lightgbm_tuner(setting)


METHODS: Final[Mapping[str, LiveMethod]] = {
    method.name: method
    for method in (
        LiveMethod(PRODUCT, _warmstart, is_trained=True, modules=("warmstart",)),
        LiveMethod(REFERENCE, _tpe),
        LiveMethod("gp", _gp, package=("torch", "torch"), max_seeds=1),
        LiveMethod("random", _random),
        LiveMethod(DEFAULT, _default, max_trials=1),
        LiveMethod(
            ZERO_SHOT,
            _flaml,
            estimators=tuple(_FLAML),
            package=("flaml", "flaml"),
            max_trials=1,
        ),
        LiveMethod(
            OWN_TUNER,
            run_lightgbm_tune,
            is_trained=True,
            estimators=_LIGHTGBM,
            modules=("warmstart",),
        ),
        LiveMethod(
            TUNER,
            _lightgbm_tuner,
            estimators=_LIGHTGBM,
            package=("optuna_integration", "optuna-integration"),
        ),
    )
}
