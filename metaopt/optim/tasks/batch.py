"""Many tasks of one architecture, trained side by side."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Final

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from metaopt.optim.tasks.distribution import TaskSpec
from metaopt.optim.tasks.models import build_model
from metaopt.optim.tasks.rows import Rows, make_rows

_N_ORDERS: Final = 32  # epochs after which the order of the rows repeats
_SPREAD_OF_INIT: Final = 1.0  # initial weights are scaled by e^±this
_SPREAD_OF_INPUTS: Final = 0.7


@dataclass(frozen=True)
class TaskBatch:
    """``n`` tasks: their rows, and the weights that training begins with.

    Attributes:
        spec: What they have in common.
        rows: ``n_rows`` to train on, then ``n_validation_rows``.
        input_scale: ``(n, 1, 1)`` factor of all inputs.
        orders: ``(_N_ORDERS,)`` int64 coprime to ``n_rows``: each makes another order of them.
        initial: The parameters, each ``(n, *shape)``, in the model's order.
    """

    spec: TaskSpec
    rows: Rows
    input_scale: Tensor
    orders: Tensor
    initial: tuple[Tensor, ...]

    @cached_property
    def model(self) -> nn.Module:
        """The architecture without weights."""
        return build_model(self.spec.architecture)

    @property
    def shapes(self) -> list[torch.Size]:
        """Of the parameters of one task."""
        return [parameter.shape for parameter in self.model.parameters()]

    def tensors(self) -> list[Tensor]:
        """Everything that differs between two batches of one specification."""
        rows = [getattr(self.rows, field.name) for field in fields(Rows)]
        return [*rows, self.input_scale, self.orders, *self.initial]

    def repeated(self, times: int) -> TaskBatch:
        """The same tasks several times over: ``(times * n)`` of them."""

        def again(tensor: Tensor) -> Tensor:
            return tensor.repeat(times, *[1] * (tensor.ndim - 1))

        return replace(
            self,
            rows=Rows(self.rows.pool, again(self.rows.index), again(self.rows.labels)),
            input_scale=again(self.input_scale),
            initial=tuple(again(tensor) for tensor in self.initial),
        )

    def minibatch(self, step: Tensor) -> tuple[Tensor, Tensor]:
        """The rows of one step: each epoch reads all rows once, in an order of its own.

        Args:
            step: int64 scalar on the device of the batch.

        Returns:
            Inputs ``(n, batch_size, n_inputs)`` and labels ``(n, batch_size)``.
        """
        n_rows, size = self.spec.n_rows, self.spec.batch_size
        first = step * size
        # Indexing with a scalar tensor would wait for the device; take does not.
        order = self.orders.take((first // n_rows) % _N_ORDERS)
        place = (first + torch.arange(size, device=step.device)) % n_rows * order % n_rows
        return self._read(place)

    def _read(self, place: Tensor) -> tuple[Tensor, Tensor]:
        index = self.rows.index.index_select(1, place)
        labels = self.rows.labels.index_select(1, place)
        return self.rows.pool[index] * self.input_scale, labels

    def gradients(
        self, parameters: list[Tensor], inputs: Tensor, labels: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """The gradient of each task's loss, each ``(n, *shape)``, and the losses ``(n,)``."""
        leaves = [parameter.detach().requires_grad_() for parameter in parameters]
        with torch.enable_grad():
            gradients, losses = self._gradients(leaves, inputs, labels, create_graph=False)
        return gradients, losses.detach()

    def differentiable_gradients(
        self, parameters: list[Tensor], inputs: Tensor, labels: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """As :meth:`gradients`, with what gradients through them need."""
        return self._gradients(parameters, inputs, labels, create_graph=True)

    def _gradients(
        self, leaves: list[Tensor], inputs: Tensor, labels: Tensor, *, create_graph: bool
    ) -> tuple[list[Tensor], Tensor]:
        losses = vmap(self._loss)(self._named(leaves), inputs, labels)
        # Tasks have no parameters in common, so the gradient of the sum is that of each of them.
        gradients = torch.autograd.grad(losses.sum(), leaves, create_graph=create_graph)
        return list(gradients), losses

    def validation_losses(self, parameters: list[Tensor]) -> Tensor:
        """The mean loss of each task over the rows held out, ``(n,)``."""
        n_rows, n_held_out = self.spec.n_rows, self.spec.n_validation_rows
        device = self.input_scale.device
        inputs, labels = self._read(torch.arange(n_rows, n_rows + n_held_out, device=device))
        return vmap(self._loss)(self._named(parameters), inputs, labels)

    @cached_property
    def _names(self) -> list[str]:
        return [name for name, _ in self.model.named_parameters()]

    def _named(self, parameters: list[Tensor]) -> dict[str, Tensor]:
        return dict(zip(self._names, parameters, strict=True))

    def _loss(self, parameters: dict[str, Tensor], inputs: Tensor, labels: Tensor) -> Tensor:
        outputs = functional_call(self.model, parameters, (inputs,))
        if self.spec.regression:
            return functional.mse_loss(outputs.squeeze(-1), labels)
        return functional.cross_entropy(outputs, labels)


def make_batch(spec: TaskSpec, n: int, generator: torch.Generator) -> TaskBatch:
    """Draw ``n`` tasks.

    Args:
        spec: What they have in common.
        n: Number of tasks.
        generator: Source of randomness; all tensors lie on its device.
    """
    return TaskBatch(
        spec=spec,
        rows=make_rows(spec, n, generator),
        input_scale=_spread(_SPREAD_OF_INPUTS, n, generator)[:, None, None],
        orders=_orders(spec.n_rows, generator),
        initial=_initial_parameters(spec, n, generator),
    )


def _spread(width: float, n: int, generator: torch.Generator) -> Tensor:
    """``(n,)`` factors, uniform in e^±width on a logarithmic scale."""
    drawn = torch.rand(n, generator=generator, device=generator.device)
    return torch.exp(width * (2 * drawn - 1))


def _orders(n_rows: int, generator: torch.Generator) -> Tensor:
    device = generator.device
    candidates = torch.arange(1, max(2, n_rows), device=device)
    coprime = candidates[torch.gcd(candidates, torch.tensor(n_rows, device=device)) == 1]
    drawn = torch.randint(len(coprime), (_N_ORDERS,), generator=generator, device=device)
    return coprime[drawn]


def _initial_parameters(spec: TaskSpec, n: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Torch's uniform weights, or He's normal ones, times a gain drawn for each task.

    What is one or zero in a fresh model (norms, positions) stays so; biases are zero in half of
    the tasks.
    """
    model = build_model(spec.architecture, device="cpu")
    device = generator.device
    gain = _spread(_SPREAD_OF_INIT, n, generator)
    he = torch.rand(n, generator=generator, device=device) < 0.5
    with_bias = torch.rand(n, generator=generator, device=device) < 0.5
    initial = []
    for module in model.modules():
        linear = isinstance(module, nn.Linear)
        for name, parameter in module.named_parameters(recurse=False):
            shape = (n, *parameter.shape)
            fan_in = parameter.shape[-1] if parameter.ndim > 1 else 1
            if not linear:
                value = parameter.detach().to(device).expand(shape).clone()
            elif name == "bias":
                assert isinstance(module, nn.Linear)
                drawn = torch.rand(shape, generator=generator, device=device) * 2 - 1
                value = drawn * _over(with_bias, drawn) / module.in_features**0.5
            else:
                uniform = torch.rand(shape, generator=generator, device=device) * 2 - 1
                normal = torch.randn(shape, generator=generator, device=device) * 2**0.5
                drawn = torch.where(_over(he, normal), normal, uniform) / fan_in**0.5
                value = drawn * _over(gain, drawn)
            initial.append(value)
    return tuple(initial)


def _over(values: Tensor, like: Tensor) -> Tensor:
    """Values ``(n,)`` with axes appended until they broadcast over ``like``."""
    return values.reshape(-1, *[1] * (like.ndim - 1))
