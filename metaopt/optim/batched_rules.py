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

from metaopt.optim import controller, memory, rule, schedule_rule
from metaopt.optim.features import Shapes, read_clock, shape_features
from metaopt.optim.rule import BETAS, EPS, Options

_ADAM_EPS = 1e-8


class FlatState(NamedTuple):
    """``rule.RuleState`` with flat offsets, or first moments, and second moments ``(n, D)``."""

    steps: Tensor
    memory: Tensor
    hidden: Tensor
    offset: Tensor
    exp_avg_sq: Tensor


class LearnedRule:
    """``rule.update`` with another θ for each task.

    Args:
        shapes: Of the parameters of one task.
        thetas: ``(n, n_meta_parameters)``, or ``(n_meta_parameters,)`` for all.
        total_steps: ``(n,)``, NaN where the optimizer is not to know.
        loss_shown: ``(n,)`` bool, whether the optimizer sees the losses.
        lr: ``(n,)``, as in ``rule.Options``; the learning rate itself if tied.
        hidden_size: H of θ.
        tied: Whether it is a schedule: ``schedule_rule`` in place of ``rule``.
        every: The controller runs every so many steps: a divisor of ``STEPS_PER_REPLAY``.
        compiled: Whether ``torch.compile`` fuses the step.

    Attributes:
        facts: What is known of the tensors.
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
        self.facts = shape_features(shapes, device, tied=tied)
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
        empty = memory.empty(sums, self.facts.sizes)
        return FlatState(
            steps=torch.zeros_like(sums),
            memory=empty,
            hidden=empty.new_zeros((*sums.shape, 2 * self._hidden_size)),
            offset=torch.zeros_like(flat),
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
        p, state = step(
            self._thetas,
            _flat(parameters),
            _flat(gradients),
            state,
            torch.where(self._loss_shown, losses, torch.nan),
            self._total_steps[:, None],
            self._options(),
            self.facts,
            self._tensor_of,
            self._belongs,
            self._hidden_size,
            self._tied,
            turn % self._every == 0,
            (turn + 1) % self._every == 0,
        )
        return _tensors(p, self._shapes), state

    def decide(self, state: FlatState, losses: Tensor) -> tuple[Tensor, FlatState]:
        """What the LSTM decides when it runs, ``(n, T, A)``, and the state after it.

        θ's graph is kept.
        """
        return _decide(
            self._thetas,
            state,
            torch.where(self._loss_shown, losses, torch.nan),
            self._total_steps[:, None],
            self.facts,
            self._hidden_size,
        )

    def move(
        self,
        actions: Tensor,
        parameters: list[Tensor],
        gradients: list[Tensor],
        state: FlatState,
        *,
        observe: bool,
    ) -> tuple[list[Tensor], FlatState]:
        """The rest of a step, after :meth:`decide`, with these actions.

        Args:
            actions: ``(n, T, A)``, those decided or others.
            parameters: Each ``(n, *shape)``.
            gradients: Likewise.
            state: After the decision; its hidden state is handed on as it is.
            observe: Whether statistics are taken for the LSTM's next run.
        """
        p, state = _move(
            actions,
            _flat(parameters),
            _flat(gradients),
            state,
            self._total_steps[:, None],
            self._options(),
            self.facts,
            self._tensor_of,
            self._belongs,
            self._tied,
            observe,
        )
        return _tensors(p, self._shapes), state

    def _options(self) -> Options:
        return Options(self._lr[:, None], self._no_decay, self._beta1, self._beta2, self._eps)


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
    if refresh:
        actions, state = _decide(thetas, state, losses, total_steps, facts, hidden_size)
    else:
        actions = controller.actions(controller.unflatten(thetas, hidden_size), state.hidden)
    return _move(
        actions,
        parameters,
        gradients,
        state,
        total_steps,
        options,
        facts,
        tensor_of,
        belongs,
        tied,
        observe,
    )


def _decide(
    thetas: Tensor,
    state: FlatState,
    losses: Tensor,
    total_steps: Tensor,
    facts: Shapes,
    hidden_size: int,
) -> tuple[Tensor, FlatState]:
    """``LearnedRule.decide``."""
    theta = controller.unflatten(thetas, hidden_size)
    clock = read_clock(state.steps, total_steps)
    actions, remembered, hidden = rule.decide(
        theta, state.memory, state.hidden, clock, losses, facts
    )
    return actions, state._replace(memory=remembered, hidden=hidden)


def _move(
    actions: Tensor,
    parameters: Tensor,
    gradients: Tensor,
    state: FlatState,
    total_steps: Tensor,
    options: Options,
    facts: Shapes,
    tensor_of: Tensor,
    belongs: Tensor,
    tied: bool,
    observe: bool,
) -> tuple[Tensor, FlatState]:
    """``LearnedRule.move`` on flat tensors."""
    clock = read_clock(state.steps, total_steps)
    own = schedule_rule if tied else rule
    coefficients, remembered = own.plan(actions, state.memory, clock, facts, options)
    factors = coefficients.factors().unbind(-1)
    p, g, d, v = own.apply(
        parameters,
        gradients,
        state.offset,
        state.exp_avg_sq,
        *(factor.index_select(1, tensor_of) for factor in factors),
    )
    if observe:
        # Where gradients flow through steps, what the LSTM sees counts as given.
        g, seen, d_seen, v_seen = (x.detach() for x in (g, p, d, v))
        products = (g * g, d_seen * d_seen, v_seen, seen * seen, g * d_seen)
        sums = torch.stack([product @ belongs for product in products], -1)
        remembered = memory.see_sums(remembered, sums, facts.sizes, state.steps)
    return p, FlatState(state.steps + 1, remembered, state.hidden, d, v)


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
