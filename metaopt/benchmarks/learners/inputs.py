"""What the benchmark reads, as one file of arrays: digits, and pools of recorded runs.

So it can run on a machine that has neither scikit-learn nor the recorded runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

POOL_SOURCES: Final = ("random_forest", "adaboost", "svc")
N_PORTFOLIO: Final = 20  # trials of the greedy portfolio
N_FOLDS: Final = 5

Inputs = Mapping[str, np.ndarray]


def read_inputs(path: Path) -> Inputs:
    """The arrays of a file that ``write_inputs`` made."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def write_inputs(path: Path, data: Path | None) -> None:
    """Make the inputs and write them; pools only if recorded runs are there.

    Args:
        path: Of the file, which ends in ``.npz``.
        data: Directory of recorded runs; None: as ``data_directory`` finds it.
    """
    arrays: dict[str, Any] = dict(make_inputs(data))
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name("new-" + path.name)
    np.savez_compressed(beside, **arrays)
    os.replace(beside, path)


def has_pools(inputs: Inputs) -> bool:
    """Whether recorded runs are among the inputs."""
    return f"{POOL_SOURCES[0]}/x" in inputs


def make_inputs(data: Path | None) -> Inputs:
    """Digits, and for each source of recorded runs arrays named ``source/…``."""
    from sklearn.datasets import load_digits

    from metaopt.benchmarks.data_directory import data_directory

    digits = load_digits()
    inputs: dict[str, np.ndarray] = {
        "images": (digits.images / 16).astype(np.float32),
        "labels": digits.target,
    }
    try:
        directory = data_directory() if data is None else data
    except FileNotFoundError:
        return inputs
    for source in POOL_SOURCES:
        pools = pools_of(directory, source)
        inputs |= {f"{source}/{name}": array for name, array in pools.items()}
    return inputs


def pools_of(data: Path, source: str) -> dict[str, np.ndarray]:
    """The tasks of one source, and what the greedy portfolio reaches on each.

    The portfolio is made of the tasks of other folds. Tasks are padded with NaN.
    """
    from metaopt.benchmarks.families import fold_of
    from metaopt.benchmarks.portfolio import greedy_portfolio
    from metaopt.benchmarks.tables import table_histories, table_problems
    from metaopt.episodes.histories import history_tasks
    from warmstart.regret import regret

    problems = {problem.task: problem for problem in table_problems(data, source, pool=True)}
    histories = [h for h in table_histories(data, source) if h.info.task in problems]
    tasks = history_tasks(histories, scale=regret)
    longest = max(len(task.y) for task in tasks)
    x = np.full((len(tasks), longest, tasks[0].x.shape[1]), np.nan, dtype=np.float32)
    y = np.full((len(tasks), longest), np.nan, dtype=np.float32)
    portfolio = np.zeros((len(tasks), N_PORTFOLIO), dtype=np.float32)
    folds = np.array([fold_of(task.family, n_folds=N_FOLDS) for task in tasks])
    for i, task in enumerate(tasks):
        x[i, : len(task.y)], y[i, : len(task.y)] = task.x, task.y
    for fold in range(N_FOLDS):
        others = [h for h in histories if fold_of(h.info.family, n_folds=N_FOLDS) != fold]
        chosen = greedy_portfolio(others, size=N_PORTFOLIO)
        for i in np.flatnonzero(folds == fold).tolist():
            problem = problems[tasks[i].name]
            portfolio[i] = problem.regret(problem.losses(chosen))
    return {
        "x": x,
        "regret": y,
        "portfolio": portfolio,
        "task": np.array([task.name for task in tasks]),
        "family": np.array([task.family for task in tasks]),
        "fold": folds,
    }
