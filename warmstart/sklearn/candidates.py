"""The estimators of a search: one, or several to choose from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sklearn.base import clone
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import get_tags

from warmstart.errors import SearchSpaceError
from warmstart.sklearn.tuned_space import BRANCH

#: The name of an estimator that stands alone.
ALONE: Final = ""

# What can't be changed in place, and so is shared.
_PLAIN: Final = (bool, int, float, str, type(None))


def read_candidates(estimator: Any) -> dict[str, Any]:
    """The estimators by name; one that stands alone has the name ``ALONE``.

    Args:
        estimator: One, a dict of several by name, a list of them, or of names and estimators.

    Raises:
        TypeError: If it is nothing of these.
        ValueError: If names occur twice or hold ``__``, or the estimators are of several kinds.
    """
    if isinstance(estimator, Mapping):
        named = list(estimator.items())
    elif isinstance(estimator, list | tuple):
        named = [
            entry if isinstance(entry, tuple) else (type(entry).__name__.lower(), entry)
            for entry in estimator
        ]
    else:
        named = [(ALONE, estimator)]
    for name, candidate in named:
        if isinstance(candidate, type) or not all(
            hasattr(candidate, method) for method in ("fit", "get_params", "set_params")
        ):
            raise TypeError(
                f"estimator {candidate!r} given; expected an instance with fit, get_params and "
                "set_params, or several of them in a dict or a list."
            )
        if not isinstance(name, str) or "__" in name or (name == ALONE and len(named) > 1):
            raise ValueError(f"estimator named {name!r} given; expected a name without '__'.")
    candidates = dict(named)
    if not named or len(candidates) < len(named):
        raise ValueError(
            f"estimators named {[name for name, _ in named]} given; expected different names, "
            "and at least one."
        )
    kinds = {get_tags(candidate).estimator_type for candidate in candidates.values()}
    if len(kinds) > 1:
        raise ValueError(
            f"estimators of the kinds {sorted(map(str, kinds))} given; expected one kind."
        )
    return candidates


def chosen(params: Mapping[str, Any]) -> str:
    """The name of the candidate that a configuration is of."""
    name: str = params.get(BRANCH, ALONE)
    return name


def configured(candidates: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
    """A clone of the chosen candidate with its parameters set.

    Raises:
        SearchSpaceError: If it has no such parameter.
    """
    settings = dict(params)
    name = ALONE
    if ALONE not in candidates:
        name = settings.pop(BRANCH, ALONE)
        if name not in candidates:
            raise SearchSpaceError(
                f"{BRANCH}={name!r} proposed; expected one of {sorted(candidates)}."
            )
        prefix = f"{name}__"
        settings = {
            key.removeprefix(prefix): value
            for key, value in settings.items()
            if key.startswith(prefix)
        }
    estimator = clone(candidates[name])
    own = {
        key: v if isinstance(v, _PLAIN) else clone(v, safe=False) for key, v in settings.items()
    }
    try:
        return estimator.set_params(**_settable(estimator, own))
    except ValueError as error:
        raise SearchSpaceError(
            f"Parameters {sorted(settings)} given for {type(estimator).__name__}, which refuses "
            f"them: {error}"
        ) from error


def _settable(estimator: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the stumps that AdaBoost makes by itself, where these are tuned."""
    own: dict[str, Any] = {}
    parts: dict[str, Any] = {}
    for name, value in settings.items():
        path, _, parameter = name.rpartition("__")
        if parameter == "max_depth" and path.rpartition("__")[2] == "estimator":
            if not parts:
                parts = {"": estimator, **estimator.get_params(deep=True)}
            if path in parts and parts[path] is None and path not in settings:
                own[path] = DecisionTreeClassifier(max_depth=value)
                continue
        own[name] = value
    return own
