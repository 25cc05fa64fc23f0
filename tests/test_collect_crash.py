"""A collection that is killed goes on where it was."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from collect_worker import ESTIMATORS, collect_all

from warmstart.store import HistoryStore

WORKER = Path(__file__).with_name("collect_worker.py")
N_RUNS = 2 * sum(ESTIMATORS.values())


def lines_in(store: Path) -> int:
    return sum(path.read_bytes().count(b'"trials"') for path in store.glob("*.jsonl"))


def test_after_a_kill_nothing_is_lost_or_run_twice(tmp_path):
    path = tmp_path / "store"
    worker = subprocess.Popen([sys.executable, str(WORKER), str(path)], start_new_session=True)
    while lines_in(path) < 3:
        assert worker.poll() is None
        time.sleep(0.02)  # until some chunks are stored, whatever they take here
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()

    store = HistoryStore(path, create=False)
    kept = store.run_ids()
    assert 30 <= len(kept) < N_RUNS
    times = {t.run_id: t.time for h in store.histories() for t in h.trials()}

    report = collect_all(str(path))
    assert report.n_known == len(kept)
    assert report.n_stored == N_RUNS - len(kept)
    trials = [t for h in store.histories() for t in h.trials()]
    assert len(trials) == len({t.run_id for t in trials}) == N_RUNS
    assert {t.run_id: t.time for t in trials if t.run_id in kept} == times
    in_files = sum(path.read_bytes().count(b'"run_id"') for path in path.glob("*.jsonl"))
    assert in_files == N_RUNS
