"""Several processes tune one model together, through one file: `python several_processes.py`.

They share nothing but the storage. Each sees what the others try and chooses something else, and
any of them may be stopped, or others started later.
"""

import argparse
import multiprocessing
import tempfile
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import MaxTrialsCallback
from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score

import warmstart as ws

STUDY = "forest-on-wine"
X, y = load_wine(return_X_y=True)


def objective(trial):
    model = RandomForestClassifier(
        n_estimators=20,
        max_features=trial.suggest_float("max_features", 0.1, 1.0),
        min_samples_leaf=trial.suggest_int("min_samples_leaf", 1, 20),
        criterion=trial.suggest_categorical("criterion", ["gini", "entropy"]),
        random_state=0,
    )
    return cross_val_score(model, X, y, cv=3).mean()


def work(path, seed, n_trials):
    storage = JournalStorage(JournalFileBackend(str(path)))
    sampler = ws.WarmStartSampler(
        estimator="sklearn.ensemble.RandomForestClassifier", task=ws.describe(X, y), seed=seed
    )
    study = optuna.load_study(study_name=STUDY, storage=storage, sampler=sampler)
    study.optimize(objective, callbacks=[MaxTrialsCallback(n_trials)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "study.log"
        storage = JournalStorage(JournalFileBackend(str(path)))
        study = optuna.create_study(study_name=STUDY, storage=storage, direction="maximize")
        with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
            seeds = range(arguments.processes)
            pool.starmap(work, [(path, seed, arguments.trials) for seed in seeds])
        tried = {tuple(sorted(trial.params.items())) for trial in study.trials}
        print(f"{len(study.trials)} trials, {len(tried)} different configurations")
        print(f"Best accuracy {study.best_value:.4f} with {study.best_params}")
