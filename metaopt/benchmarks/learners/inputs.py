"""What the benchmark reads, as one file of arrays: digits, and pools of recorded runs.

So it can run on a machine that has neither scikit-learn nor the recorded runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from warmstart.history import History

POOL_SOURCES: Final = ("random_forest", "adaboost", "svc")
N_PORTFOLIO: Final = 20  # trials of the greedy portfolio
N_FOLDS: Final = 5
#: Judged once, at the end, for the learner that was chosen on the others.
OUTER_FOLD: Final = 0
#: Judges what the folds that are left have taught.
JUDGING_FOLD: Final = 1
BUDGETS: Final = (0, 1, 2, 5, 10, 25, 50)
N_SPLITS: Final = 4  # of each task and budget

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
    """The tasks of one source, what the greedy portfolio reaches, and the current surrogate.

    The portfolio is made of the tasks of other folds. What each task foretells of the others'
    runs comes from a forest fitted to its own. Tasks are padded with NaN; so are the scores of
    the current surrogate, which are there for the judging fold alone.
    """
    from metaopt.benchmarks.families import fold_of
    from metaopt.benchmarks.portfolio import greedy_portfolio
    from metaopt.benchmarks.tables import table_histories, table_problems
    from metaopt.episodes.histories import history_tasks
    from warmstart.regret import regret

    problems = {problem.task: problem for problem in table_problems(data, source, pool=True)}
    histories = [h for h in table_histories(data, source) if h.info.task in problems]
    by_task = {history.info.task: history for history in histories}
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
        **_current([by_task[task.name] for task in tasks], folds),
        "x": x,
        "regret": y,
        "foretold": _foretold([by_task[task.name] for task in tasks], longest),
        "portfolio": portfolio,
        "task": np.array([task.name for task in tasks]),
        "family": np.array([task.family for task in tasks]),
        "fold": folds,
    }


def _foretold(histories: Sequence[History], longest: int) -> np.ndarray:
    """Regret of each task, by its forest, at the runs of all, ``(n_tasks, longest, n_tasks)``.

    On the scale of the task's own runs, whose best is 0 and whose worst is 1.
    """
    from sklearn.ensemble import RandomForestRegressor

    from metaopt.benchmarks.portfolio import N_TREES, finished, space_of
    from metaopt.benchmarks.problems import UnitEncoder

    encoder = UnitEncoder(space_of(histories))
    runs = [finished(history) for history in histories]
    rows = [encoder(configurations) for configurations, _ in runs]
    ends = np.cumsum([len(of_task) for of_task in rows])[:-1]
    foretold = np.full((len(rows), longest, len(rows)), np.nan, dtype=np.float32)
    for t, (_, losses) in enumerate(runs):
        forest = RandomForestRegressor(N_TREES, random_state=0).fit(rows[t], losses)
        scaled = (forest.predict(np.concatenate(rows)) - losses.min()) / np.ptp(losses)
        for of_task, part in zip(foretold, np.split(scaled, ends), strict=True):
            of_task[: len(part), t] = np.clip(part, 0.0, 1.0)
    return foretold


def _current(histories: Sequence[History], folds: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of the current surrogate on the judging fold, by what the inner others teach."""
    from metaopt.benchmarks.learners.current import current_scores
    from metaopt.benchmarks.learners.searching import N_TRIALS

    judged = np.flatnonzero(folds == JUDGING_FOLD).tolist()
    inner = np.flatnonzero((folds != JUDGING_FOLD) & (folds != OUTER_FOLD)).tolist()
    scores = current_scores(
        histories[0].info.estimator,
        [histories[i] for i in inner],
        [histories[i] for i in judged],
        budgets=BUDGETS,
        n_splits=N_SPLITS,
    )
    arrays = {
        "curve": np.full((len(histories), N_TRIALS), np.nan),
        "rank_correlation": np.full((len(histories), len(BUDGETS)), np.nan),
        "cell_score": np.full((len(histories), len(BUDGETS)), np.nan),
    }
    for i, of_task in zip(judged, scores, strict=True):
        for name, array in arrays.items():
            array[i] = getattr(of_task, name)
    return {f"current/{name}": array for name, array in arrays.items()}
