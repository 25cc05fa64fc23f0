"""The recurrent proposer beside random search and the greedy portfolio, on held-out tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from metaopt.benchmarks.learners.inputs import Inputs
from metaopt.benchmarks.learners.training import Training, to_zero
from metaopt.episodes.distribution import TaskSet
from metaopt.episodes.episode import Episode, Points
from metaopt.learners import RL2, Theta
from metaopt.learners.rl2 import BELIEF

N_TRIALS: Final = 10
N_CANDIDATES: Final = 128  # of a pool, in an episode of meta-training
N_TASKS: Final = 8
N_STEPS: Final = 200
N_RANDOM: Final = 500  # random searches of each task


@dataclass(frozen=True)
class PoolTask:
    """The recorded runs of one task; an episode's query is a random part of them.

    Attributes:
        name: Of the task.
        family: Of its data set.
        x: ``(n, n_features + n_known)``: configurations, and what known tasks say of them.
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


@dataclass(frozen=True)
class Pools:
    """The tasks of one source, those of one fold held out.

    Attributes:
        known: The tasks of the other folds.
        held_out: Those of the fold.
        n_features: Of a configuration; what the known tasks say follows.
    """

    known: list[PoolTask]
    held_out: list[PoolTask]
    n_features: int


def pools_without(inputs: Inputs, source: str, fold: int) -> Pools:
    """The tasks of one source; no task is told what its own family says."""
    x, regret, foretold = (inputs[f"{source}/{name}"] for name in ("x", "regret", "foretold"))
    families, names = inputs[f"{source}/family"], inputs[f"{source}/task"]
    is_known = inputs[f"{source}/fold"] != fold
    tasks = []
    for i, family in enumerate(families):
        there = np.isfinite(regret[i])
        # A task of the own family is one that says nothing.
        says = np.where(families == family, 1.0, foretold[i][there])[:, is_known]
        rows = np.concatenate([x[i][there], says], axis=1)
        tasks.append(
            PoolTask(
                name=str(names[i]),
                family=str(family),
                x=torch.from_numpy(rows.astype(np.float32)),
                regret=torch.from_numpy(regret[i][there]),
            )
        )
    return Pools(
        known=[task for task, known in zip(tasks, is_known, strict=True) if known],
        held_out=[task for task, known in zip(tasks, is_known, strict=True) if not known],
        n_features=x.shape[-1],
    )


def proposer(pools: Pools) -> RL2:
    """The learner that is trained on pools."""
    return RL2(
        pools.n_features,
        n_known=len(pools.known),
        width=32,
        n_trials=N_TRIALS,
    )


def train_proposer(pools: Pools, training: Training) -> tuple[RL2, Theta]:
    """Train by reward on the known tasks.

    Settings were chosen on surrogates, and on folds 0 and 1 of AdaBoost.
    """
    learner = proposer(pools)
    names = list(learner.initial(torch.Generator()))

    def optimizer(parameters: list[Tensor]) -> torch.optim.Optimizer:
        # How tasks are believed is a few numbers, the same on all tasks; the networks overfit.
        rates = [2e-2 if name in BELIEF else 3e-3 for name in names]
        decays = [0.0 if name in BELIEF else 0.3 for name in names]
        return torch.optim.AdamW(
            [
                {"params": [p], "lr": rate, "weight_decay": decay}
                for p, rate, decay in zip(parameters, rates, decays, strict=True)
            ],
            fused=True,
        )

    fit = training.fit(
        learner,
        TaskSet(pools.known),
        n_steps=N_STEPS,
        n_tasks=N_TASKS,
        optimizer=optimizer,
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
    """Train on the other folds, and give the regret of all methods on the tasks of one fold."""
    pools = pools_without(inputs, source, fold)
    learner, theta = train_proposer(pools, training)
    untrained = learner.initial(torch.Generator().manual_seed(training.seed))
    portfolio = np.minimum.accumulate(inputs[f"{source}/portfolio"], axis=1)[:, :N_TRIALS]
    of_task = dict(zip(inputs[f"{source}/task"].tolist(), portfolio, strict=True))
    return {
        "curves": {
            task.name: {
                "family": task.family,
                "rl2": proposed_regret(learner, theta, task).tolist(),
                "untrained": proposed_regret(learner, untrained, task).tolist(),
                "random": random_regret(task, seed=training.seed).tolist(),
                "portfolio": of_task[task.name].tolist(),
            }
            for task in pools.held_out
        }
    }
