"""Recording of Optuna studies into a history store: afterwards, or trial by trial."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final
from weakref import WeakKeyDictionary

from optuna.study import Study
from optuna.trial import FrozenTrial

from warmstart.catalogue import estimator_name
from warmstart.descriptor import TaskDescriptor
from warmstart.durable import exclusively
from warmstart.errors import WarmStartWarning
from warmstart.history import History, TaskInfo
from warmstart.store import HistoryStore
from warmstart.study_history import (
    SOURCE,
    FinishedTrial,
    StudyTask,
    finished_trials,
    histories_of_storage,
    history_of_study,
    holding,
    joined_space,
    loss_sign,
    read_trial,
    task_id,
    widened,
)
from warmstart.widening import join_spaces

__all__ = ["Recorder", "histories_of_storage", "history_of_study", "record"]

_LOCK: Final = ".recording.lock"


def record(
    study: Study,
    store: HistoryStore,
    *,
    task: TaskDescriptor | None = None,
    estimator: object = None,
    name: str = "",
    metric: str = "",
    family: str = "",
    licence: str = "",
    trials: Sequence[FrozenTrial] | None = None,
) -> int:
    """Add a study's finished trials to a store, those that are not in it yet.

    May be called again at any time, by several processes at once, and after ``Recorder`` recorded
    the same study: each trial is kept once. What is newly said of the task replaces what was said
    before. Losses are minimised: the values of a study that maximises change their sign. A trial
    counts as failed if its value is not finite or it violates a constraint; the loss of a pruned
    one is its last intermediate value. Left out are trials without parameters, and those of which
    a number is not finite.

    A study is one task, of the study's name; its user attribute ``"warmstart:task"`` gives it
    another. Studies of one name are one task, except where ``task`` says that the name already
    stands for other data: then a digest of the data is added to it. A study that was recorded
    before stays the estimator and metric it was recorded as, where no others are given.

    Args:
        study: With one objective.
        store: To add to.
        task: What is known of the data, from ``warmstart.describe(X, y)``.
        estimator: What is tuned: a name, a class or an instance; one that the catalogue lacks is
            taken as it is. ``None`` infers it from the names of the parameters.
        name: The task's name for people.
        metric: What the objective measures, such as ``"accuracy"``.
        family: Tasks of one family are never split between training and test; by default those
            on the same data.
        licence: Under which the trials may be used.
        trials: Of the study; ``None`` for all of them.

    Returns:
        How many trials were added.

    Raises:
        HistoryError: If the study has several objectives, its estimator can't be told, or the
            store can't be written.

    Example:
        >>> import optuna, tempfile
        >>> from warmstart.store import HistoryStore
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> study = optuna.create_study(direction="maximize", study_name="digits")
        >>> study.optimize(lambda trial: trial.suggest_float("svc__C", 0.1, 10), n_trials=3)
        >>> with tempfile.TemporaryDirectory() as directory, HistoryStore(directory) as store:
        ...     record(study, store, metric="accuracy"), record(study, store)
        ...     print(store.histories(estimator="sklearn.svm.SVC")[0].info.task)
        (3, 0)
        digits
    """
    _check_store(store)
    said = StudyTask(task, estimator, name, metric, family, licence)
    return _record(study, store, said, trials).n_added


class Recorder:
    """An Optuna callback that records each trial into a store when it finishes.

    The first call also records the trials that finished before; from then on a call writes one
    trial and reads none, except when ranges or parameters are new. A failure to record never
    stops the study: it warns once, and what is missing is added by a later call or by ``record``.
    Trials that others run on the same storage are theirs to record.

    Threads may share a recorder, and so may studies; it can be pickled.

    Args:
        store: To add to.
        task: See ``record``, as for all that follow.
        estimator: See ``record``.
        name: See ``record``.
        metric: See ``record``.
        family: See ``record``.
        licence: See ``record``.

    Example:
        >>> import optuna, tempfile
        >>> from warmstart.store import HistoryStore
        >>> optuna.logging.set_verbosity(optuna.logging.WARNING)
        >>> study = optuna.create_study()
        >>> with tempfile.TemporaryDirectory() as directory, HistoryStore(directory) as store:
        ...     recorder = Recorder(store, estimator="my.Model")
        ...     study.optimize(lambda t: t.suggest_float("x", 0, 1), 3, callbacks=[recorder])
        ...     len(store)
        3
    """

    def __init__(
        self,
        store: HistoryStore,
        *,
        task: TaskDescriptor | None = None,
        estimator: object = None,
        name: str = "",
        metric: str = "",
        family: str = "",
        licence: str = "",
    ) -> None:
        _check_store(store)
        self.store = store
        self._said = StudyTask(task, estimator, name, metric, family, licence)
        self._start_empty()

    def _start_empty(self) -> None:
        self._lock = threading.Lock()
        self._infos: WeakKeyDictionary[Study, TaskInfo] = WeakKeyDictionary()
        self._has_warned = False

    def __getstate__(self) -> dict[str, Any]:
        return {"store": self.store, "_said": self._said}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start_empty()

    def __call__(self, study: Study, trial: FrozenTrial) -> None:
        """Record a trial that finished."""
        with self._lock:
            try:
                self._add(study, trial)
            except Exception as error:  # whatever it is, the study is worth more than its record
                self._infos.pop(study, None)  # the next call adds what this one did not
                if not self._has_warned:
                    self._has_warned = True
                    warnings.warn(
                        f"Trial {trial.number} of study {study.study_name!r} was not recorded, "
                        f"the study goes on: {error} Once this is mended, "
                        "warmstart.record(study, store) adds what is missing.",
                        WarmStartWarning,
                        stacklevel=2,
                    )

    def _add(self, study: Study, trial: FrozenTrial) -> None:
        info = self._infos.get(study)
        if info is not None and info.space is not None:
            finished = read_trial(trial, study.study_name, loss_sign(study))
            if finished is None:
                return
            space = holding(join_spaces(info.space, finished.space), [finished.trial])
            if space == info.space:
                self.store.append(_without_description(info), finished.trial)
                return
        info = _record(study, self.store, self._said, None).info
        if info is not None:
            self._infos[study] = info


@dataclass(frozen=True)
class _Recorded:
    """How many trials were added, and what the store knows of their task; None if of none."""

    n_added: int
    info: TaskInfo | None


def _record(
    study: Study, store: HistoryStore, said: StudyTask, trials: Sequence[FrozenTrial] | None
) -> _Recorded:
    finished = finished_trials(study, None)
    if not finished:
        return _Recorded(0, None)
    with _alone(store):
        info, stored = _place(study, store, said, finished)
        known = frozenset() if stored is None else frozenset(stored.run_ids)
        new = [f.trial for f in finished if f.trial.run_id not in known]
        if trials is not None:
            asked = {f.trial.run_id for f in finished_trials(study, trials)}
            new = [trial for trial in new if trial.run_id in asked]
        if stored is not None:
            info = widened(stored, History.from_trials(info, [f.trial for f in finished]))
            if info == stored.info:
                store.extend(_without_description(info), new)
                return _Recorded(len(new), info)
            store.close()  # what is said in the file that was begun last counts
        # A trial that is there already carries a description, and counts once.
        carriers = new if new or stored is None else stored.trials()[:1]
        store.extend(info, carriers)
    return _Recorded(len(new), info)


@contextmanager
def _alone(store: HistoryStore) -> Iterator[None]:
    """Keep others from describing tasks: of two who read and widen at once, one would be lost."""
    with ExitStack() as stack:
        with suppress(OSError):  # no locks on this file system: then it is hoped for the best
            stack.enter_context(exclusively(store.path / _LOCK))
        yield


def _place(
    study: Study, store: HistoryStore, said: StudyTask, finished: Sequence[FinishedTrial]
) -> tuple[TaskInfo, History | None]:
    """What to record a study as, and what the store has of that."""
    task = task_id(study)
    own_runs = {f.trial.run_id for f in finished}
    named = store.histories(source=SOURCE, task=task)
    if not any(own_runs.intersection(history.run_ids) for history in named) and any(
        said.is_other_data(history.info) for history in named
    ):
        task = f"{task}-{said.digest}"
        named = store.histories(source=SOURCE, task=task)
    asked = None if said.estimator is None else estimator_name(said.estimator)
    recorded = next(
        (
            history.info
            for history in named
            if asked in (None, history.info.estimator)
            and said.metric in ("", history.info.metric)
            and own_runs.intersection(history.run_ids)
        ),
        None,
    )
    info = replace(said.info(study, joined_space(finished), recorded), task=task)
    return info, next((history for history in named if history.info.key == info.key), None)


def _without_description(info: TaskInfo) -> TaskInfo:
    """The key alone, which leaves a store's description as it is."""
    return TaskInfo(info.estimator, info.task, info.metric, info.source)


def _check_store(store: HistoryStore) -> None:
    if not isinstance(store, HistoryStore):
        raise TypeError(
            f"store of type {type(store).__name__} given; expected a HistoryStore, as "
            "warmstart.HistoryStore(path) opens or makes."
        )
