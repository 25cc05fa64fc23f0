"""What the controller sees: scale-free numbers, about -2 to 2, of each tensor of the optimizee.

Nothing here changes when the loss or the data are measured in other units, so that what is
learned on small tasks means the same on large ones. What is unknown is 0, with a flag beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from metaopt.optim import memory as columns

N_SHAPE_FEATURES: Final = 7
N_FEATURES: Final = 27
IS_MATRIX: Final = 0  # the shape feature that is 1 for tensors of two and more dimensions

_SMALLEST: Final = 1e-30
_LATEST: Final = 0.02  # of the steps left, as a share, in the logarithm


def shape_features(shapes: Sequence[Sequence[int]]) -> Tensor:
    """What is known of the tensors before training.

    Args:
        shapes: Of each tensor, in the order of the optimizee's layers, as torch keeps weights:
            outputs first.

    Returns:
        ``[T, N_SHAPE_FEATURES]``.
    """
    rows = []
    for index, shape in enumerate(shapes):
        fan_out = shape[0] if shape else 1
        fan_in = math.prod(shape[1:])
        rows.append(
            [
                float(len(shape) >= 2),
                float(len(shape) >= 3),
                math.log10(max(math.prod(shape), 1)) / 4,
                math.log10(max(fan_in, 1)) / 2,
                math.log10(max(fan_out, 1)) / 2,
                2 * index / (len(shapes) - 1) - 1 if len(shapes) > 1 else 0.0,
                math.log10(len(shapes)) / 2,
            ]
        )
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, N_SHAPE_FEATURES)


def fraction_done(steps: Tensor, total_steps: Tensor) -> Tensor:
    """The share of the training that is over, 0 to 1; NaN where the total is unknown."""
    total = torch.where(total_steps > 0, total_steps, torch.nan)
    return (steps / total).clamp(max=1.0)


def features(memory: Tensor, steps: Tensor, total_steps: Tensor, shapes: Tensor) -> Tensor:
    """All that the controller sees.

    Args:
        memory: ``[..., T, N_COLUMNS]``.
        steps: ``[..., T]``, steps taken before this one.
        total_steps: ``[...]`` with one dimension more, or broadcastable to ``steps``; NaN where
            unknown.
        shapes: ``[T, N_SHAPE_FEATURES]``.

    Returns:
        ``[..., T, N_FEATURES]``.
    """
    parts = [
        _gradient_features(memory, shapes),
        _loss_features(memory),
        _time_features(steps, total_steps),
        shapes.expand(*memory.shape[:-1], -1),
    ]
    return torch.cat(parts, -1)


def _gradient_features(memory: Tensor, shapes: Tensor) -> Tensor:
    gradient, moment, root, parameter = memory[..., columns.LOGS].unbind(-1)
    first_parameter = memory[..., columns.LOG_FIRST_PARAMETER].squeeze(-1)
    usual = memory[..., columns.LOG_USUAL_GRADIENT].squeeze(-1)
    fan_in = shapes[:, 3] * (2 * math.log(10) / 2)
    alive = (gradient > columns.NOTHING + 1).to(memory.dtype)
    ratios = torch.stack(
        [
            gradient - root,
            moment - root,
            (gradient - usual) / 2,
            (parameter - first_parameter) / 2,
            (parameter + fan_in) / 2,
        ],
        -1,
    ).clamp(-2, 2)
    seen = torch.cat(
        [ratios, memory[..., columns.COSINE], torch.ones_like(alive).unsqueeze(-1)], -1
    )
    return seen * alive.unsqueeze(-1)


def _loss_features(memory: Tensor) -> Tensor:
    means = memory[..., columns.LOSS_MEANS]
    first = memory[..., columns.LOSS_FIRST]
    spread = memory[..., columns.LOSS_SPREAD]
    before = torch.cat([means[..., 1:], first], -1)
    fallen = means - before
    relative = fallen / (means.abs() + before.abs() + _SMALLEST)
    return torch.cat(
        [
            relative * 2,
            torch.tanh(fallen[..., :2] / (spread + _SMALLEST)),
            spread / (spread + means[..., 1:2].abs() + _SMALLEST),
            memory[..., columns.LOSS_SURPRISE],
            (memory[..., columns.LOSSES_SEEN] > 0).to(memory.dtype),
        ],
        -1,
    )


def _time_features(steps: Tensor, total_steps: Tensor) -> Tensor:
    fraction = fraction_done(steps, total_steps)
    known = (~fraction.isnan()).to(steps.dtype)
    parts = torch.stack(
        [
            2 * fraction - 1,
            (1 - fraction + _LATEST).log() / 2,
            torch.log10(total_steps + 0 * steps) / 2 - 1,
            torch.ones_like(steps),
        ],
        -1,
    )
    known_parts = torch.nan_to_num(parts, nan=0.0) * known.unsqueeze(-1)
    return torch.cat([known_parts, torch.log10(steps + 1).unsqueeze(-1) / 2 - 1], -1)
