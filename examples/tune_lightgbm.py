"""Tune LightGBM as its users write it, a parameter dict and a Dataset: `python tune_lightgbm.py`.

What the dict has stays as it is, under any of LightGBM's names; the rest is tuned, and early
stopping finds the number of rounds.
"""

import argparse

import lightgbm as lgb
import optuna
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

import warmstart as ws
from warmstart.lightgbm import suggest_params, tune

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--trials", type=int, default=20)
arguments = parser.parse_args()
optuna.logging.set_verbosity(optuna.logging.WARNING)

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0, stratify=y)
train_set = lgb.Dataset(X_train, y_train)
params = {
    "objective": "binary",
    "metric": "auc",
    "eta": 0.1,  # not tuned, since it is given
    "num_leaf": optuna.distributions.IntDistribution(4, 64, log=True),  # tuned in this range
    "is_unbalance": True,
    "num_threads": 1,
}

tuned = tune(params, train_set, num_boost_round=500, nfold=5, n_trials=arguments.trials)
booster = lgb.train(tuned.best_params, train_set, tuned.best_iteration)
print(f"Best ROC AUC of cross-validation {tuned.best_score:.4f}, {tuned.best_iteration} rounds")
print(f"{roc_auc_score(y_test, booster.predict(X_test)):.4f} on rows that tuning did not see")
print({name: tuned.best_params[name] for name in ("eta", "num_leaf", "min_data_in_leaf")})


# With an objective of your own, a trial makes the same dict:
def objective(trial):
    scores = lgb.cv(suggest_params(trial, own_params), own_set, 50, nfold=3)
    return scores["valid auc-mean"][-1]


own_params = {**params, "feature_pre_filter": False, "verbosity": -1}
own_set = lgb.Dataset(X_train, y_train)
sampler = ws.WarmStartSampler(
    estimator="lightgbm.LGBMClassifier",
    task=ws.describe(X_train, y_train),
    metric="auc",
    exclude="similar",  # this data set is one of those that were learned from
    seed=0,
)
study = optuna.create_study(direction="maximize", sampler=sampler)
study.optimize(objective, n_trials=2)
print(f"By an objective of one's own: {study.best_value:.4f}")
