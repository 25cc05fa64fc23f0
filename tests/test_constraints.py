from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from warmstart.constraints import constraint_violation


def as_optuna_4(**system_attrs: Any) -> FrozenTrial:
    """A trial as Optuna 4.8 has it, with no ``constraints``."""
    return cast(FrozenTrial, SimpleNamespace(system_attrs=system_attrs))


def finished(**system_attrs: Any) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=TrialState.COMPLETE, value=1.0, system_attrs=system_attrs
    )


@pytest.mark.parametrize("make", [as_optuna_4, finished])
@pytest.mark.parametrize(
    ("values", "violation"),
    [((-1.0, -2.0), 0.0), ((0.0,), 0.0), ((1.0, -2.0, 3.0), 4.0), ((math.nan, 1.0), math.inf)],
)
def test_the_violation_is_the_sum_of_what_is_above_zero(
    make: Any, values: tuple[float, ...], violation: float
) -> None:
    assert constraint_violation(make(constraints=values)) == violation


@pytest.mark.parametrize("make", [as_optuna_4, finished])
def test_a_trial_without_constraints_violates_nothing_that_is_known(make: Any) -> None:
    assert constraint_violation(make()) is None


@pytest.mark.skipif(
    not hasattr(optuna.trial.Trial, "set_constraint"),
    reason="Trial.set_constraint came with Optuna 5; what Optuna 4 has is tested above",
)
def test_constraints_that_a_trial_sets_itself_count() -> None:
    study = optuna.create_study()

    def objective(trial: optuna.Trial) -> float:
        trial.set_constraint("memory", 2.0)
        trial.set_constraint("time", -1.0)
        return 0.0

    study.optimize(objective, n_trials=1)
    assert constraint_violation(study.trials[0]) == 2.0
