"""OpenML's evaluation measures: what a metric is called here, and its loss."""

from __future__ import annotations

from dataclasses import dataclass

from warmstart.errors import OpenMLError


@dataclass(frozen=True)
class Measure:
    """An evaluation measure, by OpenML's name (``function``) and by scikit-learn's (``metric``).

    ``best`` is the value of a perfect model where higher is better, None where lower is better.
    """

    function: str
    metric: str
    best: float | None = 1.0

    def loss(self, value: float) -> float:
        """The loss of a value: distance from the best one, or the value of an error itself."""
        return value if self.best is None else self.best - value


_MEASURES = (
    Measure("predictive_accuracy", "accuracy"),
    Measure("area_under_roc_curve", "roc_auc"),
    Measure("f_measure", "f1_weighted"),
    Measure("precision", "precision_weighted"),
    Measure("recall", "recall_weighted"),
    Measure("kappa", "cohen_kappa"),
    Measure("root_mean_squared_error", "root_mean_squared_error", best=None),
    Measure("mean_absolute_error", "mean_absolute_error", best=None),
)


def measure_of(function: str) -> Measure:
    """The measure of a name that OpenML uses.

    Raises:
        OpenMLError: If it is unknown here whether higher values are better.
    """
    for measure in _MEASURES:
        if measure.function == function:
            return measure
    known = ", ".join(measure.function for measure in _MEASURES)
    raise OpenMLError(f"measure={function!r} given; expected one of {known}.")


def metric_of(function: str) -> str:
    """The metric of a measure; a measure that is not known here keeps OpenML's name."""
    return next((m.metric for m in _MEASURES if m.function == function), function)
