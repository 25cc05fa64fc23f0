"""The update rule: a running average over Adam-like steps, and a controller that steers both.

Three points of the optimizee's space belong to it. The fast one is moved by the gradients, each
divided by the root of its second moment. The average follows it, and is what is wanted in the end.
The parameters lie between the two while training goes on, which is where gradients are taken; at
the last step, they are put on the average. So nothing has to decay, and a training may be as long
as it likes.

Of each tensor, at each step: the controller sees statistics of the step before and the loss, and
shifts four numbers away from a prior that is a decent optimizer by itself. Everything that the
optimizer does, on whatever device and path, is one of three things here: ``plan`` (small tensors),
``apply`` (the elements; other paths are held to this one by tests), ``memory.see_sums``.

=========  ===================  ==========================================================
symbol     shape                meaning
=========  ===================  ==========================================================
T                               tensors of the optimizee
``...``                         leading batch dimensions: tasks
steps      ``[..., T]``         steps taken before this one, float32
memory     ``[..., T, 17]``     see memory.py
hidden     ``[..., T, 2H]``     see controller.py
offset     as the parameters    from the parameters to the fast point
=========  ===================  ==========================================================

Source: Schedule-Free AdamW (Defazio et al. 2024, The Road Less Scheduled). Departures: the offset
is kept instead of the fast point itself, so that whoever changes the parameters moves all three;
weights of the average grow with the steps; weight decay is of the fast point; a controller; the
end of a training of known length.
"""

from __future__ import annotations

import math
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
# A step, as a share of the root mean square of a matrix. The lowest of 0.15, 0.3 and 0.5 was the
# best on the tasks of meta-validation, with the middle one of 1, 2 and 3 as ``NEWEST_WEIGHT``.
RELATIVE_RATE: Final = 0.15
PLAIN_RMS: Final = 0.1  # what counts as that of biases, gains and scalars
RMS_RANGE: Final = (0.005, 1.0)  # of matrices; zeros, too, must be able to start
WARM_UP: Final = 0.05  # share of the steps
WARM_UP_STEPS: Final = (1.0, 200.0)
WARM_UP_UNKNOWN: Final = 20.0  # steps, if the total is unknown
NEWEST_WEIGHT: Final = 2.0  # of the newest point in the average, against one of a plain mean
LOWEST_INTERPOLATION: Final = 0.1  # at which the average can be told from the other two
LARGEST_GRADIENT: Final = 1e18  # its square is a float32
SMALLEST_EPS: Final = 1e-18  # what is divided by is never 0


class Coefficients(NamedTuple):
    """How a step is taken, each ``[..., T]``.

    Attributes:
        rate: The learning rate, in Adam's sense.
        take2: The share of the gradient's square in the new second moment: 1 - β2.
        decay: The share of the fast point that is taken off before the update.
        size: The factor of gradient / (root of the second moment + eps).
        eps: As above.
        back: The average is the parameters less so many offsets.
        stay: The share of the old average in the new parameters; the rest is of the fast point.
    """

    rate: Array
    take2: Array
    decay: Array
    size: Array
    eps: Array
    back: Array
    stay: Array

    def factors(self) -> Array:
        """What ``apply`` multiplies with, ``[..., T, 6]``."""
        return arrays_of(self.rate).stack(list(self[1:]))


class Options(NamedTuple):
    """What the user sets, each ``[..., T]`` or broadcastable to it.

    Attributes:
        lr: The multiplier of the learning rate.
        weight_decay: Decoupled, in AdamW's sense.
        beta1: Around which the controller moves the share of the average in the parameters.
        beta2: Around which the controller moves the decay of the second moment.
        eps: Beside the root of the second moment.
    """

    lr: Array
    weight_decay: Array
    beta1: Array
    beta2: Array
    eps: Array


class RuleState(NamedTuple):
    """All that lives from step to step; ``offset`` and ``exp_avg_sq`` are as the parameters."""

    steps: Tensor
    memory: Tensor
    hidden: Tensor
    offset: list[Tensor]
    exp_avg_sq: list[Tensor]


def schedule(clock: Clock) -> Array:
    """The prior of the learning rate over time, within 0 and 1: it warms up, and stays."""
    xp = arrays_of(clock.steps)
    warm_up = xp.clamp(WARM_UP * clock.total, *WARM_UP_STEPS)
    warm_up = xp.where(clock.known > 0, warm_up, WARM_UP_UNKNOWN)
    return xp.clamp((clock.steps + 1) / warm_up, 0.0, 1.0)


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
    actions: Array, memory: Array, clock: Clock, shapes: Shapes, options: Options
) -> tuple[Coefficients, Array]:
    """From actions to the coefficients of a step.

    Args:
        actions: ``[..., T, A]``.
        memory: ``[..., T, N_COLUMNS]``.
        clock: From ``read_clock``.
        shapes: From ``shape_features``.
        options: The user's.

    Returns:
        Coefficients, and the memory with what the average and the second moment have taken in.
    """
    xp = arrays_of(memory)
    shifts = xp.exp(shapes.widest * xp.tanh(actions / shapes.widest))
    rms = xp.clamp(xp.exp(memory[..., columns.LOG_PARAMETER][..., 0]), *RMS_RANGE)
    rms = xp.where(shapes.is_matrix > 0, rms, PLAIN_RMS)
    rate = RELATIVE_RATE * options.lr * schedule(clock) * shifts[..., 0] * rms
    take2 = xp.clamp((1 - options.beta2) * shifts[..., 2], 0.0, 1.0)
    weight2 = memory[..., columns.WEIGHTS][..., 1]
    weight2 = weight2 + take2 * (1 - weight2)
    root = xp.sqrt(weight2)
    n_averaged = memory[..., columns.WEIGHTS][..., 0]
    newest = NEWEST_WEIGHT * shifts[..., 1]
    odds = options.beta1 * shifts[..., 3]
    between = xp.clamp(odds / (1 - options.beta1 + odds), LOWEST_INTERPOLATION, 1.0)
    is_last = (clock.steps + 1 >= clock.total) & (clock.known > 0)
    between = xp.where(is_last, 1.0, between)
    coefficients = Coefficients(
        rate=rate,
        take2=take2,
        decay=xp.clamp(rate * options.weight_decay, 0.0, 1.0),
        size=rate * root,
        eps=xp.clamp(options.eps * root, SMALLEST_EPS, math.inf),
        back=offsets_back(memory[..., columns.INTERPOLATION][..., 0]),
        stay=between * n_averaged / (newest + n_averaged),
    )
    before = memory[..., : columns.WEIGHTS.start]
    others = memory[..., columns.WEIGHTS.stop : columns.INTERPOLATION.start]
    taken = xp.stack([n_averaged + 1, weight2])
    return coefficients, xp.cat([before, taken, others, between[..., None]])


def offsets_back(interpolation: Array) -> Array:
    """How many offsets the average is behind the parameters, given that column of the memory."""
    xp = arrays_of(interpolation)
    share = xp.clamp(interpolation, LOWEST_INTERPOLATION, 1.0)
    return xp.where(interpolation > 0, 1 / share - 1, 0.0)


def finite(gradient: Tensor) -> Tensor:
    """The gradient with 0 for what is not finite, and nothing whose square is not."""
    gradient = torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
    return gradient.clamp(-LARGEST_GRADIENT, LARGEST_GRADIENT)


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
        offset=[torch.zeros_like(p) for p in params],
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
    coefficients, memory = plan(actions, memory, clock, shapes, options)
    factors = coefficients.factors()
    new_params, offsets, squares, sums = [], [], [], []
    for index, (p, g, d, v) in enumerate(
        zip(params, grads, state.offset, state.exp_avg_sq, strict=True)
    ):
        own = factors[..., index, :]
        own = own.reshape(*own.shape, *(1,) * (p.ndim - n_batch))
        p, g, d, v = apply(p, g, d, v, *own.unbind(n_batch))
        new_params.append(p)
        offsets.append(d)
        squares.append(v)
        sums.append(sums_of(p, g, d, v, n_batch))
    memory = columns.see_sums(memory, torch.stack(sums, -2), shapes.sizes, state.steps)
    return new_params, RuleState(state.steps + 1, memory, hidden, offsets, squares), coefficients


def apply(
    parameter: Tensor,
    gradient: Tensor,
    offset: Tensor,
    square: Tensor,
    take2: Tensor,
    decay: Tensor,
    size: Tensor,
    eps: Tensor,
    back: Tensor,
    stay: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One step of the elements of one tensor.

    Args:
        parameter: Of any shape; gradient, offset and second moment alike.
        gradient: As it came.
        offset: From the parameter to the fast point.
        square: The second moment.
        take2: Of ``Coefficients.factors``, as are the following; broadcast to the parameter.
        decay: As above.
        size: As above.
        eps: As above.
        back: As above.
        stay: As above.

    Returns:
        Parameter, gradient as it was used, offset and second moment.
    """
    gradient = finite(gradient)
    square = torch.lerp(square, gradient * gradient, take2)
    # The root of zero has no derivative.
    root = (square + columns.SMALLEST).sqrt()
    fast = offset + parameter
    average = torch.lerp(parameter, fast, -back)
    fast = torch.addcdiv(fast * (1 - decay), gradient * -size, root + eps)
    parameter = torch.lerp(fast, average, stay)
    return parameter, gradient, fast - parameter, square


def sums_of(p: Tensor, g: Tensor, d: Tensor, v: Tensor, n_batch: int = 0) -> Tensor:
    """The sums of memory.py over the elements of one tensor, ``[..., N_SUMS]``."""
    if p.ndim == n_batch:
        return torch.stack([g * g, d * d, v, p * p, g * d], -1)
    p, g, d, v = (x.flatten(n_batch) for x in (p, g, d, v))
    dot = torch.linalg.vecdot
    return torch.stack([dot(g, g), dot(d, d), v.sum(-1), dot(p, p), dot(g, d)], -1)


def _sizes(params: Sequence[Tensor], n_batch: int) -> Tensor:
    sizes = [max(p.shape[n_batch:].numel(), 1) for p in params]
    return torch.tensor(sizes, dtype=torch.float32, device=params[0].device)
