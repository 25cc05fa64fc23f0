"""LightGBM's parameter dicts: what of them is tuned, under which of LightGBM's names.

Names, aliases and objectives are those documented for LightGBM 4.7.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any, Final

from optuna.distributions import BaseDistribution

from warmstart.distributions import parameter_of, suggest_value
from warmstart.errors import SearchSpaceError
from warmstart.search_spaces import search_space
from warmstart.space import Categorical, Float, Integer, Parameter

if TYPE_CHECKING:
    from optuna.trial import Trial

    from warmstart.descriptor import TaskDescriptor

CLASSIFIER: Final = "lightgbm.LGBMClassifier"
REGRESSOR: Final = "lightgbm.LGBMRegressor"

#: The main name in a parameter dict of what the class calls by another, and all that it goes by.
_TUNED: Final[Mapping[str, tuple[str, ...]]] = {
    "learning_rate": ("learning_rate", "shrinkage_rate", "eta"),
    "num_leaves": ("num_leaves", "num_leaf", "max_leaves", "max_leaf", "max_leaf_nodes"),
    "max_depth": ("max_depth",),
    "min_child_samples": (
        *("min_data_in_leaf", "min_data_per_leaf", "min_data"),
        *("min_child_samples", "min_samples_leaf"),
    ),
    "subsample": ("bagging_fraction", "sub_row", "subsample", "bagging"),
    "subsample_freq": ("bagging_freq", "subsample_freq"),
    "colsample_bytree": ("feature_fraction", "sub_feature", "colsample_bytree"),
    "reg_alpha": ("lambda_l1", "reg_alpha", "l1_regularization"),
    "reg_lambda": ("lambda_l2", "reg_lambda", "lambda", "l2_regularization"),
    "min_split_gain": ("min_gain_to_split", "min_split_gain"),
    "extra_trees": ("extra_trees", "extra_tree"),
}
ROUNDS: Final = (
    *("num_iterations", "num_iteration", "n_iter", "num_tree", "num_trees", "num_round"),
    *("num_rounds", "nrounds", "num_boost_round", "n_estimators", "max_iter"),
)
PATIENCE: Final = (
    *("early_stopping_round", "early_stopping_rounds", "early_stopping", "n_iter_no_change"),
)
_BOOSTING: Final = ("boosting", "boosting_type", "boost")
_FORESTS: Final = ("rf", "random_forest")
#: On the ranges that LightGBM's forests take; its sampling by gradient takes none at all.
_BAGGING: Final[Mapping[str, Parameter]] = {
    "subsample": Float(0.3, 0.95),
    "subsample_freq": Integer(1, 7),
}
VERBOSITY: Final = ("verbosity", "verbose")
THREADS: Final = ("num_threads", "num_thread", "nthread", "nthreads", "n_jobs")
_OBJECTIVE: Final = ("objective", "objective_type", "app", "application", "loss")
_CLASSIFYING: Final = frozenset(
    ("binary", "multiclass", "softmax", "multiclassova", "multiclass_ova", "ova", "ovr")
)


def given(params: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    """The value of the first of some names that is in a parameter dict; None if none is."""
    return next((params[name] for name in names if name in params), None)


def without(params: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """A parameter dict without some names."""
    return {name: value for name, value in params.items() if name not in names}


def estimator_of(params: Mapping[str, Any]) -> str:
    """The estimator whose histories are about the objective of a parameter dict."""
    objective = given(params, _OBJECTIVE)
    return CLASSIFIER if objective in _CLASSIFYING else REGRESSOR


def suggest_params(
    trial: Trial, params: Mapping[str, Any] | None = None, *, task: TaskDescriptor | None = None
) -> dict[str, Any]:
    """A parameter dict for ``lightgbm.train`` or ``lightgbm.cv``, from a trial.

    What ``params`` has under any of LightGBM's names stays as it is, and the study shows it; where
    it has one of Optuna's distributions, that is asked for, under the same name. Of the others
    these are tuned on the ranges that people use: the learning rate, leaves, depth, rows of a
    leaf, bagging, the share of columns, both penalties, the least gain of a split, and extremely
    random trees. The number of rounds is not: leave it to early stopping.

    Args:
        trial: A running trial, whatever the sampler.
        params: Such as ``{"objective": "binary", "eta": 0.05}``.
        task: Descriptor of the data: what counts rows ends at a share of those there are.

    Raises:
        SearchSpaceError: If one parameter is given under two names.

    Example:
        >>> import optuna
        >>> trial = optuna.create_study().ask()
        >>> params = suggest_params(trial, {"objective": "binary", "eta": 0.05})
        >>> params["eta"], "learning_rate" in params, "num_leaves" in trial.params
        (0.05, False, True)
    """
    params = params or {}
    found = fixed(params)
    # First, so that the sampler knows it when it chooses the others.
    for name, parameter in _only_values(found).items():
        suggest_value(trial, name, parameter)
    for name, parameter in tuned(params, task=task).items():
        found[name] = suggest_value(trial, name, parameter)
    return found


def tuned(
    params: Mapping[str, Any], *, task: TaskDescriptor | None = None
) -> dict[str, Parameter]:
    """What is tuned beside what a parameter dict fixes, by the names that it is given or has.

    Raises:
        SearchSpaceError: If one parameter is given under two names.
    """
    space = search_space(estimator_of(params), task=task)
    free = {n: parameter_of(v) for n, v in params.items() if isinstance(v, BaseDistribution)}
    boosting = given(params, _BOOSTING)
    samples_by_gradient = "goss" in (boosting, params.get("data_sample_strategy"))
    for canonical, names in _TUNED.items():
        known = [name for name in names if name in params]
        if len(known) > 1:
            raise SearchSpaceError(
                f"{known} given, which LightGBM takes for one parameter; expected one of them."
            )
        if known or (samples_by_gradient and canonical in _BAGGING):
            continue
        parameter = space.parameters[canonical]
        if boosting in _FORESTS and canonical in _BAGGING:
            parameter = _BAGGING[canonical]
        free[names[0]] = parameter
    return free


def _only_values(params: Mapping[str, Any]) -> dict[str, Parameter]:
    """What is fixed of all that could be tuned, each as a range of one value."""
    space = search_space(REGRESSOR)
    ranges: dict[str, Parameter] = {}
    for canonical, names in _TUNED.items():
        for name in names:
            value = params.get(name)
            if not isinstance(value, int | float):
                continue
            known = space.parameters[canonical]
            if isinstance(known, Categorical):
                ranges[name] = Categorical((bool(value),))
            elif isinstance(known, Integer):
                ranges[name] = Integer(int(value), int(value))
            else:
                ranges[name] = Float(float(value), float(value))
    return ranges


def as_said(params: Mapping[str, Any]) -> dict[str, str | float]:
    """What is fixed and decides a model, under LightGBM's first names, to be kept and compared.

    Only numbers and text: anything else doesn't say what it is in another process.
    """
    said: dict[str, str | float] = {}
    for name, value in without(fixed(params), (*VERBOSITY, *THREADS)).items():
        first = next((names[0] for names in _TUNED.values() if name in names), name)
        if isinstance(value, Real):
            said[first] = float(value)
        elif isinstance(value, str):
            said[first] = value
    return said


def fixed(params: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a parameter dict that has values, not distributions."""
    return {n: value for n, value in params.items() if not isinstance(value, BaseDistribution)}
