"""Tune a scikit-learn pipeline from what OpenML's runs have taught: `python tune_svm_pipeline.py`.

Only the sampler differs from any other Optuna script.
"""

import argparse

import optuna
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import warmstart as ws

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--trials", type=int, default=20)
arguments = parser.parse_args()

X, y = load_breast_cancer(return_X_y=True)
model = Pipeline([("scale", StandardScaler()), ("svc", SVC())])


def objective(trial):
    model.set_params(
        svc__kernel=trial.suggest_categorical("svc__kernel", ["rbf", "sigmoid"]),
        svc__C=trial.suggest_float("svc__C", 1e-2, 1e4, log=True),
        svc__gamma=trial.suggest_float("svc__gamma", 1e-5, 10, log=True),
    )
    return cross_val_score(model, X, y, cv=5, scoring="accuracy").mean()


sampler = ws.WarmStartSampler(
    estimator="sklearn.svm.SVC",  # without it, the names of the parameters tell
    task=ws.describe(
        X, y
    ),  # sizes and statistics, no rows; without it, it works a little less well
    metric="accuracy",
    # This data set is on OpenML, and one of those that were learned from. Whoever wants to know
    # what transfer is worth has to leave it out; for your own data there is no need.
    exclude="similar",
    seed=0,
)
study = optuna.create_study(direction="maximize", sampler=sampler)
study.optimize(objective, n_trials=arguments.trials)

print(f"Best accuracy {study.best_value:.4f} with {study.best_params}")
explained = ws.explain(study)
print(explained[["number", "value", "by", "transfer", "tasks"]].head().to_string(index=False))
print(f"Left out as too similar: {explained.attrs['excluded']}")
