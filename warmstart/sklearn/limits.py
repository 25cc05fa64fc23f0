"""Limits of iterations where an estimator has none, so that every fit of a search ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sklearn.base import clone

from warmstart.sklearn.candidates import ALONE
from warmstart.sklearn.inferred_space import known_parts

_ITERATIONS: Final = "max_iter"
_NO_LIMIT: Final = -1


def with_limits(candidates: Mapping[str, Any], given: Any) -> dict[str, Any]:
    """The candidates; those whose space is inferred stop after as many iterations as are usual.

    On columns of different scales, support vector machines with some kernels and large ``C`` go
    on for hours, and can't be interrupted. What no limit stands for is in the catalogue.

    Args:
        candidates: Estimators by name.
        given: The space that the user gave, as ``tuned_space`` takes it.
    """
    return {
        name: _limited(estimator) if _is_inferred(given, name) else estimator
        for name, estimator in candidates.items()
    }


def _is_inferred(given: Any, name: str) -> bool:
    if name == ALONE or not isinstance(given, Mapping):
        return given is None
    return given.get(name) is None


def _limited(estimator: Any) -> Any:
    settings = estimator.get_params(deep=True)
    limits = {}
    for path, known in known_parts(estimator).items():
        name = f"{path}__{_ITERATIONS}" if path else _ITERATIONS
        usual = {h.name: h.special.get(_NO_LIMIT) for h in known.hyperparameters}.get(_ITERATIONS)
        if isinstance(usual, float) and settings.get(name) == _NO_LIMIT:
            limits[name] = int(usual)
    return clone(estimator).set_params(**limits) if limits else estimator
