"""How far a fetch has come: a bar on a terminal, plain lines elsewhere, or a callback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO, TypeAlias

LINES_PER_FLOW = 10


@dataclass(frozen=True)
class FetchProgress:
    """Where a fetch stands.

    Attributes:
        flow: Id of the flow being read.
        estimator: Which estimator the flow tunes.
        n_done: Runs of the flow that are in the store, those of earlier calls included.
        n_total: All its runs that were asked for; None while they are being listed.
        n_requests: Requests sent so far, for all flows.
        n_retries: How many of these repeated a failed one.
    """

    flow: int
    estimator: str
    n_done: int
    n_total: int | None
    n_requests: int
    n_retries: int


Report: TypeAlias = Callable[[FetchProgress], None]


@contextmanager
def progress_shown(progress: bool | Report, stream: TextIO | None = None) -> Iterator[Report]:
    """Turn the argument ``progress`` of ``fetch_histories`` into a callback.

    Args:
        progress: A callback, used as it is; True: show a bar or lines; False: nothing.
        stream: Where to show; None: standard error.
    """
    stream = sys.stderr if stream is None else stream
    if callable(progress):
        yield progress
    elif not progress:
        yield lambda _: None
    elif stream.isatty():
        with _bar(stream) as report:
            yield report
    else:
        yield _lines(stream)


def _title(now: FetchProgress) -> str:
    return f"OpenML flow {now.flow} ({now.estimator})"


def _lines(stream: TextIO) -> Report:
    """A callback that writes a line when a flow is listed, and at each tenth of its runs."""
    shown: set[tuple[int, int | None]] = set()

    def report(now: FetchProgress) -> None:
        # The step of the share done, rounded down, so that the last line comes when all is done.
        step = None if now.n_total is None else LINES_PER_FLOW * now.n_done // max(now.n_total, 1)
        if (now.flow, step) in shown:
            return
        shown.add((now.flow, step))
        runs = "listing runs" if now.n_total is None else f"{now.n_done}/{now.n_total} runs"
        requests = f"{now.n_requests} requests, {now.n_retries} repeated"
        print(f"{_title(now)}: {runs}; {requests}", file=stream, flush=True)

    return report


@contextmanager
def _bar(stream: TextIO) -> Iterator[Report]:
    """A callback that draws one bar for each flow."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
    )

    bars: dict[int, TaskID] = {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("runs; {task.fields[n_requests]} requests"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(file=stream)) as display:

        def report(now: FetchProgress) -> None:
            if now.flow not in bars:
                bars[now.flow] = display.add_task(_title(now), total=None, n_requests=0)
            display.update(
                bars[now.flow],
                completed=now.n_done,
                total=now.n_total,
                n_requests=now.n_requests,
            )

        yield report
