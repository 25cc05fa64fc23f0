"""Results of a benchmark on real fits: a JSON file for each study, there once it is complete."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from warmstart.durable import write_atomically

_DIGITS: Final = 9


@dataclass(frozen=True)
class LiveResult:
    """What came of one study.

    Attributes:
        key: A digest of all that the losses depend on, the number of trials aside: the losses
            of a shorter study are the first ones of a longer one.
        estimator: Canonical name.
        method: Its name.
        data: Name of the data set.
        family: Of the data set.
        fold: Of families, in which it was tested.
        seed: Of the test split and the study.
        losses: Of the cross-validation of each trial; None where it failed.
        errors: Standard errors of these over the folds; None where unknown.
        tests: Loss on the test split of the best trial up to each one, in units of the target's
            spread there for a regression; None before the first that finished.
        seconds: Processor time up to the end of each trial, the method's own included.
        proposed: Share of trials that the meta-learner proposed; None where it is not said.
        trained: Digest of the artifact; empty without one.
        error: Why there are no losses; empty if there are.
    """

    key: str
    estimator: str
    method: str
    data: str
    family: str
    fold: int
    seed: int
    losses: Sequence[float | None] = ()
    errors: Sequence[float | None] = ()
    tests: Sequence[float | None] = ()
    seconds: Sequence[float] = ()
    proposed: float | None = None
    trained: str = ""
    error: str = ""


class LiveResults:
    """The results in a directory.

    Args:
        directory: Made if it is not there.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory

    def path(self, result: LiveResult) -> Path:
        """Where a result is, or will be."""
        short = result.estimator.rpartition(".")[2]
        words = f"{result.data}-{short}-{result.method}-{result.seed}"
        plain_words = re.sub(r"[^\w.-]", "_", words)
        return self._directory / f"{plain_words}-{result.key}.json"

    def add(self, result: LiveResult) -> None:
        """Keep a result; a shorter one of the same study is replaced."""
        text = json.dumps(asdict(result), allow_nan=False)
        write_atomically(self.path(result), text.encode(), fsync=False)

    def find(self, result: LiveResult, *, n_trials: int) -> LiveResult | None:
        """The result of the same study, if it has finished and is long enough."""
        path = self.path(result)
        if not path.exists():
            return None
        known = LiveResult(**json.loads(path.read_text(encoding="utf-8")))
        return known if len(known.losses) >= n_trials else None


def plain(values: Sequence[float]) -> list[float | None]:
    """Numbers as JSON knows them."""
    return [float(f"{v:.{_DIGITS}g}") if math.isfinite(v) else None for v in values]
