"""Sine waves: the sanity problem of few-shot regression.

Source: Finn et al. 2017 (MAML), section 5.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from metaopt.episodes.episode import Episode, Points


@dataclass(frozen=True)
class Sinusoids:
    """y = A sin(x - φ) with A and φ of each task drawn uniformly.

    Attributes:
        n_support: Points to adapt to, x uniform over ``inputs``.
        n_query: Points to be judged on.
        amplitudes: Range of A.
        phases: Range of φ.
        inputs: Range of x.
        grid: Whether the query is an even grid over ``inputs`` instead of random points.
    """

    n_support: int = 10
    n_query: int = 10
    amplitudes: tuple[float, float] = (0.1, 5.0)
    phases: tuple[float, float] = (0.0, math.pi)
    inputs: tuple[float, float] = (-5.0, 5.0)
    grid: bool = False

    def sample(
        self, n_tasks: int, generator: torch.Generator, *, progress: float = 1.0
    ) -> Episode:
        """See ``TaskDistribution``."""
        device = generator.device
        n = self.n_support if self.grid else self.n_support + self.n_query
        # One draw for everything: amplitude, phase, inputs.
        drawn = torch.rand(n_tasks, n + 2, 1, generator=generator, device=device)
        amplitude = _within(self.amplitudes, drawn[:, :1])
        phase = _within(self.phases, drawn[:, 1:2])
        x = _within(self.inputs, drawn[:, 2:])
        if self.grid:
            even = torch.linspace(*self.inputs, self.n_query, device=device)
            x = torch.cat([x, even[:, None].expand(n_tasks, -1, 1)], dim=1)
        y = amplitude * torch.sin(x - phase)
        weight = torch.ones(x.shape[:2], device=device)
        s = self.n_support
        return Episode(
            Points(x[:, :s], y[:, :s], weight[:, :s]), Points(x[:, s:], y[:, s:], weight[:, s:])
        )


def _within(limits: tuple[float, float], unit: torch.Tensor) -> torch.Tensor:
    low, high = limits
    return low + (high - low) * unit
