"""The gradient of a final loss in θ, by way of what the LSTM decides.

θ has thousands of numbers, but what it does to a training is to choose a few curves: learning
rate, average, ... over time and tensors. So we ask in which direction each decision should have
gone, and the gradient of the decisions, with what the LSTM saw taken as given, brings that to θ.
There are two answers to that question, and both are used:

- Evolution strategies: smooth noise is added to all decisions of a training, and subtracted in its
  twin. Whatever happens in between, the difference of the final losses says which was better.
- Differentiation through the whole training says it for each decision by itself, at twice the
  price, but where a training is chaotic, it says nothing of use.

======  ================  ==========================================
symbol  shape             meaning
======  ================  ==========================================
n                         pairs of tasks
R                         runs of the LSTM
T                         tensors of one optimizee
A                         actions: see controller.py
K                         numbers in θ
======  ================  ==========================================

Sources: pairs with noise held for an episode as in Li et al. 2023 (noise-reuse evolution
strategies); both estimates together as in Metz et al. 2019 (Understanding and correcting
pathologies). Departures: noise on decisions, not on θ; equal weights, with the exact gradient cut
off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import Tensor

from metaopt.optim import memory as columns
from metaopt.optim.action_noise import ActionNoise
from metaopt.optim.batched_rules import FlatState, LearnedRule
from metaopt.optim.tasks import TaskBatch
from metaopt.optim.unroll import bounded_log_losses

_LARGEST_DIFFERENCE: Final = 1.0  # of two log losses; a divergence may not drown all else
_SMALLEST_SPREAD: Final = 0.02  # added to that of a batch, in which losses may hardly change
_LARGEST_ADJOINT: Final = 1.0  # of one tensor of one task, at each step backwards
_LARGEST_EXACT: Final = 2.0  # sum over all decisions of one task


def action_gradient(
    batch: TaskBatch,
    rule: LearnedRule,
    theta: Tensor,
    *,
    horizon: int,
    every: int,
    noise: ActionNoise,
    exact: bool,
) -> tuple[Tensor, Tensor]:
    """The direction in which θ makes the final log losses larger.

    Args:
        batch: ``2 n`` tasks: each of ``n`` twice, as ``TaskBatch.repeated`` gives them.
        rule: For these, with ``theta``.
        theta: ``(K,)``, a leaf that requires gradients.
        horizon: Number of steps.
        every: The LSTM runs every so many steps.
        noise: For ``n`` tasks: added in the first half of the batch, subtracted in the second.
        exact: Whether to differentiate through the training, too.

    Returns:
        Final log losses ``(2 n,)`` and the gradient ``(K,)``.
    """
    run = _train(batch, rule, horizon=horizon, every=every, noise=noise, exact=exact)
    log_losses = run.log_losses.detach()
    plus, minus = log_losses.chunk(2)
    difference = (plus - minus).clamp(-_LARGEST_DIFFERENCE, _LARGEST_DIFFERENCE) / 2
    spread = difference.square().mean().sqrt() + _SMALLEST_SPREAD
    of_decisions = difference.repeat(2)[:, None, None] * torch.stack(run.noises)  # (R, 2n, T, A)
    if exact:
        of_decisions = (of_decisions + _exact(run)) / 2
    decisions = torch.stack(run.decisions)
    # Batches of tasks whose losses can hardly change weigh nearly as much as others.
    surrogate = (of_decisions / spread * decisions).sum((0, 2, 3)).mean()
    (gradient,) = torch.autograd.grad(surrogate, theta)
    return log_losses, gradient


@dataclass
class _Run:
    """A training of a batch: lists have an entry for each run of the LSTM.

    Attributes:
        decisions: ``(2 n, T, A)`` each, with θ's graph.
        taken: The same without it, which the losses depend on.
        noises: ``(2 n, T, A)`` each: what the decisions' mean over tensors and time was told to
            be responsible for, were the losses' difference 1.
        log_losses: ``(2 n,)``.
    """

    log_losses: Tensor
    decisions: list[Tensor] = field(default_factory=list)
    taken: list[Tensor] = field(default_factory=list)
    noises: list[Tensor] = field(default_factory=list)


def _train(
    batch: TaskBatch,
    rule: LearnedRule,
    *,
    horizon: int,
    every: int,
    noise: ActionNoise,
    exact: bool,
) -> _Run:
    parameters = [tensor.clone().requires_grad_(exact) for tensor in batch.initial]
    state = rule.begin([tensor.detach() for tensor in parameters])
    device = state.steps.device
    weights = noise.sizes**-2 / (horizon * state.steps.shape[1])
    run = _Run(log_losses=state.steps)
    gradients_of: Callable[..., tuple[list[Tensor], Tensor]] = (
        batch.differentiable_gradients if exact else batch.gradients
    )
    for step in range(horizon):
        inputs, labels = batch.minibatch(torch.tensor(step, device=device))
        gradients, losses = gradients_of(parameters, inputs, labels)
        if step % every == 0:
            decision, state = _decide(rule, state, losses.detach())
            run.decisions.append(decision)
            run.taken.append(decision.detach().requires_grad_(exact))
            run.noises.append(torch.zeros_like(run.taken[-1]))
        added = noise.at(step / horizon)
        run.noises[-1] += (added * weights).repeat(2, 1, 1)
        parameters, state = rule.move(
            run.taken[-1] + torch.cat([added, -added]),
            parameters,
            gradients,
            state,
            observe=(step + 1) % every == 0,
        )
        if exact:
            for tensor in parameters:
                tensor.register_hook(_cut_off)  # type: ignore[no-untyped-call]
    run.log_losses = bounded_log_losses(batch, parameters)
    return run


def _decide(rule: LearnedRule, state: FlatState, losses: Tensor) -> tuple[Tensor, FlatState]:
    """A decision, with what the LSTM sees taken as given."""
    seen = state._replace(memory=state.memory.detach())
    decision, after = rule.decide(seen, losses)
    trend = after.memory[..., columns.LOSS_TREND]
    memory = torch.cat([trend, state.memory[..., columns.LOSS_TREND.stop :]], -1)
    return decision, after._replace(memory=memory)


def _cut_off(adjoint: Tensor) -> Tensor:
    """Keep what grows step by step backwards, in a chaotic training, within limits."""
    adjoint = torch.nan_to_num(adjoint, nan=0.0, posinf=0.0, neginf=0.0)
    sizes = adjoint.flatten(1).norm(dim=1).clamp_min(1e-30)
    factor = (_LARGEST_ADJOINT / sizes).clamp(max=1.0)
    return adjoint * factor.reshape(-1, *[1] * (adjoint.ndim - 1))


def _exact(run: _Run) -> Tensor:
    """How each decision changes its task's log loss, ``(R, 2 n, T, A)``."""
    gradients = torch.stack(torch.autograd.grad(run.log_losses.sum(), run.taken))
    gradients = torch.nan_to_num(gradients, nan=0.0, posinf=0.0, neginf=0.0)
    sizes = gradients.abs().sum((0, 2, 3), keepdim=True).clamp_min(1e-30)
    return gradients * (_LARGEST_EXACT / sizes).clamp(max=1.0)
