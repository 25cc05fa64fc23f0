"""The work of a benchmark: what to train, which studies to run, and running one of either.

The functions here run in worker processes. What they are given is picklable; what takes long to
load is kept for the next call.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import tempfile
import traceback
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
from threadpoolctl import threadpool_limits

from metaopt.benchmarks.corruption import VARIANTS, Corruption, corrupt, with_inverted_losses
from metaopt.benchmarks.families import fold_of
from metaopt.benchmarks.methods import Method, code_digest, identity
from metaopt.benchmarks.problems import PROBLEMS_VERSION, Problem
from metaopt.benchmarks.results import Result
from metaopt.benchmarks.runs import run_study
from metaopt.benchmarks.sources import Source, digest_of_history
from warmstart.history import History
from warmstart.provenance import META_LEARNER, read_provenance

CORRUPTION_SEED: Final = 0
_DIGITS: Final = 9  # significant digits of a loss that is kept


@dataclass(frozen=True)
class Training:
    """What a method is to learn from the histories of a source outside one fold.

    Attributes:
        key: A digest of all that the outcome depends on.
        method: Which; methods that train alike share one training.
        source: Which.
        fold: The fold that is left out.
        n_folds: How many there are.
        corruption: What is done to the histories first.
        max_tasks: Training tasks at most, the first ones.
        directory: Where the outcome is kept.
    """

    key: str
    method: Method
    source: Source
    fold: int
    n_folds: int
    corruption: Corruption | None
    max_tasks: int | None
    directory: Path

    @property
    def path(self) -> Path:
        """Where the outcome is kept."""
        return self.directory / f"{self.key}.pickle"


@dataclass(frozen=True)
class Cell:
    """One study to run.

    Attributes:
        result: What is known beforehand of its result.
        method: Which.
        source: Which.
        tasks: All tasks of this source that the benchmark runs, loaded together.
        n_trials: How many.
        trained: Where the outcome of the training is; None without transfer.
    """

    result: Result
    method: Method
    source: Source
    tasks: tuple[str, ...]
    n_trials: int
    trained: Path | None


@dataclass(frozen=True)
class TrainingOutcome:
    """The digest of what was learned, or why nothing was."""

    digest: str = ""
    error: str = ""


def digest_of(*parts: object) -> str:
    """A short digest of plain values."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:24]


def method_digest(method: Method) -> str:
    """A digest of what a method does, its training aside."""
    return digest_of(identity(method.sampler), code_digest(method.modules), optuna.__version__)


def training_key(
    method: Method,
    histories: Collection[str],
    *,
    corruption: Corruption | None,
) -> str:
    """The key of a training on histories with these digests."""
    return digest_of(
        identity(method.train),
        code_digest(method.modules),
        list(histories),
        corruption,
        CORRUPTION_SEED,
    )


def cell_key(
    source: str, *, code: str, task_digest: str, inverted: bool, seed: int, trained: str
) -> str:
    """The key of one study: everything that its losses depend on.

    Args:
        source: Name of the source.
        code: As ``method_digest`` gives it.
        task_digest: As ``Source.digests`` gives it.
        inverted: Whether the losses are negated.
        seed: Of the study.
        trained: Digest of what the method has learned.
    """
    return digest_of(PROBLEMS_VERSION, source, task_digest, inverted, code, trained, seed)


def training_histories(
    histories: Collection[History], *, fold: int, n_folds: int, max_tasks: int | None
) -> list[History]:
    """The histories whose family is tested in another fold."""
    return [h for h in histories if fold_of(h.info.family, n_folds=n_folds) != fold][:max_tasks]


def run_training(training: Training) -> TrainingOutcome:
    """Train, unless that has been done; keep the outcome in a file that appears when complete."""
    if training.path.exists():
        return TrainingOutcome(_file_digest(training.path))
    try:
        histories = training_histories(
            _corrupted(training.source, training.corruption),
            fold=training.fold,
            n_folds=training.n_folds,
            max_tasks=training.max_tasks,
        )
        assert training.method.train is not None
        with threadpool_limits(limits=1):
            learned = training.method.train(histories)
        training.directory.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=training.directory, delete=False) as file:
            pickle.dump(learned, file, protocol=5)
        os.replace(file.name, training.path)
    except Exception:
        return TrainingOutcome(error=_reason())
    return TrainingOutcome(_file_digest(training.path))


def run_cell(cell: Cell) -> Result:
    """Run one study; what goes wrong is the result's ``error``."""
    try:
        problem = _problems(cell.source, cell.tasks)[cell.result.task]
        if VARIANTS[cell.result.variant].inverted_target:
            problem = with_inverted_losses(problem)
        learned = None if cell.trained is None else _load(cell.trained)
        sampler = cell.method.sampler(learned, problem, cell.result.seed)
        with threadpool_limits(limits=1):  # more only wait for each other on arrays so small
            run = run_study(problem, sampler, n_trials=cell.n_trials)
    except Exception:
        return replace(cell.result, error=_reason())
    said = [read_provenance(attributes) for attributes in run.attributes]
    return replace(
        cell.result,
        losses=[None if np.isnan(v) else float(f"{v:.{_DIGITS}g}") for v in run.losses],
        best=problem.best,
        worst=problem.worst,
        milliseconds=round(float(np.median(run.suggest_seconds)) * 1e3, 3),
        proposed=(
            float(np.mean([p is not None and p.by == META_LEARNER for p in said]))
            if any(said)
            else None
        ),
    )


def start_worker() -> None:
    """Prepare a worker process: one thread, also in what is loaded later, and Optuna quiet."""
    os.environ["OMP_NUM_THREADS"] = "1"
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@lru_cache(maxsize=2)
def histories_of(source: Source) -> tuple[list[History], Mapping[str, str]]:
    """The histories of a source, and the digest of each by its task."""
    histories = source.histories()
    return histories, {h.info.task: digest_of_history(h) for h in histories}


@lru_cache(maxsize=2)
def _corrupted(source: Source, corruption: Corruption | None) -> list[History]:
    histories, _ = histories_of(source)
    if corruption is None:
        return histories
    return corrupt(histories, corruption, CORRUPTION_SEED)


@lru_cache(maxsize=2)
def _problems(source: Source, tasks: tuple[str, ...]) -> Mapping[str, Problem]:
    return {problem.task: problem for problem in source.problems(tasks)}


@lru_cache(maxsize=6)
def _load(path: Path) -> Any:
    return pickle.loads(path.read_bytes())


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:24]


def _reason() -> str:
    """The exception being handled, and where in which file it came from."""
    lines = traceback.format_exc(limit=-2, chain=False).strip().splitlines()
    return " | ".join(line.strip() for line in lines[1:])[-1000:]
