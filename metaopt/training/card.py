"""The card in an artifact: what it was learned from, how, what it is not good for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from metaopt.training.extending import Extension
from metaopt.training.figures import WHAT, held_out_figures
from metaopt.training.selection import LeftOut
from warmstart.catalogue import ESTIMATORS
from warmstart.learning import AlignedHistory
from warmstart.prior import Prior, SourceTask
from warmstart.standings import Standings

REVEALS: Final = (
    "Of each training task: its id, the name and id of its data set, family, source, metric, "
    "licence, number of trials, and where known a descriptor, which is meta-features of the data "
    "(counts, shares, entropies, moments and quartiles of columns) and a fingerprint computed "
    "from them by which copies of the data can be recognised; never rows, values of rows or "
    "column names. Of its trials: the best few configurations, and a smooth function of the "
    "normalised losses."
)
LICENCES: Final = (
    "As the histories state them: of a run from OpenML that of its data set, of a surrogate that "
    "of its collection."
)
ADDED: Final = (
    "Some histories were added later: lengthscales, noise, agreement, calibration and whether "
    "descriptors are used were learned from the first ones alone."
)
CALIBRATED: Final = (
    "Predictions were calibrated on training tasks, each predicted by other families after trials "
    "drawn at random; after proposals, which are better than those, they were not."
)
_SIZES: Final = {"rows": "NumberOfInstances", "columns": "NumberOfFeatures"}
_ALWAYS: Final = (
    "What is excluded later takes its own contribution with it; lengthscales and noise keep a "
    "trace of it.",
    "Losses were normalised within each task, so nothing is said of absolute scores.",
    "On data unlike the training tasks' (see 'data') little may transfer; the sampler then goes "
    "by its own trials after a few of them.",
)


@dataclass(frozen=True)
class Base:
    """An artifact that is added to; an empty one by default.

    Attributes:
        priors: By the estimator's name.
        card: Its card.
        digest: Its own.
        standings: How its estimators compare, by metric.
    """

    priors: Mapping[str, Prior] = field(default_factory=dict)
    card: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    standings: Mapping[str, Standings] = field(default_factory=dict)


@dataclass(frozen=True)
class Learned:
    """What was learned of one estimator.

    Attributes:
        prior: With all tasks.
        histories: Those that were given and learned from.
        extension: How they were added, if they were.
    """

    prior: Prior
    histories: Sequence[AlignedHistory]
    extension: Extension | None = None


def make_card(
    learned: Mapping[str, Learned],
    *,
    left_out: Sequence[LeftOut],
    excluded: Sequence[str],
    settings: Mapping[str, Any],
    base: Base,
    extra: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The card of an artifact that holds these priors; the same for the same training.

    Args:
        learned: By the estimator's name.
        left_out: Histories that were not learned from.
        excluded: What was asked to be left out.
        settings: Of the training, its seed among them.
        base: The artifact that was added to, whose other priors are kept.
        extra: What else should be said; takes precedence.
    """
    priors = {**base.priors, **{name: one.prior for name, one in learned.items()}}
    tasks = [task for prior in priors.values() for task in prior.tasks]
    before = base.card.get("estimators", {})
    estimators = {
        name: _of_estimator(learned[name], before.get(name, {}))
        if name in learned
        else dict(before.get(name, {}))
        for name in sorted(priors)
    }
    made = {
        **base.card,
        "package_version": _package_version(),
        "settings": dict(settings),
        "sources": sorted({task.source for task in tasks}),
        "metrics": sorted({task.metric for task in tasks}),
        "licences": sorted({task.licence or "not stated" for task in tasks}),
        "licences_are": LICENCES,
        "n_trials": sum(entry.get("n_trials", 0) for entry in estimators.values()),
        "n_families": len({task.family for task in tasks}),
        "estimators": estimators,
        "held_out_is": WHAT,
        "excluded": sorted({*base.card.get("excluded", []), *excluded}),
        "n_histories_left_out": dict(sorted(Counter(o.reason for o in left_out).items())),
        "limits": [*_ALWAYS, *_limits(priors)],
        "reveals": REVEALS,
    }
    if base.priors:
        made["settings"] = base.card.get("settings", {})
        made["limits"].append(ADDED)
        made["additions"] = [
            *base.card.get("additions", []),
            {
                "added_to": base.digest,
                "settings": dict(settings),
                "excluded": sorted(excluded),
                "estimators": {name: _addition(one) for name, one in sorted(learned.items())},
            },
        ]
    return {**made, **(extra or {})}


def _of_estimator(one: Learned, before: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of one estimator, ``before`` of what it was added to."""
    prior = one.prior
    read = _distinct([*(history.task for history in one.histories), *prior.tasks])
    learned = _distinct(prior.tasks)
    entry = {
        "n_tasks": len(learned),
        "n_tasks_read": max(len(read), before.get("n_tasks_read", 0)),
        "n_families": len({task.family for task in learned}),
        "n_trials": sum(task.n_trials for task in read),
        "n_tasks_with_descriptor": sum(task.descriptor is not None for task in learned),
        "n_tasks_by_source": _counts(learned, "source"),
        "n_tasks_by_metric": _counts(prior.tasks, "metric"),
        "n_tasks_by_licence": _counts(learned, "licence"),
        "descriptors_used": bool(prior.bandwidth),
        "benchmark_only": is_benchmark_only(prior.estimator),
        "agreement": round(prior.agreement, 4),
        "calibrated": prior.calibration is not None,
        "data": {name: _range(learned, quality) for name, quality in _SIZES.items()},
    }
    figures = held_out_figures(prior, one.histories)
    if one.extension is None:
        return entry | ({"held_out": figures} if figures else {})
    kept = {"held_out": before["held_out"]} if "held_out" in before else {}
    return entry | kept | ({"held_out_of_added": figures} if figures else {})


def _addition(one: Learned) -> dict[str, Any]:
    tasks = _distinct(history.task for history in one.histories)
    said: dict[str, Any] = {
        "n_tasks": len(tasks),
        "n_trials": sum(task.n_trials for task in tasks),
        "sources": sorted({task.source for task in tasks}),
    }
    extension = one.extension
    if extension is not None:
        said["n_replaced"] = extension.n_replaced
        if math.isfinite(extension.old_before):
            said["old_tasks_first_pick"] = {
                "before": round(extension.old_before, 4),
                "after": round(extension.old_after, 4),
            }
    return said


def is_benchmark_only(name: str) -> bool:
    """Whether the catalogue keeps an estimator for benchmarks."""
    return any(estimator.benchmark_only for estimator in ESTIMATORS if estimator.name == name)


def _limits(priors: Mapping[str, Prior]) -> list[str]:
    benchmark_only = [
        f"{name}: for benchmarks only, never inferred from parameter names."
        for name in sorted(priors)
        if is_benchmark_only(name)
    ]
    calibrated = any(prior.calibration is not None for prior in priors.values())
    return [*benchmark_only, *([CALIBRATED] if calibrated else [])]


def _distinct(tasks: Iterable[SourceTask]) -> list[SourceTask]:
    """Each task once, whatever it was judged by; the metric by which it has most trials."""
    longest = sorted(tasks, key=lambda task: -task.n_trials)
    return list({(task.source, task.id): task for task in reversed(longest)}.values())


def _range(tasks: Sequence[SourceTask], metafeature: str) -> dict[str, float] | None:
    """The smallest, middle and largest value of a meta-feature; None where none is known."""
    values = sorted(
        value
        for task in tasks
        if task.descriptor is not None
        and math.isfinite(value := task.descriptor.metafeatures[metafeature])
    )
    if not values:
        return None
    return {"smallest": values[0], "median": values[len(values) // 2], "largest": values[-1]}


def _counts(tasks: Sequence[SourceTask], field: str) -> dict[str, int]:
    counts = Counter(getattr(task, field) or "not stated" for task in tasks)
    return dict(sorted(counts.items()))


def _package_version() -> str:
    try:
        return version("warmstart")
    except PackageNotFoundError:
        return "not installed"
