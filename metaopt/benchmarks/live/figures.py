"""What a benchmark on real fits found, as plain data, made from results alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from metaopt.benchmarks import statistics
from metaopt.benchmarks.live.comparisons import compare_search, compare_tests, over_estimators
from metaopt.benchmarks.live.curves import LiveCurves, common, live_curves
from metaopt.benchmarks.live.options import (
    DEFAULT,
    OWN_TUNER,
    PRODUCT,
    REFERENCE,
    TUNER,
    ZERO_SHOT,
)
from metaopt.benchmarks.live.results import LiveResult

FORMAT: Final = "metaopt-bench-live"
VERSION: Final = 1
ALL: Final = "all"


def build_report(results: Iterable[LiveResult], *, budgets: Sequence[int]) -> dict[str, Any]:
    """Compute everything that is said about results.

    Args:
        results: As ``run_live`` has them.
        budgets: Numbers of trials to report, the last of them the longest study.

    Returns:
        Plain data for JSON. ``estimators``: of each estimator and method the figures at budgets,
        and mean curves. ``search``: the product beside TPE on the search folds, of each estimator
        and of all; ``first``: its first proposal beside the library's default and FLAML's, and
        ``tuned``: beside LightGBMTuner and TPE at the end, on the test split; ``own_tuner``:
        ``warmstart.lightgbm.tune`` beside LightGBMTuner there. ``tests``: the loss there after the
        first and the last trial, of each estimator, data set and method. ``failures``. What can't
        be computed from these methods is left out; None stands for "never".
    """
    listed = list(results)
    by_estimator: dict[str, list[LiveResult]] = {}
    for result in listed:
        if not result.error:
            by_estimator.setdefault(result.estimator, []).append(result)
    curves = {
        estimator: live_curves(of, n_trials=budgets[-1]) for estimator, of in by_estimator.items()
    }
    search = {
        estimator: compare_search(of[PRODUCT], of[REFERENCE])
        for estimator, of in curves.items()
        if PRODUCT in of and REFERENCE in of
    }
    if search:
        search = {**search, ALL: over_estimators(search)}
    return {
        "format": FORMAT,
        "version": VERSION,
        "budgets": list(budgets),
        "estimators": {
            estimator: _methods(of, by_estimator[estimator], budgets)
            for estimator, of in curves.items()
        },
        "search": search,
        "first": {other: _tests(curves, other, trial=1) for other in (DEFAULT, ZERO_SHOT)},
        "tuned": {other: _tests(curves, other, trial=budgets[-1]) for other in (TUNER, REFERENCE)},
        "own_tuner": _tests(curves, TUNER, trial=budgets[-1], product=OWN_TUNER),
        "tests": {estimator: _by_data(of) for estimator, of in curves.items()},
        "failures": [
            {name: getattr(result, name) for name in ("estimator", "method", "data", "seed")}
            | {"error": result.error}
            for result in listed
            if result.error
        ],
    }


def _tests(
    curves: Mapping[str, Mapping[str, LiveCurves]],
    other: str,
    *,
    trial: int,
    product: str = PRODUCT,
) -> dict[str, Any]:
    """The product beside another method, of each estimator that both tuned and of all."""
    pairs = {
        estimator: (of[product], of[other])
        for estimator, of in curves.items()
        if product in of and other in of
    }
    found = {estimator: compare_tests([pair], trial=trial) for estimator, pair in pairs.items()}
    if pairs:
        found[ALL] = compare_tests(list(pairs.values()), trial=trial)
    return found


def _by_data(curves: Mapping[str, LiveCurves]) -> dict[str, dict[str, list[float | None]]]:
    out: dict[str, dict[str, list[float | None]]] = {}
    for method, of in curves.items():
        for data, test in zip(of.data, of.test, strict=True):
            out.setdefault(data, {})[method] = _rounded(test[[0, -1]])
    return out


def _methods(
    curves: Mapping[str, LiveCurves], results: Sequence[LiveResult], budgets: Sequence[int]
) -> dict[str, Any]:
    data = common(curves.values())
    ranks = {}
    if data:
        tests = [of.at(data).test for of in curves.values()]
        for at in budgets:
            mean = statistics.mean_ranks(np.stack([test[:, at - 1] for test in tests], axis=1))
            ranks[at] = dict(zip(curves, map(float, mean), strict=True))
    out = {}
    for name, of in curves.items():
        low, high = statistics.bootstrap_interval(of.families, of.regret)
        out[name] = {
            "n_data": len(of.data),
            "n_families": len(set(of.families)),
            "n_seeds": of.n_seeds,
            "n_failed": sum(r.losses.count(None) for r in results if r.method == name),
            "regret": _at(of.regret, budgets),
            "regret_at_time": _at(of.regret_at_time, budgets),
            "test": _at(of.test, budgets),
            "test_at_time": _at(of.test_at_time, budgets),
            "rank": {str(at): ranks[at][name] if ranks else None for at in budgets},
            "seconds": float(of.seconds.mean()),
            "proposed": of.proposed,
            "curve": _rounded(of.regret.mean(axis=0)),
            "low": _rounded(low),
            "high": _rounded(high),
            "test_curve": _rounded(of.test.mean(axis=0)),
        }
    return out


def _at(values: np.ndarray, budgets: Sequence[int]) -> dict[str, float | None]:
    means = _rounded(values.mean(axis=0))
    return {str(at): means[at - 1] for at in budgets}


def _rounded(values: np.ndarray) -> list[float | None]:
    return [round(float(v), 7) if np.isfinite(v) else None for v in values]
