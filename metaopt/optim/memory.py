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

from metaopt.optim.arrays import Array, arrays_of

# The loss.
LOSS_MEANS: Final = slice(0, 3)  # over about the last 2, 10 and 50 % of the losses
LOSS_MEDIUM: Final = slice(1, 2)  # of these, the one over 10 %
LOSS_FIRST: Final = slice(3, 4)
LOSS_SPREAD: Final = slice(4, 5)  # mean distance to LOSS_MEDIUM
LOSS_SURPRISE: Final = slice(5, 6)  # of the last loss, in spreads, within ±1
LOSSES_SEEN: Final = slice(6, 7)
LOSS_TREND: Final = slice(0, 7)  # all of these
# How many steps the average has taken in, and the weight of those that the second moment has, by
# which its bias correction divides. Of a schedule, which has a first moment and no average, the
# former is that moment's weight, too.
WEIGHTS: Final = slice(7, 9)
COSINE: Final = slice(9, 10)  # of the gradient and the offset, or the first moment
# Logarithms of root mean squares: gradient, offset or first moment, root of the second moment
# (before the bias correction), parameter, parameter before training; mean of the first over the
# last 30 %.
LOGS: Final = slice(10, 16)
LOG_GRADIENT: Final = slice(10, 11)
LOG_PARAMETER: Final = slice(13, 14)
LOG_FIRST_PARAMETER: Final = slice(14, 15)
LOG_USUAL_GRADIENT: Final = slice(15, 16)
# The share of the average in the parameters; a schedule has none. Negative: they are at the
# average for the time being.
INTERPOLATION: Final = slice(16, 17)
N_COLUMNS: Final = 17

# Sums over the elements of a tensor, the columns of ``sums``: gradient², offset², second moment,
# parameter², gradient · offset; of a schedule with the first moment as offset.
N_SUMS: Final = 5

SMALLEST: Final = 1e-37
NOTHING: Final = 0.5 * math.log(SMALLEST)  # the logarithm of a root mean square of zero
LARGEST_LOSS: Final = 1e30
_ONLY_FIRST: Final = 1e30
LOSS_SHARES: Final = (0.02, 0.1, 0.5, _ONLY_FIRST, 0.1)  # of the first five columns
GRADIENT_SHARE: Final = 0.3


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
    return torch.cat([*[zeros] * LOGS.start, *[nothing] * 3, log, log, zeros, zeros], -1)


def log_rms(sums: Array, sizes: Array) -> Array:
    """The logarithm of root mean squares, finite whatever the sums are."""
    xp = arrays_of(sums)
    mean = sums / sizes
    mean = xp.where(mean > SMALLEST, mean, SMALLEST)  # NaN is not greater
    return 0.5 * xp.log(xp.clamp(mean, SMALLEST, 1 / SMALLEST))


def see_loss(memory: Array, loss: Array, shares: Array) -> Array:
    """The memory after a loss; unchanged where that is not finite.

    Args:
        memory: ``[..., T, N_COLUMNS]``.
        loss: ``[...]``.
        shares: ``LOSS_SHARES`` as an array.
    """
    xp = arrays_of(memory)
    is_known = xp.is_finite(loss)
    loss = xp.clamp(xp.where(is_known, loss, 0.0), -LARGEST_LOSS, LARGEST_LOSS)[..., None, None]
    known = xp.as_float(is_known)[..., None, None]
    means, surprise, seen = memory[..., :5], memory[..., LOSS_SURPRISE], memory[..., LOSSES_SEEN]
    distance = (loss - memory[..., LOSS_MEDIUM]) * (seen > 0)
    values = xp.cat([xp.spread(loss, (*distance.shape[:-1], 4)), abs(distance)])
    means = means + known / (1 + shares * seen) * (values - means)
    new = xp.tanh(distance / (2 * memory[..., LOSS_SPREAD] + SMALLEST))
    surprise = surprise + known * (new - surprise)
    return xp.cat([means, surprise, seen + known, memory[..., LOSSES_SEEN.stop :]])


def see_sums(memory: Array, sums: Array, sizes: Array, steps: Array) -> Array:
    """The memory after a step of the elements.

    Args:
        memory: ``[..., T, N_COLUMNS]``, with ``WEIGHTS`` already new.
        sums: ``[..., T, N_SUMS]``.
        sizes: ``[T]``, elements of each tensor, at least 1.
        steps: ``[..., T]``, steps before this one.
    """
    xp = arrays_of(memory)
    logs = log_rms(sums[..., :4], sizes[..., None])
    lengths = xp.sqrt(sums[..., :2])
    cosine = sums[..., 4:] / (lengths[..., :1] * lengths[..., 1:] + SMALLEST)
    cosine = xp.clamp(xp.where(xp.is_finite(cosine), cosine, 0.0), -1.0, 1.0)
    usual = memory[..., LOG_USUAL_GRADIENT]
    usual = usual + (logs[..., :1] - usual) / (1 + GRADIENT_SHARE * steps[..., None])
    first, between = memory[..., LOG_FIRST_PARAMETER], memory[..., INTERPOLATION]
    return xp.cat([memory[..., : COSINE.start], cosine, logs, first, usual, between])
