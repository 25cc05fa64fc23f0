"""The small networks that learners share, as pure functions of their parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d

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
    """3×3 convolutions with ReLU on square images: features of what is where.

    The last map, flat, is scaled to one length for all images, which is learned.

    Attributes:
        side: Of the images of one channel that are the inputs, row by row.
        channels: Of each convolution.
        pools: Side of the squares that are averaged after each; 1 averages nothing.
        n_outputs: Of a linear layer after that, which is 0 before training; None: the features
            themselves are the outputs.
        squared_length: Of the features, before training.
    """

    side: int
    channels: tuple[int, ...]
    pools: tuple[int, ...]
    n_outputs: int | None = None
    squared_length: float = 8.0

    def initial(self, generator: torch.Generator) -> Theta:
        """Kernels uniform with variance 1/fan-in, and biases of 0."""
        theta: Theta = {"log_squared_length": torch.tensor(math.log(self.squared_length))}
        n_in, side = 1, self.side
        for i, (n_out, pool) in enumerate(zip(self.channels, self.pools, strict=True)):
            kernels = _uniform((n_out, n_in, 3, 3), 9 * n_in, generator)
            theta |= {f"weight{i}": math.sqrt(3) * kernels, f"bias{i}": torch.zeros(n_out)}
            n_in, side = n_out, side // pool
        if self.n_outputs is not None:
            theta["weight_out"] = torch.zeros(n_in * side**2, self.n_outputs)
            theta["bias_out"] = torch.zeros(self.n_outputs)
        return theta

    def __call__(self, theta: Theta, x: Tensor) -> Tensor:
        """Outputs ``(n, n_outputs)``, or features, of inputs ``(n, side * side)``."""
        images = x.reshape(len(x), 1, self.side, self.side)
        for i, pool in enumerate(self.pools):
            images = torch.relu(conv2d(images, theta[f"weight{i}"], theta[f"bias{i}"], padding=1))
            images = avg_pool2d(images, pool) if pool > 1 else images
        features = images.flatten(1)
        length = (0.5 * theta["log_squared_length"]).exp()
        features = length * features / (features.norm(dim=1, keepdim=True) + 1e-6)
        if self.n_outputs is None:
            return features
        return features @ theta["weight_out"] + theta["bias_out"]


def _uniform(shape: tuple[int, ...], n_in: int, generator: torch.Generator) -> Tensor:
    return (2 * torch.rand(shape, generator=generator) - 1) / math.sqrt(n_in)
