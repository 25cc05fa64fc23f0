"""A training schedule before training: what was good for networks like this one on other data.

What is learned, and what is a convention:

- Learned, from LCBench (funnel MLPs on 25 OpenML tasks): learning rate, weight decay, momentum and
  batch size, given depth and width. Its tasks have no descriptors, so a task's descriptor tells
  nothing apart among them; it counts as soon as an artifact has histories with descriptors.
- Conventions, which all of LCBench's runs share: SGD, and cosine annealing to 0 over all epochs
  without warm-up. Another shape was never tried there, so none can be proposed.
- The width of a model of unknown layers is taken to be that of equal square ones.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from warmstart.artifact import Artifact
from warmstart.descriptor import TaskDescriptor

if TYPE_CHECKING:
    import torch

ESTIMATOR: Final = "lcbench.funnel_mlp"
LEARNED: Final = ("learning_rate", "weight_decay", "momentum", "batch_size")

# What was tried in LCBench.
_UNITS: Final = (64, 1024)
_LAYERS: Final = (1, 5)
_BATCH_SIZES: Final = (16, 512)
_EPOCHS: Final = 50
_DROPOUT: Final = (0.0, 1.0)


@dataclass(frozen=True)
class SuggestedSchedule:
    """How to train a network with SGD.

    Attributes:
        learning_rate: At the start.
        weight_decay: As of ``torch.optim.SGD``.
        momentum: Likewise.
        batch_size: Rows.
        epochs: As asked for.
        shape: Of the learning rate; always ``"cosine"``, to 0 without warm-up.
        learned: Names of the fields that were learned; the others are given or conventions.
    """

    learning_rate: float
    weight_decay: float
    momentum: float
    batch_size: int
    epochs: int
    shape: str
    learned: tuple[str, ...]

    def n_steps(self, n_rows: int) -> int:
        """Steps of the whole training; the last batch of an epoch may be smaller."""
        return self.epochs * math.ceil(n_rows / self.batch_size)

    def build(
        self, parameters: Iterable[Any], *, n_rows: int
    ) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """The torch optimizer, and the scheduler to step after each of its steps.

        Args:
            parameters: As any torch optimizer takes them.
            n_rows: Of the training data.
        """
        import torch

        optimizer = torch.optim.SGD(
            parameters,
            lr=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
        )
        n_steps = self.n_steps(n_rows)
        return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)


def suggest_schedule(
    model: Any = None,
    *,
    task: TaskDescriptor | None = None,
    n_parameters: int | None = None,
    depth: int | None = None,
    dropout: float = 0.0,
    batch_size: int | None = None,
    n_rows: int | None = None,
    epochs: int = _EPOCHS,
    artifact: Artifact | str | os.PathLike[str] | None = None,
    exclude: str | Iterable[str] = (),
    seed: int = 0,
) -> SuggestedSchedule:
    """Learning rate, weight decay, momentum and batch size for a network that is to be trained.

    Args:
        model: A torch module, of which parameters and weight matrices are counted; or give
            ``n_parameters`` and ``depth``. Without all of these, what is good for most.
        task: What is known of the data, from ``warmstart.describe(X, y)``.
        n_parameters: Of the network.
        depth: Hidden layers.
        dropout: Of the network.
        batch_size: If it is fixed already.
        n_rows: Of the training data; no larger batch is proposed.
        epochs: How long to train; what was learned is of 50 epochs.
        artifact: As in ``warmstart.suggest``, also for what follows.
        exclude: See ``artifact``.
        seed: See ``artifact``.

    Raises:
        ValueError: If a number is too small, or ``model`` is given with its numbers.

    Example:
        >>> import metaopt
        >>> metaopt.suggest_schedule(n_parameters=50_000, depth=2, batch_size=64).batch_size
        64
    """
    if model is not None and (n_parameters is not None or depth is not None):
        raise ValueError(
            "model given with n_parameters or depth; expected the model, or its numbers."
        )
    if model is not None:
        n_parameters, depth = _size_of(model)
    for name, value in (
        ("n_parameters", n_parameters),
        ("depth", depth),
        ("batch_size", batch_size),
        ("n_rows", n_rows),
        ("epochs", epochs),
    ):
        if value is not None and value < 1:
            raise ValueError(f"{name}={value} given; expected at least 1.")
    if not _DROPOUT[0] <= dropout <= _DROPOUT[1]:
        raise ValueError(f"dropout={dropout} given; expected a number from 0 to 1.")
    values = _best(
        _space(n_parameters, depth, dropout, batch_size, n_rows),
        task=task,
        artifact=artifact,
        exclude=exclude,
        seed=seed,
    )
    if n_rows is not None:
        values["batch_size"] = min(values["batch_size"], n_rows)
    return SuggestedSchedule(
        learning_rate=values["learning_rate"],
        weight_decay=values["weight_decay"],
        momentum=values["momentum"],
        batch_size=values["batch_size"] if batch_size is None else batch_size,
        epochs=epochs,
        shape="cosine",
        learned=tuple(n for n in LEARNED if n != "batch_size" or batch_size is None),
    )


def _size_of(model: Any) -> tuple[int, int]:
    """The number of parameters, and of hidden layers, of a torch module."""
    parameters = list(model.parameters())
    n_matrices = sum(parameter.ndim >= 2 for parameter in parameters)
    return max(1, sum(parameter.numel() for parameter in parameters)), max(1, n_matrices - 1)


def _space(
    n_parameters: int | None,
    depth: int | None,
    dropout: float,
    batch_size: int | None,
    n_rows: int | None,
) -> dict[str, Any]:
    """Distributions to choose from: what is given has a single value, the nearest one tried."""
    from optuna.distributions import FloatDistribution, IntDistribution

    space: dict[str, Any] = {
        "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
        "weight_decay": FloatDistribution(1e-5, 1e-1),
        "momentum": FloatDistribution(0.1, 0.99),
        "batch_size": IntDistribution(*_BATCH_SIZES, log=True),
        "num_layers": IntDistribution(*_LAYERS),
        "max_units": IntDistribution(*_UNITS, log=True),
        "max_dropout": FloatDistribution(dropout, dropout),
    }
    if batch_size is not None:
        nearest = _nearest(batch_size, _BATCH_SIZES)
        space["batch_size"] = IntDistribution(nearest, nearest)
    elif n_rows is not None:
        largest = _nearest(n_rows, _BATCH_SIZES)
        space["batch_size"] = IntDistribution(_BATCH_SIZES[0], largest, log=True)
    if depth is not None:
        nearest = _nearest(depth, _LAYERS)
        space["num_layers"] = IntDistribution(nearest, nearest)
    if n_parameters is not None:
        width = math.isqrt(n_parameters // (depth or 1))
        nearest = _nearest(width, _UNITS)
        space["max_units"] = IntDistribution(nearest, nearest)
    return space


def _nearest(value: int, bounds: tuple[int, int]) -> int:
    return min(max(value, bounds[0]), bounds[1])


def _best(space: dict[str, Any], **options: Any) -> dict[str, Any]:
    from warmstart.suggestion import suggest

    return suggest(ESTIMATOR, n=1, space=space, **options)[0]
