from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import crash_workers
import pytest
from crash_workers import INFOS, N_BATCH, info_of, trial_of
from history_strategies import sorted_names

from warmstart.errors import WarmStartWarning
from warmstart.history import TaskInfo, Trial
from warmstart.store import HistoryStore

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX signals and fork")

ANONYMOUS = TaskInfo("e1", "anonymous", "accuracy", "own")


def worker(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, crash_workers.__file__, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def kill_after(process: subprocess.Popen[str], n_lines: int, lines: list[str]) -> None:
    """Collect what a worker says, and kill it (kill -9) once it has said ``n_lines``."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.endswith("\n"):  # else the kill cut it off
            lines.append(line)
        if len(lines) == n_lines:
            process.kill()
    process.wait()
    process.stdout.close()


def read(store: HistoryStore) -> set[str]:
    """All run ids, after a check that every trial is intact and there once."""
    run_ids: list[str] = []
    for history in store.histories():
        if history.info == ANONYMOUS:  # no run id tells its trials apart, but their losses do
            run_ids += [f"anonymous-{loss}" for loss in history.losses]
            continue
        assert history.info in INFOS
        for trial in history.trials():
            assert info_of(trial.run_id) == history.info
            assert repr(sorted_names(trial)) == repr(sorted_names(trial_of(trial.run_id)))
            run_ids.append(trial.run_id)
    assert len(run_ids) == len(set(run_ids))
    return set(run_ids)


def read_after_kills(store: HistoryStore) -> set[str]:
    with warnings.catch_warnings():
        # A record that was being written is said to be unfinished; nothing else may be wrong.
        warnings.filterwarnings("ignore", "[^;]*unfinished last record", WarmStartWarning)
        problems = store.verify().problems
        assert all("unfinished last record" in problem.what for problem in problems)
        return read(store)


@pytest.mark.parametrize("seed", [1, 2])
def test_writers_and_compactors_killed_at_random_lose_nothing_that_was_acknowledged(
    tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    acknowledged: list[list[str]] = []
    threads = []
    for round_number in range(3):
        for i in range(3):
            name = f"{round_number}{'abc'[i]}"
            process = worker("write", str(tmp_path), name, "fsync" if i == 0 else "no fsync")
            acknowledged.append([])
            n_lines = rng.randint(1, 60)
            threads.append(
                threading.Thread(target=kill_after, args=(process, n_lines, acknowledged[-1]))
            )
        process = worker("compact", str(tmp_path))
        threads.append(threading.Thread(target=kill_after, args=(process, rng.randint(1, 9), [])))
    for thread in threads:
        thread.start()
    store = HistoryStore(tmp_path)
    while any(thread.is_alive() for thread in threads):
        before = {
            run_id for lines in acknowledged for line in list(lines) for run_id in line.split()
        }
        assert read_after_kills(store) >= before
    for thread in threads:
        thread.join()

    final = read_after_kills(store)
    for lines in acknowledged:
        run_ids = [run_id for line in lines for run_id in line.split()]
        assert run_ids
        written = {run_id for run_id in final if run_id.startswith(run_ids[0].split("-")[0] + "-")}
        assert written >= set(run_ids)
        # What was being written when the kill came is there as a whole, or not at all.
        assert len(written) - len(run_ids) in (0, 1, *N_BATCH.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WarmStartWarning)
        store.compact()
    assert store.verify().ok
    assert read(store) == final
    assert {path.suffix for path in tmp_path.iterdir() if path.name[0] != "."} == {
        ".json",
        ".parquet",
    }
    assert not list(tmp_path.glob(".tmp-*"))


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A store with all there can be: segments, journals, and leftovers of a killed compaction."""
    path = tmp_path / "template"
    with HistoryStore(path) as store:
        for number in range(0, 4000, 1000):
            store.extend(info_of(f"a-{number}"), [trial_of(f"a-{number + i}") for i in range(210)])
            store.append(info_of(f"b-{number}"), trial_of(f"b-{number}"))
            store.append(ANONYMOUS, Trial({}, number + 0.5))
            store.extend(ANONYMOUS, [Trial({}, float(number + i)) for i in range(210)])
        store.close()
        leftovers = [path for path in store.path.iterdir() if path.name != "store.json"][1::2]
        for leftover in leftovers:
            shutil.copy(leftover, tmp_path)
        store.compact()
        for leftover in leftovers:
            shutil.copy(tmp_path / leftover.name, path)
        store.append(INFOS[1], trial_of("b-1001"))
        store.append(ANONYMOUS, Trial({}, -1.0))
    return path


@pytest.mark.parametrize(
    ("action", "n_new"), [("append", 1), ("extend", 30), ("segment", 220), ("compact", 0)]
)
def test_a_kill_at_any_call_to_the_system_is_harmless(
    tmp_path: Path, template: Path, action: str, n_new: int
) -> None:
    before = read(HistoryStore(template))
    new = {f"new-{i}" for i in range(n_new)}
    (tmp_path / "out").mkdir()
    process = worker("crash", str(template), action, str(tmp_path / "out"))
    output, _ = process.communicate()
    assert process.returncode == 0
    n_stores = int(output)
    assert n_stores > 5
    outcomes = []
    for i in range(n_stores):
        store = HistoryStore(tmp_path / "out" / str(i))
        found = read_after_kills(store)
        assert found in (before, before | new)
        outcomes.append(found != before)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WarmStartWarning)
            store.compact()
        assert store.verify().ok
        assert read(store) == found
        names = sorted(path.name for path in store.path.iterdir())
        assert [name.split("-")[0] for name in names] == [
            ".compaction.lock",
            "segment",
            "segment",
            "store.json",
        ]
    assert n_new == 0 or outcomes[-1]
    assert outcomes == sorted(outcomes)  # once there, it is there
