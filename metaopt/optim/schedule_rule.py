"""The update rule of a learned schedule: one decision for all tensors, around a known rate.

Plain Adam, since a schedule does not know what moves the elements: meta-training takes Adam's
steps with what the controller decides; ``LearnedSchedule`` hands it over to the user's optimizer.

Symbols as in rule.py.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor

from metaopt.optim import memory as columns
from metaopt.optim import rule
from metaopt.optim.arrays import Array, arrays_of
from metaopt.optim.features import Clock, Shapes
from metaopt.optim.rule import Options

LOWEST_DECAY: Final = 0.01  # of the linear decay, also for what goes on past the total
SLOW_DECAY: Final = 500.0  # steps after which an unknown total begins to tell


class Coefficients(NamedTuple):
    """How a step is taken, each ``[..., T]``.

    Attributes:
        rate: The learning rate, in Adam's sense.
        take1: The share of the gradient in the new first moment: 1 - β1.
        take2: The share of its square in the new second moment: 1 - β2.
        decay: The share of the parameter that is taken off before the update.
        size: The factor of first moment / (root of the second moment + eps).
        eps: As above.
    """

    rate: Array
    take1: Array
    take2: Array
    decay: Array
    size: Array
    eps: Array

    @property
    def beta1(self) -> Array:
        """Decay of the first moment at this step."""
        return 1 - self.take1

    def factors(self) -> Array:
        """What ``apply`` multiplies with, ``[..., T, 5]``."""
        xp = arrays_of(self.rate)
        return xp.stack([self.take1, self.take2, 1 - self.decay, self.size, self.eps])


def schedule(clock: Clock) -> Array:
    """The prior of the learning rate over time, within 0 and 1.

    Warm-up, then linear decay to (nearly) zero; where the total is unknown, decay with the root of
    the steps. Past the total, it stays where it ended.
    """
    xp = arrays_of(clock.steps)
    linear = xp.clamp(1 - clock.fraction, LOWEST_DECAY, 1.0)
    decay = xp.where(clock.known > 0, linear, 1 / xp.sqrt(1 + clock.steps / SLOW_DECAY))
    return rule.schedule(clock) * decay


def plan(
    actions: Array, memory: Array, clock: Clock, shapes: Shapes, options: Options
) -> tuple[Coefficients, Array]:
    """From actions to the coefficients of a step, the same for all tensors.

    Args:
        actions: ``[..., T, A]``.
        memory: ``[..., T, N_COLUMNS]``.
        clock: From ``read_clock``.
        shapes: From ``shape_features`` with ``tied=True``.
        options: The user's: ``lr`` is the learning rate itself, ``beta1`` that around which the
            controller moves.

    Returns:
        Coefficients, and the memory with the new weights of the moments.
    """
    xp = arrays_of(memory)
    actions = xp.spread(actions.mean(-2)[..., None, :], actions.shape)
    widest = shapes.widest[:3]
    shifts = xp.exp(widest * xp.tanh(actions[..., :3] / widest))
    rate = options.lr * schedule(clock) * shifts[..., 0]
    odds = options.beta1 * shifts[..., 1]  # of the old moment, against the gradient
    take1 = (1 - options.beta1) / (1 - options.beta1 + odds)
    take2 = xp.clamp((1 - options.beta2) * shifts[..., 2], 0.0, 1.0)
    weights = memory[..., columns.WEIGHTS]
    weights = weights + xp.stack([take1, take2]) * (1 - weights)
    root = xp.sqrt(weights[..., 1])
    coefficients = Coefficients(
        rate=rate,
        take1=take1,
        take2=take2,
        decay=xp.clamp(rate * options.weight_decay, 0.0, 1.0),
        size=rate * root / weights[..., 0],
        eps=options.eps * root,
    )
    before, after = memory[..., : columns.WEIGHTS.start], memory[..., columns.WEIGHTS.stop :]
    return coefficients, xp.cat([before, weights, after])


def apply(
    parameter: Tensor,
    gradient: Tensor,
    moment: Tensor,
    square: Tensor,
    take1: Tensor,
    take2: Tensor,
    keep: Tensor,
    size: Tensor,
    eps: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One step of the elements of one tensor.

    Args:
        parameter: Of any shape; gradient and moments alike.
        gradient: As it came.
        moment: The first moment.
        square: The second moment.
        take1: Of ``Coefficients.factors``, as are the following; broadcast to the parameter.
        take2: As above.
        keep: As above.
        size: As above.
        eps: As above.

    Returns:
        Parameter, gradient as it was used, first and second moment.
    """
    gradient = rule.finite(gradient)
    moment = torch.lerp(moment, gradient, take1)
    square = torch.lerp(square, gradient * gradient, take2)
    # The root of zero has no derivative.
    root = (square + columns.SMALLEST).sqrt()
    parameter = torch.addcdiv(parameter * keep, moment * -size, root + eps)
    return parameter, gradient, moment, square
