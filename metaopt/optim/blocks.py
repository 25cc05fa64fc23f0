"""Small tensors side by side in blocks, which one operation of numpy moves together.

A model of a few thousand parameters takes a step in some microseconds of arithmetic; what costs is
to call an operation for each tensor. Here they lie in rows of one matrix, each padded to whole
rows with zeros, which stay zeros. A factor of a tensor is a factor of its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from metaopt.optim import rule

LARGEST_TENSOR: Final = 4096  # numbers; of a larger one, the arithmetic is what costs
_FEWEST_TENSORS: Final = 3
_LARGEST_TOTAL: Final = 16_384  # numbers that are moved together: they fit in a processor's cache
_ROW: Final = 64  # numbers


class Blocks:
    """Some tensors of one type, on the CPU.

    Args:
        indices: Which of the pack's tensors they are.
        params: Flat, of float32 or float64.
        offset: As the parameters; what is in them is copied.
        exp_avg_sq: As the offsets.
        shapes: Of the gradients.

    Attributes:
        indices: As given.
        offset: Flat views of where the offsets are from now on.
        exp_avg_sq: As the offsets.
    """

    def __init__(
        self,
        indices: Sequence[int],
        params: Sequence[Tensor],
        offset: Sequence[Tensor],
        exp_avg_sq: Sequence[Tensor],
        shapes: Sequence[torch.Size],
    ) -> None:
        self.indices = list(indices)
        self._params = list(params)
        sizes = [len(p) for p in params]
        n_rows = [_rows_of(size) for size in sizes]
        ends = np.cumsum([0, *n_rows])
        self._tensor_of_row = np.repeat(np.array(self.indices), n_rows)
        places = [slice(a * _ROW, a * _ROW + n) for a, n in zip(ends[:-1], sizes, strict=True)]

        def matrix() -> tuple[np.ndarray, list[Tensor]]:
            flat = torch.zeros(int(ends[-1]) * _ROW, dtype=params[0].dtype)
            return flat.numpy().reshape(-1, _ROW), [flat[place] for place in places]

        self._p, self._p_parts = matrix()
        self._g, parts = matrix()
        self._g_parts = [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
        self._d, self.offset = matrix()
        self._v, self.exp_avg_sq = matrix()
        torch._foreach_copy_(self.offset, list(offset))
        torch._foreach_copy_(self.exp_avg_sq, list(exp_avg_sq))
        self._step, self._other = np.empty_like(self._p), np.empty_like(self._p)
        dots = [matrix.reshape(-1) for matrix in (self._g, self._d, self._v, self._p)]
        ones = np.ones(max(sizes), self._p.dtype)
        self._arrays = [(*(x[i] for x in dots), ones[: i.stop - i.start]) for i in places]

    def update(self, grads: Sequence[Tensor], factors: np.ndarray) -> None:
        """As ``rule.apply``: parameters, offsets and second moments change.

        Args:
            grads: Of the shapes of the gradients, with any strides.
            factors: Of all tensors of the pack, ``[T, 6]``.
        """
        p, g, d, v, step, other = self._p, self._g, self._d, self._v, self._step, self._other
        torch._foreach_copy_(self._g_parts, list(grads))
        torch._foreach_copy_(self._p_parts, self._params)
        flat = g.reshape(-1)
        if not flat.dot(flat) <= rule.LARGEST_GRADIENT**2:
            g[...] = rule.finite(torch.from_numpy(g)).numpy()
        own = factors.take(self._tensor_of_row, axis=0)
        take2, decay, size, eps, back, stay = (own[:, i : i + 1] for i in range(6))
        np.multiply(g, g, out=other)
        other -= v
        other *= take2
        v += other
        np.sqrt(v, out=step)
        step += eps
        np.divide(g, step, out=step)
        step *= size
        np.multiply(d, back, out=other)
        np.subtract(p, other, out=other)  # the average
        d += p  # the fast point
        d *= 1 - decay
        d -= step
        other -= d
        other *= stay
        np.add(d, other, out=p)
        np.negative(other, out=d)
        torch._foreach_copy_(self._params, self._p_parts)

    def sums(self) -> list[tuple[float, ...]]:
        """The sums of memory.py, ``[T, N_SUMS]``, after an update."""
        return [
            (g.dot(g), d.dot(d), v.dot(ones), p.dot(p), g.dot(d))
            for g, d, v, p, ones in self._arrays
        ]


def groups_of(sizes: Sequence[int]) -> list[list[int]]:
    """Which tensors are to lie side by side; the others are better off alone.

    Args:
        sizes: Numbers in each tensor.
    """
    groups: list[list[int]] = [[]]
    n_rows = 0
    for index, size in enumerate(sizes):
        if 0 < size <= LARGEST_TENSOR:
            n_rows += _rows_of(size)
            if n_rows * _ROW > _LARGEST_TOTAL:
                groups.append([])
                n_rows = _rows_of(size)
            groups[-1].append(index)
    return [group for group in groups if len(group) >= _FEWEST_TENSORS]


def _rows_of(size: int) -> int:
    return -(-size // _ROW)
