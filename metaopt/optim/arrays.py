"""The few array operations of the controller, for tensors of torch and for arrays of numpy.

The controller works on tiny matrices. On a CPU, numpy handles these several times faster than
torch; on a GPU, in a compiled step and in meta-training they are tensors. So what is computed is
written once, with these operations, and ``Array`` is either kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

Array = Any


class TorchArrays:
    """Operations on tensors; all concatenate and stack along the last dimension."""

    exp = staticmethod(torch.exp)
    log = staticmethod(torch.log)
    log10 = staticmethod(torch.log10)
    sqrt = staticmethod(torch.sqrt)
    tanh = staticmethod(torch.tanh)
    sigmoid = staticmethod(torch.sigmoid)
    is_finite = staticmethod(torch.isfinite)

    @staticmethod
    def where(condition: Array, x: Array, otherwise: Array) -> Array:
        """Chosen element by element."""
        return torch.where(condition, x, otherwise)

    @staticmethod
    def clamp(x: Array, low: float, high: float) -> Array:
        """Within two numbers; NaN stays."""
        return x.clamp(low, high)

    @staticmethod
    def as_float(x: Array) -> Array:
        """1 for true, 0 for false."""
        return x.to(torch.float32)

    @staticmethod
    def spread(x: Array, shape: Sequence[int]) -> Array:
        """Repeated to a shape."""
        return x.expand(*shape)

    @staticmethod
    def cat(parts: Sequence[Array]) -> Array:
        """One after the other."""
        return torch.cat(list(parts), -1)

    @staticmethod
    def stack(parts: Sequence[Array]) -> Array:
        """Along a new dimension."""
        return torch.stack(list(parts), -1)


class NumpyArrays:
    """The same on numpy's arrays."""

    exp = np.exp
    log = np.log
    log10 = np.log10
    sqrt = np.sqrt
    tanh = np.tanh
    is_finite = np.isfinite

    @staticmethod
    def where(condition: Array, x: Array, otherwise: Array) -> Array:
        """Chosen element by element."""
        return np.where(condition, x, otherwise)

    @staticmethod
    def sigmoid(x: Array) -> Array:
        """The logistic function."""
        return 0.5 * np.tanh(0.5 * x) + 0.5

    @staticmethod
    def clamp(x: Array, low: float, high: float) -> Array:
        """Within two numbers; NaN stays."""
        return np.minimum(np.maximum(x, low), high)

    @staticmethod
    def as_float(x: Array) -> Array:
        """1 for true, 0 for false."""
        return x.astype(np.float32)

    @staticmethod
    def spread(x: Array, shape: Sequence[int]) -> Array:
        """Repeated to a shape."""
        return np.broadcast_to(x, shape)

    @staticmethod
    def cat(parts: Sequence[Array]) -> Array:
        """One after the other."""
        return np.concatenate(parts, -1)

    @staticmethod
    def stack(parts: Sequence[Array]) -> Array:
        """Along a new dimension."""
        return np.stack(parts, -1)


def arrays_of(x: Array) -> type[TorchArrays] | type[NumpyArrays]:
    """The operations for this kind of array."""
    return NumpyArrays if isinstance(x, np.ndarray) else TorchArrays
