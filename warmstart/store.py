"""A store of task histories: a directory that many processes add to at once."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from warmstart.compaction import compact
from warmstart.durable import write_atomically
from warmstart.errors import HistoryError, WarmStartWarning
from warmstart.history import History, HistoryKey, TaskInfo
from warmstart.journal import JournalWriter
from warmstart.segments import encode_segment, segment_name
from warmstart.snapshot import MARKER, Problem, Snapshot, file_time, take_snapshot
from warmstart.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

STORE_FORMAT: Final = "warmstart-history-store"
STORE_VERSION: Final = 1
_LISTED_PROBLEMS: Final = 5
_TRIALS_FOR_A_SEGMENT: Final = 200  # from here on a Parquet file is smaller and faster than text


@dataclass(frozen=True)
class StoreReport:
    """What a store holds, and what of it can't be read.

    Attributes:
        n_trials: As counted by ``len(store)``.
        n_histories: As many as ``store.histories()`` returns.
        n_segments: Parquet files in use.
        n_journals: Text files that hold, or held, single records.
        problems: Everything that was skipped.
    """

    n_trials: int
    n_histories: int
    n_segments: int
    n_journals: int
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether everything can be read."""
        return not self.problems


class HistoryStore:
    """Task histories in a directory, append-only, for many writers and readers at once.

    A trial is safe when the call that adds it returns: a kill at any later moment loses
    nothing, a kill during the call loses at most what was being added, and with ``fsync`` the
    same holds for a power cut. Trials with a run id are kept once for each history, the first
    one stays (of writers at the same time, the one whose file was begun first); so adding again
    after a crash is safe where trials have run ids. What is newly said of a task (its
    descriptor, licence, …) replaces what was said before.

    Threads may share a store, and it can be pickled or inherited by a forked process: each
    process writes to files of its own. What can't be read (a damaged, foreign or newer file)
    is skipped with one ``WarmStartWarning`` that names it. The file system must have file
    locks for ``compact``; nothing else needs them.

    Args:
        path: The directory.
        create: Whether to make it if it is not there.
        fsync: Whether to wait for the disk at each write: about 4 ms on a solid-state disk,
            against 0.03 ms without.

    Raises:
        HistoryError: If ``path`` is no history store, of a newer format, or can't be made.

    Example:
        >>> import tempfile
        >>> from warmstart.history import TaskInfo, Trial
        >>> info = TaskInfo("sklearn.svm.SVC", "openml-task-3", "accuracy", "openml")
        >>> with tempfile.TemporaryDirectory() as directory, HistoryStore(directory) as store:
        ...     store.append(info, Trial({"C": 1.0, "kernel": "rbf"}, loss=0.07, run_id="1"))
        ...     store.extend(info, [Trial({"C": 2.0, "kernel": "linear"}, 0.09, run_id="2")])
        ...     history = store.histories(estimator="sklearn.svm.SVC")[0]
        ...     print(len(store), history.losses, sorted(store.run_ids()))
        2 [0.07 0.09] ['1', '2']
    """

    def __init__(
        self, path: str | os.PathLike[str], *, create: bool = True, fsync: bool = True
    ) -> None:
        self.path = Path(path).absolute()
        self.fsync = fsync
        self._writers: dict[int, JournalWriter] = {}
        self._reported: set[Problem] = set()
        self._open(create)

    def __repr__(self) -> str:
        return f"HistoryStore({str(self.path)!r})"

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "fsync": self.fsync}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"], create=False, fsync=state["fsync"])  # type: ignore[misc]

    def __enter__(self) -> HistoryStore:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of this process's file; adding more later just begins another."""
        writer = self._writers.pop(os.getpid(), None)
        if writer is not None:
            writer.close()

    def append(self, info: TaskInfo, trial: Trial) -> None:
        """Add one trial.

        Raises:
            HistoryError: If it is not valid (see ``Trial``), outside ``info.space``, or can't be
                written.
        """
        if type(info) is not TaskInfo or type(trial) is not Trial or info.space is not None:
            self.extend(info, [trial])  # checks more, which takes longer
            return
        with self._errors_named("written"):
            self._writer().write(info, [trial])

    def extend(self, info: TaskInfo, trials: Iterable[Trial]) -> None:
        """Add trials of one history: all, or (if the process is killed meanwhile) none.

        Raises:
            HistoryError: As ``append``; nothing is added then.
        """
        self.add(History.from_trials(info, trials))

    def add(self, history: History) -> None:
        """Add a history's trials: all, or (if the process is killed meanwhile) none.

        Raises:
            HistoryError: As ``append``; nothing is added then.
        """
        history.check()
        history = history.without_duplicates()
        with self._errors_named("written"):
            if len(history) >= _TRIALS_FOR_A_SEGMENT:
                data = encode_segment([history])
                write_atomically(self.path / segment_name(data), data, fsync=self.fsync)
                self.close()  # files are read in the order they were begun: what follows is newer
            elif len(history):
                self._writer().write(history.info, history.trials())

    def add_frame(self, frame: pd.DataFrame, *, infos: Iterable[TaskInfo] = ()) -> None:
        """Add the trials of a frame as ``to_frame`` makes it; each history all or none.

        Args:
            frame: See ``warmstart.frames.histories_from_frame``.
            infos: What else is known of the tasks.

        Raises:
            HistoryError: If anything in the frame is not valid; nothing is added then.
        """
        from warmstart.frames import histories_from_frame

        for history in histories_from_frame(frame, infos=infos):
            self.add(history)

    def histories(
        self, estimator: str | None = None, *, source: str | None = None, task: str | None = None
    ) -> list[History]:
        """The histories, one for each key, sorted by it; those asked for, or all."""
        return self._snapshot(estimator, source, task).histories()

    def infos(
        self, estimator: str | None = None, *, source: str | None = None, task: str | None = None
    ) -> list[TaskInfo]:
        """What is known of each history, without reading its trials."""
        return list(self._snapshot(estimator, source, task).infos().values())

    def keys(self) -> list[HistoryKey]:
        """What identifies each history, sorted."""
        return [info.key for info in self.infos()]

    def run_ids(
        self, estimator: str | None = None, *, source: str | None = None, task: str | None = None
    ) -> set[str]:
        """The run ids in the store, for picking up where a collection was interrupted."""
        found = self._snapshot(estimator, source, task).run_ids()
        return set().union(*found.values()) - {""}

    def __len__(self) -> int:
        return self._snapshot().n_trials()

    def __bool__(self) -> bool:
        return True  # an empty store is a store

    def to_frame(
        self, estimator: str | None = None, *, source: str | None = None, task: str | None = None
    ) -> pd.DataFrame:
        """The trials as a pandas frame; see ``warmstart.frames``."""
        from warmstart.frames import histories_to_frame

        return histories_to_frame(self.histories(estimator=estimator, source=source, task=task))

    def compact(self) -> None:
        """Put all trials into one Parquet file for each estimator: smaller, and faster to read.

        Others may read, write and compact meanwhile, and a kill at any moment is harmless.
        Worth calling after a collection, and now and then for a store that many runs add to.

        Raises:
            HistoryError: If the store can't be read or written, or the file system has no locks.
        """
        self.close()  # so that its journal can go
        self._warn(compact(self.path, fsync=self.fsync).problems)

    def verify(self) -> StoreReport:
        """Check every file, and say what can't be read."""
        snapshot = take_snapshot(self.path, wanted=lambda key: True)
        return StoreReport(
            n_trials=snapshot.n_trials(),
            n_histories=len(snapshot.infos()),
            n_segments=len(snapshot.segments),
            n_journals=len(snapshot.journals),
            problems=(*self._marker_problems(), *snapshot.problems),
        )

    def _open(self, create: bool) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise HistoryError(f"path={str(self.path)!r} given; expected a directory.")
        if not self.path.exists() and not create:
            raise HistoryError(
                f"path={str(self.path)!r} given, which is not there; expected a history store."
            )
        with self._errors_named("opened"):
            self.path.mkdir(parents=True, exist_ok=True)
            names = [path.name for path in self.path.iterdir() if not path.name.startswith(".")]
            if MARKER in names:
                self._warn(self._marker_problems())
                return
            if names and not any(map(file_time, names)):
                raise HistoryError(
                    f"path={str(self.path)!r} given, which holds other files and no {MARKER}; "
                    "expected a history store, an empty directory or a new one."
                )
            if create:
                marker = json.dumps({"format": STORE_FORMAT, "version": STORE_VERSION})
                write_atomically(self.path / MARKER, marker.encode(), fsync=self.fsync)

    def _marker_problems(self) -> tuple[Problem, ...]:
        """What is wrong with the marker; the other files say themselves what they are.

        Raises:
            HistoryError: If this is another kind of directory, or of a newer format.
        """
        try:
            marker = json.loads((self.path / MARKER).read_bytes())
            kind, version = marker["format"], int(marker["version"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            return (Problem(MARKER, f"ignored, it is damaged: {error!r}"),)
        if kind != STORE_FORMAT:
            raise HistoryError(
                f"path={str(self.path)!r} given, which is a {kind!r}; expected {STORE_FORMAT!r}."
            )
        if version > STORE_VERSION:
            raise HistoryError(
                f"path={str(self.path)!r} given, a store of format version {version}; this "
                f"version of warmstart reads up to {STORE_VERSION}: upgrade warmstart."
            )
        return ()

    def _writer(self) -> JournalWriter:
        process = os.getpid()
        for other in self._writers.keys() - {process}:
            self._writers.pop(other, None)  # inherited through a fork: that file is the parent's
        if process not in self._writers:
            # One of several threads wins; the others' writers have opened nothing yet.
            self._writers.setdefault(process, JournalWriter(self.path, fsync=self.fsync))
        return self._writers[process]

    def _snapshot(
        self, estimator: str | None = None, source: str | None = None, task: str | None = None
    ) -> Snapshot:
        def wanted(key: HistoryKey) -> bool:
            return (
                estimator in (None, key.estimator)
                and source in (None, key.source)
                and task in (None, key.task)
            )

        snapshot = take_snapshot(self.path, wanted=wanted)
        self._warn(snapshot.problems)
        return snapshot

    def _warn(self, problems: Iterable[Problem]) -> None:
        """Say once for each store object what can't be read."""
        new = [problem for problem in problems if problem not in self._reported]
        self._reported.update(new)
        if new:
            listed = "; ".join(map(str, new[:_LISTED_PROBLEMS]))
            more = len(new) - _LISTED_PROBLEMS
            warnings.warn(
                f"History store {str(self.path)!r}: {listed}"
                + (f"; and {more} more" if more > 0 else "")
                + ". All else was read; store.verify() lists what was not.",
                WarmStartWarning,
                stacklevel=4,
            )

    @contextmanager
    def _errors_named(self, done: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise HistoryError(
                f"The history store {str(self.path)!r} can't be {done}: {error}."
            ) from error
