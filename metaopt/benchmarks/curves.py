"""Results grouped into curves, and what is read off them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from metaopt.benchmarks import statistics
from metaopt.benchmarks.results import Result

AREA_TRIALS: Final = 50
MATCHED_TRIAL: Final = 50
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


def group_results(results: Iterable[Result]) -> dict[str, dict[str, dict[str, Curves]]]:
    """Successful results as curves, by variant, source and method."""
    grouped: dict[str, dict[str, dict[str, list[Result]]]] = {}
    for result in results:
        of = grouped.setdefault(result.variant, {}).setdefault(result.source, {})
        of.setdefault(result.method, []).append(result)
    return {
        variant: {
            source: {method: _curves(of_method) for method, of_method in of_source.items()}
            for source, of_source in of_variant.items()
        }
        for variant, of_variant in grouped.items()
    }


def regret_of(result: Result) -> np.ndarray:
    """The curve of one result, ``(n_trials,)``."""
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
                np.stack([regret_of(r) for r in sorted(of_task, key=lambda r: r.seed)])
                for of_task in full.values()
            ]
        ),
        milliseconds=float(np.median([result.milliseconds for result in results])),
        proposed=float(np.mean(said)) if said else None,
    )


def common_tasks(several: Iterable[Curves]) -> list[str]:
    """The tasks that all have, sorted."""
    sets = [set(curves.tasks) for curves in several]
    return sorted(set.intersection(*sets)) if sets else []


def trial_value(curve: np.ndarray, trial: int) -> float | None:
    """A curve at a trial (from 1); None if it is shorter."""
    return float(curve[trial - 1]) if len(curve) >= trial else None


def area_of(curve: np.ndarray) -> float:
    """The area under a curve over the first ``AREA_TRIALS`` trials."""
    return statistics.area(curve, n_trials=AREA_TRIALS)


def ratio(value: float | None, reference: float | None) -> float | None:
    """One regret over another; None if one is not known, or the other is zero."""
    if value is None or reference is None or reference <= 0:
        return None
    return value / reference


def ratio_at(trial: int, curves: Curves, reference: Curves | None) -> float | None:
    """The mean regret at a trial over that of the reference at the same trial."""
    if reference is None:
        return None
    return ratio(trial_value(curves.mean, trial), trial_value(reference.mean, trial))


def ratio_to_gp(curves: Curves, gp: Curves | None) -> float | None:
    """The regret in the end against that of Optuna's GP sampler after 50 trials."""
    if gp is None:
        return None
    return ratio(float(curves.mean[-1]), trial_value(gp.mean, MATCHED_TRIAL))


def trials_to_match(curves: Curves, reference: Curves | None) -> float | None:
    """As ``statistics.trials_to_match``; None if never, or without reference."""
    target = None if reference is None else trial_value(reference.mean, MATCHED_TRIAL)
    if target is None:
        return None
    matched = statistics.trials_to_match(curves.mean, target)
    return matched if math.isfinite(matched) else None


def lost(curves: Curves, reference: Curves | None, at: int) -> dict[str, float] | None:
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


def source_groups(sources: Iterable[str]) -> dict[str, list[str]]:
    """Which sources are averaged over: continuous ones, and tables as pools with surrogates."""
    sources = list(sources)
    groups = {"continuous": [s for s in sources if not s.endswith(_POOL)]}
    pools = [s for s in sources if s.endswith(_POOL)]
    if pools:
        tables = {pool.removesuffix(_POOL) for pool in pools}
        groups["pools"] = pools + [s for s in groups["continuous"] if s not in tables]
    return {name: members for name, members in groups.items() if members}


def pooled_lost(
    shares: Sequence[tuple[int, Mapping[str, float] | None]],
) -> dict[str, float] | None:
    """Shares over the tasks of several sources, from (number of tasks, shares) of each."""
    known = [(n, share) for n, share in shares if share is not None]
    if len(known) < len(shares):
        return None
    total = sum(n for n, _ in known)
    return {
        name: sum(n * share[name] for n, share in known) / total for name in ("share", "by_chance")
    }


def geometric(values: Sequence[float | None]) -> float | None:
    """The geometric mean; None if one value is."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return statistics.geometric_mean(known)


def methods_everywhere(
    by_source: Mapping[str, Mapping[str, object]], sources: Sequence[str]
) -> list[str]:
    """The methods that every one of the sources has."""
    return [m for m in by_source[sources[0]] if all(m in by_source[s] for s in sources)]
