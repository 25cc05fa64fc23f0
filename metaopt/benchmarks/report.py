"""What a benchmark found, as plain data: figures for each source, tests over tasks, the guard.

Everything is computed from results alone, so it can be made again from what is stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from metaopt.benchmarks import statistics
from metaopt.benchmarks.corruption import HONEST
from metaopt.benchmarks.options import GP_CHECK, REFERENCE
from metaopt.benchmarks.results import Result

AT: Final = (1, 5, 10, 25, 50, 100)
GUARD_AT: Final = (25, 50, 100)
AREA_TRIALS: Final = 50
MATCHED_TRIAL: Final = 50
REFERENCE_GP: Final = "gp"
PRODUCT: Final = "warmstart"
FORMAT: Final = "metaopt-bench"
VERSION: Final = 1
_POOL: Final = "/pool"


@dataclass(frozen=True)
class Curves:
    """All studies of one method on one source in one variant.

    Attributes:
        tasks: Names, ``n_tasks``.
        families: The family of each.
        regret: ``(n_tasks, n_seeds, n_trials)``; a task counts if all its studies succeeded.
        milliseconds: Median over studies of the median time for one suggestion.
        proposed: Mean share of trials that the meta-learner proposed; None if not said.
    """

    tasks: tuple[str, ...]
    families: tuple[str, ...]
    regret: np.ndarray
    milliseconds: float
    proposed: float | None

    @property
    def by_task(self) -> np.ndarray:
        """``(n_tasks, n_trials)``, averaged over seeds."""
        return np.asarray(self.regret.mean(axis=1))

    @property
    def mean(self) -> np.ndarray:
        """``(n_trials,)``, averaged over tasks."""
        return np.asarray(self.by_task.mean(axis=0))

    @property
    def n_trials(self) -> int:
        """In each study."""
        return int(self.regret.shape[2])

    def rows(self, tasks: Sequence[str]) -> np.ndarray:
        """``by_task`` for some tasks in their order."""
        at = {task: i for i, task in enumerate(self.tasks)}
        return self.by_task[[at[task] for task in tasks]]


CurvesByMethod = Mapping[str, Curves]


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
    grouped: dict[str, dict[str, dict[str, list[Result]]]] = {}
    for result in good:
        of = grouped.setdefault(result.variant, {}).setdefault(result.source, {})
        of.setdefault(result.method, []).append(result)
    curves = {
        variant: {
            source: {method: _curves(of_method) for method, of_method in of_source.items()}
            for source, of_source in of_variant.items()
        }
        for variant, of_variant in grouped.items()
    }
    honest = curves.get(HONEST, {})
    return {
        "format": FORMAT,
        "version": VERSION,
        "sources": {
            variant: {source: _figures(methods) for source, methods in of_variant.items()}
            for variant, of_variant in curves.items()
        },
        "overall": _overall(honest),
        "tests": _tests(honest),
        "guard": _guard(curves),
        "gp_check": _gp_check(honest),
        "failures": [
            {name: getattr(result, name) for name in (*_IDENTITY, "error")}
            for result in results
            if result.error
        ],
        "runs": [
            {
                **{name: getattr(result, name) for name in (*_IDENTITY, "family", "fold")},
                "regret": [round(float(v), 7) for v in _regret(result)],
            }
            for result in good
        ],
    }


_IDENTITY: Final = ("source", "variant", "method", "task", "seed")


def _regret(result: Result) -> np.ndarray:
    return statistics.regret_curve(result.losses, best=result.best, worst=result.worst)


def _curves(results: Sequence[Result]) -> Curves:
    by_task: dict[str, list[Result]] = {}
    for result in results:
        by_task.setdefault(result.task, []).append(result)
    n_seeds = max(map(len, by_task.values()))
    full = {task: of_task for task, of_task in by_task.items() if len(of_task) == n_seeds}
    said = [result.proposed for result in results if result.proposed is not None]
    return Curves(
        tasks=tuple(full),
        families=tuple(of_task[0].family for of_task in full.values()),
        regret=np.stack(
            [
                np.stack([_regret(r) for r in sorted(of_task, key=lambda r: r.seed)])
                for of_task in full.values()
            ]
        ),
        milliseconds=float(np.median([result.milliseconds for result in results])),
        proposed=float(np.mean(said)) if said else None,
    )


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
            "regret": {str(at): _at(curves.mean, at) for at in AT},
            "area": _area(curves.mean),
            "rank": ranks[name],
            "trials_to_match": _trials_to_match(curves, reference),
            "ratio_at_100": _ratio_at(100, curves, reference),
            "ratio_to_gp_at_50": _ratio_to_gp(curves, methods.get(REFERENCE_GP)),
            "lost": {str(at): _lost(curves, reference, at) for at in GUARD_AT},
            "milliseconds": curves.milliseconds,
            "proposed": curves.proposed,
            "curve": _rounded(curves.mean),
            "low": _rounded(low),
            "high": _rounded(high),
        }
    return out


def _ranks(methods: CurvesByMethod) -> dict[str, float]:
    """Mean rank by area over the tasks that all methods have."""
    tasks = _common_tasks(methods.values())
    if not tasks:
        return dict.fromkeys(methods, math.nan)
    areas = np.stack(
        [curves.rows(tasks)[:, :AREA_TRIALS].mean(axis=1) for curves in methods.values()], axis=1
    )
    return dict(zip(methods, map(float, statistics.mean_ranks(areas)), strict=True))


def _common_tasks(several: Iterable[Curves]) -> list[str]:
    sets = [set(curves.tasks) for curves in several]
    return sorted(set.intersection(*sets)) if sets else []


def _at(curve: np.ndarray, trial: int) -> float | None:
    return float(curve[trial - 1]) if len(curve) >= trial else None


def _area(curve: np.ndarray) -> float:
    return statistics.area(curve, n_trials=AREA_TRIALS)


def _ratio(value: float | None, reference: float | None) -> float | None:
    if value is None or reference is None or reference <= 0:
        return None
    return value / reference


def _ratio_at(trial: int, curves: Curves, reference: Curves | None) -> float | None:
    return (
        None if reference is None else _ratio(_at(curves.mean, trial), _at(reference.mean, trial))
    )


def _ratio_to_gp(curves: Curves, gp: Curves | None) -> float | None:
    """The regret in the end against that of Optuna's GP sampler after 50 trials."""
    if gp is None:
        return None
    return _ratio(float(curves.mean[-1]), _at(gp.mean, MATCHED_TRIAL))


def _trials_to_match(curves: Curves, reference: Curves | None) -> float | None:
    """As ``statistics.trials_to_match``; None if never, or without reference."""
    target = None if reference is None else _at(reference.mean, MATCHED_TRIAL)
    return None if target is None else _finite(statistics.trials_to_match(curves.mean, target))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _lost(curves: Curves, reference: Curves | None, at: int) -> dict[str, float] | None:
    """The share of tasks lost to the second half of the reference's seeds.

    And, for scale, the share that the first half of them loses to the second.
    """
    if reference is None or at > min(curves.n_trials, reference.n_trials):
        return None
    half = reference.regret.shape[1] // 2
    if half < 2:
        return None
    rows = {task: i for i, task in enumerate(reference.tasks)}
    kept = [i for i, task in enumerate(curves.tasks) if task in rows]
    paired = reference.regret[[rows[curves.tasks[i]] for i in kept], :, at - 1]
    mine = paired[:, :half] if curves is reference else curves.regret[kept, :, at - 1]
    return {
        "share": statistics.lost_share(mine, paired[:, half:]),
        "by_chance": statistics.lost_share(paired[:, :half], paired[:, half:]),
    }


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 7) for value in values]


def source_groups(sources: Iterable[str]) -> dict[str, list[str]]:
    """Which sources are averaged over: continuous ones, and tables as pools with surrogates."""
    sources = list(sources)
    groups = {"continuous": [s for s in sources if not s.endswith(_POOL)]}
    pools = [s for s in sources if s.endswith(_POOL)]
    if pools:
        tables = {pool.removesuffix(_POOL) for pool in pools}
        groups["pools"] = pools + [s for s in groups["continuous"] if s not in tables]
    return {name: members for name, members in groups.items() if members}


def _overall(honest: Mapping[str, CurvesByMethod]) -> dict[str, Any]:
    """Means over the sources of each group, for methods that ran on all of them."""
    out: dict[str, Any] = {}
    for group, sources in source_groups(honest).items():
        figures = {source: _figures(honest[source]) for source in sources}
        out[group] = {
            "sources": sources,
            "methods": {
                method: {
                    "rank": float(np.mean([figures[s][method]["rank"] for s in sources])),
                    "area": float(np.mean([figures[s][method]["area"] for s in sources])),
                    "trials_to_match": _geometric(
                        [figures[s][method]["trials_to_match"] for s in sources]
                    ),
                    "ratio_at_100": _geometric(
                        [figures[s][method]["ratio_at_100"] for s in sources]
                    ),
                    "milliseconds": float(
                        np.median([figures[s][method]["milliseconds"] for s in sources])
                    ),
                }
                for method in _methods_everywhere(honest, sources)
            },
        }
    return out


def _geometric(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return statistics.geometric_mean([max(value, 1e-12) for value in known])


def _methods_everywhere(honest: Mapping[str, CurvesByMethod], sources: Sequence[str]) -> list[str]:
    return [m for m in honest[sources[0]] if all(m in honest[source] for source in sources)]


def _tests(honest: Mapping[str, CurvesByMethod]) -> list[dict[str, Any]]:
    """Paired tests of the area under the curve: the product against each other method.

    Seeds are averaged within a task, tasks within a family; p-values are adjusted for the
    number of methods compared, within each source and within each group of sources.
    """
    out: list[dict[str, Any]] = []
    for source, methods in honest.items():
        if PRODUCT in methods:
            others = [name for name in methods if name != PRODUCT]
            pairs = {name: _paired({source: methods}, name) for name in others}
            out += _adjusted(source, pairs)
    for group, sources in source_groups(honest).items():
        everywhere = _methods_everywhere(honest, sources)
        if PRODUCT in everywhere and len(sources) > 1:
            within = {source: honest[source] for source in sources}
            pairs = {name: _paired(within, name) for name in everywhere if name != PRODUCT}
            out += _adjusted(group, pairs)
    return out


def _paired(sources: Mapping[str, CurvesByMethod], other: str) -> tuple[list[str], np.ndarray]:
    """Families, and how much lower the product's area is in each, ``(n_families,)``.

    A family that several sources have counts once: its mean over them.
    """
    families: list[str] = []
    differences: list[float] = []
    for methods in sources.values():
        product, baseline = methods[PRODUCT], methods[other]
        tasks = _common_tasks([product, baseline])
        if not tasks:
            continue
        of = dict(zip(product.tasks, product.families, strict=True))
        n = min(AREA_TRIALS, product.n_trials, baseline.n_trials)
        away = (baseline.rows(tasks)[:, :n] - product.rows(tasks)[:, :n]).mean(axis=1)
        names = [of[task] for task in tasks]
        families += list(dict.fromkeys(names))
        differences += statistics.averaged_by(names, away).tolist()
    if not families:
        return [], np.empty(0)
    return list(dict.fromkeys(families)), statistics.averaged_by(families, np.array(differences))


def _adjusted(
    where: str, pairs: Mapping[str, tuple[list[str], np.ndarray]]
) -> list[dict[str, Any]]:
    pairs = {name: pair for name, pair in pairs.items() if len(pair[0])}
    p_values = {name: statistics.paired_p_value(away) for name, (_, away) in pairs.items()}
    adjusted = statistics.holm(p_values)
    out = []
    for name, (families, away) in pairs.items():
        low, high = statistics.bootstrap_interval(families, away)
        out.append(
            {
                "where": where,
                "method": PRODUCT,
                "other": name,
                "n_families": len(families),
                "difference": float(away.mean()),
                "low": float(low),
                "high": float(high),
                "wins": int((away > statistics.TOLERANCE).sum()),
                "losses": int((away < -statistics.TOLERANCE).sum()),
                "p_value": p_values[name],
                "p_adjusted": adjusted[name],
            }
        )
    return out


def _guard(curves: Mapping[str, Mapping[str, CurvesByMethod]]) -> list[dict[str, Any]]:
    """How methods fare against TPE on the same problems when the sources mislead."""
    out = []
    for variant, sources in curves.items():
        if variant == HONEST:
            continue
        for source, methods in sources.items():
            reference = methods.get(REFERENCE)
            for name, method_curves in methods.items():
                if reference is None or name == REFERENCE:
                    continue
                out.append(
                    {
                        "variant": variant,
                        "source": source,
                        "method": name,
                        "ratio": {
                            str(at): _ratio(_at(method_curves.mean, at), _at(reference.mean, at))
                            for at in GUARD_AT
                        },
                        "lost": {str(at): _lost(method_curves, reference, at) for at in GUARD_AT},
                    }
                )
    return out


def _gp_check(honest: Mapping[str, CurvesByMethod]) -> dict[str, Any] | None:
    """Area of RGPE's Gaussian process without sources against that of Optuna's."""
    theirs, ours = GP_CHECK
    ratios = {}
    for source, methods in honest.items():
        if theirs in methods and ours in methods:
            tasks = _common_tasks([methods[theirs], methods[ours]])
            ratios[source] = _ratio(
                _area(methods[ours].rows(tasks).mean(axis=0)),
                _area(methods[theirs].rows(tasks).mean(axis=0)),
            )
    known = [ratio for ratio in ratios.values() if ratio is not None]
    if not known:
        return None
    return {"ratio": ratios, "overall": statistics.geometric_mean(known)}
