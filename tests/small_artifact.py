"""Histories and artifacts of a support vector machine, small enough to be made in a test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from metaopt import meta_train
from warmstart.descriptor import TaskDescriptor
from warmstart.history import History, TaskInfo, Trial

ESTIMATOR = "sklearn.svm.SVC"


def svc_histories(
    n_tasks: int = 4,
    *,
    n_trials: int = 30,
    descriptors: Sequence[TaskDescriptor] = (),
    estimator: str = ESTIMATOR,
    metric: str = "accuracy",
) -> list[History]:
    """Histories of invented tasks that are best near ``C = 10`` and ``gamma = 0.01``.

    Args:
        n_tasks: How many.
        n_trials: Of each.
        descriptors: Of the first tasks.
        estimator: Whose they are said to be.
        metric: What they are said to be judged by.
    """
    rng = np.random.default_rng(0)
    histories = []
    for i in range(n_tasks):
        info = TaskInfo(
            estimator,
            f"task-{i}",
            metric,
            "invented",
            name=f"name-{i}",
            licence="CC0",
            descriptor=descriptors[i].to_json() if i < len(descriptors) else None,
        )
        C = 10 ** rng.uniform(-2, 4, n_trials)
        gamma = 10 ** rng.uniform(-5, 1, n_trials)
        loss = 0.1 + 0.02 * (np.log10(C) - 1) ** 2 + 0.03 * (np.log10(gamma) + 2) ** 2
        trials = [
            Trial({"C": float(c), "gamma": float(g)}, float(v), run_id=f"{i}-{j}")
            for j, (c, g, v) in enumerate(zip(C, gamma, loss, strict=True))
        ]
        histories.append(History.from_trials(info, trials))
    return histories


def write_small_artifact(path: Path, **options) -> Path:
    """An artifact of ``svc_histories(**options)``."""
    meta_train(svc_histories(**options), path)
    return path
