"""One thread for linear algebra: on matrices of a hundred rows, more only wait for each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import RLock
from typing import Any

# The number of threads belongs to the process: who restores it must be who changed it.
_lock = RLock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep the libraries that numpy and scipy call to one thread, and restore them after."""
    with _lock, _controller().limit(limits=1):
        yield


@cache
def _controller() -> Any:
    import scipy.linalg  # noqa: F401 - a library that is loaded later would not be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
