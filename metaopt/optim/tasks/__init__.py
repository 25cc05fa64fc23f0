"""Tasks to train optimizers on: small models and their data, batched over tasks."""

from metaopt.optim.tasks.architecture import Architecture
from metaopt.optim.tasks.batch import TaskBatch, make_batch
from metaopt.optim.tasks.distribution import TaskSpec, sample_spec
from metaopt.optim.tasks.models import build_model

__all__ = [
    "Architecture",
    "TaskBatch",
    "TaskSpec",
    "build_model",
    "make_batch",
    "sample_spec",
]
