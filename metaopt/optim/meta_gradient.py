"""Evolution strategies: the gradient of a final loss that cannot be differentiated through.

Symbols: K numbers in θ, n pairs of tasks, σ the size of a perturbation.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

_LARGEST_DIFFERENCE: Final = 1.0  # of two log losses; a divergence may not drown all else
_SMALLEST_SPREAD: Final = 1e-2


def perturb(
    theta: Tensor, n: int, *, sigma: float, generator: torch.Generator, trained: Tensor
) -> tuple[Tensor, Tensor]:
    """Antithetic perturbations of θ, each held for a whole training.

    Args:
        theta: ``(K,)``.
        n: Number of pairs.
        sigma: Standard deviation of the perturbations.
        generator: Source of randomness, on θ's device.
        trained: ``(K,)``, 1 for what is trained, 0 for what stays as it is.

    Returns:
        ``(2 n, K)``: θ + σ ε, then θ − σ ε; and ε, ``(n, K)``.

    Source: Li et al. 2023 (noise-reuse evolution strategies), over a full episode.
    """
    noise = torch.randn(n, len(theta), generator=generator, device=theta.device) * trained
    return torch.cat([theta + sigma * noise, theta - sigma * noise]), noise


def estimate_gradient(log_losses: Tensor, noise: Tensor) -> Tensor:
    """The direction in which θ makes the final log losses larger, ``(K,)``.

    Differences within a pair are cut off at ``_LARGEST_DIFFERENCE`` and divided by their root
    mean square, so that batches of tasks whose losses can hardly change weigh as much as others.

    Args:
        log_losses: ``(2 n,)``, in the order of :func:`perturb`; finite.
        noise: ``(n, K)``.
    """
    plus, minus = log_losses.chunk(2)
    difference = (plus - minus).clamp(-_LARGEST_DIFFERENCE, _LARGEST_DIFFERENCE)
    spread = difference.square().mean().sqrt().clamp_min(_SMALLEST_SPREAD)
    return (difference / spread) @ noise / len(noise)
