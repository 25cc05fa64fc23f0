"""Boosting that stops where the validation fold says so: the number of trees is found."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any, Final

from sklearn.pipeline import Pipeline

#: Trees that boosting may take where the user set no number.
MOST_TREES: Final = 2000

_N_TREES: Final = "n_estimators"


def booster_path(estimator: Any) -> str | None:
    """The path of the boosting that can stop early; ``None`` if there is none.

    It is the estimator itself, or the last step of a pipeline: only there it is known what the
    validation fold looks like to it.
    """
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        inner = booster_path(last)
        return None if inner is None or isinstance(last, Pipeline) else name
    library = {base.__module__.partition(".")[0] for base in type(estimator).__mro__}
    can_stop = library & {"lightgbm", "xgboost"} and hasattr(estimator, _N_TREES)
    return "" if can_stop else None


def tree_parameter(estimator: Any) -> str | None:
    """The name of the number of trees, as ``set_params`` takes it."""
    path = booster_path(estimator)
    if path is None:
        return None
    return f"{path}__{_N_TREES}" if path else _N_TREES


def with_most_trees(estimator: Any) -> Any:
    """The estimator with ``MOST_TREES``, unless its user set a number."""
    name = tree_parameter(estimator)
    path = booster_path(estimator)
    if name is None or path is None:
        return estimator
    booster = estimator.get_params()[path] if path else estimator
    default = type(booster)().get_params()[_N_TREES]
    if booster.get_params()[_N_TREES] == default:
        estimator.set_params(**{name: MOST_TREES})
    return estimator


def fit_until_worse(
    estimator: Any,
    train: tuple[Any, Any],
    validation: tuple[Any, Any],
    *,
    rounds: int,
    fit_params: Mapping[str, Any],
    validation_weight: Any = None,
) -> int:
    """Fit, and stop when the validation fold has not become better for ``rounds`` trees.

    Args:
        estimator: With a ``booster_path``; is fitted.
        train: ``(X, y)``.
        validation: ``(X, y)``.
        rounds: Trees to wait.
        fit_params: For ``fit``: of a pipeline, by step.
        validation_weight: Sample weights of the validation fold.

    Returns:
        The number of trees that was best.
    """
    (X, y), (X_validation, y_validation) = train, validation
    booster = estimator
    own_params = dict(fit_params)
    if isinstance(estimator, Pipeline):
        name, booster = estimator.steps[-1]
        own_params = {
            key.removeprefix(f"{name}__"): value
            for key, value in fit_params.items()
            if key.startswith(f"{name}__")
        }
        if len(estimator.steps) > 1:
            others = {k: v for k, v in fit_params.items() if not k.startswith(f"{name}__")}
            head = estimator[:-1]
            X = head.fit_transform(X, y, **others)
            X_validation = head.transform(X_validation)
            # With a cache, a pipeline fits clones of its steps.
            estimator.steps = [*head.steps, (name, booster)]
    if _is_lightgbm(booster):
        return _fit_lightgbm(
            booster, X, y, X_validation, y_validation, rounds, own_params, validation_weight
        )
    return _fit_xgboost(
        booster, X, y, X_validation, y_validation, rounds, own_params, validation_weight
    )


def _is_lightgbm(booster: Any) -> bool:
    return any(base.__module__.startswith("lightgbm.") for base in type(booster).__mro__)


def _fit_lightgbm(
    booster: Any,
    X: Any,
    y: Any,
    X_validation: Any,
    y_validation: Any,
    rounds: int,
    params: dict[str, Any],
    weight: Any,
) -> int:
    import lightgbm

    callbacks = [
        *params.pop("callbacks", ()),
        lightgbm.early_stopping(rounds, verbose=False),
    ]
    if weight is not None:
        params["eval_sample_weight"] = [weight]
    if "eval_X" in signature(booster.fit).parameters:  # LightGBM from 4.7 on
        params |= {"eval_X": X_validation, "eval_y": y_validation}
    else:
        params["eval_set"] = [(X_validation, y_validation)]
    booster.fit(X, y, callbacks=callbacks, **params)
    # Boosting with dropout never stops early, and then has no best iteration.
    return int(booster.best_iteration_ or booster.n_estimators_)


def _fit_xgboost(
    booster: Any,
    X: Any,
    y: Any,
    X_validation: Any,
    y_validation: Any,
    rounds: int,
    params: dict[str, Any],
    weight: Any,
) -> int:
    if weight is not None:
        params["sample_weight_eval_set"] = [weight]
    before = booster.get_params()["early_stopping_rounds"]
    booster.set_params(early_stopping_rounds=rounds)
    params.setdefault("verbose", False)
    booster.fit(X, y, eval_set=[(X_validation, y_validation)], **params)
    booster.set_params(early_stopping_rounds=before)
    return int(booster.best_iteration) + 1
