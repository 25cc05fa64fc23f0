"""What a benchmark found, as plain data: figures for each source, tests over tasks, the guard.

Everything is computed from results alone, so it can be made again from what is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from metaopt.benchmarks import statistics
from metaopt.benchmarks.comparisons import GUARD_AT, gp_check, guard, paired_tests
from metaopt.benchmarks.corruption import HONEST
from metaopt.benchmarks.curves import (
    AREA_TRIALS,
    CurvesByMethod,
    area_of,
    common_tasks,
    geometric,
    group_results,
    lost,
    methods_everywhere,
    pooled_lost,
    ratio_at,
    ratio_to_gp,
    regret_of,
    source_groups,
    trial_value,
    trials_to_match,
)
from metaopt.benchmarks.options import REFERENCE, REFERENCE_GP
from metaopt.benchmarks.results import Result

AT: Final = (1, 5, 10, 25, 50, 100)
FORMAT: Final = "metaopt-bench"
VERSION: Final = 1
SMALLEST_RATIO: Final = 0.01


def build_report(results: Iterable[Result]) -> dict[str, Any]:
    """Compute everything that is said about results.

    Args:
        results: As ``run_missing`` gives them.

    Returns:
        Plain data for JSON: ``sources`` (variant, source, method: figures and the mean curve),
        ``overall``, ``tests``, ``guard``, ``gp_check``, ``failures`` and ``runs`` (every curve).
        What can't be computed from these methods and trials is None, as is "never".
    """
    results = list(results)
    good = [result for result in results if not result.error]
    curves = group_results(good)
    honest = curves.get(HONEST, {})
    figures = {
        variant: {source: _figures(methods) for source, methods in of_variant.items()}
        for variant, of_variant in curves.items()
    }
    return {
        "format": FORMAT,
        "version": VERSION,
        "sources": figures,
        "overall": _overall(figures.get(HONEST, {})),
        "tests": paired_tests(honest),
        "guard": guard(curves),
        "gp_check": gp_check(honest),
        "failures": [
            {name: getattr(result, name) for name in (*_IDENTITY, "error")}
            for result in results
            if result.error
        ],
        "runs": [
            {
                **{name: getattr(result, name) for name in (*_IDENTITY, "family", "fold")},
                "regret": [round(float(v), 7) for v in regret_of(result)],
            }
            for result in good
        ],
    }


_IDENTITY: Final = ("source", "variant", "method", "task", "seed")


def _figures(methods: CurvesByMethod) -> dict[str, Any]:
    """Of every method on one source."""
    reference = methods.get(REFERENCE)
    ranks = _ranks(methods)
    out = {}
    for name, curves in methods.items():
        low, high = statistics.bootstrap_interval(curves.families, curves.by_task)
        out[name] = {
            "n_tasks": len(curves.tasks),
            "n_seeds": curves.regret.shape[1],
            "regret": {str(at): trial_value(curves.mean, at) for at in AT},
            "area": area_of(curves.mean),
            "rank": ranks[name],
            "trials_to_match": trials_to_match(curves, reference),
            "ratio_at_100": ratio_at(100, curves, reference),
            "ratio_to_gp_at_50": ratio_to_gp(curves, methods.get(REFERENCE_GP)),
            "lost": {str(at): lost(curves, reference, at) for at in GUARD_AT},
            "milliseconds": curves.milliseconds,
            "proposed": curves.proposed,
            "curve": _rounded(curves.mean),
            "low": _rounded(low),
            "high": _rounded(high),
        }
    return out


def _ranks(methods: CurvesByMethod) -> dict[str, float | None]:
    """Mean rank by area over the tasks that all methods have; None if there are none."""
    tasks = common_tasks(methods.values())
    if not tasks:
        return dict.fromkeys(methods)
    areas = np.stack(
        [curves.rows(tasks)[:, :AREA_TRIALS].mean(axis=1) for curves in methods.values()], axis=1
    )
    return dict(zip(methods, map(float, statistics.mean_ranks(areas)), strict=True))


def _floored(value: float | None) -> float | None:
    """A ratio, but not so small that it alone decides a geometric mean."""
    return None if value is None else max(value, SMALLEST_RATIO)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 7) for value in values]


Figures = Mapping[str, Mapping[str, Any]]  # of each method, by name


def _overall(honest: Mapping[str, Figures]) -> dict[str, Any]:
    """Means over the sources of each group, for methods that ran on all of them."""
    out: dict[str, Any] = {}
    for group, sources in source_groups(honest).items():
        methods = {}
        for method in methods_everywhere(honest, sources):
            of_method = [honest[source][method] for source in sources]
            methods[method] = {
                "rank": _mean([figures["rank"] for figures in of_method]),
                "area": float(np.mean([figures["area"] for figures in of_method])),
                **{
                    name: geometric([_floored(figures[name]) for figures in of_method])
                    for name in ("trials_to_match", "ratio_at_100", "ratio_to_gp_at_50")
                },
                "lost": {
                    str(at): pooled_lost(
                        [(figures["n_tasks"], figures["lost"][str(at)]) for figures in of_method]
                    )
                    for at in GUARD_AT
                },
                "milliseconds": float(
                    np.median([figures["milliseconds"] for figures in of_method])
                ),
            }
        out[group] = {"sources": sources, "methods": methods}
    return out
