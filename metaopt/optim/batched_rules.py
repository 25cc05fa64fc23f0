"""The learned update rule, and AdamW to compare with, for whole batches of optimizees.

All tensors of a task lie in one flat vector, so that one operation moves them all: the number
of kernels does not grow with the number of tensors.

======  ==========  =============================
symbol  shape       meaning
======  ==========  =============================
n                   tasks
T                   tensors of one optimizee
D                   numbers in all its tensors
flat    ``(n, D)``  the tensors, one after another
======  ==========  =============================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from metaopt.optim import controller, memory, rule
from metaopt.optim.features import Shapes, read_clock, shape_features
from metaopt.optim.rule import BETAS, EPS, Options

_ADAM_EPS = 1e-8


class FlatState(NamedTuple):
    """``rule.RuleState`` with flat moments ``(n, D)``."""

    steps: Tensor
    memory: Tensor
    hidden: Tensor
    exp_avg: Tensor
    exp_avg_sq: Tensor


class LearnedRule:
    """``rule.update`` with another θ for each task.

    Args:
        shapes: Of the parameters of one task.
        thetas: ``(n, n_meta_parameters)``.
        total_steps: ``(n,)``, NaN where the optimizer is not to know.
        loss_shown: ``(n,)`` bool, whether the optimizer sees the losses.
        lr: ``(n,)``, as in ``rule.Options``.
        hidden_size: H of θ.
        tied: As in ``rule.plan``.
        every: The controller runs every so many steps: a divisor of ``STEPS_PER_REPLAY``.
        compiled: Whether ``torch.compile`` fuses the step.
    """

    def __init__(
        self,
        shapes: Sequence[torch.Size],
        thetas: Tensor,
        *,
        total_steps: Tensor,
        loss_shown: Tensor,
        lr: Tensor,
        hidden_size: int = controller.HIDDEN_SIZE,
        tied: bool = False,
        every: int = 1,
        compiled: bool = False,
    ) -> None:
        device = thetas.device
        self._hidden_size, self._tied, self._compiled = hidden_size, tied, compiled
        self._every = every
        self._thetas, self._total_steps, self._lr = thetas, total_steps, lr
        self._loss_shown = loss_shown
        self._shapes = [tuple(shape) for shape in shapes]
        self._facts = shape_features(shapes, device)
        sizes = torch.tensor([math.prod(shape) for shape in shapes], device=device)
        tensors = torch.arange(len(sizes), device=device)
        self._tensor_of = torch.repeat_interleave(tensors, sizes)  # (D,)
        self._belongs = (self._tensor_of[:, None] == tensors).float()  # (D, T)
        self._beta1, self._beta2, self._eps, self._no_decay = (
            torch.full((1,), value, device=device) for value in (*BETAS, EPS, 0.0)
        )

    def tensors(self) -> list[Tensor]:
        """All that may differ between two rules for the same batch."""
        return [self._thetas, self._total_steps, self._loss_shown, self._lr]

    def begin(self, parameters: list[Tensor]) -> FlatState:
        """The state before the first step; parameters ``(n, *shape)`` each."""
        flat = _flat(parameters)
        sums = (flat * flat) @ self._belongs
        empty = memory.empty(sums, self._facts.sizes)
        return FlatState(
            steps=torch.zeros_like(sums),
            memory=empty,
            hidden=empty.new_zeros((*sums.shape, 2 * self._hidden_size)),
            exp_avg=torch.zeros_like(flat),
            exp_avg_sq=torch.zeros_like(flat),
        )

    def update(
        self,
        parameters: list[Tensor],
        gradients: list[Tensor],
        state: FlatState,
        losses: Tensor,
        turn: int,
    ) -> tuple[list[Tensor], FlatState]:
        """One step, as ``rule.update`` takes it."""
        step = _compiled_step() if self._compiled else _learned_step
        options = Options(self._lr[:, None], self._no_decay, self._beta1, self._beta2, self._eps)
        p, state = step(
            self._thetas,
            _flat(parameters),
            _flat(gradients),
            state,
            torch.where(self._loss_shown, losses, torch.nan),
            self._total_steps[:, None],
            options,
            self._facts,
            self._tensor_of,
            self._belongs,
            self._hidden_size,
            self._tied,
            turn % self._every == 0,
            (turn + 1) % self._every == 0,
        )
        return _tensors(p, self._shapes), state


def _learned_step(
    thetas: Tensor,
    parameters: Tensor,
    gradients: Tensor,
    state: FlatState,
    losses: Tensor,
    total_steps: Tensor,
    options: Options,
    facts: Shapes,
    tensor_of: Tensor,
    belongs: Tensor,
    hidden_size: int,
    tied: bool,
    refresh: bool,
    observe: bool,
) -> tuple[Tensor, FlatState]:
    """``LearnedRule.update`` on flat tensors."""
    theta = controller.unflatten(thetas, hidden_size)
    clock = read_clock(state.steps, total_steps)
    remembered, hidden = state.memory, state.hidden
    if refresh:
        actions, remembered, hidden = rule.decide(theta, remembered, hidden, clock, losses, facts)
    else:
        actions = controller.actions(theta, hidden)
    coefficients, remembered = rule.plan(actions, remembered, clock, facts, options, tied=tied)
    factors = coefficients.factors().unbind(-1)
    p, g, m, v = rule.apply(
        parameters,
        gradients,
        state.exp_avg,
        state.exp_avg_sq,
        *(factor.index_select(1, tensor_of) for factor in factors),
    )
    if observe:
        sums = torch.stack([product @ belongs for product in (g * g, m * m, v, p * p, g * m)], -1)
        remembered = memory.see_sums(remembered, sums, facts.sizes, state.steps)
    return p, FlatState(state.steps + 1, remembered, hidden, m, v)


@cache
def _compiled_step() -> Callable[..., tuple[Tensor, FlatState]]:
    """``_learned_step`` with its hundreds of small operations fused."""
    torch._dynamo.config.recompile_limit = 64
    return torch.compile(_learned_step, dynamic=True)


class AdamWState(NamedTuple):
    """``step`` is a scalar, the moments ``(n, D)``."""

    step: Tensor
    exp_avg: Tensor
    exp_avg_sq: Tensor


class AdamWCosine:
    """AdamW with warm-up and cosine decay to zero, each task with its own settings.

    Args:
        shapes: Of the parameters of one task.
        lr: ``(n,)``, the largest learning rate.
        weight_decay: ``(n,)``.
        warm_up: ``(n,)``, share of the steps.
        total_steps: ``(n,)``.
    """

    def __init__(
        self,
        shapes: Sequence[torch.Size],
        *,
        lr: Tensor,
        weight_decay: Tensor,
        warm_up: Tensor,
        total_steps: Tensor,
    ) -> None:
        self._shapes = [tuple(shape) for shape in shapes]
        self._lr, self._weight_decay = lr[:, None], weight_decay[:, None]
        self._warm_up, self._total_steps = warm_up[:, None], total_steps[:, None]

    def tensors(self) -> list[Tensor]:
        """All that may differ between two rules for the same batch."""
        return [self._lr, self._weight_decay, self._warm_up, self._total_steps]

    def begin(self, parameters: list[Tensor]) -> AdamWState:
        """The state before the first step; parameters ``(n, *shape)`` each."""
        flat = _flat(parameters)
        return AdamWState(flat.new_zeros(()), torch.zeros_like(flat), torch.zeros_like(flat))

    def update(
        self,
        parameters: list[Tensor],
        gradients: list[Tensor],
        state: AdamWState,
        losses: Tensor,
        turn: int,
    ) -> tuple[list[Tensor], AdamWState]:
        """One step, as ``torch.optim.AdamW`` takes it."""
        p, g = _flat(parameters), _flat(gradients)
        beta1, beta2 = BETAS
        step = state.step + 1
        rising = step / (self._warm_up * self._total_steps).clamp_min(1.0)
        done = (state.step / self._total_steps).clamp(max=1.0)
        rate = self._lr * rising.clamp(max=1.0) * 0.5 * (1 + torch.cos(math.pi * done))
        m = state.exp_avg + (1 - beta1) * (g - state.exp_avg)
        v = beta2 * state.exp_avg_sq + (1 - beta2) * g * g
        root = (v / (1 - beta2**step)).sqrt() + _ADAM_EPS
        p = p * (1 - rate * self._weight_decay) - rate * m / (1 - beta1**step) / root
        return _tensors(p, self._shapes), AdamWState(step, m, v)


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten(1) for tensor in tensors], 1)


def _tensors(flat: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    parts = torch.split(flat, [math.prod(shape) for shape in shapes], 1)
    return [part.reshape(len(flat), *shape) for part, shape in zip(parts, shapes, strict=True)]
