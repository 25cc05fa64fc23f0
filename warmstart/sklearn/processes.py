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
# Libraries whose estimators start as many as there are, whatever the environment says.
_GREEDY: Final = ("catboost", "lightgbm", "xgboost")

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
    settings = {"": estimator, **estimator.get_params(deep=True)}
    one = {}
    for name, value in settings.items():
        path, _, parameter = name.rpartition("__")
        if parameter in _THREADS and (
            (isinstance(value, int) and value < 1)
            or (value is None and _is_greedy(settings.get(path)))
        ):
            one[name] = 1
    return estimator.set_params(**one) if one else estimator


def _is_greedy(part: object) -> bool:
    """Whether it takes all threads there are where nothing is said."""
    return any(base.__module__.partition(".")[0] in _GREEDY for base in type(part).__mro__)


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """One thread for each worker process, unless the user chose another backend or number."""
    backend, _ = get_active_backend()
    if isinstance(backend, LokyBackend) and backend.inner_max_num_threads is None:
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
            yield
    else:
        yield
