"""The space of an estimator, inferred from the steps that are known of it.

An estimator shows its parts in ``get_params``: the steps of a pipeline, the branches of a column
transformer, the members of an ensemble, the estimator in a wrapper. Each part that the catalogue
or ``preprocessing`` knows adds what is tuned of it, under its path. What the user set to another
value than the library's default, and what is in a ``FrozenEstimator``, stays as it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline

from warmstart.catalogue import known_estimator
from warmstart.descriptor import TaskDescriptor
from warmstart.errors import SearchSpaceError, WarmStartWarning
from warmstart.estimator import Estimator
from warmstart.search_spaces import search_space
from warmstart.sklearn.given_space import labelled
from warmstart.sklearn.preprocessing import SCALERS, another_scaler, step_objects, step_space
from warmstart.sklearn.tuned_space import TunedSpace, usual_values, without
from warmstart.space import Categorical, Condition, Parameter, SearchSpace, Value

# Trees split where they will; no scale changes what they see.
_TREES: Final = frozenset(
    {
        *("ada_boost", "forest", "gradient_boosting", "hist_gradient_boosting", "lightgbm"),
        *("tree", "xgboost"),
    }
)


def inferred_space(
    estimator: Any, task: TaskDescriptor | None, *, found: Iterable[str] = ()
) -> TunedSpace:
    """The space of an estimator and of all parts of it that are known.

    Args:
        estimator: With ``get_params``.
        task: What is known of the data.
        found: Names of what is not tuned, but found while the estimator is fitted.

    Raises:
        SearchSpaceError: If no part of it is known.
    """
    parameters: dict[str, Parameter] = {}
    conditions: dict[str, Condition] = {}
    objects: dict[str, Mapping[Value, Any]] = {}
    constants: dict[str, Value] = {}
    left_out = set(found)
    parts = dict(_parts(estimator))
    usual: dict[str, Value] = {}
    only_trees = _only_trees(parts.values())
    for path, part in parts.items():
        if any(name.startswith(f"{path}__") for name in parameters if path):
            continue  # what holds it tunes it
        prefix = f"{path}__" if path else ""
        if type(part).__name__ in SCALERS and path and _is_step(path, parts):
            if not only_trees:
                labels, stand_for = labelled([part, another_scaler(part)])
                parameters[path], objects[path] = Categorical(labels), stand_for
                usual[path] = labels[0]
            continue
        known = known_estimator(part)
        steps = {} if known is not None else step_space(part, task)
        if known is None and not steps:
            continue
        changed = _changed(part)
        if known is None:
            own = SearchSpace({n: p for n, p in steps.items() if n not in changed})
        else:
            own = _space_of(part, known, task, changed)
            constants |= {
                prefix + h.name: changed[h.name]
                for h in known.hyperparameters
                if h.name in changed and prefix + h.name not in left_out
            }
        own = without(own, [n for n in own.parameters if prefix + n in left_out])
        for name, parameter in own.parameters.items():
            parameters[prefix + name] = parameter
            if step_objects(name) and known is None:
                objects[prefix + name] = step_objects(name)
        for name, condition in own.conditions.items():
            conditions[prefix + name] = Condition(prefix + condition.parameter, condition.values)
    if not parameters:
        if any(isinstance(part, FrozenEstimator) for part in parts.values()):
            raise SearchSpaceError(
                f"{type(estimator).__name__} given, of which nothing but what a FrozenEstimator "
                "holds is known: that is not fitted again, so there is nothing to tune; expected "
                "the estimator itself, not frozen."
            )
        raise SearchSpaceError(
            f"{type(estimator).__name__} given without param_distributions, and nothing is known "
            "of it or its parts; expected param_distributions={name: distribution}."
        )
    _warn_of_unknown(parts)
    settings = estimator.get_params(deep=True)
    usual |= usual_values(parameters, settings)
    usual |= {
        name: label
        for name, stands_for in objects.items()
        for label, value in stands_for.items()
        if settings.get(name) == value and name not in usual
    }
    fixed = {
        name: Categorical((value,))
        for name, value in constants.items()
        if value is None or isinstance(value, bool | int | float | str)
    }
    space = SearchSpace({**fixed, **parameters}, conditions)
    return TunedSpace(space, objects, usual, frozenset(fixed))


def _warn_of_unknown(parts: Mapping[str, Any]) -> None:
    """Say so if nothing but preprocessing is tuned."""
    if any(known_estimator(part) is not None for part in parts.values()):
        return
    holders = {path.rpartition("__")[0] for path in parts if path}
    models = [
        type(part).__name__
        for path, part in parts.items()
        if path not in holders and hasattr(part, "predict")
    ]
    if models:
        warnings.warn(
            f"Nothing is known of {', '.join(models)}: only steps before are tuned. Pass "
            "param_distributions to tune more.",
            WarmStartWarning,
            stacklevel=2,
        )


def known_parts(estimator: Any) -> dict[str, Estimator]:
    """The catalogue's estimators in an estimator, by their paths, the outermost first."""
    known = {path: known_estimator(part) for path, part in _parts(estimator)}
    return {path: part for path, part in known.items() if part is not None}


def _parts(estimator: Any) -> Iterator[tuple[str, Any]]:
    """An estimator and all in it but what is frozen, by path; what holds others comes first."""
    yield "", estimator
    if isinstance(estimator, FrozenEstimator):
        return
    settings = estimator.get_params(deep=True)
    frozen: list[str] = []
    for path in sorted(settings, key=lambda name: name.count("__")):
        part = settings[path]
        if path.startswith(tuple(frozen)) or not hasattr(part, "get_params"):
            continue
        if isinstance(part, FrozenEstimator):
            frozen.append(f"{path}__")
        if not isinstance(part, type):
            yield path, part


def _is_step(path: str, parts: Mapping[str, Any]) -> bool:
    """Whether it is a step of a pipeline, so that the pipeline may do without it."""
    holder = parts.get(path.rpartition("__")[0])
    return isinstance(holder, Pipeline)


def _only_trees(parts: Iterable[object]) -> bool:
    groups = {known.group for part in parts if (known := known_estimator(part)) is not None}
    return bool(groups) and groups <= _TREES


def _changed(part: Any) -> dict[str, Any]:
    """What the user set of a part to another value than the default."""
    try:
        defaults = type(part)().get_params(deep=False)
    except (TypeError, ValueError):  # it has no defaults for all
        return {}
    return {
        name: value
        for name, value in part.get_params(deep=False).items()
        if not _same(value, defaults.get(name))
    }


def _same(a: object, b: object) -> bool:
    return a is b or (type(a) is type(b) and repr(a) == repr(b))


def _space_of(
    part: Any, known: Estimator, task: TaskDescriptor | None, changed: Mapping[str, Any]
) -> SearchSpace:
    try:
        space = search_space(known, task=task, fixed=changed)
    except SearchSpaceError:
        return SearchSpace({})
    if getattr(part, "estimator", None) is not None and not _is_tree(part.estimator):
        return without(space, [n for n in space.parameters if n.startswith("estimator__")])
    return space


def _is_tree(part: object) -> bool:
    known = known_estimator(part)
    return known is not None and known.group == "tree"
