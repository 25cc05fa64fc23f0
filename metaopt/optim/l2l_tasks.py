"""What the coordinate-wise LSTM is trained and tested on: small quadratics and small MLPs.

Several optimizees are one batch: their parameters are the rows of ``(n, n_parameters)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

Losses = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Optimizees:
    """Functions to minimise, side by side.

    Attributes:
        start: Where each begins, ``(n, n_parameters)``.
        losses: Maps parameters ``(n, n_parameters)`` to losses ``(n,)``; what is random in it
            (minibatches) is drawn anew with each call.
    """

    start: Tensor
    losses: Losses


class Family(Protocol):
    """A distribution of optimizees."""

    def sample(self, n: int, *, generator: torch.Generator) -> Optimizees:
        """Draw ``n`` of them, on the generator's device."""
        ...


@dataclass(frozen=True)
class Quadratics:
    """``‖Wx − y‖²`` with W and y uniform on [0, 1], from x near 0."""

    n_dimensions: int = 10

    def sample(self, n: int, *, generator: torch.Generator) -> Optimizees:
        """Draw ``n`` of them, on the generator's device."""
        d, device = self.n_dimensions, generator.device
        weights = torch.rand(n, d, d, generator=generator, device=device)
        targets = torch.rand(n, d, generator=generator, device=device)
        start = 0.01 * torch.randn(n, d, generator=generator, device=device)

        def losses(x: Tensor) -> Tensor:
            residuals = torch.bmm(weights, x.unsqueeze(-1)).squeeze(-1) - targets
            return residuals.square().sum(dim=1)

        return Optimizees(start, losses)


@dataclass(frozen=True, eq=False)
class SmallMLPs:
    """Classifiers of the same data from different starts, each with minibatches of its own.

    Attributes:
        inputs: ``(n_rows, n_features)``.
        labels: ``(n_rows,)``, classes from 0.
        hidden: Units of each hidden layer.
        activation: Between the layers.
        batch_size: Rows of a minibatch, drawn with replacement.
        start_deviation: Of all weights and biases at the start.
    """

    inputs: Tensor
    labels: Tensor
    hidden: Sequence[int] = (20,)
    activation: Callable[[Tensor], Tensor] = torch.sigmoid
    batch_size: int = 128
    start_deviation: float = 0.01

    def sample(self, n: int, *, generator: torch.Generator) -> Optimizees:
        """Draw ``n`` of them, on the generator's device."""
        device = generator.device
        inputs, labels = self.inputs.to(device), self.labels.to(device)
        n_classes = int(labels.max()) + 1
        widths = [inputs.shape[1], *self.hidden, n_classes]
        sizes = [size for a, b in pairwise(widths) for size in (a * b, b)]
        start = self.start_deviation * torch.randn(
            n, sum(sizes), generator=generator, device=device
        )

        def losses(x: Tensor) -> Tensor:
            rows = torch.randint(
                len(inputs), (n, self.batch_size), generator=generator, device=device
            )
            values = inputs[rows]
            parts = torch.split(x, sizes, dim=1)
            for layer, (a, b) in enumerate(pairwise(widths)):
                weights, biases = parts[2 * layer].view(n, a, b), parts[2 * layer + 1]
                values = torch.baddbmm(biases.unsqueeze(1), values, weights)
                if layer < len(self.hidden):
                    values = self.activation(values)
            entropies = torch.nn.functional.cross_entropy(
                values.flatten(0, 1), labels[rows].flatten(), reduction="none"
            )
            return entropies.view(n, self.batch_size).mean(dim=1)

        return Optimizees(start, losses)


def digits() -> tuple[Tensor, Tensor]:
    """scikit-learn's 8×8 digits: inputs in [0, 1], labels; MNIST's offline twin."""
    from sklearn.datasets import load_digits

    inputs, labels = load_digits(return_X_y=True)
    return torch.tensor(inputs / 16.0, dtype=torch.float32), torch.tensor(labels)
