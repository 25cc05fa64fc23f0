"""One configuration on the folds of one data set: what was measured, and how it ended."""

from __future__ import annotations

import importlib
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from metaopt.collect.measures import classification_measures, loss_of, regression_measures
from metaopt.collect.preparation import Fold
from warmstart.catalogue import resolve_estimator
from warmstart.space import Value
from warmstart.trial import State

_LONGEST_REASON: Final = 200
# Where an estimator has such a parameter.
_SETTINGS: Final[Mapping[str, Any]] = {"verbosity": 0, "random_state": 0}
_TAKE_ALL_THREADS: Final = ("lightgbm", "xgboost")


@dataclass(frozen=True)
class Outcome:
    """What came of one configuration.

    Attributes:
        state: How it ended: ``"pruned"`` if it was stopped before its last fold.
        loss: Mean over the folds that were fitted; NaN if it failed.
        measures: Means over these folds, the standard error of the loss, and ``n_folds``.
        seconds: All in all, of processor time: what else the machine does matters little.
        reason: Why it failed or was stopped.
    """

    state: State
    loss: float
    measures: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    reason: str = ""


def evaluate(
    estimator: str,
    configuration: Mapping[str, Value],
    folds: Sequence[Fold],
    *,
    kind: str,
    n_classes: int,
    seconds: float = math.inf,
    before_fit: Callable[[], None] = lambda: None,
) -> Outcome:
    """Fit and judge one configuration on each fold.

    Args:
        estimator: Canonical name.
        configuration: As the library takes it.
        folds: Prepared for this estimator.
        kind: Of the task.
        n_classes: Of the data set.
        seconds: It is stopped after a fold if all folds would take more processor time.
        before_fit: Called before each fold.
    """
    started = time.process_time()
    measured: list[dict[str, float]] = []
    reason = ""
    for fold in folds:
        before_fit()
        try:
            measured.append(_on_fold(estimator, configuration, fold, kind, n_classes))
        except Exception as error:  # whatever a library raises is the configuration's failure
            spent = time.process_time() - started
            return Outcome("failed", math.nan, seconds=spent, reason=_words(error))
        spent = time.process_time() - started
        foreseen = spent / len(measured) * len(folds)
        if foreseen > seconds and len(measured) < len(folds):
            reason = (
                f"stopped after {len(measured)} of {len(folds)} folds: all would take "
                f"longer than {seconds:g} s"
            )
            break
    losses = [loss_of(kind, measures) for measures in measured]
    if not all(map(math.isfinite, losses)):
        return Outcome("failed", math.nan, seconds=spent, reason="predictions are not finite")
    means = {
        name: float(np.mean([m[name] for m in measured]))
        for name in measured[0]
        if all(math.isfinite(m[name]) for m in measured)
    }
    if len(losses) > 1:
        means["loss_standard_error"] = float(np.std(losses, ddof=1) / len(losses) ** 0.5)
    means["n_folds"] = len(losses)
    state: State = "pruned" if reason else "complete"
    return Outcome(state, float(np.mean(losses)), means, spent, reason)


def build(estimator: str, configuration: Mapping[str, Value]) -> Any:
    """The estimator with a configuration, quiet, with one thread and a fixed seed."""
    module, _, class_name = estimator.rpartition(".")
    model = getattr(importlib.import_module(module), class_name)()
    settings = dict(_SETTINGS)
    if module in _TAKE_ALL_THREADS:
        settings["n_jobs"] = 1
    if estimator.startswith("lightgbm."):
        model.set_params(verbose=-1, deterministic=True)
    if estimator.endswith("AdaBoostClassifier"):
        from sklearn.tree import DecisionTreeClassifier

        settings["estimator"] = DecisionTreeClassifier(max_depth=1)
    known = model.get_params()
    model.set_params(**{name: value for name, value in settings.items() if name in known})
    return model.set_params(**configuration)


def _on_fold(
    estimator: str, configuration: Mapping[str, Value], fold: Fold, kind: str, n_classes: int
) -> dict[str, float]:
    model = build(estimator, configuration)
    told = {"categorical_feature": list(fold.nominal)} if fold.nominal else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.process_time()
        model.fit(fold.X_train, fold.y_train, **told)
        fitted = time.process_time()
        if kind == "classification":
            measures = classification_measures(model, fold, n_classes)
        else:
            measures = regression_measures(model, fold)
    return {
        **measures,
        "fit_seconds": fitted - start,
        "predict_seconds": time.process_time() - fitted,
    }


def _words(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:_LONGEST_REASON]


def is_for(estimator: str, kind: str) -> bool:
    """Whether an estimator is for this kind of task."""
    family = resolve_estimator(estimator).family
    return family == ("classifier" if kind == "classification" else "regressor")
