"""Workers that start at once, with one seed, on an empty study: no two try the same."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import optuna
import pytest
import sampler_worker
from optuna.storages import InMemoryStorage
from sampler_worker import TURNS_OF_TPE, not_planned, objective, open_storage, warm

from warmstart.artifact import Artifact

pytestmark = pytest.mark.usefixtures("quiet")

N_WORKERS = 4
N_EACH = 3


def assert_all_differ(study: optuna.Study, n_trials: int) -> None:
    trials = study.get_trials(deepcopy=False)
    assert len(trials) == n_trials
    assert len({tuple(sorted(trial.params.items())) for trial in trials}) == n_trials
    assert not_planned(study) <= TURNS_OF_TPE


@pytest.mark.parametrize("repetition", range(5))
def test_eight_threads_that_start_at_once_all_try_something_else(
    artifact: Artifact, repetition: int
) -> None:
    barrier = threading.Barrier(8)

    def together(trial: optuna.Trial) -> float:
        if trial.number < 8:
            barrier.wait(timeout=60)
        loss = objective(trial)
        if trial.number < 8:
            barrier.wait(timeout=60)
        return loss

    study = optuna.create_study(sampler=warm(artifact, seed=repetition))
    study.optimize(together, n_trials=24, n_jobs=8)
    assert_all_differ(study, 24)


@pytest.mark.parametrize("repetition", range(5))
def test_samplers_of_one_seed_that_ask_in_turn_for_each_value_all_try_something_else(
    artifact: Artifact, repetition: int
) -> None:
    storage = open_storage("memory")
    optuna.create_study(study_name="shared", storage=storage)
    studies = [
        optuna.load_study(
            study_name="shared", storage=storage, sampler=warm(artifact, seed=repetition)
        )
        for _ in range(N_WORKERS)
    ]
    trials = [study.ask() for study in studies for _ in range(3)]
    for name, low, high in (("C", 1e-2, 1e4), ("gamma", 1e-5, 10)):
        for trial in trials:
            trial.suggest_float(name, low, high, log=True)
    assert_all_differ(studies[0], len(trials))


class _PlannedAtOnce(InMemoryStorage):
    """Nobody's plan is seen before all workers have made theirs."""

    def __init__(self, n_workers: int) -> None:
        super().__init__()
        self._barrier = threading.Barrier(n_workers)
        self._planned: set[int] = set()

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        if trial_id not in self._planned:
            self._planned.add(trial_id)
            self._barrier.wait(timeout=60)
        super().set_trial_user_attr(trial_id, key, value)


@pytest.mark.parametrize("repetition", range(5))
def test_workers_that_plan_the_same_before_they_see_each_other_give_way(
    artifact: Artifact, repetition: int
) -> None:
    storage = _PlannedAtOnce(N_WORKERS)
    optuna.create_study(study_name="shared", storage=storage)

    def work() -> None:
        sampler = warm(artifact, seed=repetition)
        study = optuna.load_study(study_name="shared", storage=storage, sampler=sampler)
        study.optimize(objective, n_trials=N_EACH)

    threads = [threading.Thread(target=work) for _ in range(N_WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    study = optuna.load_study(study_name="shared", storage=storage)
    assert_all_differ(study, N_WORKERS * N_EACH)


@pytest.fixture(params=["sqlite", "journal"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    name = tmp_path / f"study.{request.param}"
    return f"sqlite:///{name}" if request.param == "sqlite" else str(name)


def start_workers(
    where: str, artifact: Path, n_trials: int = N_EACH
) -> list[subprocess.Popen[str]]:
    storage = open_storage(where)
    optuna.create_study(study_name="shared", storage=storage)
    command = [sys.executable, sampler_worker.__file__, where, str(n_trials), "0", str(artifact)]
    return [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(N_WORKERS)
    ]


def wait_for(worker: subprocess.Popen[str]) -> None:
    _, errors = worker.communicate(timeout=300)
    assert worker.returncode == 0, errors


def shared_study(where: str) -> optuna.Study:
    return optuna.load_study(study_name="shared", storage=open_storage(where))


@pytest.mark.parametrize("repetition", range(2))
def test_processes_that_start_at_once_all_try_something_else(
    where: str, artifact_path: Path, repetition: int
) -> None:
    for worker in start_workers(where, artifact_path):
        wait_for(worker)
    assert_all_differ(shared_study(where), N_WORKERS * N_EACH)


def test_a_killed_worker_leaves_the_others_working(where: str, artifact_path: Path) -> None:
    killed, *others = start_workers(where, artifact_path, n_trials=8)
    assert killed.stdout is not None
    killed.stdout.readline()  # its first trial is done
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=300)
    for worker in others:
        wait_for(worker)
    study = shared_study(where)
    complete = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
    assert len(complete) >= 8 * (N_WORKERS - 1) + 1
    assert len({tuple(sorted(trial.params.items())) for trial in complete}) == len(complete)
    study.sampler = warm(str(artifact_path))
    study.optimize(objective, n_trials=1)
    assert study.trials[-1].params["C"] > 0
