"""What is judged: of each estimator the histories, chosen as training chooses them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from metaopt.benchmarks.families import fold_of
from metaopt.training.aligning import aligned_for_learning
from metaopt.training.selection import (
    by_metric,
    named_canonically,
    one_for_each_task,
    usual_metric,
)
from warmstart.aligned import by_estimator
from warmstart.history import History


@dataclass(frozen=True)
class Subject:
    """One estimator and its histories.

    Attributes:
        estimator: Canonical name.
        histories: All that can be learned from, one for each source, task and metric.
        metric: By which most tasks were judged; a task's history by it is what is predicted.
    """

    estimator: str
    histories: tuple[History, ...]
    metric: str

    @property
    def judged(self) -> list[History]:
        """The histories that are predicted, one for each source and task."""
        return [h for h in self.histories if h.info.metric == self.metric]

    @property
    def families(self) -> set[str]:
        """Of the data sets of what is predicted."""
        return {history.info.family for history in self.judged}

    def digest(self) -> str:
        """Tells other histories from these."""
        content = hashlib.blake2b(digest_size=12)
        for history in self.histories:
            content.update(repr((history.info.key, history.info.family)).encode())
            content.update(history.losses.tobytes())
        return content.hexdigest()


def subjects_of(
    histories: Sequence[History], estimators: Collection[str] | None = None
) -> list[Subject]:
    """The estimators of some histories, by name, and what can be learned from of each.

    Args:
        histories: As a store holds them.
        estimators: Canonical names; None: all.
    """
    subjects = []
    for name, group in sorted(by_estimator(named_canonically(histories)).items()):
        if estimators is not None and name not in estimators:
            continue
        sound, _ = one_for_each_task(by_metric(group))
        unusable = {left_out.key for left_out in aligned_for_learning(name, sound)[2]}
        chosen = [history for history in sound if history.info.key not in unusable]
        if chosen:
            subjects.append(
                Subject(name, tuple(chosen), usual_metric(h.info.metric for h in chosen))
            )
    return subjects


def split(
    histories: Sequence[History], *, fold: int, n_folds: int
) -> tuple[list[History], list[History]]:
    """Histories to learn from and histories to predict; a family is never on both sides."""
    sides: tuple[list[History], list[History]] = ([], [])
    for history in histories:
        sides[fold_of(history.info.family, n_folds=n_folds) == fold].append(history)
    return sides
