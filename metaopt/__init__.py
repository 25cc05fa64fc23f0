"""Produces and judges what `warmstart` has learned: training, benchmarks, command line."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaopt.embedding import TaskEmbedding, embed
    from metaopt.evaluation import Evaluation, EvaluationOptions, evaluate
    from metaopt.schedule import SuggestedSchedule, suggest_schedule
    from metaopt.training import TrainingReport, meta_train

__all__ = [
    "Evaluation",
    "EvaluationOptions",
    "SuggestedSchedule",
    "TaskEmbedding",
    "TrainingReport",
    "embed",
    "evaluate",
    "meta_train",
    "suggest_schedule",
]

_MODULES = {
    "Evaluation": "evaluation",
    "EvaluationOptions": "evaluation",
    "SuggestedSchedule": "schedule",
    "TaskEmbedding": "embedding",
    "TrainingReport": "training",
    "embed": "embedding",
    "evaluate": "evaluation",
    "meta_train": "training",
    "suggest_schedule": "schedule",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for, so that the package itself stays light."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"metaopt.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
