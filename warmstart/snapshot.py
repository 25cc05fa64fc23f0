"""What a store's directory holds at one moment, while others write to it and tidy it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from warmstart.durable import is_in_use
from warmstart.errors import HistoryError
from warmstart.history import History, HistoryKey, TaskInfo
from warmstart.journal import Journal, journal_time, read_journal
from warmstart.segments import (
    SegmentHeader,
    decode_run_ids,
    decode_segment,
    read_header,
    segment_time,
)
from warmstart.trial import Trial

MARKER: Final = "store.json"
_EXPECTED_STRANGERS: Final = ("readme", "license", "licence")

Wanted: TypeAlias = Callable[[HistoryKey], bool]


@dataclass(frozen=True)
class Problem:
    """A file of which something was skipped, and what."""

    file: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


@dataclass(frozen=True)
class Segment:
    """A readable segment: its header, and its bytes."""

    header: SegmentHeader
    data: bytes

    @property
    def name(self) -> str:
        """File name."""
        return self.header.name


@dataclass(frozen=True)
class Snapshot:
    """The readable part of a store at one moment, restricted to the histories wanted.

    Trials that are in two files, because a compaction is under way or was killed, count once.

    Attributes:
        segments: In the order of their times.
        journals: In the order of their times, with the records that no segment holds yet.
        replaced: Names of segments whose trials are in a newer one: they wait for removal.
        problems: What could not be read.
        wanted: Which histories this is about.
    """

    segments: tuple[Segment, ...]
    journals: tuple[Journal, ...]
    replaced: tuple[str, ...]
    problems: tuple[Problem, ...]
    wanted: Wanted

    def histories(self) -> list[History]:
        """One history a key, sorted by key, with the first trial of each run id."""
        infos = self.infos()
        parts: dict[HistoryKey, list[History]] = defaultdict(list)
        for source in self._in_order():
            for history in _histories(source):
                if history.info.key in infos:
                    parts[history.info.key].append(history)
        return [
            History.concatenate(info, parts[key]).without_duplicates()
            for key, info in infos.items()
        ]

    def infos(self) -> dict[HistoryKey, TaskInfo]:
        """What is known of each history that has trials, sorted by key; later records win."""
        infos: dict[HistoryKey, TaskInfo] = {}
        sizes: dict[HistoryKey, int] = defaultdict(int)
        for source in self._in_order():
            for info, size in _infos(source):
                if self.wanted(info.key):
                    infos[info.key] = infos.get(info.key, info).updated(info)
                    sizes[info.key] += size
        return {key: infos[key] for key in sorted(infos) if sizes[key]}

    def run_ids(self) -> dict[HistoryKey, list[str]]:
        """The run ids of each history, of trials that ``histories`` leaves out, too."""
        found: dict[HistoryKey, list[str]] = defaultdict(list)
        for source in self._in_order():
            for key, run_ids in _run_ids(source):
                if self.wanted(key):
                    found[key] += run_ids
        return found

    def n_trials(self) -> int:
        """How many trials ``histories`` returns."""
        return sum(
            run_ids.count("") + len(set(run_ids) - {""}) for run_ids in self.run_ids().values()
        )

    def _in_order(self) -> list[Segment | Journal]:
        # A segment made by compaction has the time of its first source, and of two files of
        # one time the segment holds the older trials: so compaction never changes the order.
        sources: list[Segment | Journal] = [*self.segments, *self.journals]
        return sorted(
            sources,
            key=lambda s: (file_time(s.name), isinstance(s, Journal), s.name),
        )


def file_time(name: str) -> int:
    """The place of a segment or journal in the order of reading, in nanoseconds."""
    return segment_time(name) or journal_time(name) or 0


def take_snapshot(directory: Path, *, wanted: Wanted) -> Snapshot:
    """Read a store's directory.

    Raises:
        HistoryError: If it is not there.
    """
    while True:
        names = _list(directory)
        try:
            contents = {name: _read(directory / name) for name in names if file_time(name)}
        except FileNotFoundError:
            continue  # a compaction removed it after the listing: its trials are elsewhere now
        snapshot = _interpret(directory, names, contents, wanted)
        # Listing is not atomic: a compaction that began and ended meanwhile may have hidden
        # both a journal and the segment that replaces it. Such a segment is new to us.
        if not any(_replaces_others(directory / n) for n in set(_list(directory)) - set(names)):
            return snapshot


def _list(directory: Path) -> list[str]:
    try:
        return sorted(path.name for path in directory.iterdir() if path.is_file())
    except OSError as error:
        raise HistoryError(
            f"The history store {str(directory)!r} can't be read: {error}."
        ) from error


def _read(path: Path) -> bytes | OSError:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        return error


def _replaces_others(path: Path) -> bool:
    if segment_time(path.name) is None:
        return False
    try:
        header = read_header(path.name, path.read_bytes())
    except FileNotFoundError:
        return True  # removed again by yet another compaction
    except (HistoryError, OSError):
        return False
    return bool(header.replaced_segments or header.journals)


def _interpret(
    directory: Path, names: Iterable[str], contents: Mapping[str, bytes | OSError], wanted: Wanted
) -> Snapshot:
    segments: list[Segment] = []
    journals: list[Journal] = []
    problems: list[Problem] = []
    for name in names:
        content = contents.get(name)
        try:
            if isinstance(content, OSError):
                problems.append(Problem(name, f"skipped: {content}"))
            elif content is None:
                if _is_strange(name):
                    problems.append(Problem(name, "ignored, no file of a history store"))
            elif journal_time(name):
                journals.append(read_journal(name, content, wanted=wanted))
            else:
                segments.append(Segment(read_header(name, content), content))
        except HistoryError as error:
            problems.append(Problem(name, f"skipped: {error}"))
    replaced = {name for segment in segments for name in segment.header.replaced_segments}
    problems = [problem for problem in problems if problem.file not in replaced]
    for journal in journals:
        problems += [Problem(journal.name, what) for what in journal.problems]
        n_unfinished = journal.size - journal.end
        if n_unfinished and not is_in_use(directory / journal.name):
            what = f"unfinished last record skipped ({n_unfinished} bytes)"
            problems.append(Problem(journal.name, what))
    return Snapshot(
        segments=tuple(
            segment
            for segment in segments
            if segment.name not in replaced and any(wanted(i.key) for i in segment.header.infos)
        ),
        journals=tuple(_without_compacted(journal, segments) for journal in journals),
        replaced=tuple(sorted(replaced.intersection(names))),
        problems=tuple(problems),
        wanted=wanted,
    )


def _without_compacted(journal: Journal, segments: Iterable[Segment]) -> Journal:
    """The journal without the records that a segment holds."""
    ends: dict[str, int] = defaultdict(int)
    for segment in segments:
        estimator = segment.header.estimator
        ends[estimator] = max(ends[estimator], segment.header.journals.get(journal.name, 0))
    records = tuple(r for r in journal.records if r.end > ends[r.info.estimator])
    return replace(journal, records=records)


def _is_strange(name: str) -> bool:
    hidden = name.startswith(".")
    return not (hidden or name == MARKER or name.lower().startswith(_EXPECTED_STRANGERS))


def _histories(source: Segment | Journal) -> list[History]:
    if isinstance(source, Segment):
        return decode_segment(source.header, source.data)
    trials: dict[HistoryKey, list[Trial]] = defaultdict(list)
    infos: dict[HistoryKey, TaskInfo] = {}
    for record in source.records:
        infos[record.info.key] = record.info
        trials[record.info.key] += record.trials
    return [History.from_trials(infos[key], trials[key]) for key in infos if trials[key]]


def _infos(source: Segment | Journal) -> Iterable[tuple[TaskInfo, int]]:
    if isinstance(source, Segment):
        return zip(source.header.infos, source.header.sizes, strict=True)
    return ((record.info, len(record.trials)) for record in source.records)


def _run_ids(source: Segment | Journal) -> Iterable[tuple[HistoryKey, list[str]]]:
    if isinstance(source, Segment):
        keys = (info.key for info in source.header.infos)
        run_ids = decode_run_ids(source.header, source.data)
        return zip(keys, (ids.tolist() for ids in run_ids), strict=True)
    return ((r.info.key, [trial.run_id for trial in r.trials]) for r in source.records)
