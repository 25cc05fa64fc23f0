"""Ways to update the elements: all do what ``rule.apply`` does, at another speed.

Each takes lists of plain tensors (real, on one device) and the factors ``[T, 5]`` of
``Coefficients.factors``, changes parameters and moments in place, and returns the sums
``[T, N_SUMS]`` of memory.py, or None if they were not asked for.
"""

from __future__ import annotations

import math
from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor

from metaopt.optim import rule
from metaopt.optim.arrays import Array

# Steps after which Adam's bias corrections are 1: plan has them.
_ALL_CORRECTED: Final = [torch.tensor(1e12)]


class Backend(Protocol):
    """One way to update the elements."""

    def __call__(
        self,
        params: list[Tensor],
        grads: list[Tensor],
        exp_avg: list[Tensor],
        exp_avg_sq: list[Tensor],
        factors: Array,
        *,
        observe: bool,
    ) -> Tensor | None:
        """Update, and return the sums if ``observe``."""


def one_by_one(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avg: list[Tensor],
    exp_avg_sq: list[Tensor],
    factors: Tensor,
    *,
    observe: bool,
) -> Tensor | None:
    """``rule.apply`` tensor by tensor; what ``torch.compile`` makes one kernel of."""
    sums = []
    for index, (p, g, m, v) in enumerate(zip(params, grads, exp_avg, exp_avg_sq, strict=True)):
        own = factors[index].to(m.dtype).unbind()
        new_p, g, new_m, new_v = rule.apply(p.to(m.dtype), g.to(m.dtype), m, v, *own)
        p.copy_(new_p)
        m.copy_(new_m)
        v.copy_(new_v)
        if observe:
            sums.append(rule.sums_of(new_p, g, new_m, new_v).float())
    return torch.stack(sums) if observe else None


def many_at_once(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avg: list[Tensor],
    exp_avg_sq: list[Tensor],
    factors: Tensor,
    *,
    observe: bool,
) -> Tensor | None:
    """With torch's operations on lists of tensors, without waiting for the device."""
    dtypes = [m.dtype for m in exp_avg]
    take1, take2, keep, size, eps = (
        [own.to(dtype) for own, dtype in zip(column.unbind(), dtypes, strict=True)]
        for column in factors.unbind(-1)
    )
    g = [rule.finite(x.to(dtype)) for x, dtype in zip(grads, dtypes, strict=True)]
    m, v = list(exp_avg), list(exp_avg_sq)
    torch._foreach_lerp_(m, g, take1)
    torch._foreach_lerp_(v, torch._foreach_mul(g, g), take2)
    step = torch._foreach_sqrt(v)
    torch._foreach_add_(step, eps)
    torch._foreach_reciprocal_(step)
    torch._foreach_mul_(step, m)
    torch._foreach_mul_(step, size)
    p = [x.to(dtype) for x, dtype in zip(params, dtypes, strict=True)]
    torch._foreach_mul_(p, keep)
    torch._foreach_sub_(p, step)
    for target, value in zip(params, p, strict=True):
        if target is not value:
            target.copy_(value)
    if not observe:
        return None
    squares = [torch.stack(torch._foreach_norm(x)).float().square() for x in (g, m, p)]
    torch._foreach_sub_(g, m)
    difference = torch.stack(torch._foreach_norm(g)).float().square()
    total = torch.stack(torch._foreach_norm(v, 1)).float()
    product = (squares[0] + squares[1] - difference) / 2
    return torch.stack([squares[0], squares[1], total, squares[2], product], -1)


def fused_on_cpu(
    params: list[Tensor],
    grads: list[Tensor],
    exp_avg: list[Tensor],
    exp_avg_sq: list[Tensor],
    factors: Array,
    *,
    observe: bool,
) -> Tensor | None:
    """With Adam's fused operation, each tensor with its own coefficients.

    For one-dimensional tensors of one type, float32 or float64. Sums are taken while a tensor is
    in the processor's cache.
    """
    sums = []
    for p, g, m, v, (take1, take2, keep, size, eps) in zip(
        params, grads, exp_avg, exp_avg_sq, factors.tolist(), strict=True
    ):
        square = g.dot(g).item()
        if not math.isfinite(square):
            g = rule.finite(g)
            square = g.dot(g).item()
        torch._fused_adamw_(
            [p],
            [g],
            [m],
            [v],
            [],
            _ALL_CORRECTED,
            lr=size,
            beta1=1 - take1,
            beta2=1 - take2,
            weight_decay=(1 - keep) / size if size else 0.0,
            eps=eps,
            amsgrad=False,
            maximize=False,
        )
        if observe:
            sums.append(
                (square, m.dot(m).item(), v.sum().item(), p.dot(p).item(), g.dot(m).item())
            )
    return torch.tensor(sums) if observe else None


def sums_of_arrays(arrays: list[tuple[np.ndarray, ...]], grads: list[Tensor]) -> np.ndarray:
    """The sums ``[T, N_SUMS]`` of small tensors, with numpy, whose calls cost less than torch's.

    Args:
        arrays: Parameter, first and second moment and ones, flat, for each tensor.
        grads: As ``fused_on_cpu`` takes them.
    """
    sums = []
    for (p, m, v, ones), grad in zip(arrays, grads, strict=True):
        g = grad.detach().numpy()
        square = g.dot(g)
        if not math.isfinite(square):
            g = rule.finite(grad.detach()).numpy()
            square = g.dot(g)
        sums.append((square, m.dot(m), v.dot(ones), p.dot(p), g.dot(m)))
    return np.array(sums, np.float32)
