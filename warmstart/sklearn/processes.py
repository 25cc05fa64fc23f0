"""Worker processes: warm ones, with one thread each."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import joblib
from joblib.parallel import LokyBackend, get_active_backend
from sklearn.utils.parallel import Parallel, delayed

# So much of the workers' time may be idle before trials are proposed several at a time.
_LEAST_USE: Final = 0.9
# Parameters that say how many threads an estimator starts.
_THREADS: Final = ("n_jobs", "nthread", "thread_count")

Task = tuple[Callable[..., Any], tuple[Any, ...]]


class Workers:
    """Runs tasks side by side.

    Args:
        n_jobs: As scikit-learn's: ``None`` for what ``joblib.parallel_config`` says, else 1.

    Attributes:
        n_workers: How many tasks run at a time.
    """

    def __init__(self, n_jobs: int | None) -> None:
        self._n_jobs = n_jobs
        self._parallel: Parallel | None = None
        self.n_workers = int(joblib.effective_n_jobs(n_jobs))

    @contextlib.contextmanager
    def open(self) -> Iterator[Workers]:
        """Keep the workers warm until the end of the block."""
        if self.n_workers == 1:
            yield self
            return
        with _one_thread_each(), Parallel(n_jobs=self._n_jobs) as self._parallel:
            try:
                yield self
            finally:
                self._parallel = None

    def run(self, tasks: Sequence[Task]) -> list[Any]:
        """The results of all tasks, in their order."""
        if self._parallel is None:
            return [function(*arguments) for function, arguments in tasks]
        return list(self._parallel(delayed(function)(*arguments) for function, arguments in tasks))


def trials_at_a_time(n_workers: int, n_folds: int) -> int:
    """How many trials to propose at a time, so that few workers wait.

    The folds of one trial are enough where they keep the workers busy: 4 folds 2 or 4 workers,
    5 folds 5. Else it is the smallest number of trials whose folds do: 2 of 5 folds for 2.
    """
    for n_trials in range(1, n_workers + 1):
        n_fits = n_trials * n_folds
        if n_fits / (math.ceil(n_fits / n_workers) * n_workers) >= _LEAST_USE:
            return n_trials
    return n_workers


def with_one_thread(estimator: Any) -> Any:
    """The estimator, and all in it, with one thread where it would take as many as there are."""
    settings = estimator.get_params(deep=True)
    one = {
        name: 1
        for name, value in settings.items()
        if name.rpartition("__")[2] in _THREADS
        and (value is None or (isinstance(value, int) and value < 1))
    }
    return estimator.set_params(**one) if one else estimator


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """One thread for each worker process, unless the user chose another backend or number."""
    backend, _ = get_active_backend()
    if isinstance(backend, LokyBackend) and backend.inner_max_num_threads is None:
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
            yield
    else:
        yield
