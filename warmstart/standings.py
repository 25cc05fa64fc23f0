"""How estimators stood against each other on the same tasks, by what each reached.

An artifact knows of each task how the best configurations of several estimators compared there.
That says which estimator to try first on new data, before and while trials say it.

Notation:
    T: number of tasks. E: number of estimators.
    standing: what an estimator reached on a task, as a share of the distance from the best loss of
        all estimators to the median loss of all their trials; 0 for the best estimator.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from warmstart.descriptor import TaskDescriptor
from warmstart.history import History
from warmstart.prior import descriptor_weights

#: Meta-features by which tasks are compared.
DESCRIPTOR_NAMES: Final = ("NumberOfInstances", "NumberOfFeatures", "NumberOfClasses")

#: A standing above it is as bad.
WORST: Final = 1.0

# An estimator's best is that of so many of its trials, so that more trials are no advantage.
_N_TRIALS: Final = 10
_FEWEST_TASKS: Final = 10
_FEWEST_FAMILIES: Final = 5
_BANDWIDTHS: Final = (0.3, 0.5, 1.0)
# By how much a bandwidth must beat having none.
_LEAST_GAIN: Final = 0.02
_SHARE_BY_DESCRIPTOR: Final = 0.5


@dataclass(frozen=True)
class Standings:
    """The standings of ``E`` estimators on ``T`` tasks.

    Attributes:
        estimators: Canonical names, ``E``.
        tasks: Source and id of each task, ``T`` pairs.
        families: Of the tasks, ``T``.
        values: ``(T, E)``; NaN where an estimator was not run.
        descriptors: Meta-features of the tasks, ``(T, f)``; NaN where not known.
        bandwidth: See ``warmstart.prior.Prior``.
    """

    estimators: tuple[str, ...]
    tasks: tuple[tuple[str, str], ...]
    families: tuple[str, ...]
    values: np.ndarray
    descriptors: np.ndarray
    bandwidth: float = 0.0

    def of(
        self, estimators: Sequence[str | None], *, without: Collection[tuple[str, str]] = ()
    ) -> Standings | None:
        """Those of some estimators, in their order, on tasks where at least two of them were run.

        Args:
            estimators: Canonical names; one that nothing is known of, or ``None``, stands as the
                others do in the mean.
            without: Tasks to leave out.

        Returns:
            ``None`` if fewer than ten such tasks are left.
        """
        columns = [self.estimators.index(e) if e in self.estimators else -1 for e in estimators]
        values = np.where(np.array(columns) < 0, np.nan, self.values[:, columns])
        _, first = np.unique(columns, return_index=True)
        kept = (~np.isnan(values[:, first])).sum(axis=1) >= 2
        kept &= np.array([task not in set(without) for task in self.tasks], dtype=bool)
        if kept.sum() < _FEWEST_TASKS:
            return None
        values = values[kept]
        values = values - np.nanmin(values, axis=1, keepdims=True)
        mean = np.nanmean(values, axis=1, keepdims=True)
        return replace(
            self,
            estimators=tuple(e or "" for e in estimators),
            tasks=tuple(t for t, k in zip(self.tasks, kept, strict=True) if k),
            families=tuple(f for f, k in zip(self.families, kept, strict=True) if k),
            values=np.where(np.isnan(values), mean, values),
            descriptors=self.descriptors[kept],
        )

    def task_weights(self, descriptor: TaskDescriptor | None) -> np.ndarray:
        """How much each task counts for data that look like this, ``(T,)``, sum 1."""
        target = None if descriptor is None else descriptor.vector(DESCRIPTOR_NAMES)
        return _weights(self.descriptors, target, self.bandwidth)


def learn_standings(histories: Sequence[History]) -> Standings | None:
    """The standings of estimators on the tasks that several of them have histories of.

    Args:
        histories: Of several estimators, all of one metric; one for each task and estimator.

    Returns:
        ``None`` where fewer than ten tasks have histories of two estimators.
    """
    by_task: dict[tuple[str, str], dict[str, History]] = defaultdict(dict)
    for history in histories:
        if np.isfinite(history.losses).any():
            by_task[history.info.source, history.info.task][history.info.estimator] = history
    shared = {task: own for task, own in sorted(by_task.items()) if len(own) > 1}
    if len(shared) < _FEWEST_TASKS:
        return None
    estimators = tuple(sorted({name for own in shared.values() for name in own}))
    values = np.full((len(shared), len(estimators)), np.nan)
    for row, own in zip(values, shared.values(), strict=True):
        finite = {name: h.losses[np.isfinite(h.losses)] for name, h in own.items()}
        reached = {name: expected_best(losses, _N_TRIALS) for name, losses in finite.items()}
        best = min(reached.values())
        distance = max(float(np.median([np.median(losses) for losses in finite.values()])), best)
        scale = distance - best
        for name, loss in reached.items():
            standing = (loss - best) / scale if scale > 0 else 0.0
            row[estimators.index(name)] = min(standing, WORST)
    first = [next(iter(own.values())).info for own in shared.values()]
    described = [
        TaskDescriptor.from_json(info.descriptor) if info.descriptor else None for info in first
    ]
    standings = Standings(
        estimators=estimators,
        tasks=tuple(shared),
        families=tuple(info.family or info.task for info in first),
        values=values,
        descriptors=np.array(
            [
                np.full(len(DESCRIPTOR_NAMES), np.nan) if d is None else d.vector(DESCRIPTOR_NAMES)
                for d in described
            ]
        ),
    )
    return replace(standings, bandwidth=_bandwidth(standings))


def expected_best(losses: np.ndarray, k: int) -> float:
    """The mean of the lowest of ``k`` losses that are drawn without putting back.

    Args:
        losses: Finite, ``(n,)``, at least one.
        k: How many are drawn; all, if there are fewer.
    """
    ordered = np.sort(losses)
    n = len(ordered)
    if n <= k:
        return float(ordered[0])
    # The i-th lowest is the lowest of the draw if the other k - 1 are among those above it.
    log_share = np.cumsum(np.log(n - k - np.arange(n - k)) - np.log(n - 1 - np.arange(n - k)))
    chances = k / n * np.exp(np.concatenate([[0.0], log_share]))
    return float(chances @ ordered[: n - k + 1])


def _bandwidth(standings: Standings) -> float:
    """The bandwidth by which other families' tasks would have chosen the best estimator."""
    families = np.array(standings.families)
    known = standings.descriptors
    if len(set(families[~np.isnan(known).any(axis=1)])) < _FEWEST_FAMILIES:
        return 0.0
    values = standings.values
    scores = {}
    for bandwidth in (0.0, *_BANDWIDTHS):
        reached = []
        for t in range(len(values)):
            others = families != families[t]
            weights = _weights(known[others], known[t], bandwidth)
            there = ~np.isnan(values[t])
            told = np.where(np.isnan(values[others]), np.nan, 1.0) * weights[:, None]
            mean = np.nansum(told * values[others], axis=0) / np.maximum(
                np.nansum(told, axis=0), 1e-12
            )
            reached.append(values[t][there][mean[there].argmin()])
        scores[bandwidth] = float(np.mean(reached))
    best = min(scores, key=lambda bandwidth: scores[bandwidth])
    return best if scores[best] < (1.0 - _LEAST_GAIN) * scores[0.0] else 0.0


def _weights(known: np.ndarray, target: np.ndarray | None, bandwidth: float) -> np.ndarray:
    alike = np.full(len(known), 1.0 / max(len(known), 1))
    if target is None or not bandwidth:
        return alike
    near = descriptor_weights(known, target, bandwidth)
    if near is None:
        return alike
    return (1.0 - _SHARE_BY_DESCRIPTOR) * alike + _SHARE_BY_DESCRIPTOR * near
