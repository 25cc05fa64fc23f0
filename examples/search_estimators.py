"""Choose between estimators and tune them, as scikit-learn does: `python search_estimators.py`.

What is tuned is not written down: it is inferred for every step that is known, and shown before
anything is fitted. Boosting finds the number of its trees by itself, on the validation fold.
"""

import argparse

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from warmstart.sklearn import WarmStartSearchCV

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--trials", type=int, default=15)
parser.add_argument("--jobs", type=int, default=None, help="processes; default: this one")
arguments = parser.parse_args()

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X["size"] = pd.cut(X.pop("mean area"), [0, 400, 700, np.inf], labels=["small", "medium", "large"])
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

prepare = ColumnTransformer([("words", OneHotEncoder(), ["size"])], remainder=StandardScaler())
search = WarmStartSearchCV(
    {
        "svm": make_pipeline(prepare, SVC()),
        # It takes categories as they are, and at most so many trees.
        "boosting": LGBMClassifier(n_estimators=300, n_jobs=1, verbose=-1, random_state=0),
    },
    n_trials=arguments.trials,
    cv=5,
    scoring="roc_auc",
    early_stopping_rounds=30,
    n_jobs=arguments.jobs,
    random_state=0,
    verbose=1,
)
print("Tuned are", ", ".join(search.space_.parameters))
search.fit(X_train, y_train)

print(f"Best ROC AUC {search.best_score_:.4f} on five folds with {search.best_params_}")
print(f"{search.score(X_test, y_test):.4f} on rows that the search did not see")
results = pd.DataFrame(search.cv_results_)
print(results[["param_estimator", "mean_test_score", "mean_fit_time"]].head().to_string())
