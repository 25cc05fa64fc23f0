"""How far a training is: a bar on a terminal, plain lines elsewhere, or a callback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

#: Called with what is being done, how many tasks of it are done, and of how many.
Report: TypeAlias = Callable[[str, int, int], None]


@contextmanager
def progress_shown(progress: bool | Report | None) -> Iterator[Report]:
    """Turn the argument ``progress`` of a training into a callback.

    Args:
        progress: A callback, used as it is; True: show a bar or lines on standard error; None or
            False: nothing.
    """
    if callable(progress):
        yield progress
    elif not progress:
        yield lambda what, done, total: None
    else:
        from metaopt.benchmarks.progress import Progress

        with Progress() as shown:
            yield lambda what, done, total: shown.advance(what, done, total, "tasks")
