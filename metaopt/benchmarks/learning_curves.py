"""LCBench's learning curves: the epochs of its surrogate, one task after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from metaopt.benchmarks.surrogates import SCENARIOS, Surrogate, surrogate_instances
from warmstart.space import Configuration, SearchSpace

SOURCE: Final = "lcbench"
N_EPOCHS: Final = 52
#: Outputs of the surrogate, and the sign that makes a loss of them.
MEASURES: Final = {
    "val_accuracy": -1.0,
    "val_cross_entropy": 1.0,
    "val_balanced_accuracy": -1.0,
}


@dataclass(frozen=True)
class CurveTask:
    """One task with the learning curve of every configuration.

    Attributes:
        task: Its id.
        family: Tasks of one family stay on one side of every split.
        number: The instance of the surrogate.
        surrogate: What all tasks share.
    """

    task: str
    family: str
    number: str
    surrogate: Surrogate

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return self.surrogate.space

    def losses(self, configurations: Sequence[Configuration], epoch: int) -> np.ndarray:
        """The losses of all measures after an epoch, ``(n, n_measures)``."""
        outputs = self.surrogate.outputs(self.number, configurations, {"epoch": epoch})
        columns = [self.surrogate.description["outputs"].index(name) for name in MEASURES]
        return np.asarray(outputs[:, columns] * np.array(list(MEASURES.values())), dtype=float)

    def curves(self, configurations: Sequence[Configuration]) -> np.ndarray:
        """Losses ``(n_measures, n, N_EPOCHS)``."""
        epochs = range(1, N_EPOCHS + 1)
        return np.stack([self.losses(configurations, epoch) for epoch in epochs]).transpose(
            2, 1, 0
        )


def curve_tasks(data: Path) -> Iterator[CurveTask]:
    """All tasks of LCBench's surrogate."""
    surrogate = Surrogate(data, SCENARIOS[SOURCE])
    for instance in surrogate_instances(data, SOURCE, surrogate.description["instances"]):
        yield CurveTask(instance.task, instance.family, instance.number, surrogate)
