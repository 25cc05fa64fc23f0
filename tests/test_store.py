from __future__ import annotations

import json
import math
import os
import pickle
import shutil
import subprocess
import sys
import threading
import warnings
import zlib
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from history_strategies import INFO, sorted_names, trials
from hypothesis import given, settings
from hypothesis import strategies as st

from warmstart import durable, segments, snapshot
from warmstart import journal as journal_module
from warmstart.errors import HistoryError, WarmStartWarning
from warmstart.history import History, TaskInfo, Trial
from warmstart.space import Float, SearchSpace
from warmstart.store import HistoryStore

N_MANY = 250  # more than go into a journal at once


def many(n: int = N_MANY, *, start: int = 0) -> list[Trial]:
    return [
        Trial({"C": i / 7, "n": i, "kernel": f"k{i % 3}"}, i / 3, run_id=f"run-{i}")
        for i in range(start, start + n)
    ]


def contents(store: HistoryStore) -> dict[Any, list[str]]:
    return {
        history.info.key: [repr(sorted_names(trial)) for trial in history.trials()]
        for history in store.histories()
    }


def files(store: HistoryStore, pattern: str) -> list[Path]:
    return sorted(store.path.glob(pattern))


def checksummed(content: Any) -> bytes:
    text = json.dumps(content).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


@given(
    st.lists(trials().map(lambda t: replace(t, run_id="")), min_size=1, max_size=8),
    st.booleans(),
    st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_trials_come_back_as_they_were_given(
    given_trials: list[Trial], many_at_once: bool, compacted: bool
) -> None:
    times = 200 // len(given_trials) + 1 if many_at_once else 1
    with TemporaryDirectory() as directory, HistoryStore(directory, fsync=False) as store:
        store.extend(INFO, given_trials * times)
        assert len(files(store, "*.parquet")) == many_at_once
        if compacted:
            store.compact()
            assert len(files(store, "*.parquet")) == 1
            assert not files(store, "*.jsonl")
        expected = [repr(sorted_names(trial)) for trial in given_trials * times]
        assert contents(store) == {INFO.key: expected}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["append", "extend", "add", "compact", "reopen"]),
            st.integers(0, 2),
            st.lists(st.integers(0, 3), min_size=1, max_size=3),
        ),
        max_size=12,
    )
)
@settings(deadline=None, max_examples=60)
def test_any_order_of_writing_and_compacting_keeps_the_first_of_each_run(steps: list[Any]) -> None:
    infos = [replace(INFO, task=f"t{i}", estimator=f"e{i // 2}") for i in range(3)]
    expected: dict[Any, dict[str, float]] = {}
    n_written = 0
    with TemporaryDirectory() as directory:
        store = HistoryStore(directory, fsync=False)
        for step, which, run_ids in steps:
            info = infos[which]
            new = []
            for run_id in run_ids:
                n_written += 1
                new.append(Trial({"i": n_written}, float(n_written), run_id=str(run_id)))
                if step in ("append", "extend", "add"):
                    expected.setdefault(info.key, {}).setdefault(str(run_id), float(n_written))
            if step == "append":
                for trial in new:
                    store.append(info, trial)
            elif step == "extend":
                store.extend(info, new)
            elif step == "add":
                padding = [Trial({}, 0.0, run_id=f"pad-{i}") for i in range(200)]
                store.add(History.from_trials(info, new + padding))
                for trial in padding:
                    expected.setdefault(info.key, {}).setdefault(trial.run_id, 0.0)
            elif step == "compact":
                store.compact()
            else:
                store.close()
                store = HistoryStore(directory, create=False, fsync=False)
        found = {
            h.info.key: dict(zip(h.run_ids, h.losses.tolist(), strict=True))
            for h in store.histories()
        }
        assert found == expected
        assert len(store) == sum(map(len, expected.values()))
        assert store.run_ids() == {r for runs in expected.values() for r in runs}
        assert store.keys() == sorted(expected)
        store.close()


def test_histories_are_chosen_by_estimator_source_and_task(store: HistoryStore) -> None:
    infos = [
        TaskInfo(estimator, task, "accuracy", source)
        for estimator in ("e1", "e2")
        for task in ("t1", "t2")
        for source in ("openml", "own")
    ]
    for i, info in enumerate(infos):
        store.extend(info, many(300 if i % 2 else 3, start=1000 * i))
    for _ in range(2):
        assert [h.info for h in store.histories()] == sorted(infos, key=lambda i: i.key)
        assert [h.info.task for h in store.histories("e1", source="own")] == ["t1", "t2"]
        assert [h.info for h in store.histories(task="t2", source="openml", estimator="e2")] == [
            TaskInfo("e2", "t2", "accuracy", "openml")
        ]
        assert store.histories(estimator="e3") == []
        assert len(store.run_ids(source="openml")) == 12
        assert len(store.run_ids(source="own", estimator="e1")) == 600
        assert len(store.infos(task="t1")) == 4
        assert len(store) == 4 * 303
        store.compact()
    assert len(files(store, "*.parquet")) == 2  # one an estimator


def test_one_task_under_two_metrics_is_two_histories(store: HistoryStore) -> None:
    for metric in ("accuracy", "roc_auc"):
        store.append(replace(INFO, metric=metric), Trial({}, 0.5, run_id="1"))
    assert [h.info.metric for h in store.histories()] == ["accuracy", "roc_auc"]
    assert len(store) == 2


def test_what_is_known_of_a_task_grows_with_later_records(store: HistoryStore) -> None:
    space = SearchSpace({"C": Float(0.0, 100.0), "n": Float(0, 1e9)})
    store.append(replace(INFO, name="old", licence="CC0"), Trial({}, 0.5))
    store.append(replace(INFO, name="new", descriptor={"n": 3}), Trial({}, 0.5))
    store.append(replace(INFO, space=space), Trial({"C": 1.0}, 0.5))
    expected = replace(INFO, name="new", licence="CC0", descriptor={"n": 3}, space=space)
    assert store.infos() == [expected]
    store.compact()
    assert store.infos() == [expected]
    assert store.histories()[0].info == expected


def test_the_first_trial_of_a_run_stays_whatever_the_file(store: HistoryStore) -> None:
    store.append(INFO, Trial({}, 1.0, run_id="run-5"))
    store.extend(INFO, many())
    store.append(INFO, Trial({}, -1.0, run_id="run-6"))
    for _ in range(2):
        (history,) = store.histories()
        assert len(history) == len(store) == N_MANY
        assert dict(zip(history.run_ids, history.losses, strict=True))["run-5"] == 1.0
        assert dict(zip(history.run_ids, history.losses, strict=True))["run-6"] == 6 / 3
        store.compact()


def test_an_invalid_trial_changes_nothing(store: HistoryStore) -> None:
    info = replace(INFO, space=SearchSpace({"C": Float(0.0, 1.0)}))
    with pytest.raises(HistoryError, match=r"C=2\.0"):
        store.append(info, Trial({"C": 2.0}, 0.0))
    with pytest.raises(HistoryError, match=r"Trial 1: C=2\.0"):
        store.extend(info, [Trial({"C": 0.5}, 0.0), Trial({"C": 2.0}, 0.0)])
    with pytest.raises(HistoryError, match="expected a TaskInfo"):
        store.append("openml-task-3", Trial({}, 0.0))  # type: ignore[arg-type]
    with pytest.raises(HistoryError, match="Trial"):
        store.append(INFO, {"C": 1.0})  # type: ignore[arg-type]
    assert len(store) == 0
    assert [path.name for path in store.path.iterdir()] == ["store.json"]


def test_adding_nothing_leaves_no_file(store: HistoryStore) -> None:
    store.extend(INFO, [])
    store.compact()
    assert store.histories() == []
    assert [p.name for p in store.path.iterdir() if p.name[0] != "."] == ["store.json"]


def test_frames_go_in_and_out(store: HistoryStore) -> None:
    store.extend(INFO, many(3))
    store.extend(replace(INFO, task="t2", licence="MIT"), many())
    frame = store.to_frame()
    assert len(frame) == 3 + N_MANY
    assert len(store.to_frame(task="t2")) == N_MANY
    assert frame["configuration.n"].dtype == np.int64
    copy = HistoryStore(store.path.parent / "copy", fsync=False)
    copy.add_frame(frame, infos=[replace(INFO, descriptor={"n": 1})])
    assert contents(copy) == contents(store)
    assert [(i.licence, i.descriptor) for i in copy.infos()] == [("", {"n": 1}), ("MIT", None)]
    with pytest.raises(HistoryError, match="finite"):
        copy.add_frame(frame.assign(loss=[*frame["loss"][:-1], np.inf]))
    assert len(copy) == len(store)


def test_a_segment_is_a_plain_parquet_file(store: HistoryStore) -> None:
    store.extend(INFO, many())
    frame = pq.read_table(files(store, "*.parquet")[0]).to_pandas()
    assert frame["loss"].tolist() == [trial.loss for trial in many()]
    assert frame["number:C"].tolist() == [trial.configuration["C"] for trial in many()]
    assert frame["text:kernel"].tolist() == [trial.configuration["kernel"] for trial in many()]
    assert set(frame["task"]) == {INFO.task}


def test_a_hundred_thousand_trials_load_into_typed_arrays(store: HistoryStore) -> None:
    rng = np.random.default_rng(0)
    n_tasks, n = 20, 5_000
    for task in range(n_tasks):
        trials = [
            Trial(
                {"C": c, "n": k, "b": k % 2 == 0, "kernel": "rbf", "m": None},
                c,
                run_id=f"{task}-{k}",
            )
            for k, c in enumerate(rng.random(n).tolist())
        ]
        store.extend(replace(INFO, task=f"t{task:02}"), trials)
    store.compact()
    histories = store.histories()
    assert [len(history) for history in histories] == [n] * n_tasks
    history = histories[-1]
    assert history.losses.dtype == np.float64
    np.testing.assert_array_equal(history.columns["C"].numbers, history.losses)
    assert history.values("n").tolist() == list(range(n))
    assert {type(v) for v in history.values("n")} == {int}
    assert {type(v) for v in history.values("b")} == {bool}
    assert set(history.values("kernel")) == {"rbf"}
    assert set(history.values("m")) == {None}
    assert sum(path.stat().st_size for path in store.path.iterdir()) < 20 * n_tasks * n


def test_a_pickled_store_writes_to_files_of_its_own(store: HistoryStore) -> None:
    store.append(INFO, Trial({}, 0.0, run_id="here"))
    code = (
        "import pickle, sys; from warmstart.history import TaskInfo, Trial;"
        "store, info = pickle.load(sys.stdin.buffer);"
        "store.append(info, Trial({}, 0.0, run_id='there'))"
    )
    data = pickle.dumps((store, INFO))
    subprocess.run([sys.executable, "-c", code], input=data, check=True)
    store.append(INFO, Trial({}, 0.0, run_id="here again"))
    assert store.run_ids() == {"here", "there", "here again"}
    assert len(files(store, "*.jsonl")) == 2
    assert pickle.loads(pickle.dumps(store)).run_ids() == store.run_ids()


@pytest.mark.skipif(
    not hasattr(os, "fork"),
    reason="only POSIX has os.fork: where there is none, no process is forked",
)
def test_a_forked_process_writes_to_files_of_its_own(tmp_path: Path) -> None:
    code = """
import os, sys
from warmstart.history import TaskInfo, Trial
from warmstart.store import HistoryStore
info = TaskInfo("e", "t", "m", "s")
store = HistoryStore(sys.argv[1])
store.append(info, Trial({}, 0.0, run_id="before"))
child = os.fork()
for i in range(50):
    store.append(info, Trial({}, 0.0, run_id=f"{child == 0}-{i}"))
if child:
    assert os.waitpid(child, 0)[1] == 0
    store.append(info, Trial({}, 0.0, run_id="after"))
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    store = HistoryStore(tmp_path, create=False)
    assert len(store) == len(store.run_ids()) == 102
    assert len(files(store, "*.jsonl")) == 2
    assert store.verify().ok


def test_threads_share_a_store(store: HistoryStore) -> None:
    def write(name: str) -> None:
        for i in range(50):
            store.append(INFO, Trial({"i": i}, i, run_id=f"{name}-{i}"))
            if i % 10 == 0:
                store.compact()

    threads = [threading.Thread(target=write, args=(str(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    seen: set[str] = set()
    while any(thread.is_alive() for thread in threads):
        run_ids = store.run_ids()
        assert run_ids >= seen
        seen = run_ids
    for thread in threads:
        thread.join()
    assert len(store) == len(store.run_ids()) == 200
    assert store.verify().ok


def test_a_journal_in_use_is_compacted_but_stays(store: HistoryStore) -> None:
    other = HistoryStore(store.path, fsync=False)
    other.append(INFO, Trial({}, 0.0, run_id="1"))
    store.compact()
    assert len(files(store, "*.jsonl")) == len(files(store, "*.parquet")) == 1
    other.append(INFO, Trial({}, 0.0, run_id="2"))
    other.append(replace(INFO, estimator="e2"), Trial({}, 0.0, run_id="3"))
    assert len(store) == 3
    store.compact()
    assert len(store) == 3
    other.close()
    store.compact()
    assert not files(store, "*.jsonl")
    assert len(files(store, "*.parquet")) == 2
    assert len(store) == 3


def test_trials_without_run_id_count_once_when_their_journal_outlives_a_compaction(
    store: HistoryStore,
) -> None:
    other = HistoryStore(store.path, fsync=False)
    for i in range(3):
        other.append(INFO, Trial({}, i))
        store.compact()
        assert store.histories()[0].losses.tolist() == list(range(i + 1))
    other.close()


def test_a_listing_that_a_compaction_overtook_is_repeated(
    store: HistoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(INFO, Trial({}, 0.0, run_id="1"))
    store.compact()
    complete = snapshot._list
    listings = iter([["store.json"]])  # neither the journal any more, nor the segment yet
    monkeypatch.setattr(snapshot, "_list", lambda path: next(listings, None) or complete(path))
    assert store.run_ids() == {"1"}


def test_a_file_that_vanishes_after_the_listing_is_looked_for_elsewhere(
    store: HistoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(INFO, Trial({}, 0.0, run_id="1"))
    complete = snapshot._list

    def list_then_compact(path: Path) -> list[str]:
        names = complete(path)
        monkeypatch.setattr(snapshot, "_list", complete)
        store.compact()
        return names

    monkeypatch.setattr(snapshot, "_list", list_then_compact)
    assert store.run_ids() == {"1"}


@pytest.mark.parametrize("n", [1, N_MANY])
def test_a_new_file_that_a_compaction_takes_for_abandoned_is_made_again(
    store: HistoryStore, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    lock = durable._lock

    def remove_then_lock(descriptor: int, *, wait: bool) -> None:
        monkeypatch.setattr(durable, "_lock", lock)
        (new,) = (p for p in store.path.iterdir() if p.name != "store.json")
        assert durable.remove_abandoned(new)
        lock(descriptor, wait=wait)

    monkeypatch.setattr(durable, "_lock", remove_then_lock)
    store.extend(INFO, many(n))
    assert len(store) == n


def test_a_full_disk_is_an_error_that_leaves_the_store_intact(
    store: HistoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(INFO, Trial({}, 0.0, run_id="before"))

    def write_half_then_fail(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    for module in ("journal", "durable"):
        monkeypatch.setattr(f"warmstart.{module}.write_all", write_half_then_fail)
    with pytest.raises(HistoryError, match=r"can't be written: .*No space left"):
        store.append(INFO, Trial({}, 0.0, run_id="lost"))
    with pytest.raises(HistoryError, match="No space left"):
        store.extend(INFO, many())
    with pytest.raises(HistoryError, match=r"can't be compacted: .*No space left"):
        store.compact()
    monkeypatch.undo()
    store.append(INFO, Trial({}, 0.0, run_id="after"))
    assert store.run_ids() == {"before", "after"}
    assert store.verify().ok
    store.compact()
    assert [p.suffix for p in store.path.iterdir() if p.name[0] != "."].count(".parquet") == 1
    assert not list(store.path.glob(".tmp-*"))


# Broken records ------------------------------------------------------------------------------


@pytest.fixture
def broken(tmp_path: Path) -> HistoryStore:
    """A store of a segment and two closed journals, to be damaged."""
    with HistoryStore(tmp_path / "histories", fsync=False) as store:
        store.extend(INFO, many())
        store.append(INFO, Trial({}, 0.0, run_id="a1"))
        store.append(INFO, Trial({}, 0.0, run_id="a2"))
        store.close()
        store.append(INFO, Trial({}, 0.0, run_id="b1"))
    return HistoryStore(store.path, fsync=False)


SEGMENT_RUNS = {f"run-{i}" for i in range(N_MANY)}


def read_with_one_warning(store: HistoryStore, *mentions: str) -> set[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run_ids = store.run_ids()
        assert {r for h in store.histories() for r in h.run_ids} == run_ids
        assert len(store) == len(run_ids)
    (warning,) = caught
    assert warning.category is WarmStartWarning
    assert warning.filename == __file__
    for mention in mentions:
        assert mention in str(warning.message)
    assert not store.verify().ok
    return run_ids


def test_a_torn_last_record_is_skipped_with_one_warning(broken: HistoryStore) -> None:
    journal = files(broken, "*.jsonl")[0]
    journal.write_bytes(journal.read_bytes()[:-9])
    found = read_with_one_warning(broken, journal.name, "unfinished last record")
    assert found == SEGMENT_RUNS | {"a1", "b1"}
    broken.compact()
    assert broken.verify().ok
    assert broken.run_ids() == found


def test_a_record_being_written_is_no_problem(store: HistoryStore) -> None:
    store.append(INFO, Trial({}, 0.0, run_id="1"))
    (journal,) = files(store, "*.jsonl")
    with journal.open("ab") as file:
        file.write(b"0000")
    assert store.run_ids() == {"1"}
    assert store.verify().ok


def test_a_damaged_line_costs_only_itself(broken: HistoryStore) -> None:
    journal = files(broken, "*.jsonl")[0]
    journal.write_bytes(journal.read_bytes().replace(b'"a1"', b'"x1"'))
    expected = SEGMENT_RUNS | {"a2", "b1"}
    assert read_with_one_warning(broken, journal.name, "line 3", "checksum") == expected
    broken.compact()
    assert journal.exists()  # someone may want to repair it
    assert read_with_one_warning(HistoryStore(broken.path), "line 3") == expected


@pytest.mark.parametrize("line", [0, 1])
def test_trials_do_not_depend_on_the_lines_before_them(broken: HistoryStore, line: int) -> None:
    journal = files(broken, "*.jsonl")[0]
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[line] = b"\x00\xff" * 9 + b"\n"
    journal.write_bytes(b"".join(lines))
    expected = SEGMENT_RUNS | {"a1", "a2", "b1"}
    assert read_with_one_warning(broken, journal.name, f"line {line + 1}") == expected


@pytest.mark.parametrize(
    "content",
    [
        {"key": ["s", "e", "t"], "trials": []},
        {"key": ["s", "e", "t", ""], "trials": []},
        {"key": ["s", "e", "t", "m"], "trials": [{"configuration": {}, "loss": "low"}]},
        {"key": ["s", "e", "t", "m"], "trials": [{"colour": "red"}]},
        {"key": ["s", "e", "t", "m"], "trials": 3},
        {"key": ["s", "e", "t", "m"]},
        {"key": 3},
        {"info": {"estimator": 3}},
        {"info": None},
        {},
        [],
    ],
)
def test_a_record_that_makes_no_sense_is_skipped(broken: HistoryStore, content: Any) -> None:
    journal = files(broken, "*.jsonl")[0]
    with journal.open("ab") as file:
        file.write(checksummed(content))
    expected = SEGMENT_RUNS | {"a1", "a2", "b1"}
    assert read_with_one_warning(broken, journal.name, "line 5") == expected


def test_files_of_the_first_version_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "SEGMENT_VERSION", 1)
    monkeypatch.setattr(journal_module, "JOURNAL_VERSION", 1)
    with HistoryStore(tmp_path / "old", fsync=False) as store:
        store.extend(INFO, many())
        store.append(INFO, Trial({"C": 1.0}, 0.5, run_id="single"))
        before = contents(store)
    monkeypatch.undo()
    assert b'"version":1' in files(store, "*.jsonl")[0].read_bytes()
    assert contents(HistoryStore(tmp_path / "old")) == before


@pytest.mark.parametrize("compacted", [False, True])
def test_why_trials_failed_and_how_they_were_made_is_kept(
    store: HistoryStore, compacted: bool
) -> None:
    info = replace(INFO, provenance={"rows": 500, "seeds": [0, 1]})
    store.append(info, Trial({"C": 1.0}, math.nan, "failed", reason="longer than 10 s"))
    store.append(info, Trial({"C": 2.0}, 0.5))
    if compacted:
        store.compact()
    (history,) = store.histories()
    assert history.info.provenance == {"rows": 500, "seeds": [0, 1]}
    assert history.reasons.tolist() == ["longer than 10 s", ""]
    assert history.to_frame()["reason"].tolist() == ["longer than 10 s", ""]


def test_a_journal_of_a_newer_format_is_skipped_and_kept(broken: HistoryStore) -> None:
    journal = files(broken, "*.jsonl")[0]
    rest = journal.read_bytes().split(b"\n", 1)[1]
    header = {"format": "warmstart-history-journal", "version": 99}
    journal.write_bytes(checksummed(header) + rest)
    found = read_with_one_warning(broken, journal.name, "99", "upgrade")
    assert found == SEGMENT_RUNS | {"b1"}
    broken.compact()
    assert journal.exists()


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "text", "rename"])
def test_a_damaged_segment_costs_only_itself(broken: HistoryStore, damage: str) -> None:
    (segment,) = files(broken, "*.parquet")
    data = bytearray(segment.read_bytes())
    if damage == "flip":
        data[len(data) // 3] ^= 1
    elif damage == "truncate":
        del data[-1]
    elif damage == "empty":
        data.clear()
    elif damage == "text":
        data[:] = b"run,loss\n1,0.5\n"
    segment.write_bytes(data)
    if damage == "rename":
        segment = segment.rename(segment.with_name("segment-of-mine.parquet"))
    assert read_with_one_warning(broken, segment.name) == {"a1", "a2", "b1"}
    broken.compact()
    assert segment.exists()


@given(st.data())
@settings(deadline=None, max_examples=30)
def test_no_flipped_byte_of_any_file_goes_unnoticed_or_raises(data: Any) -> None:
    with TemporaryDirectory() as directory:
        with HistoryStore(directory, fsync=False) as store:
            store.extend(INFO, many())
            store.append(INFO, Trial({}, 0.0, run_id="a1"))
        file = data.draw(st.sampled_from([*files(store, "*.parquet"), *files(store, "*.jsonl")]))
        content = bytearray(file.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        file.write_bytes(content)
        found = read_with_one_warning(HistoryStore(directory), file.name)
        assert found in (SEGMENT_RUNS, {"a1"}, SEGMENT_RUNS | {"a1"})


def test_a_checksum_is_compared_to_the_letter(broken: HistoryStore) -> None:
    journal = files(broken, "*.jsonl")[0]
    content = journal.read_bytes()
    checksums = [line.partition(b" ")[0] for line in content.splitlines()]
    checksum = next(c for c in checksums if c != c.upper())
    journal.write_bytes(content.replace(checksum, checksum.upper()))
    read_with_one_warning(broken, journal.name, "its checksum does not fit")


def segment_with(store: HistoryStore, metadata: bytes | None) -> Path:
    table = pa.table({"loss": [0.5]}).replace_schema_metadata(
        None if metadata is None else {b"warmstart": metadata}
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    data = sink.getvalue().to_pybytes()
    path = store.path / f"segment-{1:016x}-{2:08x}-{zlib.crc32(data):08x}.parquet"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("metadata", "mention"),
    [
        (b'{"format": "warmstart-history-segment", "version": 99}', "upgrade"),
        (b'{"format": "something else", "version": 1}', "something else"),
        (b'{"format": "warmstart-history-segment", "version": 1}', "histories"),
        (b"[]", "skipped"),
        (b"no json", "skipped"),
        (None, "skipped"),
    ],
)
def test_a_foreign_or_newer_segment_is_skipped_and_kept(
    broken: HistoryStore, metadata: bytes | None, mention: str
) -> None:
    path = segment_with(broken, metadata)
    expected = SEGMENT_RUNS | {"a1", "a2", "b1"}
    assert read_with_one_warning(broken, path.name, mention) == expected
    broken.compact()
    assert path.exists()
    assert broken.run_ids() == expected


def test_foreign_files_are_left_alone(broken: HistoryStore) -> None:
    (broken.path / "notes.csv").write_bytes(b"\xff\x00")
    (broken.path / "README.md").write_text("What this is")
    (broken.path / ".hidden").write_text("")
    (broken.path / "folder").mkdir()
    expected = SEGMENT_RUNS | {"a1", "a2", "b1"}
    assert read_with_one_warning(broken, "notes.csv: ignored") == expected
    broken.compact()
    assert (broken.path / "notes.csv").read_bytes() == b"\xff\x00"


def test_a_journal_full_of_something_else_is_skipped_whole(broken: HistoryStore) -> None:
    journal = files(broken, "*.jsonl")[0]
    journal.write_text("one\ntwo\nthree\n")
    assert read_with_one_warning(broken, "no line of a journal") == SEGMENT_RUNS | {"b1"}


def test_many_problems_are_one_warning(broken: HistoryStore) -> None:
    for i in range(12):
        (broken.path / f"stray{i:02}").write_text("")
    read_with_one_warning(broken, "stray00", "and 7 more", "store.verify()")
    assert len(broken.verify().problems) == 12


def test_a_damaged_marker_is_a_warning(broken: HistoryStore) -> None:
    (broken.path / "store.json").write_text("{")
    with pytest.warns(WarmStartWarning, match="store.json"):
        store = HistoryStore(broken.path)
    assert len(store) == N_MANY + 3
    assert not store.verify().ok


def test_a_lost_marker_is_made_again(broken: HistoryStore) -> None:
    marker = (broken.path / "store.json").read_bytes()
    (broken.path / "store.json").unlink()
    assert len(HistoryStore(broken.path, create=False)) == N_MANY + 3
    assert len(HistoryStore(broken.path)) == N_MANY + 3
    assert (broken.path / "store.json").read_bytes() == marker


def test_places_that_are_no_store_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HistoryError, match="expected a directory"):
        HistoryStore(tmp_path / "file")
    with pytest.raises(HistoryError, match="expected a history store, an empty directory"):
        HistoryStore(tmp_path)
    with pytest.raises(HistoryError, match="not there"):
        HistoryStore(tmp_path / "nowhere", create=False)
    with pytest.raises(HistoryError, match="can't be opened"):
        HistoryStore(tmp_path / "file" / "below")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ({"format": "warmstart-history-store", "version": 99}, "upgrade"),
        ({"format": "shop", "version": 1}, "'shop'"),
    ],
)
def test_foreign_and_newer_stores_are_refused(tmp_path: Path, marker: Any, message: str) -> None:
    (tmp_path / "store.json").write_text(json.dumps(marker))
    with pytest.raises(HistoryError, match=message):
        HistoryStore(tmp_path)


def test_a_store_that_was_removed_is_a_clear_error(store: HistoryStore) -> None:
    shutil.rmtree(store.path)
    with pytest.raises(HistoryError, match="can't be read"):
        store.histories()
    with pytest.raises(HistoryError, match="can't be written"):
        store.append(INFO, Trial({}, 0.0))
    with pytest.raises(HistoryError, match="can't be written"):
        store.extend(INFO, many())
    with pytest.raises(HistoryError, match="can't be compacted"):
        store.compact()


def test_an_empty_store_is_true(store: HistoryStore) -> None:
    assert store
    assert len(store) == 0
