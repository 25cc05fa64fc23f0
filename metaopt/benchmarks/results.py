"""Results of a benchmark: a JSON line for each finished study, in a file only added to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

FILE: Final = "results.jsonl"


@dataclass(frozen=True)
class Result:
    """What came of one study.

    Attributes:
        key: A digest of all that the losses depend on, the number of trials aside: the losses
            of a shorter study are the first ones of a longer one.
        source: Name of the source.
        variant: A key of ``corruption.VARIANTS``.
        method: Name of the method.
        task: Name of the task.
        family: The task's family.
        fold: In which the task was tested.
        seed: Of the study.
        losses: Of each trial in order; None where it failed.
        best: Loss at regret 0.
        worst: Loss at regret 1.
        milliseconds: Median time for one suggestion.
        proposed: Share of trials that the meta-learner proposed; None where it is not said.
        trained: Digest of what the method had learned; empty without transfer.
        error: Why there are no losses; empty if there are.
    """

    key: str
    source: str
    variant: str
    method: str
    task: str
    family: str
    fold: int
    seed: int
    losses: Sequence[float | None] = ()
    best: float = 0.0
    worst: float = 1.0
    milliseconds: float = 0.0
    proposed: float | None = None
    trained: str = ""
    error: str = ""


_NAMES: Final = {field.name for field in fields(Result)}


class ResultFile:
    """The results in a directory. Many processes may add at once, and be killed at any moment.

    Args:
        directory: Made if it is not there.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / FILE

    def add(self, result: Result) -> None:
        """Append one line, in one write."""
        line = json.dumps(asdict(result), separators=(",", ":")) + "\n"
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            size = os.lseek(descriptor, 0, os.SEEK_END)
            # A line that a kill cut short must not swallow this one.
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            os.write(descriptor, (b"\n" if torn else b"") + line.encode())
        finally:
            os.close(descriptor)

    def read(self) -> dict[str, Result]:
        """The results by key: of several the longest one, errors only where there is no other."""
        found: dict[str, Result] = {}
        for result in self._lines():
            known = found.get(result.key)
            if known is None or known.error or len(result.losses) > len(known.losses):
                found[result.key] = result
        return found

    def _lines(self) -> Iterator[Result]:
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    data = json.loads(line)
                    yield Result(**{k: v for k, v in data.items() if k in _NAMES})
                except (ValueError, TypeError, AttributeError):
                    continue  # cut short by a kill: that study is run again
