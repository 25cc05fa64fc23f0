"""Data sets that share data, whatever they are called: such are of one family."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from metaopt.collect.data_set import DataSet

# Of the smaller of two data sets, in columns or rows.
_SHARED_COLUMNS: Final = 0.5
_SHARED_ROWS: Final = 0.1
# A column with fewer values, or a row with fewer such cells, is alike by chance.
_FEWEST_VALUES: Final = 12
_FEWEST_CELLS: Final = 3


def with_shared_families(data_sets: Sequence[DataSet]) -> list[DataSet]:
    """The data sets, those that share columns or rows under one family.

    Only numbers with many values are compared, whatever the order of rows and columns: a copy
    whose categories were coded otherwise is found, too. Of families that belong together, the
    name of the first in the order of the alphabet stays.
    """
    family_of = {data.family: data.family for data in data_sets}

    def root(family: str) -> str:
        while family_of[family] != family:
            family = family_of[family]
        return family

    prints = [_prints(data) for data in data_sets]
    for i, (columns, rows) in enumerate(prints):
        for j, (other_columns, other_rows) in enumerate(prints[:i]):
            if _share(columns, other_columns, _SHARED_COLUMNS) or _share(
                rows, other_rows, _SHARED_ROWS
            ):
                one, other = root(data_sets[i].family), root(data_sets[j].family)
                family_of[max(one, other)] = min(one, other)
    return [replace(data, family=root(data.family)) for data in data_sets]


def _share(one: frozenset[bytes], other: frozenset[bytes], least: float) -> bool:
    smaller = min(len(one), len(other))
    return smaller > 0 and len(one & other) >= least * smaller


def _prints(data: DataSet) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Hashes of the columns, and of the rows, of a data set and its target."""
    table = data.X[[c for c in data.X.columns if pd.api.types.is_numeric_dtype(data.X[c])]]
    values = table.to_numpy(dtype=float, na_value=np.nan)
    if data.kind == "regression":
        values = np.column_stack([values, data.y])
    told = [c for c in values.T if len(np.unique(c[~np.isnan(c)])) >= _FEWEST_VALUES]
    columns = frozenset(_hash(np.sort(column)) for column in told)
    if len(told) < _FEWEST_CELLS:
        return columns, frozenset()
    return columns, frozenset(_hash(np.sort(row)) for row in np.column_stack(told))


def _hash(numbers: np.ndarray) -> bytes:
    text = ",".join(f"{number:.6g}" for number in numbers)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
