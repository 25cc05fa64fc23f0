"""How much of what each source task has of its own is noise: as much as foretells others best.

A prior is one function for each source task: what is common to all of them, and what the task has
of its own. The common part is a mean over many tasks and needs no smoothing. The own part of runs
that were measured with noise is noise to a good deal, and a new task shares none of it; that of a
surrogate is exact. How much to smooth is decided by how likely the trials of each task are, given
the tasks of other families.

Notation:
    n: trials of one task. D: see ``warmstart.encoding``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from warmstart.posterior import COMPONENTS, Covariances, trial_noise
from warmstart.prior import Prior

#: What is compared; see ``warmstart.prior.Prior``.
OWN_NOISES: Final = (0.0, 0.1, 0.3, 1.0)

# Trials of a task that are foretold, and tasks: more cost time and change little.
_N_FORETOLD: Final = 30
_MOST_TASKS: Final = 100
_FEWEST_FAMILIES: Final = 5
# The level of a task is not foretold: only which configurations are better.
_LEVEL_VARIANCE: Final = 4.0


@dataclass(frozen=True)
class TaskTrials:
    """Some trials of one source task.

    Attributes:
        task: Its index in the prior.
        features: Unscaled, ``(n, D)``.
        log_regrets: ``(n,)``.
    """

    task: int
    features: np.ndarray
    log_regrets: np.ndarray


def sample_trials(
    tasks: Sequence[TaskTrials], rng: np.random.Generator, *, n_each: int = _N_FORETOLD
) -> list[TaskTrials]:
    """A few trials of each of at most a hundred tasks."""
    sampled = []
    for index in np.sort(rng.permutation(len(tasks))[:_MOST_TASKS]):
        task = tasks[index]
        chosen = rng.permutation(len(task.log_regrets))[:n_each]
        sampled.append(
            replace(task, features=task.features[chosen], log_regrets=task.log_regrets[chosen])
        )
    return sampled


def with_own_noise(prior: Prior, tasks: Sequence[TaskTrials]) -> Prior:
    """The prior with the best of ``OWN_NOISES``.

    Args:
        prior: Of any ``own_noise``.
        tasks: Some trials of its tasks; with fewer than five families nothing is changed.
    """
    families = _families(prior)
    if len({families[task.task] for task in tasks}) < _FEWEST_FAMILIES:
        return prior
    candidates = [replace(prior, own_noise=noise) for noise in OWN_NOISES]
    return max(candidates, key=lambda candidate: foretelling(candidate, tasks))


def foretelling(prior: Prior, tasks: Sequence[TaskTrials]) -> float:
    """How well tasks are foretold by those of other families.

    Returns:
        The logarithm of the likelihood of a task's trials, but for a constant, in the mixture of
        those components of the posterior that believe the source tasks; the mean over the tasks.
    """
    families = _families(prior)
    return float(
        np.mean([_log_likelihood(prior, task, families != families[task.task]) for task in tasks])
    )


def _log_likelihood(prior: Prior, trials: TaskTrials, others: np.ndarray) -> float:
    foretold = prior.log_regrets(prior.scale(trials.features))[:, others]
    mean = foretold.mean(axis=1)
    spread = (foretold - mean[:, None]) / np.sqrt(others.sum())
    between_tasks = spread @ spread.T
    learned = prior.lengthscales[prior.encoding.column_of]
    among = Covariances(trials.features, trials.features, {"learned": learned})
    noise = (trial_noise(prior) + 1e-6) * np.eye(len(mean))
    terms = []
    for component in COMPONENTS:
        if not component.transfer:
            continue
        K = among.own(component) + component.transfer * between_tasks + _LEVEL_VARIANCE + noise
        L = np.linalg.cholesky(K)
        residual = np.linalg.solve(L, trials.log_regrets - mean)
        terms.append(
            np.log(component.share) - np.log(np.diag(L)).sum() - 0.5 * residual @ residual
        )
    return float(np.logaddexp.reduce(terms))


def _families(prior: Prior) -> np.ndarray:
    return np.array([task.family or task.id for task in prior.tasks])
