"""Task histories: the finished trials of one estimator on one task, with where they come from."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from warmstart.column import ABSENT, Column, Indices, Kind, outside, uniform
from warmstart.errors import HistoryError, SearchSpaceError
from warmstart.space import SearchSpace, Value
from warmstart.trial import STATES, Trial, check_name, check_text, check_time, contradiction

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["STATES", "History", "HistoryKey", "TaskInfo", "Trial"]

Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, order=True)
class HistoryKey:
    """What identifies a history.

    Attributes:
        source: Where the trials come from, such as ``"openml"``.
        estimator: Canonical dotted name, such as ``"sklearn.svm.SVC"``.
        task: Unique name of the task, such as ``"openml-task-3"``.
        metric: What the loss was made of, such as ``"accuracy"``.
    """

    source: str
    estimator: str
    task: str
    metric: str


@dataclass(frozen=True)
class TaskInfo:
    """A history's key, and what else is known of its task.

    Attributes:
        estimator: See ``HistoryKey``, as for the next three.
        task: See ``HistoryKey``.
        metric: See ``HistoryKey``.
        source: See ``HistoryKey``.
        name: The task's name for people.
        dataset: Unique name of the data set, such as ``"openml-dataset-3"``.
        family: Data sets of one family are never split between training and test.
        licence: Under which the trials may be used.
        descriptor: JSON form of the task's descriptor.
        space: The search space that the configurations were drawn from.
        provenance: How the trials were made, in JSON: which rows, folds, seeds and versions.

    Raises:
        HistoryError: If a name of the key is empty or unprintable, a text is not text, or the
            descriptor or the provenance is not a JSON object.
    """

    estimator: str
    task: str
    metric: str
    source: str
    name: str = ""
    dataset: str = ""
    family: str = ""
    licence: str = ""
    descriptor: Mapping[str, Any] | None = field(default=None, hash=False)
    space: SearchSpace | None = field(default=None, hash=False)
    provenance: Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        for name in ("estimator", "task", "metric", "source"):
            check_name(name, getattr(self, name))
        for name in DESCRIPTIVE_TEXTS:
            check_text(name, getattr(self, name))
        for name in ("descriptor", "provenance"):
            if (given := getattr(self, name)) is not None:
                object.__setattr__(self, name, _plain_json(name, given))
        if self.space is not None and not isinstance(self.space, SearchSpace):
            raise HistoryError(f"space={self.space!r} given; expected a SearchSpace or None.")

    @property
    def key(self) -> HistoryKey:
        """What identifies the history."""
        return HistoryKey(self.source, self.estimator, self.task, self.metric)

    def updated(self, newer: TaskInfo) -> TaskInfo:
        """This, with what ``newer`` knows in place of what was known before."""
        known = {
            f.name: value
            for f in fields(newer)
            if (value := getattr(newer, f.name)) not in _UNKNOWN
        }
        return replace(self, **known)

    def to_json(self) -> dict[str, Any]:
        """A JSON-serialisable description, empty fields left out; ``from_json`` restores it."""
        out = {
            f.name: value for f in fields(self) if (value := getattr(self, f.name)) not in _UNKNOWN
        }
        if self.space is not None:
            out["space"] = self.space.to_json()
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TaskInfo:
        """Restore from ``to_json``'s output.

        Raises:
            HistoryError: If ``data`` is not such a description.
        """
        try:
            space = data.get("space")
            return cls(
                **{**data, "space": None if space is None else SearchSpace.from_json(space)}
            )
        except (TypeError, AttributeError, SearchSpaceError) as error:
            raise HistoryError(
                f"Not a task's description: {error} in {str(data)[:200]}."
            ) from error


DESCRIPTIVE_TEXTS: Final = ("name", "dataset", "family", "licence")
_UNKNOWN: Final = ("", None)


@dataclass(frozen=True, eq=False)
class History:
    """The finished trials of one estimator on one task, in columns of one row a trial.

    Attributes:
        info: What task this is, and where the trials come from.
        losses: ``(n,)`` float64, lower is better; NaN where there is none.
        columns: One ``Column`` of length n for each hyperparameter that occurs.
        states: ``(n,)`` text, each of ``STATES``.
        run_ids: ``(n,)`` objects, text; empty where there is none.
        times: ``(n,)`` objects, ISO 8601 text or None.
        seconds: ``(n,)`` float64; NaN where unknown.
        proposed_by: ``(n,)`` objects, text; empty for space-filling or unknown.
        measures: ``(n,)`` float64 for each measure; NaN where it was not measured.
        reasons: ``(n,)`` objects, text; why a trial failed or was pruned, empty if not known.

    Raises:
        HistoryError: If the columns are not equally long, or ``info`` is no ``TaskInfo``.

    Example:
        >>> info = TaskInfo("sklearn.svm.SVC", "openml-task-3", "accuracy", "openml")
        >>> trials = [Trial({"C": 1.0}, 0.1), Trial({"C": 2.0, "gamma": None}, 0.2)]
        >>> history = History.from_trials(info, trials)
        >>> len(history), history.losses.tolist(), history.configurations()
        (2, [0.1, 0.2], [{'C': 1.0}, {'C': 2.0, 'gamma': None}])
    """

    info: TaskInfo
    losses: Floats
    columns: Mapping[str, Column]
    states: npt.NDArray[np.str_]
    run_ids: npt.NDArray[np.object_]
    times: npt.NDArray[np.object_]
    seconds: Floats
    proposed_by: npt.NDArray[np.object_]
    measures: Mapping[str, Floats]
    reasons: npt.NDArray[np.object_]

    def __post_init__(self) -> None:
        if not isinstance(self.info, TaskInfo):
            raise HistoryError(f"info={self.info!r} given; expected a TaskInfo.")
        n = len(self.losses)
        lengths = {name: len(getattr(self, name)) for name in _ARRAYS}
        lengths |= {name: len(column) for name, column in self.columns.items()}
        lengths |= {name: len(values) for name, values in self.measures.items()}
        for name, length in lengths.items():
            if length != n:
                raise HistoryError(
                    f"{length} entries given for {name!r}; expected {n}, as losses."
                )

    @classmethod
    def from_trials(cls, info: TaskInfo, trials: Iterable[Trial]) -> History:
        """Put trials into columns; whether they lie in ``info.space``, ``check`` tells.

        Raises:
            HistoryError: If one is not a ``Trial``.
        """
        trials = list(trials)
        for trial in trials:
            if not isinstance(trial, Trial):
                raise HistoryError(f"{trial!r} given; expected a warmstart.history.Trial.")
        names = dict.fromkeys(name for trial in trials for name in trial.configuration)
        measures = dict.fromkeys(name for trial in trials for name in trial.measures)
        nan = math.nan
        return cls(
            info=info,
            losses=np.array([t.loss for t in trials], np.float64),
            columns={
                name: Column.from_values([t.configuration.get(name, ABSENT) for t in trials])
                for name in names
            },
            states=np.array([t.state for t in trials], _STATE_DTYPE),
            run_ids=np.array([t.run_id for t in trials], object),
            times=np.array([t.time for t in trials], object),
            seconds=np.array([nan if t.seconds is None else t.seconds for t in trials]),
            proposed_by=np.array([t.proposed_by for t in trials], object),
            reasons=np.array([t.reason for t in trials], object),
            measures={
                name: np.array([t.measures.get(name, nan) for t in trials]) for name in measures
            },
        )

    @classmethod
    def from_frame(cls, info: TaskInfo, frame: pd.DataFrame, **columns: Any) -> History:
        """Read a history from a pandas frame; see ``warmstart.frames.history_from_frame``."""
        from warmstart.frames import history_from_frame

        return history_from_frame(info, frame, **columns)

    @classmethod
    def concatenate(cls, info: TaskInfo, parts: Sequence[History]) -> History:
        """Join the trials of several histories, in this order, under one description."""
        if len(parts) == 1:
            return replace(parts[0], info=info)
        sizes = [len(part) for part in parts]
        names = dict.fromkeys(name for part in parts for name in part.columns)
        measures = dict.fromkeys(name for part in parts for name in part.measures)
        return cls(
            info=info,
            columns={
                name: Column.concatenate(
                    [
                        p.columns[name] if name in p.columns else Column.absent(n)
                        for p, n in zip(parts, sizes, strict=True)
                    ]
                )
                for name in names
            },
            measures={
                name: np.concatenate(
                    [
                        p.measures.get(name, uniform(np.nan, n, np.float64))
                        for p, n in zip(parts, sizes, strict=True)
                    ]
                )
                for name in measures
            },
            **{name: np.concatenate([getattr(p, name) for p in parts]) for name in _ARRAYS},
        )

    def __len__(self) -> int:
        return len(self.losses)

    def values(self, name: str) -> npt.NDArray[np.object_]:
        """``(n,)`` Python values of one hyperparameter; ``ABSENT`` where it was inactive."""
        column = self.columns.get(name)
        return (Column.absent(len(self)) if column is None else column).values()

    def configurations(self) -> list[dict[str, Value]]:
        """One dict a trial, inactive hyperparameters left out."""
        names = list(self.columns)
        if not names:
            return [{} for _ in range(len(self))]
        rows = zip(*(self.columns[name].values() for name in names), strict=True)
        return [
            {name: v for name, v in zip(names, row, strict=True) if v is not ABSENT}
            for row in rows
        ]

    def trials(self) -> list[Trial]:
        """The trials one by one."""
        measures = list(self.measures)
        rows = zip(
            self.configurations(),
            self.losses.tolist(),
            self.states.tolist(),
            zip(*(m.tolist() for m in self.measures.values()), strict=True)
            if measures
            else [()] * len(self),
            self.run_ids,
            self.times,
            [None if math.isnan(s) else s for s in self.seconds.tolist()],
            self.proposed_by,
            self.reasons,
            strict=True,
        )
        return [
            Trial(configuration, loss, state, dict(zip(measures, values, strict=True)), *rest)
            for configuration, loss, state, values, *rest in rows
        ]

    def subset(self, indices: Indices | Sequence[int]) -> History:
        """The trials at ``indices``: a slice (a view, no copy), positions or a mask."""
        if not isinstance(indices, slice):
            indices = np.asarray(indices)
            indices = indices if indices.dtype == np.bool_ else indices.astype(np.intp)
        return History(
            info=self.info,
            columns={name: column.take(indices) for name, column in self.columns.items()},
            measures={name: values[indices] for name, values in self.measures.items()},
            **{name: getattr(self, name)[indices] for name in _ARRAYS},
        )

    def without_duplicates(self) -> History:
        """The history with the first trial of each run id; trials without one all stay."""
        seen: set[str] = set()
        kept = [
            i
            for i, r in enumerate(self.run_ids)
            if not r or not (r in seen or seen.add(r))  # type: ignore[func-returns-value]
        ]
        return self if len(kept) == len(self) else self.subset(kept)

    def to_frame(self) -> pd.DataFrame:
        """A pandas frame, one row a trial; see ``warmstart.frames.history_to_frame``."""
        from warmstart.frames import history_to_frame

        return history_to_frame(self)

    def check(self) -> None:
        """Make sure of all that ``Trial`` checks, and that the trials lie in ``info.space``.

        Raises:
            HistoryError: Naming the first trial that is wrong, and why.
        """
        for name in (*self.columns, *self.measures):
            check_name("a name", name)
        for array in (self.losses, self.seconds, *self.measures.values()):
            if array.dtype != np.float64:
                raise HistoryError(f"An array of {array.dtype} given; expected float64.")
        missing = np.isnan(self.losses)
        wrong = np.isinf(self.losses) | ((self.states == "complete") & missing)
        wrong |= (self.states == "failed") & ~missing
        if wrong.any():
            i = int(wrong.argmax())
            raise HistoryError(f"Trial {i}: {contradiction(self.states[i], self.losses[i])}")
        for state in np.unique(self.states):
            if state not in STATES:
                raise HistoryError(f"state={state!r} given; expected one of {list(STATES)}.")
        if (self.seconds < 0).any() or np.isinf(self.seconds).any():
            raise HistoryError("Negative or infinite seconds given; expected NaN for unknown.")
        for texts, name in (
            (self.run_ids, "run_id"),
            (self.proposed_by, "proposed_by"),
            (self.reasons, "reason"),
        ):
            for text in texts:
                check_text(name, text)
        for time in self.times:
            check_time(time)
        self._check_space()

    def _check_space(self) -> None:
        space = self.info.space
        if space is None:
            return
        for name, column in self.columns.items():
            present = column.kinds != Kind.ABSENT
            parameter = space.parameters.get(name)
            wrong = present if parameter is None else outside(column, parameter)
            if wrong.any():
                i = int(wrong.argmax())
                value = column.take(slice(i, i + 1)).values()[0]
                raise HistoryError(
                    f"Trial {i}: {name}={value!r} given; the space of {self.info.task!r} has "
                    + (
                        f"only {sorted(space.parameters)}."
                        if parameter is None
                        else f"{parameter}."
                    )
                )


_ARRAYS: Final = ("losses", "states", "run_ids", "times", "seconds", "proposed_by", "reasons")
_STATE_DTYPE: Final = f"<U{max(map(len, STATES))}"


def _plain_json(what: str, given: object) -> dict[str, Any]:
    """A deep copy of what JSON can hold, so that it is the same before and after a file."""
    if not isinstance(given, Mapping):
        raise HistoryError(f"{what}={given!r} given; expected a mapping or None.")
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(given)))
    except (TypeError, ValueError) as error:
        raise HistoryError(f"{what} given that JSON can't hold: {error}.") from error
    return plain
