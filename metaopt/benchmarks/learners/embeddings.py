"""Whether tasks of one family, which was never named, lie together in the learned space."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from metaopt.benchmarks.learners.families import score_tasks
from metaopt.benchmarks.learners.inputs import Inputs
from metaopt.benchmarks.learners.training import Training
from metaopt.embedding import N_STEPS, task_vectors

N_SHUFFLES: Final = 2000


def run_embedding(inputs: Inputs, source: str, training: Training) -> dict[str, Any]:
    """The share of pairs of another family that are farther apart than a pair of one family.

    0.5 is chance; the p-value is that of families shuffled among tasks.
    """
    tasks = score_tasks(inputs, source)
    n_steps = training.steps(N_STEPS)
    vectors = task_vectors(tasks, n_steps=n_steps, seed=training.seed, device=training.device)
    distances = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    families = np.unique([task.family for task in tasks], return_inverse=True)[1]
    found = closeness(distances, families)
    rng = np.random.default_rng(training.seed)
    shuffled = [closeness(distances, rng.permutation(families)) for _ in range(N_SHUFFLES)]
    return {
        "n_tasks": len(tasks),
        "n_in_families": int((np.bincount(families)[families] > 1).sum()),
        "closeness": found,
        "p_value": (1 + sum(other >= found for other in shuffled)) / (1 + N_SHUFFLES),
    }


def closeness(distances: np.ndarray, families: np.ndarray) -> float:
    """Mean over tasks with relatives: the share of strangers that are farther than a relative.

    Args:
        distances: ``(n, n)``.
        families: ``(n,)``.
    """
    shares = []
    for i, family in enumerate(families):
        related = families == family
        related[i] = False
        strangers = families != family
        if related.any() and strangers.any():
            farther = distances[i, strangers][:, None] > distances[i, related]
            shares.append(farther.mean())
    return float(np.mean(shares)) if shares else float("nan")
