"""The space of a search: given, inferred, or some of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from optuna.study import Study
from optuna.trial import FixedTrial, Trial

from warmstart.descriptor import TaskDescriptor
from warmstart.distributions import parameter_of
from warmstart.errors import SearchSpaceError
from warmstart.sklearn.candidates import ALONE, configured
from warmstart.sklearn.early_stopping import booster_path, tree_parameter
from warmstart.sklearn.given_space import given_space
from warmstart.sklearn.inferred_space import inferred_space
from warmstart.sklearn.tuned_space import BRANCH, TunedSpace, join_branches
from warmstart.space import SearchSpace

#: ``trial -> params``, as ``set_params`` takes them.
SpaceFunction: TypeAlias = Callable[[Trial | FixedTrial], Mapping[str, Any]]


def tuned_space(
    candidates: Mapping[str, Any],
    given: Any,
    *,
    task: TaskDescriptor | None,
    stops_early: bool,
) -> TunedSpace | None:
    """What is tuned of the candidates; ``None`` if a function says so, trial by trial.

    Args:
        candidates: Estimators by name.
        given: What the user gave: distributions by name; of several candidates, these by the
            candidates' names, or ``None`` to infer them; ``None`` to infer all; or a function.
        task: What is known of the data.
        stops_early: Whether the number of trees is found, and so not tuned.

    Raises:
        SearchSpaceError: If the space, or a part of it, can't be used.
    """
    if callable(given):
        return None
    if given is not None and not isinstance(given, Mapping):
        raise SearchSpaceError(
            f"param_distributions of type {type(given).__name__} given; expected a dict of "
            "distributions by name, a function of a trial, or None."
        )
    if stops_early and all(booster_path(estimator) is None for estimator in candidates.values()):
        raise SearchSpaceError(
            "early_stopping_rounds given; expected an estimator of LightGBM or XGBoost, or a "
            "pipeline that ends with one."
        )
    if ALONE in candidates:
        tuned = _space_of(candidates[ALONE], given, task, stops_early)
    else:
        by_name = {} if given is None else given
        unknown = sorted(set(map(str, by_name)) - set(candidates))
        if unknown:
            raise SearchSpaceError(
                f"param_distributions for {unknown} given; expected the estimators' names, "
                f"{sorted(candidates)}."
            )
        tuned = join_branches(
            {
                name: _space_of(estimator, by_name.get(name), task, stops_early)
                for name, estimator in candidates.items()
            }
        )
    _check_settable(candidates, tuned)
    return tuned


def suggested(trial: Trial | FixedTrial, function: SpaceFunction) -> dict[str, Any]:
    """What a user's function makes of a trial.

    Raises:
        SearchSpaceError: If that is not a dict of parameters by name.
    """
    params = function(trial)
    if not isinstance(params, Mapping) or not all(isinstance(name, str) for name in params):
        raise SearchSpaceError(
            f"param_distributions gave {params!r}; expected a dict of parameters by name."
        )
    return dict(params)


def seen_space(study: Study) -> SearchSpace:
    """What the trials of a study were asked for."""
    return SearchSpace(
        {
            name: parameter_of(distribution)
            for trial in study.get_trials(deepcopy=False)
            for name, distribution in trial.distributions.items()
        }
    )


def _space_of(
    estimator: Any, given: Any, task: TaskDescriptor | None, stops_early: bool
) -> TunedSpace:
    trees = tree_parameter(estimator) if stops_early else None
    if given is None:
        return inferred_space(estimator, task, found=() if trees is None else (trees,))
    if not isinstance(given, Mapping):
        raise SearchSpaceError(
            f"param_distributions of type {type(given).__name__} given for "
            f"{type(estimator).__name__}; expected a dict of distributions by name, or None."
        )
    if trees in given:
        raise SearchSpaceError(
            f"{trees!r} and early_stopping_rounds given; expected one of them: with early "
            "stopping, the number of trees is found."
        )
    return given_space(given, estimator.get_params(deep=True))


def _check_settable(candidates: Mapping[str, Any], tuned: TunedSpace) -> None:
    """Refuse parameters that an estimator does not have before anything is fitted."""
    parameters = {n: p for n, p in tuned.space.parameters.items() if n != BRANCH}
    drawn = SearchSpace(parameters).sample(1, np.random.default_rng(0))[0]
    for name in candidates:
        prefix = "" if name == ALONE else f"{name}__"
        own = {key: value for key, value in drawn.items() if key.startswith(prefix)}
        # Of a step that is itself tuned, it depends on the choice which parameters there are.
        sure = {key: value for key, value in own.items() if not _is_within_tuned(key, own)}
        configured(candidates, {**tuned.values(sure), **({BRANCH: name} if name else {})})


def _is_within_tuned(name: str, others: Mapping[str, Any]) -> bool:
    return any(name.startswith(f"{other}__") for other in others)
