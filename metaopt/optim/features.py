"""What the controller sees: scale-free numbers, about -2 to 2, of each tensor of the optimizee.

Nothing here changes when the loss or the data are measured in other units, so that what is
learned on small tasks means the same on large ones. What is unknown is 0, with a flag beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor

from metaopt.optim import memory as columns

N_SHAPE_FEATURES: Final = 7
N_FEATURES: Final = 27
# How far the controller may go, in log learning rate, logit β1, log (1 - β2).
WIDEST_SHIFTS: Final = (4.0, 2.5, 3.0)

_SMALLEST: Final = 1e-30
# From the logarithms (rows: weights of the moments, then memory.LOGS) to features (columns).
_RATIOS: Final = (
    (0.0, -1.0, 0.0, 0.0, 0.0),
    (0.5, 0.5, 0.0, 0.0, 0.0),
    (1.0, 0.0, 0.5, 0.0, 0.0),
    (0.0, 1.0, 0.0, 0.0, 0.0),
    (-1.0, -1.0, 0.0, 0.0, 0.0),
    (0.0, 0.0, 0.0, 0.5, 0.5),
    (0.0, 0.0, 0.0, -0.5, 0.0),
    (0.0, 0.0, -0.5, 0.0, 0.0),
)
_LATEST: Final = 0.02  # of the steps left, as a share, in the logarithm


class Shapes(NamedTuple):
    """What is known of the tensors before training, with the constants that go with it.

    Attributes:
        features: ``[T, N_SHAPE_FEATURES]``.
        sizes: ``[T]``, elements of each tensor, at least 1.
        is_matrix: ``[T]``, 1 for tensors of two and more dimensions, else 0.
        log_fan_in: ``[T, 1]``, half the logarithm of the inputs of each output.
        ratios: ``_RATIOS``; constants live on the device, since each copy there would wait for it.
        loss_shares: ``memory.LOSS_SHARES``.
        widest: ``WIDEST_SHIFTS``.
    """

    features: Tensor
    sizes: Tensor
    is_matrix: Tensor
    log_fan_in: Tensor
    ratios: Tensor
    loss_shares: Tensor
    widest: Tensor


def shape_features(shapes: Sequence[Sequence[int]], device: torch.device | str = "cpu") -> Shapes:
    """What is known of the tensors before training.

    Args:
        shapes: Of each tensor, without batch dimensions, in the order of the optimizee's layers,
            and as torch keeps weights: outputs first.
        device: Where the optimizee is trained.
    """
    rows = []
    for index, shape in enumerate(shapes):
        fan_out = shape[0] if shape else 1
        rows.append(
            [
                float(len(shape) >= 2),
                float(len(shape) >= 3),
                math.log10(max(math.prod(shape), 1)) / 4,
                math.log(max(math.prod(shape[1:]), 1)) / 4,
                math.log10(max(fan_out, 1)) / 2,
                2 * index / (len(shapes) - 1) - 1 if len(shapes) > 1 else 0.0,
                math.log10(len(shapes)) / 2,
            ]
        )

    def tensor(values: Sequence[object]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32, device=device)

    return Shapes(
        features=tensor(rows).reshape(-1, N_SHAPE_FEATURES),
        sizes=tensor([max(math.prod(shape), 1) for shape in shapes]),
        is_matrix=tensor([float(len(shape) >= 2) for shape in shapes]),
        log_fan_in=tensor([[row[3]] for row in rows]).reshape(-1, 1),
        ratios=tensor(_RATIOS),
        loss_shares=tensor(columns.LOSS_SHARES),
        widest=tensor(WIDEST_SHIFTS),
    )


class Clock(NamedTuple):
    """Where in its training an optimizee is, each ``[..., T]`` or broadcastable to it.

    Attributes:
        steps: Steps taken before this one.
        total: Steps in all; 1 where unknown.
        known: 1 where the total is known, else 0.
        fraction: The share of the steps that is over, at most 1; 0 where the total is unknown.
    """

    steps: Tensor
    total: Tensor
    known: Tensor
    fraction: Tensor


def read_clock(steps: Tensor, total_steps: Tensor) -> Clock:
    """The clock; a total that is no positive number, such as NaN, is unknown."""
    is_known = total_steps > 0
    total = torch.where(is_known, total_steps, 1.0)
    known = is_known.to(steps.dtype)
    return Clock(steps, total, known, (steps / total).clamp(max=1.0) * known)


def features(memory: Tensor, clock: Clock, shapes: Shapes) -> Tensor:
    """All that the controller sees.

    Args:
        memory: ``[..., T, N_COLUMNS]``.
        clock: From ``read_clock``.
        shapes: From ``shape_features``.

    Returns:
        ``[..., T, N_FEATURES]``.
    """
    parts = [
        *_gradient_features(memory, shapes),
        *_loss_features(memory),
        *_time_features(clock),
        shapes.features.expand(*memory.shape[:-1], -1),
    ]
    return torch.cat(parts, -1)


def _gradient_features(memory: Tensor, shapes: Shapes) -> tuple[Tensor, Tensor, Tensor]:
    weights = memory[..., columns.WEIGHTS].clamp(min=_SMALLEST).log()
    alive = (memory[..., columns.LOG_GRADIENT] > columns.NOTHING + 1).to(memory.dtype)
    logs = torch.cat([weights, memory[..., columns.LOGS]], -1)
    ratios = logs @ shapes.ratios
    ratios = torch.cat([ratios[..., :4], ratios[..., 4:] + shapes.log_fan_in], -1).clamp(-2, 2)
    return ratios * alive, memory[..., columns.COSINE], alive


def _loss_features(memory: Tensor) -> tuple[Tensor, ...]:
    later, earlier = memory[..., 0:3], memory[..., 1:4]
    sizes = memory[..., :4].abs()
    spread = memory[..., columns.LOSS_SPREAD] + _SMALLEST
    fallen = later - earlier
    return (
        2 * fallen / (sizes[..., :3] + sizes[..., 1:] + _SMALLEST),
        torch.tanh(fallen[..., :2] / spread),
        spread / (spread + sizes[..., columns.LOSS_MEDIUM]),
        memory[..., columns.LOSS_SURPRISE],
        memory[..., columns.LOSSES_SEEN].clamp(max=1.0),
    )


def _time_features(clock: Clock) -> tuple[Tensor, Tensor]:
    ones = torch.ones_like(clock.steps)
    length = torch.stack([clock.total * ones, clock.steps + 1], -1).log10() / 2 - 1
    rest = (1 + _LATEST - clock.fraction).log() / 2
    of_known = torch.stack([2 * clock.fraction - 1, rest, length[..., 0], ones], -1)
    return of_known * clock.known.unsqueeze(-1), length[..., 1:]
