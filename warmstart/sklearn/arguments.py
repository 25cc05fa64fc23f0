"""Checks of what a search was made with: one error that says what was expected."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection


def check_arguments(search: Any) -> None:
    """Check all arguments but the estimator, the space and the scoring.

    Raises:
        TypeError: If one is of another type.
        ValueError: If one has a value that can't be.
    """
    _check(search, "n_trials", _is_count, "an integer of at least 1, or None", or_none=True)
    _check(search, "timeout", _is_duration, "seconds above 0, or None", or_none=True)
    if search.n_trials is None and search.timeout is None:
        raise ValueError("n_trials=None and timeout=None given; expected one of them.")
    _check(search, "n_jobs", _is_whole, "an integer, or None", or_none=True)
    _check(
        search,
        "early_stopping_rounds",
        _is_count,
        "an integer of at least 1, or None",
        or_none=True,
    )
    _check(search, "verbose", lambda v: _is_whole(v) or isinstance(v, bool), "0, 1 or 2")
    _check(
        search,
        "error_score",
        lambda v: isinstance(v, Real) or (isinstance(v, str) and v == "raise"),
        "'raise' or a number",
    )
    _check(
        search,
        "pruning",
        lambda v: isinstance(v, bool | BasePruner),
        "True, False or a pruner of Optuna",
    )
    _check(
        search,
        "sampler",
        lambda v: isinstance(v, BaseSampler) or callable(v),
        "a sampler of Optuna, a function that makes one of the task's descriptor, or None",
        or_none=True,
    )
    _check(search, "study", lambda v: isinstance(v, Study), "a study of Optuna, or None", True)
    if search.study is not None and search.study.directions != [StudyDirection.MAXIMIZE]:
        raise ValueError(
            f"study with directions {[d.name for d in search.study.directions]} given; expected "
            "one that maximizes, as scikit-learn's scores are: "
            "optuna.create_study(direction='maximize')."
        )


def _check(
    search: Any, name: str, is_right: Callable[[Any], bool], expected: str, or_none: bool = False
) -> None:
    value = getattr(search, name)
    if not (or_none and value is None) and not is_right(value):
        raise ValueError(f"{name}={value!r} given; expected {expected}.")


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_whole(value) and value >= 1


def _is_duration(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and float(value) > 0
