"""Compaction: journals and small segments become one segment for each estimator.

A kill at any point is harmless. A new segment appears at once and complete, and says itself
which segments it replaces and how far into which journals: until those are removed, readers
leave them out. So trials are never lost and never count twice. Writers go on meanwhile: their
journals stay, read from where the segment ends.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from warmstart.durable import (
    TEMPORARY_PREFIX,
    exclusively,
    remove_abandoned,
    write_atomically,
)
from warmstart.errors import HistoryError
from warmstart.segments import encode_segment, segment_name
from warmstart.snapshot import Snapshot, file_time, take_snapshot

_LOCK: Final = ".compaction.lock"


def compact(directory: Path, *, fsync: bool) -> Snapshot:
    """Compact a store's directory, after any compaction that is under way.

    Files that can't be read, and journals with broken records, stay where they are.

    Returns:
        What was there before.

    Raises:
        HistoryError: If the store can't be read or written; it is as good as before then.
    """
    try:
        with exclusively(directory / _LOCK):
            for path in directory.glob(f"{TEMPORARY_PREFIX}*"):
                remove_abandoned(path)
            snapshot = take_snapshot(directory, wanted=lambda key: True)
            replaced = list(snapshot.replaced)
            for estimator in sorted({key.estimator for key in snapshot.infos()}):
                replaced += _merge(directory, snapshot, estimator, fsync=fsync)
            for name in replaced:
                with suppress(OSError):  # some systems keep files that are being read
                    (directory / name).unlink()
            for journal in snapshot.journals:
                if not journal.problems:
                    remove_abandoned(directory / journal.name, size=journal.size)
    except OSError as error:
        raise HistoryError(
            f"The history store {str(directory)!r} can't be compacted: {error}."
        ) from error
    return snapshot


def _merge(directory: Path, snapshot: Snapshot, estimator: str, *, fsync: bool) -> list[str]:
    """Write all trials of one estimator into one segment.

    Returns:
        Names of the segments that it replaces; none if one segment holds all already.
    """
    part = replace(
        snapshot,
        segments=tuple(s for s in snapshot.segments if s.header.estimator == estimator),
        wanted=lambda key: key.estimator == estimator,
    )
    names = [segment.header.name for segment in part.segments]
    in_journals = any(r.info.estimator == estimator for j in part.journals for r in j.records)
    if len(names) <= 1 and not in_journals:
        return []
    data = encode_segment(
        part.histories(),
        replaced_segments=names,
        journals={journal.name: journal.end for journal in part.journals},
    )
    sources = [*names, *(journal.name for journal in part.journals)]
    name = segment_name(data, time_ns=min(map(file_time, sources)))
    write_atomically(directory / name, data, fsync=fsync)
    return names
