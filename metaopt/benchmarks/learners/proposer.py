"""The recurrent proposer beside random search and the greedy portfolio, on held-out tasks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from metaopt.benchmarks.learners.inputs import Inputs
from metaopt.benchmarks.learners.training import Training, to_zero
from metaopt.episodes.distribution import TaskSet
from metaopt.episodes.episode import Episode, Points
from metaopt.learners import RL2, Theta

N_TRIALS: Final = 10
N_CANDIDATES: Final = 128  # of a pool, in an episode of meta-training
N_TASKS: Final = 8
N_STEPS: Final = 1200
N_RANDOM: Final = 500  # random searches of each task


@dataclass(frozen=True)
class PoolTask:
    """The recorded runs of one task; an episode's query is a random part of them.

    Attributes:
        name: Of the task.
        family: Of its data set.
        x: ``(n, n_features)``.
        regret: ``(n,)``.
        n_query: Runs in an episode.
    """

    name: str
    family: str
    x: Tensor
    regret: Tensor
    n_query: int = N_CANDIDATES

    def episode(self, generator: torch.Generator) -> Episode:
        """See ``Task``."""
        chosen = torch.randperm(len(self.x), generator=generator)[: self.n_query]
        pool = Points.of(self.x[chosen], self.regret[chosen])
        return Episode(Points.of(self.x[:0], self.regret[:0]), pool)


def pool_tasks(inputs: Inputs, source: str) -> list[PoolTask]:
    """The tasks of one source, in the order of ``inputs``."""
    tasks = []
    for i, name in enumerate(inputs[f"{source}/task"]):
        there = np.isfinite(inputs[f"{source}/regret"][i])
        tasks.append(
            PoolTask(
                name=str(name),
                family=str(inputs[f"{source}/family"][i]),
                x=torch.from_numpy(inputs[f"{source}/x"][i][there]),
                regret=torch.from_numpy(inputs[f"{source}/regret"][i][there]),
            )
        )
    return tasks


def train_proposer(tasks: list[PoolTask], training: Training) -> tuple[RL2, Theta]:
    """Train by reward on the pools of some tasks."""
    learner = RL2(tasks[0].x.shape[1], width=32, n_trials=N_TRIALS)
    fit = training.fit(
        learner,
        TaskSet(tasks),
        n_steps=N_STEPS,
        n_tasks=N_TASKS,
        optimizer=partial(torch.optim.AdamW, lr=3e-3, weight_decay=1e-2, fused=True),
        rate=to_zero,
        max_norm=1.0,
    )
    return learner, fit.theta


def proposed_regret(learner: RL2, theta: Theta, task: PoolTask) -> np.ndarray:
    """Best regret so far, ``(N_TRIALS,)``, of the likeliest proposals over the whole pool."""
    pool = Points(*(part[None] for part in Points.of(task.x, task.regret)))
    with torch.no_grad():
        regrets, _, _ = learner.studies(theta, pool, generator=None, n_trials=N_TRIALS)
    return np.asarray(regrets.cummin(-1).values[0, 0].numpy())


def random_regret(task: PoolTask, *, seed: int) -> np.ndarray:
    """Mean best regret so far of random searches over the pool, ``(N_TRIALS,)``."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(N_RANDOM, len(task.x), generator=generator).argsort(1)[:, :N_TRIALS]
    return np.asarray(task.regret[order].cummin(1).values.mean(0).numpy())


def run_proposer(inputs: Inputs, source: str, fold: int, training: Training) -> dict[str, Any]:
    """Train on the other folds, and give the regret of all three on the tasks of one fold."""
    tasks, folds = pool_tasks(inputs, source), inputs[f"{source}/fold"]
    known = [task for task, of in zip(tasks, folds, strict=True) if of != fold]
    learner, theta = train_proposer(known, training)
    portfolio = np.minimum.accumulate(inputs[f"{source}/portfolio"], axis=1)[:, :N_TRIALS]
    return {
        "curves": {
            tasks[i].name: {
                "family": tasks[i].family,
                "rl2": proposed_regret(learner, theta, tasks[i]).tolist(),
                "random": random_regret(tasks[i], seed=training.seed).tolist(),
                "portfolio": portfolio[i].tolist(),
            }
            for i in np.flatnonzero(folds == fold)
        }
    }
