"""The benchmark from its options to its report."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from metaopt.benchmarks.optimizers.options import TIERS, OptimizerBenchOptions
from metaopt.benchmarks.optimizers.report import BenchReport, write_report
from metaopt.benchmarks.optimizers.rivals import (
    LEARNED,
    RIVALS,
    SCHEDULES,
    Rival,
    Setting,
    learned,
)
from metaopt.benchmarks.optimizers.runs import Report, Runs, Training
from metaopt.benchmarks.optimizers.tasks import BenchTask, benchmark_tasks, tuning_tasks
from metaopt.benchmarks.optimizers.training import Outcome

_SHORTEST: Final = 4  # steps
_TUNING_SEED: Final = 50_000  # first seed of trials; the benchmark's own start at 0
WAYS: Final = ("default", "one setting", "tuned per task")


@dataclass(frozen=True)
class Arm:
    """A rival with the setting it has on each task."""

    rival: Rival
    way: str
    settings: dict[str, Setting]

    @property
    def name(self) -> str:
        """Unique among arms."""
        return self.rival.name if self.rival.name == LEARNED else f"{self.rival.name}, {self.way}"


def run_benchmark(options: OptimizerBenchOptions, *, report: Report | None = None) -> BenchReport:
    """Run what has no outcome yet, and write tables, JSON and pictures.

    Args:
        options: What to run.
        report: Told of phase, trainings done and trainings to do.

    Raises:
        ValueError: If a rival is unknown.
    """
    rivals = [_rival(name) for name in options.rivals or RIVALS]
    runs = Runs(
        options.results,
        device=options.device,
        n_jobs=options.n_jobs,
        weights=options.weights,
        report=report or (lambda phase, done, of: None),
    )
    tasks = [
        task
        for tier in TIERS
        if tier in options.tiers
        for task in [t for t in benchmark_tasks() if t.tier == tier][: options.n_tasks]
    ]
    arms = [Arm(learned(options.weights), "default", {task.name: {} for task in tasks})]
    for rival in rivals:
        # A learned schedule gets what was chosen for the cosine, which is no help to it.
        tuned = RIVALS[SCHEDULES.get(rival.name, rival.name)]
        one = _one_setting(tuned, options, runs)
        best = _tuned_settings(tuned, tasks, options, runs)
        arms += [
            Arm(rival, WAYS[0], {task.name: tuned.default for task in tasks}),
            Arm(rival, WAYS[1], {task.name: one for task in tasks}),
            Arm(rival, WAYS[2], best),
        ]
    return write_report(
        options,
        tiers={task.name: task.tier for task in tasks},
        arms={arm.name: arm.settings for arm in arms},
        outcomes=_measured(arms, tasks, options, runs),
    )


def _rival(name: str) -> Rival:
    if name not in RIVALS:
        raise ValueError(f"rival {name!r} given; expected one of {', '.join(RIVALS)}.")
    return RIVALS[name]


def _rng(*words: str) -> np.random.Generator:
    return np.random.default_rng([ord(letter) for letter in "/".join(words)])


def _best(
    settings: Sequence[Setting],
    trials: Sequence[Sequence[Training]],
    done: dict[Training, Outcome],
) -> Setting:
    """The setting with the lowest mean log loss over its trainings."""
    costs = [np.mean([math.log(min(max(done[t].loss, 1e-4), 1e4)) for t in of]) for of in trials]
    return settings[int(np.argmin(costs))]


def _one_setting(rival: Rival, options: OptimizerBenchOptions, runs: Runs) -> Setting:
    """The one setting that does best on tasks as meta-training draws them."""
    settings = rival.settings(options.n_settings, _rng(rival.name))
    trials = [
        [
            Training.of(task, rival, setting, horizon=options.horizon, seed=_TUNING_SEED)
            for task in tuning_tasks(options.n_training_tasks)
        ]
        for setting in settings
    ]
    done = runs.outcomes(f"{rival.name}: one setting", [t for of in trials for t in of])
    return _best(settings, trials, done)


def _tuned_settings(
    rival: Rival, tasks: Sequence[BenchTask], options: OptimizerBenchOptions, runs: Runs
) -> dict[str, Setting]:
    """The best of as many trials on each task, with seeds that are not the benchmark's."""
    settings = {
        task.name: rival.settings(options.n_settings, _rng(rival.name, task.name))
        for task in tasks
    }
    trials = {
        task.name: [
            [
                Training.of(
                    task,
                    rival,
                    setting,
                    horizon=options.horizon * task.longer,
                    seed=_TUNING_SEED,
                )
            ]
            for setting in settings[task.name]
        ]
        for task in tasks
    }
    every = [t for of_task in trials.values() for of in of_task for t in of]
    done = runs.outcomes(f"{rival.name}: tuning", every)
    return {name: _best(settings[name], trials[name], done) for name in trials}


Outcomes = dict[str, dict[str, dict[float, list[Outcome]]]]  # arm, task, share: seeds


def _measured(
    arms: Sequence[Arm],
    tasks: Sequence[BenchTask],
    options: OptimizerBenchOptions,
    runs: Runs,
) -> Outcomes:
    trainings = {
        (arm.name, task.name, share, seed): Training.of(
            task,
            arm.rival,
            arm.settings[task.name],
            horizon=max(_SHORTEST, round(share * options.horizon * task.longer)),
            seed=seed,
        )
        # Seed by seed, so that what is there at any moment is balanced.
        for seed in range(options.n_seeds)
        for task in tasks
        for arm in arms
        for share in options.shares
    }
    done = runs.outcomes("measuring", list(dict.fromkeys(trainings.values())))
    outcomes: Any = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for (arm, task, share, _), training in trainings.items():
        outcomes[arm][task][share].append(done[training])
    return outcomes
