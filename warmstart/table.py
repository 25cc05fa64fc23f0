"""A data set as typed columns: what pandas, numpy and scipy hold, read in one way.

Two kinds of columns exist, as on OpenML. **Numeric**: numbers, and points or spans of time (in
seconds). **Nominal**: booleans, categories, strings and everything else. An object column is
numeric if all its present values are numbers. A missing value is NaN, None, NA or NaT; an
infinite one is present.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from warmstart.cells import (
    Encoded,
    encode,
    encode_by_hash,
    holds_numbers,
    is_missing,
    objects_to_float,
    position_of_first,
    time_to_seconds,
)
from warmstart.errors import DescriptorError

_CELLS_AT_ONCE = 1 << 22
# Converted to floats together: bounds the memory next to the data itself to 32 MB.


@dataclass(frozen=True)
class NominalColumn:
    """One nominal column.

    Attributes:
        codes: ``(n_sampled,)`` values as integers from 0; a missing one has the code of the
            column's first value (of the declared categories, else of the sorted values).
            OpenML's qualities are computed so.
        n_values: Declared categories where the column declares them, else distinct values.
        missing: ``(n_rows,)`` booleans, of all rows.
    """

    codes: np.ndarray
    n_values: int
    missing: np.ndarray


class Table(Protocol):
    """A two-dimensional data set whose columns are read by position."""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""

    def labels(self) -> Sequence[object]:
        """What the columns are called; their positions where they have no names."""

    def is_numeric(self, column: int) -> bool:
        """Whether a column is numeric unless the user says otherwise."""

    def numeric(self, columns: Sequence[int]) -> Any:
        """``(n_rows, n_columns)`` floats, dense or in scipy's CSR format; NaN is missing."""

    def numeric_blocks(self, columns: Sequence[int]) -> Iterator[Any]:
        """What ``numeric`` gives, a few columns at a time where that bounds the memory."""

    def nominal(self, column: int, rows: np.ndarray | None) -> NominalColumn:
        """One column with the codes of ``rows`` (all if None)."""

    def take(self, rows: np.ndarray) -> Table:
        """The same columns, only these rows."""


def open_table(X: Any, *, what: str = "X") -> Table:
    """Read a pandas DataFrame, a scipy sparse matrix, or anything that numpy makes 2-D.

    Args:
        X: The data. What converts itself to pandas (polars, pyarrow) is converted.
        what: How errors call it.

    Raises:
        DescriptorError: If ``X`` is not two-dimensional, has no rows, or holds complex numbers.
    """
    if hasattr(X, "to_pandas"):
        X = X.to_pandas()
    is_frame = hasattr(X, "iloc")
    if not is_frame and not hasattr(X, "tocsr"):
        X = as_array(X, what=what)
    if X.ndim != 2:
        raise DescriptorError(
            f"{what} of shape {X.shape} given; expected two dimensions: rows and columns."
        )
    if X.shape[0] == 0:
        raise DescriptorError(f"{what} with 0 rows given; expected at least one row.")
    if is_frame:
        return FrameTable(X)
    return ArrayTable.of(X) if isinstance(X, np.ndarray) else SparseTable(canonical_csr(X))


def nominal_columns(table: Table, categorical: Iterable[Any] | None) -> list[bool]:
    """Which columns are nominal: those that hold no numbers, and those that the user names.

    Args:
        table: The columns.
        categorical: Names, positions, or one boolean a column; None if nothing is to be added.

    Raises:
        DescriptorError: If ``categorical`` names a column that is not there.
    """
    n_columns = table.shape[1]
    nominal = [not table.is_numeric(column) for column in range(n_columns)]
    if categorical is None:
        return nominal
    if isinstance(categorical, str) or not isinstance(categorical, Iterable):
        categorical = [categorical]
    named = list(categorical)
    if len(named) == n_columns and all(isinstance(flag, bool | np.bool_) for flag in named):
        return [old or bool(new) for old, new in zip(nominal, named, strict=True)]
    labels = list(table.labels())
    for name in named:
        positions = [i for i, label in enumerate(labels) if _same(label, name)]
        if not positions and isinstance(name, int | np.integer) and -n_columns <= name < n_columns:
            positions = [int(name)]
        if not positions:
            raise DescriptorError(
                f"categorical names {name!r}; expected columns of X: {str(labels)[:200]}."
            )
        for position in positions:
            nominal[position] = True
    return nominal


@dataclass(frozen=True)
class FrameTable:
    """Columns of a pandas DataFrame."""

    frame: Any

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        n_rows, n_columns = self.frame.shape
        return int(n_rows), int(n_columns)

    def labels(self) -> Sequence[object]:
        """Column names, which may repeat."""
        return list(self.frame.columns)

    def is_numeric(self, column: int) -> bool:
        """By dtype; an object column by its values."""
        values = self.frame.iloc[:, column]
        if values.dtype == object:
            cells = values.to_numpy()
            return holds_numbers(cells, is_missing(cells))
        if values.dtype.kind == "c":
            raise DescriptorError(
                f"Column {self.frame.columns[column]!r} of dtype {values.dtype} given; "
                "expected real numbers."
            )
        return values.dtype.kind in "iufMm"

    def numeric(self, columns: Sequence[int]) -> np.ndarray:
        """``(n_rows, n_columns)`` floats."""
        part = self.frame.iloc[:, list(columns)]
        if all(isinstance(d, np.dtype) and d.kind in "iuf" for d in part.dtypes):
            return np.asarray(part.to_numpy(), dtype=np.float64)
        floats = np.empty(part.shape)
        for i in range(part.shape[1]):
            try:
                floats[:, i] = _series_to_float(part.iloc[:, i])
            except (TypeError, ValueError, OverflowError) as error:
                raise DescriptorError(
                    f"Column {part.columns[i]!r} of dtype {part.dtypes.iloc[i]} given; expected "
                    f"numbers: convert it, or name it in categorical ({error})."
                ) from error
        return floats

    def numeric_blocks(self, columns: Sequence[int]) -> Iterator[np.ndarray]:
        """Blocks of four million cells."""
        return map(self.numeric, _blocks(columns, self.shape[0]))

    def nominal(self, column: int, rows: np.ndarray | None) -> NominalColumn:
        """Declared categories count as values, also where no row has them."""
        import pandas as pd

        values = self.frame.iloc[:, column]
        missing = np.asarray(values.isna(), dtype=bool)
        if isinstance(values.dtype, pd.CategoricalDtype):
            codes = np.asarray(values.cat.codes, dtype=np.int64)
            codes = np.maximum(codes if rows is None else codes[rows], 0)
            return NominalColumn(codes, len(values.cat.categories), missing)

        def encode_rows(sample: np.ndarray | None) -> Encoded:
            part = values if sample is None else values.iloc[sample]
            try:
                codes, uniques = pd.factorize(part)
            except TypeError:  # values that can't be hashed, such as lists
                return encode_by_hash(part.to_numpy(dtype=object), np.asarray(part.isna()))
            return np.asarray(codes, dtype=np.int64), uniques

        return _nominal_column(encode_rows, missing, rows)

    def take(self, rows: np.ndarray) -> FrameTable:
        """Rows by position."""
        return FrameTable(self.frame.iloc[rows])


@dataclass(frozen=True)
class ArrayTable:
    """Columns of a two-dimensional numpy array.

    Attributes:
        array: Of any dtype but complex and records.
        missing: Booleans of the same shape for an object array, whose cells are cheaper to look
            at row by row; None for others.
    """

    array: np.ndarray
    missing: np.ndarray | None

    @classmethod
    def of(cls, array: np.ndarray) -> ArrayTable:
        """The columns of ``array``."""
        return cls(array, is_missing(array) if array.dtype.kind == "O" else None)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return self.array.shape[0], self.array.shape[1]

    def labels(self) -> Sequence[object]:
        """Positions."""
        return range(self.array.shape[1])

    def is_numeric(self, column: int) -> bool:
        """By dtype; an object column by its cells."""
        if self.missing is not None:
            return holds_numbers(self.array[:, column], self.missing[:, column])
        return self.array.dtype.kind in "iufMm"

    def numeric(self, columns: Sequence[int]) -> np.ndarray:
        """``(n_rows, n_columns)`` floats."""
        first, last = columns[0], columns[-1]
        # A slice is a view where an index would copy.
        adjacent = last - first + 1 == len(columns)
        index = slice(first, last + 1) if adjacent else list(columns)
        part = self.array[:, index]
        if self.missing is not None:
            return objects_to_float(part, self.missing[:, index])
        if part.dtype.kind in "Mm":
            return time_to_seconds(part)
        return np.asarray(part, dtype=np.float64)

    def numeric_blocks(self, columns: Sequence[int]) -> Iterator[np.ndarray]:
        """Blocks of four million cells."""
        return map(self.numeric, _blocks(columns, self.shape[0]))

    def nominal(self, column: int, rows: np.ndarray | None) -> NominalColumn:
        """Cells of any type; those that can't be hashed count by what they print."""
        cells = self.array[:, column]
        missing = is_missing(cells) if self.missing is None else self.missing[:, column]

        def encode_rows(sample: np.ndarray | None) -> Encoded:
            if sample is None:
                return encode(cells, missing)
            return encode(cells[sample], missing[sample])

        return _nominal_column(encode_rows, missing, rows)

    def take(self, rows: np.ndarray) -> ArrayTable:
        """Rows by position."""
        return ArrayTable(self.array[rows], None if self.missing is None else self.missing[rows])


@dataclass(frozen=True)
class SparseTable:
    """Columns of a sparse matrix in scipy's CSR format: numbers, never made dense as a whole."""

    matrix: Any

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return int(self.matrix.shape[0]), int(self.matrix.shape[1])

    def labels(self) -> Sequence[object]:
        """Positions."""
        return range(self.matrix.shape[1])

    def is_numeric(self, column: int) -> bool:
        """A sparse matrix holds numbers."""
        return True

    def numeric(self, columns: Sequence[int]) -> Any:
        """The columns as a sparse matrix."""
        if len(columns) == self.matrix.shape[1]:
            return self.matrix
        return self.matrix[:, list(columns)]

    def numeric_blocks(self, columns: Sequence[int]) -> Iterator[Any]:
        """One block: a part of a sparse matrix costs a look at the whole."""
        return iter([self.numeric(columns)] if columns else [])

    def nominal(self, column: int, rows: np.ndarray | None) -> NominalColumn:
        """One column, made dense."""
        dense = self.matrix[:, [column]].toarray()
        return ArrayTable.of(dense).nominal(0, rows)

    def take(self, rows: np.ndarray) -> SparseTable:
        """Rows by position."""
        return SparseTable(self.matrix[rows])


def as_array(values: Any, *, what: str) -> np.ndarray:
    """What numpy makes of lists and the like, without turning the numbers among strings to text.

    Raises:
        DescriptorError: If it is ragged, or holds complex numbers or records.
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind in "US" and not isinstance(values, np.ndarray):
            array = np.asarray(values, dtype=object)
    except (ValueError, TypeError) as error:
        raise DescriptorError(
            f"{what} of type {type(values).__name__} given; expected a table ({error})."
        ) from error
    if array.dtype.kind in "cV":
        raise DescriptorError(f"{what} of dtype {array.dtype} given; expected real numbers.")
    return array


def canonical_csr(matrix: Any) -> Any:
    """The matrix in CSR format with one entry a cell; the one given is not changed.

    Raises:
        DescriptorError: If it holds complex numbers.
    """
    if matrix.dtype.kind not in "biuf":
        raise DescriptorError(f"Sparse X of dtype {matrix.dtype} given; expected real numbers.")
    csr = matrix.tocsr()
    if not csr.has_canonical_format:
        csr = csr.copy()
        csr.sum_duplicates()
    return csr


def _nominal_column(
    encode_rows: Callable[[np.ndarray | None], Encoded],
    missing: np.ndarray,
    rows: np.ndarray | None,
) -> NominalColumn:
    """Encode the sampled rows; count values in all rows where a few could be overlooked."""
    codes, uniques = encode_rows(rows)
    n_values = len(uniques)
    if rows is not None and n_values <= 2:
        n_values = len(encode_rows(None)[1])
    if (codes < 0).any():
        codes = np.where(codes < 0, position_of_first(uniques), codes)
    return NominalColumn(codes, n_values, missing)


def _blocks(columns: Sequence[int], n_rows: int) -> Iterator[Sequence[int]]:
    at_once = max(1, _CELLS_AT_ONCE // n_rows)
    return (columns[i : i + at_once] for i in range(0, len(columns), at_once))


def _series_to_float(values: Any) -> np.ndarray:
    if values.dtype == object:
        cells = values.to_numpy()
        return objects_to_float(cells, is_missing(cells))
    if values.dtype.kind in "Mm":
        dtype = getattr(values.dtype, "pyarrow_dtype", values.dtype)
        if getattr(dtype, "tz", None) is not None:
            values = values.dt.tz_convert(None)
        unit = "datetime64[s]" if values.dtype.kind == "M" else "timedelta64[s]"
        return time_to_seconds(np.asarray(values.astype(unit)))
    return np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))


def _same(label: object, name: object) -> bool:
    return type(label) is type(name) and bool(label == name)
