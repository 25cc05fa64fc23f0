"""Targets that a small network finds hard: sinusoids, truth tables, classes of many clusters."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

_N_WAVES: Final = 12
_FREQUENCIES: Final = (1.0, 5.0)  # of the waves, per deviation of an input
_MOST_RELEVANT: Final = 4  # inputs in a truth table
_CLUSTERS_OF_A_CLASS: Final = 4


def sinusoids(n: int, m: int, d: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sums of random waves over evenly spread rows.

    Args:
        n: Number of tasks, each with frequencies of its own.
        m: Rows of each.
        d: Inputs.
        generator: Source of randomness.

    Returns:
        Rows ``(n, m, d)`` and targets ``(n, m)``, both standardised.
    """
    device = generator.device
    x = 12**0.5 * (torch.rand(n, m, d, generator=generator, device=device) - 0.5)
    low, high = map(math.log, _FREQUENCIES)
    drawn = torch.rand(n, 1, 1, generator=generator, device=device)
    frequencies = torch.randn(n, d, _N_WAVES, generator=generator, device=device)
    frequencies = frequencies * torch.exp(low + (high - low) * drawn) / d**0.5
    phases = 2 * math.pi * torch.rand(n, 1, _N_WAVES, generator=generator, device=device)
    heights = torch.randn(n, _N_WAVES, 1, generator=generator, device=device)
    y = (torch.sin(x @ frequencies + phases) @ heights).squeeze(-1)
    y = y - y.mean(dim=1, keepdim=True)
    return x, y / y.std(dim=1, keepdim=True).clamp_min(1e-6)


def truth_tables(n: int, m: int, d: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Random functions of a few of many signs.

    Args:
        n: Number of tasks, each with a truth table of its own.
        m: Rows of each.
        d: Inputs, of which the first are those that count.
        generator: Source of randomness.

    Returns:
        Rows ``(n, m, d)`` of signs, and classes ``(n, m)``: 0 or 1.
    """
    device = generator.device
    bits = torch.randint(2, (n, m, d), generator=generator, device=device)
    k = min(d, _MOST_RELEVANT)
    n_relevant = torch.randint(2, k + 1, (n, 1), generator=generator, device=device)
    place = torch.arange(k, device=device)
    row = (bits[:, :, :k] * 2**place * (place < n_relevant)[:, None, :]).sum(-1)
    # Half of a table is true, so that no task has a single class.
    table = torch.rand(n, 2**k, generator=generator, device=device)
    used = torch.arange(2**k, device=device) < 2**n_relevant
    middle = table.masked_fill(~used, torch.nan).nanmedian(dim=1, keepdim=True).values
    return 2.0 * bits - 1, (table > middle).long().gather(1, row)


def clusters(n: int, m: int, d: int, k: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Classes of several clusters each.

    Args:
        n: Number of tasks, each with clusters of its own.
        m: Rows of each.
        d: Inputs.
        k: Classes.
        generator: Source of randomness.

    Returns:
        Rows ``(n, m, d)`` with deviations of 1, and classes ``(n, m)``.
    """
    device = generator.device
    centres = torch.randn(n, k * _CLUSTERS_OF_A_CLASS, d, generator=generator, device=device)
    cluster = torch.randint(centres.shape[1], (n, m), generator=generator, device=device)
    spread = 0.1 + 0.4 * torch.rand(n, 1, 1, generator=generator, device=device)
    task = torch.arange(n, device=device)[:, None]
    noise = torch.randn(n, m, d, generator=generator, device=device)
    x = centres[task, cluster] + spread * noise
    return x / x.std(dim=1, keepdim=True).clamp_min(1e-6), cluster % k
