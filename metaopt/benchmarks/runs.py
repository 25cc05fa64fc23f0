"""Running one sampler on one problem through Optuna, as a user would."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import optuna

from metaopt.benchmarks.problems import Problem
from warmstart.distributions import suggest_value
from warmstart.space import SearchSpace, Value


@dataclass(frozen=True)
class Run:
    """What one study yields.

    Attributes:
        losses: Loss of each trial in order, ``(n_trials,)``.
        suggest_seconds: Time the sampler took for each trial, ``(n_trials,)``.
        attributes: The user attributes of each trial.
    """

    losses: np.ndarray
    suggest_seconds: np.ndarray
    attributes: list[dict[str, object]]


def suggest_configuration(
    trial: optuna.Trial, space: SearchSpace, names: Mapping[str, str] | None = None
) -> dict[str, Value]:
    """Ask a trial for a whole configuration, parents before their children.

    Args:
        trial: A running trial.
        space: What to ask for.
        names: The name in the study of each parameter, where it differs.
    """
    names = names or {}
    configuration: dict[str, Value] = {}
    for name in space.ordered_names():
        if space.is_active(name, configuration):
            asked = names.get(name, name)
            configuration[name] = suggest_value(trial, asked, space.parameters[name])
    return configuration


def run_study(problem: Problem, sampler: optuna.samplers.BaseSampler, *, n_trials: int) -> Run:
    """Tune ``problem`` for ``n_trials`` trials in a fresh in-memory study."""
    study = optuna.create_study(direction="minimize", sampler=sampler)
    losses = np.empty(n_trials)
    seconds = np.empty(n_trials)
    for k in range(n_trials):
        started = time.perf_counter()
        trial = study.ask()
        configuration = suggest_configuration(trial, problem.space)
        seconds[k] = time.perf_counter() - started
        losses[k] = problem.losses([configuration])[0]
        study.tell(trial, float(losses[k]))
    trials = study.get_trials(deepcopy=False)
    return Run(losses, seconds, [dict(trial.user_attrs) for trial in trials])
