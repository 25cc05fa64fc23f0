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
from metaopt.optim.arrays import Array, arrays_of

N_SHAPE_FEATURES: Final = 7
N_FEATURES: Final = 27
# How far the controller may go, in log learning rate, log odds of the newest in the average (of a
# schedule: logit β1), log (1 - β2), logit of the interpolation.
WIDEST_SHIFTS: Final = (4.0, 2.5, 3.0, 1.5)

SMALLEST: Final = 1e-30
# From the logarithms (rows: memory.WEIGHTS, then memory.LOGS) to features (columns).
_RATIOS: Final = (
    (0.0, 0.0, 0.0, 0.0, 0.0),  # a number of steps, which the clock has
    (0.5, 0.0, 0.0, 0.0, 0.0),
    (1.0, 0.0, 0.5, 0.0, 0.0),
    (0.0, 0.5, 0.0, 0.0, 0.0),
    (-1.0, 0.0, 0.0, 0.0, 0.0),
    (0.0, -0.5, 0.0, 0.5, 0.5),
    (0.0, 0.0, 0.0, -0.5, 0.0),
    (0.0, 0.0, -0.5, 0.0, 0.0),
)
# The same of a schedule: the first moment beside the root of the second, not the offset beside the
# parameter.
_RATIOS_OF_SCHEDULE: Final = (
    (0.0, -1.0, 0.0, 0.0, 0.0),
    (0.5, 0.5, 0.0, 0.0, 0.0),
    (1.0, 0.0, 0.5, 0.0, 0.0),
    (0.0, 1.0, 0.0, 0.0, 0.0),
    (-1.0, -1.0, 0.0, 0.0, 0.0),
    (0.0, 0.0, 0.0, 0.5, 0.5),
    (0.0, 0.0, 0.0, -0.5, 0.0),
    (0.0, 0.0, -0.5, 0.0, 0.0),
)
LATEST: Final = 0.02  # of the steps left, as a share, in the logarithm


class Shapes(NamedTuple):
    """What is known of the tensors before training, with the constants that go with it.

    Attributes:
        features: ``[T, N_SHAPE_FEATURES]``.
        sizes: ``[T]``, elements of each tensor, at least 1.
        is_matrix: ``[T]``, 1 for tensors of two and more dimensions, else 0.
        log_fan_in: ``[T, 5]``, what is added to what ``ratios`` gives, since widths differ.
        ratios: ``_RATIOS``, or those of a schedule; constants live on the device, since each copy
            there would wait for it.
        loss_shares: ``memory.LOSS_SHARES``.
        widest: ``WIDEST_SHIFTS``.
    """

    features: Array
    sizes: Array
    is_matrix: Array
    log_fan_in: Array
    ratios: Array
    loss_shares: Array
    widest: Array


def shape_features(
    shapes: Sequence[Sequence[int]],
    device: torch.device | str = "cpu",
    *,
    tied: bool = False,
) -> Shapes:
    """What is known of the tensors before training.

    Args:
        shapes: Of each tensor, without batch dimensions, in the order of the optimizee's layers,
            and as torch keeps weights: outputs first.
        device: Where the optimizee is trained.
        tied: Whether they are in the hands of a schedule.
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
        log_fan_in=tensor([[0, 0, 0, 0, row[3]] for row in rows]).reshape(-1, 5),
        ratios=tensor(_RATIOS_OF_SCHEDULE if tied else _RATIOS),
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

    steps: Array
    total: Array
    known: Array
    fraction: Array


def read_clock(steps: Array, total_steps: Array) -> Clock:
    """The clock; a total that is no positive number, such as NaN, is unknown."""
    xp = arrays_of(steps)
    is_known = total_steps > 0
    total = xp.where(is_known, total_steps, 1.0)
    known = xp.as_float(is_known)
    return Clock(steps, total, known, xp.clamp(steps / total, 0.0, 1.0) * known)


def features(memory: Array, clock: Clock, shapes: Shapes) -> Array:
    """All that the controller sees.

    Args:
        memory: ``[..., T, N_COLUMNS]``.
        clock: From ``read_clock``.
        shapes: From ``shape_features``.

    Returns:
        ``[..., T, N_FEATURES]``.
    """
    xp = arrays_of(memory)
    parts = [
        *_gradient_features(memory, shapes),
        *_loss_features(memory),
        *_time_features(clock),
        xp.spread(shapes.features, (*memory.shape[:-1], N_SHAPE_FEATURES)),
    ]
    return xp.cat(parts)


def _gradient_features(memory: Array, shapes: Shapes) -> tuple[Array, Array, Array]:
    xp = arrays_of(memory)
    weights = xp.log(xp.clamp(memory[..., columns.WEIGHTS], SMALLEST, 1.0))
    alive = xp.as_float(memory[..., columns.LOG_GRADIENT] > columns.NOTHING + 1)
    ratios = xp.cat([weights, memory[..., columns.LOGS]]) @ shapes.ratios + shapes.log_fan_in
    return xp.clamp(ratios, -2.0, 2.0) * alive, memory[..., columns.COSINE], alive


def _loss_features(memory: Array) -> tuple[Array, ...]:
    xp = arrays_of(memory)
    later, earlier = memory[..., 0:3], memory[..., 1:4]
    sizes = abs(memory[..., :4])
    spread = memory[..., columns.LOSS_SPREAD] + SMALLEST
    fallen = later - earlier
    return (
        2 * fallen / (sizes[..., :3] + sizes[..., 1:] + SMALLEST),
        xp.tanh(fallen[..., :2] / spread),
        spread / (spread + sizes[..., columns.LOSS_MEDIUM]),
        memory[..., columns.LOSS_SURPRISE],
        xp.clamp(memory[..., columns.LOSSES_SEEN], 0.0, 1.0),
    )


def _time_features(clock: Clock) -> tuple[Array, Array]:
    xp = arrays_of(clock.steps)
    flag = clock.known + 0 * clock.steps
    length = 0.5 * xp.log10(xp.stack([clock.total + 0 * clock.steps, clock.steps + 1])) - 1
    rest = 0.5 * xp.log(1 + LATEST - clock.fraction)
    of_known = xp.stack([2 * clock.fraction - 1, rest, length[..., 0], flag])
    return of_known * flag[..., None], length[..., 1:]
