"""The small network that learners share, as a pure function of its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from metaopt.learners.learner import Theta


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
            bound = 1 / math.sqrt(n_in)
            for kind, shape in (("weight", (n_in, n_out)), ("bias", (n_out,))):
                unit = torch.rand(shape, generator=generator)
                theta[f"{self.name}{kind}{i}"] = bound * (2 * unit - 1)
        return theta

    def __call__(self, theta: Theta, x: Tensor) -> Tensor:
        """Outputs ``(..., n_out)`` of inputs ``(..., n_in)``."""
        for i in range(self.n_layers):
            x = x @ theta[f"{self.name}weight{i}"] + theta[f"{self.name}bias{i}"]
            if i < self.n_layers - 1:
                x = self.activation(x)
        return x
