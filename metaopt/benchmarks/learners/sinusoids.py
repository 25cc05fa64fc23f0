"""Sine waves: what each learner's error is after some points, and some gradient steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor

from metaopt.benchmarks.learners.intervals import mean_and_interval
from metaopt.benchmarks.learners.training import Training, to_zero
from metaopt.episodes.sinusoids import Sinusoids
from metaopt.learners import (
    MAML,
    MLP,
    BayesianLinear,
    DeepKernelGP,
    Learner,
    LSTMLearner,
    MetaSGD,
    NeighbourTasks,
    NeuralProcess,
    Reptile,
    Ridge,
    Theta,
    TNet,
    query_losses,
    squared_error,
)

N_TEST_TASKS: Final = 600
N_TEST_POINTS: Final = 100
#: No sine wave of these amplitudes is so far from any other.
DIVERGED: Final = 100.0
_STEPS: Final = (0, 1, 2, 5, 10)
_NETWORK: Final = MLP((1, 40, 40, 1))


@dataclass(frozen=True)
class SineJob:
    """One meta-training on sine waves, and how it is judged.

    Attributes:
        learner: With the settings of meta-training.
        tasks: To train on.
        n_steps: Outer steps.
        n_tasks: In a batch.
        judged_after: Gradient steps at test; empty for a learner that takes none.
        settings: Of ``meta_fit``, such as the optimizer.
    """

    learner: Learner
    tasks: Sinusoids
    n_steps: int = 30_000
    n_tasks: int = 25
    judged_after: tuple[int, ...] = _STEPS
    settings: tuple[tuple[str, Any], ...] = ()


def _jobs() -> dict[str, SineJob]:
    ten, five = Sinusoids(10, 10), Sinusoids(5, 5)
    closed: dict[str, Any] = {"n_steps": 2000, "judged_after": ()}
    reptile = Reptile(
        MLP((1, 64, 64, 1), torch.tanh), n_steps=32, step_size=0.02, minibatch=10, n_epochs=1
    )
    # In meta-training both sides are one training set of 50 points, as in the paper, which has
    # them on a shuffled grid.
    fifty = Sinusoids(40, 10, phases=(0.0, 2 * torch.pi))
    return {
        "maml, K=10": SineJob(MAML(_NETWORK), ten),
        "fomaml, K=10": SineJob(MAML(_NETWORK, first_order=True), ten),
        "reptile": SineJob(
            reptile,
            fifty,
            n_tasks=1,
            judged_after=(0, 1, 5, 10, 32),
            settings=(
                ("optimizer", partial(torch.optim.SGD, lr=0.1)),
                ("rate", to_zero),
            ),
        ),
        "meta-sgd, K=10": SineJob(MetaSGD(_NETWORK, n_steps=2), ten, n_steps=10_000),
        "t-net, K=10": SineJob(TNet(_NETWORK, n_steps=2), ten, n_steps=10_000),
        "maml, K=5": SineJob(MAML(_NETWORK), five, n_steps=15_000),
        "fomaml, K=5": SineJob(MAML(_NETWORK, first_order=True), five, n_steps=15_000),
        "ridge head, K=10": SineJob(Ridge(MLP((1, 40, 40, 40)), squared_error), ten, **closed),
        "bayesian linear, K=10": SineJob(BayesianLinear(MLP((1, 40, 40, 40))), ten, **closed),
        "deep-kernel gp, K=10": SineJob(DeepKernelGP(MLP((1, 40, 40, 9))), ten, **closed),
        "nearest tasks, K=10": SineJob(NeighbourTasks(1), ten, **closed),
        "lstm, K=10": SineJob(LSTMLearner(1), ten, **closed),
        "neural process, K=10": SineJob(NeuralProcess(1), ten, **closed),
    }


SINE_JOBS: Final[Mapping[str, SineJob]] = _jobs()


def run_sine_job(job: SineJob, training: Training) -> dict[str, Any]:
    """Train, and give the error on unseen tasks after each number of steps.

    Test tasks are the same for all jobs and seeds.
    """
    fit = training.fit(
        job.learner, job.tasks, n_steps=job.n_steps, n_tasks=job.n_tasks, **dict(job.settings)
    )
    n_support = 10 if isinstance(job.learner, Reptile) else job.tasks.n_support
    test = replace(job.tasks, n_support=n_support, n_query=N_TEST_POINTS)
    judged = {}
    for n in job.judged_after or (None,):
        errors = sine_errors(job.learner, fit.theta, test, n)
        judged["closed form" if n is None else str(n)] = summary(errors)
    return {"n_steps": len(fit.losses), "n_skipped": fit.n_skipped, "after": judged}


def sine_errors(
    learner: Learner, theta: Theta, tasks: Sinusoids, n_inner_steps: int | None
) -> Tensor:
    """Mean squared error on each test task, ``(N_TEST_TASKS,)``."""
    changes: dict[str, Any] = {"loss": squared_error}
    if n_inner_steps is not None:
        changes["n_steps"] = n_inner_steps
    judged = replace(learner, **changes)  # type: ignore[type-var]
    episodes = tasks.sample(N_TEST_TASKS, torch.Generator().manual_seed(2**31 - 1))
    return query_losses(judged, theta, episodes)


def summary(errors: Tensor) -> dict[str, Any]:
    """Mean with its 95 % interval, median, and how many tasks diverged (none is left out)."""
    mean, half = mean_and_interval(errors)
    return {
        "mean": mean,
        "half_interval": half,
        "median": float(errors.median()),
        "n_diverged": int((~(errors < DIVERGED)).sum()),
        "n_tasks": len(errors),
    }
