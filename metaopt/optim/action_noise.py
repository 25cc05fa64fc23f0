"""Noise on what the LSTM decides: smooth random curves over a training, for evolution strategies.

Symbols: n tasks, T tensors of one optimizee, A actions (see controller.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from metaopt.optim.controller import N_ACTIONS
from metaopt.optim.features import Shapes

SIZES: Final = (0.3, 0.8, 0.4, 0.5)  # of the noise of each action
SIZES_OF_SCHEDULE: Final = (0.3, 0.3, 0.4, 0.3)
_LATER: Final = 0.6  # sizes of the parts of a curve, of that which is the same everywhere
_MIDDLE: Final = 0.6
_OF_TENSORS: Final = 0.6


@dataclass(frozen=True)
class ActionNoise:
    """A smooth random curve of each action of each tensor.

    Attributes:
        constant: ``(n, T, A)``, over the whole training.
        later: ``(n, 1, A)``, what is less early and more late.
        middle: ``(n, 1, A)``, what is more at both ends than in the middle.
        sizes: ``(A,)``, the standard deviation of each action's.
    """

    constant: Tensor
    later: Tensor
    middle: Tensor
    sizes: Tensor

    @classmethod
    def draw(cls, n: int, facts: Shapes, generator: torch.Generator, *, tied: bool) -> ActionNoise:
        """Draw for ``n`` tasks.

        Args:
            n: Number of tasks.
            facts: Of the tensors.
            generator: Source of randomness, on their device.
            tied: Whether all tensors have the same.
        """
        device = generator.device
        drawn = torch.randn(5, n, 1, N_ACTIONS, generator=generator, device=device)
        sizes = torch.tensor(SIZES_OF_SCHEDULE if tied else SIZES, device=device)
        drawn = drawn * sizes
        everywhere, later, middle, of_matrices, of_place = drawn.unbind()
        constant = everywhere.expand(n, len(facts.sizes), N_ACTIONS)
        if not tied:
            is_matrix = (2 * facts.is_matrix - 1)[:, None]
            place = facts.features[:, 5:6]
            constant = constant + _OF_TENSORS * (of_matrices * is_matrix + of_place * place)
        return cls(constant, _LATER * later, _MIDDLE * middle, sizes)

    def at(self, fraction: float) -> Tensor:
        """The noise when this share of the steps is over, ``(n, T, A)``."""
        linear = 3**0.5 * (2 * fraction - 1)
        wave = 2**0.5 * math.cos(2 * math.pi * fraction)
        return self.constant + linear * self.later + wave * self.middle
