"""Optuna studies as histories: read where they are, or trial by trial for a store.

Parameters keep the names and ranges that each study gave them; ``warmstart.aligned`` brings
histories with other names and ranges together when they are used.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from hashlib import blake2b
from typing import Any, Final

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from warmstart.catalogue import estimator_name
from warmstart.choices import distinct, plain_choice
from warmstart.constraints import constraint_violation
from warmstart.descriptor import TaskDescriptor
from warmstart.distributions import parameter_of
from warmstart.errors import (
    DescriptorError,
    HistoryError,
    WarmStartWarning,
)
from warmstart.history import History, HistoryKey, TaskInfo
from warmstart.inference import infer_estimator
from warmstart.metrics import UNSAID
from warmstart.provenance import META_LEARNER, read_provenance
from warmstart.space import Categorical, Float, Parameter, SearchSpace, Value, same_choice
from warmstart.trial import State, Trial
from warmstart.widening import cover, join_spaces

#: Where recorded histories say that they come from.
SOURCE: Final = "optuna"

#: A study's user attribute that names its task, where that is not the study's own name.
TASK_ATTRIBUTE: Final = "warmstart:task"

_STATES: Final[Mapping[TrialState, State]] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
_DIGEST_BYTES: Final = 6
_LISTED: Final = 5


def history_of_study(
    study: Study,
    *,
    task: TaskDescriptor | None = None,
    estimator: object = None,
    name: str = "",
    metric: str = "",
    family: str = "",
    licence: str = "",
    trials: Sequence[FrozenTrial] | None = None,
) -> History:
    """A study's finished trials as a history, without a store.

    Arguments are those of ``warmstart.record``.

    Raises:
        HistoryError: If the study has several objectives, no finished trial with parameters, or
            an estimator that can't be told.
    """
    finished = finished_trials(study, trials)
    if not finished:
        raise HistoryError(
            f"Study {study.study_name!r} given, which has no finished trial with parameters; "
            "expected at least one."
        )
    said = StudyTask(task, estimator, name, metric, family, licence)
    info = said.info(study, joined_space(finished), None)
    return History.from_trials(info, [f.trial for f in finished])


def histories_of_storage(
    storage: str | BaseStorage,
    *,
    estimator: object = None,
    tasks: Mapping[str, TaskDescriptor] | None = None,
    metric: str = "",
    licence: str = "",
) -> list[History]:
    """The studies in an Optuna storage as histories, one for each task.

    Studies with several objectives, without finished trials, or of an estimator that can't be
    told are left out, with one warning that names them.

    Args:
        storage: A database URL, or a storage object.
        estimator: Of all studies; ``None`` infers it for each. See ``warmstart.record``.
        tasks: What is known of the data, by the study's name.
        metric: See ``warmstart.record``.
        licence: See ``warmstart.record``.

    Raises:
        HistoryError: If ``tasks`` names a study that is not in the storage.
    """
    opened = RDBStorage(storage) if isinstance(storage, str) else storage
    try:
        return _histories(opened, estimator, dict(tasks or {}), metric, licence)
    finally:
        if isinstance(storage, str) and isinstance(opened, RDBStorage):
            opened.remove_session()
            opened.engine.dispose()


def _histories(
    storage: BaseStorage,
    estimator: object,
    tasks: Mapping[str, TaskDescriptor],
    metric: str,
    licence: str,
) -> list[History]:
    names = optuna.get_all_study_names(storage)
    unknown = sorted(set(tasks) - set(names))
    if unknown:
        raise HistoryError(
            f"tasks for {unknown} given; expected names of studies in the storage, which has "
            f"{sorted(names)[:_LISTED]}{' and others' if len(names) > _LISTED else ''}."
        )
    histories: dict[HistoryKey, History] = {}
    left_out = []
    for name in names:
        study = optuna.load_study(study_name=name, storage=storage)
        try:
            history = history_of_study(
                study,
                task=tasks.get(name),
                estimator=estimator,
                metric=metric,
                licence=licence,
            )
        except HistoryError as error:
            left_out.append(str(error))
            continue
        known = histories.get(history.info.key)
        if known is not None:
            history = History.concatenate(widened(known, history), [known, history])
        histories[history.info.key] = history
    if left_out or not names:
        more = len(left_out) - _LISTED
        listed = " ".join(left_out[:_LISTED]) or "The storage holds no study."
        warnings.warn(
            f"{len(left_out)} of {len(names)} studies left out. {listed}"
            + (f" And {more} more." if more > 0 else ""),
            WarmStartWarning,
            stacklevel=3,
        )
    return list(histories.values())


@dataclass(frozen=True)
class StudyTask:
    """What the user says of a study; see ``warmstart.record``."""

    task: TaskDescriptor | None
    estimator: object
    name: str
    metric: str
    family: str
    licence: str

    def __post_init__(self) -> None:
        if self.task is not None and not isinstance(self.task, TaskDescriptor):
            raise TypeError(
                f"task of type {type(self.task).__name__} given; expected what "
                "warmstart.describe(X, y) returns, or None."
            )

    @property
    def digest(self) -> str:
        """Of the data; empty if nothing is known of it."""
        if self.task is None:
            return ""
        text = repr(self.task.fingerprint)
        return blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()

    def is_other_data(self, info: TaskInfo) -> bool:
        """Whether a stored task is about other data, as far as can be told."""
        if self.task is None or info.descriptor is None:
            return False
        try:
            stored = TaskDescriptor.from_json(info.descriptor)
        except DescriptorError:
            return False
        return stored.fingerprint != self.task.fingerprint

    def info(self, study: Study, space: SearchSpace, recorded: TaskInfo | None) -> TaskInfo:
        """What is known of the study's task.

        Args:
            study: The study.
            space: Of its trials.
            recorded: As what the study was recorded before.

        Raises:
            HistoryError: If the estimator is not given, not recorded, and can't be inferred.
        """
        if self.estimator is not None:
            estimator = estimator_name(self.estimator)
        elif recorded is not None:
            estimator = recorded.estimator
        else:
            estimator = _inferred(study, space)
        dataset = f"data-{self.digest}" if self.task is not None else ""
        return TaskInfo(
            estimator=estimator,
            task=task_id(study),
            metric=self.metric or (UNSAID if recorded is None else recorded.metric),
            source=SOURCE,
            name=self.name or ("" if self.task is None else self.task.name),
            dataset=dataset,
            family=self.family or dataset,
            licence=self.licence,
            descriptor=None if self.task is None else self.task.to_json(),
            space=space,
        )


@dataclass(frozen=True)
class FinishedTrial:
    """A finished trial, and the space that it was drawn from and lies in."""

    trial: Trial
    space: SearchSpace


def widened(history: History, newer: History) -> TaskInfo:
    """What is known of a task from two histories of it; its space holds the trials of both."""
    info = history.info.updated(newer.info)
    own, other = history.info.space, newer.info.space
    if own is None or other is None:
        return info
    space = join_spaces(own, other)
    if any(
        isinstance(space.parameters[name], Categorical) and not isinstance(p, Categorical)
        for part in (own, other)
        for name, p in part.parameters.items()
    ):
        space = holding(space, (*history.trials(), *newer.trials()))
    return replace(info, space=space)


def task_id(study: Study) -> str:
    """The task that a study is: as its user attribute says, or named as the study."""
    named = study.user_attrs.get(TASK_ATTRIBUTE)
    return _plain_name(study.study_name if named is None else named)


def _inferred(study: Study, space: SearchSpace) -> str:
    found = infer_estimator(space.parameters)
    if found is None:
        raise HistoryError(
            f"Study {study.study_name!r} given, whose parameters {sorted(space.parameters)} tell "
            "no estimator; expected estimator='sklearn.svm.SVC', a class, an instance, or any "
            "name that studies of the same model share, such as estimator='my.Model'."
        )
    return found[0].name


def finished_trials(study: Study, trials: Sequence[FrozenTrial] | None) -> list[FinishedTrial]:
    """The usable ones among a study's trials, all or those given.

    Raises:
        HistoryError: If the study has several objectives.
    """
    sign = loss_sign(study)
    given = study.get_trials(deepcopy=False) if trials is None else trials
    read = (read_trial(trial, study.study_name, sign) for trial in given)
    return [finished for finished in read if finished is not None]


def loss_sign(study: Study) -> float:
    """What makes a value of the study a loss: 1, or -1 if it maximises.

    Raises:
        HistoryError: If the study has several objectives.
        TypeError: If it is no study.
    """
    if not isinstance(study, Study):
        raise TypeError(
            f"study of type {type(study).__name__} given; expected a study of Optuna, such as "
            "optuna.load_study(...) returns."
        )
    if len(study.directions) != 1:
        raise HistoryError(
            f"Study {study.study_name!r} with {len(study.directions)} objectives given; expected "
            "one, because a loss is one number."
        )
    return -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0


def joined_space(finished: Sequence[FinishedTrial]) -> SearchSpace:
    """The narrowest space that holds all trials and what they were drawn from."""
    space = reduce(join_spaces, (f.space for f in finished))
    return holding(space, (f.trial for f in finished))


def holding(space: SearchSpace, trials: Iterable[Trial]) -> SearchSpace:
    """A joint space, made to hold numbers where others had choices under the same name."""
    parameters = dict(space.parameters)
    for trial in trials:
        for name, value in trial.configuration.items():
            parameter = parameters[name]
            if isinstance(parameter, Categorical) and not same_choice(value, parameter.choices):
                parameters[name] = cover(parameter, value)
    return SearchSpace(parameters, space.conditions)


def read_trial(trial: FrozenTrial, study_name: str, sign: float) -> FinishedTrial | None:
    """A trial as a record; None if it is not finished, or has no usable configuration."""
    if trial.state not in _STATES or not trial.params:
        return None
    configuration: dict[str, Value] = {}
    parameters: dict[str, Parameter] = {}
    for own_name, distribution in trial.distributions.items():
        name = _plain_name(own_name)
        try:
            parameters[name], configuration[name] = _plain(distribution, trial.params[own_name])
        except (OverflowError, ValueError):
            return None
    state, loss = _outcome(trial, sign)
    provenance = read_provenance(trial.user_attrs)
    started, ended = trial.datetime_start, trial.datetime_complete
    seconds = None if started is None or ended is None else (ended - started).total_seconds()
    record = Trial(
        configuration=configuration,
        loss=loss,
        state=state,
        # The moment tells a study from an earlier one of the same name that was not kept.
        run_id=f"{_plain_name(study_name)}/{trial.number}/{started}",
        time=None if ended is None else ended.isoformat(),
        seconds=None if seconds is None or seconds < 0 else seconds,  # clocks are set back
        proposed_by="warmstart" if provenance and provenance.by == META_LEARNER else "",
    )
    return FinishedTrial(record, SearchSpace(parameters))


def _outcome(trial: FrozenTrial, sign: float) -> tuple[State, float]:
    """The state and the loss; an infeasible configuration has failed."""
    state = _STATES[trial.state]
    if state == "failed" or (constraint_violation(trial) or 0.0) > 0.0:
        return "failed", math.nan
    if state == "complete":
        value = trial.value
    else:
        steps = trial.intermediate_values
        value = steps[max(steps)] if steps else None
    if value is not None and math.isfinite(value):
        return state, sign * value
    return "failed" if state == "complete" else state, math.nan


def _plain(distribution: BaseDistribution, value: Any) -> tuple[Parameter, Value]:
    """A parameter that holds the value, and the value.

    A value may lie outside of its distribution: enqueued ones do.

    Raises:
        OverflowError: If a number is infinite.
        ValueError: If a number is NaN.
    """
    parameter = parameter_of(distribution)
    if isinstance(parameter, Categorical):
        choice = plain_choice(value)
        return cover(Categorical(distinct(parameter.choices)), choice), choice
    number = float(value) if isinstance(parameter, Float) else int(value)
    return cover(parameter, number), number


def _plain_name(name: object) -> str:
    """A name as the store takes it: one that can't be printed as Python writes it."""
    if isinstance(name, str) and name.strip() and name.isprintable():
        return name
    return repr(name)
