"""The card in an artifact: what it was learned from, how, what it is not good for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from metaopt.training.selection import LeftOut
from warmstart.catalogue import ESTIMATORS
from warmstart.learning import AlignedHistory
from warmstart.prior import Prior, SourceTask

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
_ALWAYS: Final = (
    "What is excluded later takes its own contribution with it; lengthscales and noise keep a "
    "trace of it.",
    "Losses were normalised within each task, so nothing is said of absolute scores.",
)


def make_card(
    priors: Mapping[str, Prior],
    usable: Mapping[str, Sequence[AlignedHistory]],
    *,
    left_out: Sequence[LeftOut],
    excluded: Sequence[str],
    settings: Mapping[str, Any],
    extra: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The card of an artifact that holds these priors; the same for the same training.

    Args:
        priors: By the estimator's name.
        usable: The histories that each was learned from.
        left_out: Histories that were not learned from.
        excluded: What was asked to be left out.
        settings: Of the training, its seed among them.
        extra: What else should be said; takes precedence.
    """
    tasks = [task for prior in priors.values() for task in prior.tasks]
    estimators = {}
    for name, prior in priors.items():
        read = _distinct(history.task for history in usable[name])
        learned = _distinct(prior.tasks)
        estimators[name] = {
            "n_tasks": len(learned),
            "n_tasks_read": len(read),
            "n_families": len({task.family for task in learned}),
            "n_trials": sum(task.n_trials for task in read),
            "n_tasks_with_descriptor": sum(task.descriptor is not None for task in learned),
            "n_tasks_by_source": _counts(learned, "source"),
            "n_tasks_by_metric": _counts(prior.tasks, "metric"),
            "n_tasks_by_licence": _counts(learned, "licence"),
            "descriptors_used": bool(prior.bandwidth),
            "benchmark_only": is_benchmark_only(name),
        }
    return {
        "package_version": _package_version(),
        "settings": dict(settings),
        "sources": sorted({task.source for task in tasks}),
        "metrics": sorted({task.metric for task in tasks}),
        "licences": sorted({task.licence or "not stated" for task in tasks}),
        "licences_are": LICENCES,
        "n_trials": sum(entry["n_trials"] for entry in estimators.values()),
        "n_families": len({task.family for task in tasks}),
        "estimators": estimators,
        "excluded": sorted(excluded),
        "n_histories_left_out": dict(sorted(Counter(o.reason for o in left_out).items())),
        "limits": [*_ALWAYS, *_limits(priors)],
        "reveals": REVEALS,
        **(extra or {}),
    }


def is_benchmark_only(name: str) -> bool:
    """Whether the catalogue keeps an estimator for benchmarks."""
    return any(estimator.benchmark_only for estimator in ESTIMATORS if estimator.name == name)


def _limits(priors: Mapping[str, Prior]) -> list[str]:
    return [
        f"{name}: for benchmarks only, never inferred from parameter names."
        for name in sorted(priors)
        if is_benchmark_only(name)
    ]


def _distinct(tasks: Iterable[SourceTask]) -> list[SourceTask]:
    """Each task once, whatever it was judged by; the metric by which it has most trials."""
    longest = sorted(tasks, key=lambda task: -task.n_trials)
    return list({(task.source, task.id): task for task in reversed(longest)}.values())


def _counts(tasks: Sequence[SourceTask], field: str) -> dict[str, int]:
    counts = Counter(getattr(task, field) or "not stated" for task in tasks)
    return dict(sorted(counts.items()))


def _package_version() -> str:
    try:
        return version("warmstart")
    except PackageNotFoundError:
        return "not installed"
