"""Saying how far the demonstration is: bars on a terminal, a line for each study elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)


class DemoProgress:
    """Told of every trial; a context manager.

    Args:
        samplers: Their names; each has a bar.
        n_seeds: Studies of each.
        n_trials: Of each study.
        console: Where to say it; standard error by default.
    """

    def __init__(
        self,
        samplers: Sequence[str],
        n_seeds: int,
        n_trials: int,
        *,
        console: Console | None = None,
    ) -> None:
        self._console = console or Console(stderr=True)
        self._n_seeds = n_seeds
        self._n_done = dict.fromkeys(samplers, 0)
        self._best = dict.fromkeys(samplers, float("nan"))
        self._bars: Progress | None = None
        self._bar_of: dict[str, TaskID] = {}
        if self._console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("trials, lowest loss {task.fields[best]}"),
                TimeElapsedColumn(),
                console=self._console,
            )
            self._bar_of = {
                name: self._bars.add_task(name, total=n_seeds * n_trials, start=False, best="-")
                for name in samplers
            }

    def __enter__(self) -> DemoProgress:
        if self._bars is not None:
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

    @contextmanager
    def study(self, sampler: str) -> Iterator[None]:
        """Around one study of a sampler."""
        if self._bars is not None:
            self._bars.start_task(self._bar_of[sampler])
        yield
        self._n_done[sampler] += 1
        if self._bars is None:
            self._console.print(
                f"{sampler}, study {self._n_done[sampler]} of {self._n_seeds}: "
                f"lowest loss {self._best[sampler]:.4f}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )

    def trial(self, sampler: str, best: float) -> None:
        """Say that a trial is done, after which the lowest loss of the study is ``best``."""
        self._best[sampler] = best
        if self._bars is not None:
            self._bars.update(self._bar_of[sampler], advance=1, best=f"{best:.4f}")
