"""What a search says while it runs."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from tqdm.auto import tqdm  # type: ignore[import-untyped]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from printing a line for each trial of this thread."""
    here = threading.get_ident()

    def is_heard(record: logging.LogRecord) -> bool:
        return record.thread != here or record.levelno >= logging.ERROR

    handlers = list(logging.getLogger("optuna").handlers)
    for handler in handlers:
        handler.addFilter(is_heard)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(is_heard)


class ProgressBar:
    """Counts trials and shows the best score; a callback of Optuna, closed by ``with``."""

    def __init__(self, n_trials: int | None) -> None:
        self._bar = tqdm(total=n_trials, unit="trial")
        self._best = -float("inf")

    def __call__(self, study: Study, trial: FrozenTrial) -> None:
        """Count one trial."""
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            self._best = max(self._best, trial.value)
            self._bar.set_postfix(best=f"{self._best:.4g}", refresh=False)
        self._bar.update()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
