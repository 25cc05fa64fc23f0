"""The trainings of a benchmark: which there are, and running those that have no outcome yet."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from metaopt.benchmarks.optimizers.rivals import (
    LEARNED,
    RIVALS,
    SCHEDULES,
    Rival,
    Setting,
    learned,
)
from metaopt.benchmarks.optimizers.tasks import BenchTask, benchmark_tasks, tuning_tasks
from metaopt.benchmarks.optimizers.training import Outcome, run_training
from metaopt.optim.weights import load_weights, shipped_path

FILE: Final = "trainings.jsonl"

Report = Callable[[str, int, int], None]  # phase, done, of


@dataclass(frozen=True)
class Training:
    """A training that a benchmark needs."""

    task: str
    rival: str
    setting: tuple[tuple[str, float], ...]
    horizon: int
    seed: int

    @classmethod
    def of(
        cls, task: BenchTask, rival: Rival, setting: Setting, *, horizon: int, seed: int
    ) -> Training:
        """The training of a task by a rival."""
        return cls(task.name, rival.name, tuple(sorted(setting.items())), horizon, seed)


class Runs:
    """Outcomes in a file: what it has is not run again, and it may be killed at any moment.

    They are known by what was trained, with which weights, not by the name of the task alone.

    Args:
        directory: Where the file is; made if it is not there.
        device: Where models are trained.
        n_jobs: Processes.
        weights: Of the learned optimizer; None: the shipped ones.
        report: Told how far it is.
    """

    def __init__(
        self,
        directory: Path,
        *,
        device: str,
        n_jobs: int,
        weights: Path | None,
        report: Report,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / FILE
        self._device, self._n_jobs, self._weights = device, n_jobs, weights
        self._report = report
        self._digest = load_weights(weights or shipped_path(LEARNED)).digest
        self._schedule_digest = load_weights(
            shipped_path("schedule"), kind="learned-schedule"
        ).digest
        self._task_digests: dict[str, str] = {}
        self._known = self._read()

    def _read(self) -> dict[str, Outcome]:
        if not self._path.exists():
            return {}
        known = {}
        text = self._path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:  # it was killed while writing a line
            self._path.write_text(whole, encoding="utf-8")
        for line in whole.splitlines():
            entry = json.loads(line)
            known[entry["key"]] = Outcome.from_dict(entry["outcome"])
        return known

    def _key(self, training: Training) -> str:
        if training.task not in self._task_digests:
            self._task_digests[training.task] = digest_of(task_named(training.task))
        task = self._task_digests[training.task]
        parts: list[Any] = [*vars(training).values(), task, self._device]
        if training.rival == LEARNED:
            parts.append(self._digest)
        if training.rival in SCHEDULES:
            parts.append(self._schedule_digest)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]

    def outcomes(self, phase: str, trainings: Sequence[Training]) -> dict[Training, Outcome]:
        """The outcome of each training, run if it is not known."""
        keys = {training: self._key(training) for training in trainings}
        missing = [training for training, key in keys.items() if key not in self._known]
        for i, (training, outcome) in enumerate(self._run(missing), start=1):
            self._known[keys[training]] = outcome
            entry = {"key": keys[training], **vars(training), "outcome": outcome.to_dict()}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
            self._report(phase, i, len(missing))
        return {training: self._known[key] for training, key in keys.items()}

    def _run(self, trainings: Sequence[Training]) -> Iterator[tuple[Training, Outcome]]:
        if self._n_jobs == 1 or len(trainings) < 2:
            for training in trainings:
                yield training, run_one(training, self._device, self._weights)
            return
        with ProcessPoolExecutor(
            max_workers=self._n_jobs,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
        ) as executor:
            futures = {
                executor.submit(run_one, training, self._device, self._weights): training
                for training in trainings
            }
            for future in as_completed(futures):
                yield futures[future], future.result()


def digest_of(task: BenchTask) -> str:
    """What identifies a task by what it is, whatever its name: model, rows, order of steps."""
    problem = task.make(0)
    digest = hashlib.sha256(f"{problem.model} {problem.batch_size} {task.longer}".encode())
    for tensor in (*problem.model.state_dict().values(), *problem.train, *problem.validation):
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _start_worker() -> None:
    torch.set_num_threads(1)


def run_one(training: Training, device: str, weights: Path | None) -> Outcome:
    """Run one training."""
    rival = learned(weights) if training.rival == LEARNED else RIVALS[training.rival]
    return run_training(
        task_named(training.task),
        rival,
        dict(training.setting),
        horizon=training.horizon,
        seed=training.seed,
        device=torch.device(device),
    )


def task_named(name: str) -> BenchTask:
    """A task of the benchmark, or one of those that settings are chosen on."""
    if name.startswith("tuning-"):
        return tuning_tasks(int(name.removeprefix("tuning-")) + 1)[-1]
    return {task.name: task for task in benchmark_tasks()}[name]
