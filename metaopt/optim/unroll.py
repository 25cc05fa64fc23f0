"""Training all tasks of a batch from their initial weights to a horizon."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, Generic, Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from metaopt.optim.tasks import TaskBatch

STEPS_PER_REPLAY: Final = 4  # horizons are multiples of it
_N_WARM_UP: Final = 2  # steps before a graph is captured
_WORST_RISE: Final = 1.0  # of a log loss over the initial one; a divergence counts as this

State = TypeVar("State")


class Rule(Protocol[State]):
    """What trains a batch of tasks: pure functions of tensors."""

    def begin(self, parameters: list[Tensor]) -> State:
        """The state before the first step."""
        ...

    def update(
        self,
        parameters: list[Tensor],
        gradients: list[Tensor],
        state: State,
        losses: Tensor,
        turn: int,
    ) -> tuple[list[Tensor], State]:
        """One step.

        Args:
            parameters: Each ``(n, *shape)``.
            gradients: Likewise.
            state: As :meth:`begin` or the last step left it.
            losses: ``(n,)``, of the minibatch.
            turn: Steps taken, modulo ``STEPS_PER_REPLAY``.
        """
        ...

    def tensors(self) -> list[Tensor]:
        """All that may differ between two rules for the same batch, such as θ."""
        ...


class Unroll(Generic[State]):
    """The training of a batch by a rule; on CUDA a captured graph, replayed.

    Args:
        batch: The tasks.
        rule: What trains them.
        capture: Whether to capture a graph where the device has them.
    """

    def __init__(self, batch: TaskBatch, rule: Rule[State], *, capture: bool = True) -> None:
        device = batch.input_scale.device
        self._batch, self._rule = batch, rule
        self._step = torch.zeros((), dtype=torch.int64, device=device)
        self._parameters = [tensor.clone() for tensor in batch.initial]
        self._state = rule.begin(self._parameters)
        self._stream = _new_stream(device)
        self._losses = torch.zeros_like(batch.input_scale[:, 0, 0])
        self._graph = self._judging = None
        if capture and device.type == "cuda":
            self._graph = self._captured(self._advance)
            self._judging = self._captured(self._validate)

    def reload(self, batch: TaskBatch, rule: Rule[State]) -> None:
        """Put other tasks of the same specification, and another θ, in place of the first."""
        old = [*self._batch.tensors(), *self._rule.tensors()]
        for tensor, value in zip(old, [*batch.tensors(), *rule.tensors()], strict=True):
            tensor.copy_(value)

    def steps(self, horizon: int) -> Iterator[None]:
        """Train from the beginning, ``STEPS_PER_REPLAY`` steps for each item.

        Args:
            horizon: Number of steps, a multiple of ``STEPS_PER_REPLAY``.

        Raises:
            ValueError: If it is no such multiple.
        """
        if horizon < 1 or horizon % STEPS_PER_REPLAY:
            raise ValueError(
                f"horizon={horizon} given; expected a positive multiple of {STEPS_PER_REPLAY}."
            )
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            self._begin()
        for _ in range(horizon // STEPS_PER_REPLAY):
            with torch.cuda.stream(self._stream):
                if self._graph is None:
                    self._advance()
                else:
                    self._graph.replay()
            yield

    def log_losses(self) -> Tensor:
        """The logarithm of each task's validation loss now, ``(n,)``.

        Bounded by that of the initial weights plus ``_WORST_RISE``; what is not finite is there.
        Training starts anew after this.
        """
        with torch.cuda.stream(self._stream):
            self._judge()
            now = self._losses.clone()
            _copy(self._parameters, list(self._batch.initial))
            self._judge()
            result = _bounded(now, self._losses)
        if self._stream is not None:
            self._stream.synchronize()
        return result

    def _begin(self) -> None:
        self._step.zero_()
        _copy(self._parameters, list(self._batch.initial))
        _copy(self._state, self._rule.begin(self._parameters))

    def _advance(self) -> None:
        parameters, state, step = self._parameters, self._state, self._step
        for turn in range(STEPS_PER_REPLAY):
            inputs, labels = self._batch.minibatch(step)
            gradients, losses = self._batch.gradients(parameters, inputs, labels)
            parameters, state = self._rule.update(parameters, gradients, state, losses, turn)
            step = step + 1
        _copy(self._parameters, parameters)
        _copy(self._state, state)
        self._step.copy_(step)

    def _validate(self) -> None:
        self._losses.copy_(self._batch.validation_losses(self._parameters))

    def _judge(self) -> None:
        if self._judging is None:
            self._validate()
        else:
            self._judging.replay()

    def _captured(self, function: Callable[[], None]) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        assert self._stream is not None
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            for _ in range(_N_WARM_UP):
                function()
        self._stream.synchronize()
        with torch.cuda.graph(graph, stream=self._stream):
            function()
        return graph


def bounded_log_losses(batch: TaskBatch, parameters: list[Tensor]) -> Tensor:
    """As ``Unroll.log_losses``, of a batch with these parameters."""
    now, start = map(batch.validation_losses, (parameters, list(batch.initial)))
    return _bounded(now, start)


def run_together(unrolls: Sequence[Unroll[State]], horizons: Sequence[int]) -> list[Tensor]:
    """Train several batches, on a GPU side by side, each on its own stream.

    Args:
        unrolls: What to train.
        horizons: Number of steps of each.

    Returns:
        The log validation losses of each, ``(n,)``.
    """
    pending = [unroll.steps(horizon) for unroll, horizon in zip(unrolls, horizons, strict=True)]
    done = object()
    while pending:
        pending = [steps for steps in pending if next(steps, done) is not done]
    return [unroll.log_losses() for unroll in unrolls]


def _new_stream(device: torch.device) -> torch.cuda.Stream | None:
    if device.type != "cuda":
        return None
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def _bounded(losses: Tensor, initial: Tensor) -> Tensor:
    now, worst = _log(losses), _log(initial) + _WORST_RISE
    return torch.where(now.isfinite(), torch.minimum(now, worst), worst)


def _log(losses: Tensor) -> Tensor:
    return (losses + 1e-4).log()


def _copy(into: object, values: object) -> None:
    targets, sources = pytree.tree_leaves(into), pytree.tree_leaves(values)
    for target, value in zip(targets, sources, strict=True):
        target.copy_(value)
