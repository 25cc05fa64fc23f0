"""Distances and covariances between rows of scaled features."""

from __future__ import annotations

import numpy as np


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances ``(n, m)`` between rows ``(n, D)`` and ``(m, D)``."""
    distances = a @ b.T
    distances *= -2.0
    distances += np.einsum("ij,ij->i", a, a)[:, None]
    distances += np.einsum("ij,ij->i", b, b)[None, :]
    return np.maximum(distances, 0.0, out=distances)


def matern52(squared: np.ndarray) -> np.ndarray:
    """The Matérn covariance with smoothness 5/2 and variance 1, of squared scaled distances."""
    r = np.sqrt(5.0 * squared)
    covariance = np.exp(-r)
    covariance *= 1.0 + r + r * r / 3.0
    return covariance
