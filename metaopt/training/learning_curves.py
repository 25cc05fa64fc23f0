"""From LCBench's learning curves to the artifact of ``WarmStartPruner``, in minutes.

The same data and seed make the same file.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from metaopt.benchmarks.learning_curves import MEASURES, CurveTask
from metaopt.training.curves import PRICE, Moments, draw_moments, learn_curve_model
from warmstart.artifact import write_artifact
from warmstart.curve_model import CurveModel, pack_curve_model
from warmstart.threads import one_thread

N_CONFIGURATIONS: Final = 500
N_MOMENTS: Final = 15


def moments_of(
    task: CurveTask,
    *,
    n_configurations: int = N_CONFIGURATIONS,
    n_moments: int = N_MOMENTS,
    seed: int = 0,
) -> Moments:
    """Moments of a task, of all measures together; the draws are the task's own.

    Args:
        task: Whose curves to learn from.
        n_configurations: Random ones.
        n_moments: Of each measure.
        seed: Of all draws.
    """
    rng = np.random.default_rng([seed, zlib.crc32(task.task.encode())])
    curves = task.curves(task.space.sample(n_configurations, rng))
    return Moments.joined(
        [draw_moments(losses, n_moments=n_moments, rng=rng) for losses in curves]
    )


def train_curves(
    moments: Iterable[Moments], *, tasks: Iterable[str], out: str | os.PathLike[str], seed: int = 0
) -> CurveModel:
    """Learn from moments, and write the artifact."""
    with one_thread():
        model = learn_curve_model(Moments.joined(list(moments)), seed=seed)
    card: dict[str, Any] = {
        "tasks": sorted(tasks),
        "data": "YAHPO Gym's surrogate of LCBench (Apache-2.0): funnel MLPs, 52 epochs, SGD "
        "with cosine annealing",
        "measures": list(MEASURES),
        "price": PRICE,
        "n_configurations": N_CONFIGURATIONS,
        "n_moments": N_MOMENTS,
        "seed": seed,
        "limits": "Learned from smooth curves of small networks; what is unlike them is left "
        "to the median rule.",
    }
    tensors, description = pack_curve_model(model, card)
    write_artifact(out, tensors, description)
    return model
