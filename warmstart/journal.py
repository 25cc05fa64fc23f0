"""Journals: text files to which one writer appends records, each with its checksum.

A line is eight hexadecimal digits (the CRC-32 of what follows the space), a space and a JSON
object. The first line says what the file is; then come descriptions of tasks (``info``) and
trials (``key``, ``trials``). A line that a killed writer left unfinished fails its checksum.

Version 2 has what version 1 has not: reasons of failures, and the provenance of a task.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Final

from warmstart.durable import create_locked, sync_directory, write_all
from warmstart.errors import HistoryError
from warmstart.history import HistoryKey, TaskInfo
from warmstart.trial import Trial

JOURNAL_FORMAT: Final = "warmstart-history-journal"
JOURNAL_VERSION: Final = 2
_NAME: Final = re.compile(r"journal-([0-9a-f]{16})-[0-9a-f]{8}\.jsonl")


@dataclass(frozen=True)
class Record:
    """What one line says: trials of a task, or (with no trials) what is known of the task.

    ``end`` is where the line ends in its file, in bytes.
    """

    end: int
    info: TaskInfo
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Journal:
    """What could be read from a journal.

    Attributes:
        name: File name.
        size: Bytes in the file when it was read.
        end: Bytes up to the end of the last finished line.
        records: In the order of writing.
        problems: What was skipped, in words; an unfinished last line is not among them.
    """

    name: str
    size: int
    end: int
    records: tuple[Record, ...]
    problems: tuple[str, ...]


class JournalWriter:
    """Appends to a journal of its own; threads may share it, processes may not.

    Args:
        directory: Where the journal is made, on the first write.
        fsync: Whether a record is safe from power cuts when ``write`` returns; from kills it
            is in any case.
    """

    def __init__(self, directory: Path, *, fsync: bool) -> None:
        self._directory = directory
        self._fsync = fsync
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._described: set[bytes] = set()

    def write(self, info: TaskInfo, trials: Iterable[Trial]) -> None:
        """Append trials as one record: after a crash all are there or none.

        Raises:
            OSError: If they can't be written; the journal is as before then.
        """
        description = _line({"info": info.to_json()})
        key = astuple(info.key)
        record = _line({"key": key, "trials": [trial.to_json() for trial in trials]})
        with self._lock:
            if self._descriptor is None:
                self._open()
            known = description in self._described
            self._append(record if known else description + record)
            self._described.add(description)

    def close(self) -> None:
        """Let others tidy the journal away; a later write starts a new one."""
        with self._lock:
            self._close()

    def __del__(self) -> None:
        if os is not None:  # else the interpreter is going, and the file with it
            self._close()

    def _open(self) -> None:
        descriptor = None
        while descriptor is None:
            name = f"journal-{time.time_ns():016x}-{uuid.uuid4().hex[:8]}.jsonl"
            descriptor = create_locked(self._directory / name)
        self._descriptor = descriptor
        self._append(_line({"format": JOURNAL_FORMAT, "version": JOURNAL_VERSION}))
        if self._fsync:
            sync_directory(self._directory)

    def _append(self, lines: bytes) -> None:
        assert self._descriptor is not None
        good_end = os.fstat(self._descriptor).st_size
        try:
            write_all(self._descriptor, lines)
            if self._fsync:
                os.fsync(self._descriptor)
        except BaseException:
            # A full disk or an interrupt: take back what was written, and start a new journal,
            # so that no later record follows a broken one.
            try:
                os.ftruncate(self._descriptor, good_end)
            finally:
                self._close()
            raise

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        self._described.clear()
        if descriptor is not None:
            os.close(descriptor)


def journal_time(name: str) -> int | None:
    """When a journal was begun, in nanoseconds; None if ``name`` is no journal's."""
    match = _NAME.fullmatch(name)
    return int(match[1], 16) if match else None


def read_journal(name: str, data: bytes, *, wanted: Callable[[HistoryKey], bool]) -> Journal:
    """Read what can be read.

    Args:
        name: File name.
        data: What is in the file.
        wanted: Which histories' records to return.

    Raises:
        HistoryError: If the file is no journal, or of a newer format.
    """
    lines = data.split(b"\n")
    unfinished = lines.pop()
    records: list[Record] = []
    problems: list[str] = []
    infos: dict[HistoryKey, TaskInfo] = {}
    end = 0
    for number, line in enumerate(lines, start=1):
        end += len(line) + 1
        try:
            content = _content(line)
        except ValueError as error:
            problems.append(f"line {number} skipped: {error}")
            continue
        if number == 1:
            _check_header(content)
            continue
        try:
            record = _record(content, end, wanted=wanted, infos=infos)
        except (ValueError, KeyError, TypeError) as error:
            problems.append(f"line {number} skipped: {error}")
            continue
        if record is not None:
            records.append(record)
    if lines and len(problems) == len(lines):
        raise HistoryError("no line of a journal in it")
    return Journal(name, len(data), len(data) - len(unfinished), tuple(records), tuple(problems))


def _record(
    content: dict[str, Any],
    end: int,
    *,
    wanted: Callable[[HistoryKey], bool],
    infos: dict[HistoryKey, TaskInfo],
) -> Record | None:
    """What a line says, if it is wanted; ``infos`` spares making a key's description again."""
    if "info" in content:
        info = TaskInfo.from_json(content["info"])
        return Record(end, info, ()) if wanted(info.key) else None
    key = HistoryKey(*content["key"])
    if key not in infos:
        infos[key] = TaskInfo(key.estimator, key.task, key.metric, key.source)
    if not wanted(key):
        return None
    return Record(end, infos[key], tuple(Trial.from_json(trial) for trial in content["trials"]))


def _check_header(header: dict[str, Any]) -> None:
    version = header.get("version")
    if header.get("format") != JOURNAL_FORMAT or type(version) is not int:
        raise HistoryError(f"format {header.get('format')!r} is not {JOURNAL_FORMAT!r}")
    if version > JOURNAL_VERSION:
        raise HistoryError(
            f"format version {version} is newer than {JOURNAL_VERSION}, which this version of "
            "warmstart reads; upgrade warmstart"
        )


def _line(content: dict[str, Any]) -> bytes:
    text = json.dumps(content, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _content(line: bytes) -> dict[str, Any]:
    checksum, _, text = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        raise ValueError("its checksum does not fit")
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    return content
