"""One training: a task, an arm with its setting, a horizon and a seed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch
from torch import Tensor

from metaopt.benchmarks.optimizers.rivals import Rival, Setting
from metaopt.benchmarks.optimizers.tasks import BenchTask, Problem

_DIVERGED: Final = 10.0  # times the initial validation loss


@dataclass(frozen=True)
class Outcome:
    """What came of a training.

    Attributes:
        loss: On the rows held out, at the end.
        accuracy: Share of these classified right; None for regression.
        seconds: Of the training alone: processor time on CPU, wall time elsewhere.
        n_steps: Taken.
        diverged: Whether the loss is not finite, or ten times the initial one.
    """

    loss: float
    accuracy: float | None
    seconds: float
    n_steps: int
    diverged: bool

    def to_dict(self) -> dict[str, Any]:
        """As plain data; a loss that is no number becomes None."""
        values = asdict(self)
        return {**values, "loss": self.loss if math.isfinite(self.loss) else None}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Outcome:
        """The inverse of :meth:`to_dict`."""
        loss = values["loss"]
        return cls(**{**values, "loss": math.inf if loss is None else loss})


def run_training(
    task: BenchTask,
    rival: Rival,
    setting: Setting,
    *,
    horizon: int,
    seed: int,
    device: torch.device,
) -> Outcome:
    """Train a task's model from its initial weights for ``horizon`` steps.

    Args:
        task: What to train.
        rival: Who trains.
        setting: Of the rival.
        horizon: Number of steps; every arm is told.
        seed: Of the initial weights, the split and the order of the rows.
        device: Where.
    """
    problem = _moved(task.make(seed), device)
    start = _judge(problem)[0]
    trainer = rival.make(problem.model, setting, horizon)
    batches = _batches(problem, seed)
    problem.model.train()
    began = _now(device)
    for _ in range(horizon):
        inputs, labels = next(batches)
        trainer.zero_grad()
        loss = problem.loss(problem.model(inputs), labels)
        torch.autograd.backward(loss)
        trainer.step(loss.detach())
    seconds = _now(device) - began
    trainer.finish()
    loss_at_end, accuracy = _judge(problem)
    diverged = not loss_at_end <= _DIVERGED * start
    return Outcome(loss_at_end, accuracy, seconds, horizon, diverged)


def _now(device: torch.device) -> float:
    """Seconds; of the processor on a CPU, where other programs may be running."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.process_time()


def _moved(problem: Problem, device: torch.device) -> Problem:
    x, y = problem.train
    held_x, held_y = problem.validation
    return Problem(
        problem.model.to(device),
        problem.loss,
        (x.to(device), y.to(device)),
        (held_x.to(device), held_y.to(device)),
        problem.batch_size,
    )


def _batches(problem: Problem, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows in a new order for each epoch; what is left of an epoch's rows is not read."""
    inputs, labels = problem.train
    n, size = len(inputs), problem.batch_size
    generator = torch.Generator().manual_seed(seed + 1_000_003)
    while True:
        order = torch.randperm(n, generator=generator).to(inputs.device)
        for place in torch.split(order[: n - n % size], size):
            yield inputs[place], labels[place]


@torch.no_grad()
def _judge(problem: Problem) -> tuple[float, float | None]:
    problem.model.eval()
    inputs, labels = problem.validation
    outputs = problem.model(inputs)
    loss = float(problem.loss(outputs, labels))
    if labels.dtype != torch.int64:
        return loss, None
    return loss, float((outputs.argmax(-1) == labels).float().mean())
