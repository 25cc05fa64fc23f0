"""How well a fitted model predicts one fold, by several measures under scikit-learn's names."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from metaopt.collect.preparation import Fold

#: The measure that the loss of a history is made of, by kind of task.
PRIMARY: Final = {"classification": "accuracy", "regression": "root_mean_squared_error"}


def loss_of(kind: str, measures: dict[str, float]) -> float:
    """The loss of measures: 1 - accuracy, or the root mean squared error."""
    value = measures[PRIMARY[kind]]
    return 1.0 - value if kind == "classification" else value


def classification_measures(model: Any, fold: Fold, n_classes: int) -> dict[str, float]:
    """Accuracy, balanced accuracy, ROC AUC (one against the rest, mean) and log loss.

    The log loss is left out where a model gives no probabilities.
    """
    y = fold.y_test
    if hasattr(model, "predict_proba"):
        scores = model.predict_proba(fold.X_test)
        predicted = scores.argmax(axis=1)
    else:
        scores = model.decision_function(fold.X_test)
        predicted = model.predict(fold.X_test)
        if scores.ndim == 1:
            scores = np.column_stack([-scores, scores])
    right = predicted == y
    present = [c for c in range(n_classes) if (y == c).any() and (y != c).any()]
    measures = {
        "accuracy": float(right.mean()),
        "balanced_accuracy": float(np.mean([right[y == c].mean() for c in present])),
        "roc_auc": float(np.mean([_auc(scores[:, c], y == c) for c in present])),
    }
    if hasattr(model, "predict_proba"):
        share = scores[np.arange(len(y)), y] / scores.sum(axis=1)
        measures["log_loss"] = float(-np.log(np.maximum(share, np.finfo(float).eps)).mean())
    return measures


def regression_measures(model: Any, fold: Fold) -> dict[str, float]:
    """Root mean squared error, mean absolute error and R², in the target's own unit."""
    error = fold.y_test - (model.predict(fold.X_test).reshape(-1) * fold.scale + fold.mean)
    variance = float(np.mean((fold.y_test - fold.y_test.mean()) ** 2))
    squared = float(np.mean(error**2))
    return {
        "root_mean_squared_error": squared**0.5,
        "mean_absolute_error": float(np.abs(error).mean()),
        "r2": 1.0 - squared / variance if variance > 0 else np.nan,
    }


def _auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """The share of pairs of a positive and a negative that are in order; ties count half."""
    from scipy.stats import rankdata

    n_positive = int(positive.sum())
    n_pairs = n_positive * (len(positive) - n_positive)
    rank_sum = float(rankdata(scores)[positive].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2) / n_pairs
