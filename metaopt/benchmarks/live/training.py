"""The artifact of each fold of families, not learned from the data that it is tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from metaopt.benchmarks.cells import TrainingOutcome, digest_of
from metaopt.benchmarks.families import family_of, fold_of
from metaopt.benchmarks.methods import code_digest
from metaopt.benchmarks.sources import digest_of_history
from metaopt.collect.data_set import DataSet
from warmstart.aligned import source_task
from warmstart.descriptor import describe
from warmstart.history import History
from warmstart.lookalike import look_alike

#: Packages that what is learned depends on.
_CODE = ("warmstart", "metaopt.training")


@dataclass(frozen=True)
class HeldOut:
    """A history that is not trained on, and why."""

    task: str
    name: str
    reason: str


@dataclass(frozen=True)
class LiveTraining:
    """What is learned for one fold, of one estimator.

    Attributes:
        estimator: Canonical name.
        fold: Of families.
        histories: Those that may be learned from.
        key: A digest of all that the outcome depends on.
        directory: Where the artifact is kept.
    """

    estimator: str
    fold: int
    histories: Sequence[History]
    key: str
    directory: Path

    @property
    def path(self) -> Path:
        """Where the artifact is kept."""
        return self.directory / f"{self.key}.safetensors"


class Held:
    """Says which histories have to do with data sets that are tested in one fold.

    Args:
        fold: Which.
        n_folds: How many there are.
        tested: The data sets of this fold.
    """

    def __init__(self, fold: int, n_folds: int, tested: Sequence[DataSet]) -> None:
        self._fold = fold
        self._n_folds = n_folds
        self._names = {
            name
            for data in tested
            for name in (data.name, data.id, data.family, family_of(data.name))
        }
        self._tasks = [
            describe(
                data.X, data.y, kind=data.kind, categorical=list(data.categorical), name=data.name
            )
            for data in tested
        ]

    def reason(self, history: History) -> str:
        """Why a history must not be trained on; empty if it may be."""
        info = history.info
        if fold_of(info.family, n_folds=self._n_folds) == self._fold:
            return "its family is in this fold"
        names = {info.task, info.name, info.dataset, info.family} - {""}
        if names & self._names:
            return "it is of a tested data set"
        descriptor = source_task(history).descriptor
        if descriptor is not None:
            for task in self._tasks:
                alike = look_alike(task, descriptor)
                if alike is not None:
                    return f"it looks like {task.name}: {alike.reason}"
        return ""


def plan_training(
    estimator: str, held: Held, fold: int, histories: Sequence[History], directory: Path
) -> tuple[LiveTraining, list[HeldOut]]:
    """What to train on for one fold, and what is held out."""
    kept, left_out = [], []
    for history in histories:
        if history.info.estimator != estimator:
            continue
        reason = held.reason(history)
        if reason:
            left_out.append(HeldOut(history.info.task, history.info.name, reason))
        else:
            kept.append(history)
    digests = sorted(digest_of_history(history) for history in kept)
    key = digest_of(estimator, digests, code_digest(_CODE))
    return LiveTraining(estimator, fold, kept, key, directory), left_out


def run_training(training: LiveTraining) -> TrainingOutcome:
    """Train, unless that has been done; the artifact appears when it is complete."""
    from metaopt.training import meta_train
    from warmstart.artifact import read_artifact

    try:
        if not training.path.exists():
            training.directory.mkdir(parents=True, exist_ok=True)
            meta_train(training.histories, training.path)
        return TrainingOutcome(read_artifact(training.path).digest)
    except Exception as error:  # whatever goes wrong is the reason why studies have no result
        return TrainingOutcome(error=f"{type(error).__name__}: {error}")
