"""Segments: Parquet files of finished histories of one estimator, never changed once written.

Each history is a run of rows; the schema's metadata describe them in order. A hyperparameter
``p`` is up to three columns: ``number:p`` (booleans, integers and floats, NaN elsewhere),
``text:p`` (text, and integers too big for a double) and ``kind:p`` (a ``Kind`` each), which is
left out where all rows have the same kind. Measures are ``measure:m``. The name of the file
holds the CRC-32 of its bytes.

Version 2 has what version 1 has not: reasons of failures, and the provenance of a task.
"""

from __future__ import annotations

import json
import re
import time
import uuid
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from warmstart.column import Column, Kind, uniform
from warmstart.errors import HistoryError
from warmstart.history import History, TaskInfo

if TYPE_CHECKING:
    import pyarrow as pa

SEGMENT_FORMAT: Final = "warmstart-history-segment"
SEGMENT_VERSION: Final = 2
_METADATA: Final = b"warmstart"
_NAME: Final = re.compile(r"segment-([0-9a-f]{16})-[0-9a-f]{8}-([0-9a-f]{8})\.parquet")
_ROWS_PER_GROUP: Final = 1 << 20
_ROWS_WORTH_THREADS: Final = 100_000


@dataclass(frozen=True)
class SegmentHeader:
    """What a segment says about itself.

    Attributes:
        name: File name.
        infos: The histories in the order of their rows.
        sizes: Number of trials of each.
        columns: The kind of all values of each hyperparameter; None if they differ.
        replaced_segments: Names of segments whose trials are in this one.
        journals: For journals whose trials (of this estimator) are in this one, up to which
            byte.
    """

    name: str
    infos: tuple[TaskInfo, ...]
    sizes: tuple[int, ...]
    columns: Mapping[str, int | None]
    replaced_segments: frozenset[str]
    journals: Mapping[str, int]

    @property
    def estimator(self) -> str:
        """The estimator of all histories in it."""
        return self.infos[0].estimator


def segment_name(data: bytes, *, time_ns: int | None = None) -> str:
    """A new file name for a segment; ``time_ns`` (default: now) is its place in the order."""
    time_ns = time.time_ns() if time_ns is None else time_ns
    return f"segment-{time_ns:016x}-{uuid.uuid4().hex[:8]}-{zlib.crc32(data):08x}.parquet"


def encode_segment(
    histories: Sequence[History],
    *,
    replaced_segments: Sequence[str] = (),
    journals: Mapping[str, int] | None = None,
) -> bytes:
    """The bytes of a segment that holds ``histories``, all of one estimator."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    everything = History.concatenate(histories[0].info, histories)
    sizes = [len(history) for history in histories]
    arrays: dict[str, Any] = {
        name: _dictionary([getattr(h.info, name) for h in histories], sizes)
        for name in ("estimator", "source", "task", "metric")
    }
    arrays["loss"] = everything.losses
    arrays["state"] = pa.array(everything.states.astype(object), pa.string()).dictionary_encode()
    arrays["run_id"] = pa.array(everything.run_ids, pa.string())
    arrays["time"] = pa.array(everything.times, pa.string())
    arrays["seconds"] = everything.seconds
    arrays["proposed_by"] = pa.array(everything.proposed_by, pa.string()).dictionary_encode()
    if everything.reasons.any():
        arrays["reason"] = pa.array(everything.reasons, pa.string()).dictionary_encode()
    arrays |= {f"measure:{name}": values for name, values in everything.measures.items()}
    columns: dict[str, int | None] = {}
    for name, column in everything.columns.items():
        kinds = np.unique(column.kinds)
        columns[name] = int(kinds[0]) if len(kinds) == 1 else None
        if len(kinds) > 1:
            arrays[f"kind:{name}"] = column.kinds
        if ((kinds >= Kind.BOOL) & (kinds <= Kind.FLOAT)).any():
            arrays[f"number:{name}"] = column.numbers
        if (kinds >= Kind.TEXT).any():
            arrays[f"text:{name}"] = _text_array(column)
    description = {
        "format": SEGMENT_FORMAT,
        "version": SEGMENT_VERSION,
        "histories": [h.info.to_json() | {"n_trials": len(h)} for h in histories],
        "columns": columns,
        "replaced_segments": list(replaced_segments),
        "journals": dict(journals or {}),
    }
    table = pa.table(arrays).replace_schema_metadata({_METADATA: json.dumps(description)})
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        row_group_size=_ROWS_PER_GROUP,
        write_statistics=False,
        **_encodings(table),
    )
    data: bytes = sink.getvalue().to_pybytes()
    return data


def read_header(name: str, data: bytes) -> SegmentHeader:
    """Check a segment's bytes, and read what it says about itself.

    Raises:
        HistoryError: If it is damaged, foreign, or of a newer format.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    match = _NAME.fullmatch(name)
    if match is None:
        raise HistoryError("no segment of a history store")
    if int(match[2], 16) != zlib.crc32(data):
        raise HistoryError("its checksum does not fit its name")
    try:
        description = json.loads(pq.read_schema(pa.BufferReader(data)).metadata[_METADATA])
        if description["format"] != SEGMENT_FORMAT:
            raise HistoryError(f"format {description['format']!r} is not {SEGMENT_FORMAT!r}")
        if description["version"] > SEGMENT_VERSION:
            raise HistoryError(
                f"format version {description['version']} is newer than {SEGMENT_VERSION}, which "
                "this version of warmstart reads; upgrade warmstart"
            )
        sizes = tuple(int(history.pop("n_trials")) for history in description["histories"])
        return SegmentHeader(
            name=name,
            infos=tuple(TaskInfo.from_json(history) for history in description["histories"]),
            sizes=sizes,
            columns=description["columns"],
            replaced_segments=frozenset(description["replaced_segments"]),
            journals=description["journals"],
        )
    except (pa.ArrowException, OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise HistoryError(str(error)) from error


def segment_time(name: str) -> int | None:
    """A segment's place in the order of reading, in nanoseconds; None if it is no segment's."""
    match = _NAME.fullmatch(name)
    return int(match[1], 16) if match else None


def decode_segment(header: SegmentHeader, data: bytes) -> list[History]:
    """The histories in a segment, as views of shared arrays."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    skipped = ("estimator", "source", "task", "metric")
    names = pq.read_schema(pa.BufferReader(data)).names
    table = _read(data, [name for name in names if name not in skipped])
    n = len(table)

    def column(name: str, kind: int | None) -> Column:
        codes, texts = uniform(-1, n, np.int32), tuple[str, ...]()
        if f"text:{name}" in names:
            codes, texts = _codes(table[f"text:{name}"])
        return Column(
            kinds=_numpy(table[f"kind:{name}"]) if kind is None else uniform(kind, n, np.uint8),
            numbers=_numpy(table[f"number:{name}"])
            if f"number:{name}" in names
            else uniform(np.nan, n, np.float64),
            codes=codes,
            texts=texts,
        )

    everything = History(
        info=header.infos[0],
        losses=_numpy(table["loss"]),
        columns={name: column(name, kind) for name, kind in header.columns.items()},
        states=_words(table["state"], np.str_),
        run_ids=table["run_id"].to_numpy(),
        times=table["time"].to_numpy(),
        seconds=_numpy(table["seconds"]),
        proposed_by=_words(table["proposed_by"], object),
        reasons=_words(table["reason"], object)
        if "reason" in names
        else uniform("", n, np.object_),
        measures={
            name.removeprefix("measure:"): _numpy(table[name])
            for name in names
            if name.startswith("measure:")
        },
    )
    return [
        History.concatenate(info, [everything.subset(rows)])
        for info, rows in zip(header.infos, _slices(header), strict=True)
    ]


def decode_run_ids(header: SegmentHeader, data: bytes) -> list[npt.NDArray[np.object_]]:
    """The run ids of each history in a segment."""
    run_ids = _read(data, ["run_id"])["run_id"].to_numpy()
    return [run_ids[rows] for rows in _slices(header)]


def _slices(header: SegmentHeader) -> list[slice]:
    ends = np.cumsum(header.sizes).tolist()
    return [slice(end - size, end) for end, size in zip(ends, header.sizes, strict=True)]


def _read(data: bytes, columns: list[str]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(pa.BufferReader(data))
    use_threads = file.metadata.num_rows > _ROWS_WORTH_THREADS
    table = file.read(columns, use_threads=use_threads)
    return table.unify_dictionaries().combine_chunks()


def _dictionary(words: list[str], sizes: list[int]) -> pa.DictionaryArray:
    import pyarrow as pa

    index = {word: code for code, word in enumerate(dict.fromkeys(words))}
    codes = np.repeat(np.array([index[word] for word in words], np.int32), sizes)
    return pa.DictionaryArray.from_arrays(codes, list(index))


def _text_array(column: Column) -> pa.DictionaryArray:
    import pyarrow as pa

    used = np.unique(column.codes[column.codes >= 0])
    codes = np.searchsorted(used, column.codes).astype(np.int32)
    return pa.DictionaryArray.from_arrays(
        pa.array(codes, mask=column.codes < 0),
        pa.array([column.texts[code] for code in used], pa.string()),
    )


def _numpy(array: pa.ChunkedArray) -> npt.NDArray[Any]:
    # Few chunks, without nulls: one chunk is not copied.
    values: npt.NDArray[Any] = (
        array.chunk(0).to_numpy() if array.num_chunks == 1 else array.to_numpy()
    )
    return values


def _codes(array: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    chunk = array.combine_chunks()
    codes = chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return codes.astype(np.int32, copy=False), tuple(chunk.dictionary.to_pylist())


def _words(array: pa.ChunkedArray, dtype: Any) -> npt.NDArray[Any]:
    codes, texts = _codes(array)
    return np.array(texts, dtype)[codes] if texts else np.empty(0, dtype)


def _encodings(table: pa.Table) -> dict[str, Any]:
    """How each column takes the least space.

    Few distinct numbers: a dictionary; many: byte planes; identifiers and times: what differs
    from the row before.
    """
    import pyarrow as pa

    encodings, by_dictionary = {}, []
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_string(column.type):
            encodings[name] = "DELTA_BYTE_ARRAY"
        elif pa.types.is_floating(column.type) and _mostly_distinct(column.to_numpy()):
            encodings[name] = "BYTE_STREAM_SPLIT"
        else:
            by_dictionary.append(name)
    return {"use_dictionary": by_dictionary, "column_encoding": encodings or None}


def _mostly_distinct(values: npt.NDArray[np.float64]) -> bool:
    sample = values[:: max(1, len(values) // 10_000)]
    return len(np.unique(sample)) > len(sample) / 4
