"""Learned optimizers for neural models, and how they are meta-trained."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from metaopt.optim.optimizer import LSTMOptimizer
    from metaopt.optim.schedule import LearnedSchedule

# Where each public name lives: a module is loaded when one of its names is first asked for.
_HOMES: Final[dict[str, str]] = {
    "LSTMOptimizer": "optimizer",
    "LearnedSchedule": "schedule",
}

__all__ = ["LSTMOptimizer", "LearnedSchedule"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
