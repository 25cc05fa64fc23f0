"""A study that the user hands over to be continued."""

from __future__ import annotations

from optuna.samplers import TPESampler
from optuna.study import Study

__all__ = ["has_own_sampler"]


def has_own_sampler(study: Study) -> bool:
    """Whether somebody chose the study's sampler, as far as it shows.

    Optuna gives a ``TPESampler`` to studies that are made or loaded without one.
    """
    return type(study.sampler) is not TPESampler
