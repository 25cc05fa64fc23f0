"""The cells of one column: which are missing, which are numbers, and codes for the others."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from decimal import Decimal
from numbers import Real
from typing import Any, TypeAlias

import numpy as np

Encoded: TypeAlias = tuple[np.ndarray, Sequence[Any]]
"""``(n_rows,)`` codes, -1 for a missing value, and the distinct values in the codes' order."""

_FEW = 100
# So many cells are looked at before all are: a column of strings shows in the first one.

_CHUNK = 1 << 16
# Cells whose types are looked at together.

_NEVER_MISSING = frozenset({str, int, bool, bytes})


def is_missing(cells: np.ndarray) -> np.ndarray:
    """Which cells are NaN, NaT, NA or None, as booleans of the same shape."""
    if cells.dtype.kind == "f":
        return np.asarray(np.isnan(cells))
    if cells.dtype.kind in "Mm":
        return np.asarray(np.isnat(cells))
    if cells.dtype.kind != "O":
        return np.zeros(cells.shape, dtype=bool)
    if "pandas" in sys.modules:  # its NA can exist only then, and its loop is faster
        import pandas as pd

        return np.asarray(pd.isna(cells), dtype=bool)
    missing = np.zeros(cells.size, dtype=bool)
    flat = cells.reshape(-1)
    for start in range(0, cells.size, _CHUNK):
        part = flat[start : start + _CHUNK]
        types = set(map(type, part.tolist()))
        if types <= _NEVER_MISSING:
            continue
        if types <= _NEVER_MISSING | {float, type(None)}:
            missing[start : start + _CHUNK] = (part != part) | (part == None)  # noqa: E711
        else:
            missing[start : start + _CHUNK] = list(map(_is_missing_object, part.tolist()))
    return missing.reshape(cells.shape)


def holds_numbers(cells: np.ndarray, missing: np.ndarray) -> bool:
    """Whether all present cells of an object array are numbers, and not all of them booleans.

    Without a present cell it is as good as an array of NaN: numbers.
    """
    if any(isinstance(cell, str) for cell in cells[:_FEW].tolist()):
        return False
    types = set(map(type, _present(cells, missing).tolist()))
    if not all(issubclass(kind, Real | Decimal | np.bool_) for kind in types):
        return False
    if types and all(issubclass(kind, bool | np.bool_) for kind in types):
        return False
    if int in types:
        try:
            objects_to_float(cells, missing)
        except OverflowError:  # integers beyond the range of floats are names, not quantities
            return False
    return True


def objects_to_float(cells: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """An object array as floats, missing cells as NaN.

    Raises:
        TypeError, ValueError, OverflowError: If a present cell is no number.
    """
    if not missing.any():
        return cells.astype(np.float64)
    floats = np.full(cells.shape, np.nan)
    floats[~missing] = cells[~missing].astype(np.float64)
    return floats


def time_to_seconds(cells: np.ndarray) -> np.ndarray:
    """Points in time (since 1970) or spans of time as whole seconds in floats, NaT as NaN."""
    unit = "datetime64[s]" if cells.dtype.kind == "M" else "timedelta64[s]"
    seconds = cells.astype(unit)
    return np.where(np.isnat(seconds), np.nan, seconds.astype(np.int64).astype(np.float64))


def encode(cells: np.ndarray, missing: np.ndarray) -> Encoded:
    """Codes for the distinct values of ``cells``; ``missing`` marks those without one."""
    if cells.dtype.kind not in "biufMm":
        return encode_by_hash(cells, missing)
    codes = np.full(cells.shape, -1, dtype=np.int64)
    uniques, inverse = np.unique(cells[~missing], return_inverse=True)
    codes[~missing] = inverse.reshape(-1)
    return codes, uniques.tolist()


def encode_by_hash(cells: np.ndarray, missing: np.ndarray) -> Encoded:
    """As ``encode``, for strings and objects: many times faster than sorting them."""
    present: list[Any] = _present(cells, missing).tolist()
    try:
        uniques = list(dict.fromkeys(present))
    except TypeError:  # lists and the like can't be hashed
        present = list(map(repr, present))
        uniques = list(dict.fromkeys(present))
    position = {value: code for code, value in enumerate(uniques)}
    codes = np.full(cells.shape, -1, dtype=np.int64)
    codes[~missing] = list(map(position.__getitem__, present))
    return codes, uniques


def position_of_first(uniques: Sequence[Any]) -> int:
    """Where the smallest value stands, by value, or by type and text if they can't be compared."""
    values = list(uniques)
    if not values:
        return 0
    try:
        return min(range(len(values)), key=values.__getitem__)
    except TypeError:
        return min(range(len(values)), key=lambda i: _type_and_text(values[i]))


def _type_and_text(value: object) -> tuple[str, float, str]:
    """A key by which values of any types can be sorted; equal for 1, 1.0 and True."""
    if isinstance(value, Real | Decimal):
        try:
            return "", float(value), ""
        except OverflowError:
            return "", math.inf, str(value)
    return type(value).__name__, 0.0, str(value)


def _present(cells: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """The cells that are there; a view if all are, because each copied object costs time."""
    return cells[~missing] if missing.any() else cells


def _is_missing_object(cell: object) -> bool:
    if cell is None:
        return True
    kinds = float | np.floating | Decimal | np.datetime64 | np.timedelta64
    return isinstance(cell, kinds) and bool(cell != cell)
