"""Every family of learner on histories, on inner folds: which predicts unseen tasks best.

Fold 0 is the outer one and is not touched: fold 1 judges what folds 2 to 4 have taught. Scores
are the mean squared error, and for those that give a distribution the log score, of the normal
scores of trials to come, after so many trials seen; and the regret of a search of 50 runs that
goes by the learner's predictions. Beside them stand the sampler's current surrogate and random
search on the same pools.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from metaopt.benchmarks.learners.beside_current import (
    CURRENT,
    RANDOM,
    learner_curve,
    order_scores,
    reference,
    regrets_of,
)
from metaopt.benchmarks.learners.inputs import (
    BUDGETS,
    JUDGING_FOLD,
    N_SPLITS,
    OUTER_FOLD,
    Inputs,
)
from metaopt.benchmarks.learners.intervals import mean_and_interval
from metaopt.benchmarks.learners.training import Training, to_zero
from metaopt.episodes.distribution import TaskSet
from metaopt.episodes.episode import Episode, collate
from metaopt.episodes.histories import HistoryTask, normal_scores
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
    gaussian_nll,
    query_losses,
    squared_error,
)

N_STEPS: Final = 3000
N_TASKS: Final = 16


def _learners(n_features: int) -> dict[str, Learner]:
    network, features = MLP((n_features, 64, 64, 1)), MLP((n_features, 64, 64, 32))
    return {
        "maml": MAML(network, n_steps=3, step_size=0.03),
        "fomaml": MAML(network, n_steps=3, step_size=0.03, first_order=True),
        "reptile": Reptile(network, n_steps=5, step_size=0.03, minibatch=25),
        "meta-sgd": MetaSGD(network, n_steps=3, step_size=0.03),
        "t-net": TNet(network, n_steps=3, step_size=0.03),
        "ridge head": Ridge(features, squared_error),
        "bayesian linear": BayesianLinear(features),
        "deep-kernel gp": DeepKernelGP(MLP((n_features, 64, 64, 9))),
        "nearest tasks": NeighbourTasks(n_features),
        "lstm": LSTMLearner(n_features),
        "neural process": NeuralProcess(n_features),
    }


FAMILIES: Final = (*_learners(1), CURRENT, RANDOM)


def run_family(inputs: Inputs, source: str, family: str, training: Training) -> dict[str, Any]:
    """Train one learner on the inner training folds, and score it after each budget."""
    if family in (CURRENT, RANDOM):
        return reference(inputs, source, family, seed=training.seed)
    tasks, folds = score_tasks(inputs, source), inputs[f"{source}/fold"]
    learner = _learners(tasks[0].x.shape[1])[family]
    known = [
        task
        for task, fold in zip(tasks, folds, strict=True)
        if fold not in (OUTER_FOLD, JUDGING_FOLD)
    ]
    settings: dict[str, Any] = {}
    if isinstance(learner, Reptile):
        settings = {"optimizer": partial(torch.optim.SGD, lr=0.5)}
    fit = training.fit(
        learner, TaskSet(known), n_steps=N_STEPS, n_tasks=N_TASKS, rate=to_zero, **settings
    )
    unseen = [task for task, fold in zip(tasks, folds, strict=True) if fold == JUDGING_FOLD]
    regrets = [regrets_of(inputs, source, int(i)) for i in np.flatnonzero(folds == JUDGING_FOLD)]
    after = {}
    for budget in BUDGETS:
        episodes = _episodes(unseen, budget, seed=training.seed)
        after[str(budget)] = {
            **_scores(learner, fit.theta, episodes),
            **order_scores(learner, fit.theta, episodes, unseen),
        }
    return {
        "n_skipped": fit.n_skipped,
        "n_tasks": len(unseen),
        "after": after,
        "search": {
            task.name: {
                "family": task.family,
                "curve": learner_curve(learner, fit.theta, task, of_task).tolist(),
            }
            for task, of_task in zip(unseen, regrets, strict=True)
        },
    }


def score_tasks(inputs: Inputs, source: str) -> list[HistoryTask]:
    """The tasks of one source with normal scores to predict, in the order of ``inputs``."""
    tasks = []
    for i, name in enumerate(inputs[f"{source}/task"]):
        regret = inputs[f"{source}/regret"][i]
        there = np.isfinite(regret)
        tasks.append(
            HistoryTask(
                name=str(name),
                family=str(inputs[f"{source}/family"][i]),
                x=torch.from_numpy(inputs[f"{source}/x"][i][there]),
                y=torch.from_numpy(normal_scores(regret[there])).float(),
            )
        )
    return tasks


def _episodes(tasks: list[HistoryTask], budget: int, *, seed: int) -> Episode:
    generator = torch.Generator().manual_seed(seed)
    return collate(
        [
            task.split(min(budget, len(task.y) - 1), generator)
            for task in tasks
            for _ in range(N_SPLITS)
        ]
    )


def _scores(learner: Learner, theta: Theta, episodes: Episode) -> Mapping[str, float]:
    judged = replace(learner, loss=squared_error)  # type: ignore[type-var]
    scores = dict(
        zip(
            ("squared_error", "half_interval"),
            mean_and_interval(_by_task(query_losses(judged, theta, episodes))),
            strict=True,
        )
    )
    if learner.loss is gaussian_nll:
        scores["log_score"] = float(query_losses(learner, theta, episodes).mean())
    return scores


def _by_task(losses: Tensor) -> Tensor:
    return losses.view(-1, N_SPLITS).mean(1)
