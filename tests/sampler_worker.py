"""Studies that the sampler's tests run, also as a process of its own.

``python sampler_worker.py STORAGE N_TRIALS [SEED [ARTIFACT]]`` runs trials of the study "shared"
and prints them as JSON lines; ``STORAGE`` is ``memory``, an SQLite URL or a journal's path.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import optuna
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from warmstart.artifact import Artifact
from warmstart.provenance import META_LEARNER, read_provenance
from warmstart.sampler import WarmStartSampler

ESTIMATOR = "sklearn.svm.SVC"
#: Numbers of the trials that may be left to TPE, though all parameters are known.
TURNS_OF_TPE = frozenset(range(11, 1000, 2))


def objective(trial: optuna.Trial) -> float:
    """Best at C=1 and gamma=0.1; with one parameter that nothing is known of."""
    C = trial.suggest_float("C", 1e-2, 1e4, log=True)
    gamma = trial.suggest_float("gamma", 1e-5, 10, log=True)
    return math.log10(C) ** 2 + (math.log10(gamma) + 1) ** 2


def mixed_objective(trial: optuna.Trial) -> float:
    """As ``objective``, with parameters that nothing is known of."""
    batch = trial.suggest_int("chunk_rows", 1, 64, log=True)
    colour = trial.suggest_categorical("colour", ["red", "green", "blue"])
    return objective(trial) + batch / 64 + (colour == "red")


def warm(
    artifact: Artifact | str | None = None, *, seed: int = 0, **options: Any
) -> WarmStartSampler:
    return WarmStartSampler(estimator=ESTIMATOR, artifact=artifact, seed=seed, **options)


def not_planned(study: optuna.Study) -> set[int]:
    """The numbers of the trials of which the meta-learner chose no value."""
    said = {t.number: read_provenance(t.user_attrs) for t in study.get_trials(deepcopy=False)}
    return {n for n, own in said.items() if own is None or own.by != META_LEARNER}


def open_storage(where: str) -> BaseStorage:
    if where == "memory":
        return InMemoryStorage()
    if where.startswith("sqlite:"):
        return RDBStorage(where, engine_kwargs={"connect_args": {"timeout": 60}})
    # A killed worker may leave its lock behind.
    lock = JournalFileOpenLock(where, grace_period=5)
    return JournalStorage(JournalFileBackend(where, lock_obj=lock))


def main(where: str, n_trials: int, seed: int = 0, artifact: str | None = None) -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        study_name="shared",
        storage=open_storage(where),
        sampler=warm(artifact, seed=seed),
        load_if_exists=True,
    )
    study.optimize(
        mixed_objective if where == "memory" else objective,
        n_trials=n_trials,
        callbacks=[lambda _, trial: print(json.dumps([trial.number, trial.params]), flush=True)],
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int((sys.argv[3:4] or "0")[0]), *sys.argv[4:5])
