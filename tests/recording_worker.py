"""A process that the recording tests start: ``python recording_worker.py JOURNAL STORE N``.

It runs trials of one study and records them; which parameters a trial has depends on the trial.
"""

from __future__ import annotations

import sys

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from warmstart.recording import Recorder, record
from warmstart.store import HistoryStore


def objective(trial: optuna.Trial) -> float:
    branch = trial.suggest_int("branch", 0, 4)
    return trial.suggest_float(f"x{branch}", 0, 1 + trial.number)


def work(journal: str, path: str, n_trials: int) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(journal))
    study = optuna.load_study(study_name="shared", storage=storage)
    with HistoryStore(path) as store:
        study.optimize(objective, n_trials, callbacks=[Recorder(store, estimator="my.Model")])
        record(study, store)


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2], int(sys.argv[3]))
