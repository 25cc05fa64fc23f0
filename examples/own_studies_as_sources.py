"""Let earlier studies of yours start the next one: `python own_studies_as_sources.py`.

The model is one that the shipped artifact has never heard of. Parameters need not have the same
names and ranges in all studies.
"""

import argparse
import tempfile

import optuna
from sklearn import datasets
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import warmstart as ws

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--trials", type=int, default=15)
n_trials = parser.parse_args().trials
ESTIMATOR = "my.KernelRidge"
EARLIER = {
    "iris": datasets.load_iris(return_X_y=True),
    "wine": datasets.load_wine(return_X_y=True),
    "breast_cancer": datasets.load_breast_cancer(return_X_y=True),
    "moons": datasets.make_moons(400, noise=0.3, random_state=0),
    "invented": datasets.make_classification(400, n_informative=8, random_state=0),
}


def objective(X, y, gamma, alpha, low=1e-5):
    def accuracy(trial):
        features = Nystroem(gamma=trial.suggest_float(gamma, low, 10, log=True), n_components=60)
        ridge = RidgeClassifier(alpha=trial.suggest_float(alpha, 1e-3, 1e3, log=True))
        model = make_pipeline(StandardScaler(), features.set_params(random_state=0), ridge)
        return cross_val_score(model, X, y, cv=3).mean()

    return accuracy


optuna.logging.set_verbosity(optuna.logging.WARNING)
with tempfile.TemporaryDirectory() as directory, ws.HistoryStore(directory) as store:
    for seed, (name, (X, y)) in enumerate(EARLIER.items()):
        earlier = optuna.samplers.TPESampler(seed=seed)
        study = optuna.create_study(study_name=name, direction="maximize", sampler=earlier)
        # As a callback; ws.record(study, store, …) does the same for a study that is finished.
        recorder = ws.Recorder(store, estimator=ESTIMATOR, task=ws.describe(X, y))
        study.optimize(objective(X, y, "gamma", "alpha"), n_trials, callbacks=[recorder])
        print(f"{name}: best {study.best_value:.3f}")

    X, y = datasets.load_digits(return_X_y=True)
    task = ws.describe(X, y)
    sampler = ws.WarmStartSampler(estimator=ESTIMATOR, task=task, histories=store, seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective(X, y, "map__gamma", "model__alpha", low=1e-6), n_trials)
    print(f"digits: first {study.trials[0].value:.3f}, best {study.best_value:.3f}")
    print(ws.explain(study).attrs["matched"])
