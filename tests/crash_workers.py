"""Processes that the crash tests kill: ``python crash_workers.py ROLE STORE ...``.

Every trial follows from its run id, so that whoever reads it can tell whether it is intact.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from warmstart.history import TaskInfo, Trial
from warmstart.store import HistoryStore

INFOS = [TaskInfo(f"e{i % 2}", f"t{i}", "accuracy", "own", descriptor={"i": i}) for i in range(4)]
N_BATCH = {"extend": 30, "segment": 220}


def trial_of(run_id: str) -> Trial:
    number = int(run_id.rsplit("-", 1)[1])
    return Trial(
        {"x": number / 7, "n": number, "kernel": f"k{number % 3}", "none": None, "long": "é" * 99},
        loss=number / 3,
        run_id=run_id,
        seconds=float(number),
    )


def info_of(run_id: str) -> TaskInfo:
    return INFOS[int(run_id.rsplit("-", 1)[1]) // 1000 % len(INFOS)]


def write_forever(path: str, name: str, fsync: str) -> None:
    """Add single trials and batches, and acknowledge each when it is in the store."""
    store = HistoryStore(path, fsync=fsync == "fsync")
    for block in range(1_000_000):
        first = 1000 * block
        for number in range(first, first + 20):
            store.append(info_of(f"{name}-{number}"), trial_of(f"{name}-{number}"))
            print(f"{name}-{number}", flush=True)
        for size in N_BATCH.values():
            run_ids = [f"{name}-{n}" for n in range(number + 1, number + 1 + size)]
            store.extend(info_of(run_ids[0]), [trial_of(run_id) for run_id in run_ids])
            print(*run_ids, flush=True)
            number += size


def compact_forever(path: str) -> None:
    store = HistoryStore(path, fsync=False)
    while True:
        store.compact()
        print("compacted", flush=True)


def crash_everywhere(template: str, action: str, destination: str) -> None:
    """Run ``action`` on copies of a store, killed at its first system call, its second, …

    Each run is a forked child that kills itself at a call that changes the disk: before the
    call, or for a write also half way. ``destination`` receives one store for each, and the
    number of them is printed.
    """
    for count in range(1_000):
        copy = Path(destination) / str(count)
        shutil.copytree(template, copy)
        child = os.fork()
        if child == 0:
            store = HistoryStore(copy)
            die_at_call(count)
            ACTIONS[action](store)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            print(count + 1)
            return
        assert os.WTERMSIG(status) == signal.SIGKILL


def die_at_call(number: int) -> None:
    remaining = number

    def deadly(call: Callable[..., Any], *, half: bool) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            nonlocal remaining
            if remaining == 0:
                if half:
                    descriptor, data = arguments
                    call(descriptor, data[: len(data) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            remaining -= 1
            return call(*arguments, **options)

        return wrapped

    for name in ("fsync", "replace", "unlink", "ftruncate"):
        setattr(os, name, deadly(getattr(os, name), half=False))
    os.write = deadly(deadly(os.write, half=True), half=False)
    os.open = deadly(os.open, half=False)


ACTIONS: dict[str, Callable[[HistoryStore], None]] = {
    "append": lambda store: store.append(INFOS[0], trial_of("new-0")),
    "extend": lambda store: store.extend(INFOS[0], [trial_of(f"new-{i}") for i in range(30)]),
    "segment": lambda store: store.extend(INFOS[0], [trial_of(f"new-{i}") for i in range(220)]),
    "compact": lambda store: store.compact(),
}

if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    roles: dict[str, Callable[..., None]] = {
        "write": write_forever,
        "compact": compact_forever,
        "crash": crash_everywhere,
    }
    roles[role](*arguments)
