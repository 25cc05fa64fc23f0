"""The small networks that learners share, as pure functions of their parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from metaopt.learners.learner import Theta


class Network(Protocol):
    """Anything that maps inputs to outputs by parameters that it does not hold."""

    def initial(self, generator: torch.Generator) -> Theta:
        """Parameters before training."""
        ...

    def __call__(self, theta: Theta, x: Tensor) -> Tensor:
        """Outputs ``(n, n_out)`` of inputs ``(n, n_in)``."""
        ...


@dataclass(frozen=True)
class MLP:
    """A fully connected network without state.

    Attributes:
        sizes: Of the layers, input first, such as ``(1, 40, 40, 1)``.
        activation: Between layers.
        name: Prefix of its parameters in θ, for learners with several networks.
    """

    sizes: tuple[int, ...]
    activation: Callable[[Tensor], Tensor] = torch.relu
    name: str = ""

    @property
    def n_layers(self) -> int:
        """Linear maps."""
        return len(self.sizes) - 1

    def initial(self, generator: torch.Generator) -> Theta:
        """Weights and biases uniform within 1/√fan-in, as torch's own linear layers."""
        theta = {}
        for i, (n_in, n_out) in enumerate(zip(self.sizes, self.sizes[1:], strict=False)):
            theta[f"{self.name}weight{i}"] = _uniform((n_in, n_out), n_in, generator)
            theta[f"{self.name}bias{i}"] = _uniform((n_out,), n_in, generator)
        return theta

    def __call__(self, theta: Theta, x: Tensor) -> Tensor:
        """Outputs ``(..., n_out)`` of inputs ``(..., n_in)``."""
        for i in range(self.n_layers):
            x = x @ theta[f"{self.name}weight{i}"] + theta[f"{self.name}bias{i}"]
            if i < self.n_layers - 1:
                x = self.activation(x)
        return x


@dataclass(frozen=True)
class ConvNet:
    """3×3 convolutions with ReLU, all but the first halving the image, and a linear layer.

    Attributes:
        side: Of the square images of one channel that are the inputs, row by row.
        channels: Of each convolution.
        n_outputs: Of the linear layer.
    """

    side: int
    channels: tuple[int, ...]
    n_outputs: int

    def initial(self, generator: torch.Generator) -> Theta:
        """As ``MLP``'s."""
        theta = {}
        n_in, side = 1, self.side
        for i, n_out in enumerate(self.channels):
            theta[f"weight{i}"] = _uniform((n_out, n_in, 3, 3), 9 * n_in, generator)
            theta[f"bias{i}"] = _uniform((n_out,), 9 * n_in, generator)
            n_in, side = n_out, side if i == 0 else (side + 1) // 2
        n_in *= side**2
        theta["weight_out"] = _uniform((n_in, self.n_outputs), n_in, generator)
        theta["bias_out"] = _uniform((self.n_outputs,), n_in, generator)
        return theta

    def __call__(self, theta: Theta, x: Tensor) -> Tensor:
        """Outputs ``(n, n_outputs)`` of inputs ``(n, side * side)``."""
        images = x.reshape(len(x), 1, self.side, self.side)
        for i in range(len(self.channels)):
            weight, bias = theta[f"weight{i}"], theta[f"bias{i}"]
            images = torch.relu(conv2d(images, weight, bias, 1 if i == 0 else 2, padding=1))
        return images.flatten(1) @ theta["weight_out"] + theta["bias_out"]


def _uniform(shape: tuple[int, ...], n_in: int, generator: torch.Generator) -> Tensor:
    return (2 * torch.rand(shape, generator=generator) - 1) / math.sqrt(n_in)
