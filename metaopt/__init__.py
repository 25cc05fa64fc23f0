"""Produces and judges what `warmstart` has learned: training, benchmarks, command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaopt.training import TrainingReport, meta_train

__all__ = ["TrainingReport", "meta_train"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for, so that the package itself stays light."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from metaopt import training

    return getattr(training, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
