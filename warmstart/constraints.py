"""By how much a trial violates the constraints of its study."""

from __future__ import annotations

import math
from collections.abc import Iterable

from optuna.trial import FrozenTrial


def constraint_violation(trial: FrozenTrial) -> float | None:
    """The sum of all constraint values above 0; ``None`` if the trial has no constraints.

    Reads both what ``Trial.set_constraint`` sets (Optuna 5) and what a sampler's
    ``constraints_func`` gives. A value that is NaN counts as infinite.
    """
    values = list(_values(trial))
    if not values:
        return None
    return sum(math.inf if math.isnan(value) else max(value, 0.0) for value in values)


def _values(trial: FrozenTrial) -> Iterable[float]:
    if hasattr(trial, "constraints"):
        return map(float, trial.constraints.values())
    return map(float, trial.system_attrs.get("constraints") or ())  # Optuna 4
