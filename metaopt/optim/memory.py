"""What the controller remembers of each tensor between steps, beside its hidden state.

``memory`` is ``[..., T, N_COLUMNS]``, float32: a row a tensor. The first columns hold the trend of
the loss (the same in all rows, so that each row stands for itself), the others statistics of the
tensor at the step before. All averages are over the last share of the steps so far, not over a
fixed number, so that short and long trainings look alike.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

# The loss.
LOSS_MEANS: Final = slice(0, 3)  # over about the last 2, 10 and 50 % of the losses
LOSS_MEDIUM: Final = slice(1, 2)  # of these, the one over 10 %
LOSS_FIRST: Final = slice(3, 4)
LOSS_SPREAD: Final = slice(4, 5)  # mean distance to LOSS_MEDIUM
LOSS_SURPRISE: Final = slice(5, 6)  # of the last loss, in spreads, within ±1
LOSSES_SEEN: Final = slice(6, 7)
# How much the moments have taken in: what Adam's bias corrections divide by.
WEIGHTS: Final = slice(7, 9)  # of the first and of the second moment
COSINE: Final = slice(9, 10)  # of the gradient and the first moment
# Logarithms of root mean squares: gradient, first moment, root of the second moment (both before
# the bias correction), parameter, parameter before training; mean of the first over the last 30 %.
LOGS: Final = slice(10, 16)
LOG_GRADIENT: Final = slice(10, 11)
LOG_PARAMETER: Final = slice(13, 14)
LOG_FIRST_PARAMETER: Final = slice(14, 15)
LOG_USUAL_GRADIENT: Final = slice(15, 16)
N_COLUMNS: Final = 16

# Sums over the elements of a tensor, the columns of ``sums``.
N_SUMS: Final = 5  # gradient², first moment², second moment, parameter², gradient · first moment

_SMALLEST: Final = 1e-37
NOTHING: Final = 0.5 * math.log(_SMALLEST)  # the logarithm of a root mean square of zero
_LARGEST_LOSS: Final = 1e30
_ONLY_FIRST: Final = 1e30
LOSS_SHARES: Final = (0.02, 0.1, 0.5, _ONLY_FIRST, 0.1)  # of the first five columns
_GRADIENT_SHARE: Final = 0.3


def empty(parameter_sums: Tensor, sizes: Tensor) -> Tensor:
    """The memory before the first step.

    Args:
        parameter_sums: ``[..., T]``, sum of the squares of each tensor.
        sizes: ``[T]``, elements of each tensor, at least 1.

    Returns:
        ``[..., T, N_COLUMNS]``.
    """
    log = log_rms(parameter_sums, sizes).unsqueeze(-1)
    zeros = torch.zeros_like(log)
    nothing = torch.full_like(log, NOTHING)
    return torch.cat([*[zeros] * LOGS.start, *[nothing] * 3, log, log, zeros], -1)


def log_rms(sums: Tensor, sizes: Tensor) -> Tensor:
    """The logarithm of root mean squares, finite whatever the sums are."""
    mean = torch.nan_to_num(sums / sizes, nan=0.0)
    return 0.5 * mean.clamp(_SMALLEST, 1 / _SMALLEST).log()


def see_loss(memory: Tensor, loss: Tensor, shares: Tensor) -> Tensor:
    """The memory after a loss; unchanged where that is not finite.

    Args:
        memory: ``[..., T, N_COLUMNS]``.
        loss: ``[...]``.
        shares: ``LOSS_SHARES`` as a tensor.
    """
    known = loss.isfinite()[..., None, None].to(memory.dtype)
    loss = torch.nan_to_num(loss).clamp(-_LARGEST_LOSS, _LARGEST_LOSS)[..., None, None]
    means, surprise, seen = memory[..., :5], memory[..., LOSS_SURPRISE], memory[..., LOSSES_SEEN]
    distance = (loss - memory[..., LOSS_MEDIUM]) * (seen > 0)
    values = torch.cat([loss.expand(*distance.shape[:-1], 4), distance.abs()], -1)
    means = torch.lerp(means, values, known / (1 + shares * seen))
    new = torch.tanh(distance / (2 * memory[..., LOSS_SPREAD] + _SMALLEST))
    return torch.cat(
        [means, torch.lerp(surprise, new, known), seen + known, memory[..., LOSSES_SEEN.stop :]],
        -1,
    )


def see_sums(memory: Tensor, sums: Tensor, sizes: Tensor, steps: Tensor) -> Tensor:
    """The memory after moments and parameters have been updated.

    Args:
        memory: ``[..., T, N_COLUMNS]``, with the weights of the moments already new.
        sums: ``[..., T, N_SUMS]``.
        sizes: ``[T]``, elements of each tensor, at least 1.
        steps: ``[..., T]``, steps before this one.
    """
    logs = log_rms(sums[..., :4], sizes.unsqueeze(-1))
    lengths = sums[..., :2].sqrt()
    cosine = sums[..., 4:] / (lengths[..., :1] * lengths[..., 1:] + _SMALLEST)
    cosine = torch.nan_to_num(cosine, nan=0.0).clamp(-1, 1)
    usual = memory[..., LOG_USUAL_GRADIENT]
    weight = 1 / (1 + _GRADIENT_SHARE * steps.unsqueeze(-1))
    return torch.cat(
        [
            memory[..., : COSINE.start],
            cosine,
            logs,
            memory[..., LOG_FIRST_PARAMETER],
            torch.lerp(usual, logs[..., :1], weight),
        ],
        -1,
    )
