"""Saying how far a benchmark is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

_SECONDS_BETWEEN_LINES: Final = 15.0


class Progress:
    """Told of every step; a context manager.

    Args:
        console: Where to say it; standard error by default.
        quiet: Whether to say nothing.
    """

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self._console = console or Console(stderr=True)
        self._quiet = quiet
        self._bars: Bars | None = None
        self._bar_of: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}
        self._last_line = -_SECONDS_BETWEEN_LINES
        self.errors: list[str] = []

    def __enter__(self) -> Progress:
        if self._console.is_terminal and not self._quiet:
            self._bars = Bars(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left:"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[where]}"),
                console=self._console,
            )
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def advance(self, what: str, done: int, total: int, where: str, error: str = "") -> None:
        """Say that ``done`` of ``total`` are done, the last of them at ``where``."""
        if error:
            self.errors.append(f"{where}: {error}")
        if self._quiet:
            return
        if error:
            self._console.print(f"failed: {where}: {error}", markup=False, highlight=False)
        if self._bars is not None:
            if what not in self._bar_of:
                self._bar_of[what] = self._bars.add_task(what, total=total, where="")
            self._bars.update(self._bar_of[what], completed=done, where=where)
            return
        now = time.monotonic()
        started = self._started.setdefault(what, now)
        if done == total or now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = ""
            if done > 1:  # the clock starts at the first
                seconds = (now - started) / (done - 1) * (total - done)
                left = f", about {_duration(seconds)} left"
            self._console.print(
                f"{what}: {done} of {total}{left} ({where})",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
