"""Ways to update the elements: all do what ``rule.apply`` does, at another speed.

Each takes lists of plain tensors (real, on one device) and the factors ``[T, 6]`` of
``Coefficients.factors``, changes parameters and state in place, and returns the sums
``[T, N_SUMS]`` of memory.py, or None if they were not asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import torch
from torch import Tensor

from metaopt.optim import memory as columns
from metaopt.optim import rule
from metaopt.optim.arrays import Array

_IN_CACHE: Final = 1 << 17  # numbers of a tensor that are updated together
# Steps after which Adam's bias correction is 1: plan has it.
_ALL_CORRECTED: Final = [torch.tensor(1e12)]


class Backend(Protocol):
    """One way to update the elements."""

    def __call__(
        self,
        params: list[Tensor],
        grads: list[Tensor],
        offset: list[Tensor],
        exp_avg_sq: list[Tensor],
        factors: Array,
        *,
        observe: bool,
    ) -> Tensor | None:
        """Update, and return the sums if ``observe``."""


def one_by_one(
    params: list[Tensor],
    grads: list[Tensor],
    offset: list[Tensor],
    exp_avg_sq: list[Tensor],
    factors: Tensor,
    *,
    observe: bool,
) -> Tensor | None:
    """``rule.apply`` tensor by tensor; what ``torch.compile`` makes one kernel of."""
    sums = []
    for index, (p, g, d, v) in enumerate(zip(params, grads, offset, exp_avg_sq, strict=True)):
        own = factors[index].to(d.dtype).unbind()
        new_p, g, new_d, new_v = rule.apply(p.to(d.dtype), g.to(d.dtype), d, v, *own)
        p.copy_(new_p)
        # The fast point stays where it is when the parameter is rounded.
        d.copy_(new_d if p.dtype == d.dtype else new_d + (new_p - p))
        v.copy_(new_v)
        if observe:
            sums.append(rule.sums_of(new_p, g, new_d, new_v).float())
    return torch.stack(sums) if observe else None


def many_at_once(
    params: list[Tensor],
    grads: list[Tensor],
    offset: list[Tensor],
    exp_avg_sq: list[Tensor],
    factors: Tensor,
    *,
    observe: bool,
) -> Tensor | None:
    """With torch's operations on lists of tensors, without waiting for the device."""
    dtypes = [d.dtype for d in offset]
    share, decay, *others, back, stay = factors.unbind(-1)
    take2, keep, forward, leave, size, eps = (
        [own.to(dtype) for own, dtype in zip(column, dtypes, strict=True)]
        for column in (share, 1 - decay, -back, 1 - stay, *others)
    )
    g = [rule.finite(x.to(dtype)) for x, dtype in zip(grads, dtypes, strict=True)]
    d, v = list(offset), list(exp_avg_sq)
    torch._foreach_lerp_(v, torch._foreach_mul(g, g), take2)
    step = torch._foreach_sqrt(v)
    torch._foreach_add_(step, eps)
    torch._foreach_reciprocal_(step)
    torch._foreach_mul_(step, g)
    torch._foreach_mul_(step, size)
    p = [x.to(dtype) for x, dtype in zip(params, dtypes, strict=True)]
    torch._foreach_add_(d, p)  # the fast point
    torch._foreach_lerp_(p, d, forward)  # the average
    torch._foreach_mul_(d, keep)
    torch._foreach_sub_(d, step)
    torch._foreach_lerp_(p, d, leave)
    for target, value in zip(params, p, strict=True):
        if target is not value:
            target.copy_(value)
            value.copy_(target)  # rounded
    torch._foreach_sub_(d, p)
    if not observe:
        return None
    lengths = [torch.stack(torch._foreach_norm(x)).float() for x in (g, d, p)]
    total = torch.stack(torch._foreach_norm(v, 1)).float()
    # At equal lengths, that of the difference tells the angle.
    ratio = lengths[1] / lengths[0].clamp_min(columns.SMALLEST)
    torch._foreach_mul_(g, [x.to(dtype) for x, dtype in zip(ratio, dtypes, strict=True)])
    torch._foreach_sub_(g, d)
    apart = torch.stack(torch._foreach_norm(g)).float() / lengths[1].clamp_min(columns.SMALLEST)
    product = lengths[0] * lengths[1] * (1 - apart.square() / 2)
    squares = [x.square() for x in lengths]
    return torch.stack([squares[0], squares[1], total, squares[2], product], -1)


def fused_on_cpu(
    params: list[Tensor],
    grads: list[Tensor],
    offset: list[Tensor],
    exp_avg_sq: list[Tensor],
    factors: Array,
    *,
    observe: bool,
) -> Tensor | None:
    """With Adam's fused operation, each tensor with its own coefficients.

    For one-dimensional tensors of one type, float32 or float64. Everything is done while a part
    of a tensor is in the processor's cache.
    """
    sums = []
    for p, g, d, v, own in zip(params, grads, offset, exp_avg_sq, factors.tolist(), strict=True):
        if len(p) <= _IN_CACHE:
            sums.append(_fused(p, g, d, v, own, observe))
        else:
            parts = [slice(first, first + _IN_CACHE) for first in range(0, len(p), _IN_CACHE)]
            found = [_fused(p[i], g[i], d[i], v[i], own, observe) for i in parts]
            sums.append(tuple(map(sum, zip(*found, strict=True))))
    return torch.tensor(sums) if observe else None


def _fused(
    p: Tensor, g: Tensor, d: Tensor, v: Tensor, factors: Sequence[float], observe: bool
) -> tuple[float, ...]:
    """The step of a part of a tensor, and its sums, if asked for."""
    take2, decay, size, eps, back, stay = factors
    square = g.dot(g).item()
    if not square <= rule.LARGEST_GRADIENT**2:
        g = rule.finite(g)
        square = g.dot(g).item()
    d.add_(p)  # the fast point
    if back:
        p.lerp_(d, -back)  # the average
    if decay:
        d.mul_(1 - decay)
    # Without a first moment, the gradient stands in for it: it is written, with what it was.
    torch._fused_adamw_(
        [d],
        [g],
        [g],
        [v],
        [],
        _ALL_CORRECTED,
        lr=size,
        beta1=0.0,
        beta2=1 - take2,
        weight_decay=0.0,
        eps=eps,
        amsgrad=False,
        maximize=False,
    )
    p.lerp_(d, 1 - stay)
    d.sub_(p)
    if not observe:
        return ()
    return square, d.dot(d).item(), v.sum().item(), p.dot(p).item(), g.dot(d).item()
