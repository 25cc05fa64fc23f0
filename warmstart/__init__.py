"""Optuna studies that start with what others have learned.

Everything below loads when it is first used; ``import warmstart`` alone loads nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from warmstart import openml
    from warmstart.descriptor import TaskDescriptor, describe
    from warmstart.errors import WarmStartError, WarmStartWarning
    from warmstart.explanation import explain
    from warmstart.history import History, TaskInfo
    from warmstart.lookalike import look_alike
    from warmstart.pruner import WarmStartPruner
    from warmstart.recording import Recorder, record
    from warmstart.sampler import WarmStartSampler
    from warmstart.store import HistoryStore
    from warmstart.study_history import histories_of_storage, history_of_study
    from warmstart.suggestion import list_estimators, suggest
    from warmstart.trial import Trial

__version__ = "0.1.0"

__all__ = [
    "History",
    "HistoryStore",
    "Recorder",
    "TaskDescriptor",
    "TaskInfo",
    "Trial",
    "WarmStartError",
    "WarmStartPruner",
    "WarmStartSampler",
    "WarmStartWarning",
    "describe",
    "explain",
    "histories_of_storage",
    "history_of_study",
    "list_estimators",
    "look_alike",
    "openml",
    "record",
    "suggest",
]

_MODULES = {
    "History": "history",
    "HistoryStore": "store",
    "Recorder": "recording",
    "TaskDescriptor": "descriptor",
    "TaskInfo": "history",
    "Trial": "trial",
    "WarmStartError": "errors",
    "WarmStartPruner": "pruner",
    "WarmStartSampler": "sampler",
    "WarmStartWarning": "errors",
    "describe": "descriptor",
    "explain": "explanation",
    "histories_of_storage": "study_history",
    "history_of_study": "study_history",
    "list_estimators": "suggestion",
    "look_alike": "lookalike",
    "record": "recording",
    "suggest": "suggestion",
}


def __getattr__(name: str) -> Any:
    if name == "openml":
        return importlib.import_module("warmstart.openml")
    if name in _MODULES:
        value = getattr(importlib.import_module(f"warmstart.{_MODULES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'warmstart' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
