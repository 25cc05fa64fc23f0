"""Moments of numeric columns: mean, standard deviation, skewness, kurtosis.

| symbol | meaning | shape |
| --- | --- | --- |
| n | finite values of each column | (p,) |
| mean | their mean | (p,) |
| m2, m3, m4 | sums of the second to fourth powers of deviations from the mean | (p,) |
"""

from __future__ import annotations

from typing import Any

import numpy as np

MOMENTS = ("mean", "std", "skewness", "kurtosis")
"""What the columns of ``moments`` hold."""

_CHUNK_CELLS = 1 << 16
# Half a megabyte of floats: a chunk and its temporaries stay in the processor's cache.

_CONSTANT = 64 * float(np.finfo(np.float64).eps)
# A spread below this share of the mean is what rounding makes of a constant column.


def moments(values: Any) -> np.ndarray:
    """Moments of each column over its finite values.

    Args:
        values: ``(n_rows, p)`` floats, a dense array or scipy's CSR matrix (not made dense).

    Returns:
        ``(p, 4)``: mean, standard deviation (n - 1), sample skewness G1 and sample excess
        kurtosis G2, as OpenML's engine computes them. NaN where undefined: no finite value; a
        standard deviation of fewer than two, a skewness of fewer than three and a kurtosis of
        fewer than four values; both of a constant column; and where floats overflow.
    """
    with np.errstate(all="ignore"):
        sums = _dense_sums(values) if isinstance(values, np.ndarray) else _sparse_sums(values)
        return _from_sums(*sums)


def _dense_sums(values: np.ndarray) -> tuple[np.ndarray, ...]:
    n_rows, p = values.shape
    step = max(1, _CHUNK_CELLS // max(p, 1))
    chunks = [slice(start, start + step) for start in range(0, n_rows, step)]
    n = np.zeros(p)
    total = np.zeros(p)
    for rows in chunks:
        chunk = values[rows]
        finite = np.isfinite(chunk)
        n += finite.sum(axis=0)
        total += np.where(finite, chunk, 0.0).sum(axis=0)
    mean = total / n
    m2, m3, m4 = np.zeros(p), np.zeros(p), np.zeros(p)
    for rows in chunks:
        chunk = values[rows]
        deviation = np.where(np.isfinite(chunk), chunk - mean, 0.0)
        square = deviation * deviation
        m2 += square.sum(axis=0)
        m3 += np.einsum("ij,ij->j", square, deviation)
        m4 += np.einsum("ij,ij->j", square, square)
    return n, mean, m2, m3, m4


def _sparse_sums(matrix: Any) -> tuple[np.ndarray, ...]:
    n_rows, p = matrix.shape
    data = np.asarray(matrix.data, dtype=np.float64)
    finite = np.isfinite(data)
    columns, entries = matrix.indices[finite], data[finite]

    def per_column(weights: np.ndarray | None = None) -> np.ndarray:
        return np.bincount(columns, weights=weights, minlength=p).astype(np.float64)

    n_zeros = n_rows - np.bincount(matrix.indices, minlength=p)
    n = n_zeros + per_column()
    mean = per_column(entries) / n
    deviation = entries - mean[columns]
    m2, m3, m4 = (per_column(deviation**k) + n_zeros * (-mean) ** k for k in (2, 3, 4))
    return n, mean, m2, m3, m4


def _from_sums(
    n: np.ndarray, mean: np.ndarray, m2: np.ndarray, m3: np.ndarray, m4: np.ndarray
) -> np.ndarray:
    constant = np.isfinite(mean) & (np.sqrt(m2 / n) <= _CONSTANT * np.abs(mean))
    variance = np.where(constant, 0.0, m2 / n)
    std = np.where(n > 1, np.sqrt(variance * n / (n - 1)), np.nan)
    skewness = (m3 / n) / variance**1.5 * np.sqrt(n * (n - 1)) / (n - 2)
    excess = (m4 / n) / variance**2 - 3
    kurtosis = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * excess + 6)
    skewness = np.where((n > 2) & ~constant, skewness, np.nan)
    kurtosis = np.where((n > 3) & ~constant, kurtosis, np.nan)
    result = np.column_stack([mean, std, skewness, kurtosis])
    return np.where(np.isfinite(result), result, np.nan)
