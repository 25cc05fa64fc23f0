"""The update rule: Adam's two moments, and a controller that sets how they are used.

Of each tensor, at each step: the controller sees statistics of the step before and the loss, and
shifts four numbers away from a prior that is a decent schedule by itself. Everything that the
optimizer does, on whatever device and path, is one of three things here: ``plan`` (small tensors),
``apply`` (the elements; other paths are held to this one by tests), ``memory.see_sums``.

=========  ===================  ==========================================================
symbol     shape                meaning
=========  ===================  ==========================================================
T                               tensors of the optimizee
``...``                         leading batch dimensions: tasks
steps      ``[..., T]``         steps taken before this one, float32
memory     ``[..., T, 16]``     see memory.py
hidden     ``[..., T, 2H]``     see controller.py
=========  ===================  ==========================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor

from metaopt.optim import controller
from metaopt.optim import memory as columns
from metaopt.optim.arrays import Array, arrays_of
from metaopt.optim.features import Clock, Shapes, features, read_clock

BETAS: Final = (0.9, 0.999)
EPS: Final = 1e-10
RELATIVE_RATE: Final = 0.04  # of the root mean square of a matrix, a step, before any decay
PLAIN_RMS: Final = 0.1  # what counts as that of biases, gains and scalars
RMS_RANGE: Final = (0.005, 1.0)  # of matrices; zeros, too, must be able to start
WARM_UP: Final = 0.05  # share of the steps
WARM_UP_STEPS: Final = (1.0, 200.0)
WARM_UP_UNKNOWN: Final = 20.0  # steps, if the total is unknown
LOWEST_DECAY: Final = 0.01  # of the linear decay, also for what goes on past the total
SLOW_DECAY: Final = 500.0  # steps after which an unknown total begins to tell
WIDEST_SHRINK: Final = 0.1  # of the relative learning rate
_LARGEST_GRADIENT: Final = 1e18  # its square is a float32


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

    @property
    def beta2(self) -> Array:
        """Decay of the second moment at this step."""
        return 1 - self.take2

    def factors(self) -> Array:
        """What ``apply`` multiplies with, ``[..., T, 5]``."""
        xp = arrays_of(self.rate)
        return xp.stack([self.take1, self.take2, 1 - self.decay, self.size, self.eps])


class Options(NamedTuple):
    """What the user sets, each ``[..., T]`` or broadcastable to it.

    Attributes:
        lr: The multiplier of the learning rate; the learning rate itself if actions are tied.
        weight_decay: Decoupled, in AdamW's sense.
        beta1: Around which the controller moves.
        beta2: Around which the controller moves.
        eps: Beside the root of the second moment.
    """

    lr: Array
    weight_decay: Array
    beta1: Array
    beta2: Array
    eps: Array


class RuleState(NamedTuple):
    """All that lives from step to step; ``exp_avg`` and ``exp_avg_sq`` are as the parameters."""

    steps: Tensor
    memory: Tensor
    hidden: Tensor
    exp_avg: list[Tensor]
    exp_avg_sq: list[Tensor]


def schedule(clock: Clock) -> Array:
    """The prior of the learning rate over time, within 0 and 1.

    Warm-up, then linear decay to (nearly) zero; where the total is unknown, decay with the root of
    the steps. Past the total, it stays where it ended.
    """
    xp = arrays_of(clock.steps)
    is_known = clock.known > 0
    warm_up = xp.clamp(WARM_UP * clock.total, *WARM_UP_STEPS)
    warm_up = xp.where(is_known, warm_up, WARM_UP_UNKNOWN)
    linear = xp.clamp(1 - clock.fraction, LOWEST_DECAY, 1.0)
    decay = xp.where(is_known, linear, 1 / xp.sqrt(1 + clock.steps / SLOW_DECAY))
    return xp.clamp((clock.steps + 1) / warm_up, 0.0, 1.0) * decay


def decide(
    theta: Mapping[str, Array],
    memory: Array,
    hidden: Array,
    clock: Clock,
    loss: Array,
    shapes: Shapes,
) -> tuple[Array, Array, Array]:
    """Let the controller see the loss and the statistics of the step before.

    Args:
        theta: The controller's.
        memory: ``[..., T, N_COLUMNS]``.
        hidden: ``[..., T, 2H]``.
        clock: From ``read_clock``.
        loss: ``[...]``; NaN where unknown.
        shapes: From ``shape_features``.

    Returns:
        Actions ``[..., T, A]``, memory, hidden.
    """
    memory = columns.see_loss(memory, loss, shapes.loss_shares)
    seen = features(memory, clock, shapes)
    actions, hidden = controller.step(theta, hidden, seen)
    return actions, memory, hidden


def plan(
    actions: Array,
    memory: Array,
    clock: Clock,
    shapes: Shapes,
    options: Options,
    *,
    tied: bool = False,
) -> tuple[Coefficients, Array]:
    """From actions to the coefficients of a step.

    Args:
        actions: ``[..., T, A]``.
        memory: ``[..., T, N_COLUMNS]``.
        clock: From ``read_clock``.
        shapes: From ``shape_features``.
        options: The user's.
        tied: One decision for all tensors, around a learning rate that the user knows.

    Returns:
        Coefficients, and the memory with the new weights of the moments.
    """
    xp = arrays_of(memory)
    if tied:
        actions = xp.spread(actions.mean(-2)[..., None, :], actions.shape)
    shifts = xp.exp(shapes.widest * xp.tanh(actions[..., :3] / shapes.widest))
    relative = options.lr * schedule(clock) * shifts[..., 0]
    if tied:
        rate = relative
        decay = rate * options.weight_decay
    else:
        rms = xp.clamp(xp.exp(memory[..., columns.LOG_PARAMETER][..., 0]), *RMS_RANGE)
        rms = xp.where(shapes.is_matrix > 0, rms, PLAIN_RMS)
        relative = RELATIVE_RATE * relative
        rate = relative * rms
        moving = memory[..., columns.LOG_GRADIENT][..., 0] > columns.NOTHING + 1
        shrink = xp.clamp(xp.tanh(actions[..., 3]), 0.0, 1.0) * (shapes.is_matrix * moving)
        decay = rate * options.weight_decay + WIDEST_SHRINK * relative * shrink
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
        decay=xp.clamp(decay, 0.0, 1.0),
        size=rate * root / weights[..., 0],
        eps=options.eps * root,
    )
    before, after = memory[..., : columns.WEIGHTS.start], memory[..., columns.WEIGHTS.stop :]
    return coefficients, xp.cat([before, weights, after])


def finite(gradient: Tensor) -> Tensor:
    """The gradient with 0 for what is not finite, and nothing whose square is not."""
    gradient = torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
    return gradient.clamp(-_LARGEST_GRADIENT, _LARGEST_GRADIENT)


def init_state(
    params: Sequence[Tensor], hidden_size: int = controller.HIDDEN_SIZE, n_batch: int = 0
) -> RuleState:
    """The state before the first step.

    Args:
        params: ``[..., *shape]`` each.
        hidden_size: H of θ.
        n_batch: How many leading dimensions of the parameters are batch dimensions.
    """
    sums = torch.stack([sums_of(p, p, p, p, n_batch)[..., 0] for p in params], -1)
    memory = columns.empty(sums, _sizes(params, n_batch))
    return RuleState(
        steps=torch.zeros_like(sums),
        memory=memory,
        hidden=memory.new_zeros((*sums.shape, 2 * hidden_size)),
        exp_avg=[torch.zeros_like(p) for p in params],
        exp_avg_sq=[torch.zeros_like(p) for p in params],
    )


def update(
    theta: Mapping[str, Tensor],
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    state: RuleState,
    loss: Tensor | None = None,
    *,
    shapes: Shapes,
    total_steps: float | Tensor | None = None,
    lr: float | Tensor = 1.0,
    weight_decay: float | Tensor = 0.0,
    betas: tuple[float, float] = BETAS,
    eps: float = EPS,
    n_batch: int = 0,
    tied: bool = False,
) -> tuple[list[Tensor], RuleState, Coefficients]:
    """One step for whole batches of optimizees, without side effects.

    Args:
        theta: The controller's, each part with the batch dimensions in front or without any.
        params: ``[..., *shape]`` each.
        grads: As the parameters.
        state: From ``init_state``, or of the step before.
        loss: ``[...]``; NaN where unknown; None: unknown.
        shapes: ``shape_features`` of the shapes without the batch dimensions.
        total_steps: A number or ``[...]``; NaN where unknown; None: unknown.
        lr: A number or ``[...]``, as in ``Options``.
        weight_decay: A number or ``[...]``, as in ``Options``.
        betas: As in ``Options``.
        eps: As in ``Options``.
        n_batch: How many leading dimensions of the parameters are batch dimensions.
        tied: As in ``plan``.

    Returns:
        The new parameters, the new state, and how the step was taken.
    """

    def per_tensor(value: float | Tensor | None) -> Tensor:
        filled = torch.nan if value is None else value
        return torch.as_tensor(filled, dtype=torch.float32, device=shapes.sizes.device).unsqueeze(
            -1
        )

    options = Options(*map(per_tensor, (lr, weight_decay, *betas, eps)))
    clock = read_clock(state.steps, per_tensor(total_steps))
    known_loss = per_tensor(loss).squeeze(-1).expand(state.steps.shape[:-1])
    actions, memory, hidden = decide(theta, state.memory, state.hidden, clock, known_loss, shapes)
    coefficients, memory = plan(actions, memory, clock, shapes, options, tied=tied)
    factors = coefficients.factors()
    new_params, first, second, sums = [], [], [], []
    for index, (p, g, m, v) in enumerate(
        zip(params, grads, state.exp_avg, state.exp_avg_sq, strict=True)
    ):
        own = factors[..., index, :]
        own = own.reshape(*own.shape, *(1,) * (p.ndim - n_batch))
        p, g, m, v = apply(p, g, m, v, *own.unbind(n_batch))
        new_params.append(p)
        first.append(m)
        second.append(v)
        sums.append(sums_of(p, g, m, v, n_batch))
    memory = columns.see_sums(memory, torch.stack(sums, -2), shapes.sizes, state.steps)
    return new_params, RuleState(state.steps + 1, memory, hidden, first, second), coefficients


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
    gradient = finite(gradient)
    moment = torch.lerp(moment, gradient, take1)
    square = torch.lerp(square, gradient * gradient, take2)
    # The root of zero has no derivative.
    root = (square + columns.SMALLEST).sqrt()
    parameter = torch.addcdiv(parameter * keep, moment * -size, root + eps)
    return parameter, gradient, moment, square


def sums_of(p: Tensor, g: Tensor, m: Tensor, v: Tensor, n_batch: int = 0) -> Tensor:
    """The sums of memory.py over the elements of one tensor, ``[..., N_SUMS]``."""
    if p.ndim == n_batch:
        return torch.stack([g * g, m * m, v, p * p, g * m], -1)
    p, g, m, v = (x.flatten(n_batch) for x in (p, g, m, v))
    dot = torch.linalg.vecdot
    return torch.stack([dot(g, g), dot(m, m), v.sum(-1), dot(p, p), dot(g, m)], -1)


def _sizes(params: Sequence[Tensor], n_batch: int) -> Tensor:
    sizes = [max(p.shape[n_batch:].numel(), 1) for p in params]
    return torch.tensor(sizes, dtype=torch.float32, device=params[0].device)
