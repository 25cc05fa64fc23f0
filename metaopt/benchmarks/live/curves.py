"""Results of studies as curves over trials, one row for each data set, ready to be compared.

Symbols: ``regret`` is that of the best trial so far on the search folds, 0 at the best and 1 at
the worst loss of all methods' trials of this split (losses far beyond the median capped, as in
training); ``test`` is the loss of that trial's model on the test split. A method that ends early
stays where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from metaopt.benchmarks.live.options import REFERENCE, TUNERS
from metaopt.benchmarks.live.results import LiveResult
from metaopt.benchmarks.statistics import regret_curve
from warmstart.regret import capped


@dataclass(frozen=True, eq=False)
class LiveCurves:
    """What one method did with one estimator; seeds averaged.

    Attributes:
        data: Names of data sets.
        families: Of each.
        regret: ``(n_data, n_trials)``; NaN where the objective is another one.
        test: ``(n_data, n_trials)``.
        regret_at_time: ``(n_data, n_trials)``: when the reference has finished each trial.
        test_at_time: Likewise.
        regret_by_share: ``(n_data, 100)``: after each hundredth of the reference's time.
        seconds: ``(n_data,)`` processor time of all trials.
        standard_error: ``(n_data,)`` of the best trial's loss over folds, as regret.
        proposed: Mean share of trials that the meta-learner proposed; None where not said.
        n_seeds: The most of a data set.
    """

    data: tuple[str, ...]
    families: tuple[str, ...]
    regret: np.ndarray
    test: np.ndarray
    regret_at_time: np.ndarray
    test_at_time: np.ndarray
    regret_by_share: np.ndarray
    seconds: np.ndarray
    standard_error: np.ndarray
    proposed: float | None
    n_seeds: int

    def at(self, data: Sequence[str]) -> LiveCurves:
        """The rows of some data sets, in their order."""
        rows = [self.data.index(name) for name in data]
        return replace(
            self,
            data=tuple(data),
            families=tuple(self.families[row] for row in rows),
            **{name: getattr(self, name)[rows] for name in _ARRAYS},
        )


N_SHARES: Final = 100  # of the reference's time
_ARRAYS: Final = (
    *("regret", "test", "regret_at_time", "test_at_time", "regret_by_share"),
    *("seconds", "standard_error"),
)

_SHARES: Final = np.arange(1, N_SHARES + 1) / N_SHARES


def common(curves: Iterable[LiveCurves]) -> list[str]:
    """The data sets that all have, in the order of the first."""
    first, *others = curves
    return [name for name in first.data if all(name in other.data for other in others)]


def live_curves(results: Sequence[LiveResult], *, n_trials: int) -> dict[str, LiveCurves]:
    """Curves of each method, of one estimator's results without errors."""
    splits: dict[tuple[str, int], dict[str, LiveResult]] = {}
    for result in results:
        splits.setdefault((result.data, result.seed), {})[result.method] = result
    rows: dict[str, dict[str, list[_Row]]] = {}
    families = {result.data: result.family for result in results}
    for (data, _), of_split in splits.items():
        scale = _scale(of_split)
        reference = of_split.get(REFERENCE)
        for method, result in of_split.items():
            row = _row(result, reference, scale, n_trials)
            rows.setdefault(method, {}).setdefault(data, []).append(row)
    return {
        method: _averaged(of_method, families, results, method)
        for method, of_method in rows.items()
    }


@dataclass(frozen=True, eq=False)
class _Row:
    """One study: as ``LiveCurves``, without the axis of data sets."""

    regret: np.ndarray
    test: np.ndarray
    regret_at_time: np.ndarray
    test_at_time: np.ndarray
    regret_by_share: np.ndarray
    seconds: float
    standard_error: float


def _averaged(
    rows: Mapping[str, Sequence[_Row]],
    families: Mapping[str, str],
    results: Sequence[LiveResult],
    method: str,
) -> LiveCurves:
    shares = [r.proposed for r in results if r.method == method and r.proposed is not None]
    return LiveCurves(
        data=tuple(rows),
        families=tuple(families[data] for data in rows),
        proposed=float(np.mean(shares)) if shares else None,
        n_seeds=max(map(len, rows.values())),
        **{
            name: np.array(
                [np.mean([getattr(row, name) for row in of], axis=0) for of in rows.values()]
            )
            for name in _ARRAYS
        },
    )


def _scale(of_split: Mapping[str, LiveResult]) -> tuple[float, float]:
    """The losses at regret 0 and 1."""
    listed = [
        loss
        for method, result in of_split.items()
        if method not in TUNERS
        for loss in result.losses
        if loss is not None
    ]
    losses = capped(np.array(listed or [0.0]))
    return float(losses.min()), float(losses.max())


def _row(
    result: LiveResult, reference: LiveResult | None, scale: tuple[float, float], n_trials: int
) -> _Row:
    best, worst = scale
    n = len(result.losses)
    if result.method in TUNERS:
        regret = np.full(n, np.nan)
    elif worst > best:
        regret = np.minimum(regret_curve(result.losses, best=best, worst=worst), 1.0)
    else:
        regret = np.where([loss is None for loss in result.losses], 1.0, 0.0)
        regret = np.minimum.accumulate(regret)
    # Without a model nothing is predicted right; 1 is also what predicting the mean gives.
    test = np.array([1.0 if loss is None else loss for loss in result.tests])
    finished = [k for k, loss in enumerate(result.losses) if loss is not None]
    error = 0.0
    if finished:
        incumbent = min(finished, key=lambda k: result.losses[k] or 0.0)
        error = (result.errors[incumbent] or 0.0) / (worst - best) if worst > best else 0.0
    ends = np.full(n_trials, np.nan)
    if reference is not None:
        ends = _longer(np.array(reference.seconds), n_trials)
    return _Row(
        regret=_longer(regret, n_trials),
        test=_longer(test, n_trials),
        regret_at_time=_at_time(regret, result, ends),
        test_at_time=_at_time(test, result, ends),
        regret_by_share=_at_time(regret, result, ends[-1] * _SHARES),
        seconds=result.seconds[-1],
        standard_error=error,
    )


def _at_time(curve: np.ndarray, result: LiveResult, times: np.ndarray) -> np.ndarray:
    """The curve at points in time, 1 before the first trial ends; NaN without times."""
    n_done = np.searchsorted(np.array(result.seconds), times, side="right")
    return np.where(np.isnan(times), np.nan, np.r_[1.0, curve][n_done])


def _longer(curve: np.ndarray, n_trials: int) -> np.ndarray:
    return np.r_[curve, np.full(max(0, n_trials - len(curve)), curve[-1])][:n_trials]
