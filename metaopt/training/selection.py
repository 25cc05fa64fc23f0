"""Which histories are learned from: sound ones, one for each task, in an order of their own.

Nothing here depends on the order in which histories or trials are given, so that the same
histories make the same artifact.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TypeAlias

import numpy as np

from metaopt.benchmarks.families import family_of
from warmstart.aligned import source_task
from warmstart.catalogue import resolve_estimator
from warmstart.errors import HistoryError, UnknownEstimatorError
from warmstart.history import History, HistoryKey
from warmstart.learning import AlignedHistory
from warmstart.metrics import HIGHER_IS_BETTER, metric_name
from warmstart.regret import capped
from warmstart.store import HistoryStore

Histories: TypeAlias = HistoryStore | str | os.PathLike[str] | Iterable[History]


@dataclass(frozen=True, order=True)
class LeftOut:
    """A history that was not learned from, and why."""

    key: HistoryKey
    reason: str


def read_histories(histories: Histories) -> list[History]:
    """All histories of a store, or those given.

    Raises:
        HistoryError: If there is no store at a path, or something else is given.
    """
    if isinstance(histories, str | os.PathLike):
        histories = HistoryStore(histories, create=False)
    if isinstance(histories, HistoryStore):
        return histories.histories()
    listed = list(histories)
    for history in listed:
        if not isinstance(history, History):
            raise HistoryError(
                f"{type(history).__name__} given among the histories; expected History objects, "
                "a HistoryStore, or the path of one."
            )
    return listed


def named_canonically(histories: Iterable[History]) -> list[History]:
    """The histories with the estimator's name of today, and with a family where none is said.

    An estimator that is not in the catalogue keeps its name. The family follows from the name of
    the data set, as OpenML's collections are named; without a name every task is its own.
    """
    named = []
    for history in histories:
        info = history.info
        family = info.family or (family_of(info.name) if info.name else info.task)
        named.append(
            replace(
                history,
                info=replace(info, estimator=canonical_name(info.estimator), family=family),
            )
        )
    return named


def canonical_name(estimator: str) -> str:
    """The name of an estimator in the catalogue; its own if it has none there."""
    try:
        return resolve_estimator(estimator).name
    except UnknownEstimatorError:
        return estimator


def without(histories: Sequence[History], exclude: Collection[str]) -> list[History]:
    """The histories that ``exclude`` names neither by task, name, data set nor family.

    Raises:
        HistoryError: If it names something that is not there.
    """
    asked = set(exclude)
    names = [{h.info.task, h.info.name, h.info.dataset, h.info.family} - {""} for h in histories]
    unknown = sorted(asked - set().union(*names))
    if unknown:
        raise HistoryError(
            f"exclude={unknown} given; expected ids, names, data sets or families of tasks that "
            "the histories are of."
        )
    return [h for h, of_history in zip(histories, names, strict=True) if not of_history & asked]


def by_metric(histories: Iterable[History]) -> list[History]:
    """The histories, and one more for each other metric that the same trials were judged by.

    Metrics are those of ``warmstart.metrics``; trials in which one was not measured are left out
    of its history. Losses that know no upper bound are capped, since one diverged model would
    make all others look alike.
    """
    told_apart = []
    for history in histories:
        metric = metric_name(history.info.metric)
        told_apart.append(_judged_by(metric, history, history.losses))
        for measure, values in history.measures.items():
            if measure == metric or measure not in HIGHER_IS_BETTER:
                continue
            measured = history.subset(np.isfinite(values) & (history.states == "complete"))
            sign = -1.0 if HIGHER_IS_BETTER[measure] else 1.0
            told_apart.append(_judged_by(measure, measured, sign * measured.measures[measure]))
    return told_apart


def _judged_by(metric: str, history: History, losses: np.ndarray) -> History:
    # What is better when lower is an error or a log loss, without a bound.
    is_bounded = HIGHER_IS_BETTER.get(metric, True)
    return replace(
        history,
        info=replace(history.info, metric=metric),
        losses=losses if is_bounded else capped(losses),
    )


def usual_metric(metrics: Iterable[str]) -> str:
    """The metric that occurs most often; of equally frequent ones the better known; or none."""
    counts = Counter(metrics)
    known = list(HIGHER_IS_BETTER)
    return max(
        sorted(counts),
        key=lambda m: (counts[m], -known.index(m) if m in known else -len(known)),
        default="",
    )


def one_for_each_task(histories: Sequence[History]) -> tuple[list[History], list[LeftOut]]:
    """Of one estimator's histories, the sound one of each source, task and metric.

    Where there are several, as of studies that call one metric by two names, the longest is
    taken.

    Returns:
        The histories, sorted by their keys and each in an order that its trials alone decide;
        and what was left out.
    """
    sound = []
    left_out = []
    for history in histories:
        reason = why_not_usable(history)
        if reason:
            left_out.append(LeftOut(history.info.key, reason))
        else:
            sound.append(in_own_order(history))

    def last_resort(history: History) -> tuple[int, str]:
        return -len(history), _digest(str(history.trials())).hex()

    chosen: dict[HistoryKey, History] = {}
    for history in sorted(sound, key=last_resort):
        kept = chosen.setdefault(history.info.key, history)
        if kept is not history:
            reason = f"another history of this task by {kept.info.metric} is longer, or as long"
            left_out.append(LeftOut(history.info.key, reason))
    return sorted(chosen.values(), key=attrgetter("info.key")), left_out


def why_not_usable(history: History) -> str:
    """What is wrong with a history; empty if something can be learned from it."""
    try:
        history.check()
    except HistoryError as error:
        return f"it is broken: {error}"
    nowhere = np.empty((len(history), 0))
    if not AlignedHistory(source_task(history), nowhere, history.losses).is_informative:
        return "too few trials finished, or all alike"
    return ""


def in_own_order(history: History) -> History:
    """The same history, its columns sorted by name and its trials by a digest of each.

    So neither who wrote the trials in which order plays a part, nor how good they are.
    """
    history = replace(history, columns=dict(sorted(history.columns.items())))
    digests = [
        _digest(f"{configuration}|{float(loss).hex() if math.isfinite(loss) else loss}|{run_id}")
        for configuration, loss, run_id in zip(
            history.configurations(), history.losses, history.run_ids, strict=True
        )
    ]
    return history.subset(sorted(range(len(history)), key=digests.__getitem__))


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
