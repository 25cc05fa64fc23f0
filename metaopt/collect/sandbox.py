"""A process of its own for fits, which can be stopped when one takes too long or too much memory.

Libraries that compute outside of Python can't be interrupted from inside, so each process that
collects has a second one beside it. That one ends itself when a fit exceeds its time, also when
its parent is gone, and is begun anew for the next configuration.
"""

from __future__ import annotations

import faulthandler
import math
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, TextIO

from metaopt.collect.data_set import DataSet
from metaopt.collect.evaluation import Outcome, build, evaluate
from metaopt.collect.preparation import Fold, preparation_of, prepared_folds
from warmstart.catalogue import resolve_estimator
from warmstart.space import Value

_ONE_THREAD: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
)
# What uses no processor time is ended by the clock, which runs on while others use the processor.
_SLOWEST: Final = 20.0
_OUT_OF_TIME: Final = -int(getattr(signal, "SIGXCPU", 0))
_WORKER: Final = "from metaopt.collect.sandbox import serve; serve()"


@dataclass(frozen=True)
class Limits:
    """What a fit may take.

    Attributes:
        fit_seconds: Of one fit and its predictions; what takes longer is killed. Of processor
            time where the platform can tell it, else by the clock.
        configuration_seconds: Of all folds; what would take longer is stopped after a fold.
        memory_megabytes: Of address space; None for no limit. Where the platform has limits.
    """

    fit_seconds: float = 10.0
    configuration_seconds: float = math.inf
    memory_megabytes: int | None = None


@dataclass(frozen=True)
class Split:
    """How a data set is split into folds."""

    n_folds: int = 3
    seed: int = 0


class Sandbox:
    """Evaluates configurations in a child process; not to be shared by threads.

    Args:
        limits: Of each fit.
        split: Into folds, for all data sets.
    """

    def __init__(self, limits: Limits, split: Split) -> None:
        self.limits = limits
        self.split = split
        self.pid = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        self._loaded: DataSet | None = None

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """End the child process."""
        process, self._process, self._loaded = self._process, None, None
        if process is not None and self.pid == os.getpid():
            process.kill()
            process.communicate()

    def evaluate(
        self, data: DataSet, estimator: str, configuration: Mapping[str, Value]
    ) -> Outcome:
        """What comes of a configuration within the limits."""
        started = time.perf_counter()
        try:
            if self._process is None or self._loaded is not data:
                self._send(("load", data))
                self._loaded = data
            self._send(("evaluate", estimator, dict(configuration)))
            assert self._process is not None
            assert self._process.stdout is not None
            outcome: Outcome = pickle.load(self._process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            spent = time.perf_counter() - started
            return Outcome("failed", math.nan, seconds=spent, reason=self._why_it_ended(spent))
        return outcome

    def _send(self, message: tuple[Any, ...]) -> None:
        if self._process is None:
            self._process = self._begin()
        assert self._process.stdin is not None
        pickle.dump(message, self._process.stdin)
        self._process.stdin.flush()

    def _begin(self) -> subprocess.Popen[bytes]:
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        process = subprocess.Popen(
            [sys.executable, "-c", _WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_ONE_THREAD, "PYTHONPATH": path},
        )
        assert process.stdin is not None
        pickle.dump((self.limits, self.split), process.stdin)
        return process

    def _why_it_ended(self, spent: float) -> str:
        assert self._process is not None
        code = self._process.wait()
        self.close()
        if code in (1, _OUT_OF_TIME) and spent >= self.limits.fit_seconds:
            return f"a fit took longer than {self.limits.fit_seconds:g} s"
        return f"the process that fitted it ended with code {code}"


_own = threading.local()


def own_sandbox(limits: Limits, split: Split) -> Sandbox:
    """This thread's sandbox, begun at its first use and kept for the next."""
    sandbox: Sandbox | None = getattr(_own, "sandbox", None)
    wanted = (limits, split, os.getpid())
    if sandbox is None or (sandbox.limits, sandbox.split, sandbox.pid) != wanted:
        close_own_sandbox()
        sandbox = _own.sandbox = Sandbox(limits, split)
    return sandbox


def close_own_sandbox() -> None:
    """End this thread's sandbox, if it has one."""
    sandbox: Sandbox | None = getattr(_own, "sandbox", None)
    _own.sandbox = None
    if sandbox is not None:
        sandbox.close()


def serve() -> None:
    """Be the child process: answer what comes on standard input until it ends."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # what libraries print must not get among the answers
    try:
        limits, split = pickle.load(requests)
        _limit_memory(limits.memory_megabytes)
        _answer(requests, answers, limits, split)
    except (EOFError, KeyboardInterrupt):
        return


def _answer(requests: BinaryIO, answers: BinaryIO, limits: Limits, split: Split) -> None:
    folds: dict[str, list[Fold]] = {}
    data: DataSet | None = None
    with open(os.devnull, "w") as nowhere:

        def watch() -> None:
            _limit_time(limits.fit_seconds, nowhere)

        while True:
            what, *content = pickle.load(requests)
            if what == "load":
                (data,) = content
                folds = {}
                continue
            assert data is not None
            estimator, configuration = content
            build(estimator, {})  # loads the library before the clock runs
            preparation = preparation_of(resolve_estimator(estimator))
            if preparation not in folds:
                folds[preparation] = prepared_folds(
                    data, preparation, n_folds=split.n_folds, seed=split.seed
                )
            outcome = evaluate(
                estimator,
                configuration,
                folds[preparation],
                kind=data.kind,
                n_classes=data.n_classes,
                seconds=limits.configuration_seconds,
                before_fit=watch,
            )
            faulthandler.cancel_dump_traceback_later()
            pickle.dump(outcome, answers)
            answers.flush()


def _limit_time(seconds: float, nowhere: TextIO) -> None:
    """Have this process ended when it has used as many seconds more."""
    try:
        import resource
    except ImportError:  # not on Windows
        clock_seconds = seconds
    else:
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        wanted = math.ceil(time.process_time() + seconds)
        soft = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_CPU, (soft, most))
        clock_seconds = _SLOWEST * seconds
    # A thread of the interpreter ends it: that needs neither Python nor the library to go on.
    faulthandler.dump_traceback_later(clock_seconds, exit=True, file=nowhere)


def _limit_memory(megabytes: int | None) -> None:
    if megabytes is None:
        return
    try:
        import resource
    except ImportError:  # not on Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
