"""Names of metrics: what users call them, and what histories are told apart by.

Histories that were judged by metrics of one name rank configurations alike. Some metrics are
monotone in each other on one task (R² and the root mean squared error); others are near enough
that no history is kept of each (F1 and balanced accuracy).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: The metric of studies whose user doesn't say what the objective measures.
UNSAID: Final = "objective"

#: For each metric that histories are told apart by, the most usual first, whether a higher value
#: is better.
HIGHER_IS_BETTER: Final[Mapping[str, bool]] = {
    "accuracy": True,
    "balanced_accuracy": True,
    "roc_auc": True,
    "log_loss": False,
    "root_mean_squared_error": False,
    "mean_absolute_error": False,
}

_STANDS_FOR: Final[Mapping[str, tuple[str, ...]]] = {
    "accuracy": ("precision_micro", "recall_micro", "f1_micro", "error", "error_rate"),
    "balanced_accuracy": (
        "f1",
        "f1_macro",
        "f1_weighted",
        "recall",
        "recall_macro",
        "precision",
        "precision_macro",
        "jaccard",
        "matthews_corrcoef",
        "cohen_kappa",
    ),
    "roc_auc": ("roc_auc_ovr", "roc_auc_ovo", "roc_auc_ovr_weighted", "auc", "average_precision"),
    "log_loss": ("logloss", "binary_logloss", "multi_logloss", "cross_entropy", "brier_score"),
    "root_mean_squared_error": (
        "rmse",
        "mse",
        "l2",
        "mean_squared_error",
        "r2",
        "explained_variance",
    ),
    "mean_absolute_error": ("mae", "l1", "median_absolute_error"),
}
_BY_NAME: Final = {
    name: metric for metric, names in _STANDS_FOR.items() for name in (metric, *names)
}


def known_metric(asked: str | None) -> str | None:
    """The name that histories of a metric go by; ``None`` if it is not one of the known.

    Args:
        asked: As for ``metric_name``, or ``None`` for any.
    """
    name = metric_name(asked or "")
    return name if name in HIGHER_IS_BETTER else None


def metric_name(asked: str) -> str:
    """The name that histories of a metric go by.

    Args:
        asked: A metric, or one of scikit-learn's scorers.

    Returns:
        A key of ``HIGHER_IS_BETTER``; a metric that is not known keeps its own name.

    Example:
        >>> metric_name("neg_log_loss"), metric_name("r2"), metric_name("profit")
        ('log_loss', 'root_mean_squared_error', 'profit')
    """
    plain = asked.strip().lower().removeprefix("neg_")
    return _BY_NAME.get(plain, asked)
