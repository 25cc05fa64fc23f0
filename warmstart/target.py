"""The target of a data set: what kind of task it makes, and its values as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from warmstart.errors import DescriptorError
from warmstart.table import Table, as_array, open_table

Kind = Literal["classification", "regression"]

_FEW_CLASSES = 20
_ROWS_OF_FEW_CLASSES = 2
_MANY_CLASSES = 100
_ROWS_OF_MANY_CLASSES = 10
# Integers are taken for classes if there are at most 20 of them with 2 rows each on average, or
# at most 100 with 10 rows each. Scikit-learn takes all integers for classes, which would make
# a thousand classes of prices in whole dollars.


@dataclass(frozen=True)
class Target:
    """The target of the rows that have one.

    Attributes:
        kind: Of the task.
        values: ``(n_present,)`` class codes from 0 without gaps, or floats.
        n_classes: 0 for regression.
        missing: ``(n_rows,)`` booleans: which rows of the data set given have none.
    """

    kind: Kind
    values: np.ndarray
    n_classes: int
    missing: np.ndarray


def read_target(y: Any, *, n_rows: int, kind: str | None) -> Target:
    """Read a target and infer what kind of task it makes.

    Strings, booleans and categories make a classification. Numbers make a regression, unless
    they are whole and at most two of them are distinct, or few in relation to the rows (at most
    20 distinct with 2 rows each on average, or at most 100 with 10 rows each).

    Args:
        y: One value a row: a list, numpy array, pandas Series or a table of one column.
        n_rows: How many are expected.
        kind: ``"classification"``, ``"regression"``, or None to infer it.

    Raises:
        DescriptorError: If ``y`` has several columns, another length, no value, an infinite one,
            or no numbers where regression is asked for.
    """
    if kind not in (None, "classification", "regression"):
        raise DescriptorError(
            f"kind={kind!r} given; expected 'classification', 'regression' or None."
        )
    column = _as_column(y)
    if column.shape[1] != 1:
        raise DescriptorError(
            f"y with {column.shape[1]} columns given; expected one target: describe each alone."
        )
    if column.shape[0] != n_rows:
        raise DescriptorError(
            f"y with {column.shape[0]} values and X with {n_rows} rows given; "
            "expected one value a row."
        )
    encoded = column.nominal(0, None)
    missing = encoded.missing
    if missing.all():
        raise DescriptorError("y given without any present value; expected at least one.")
    if missing.any():
        column = column.take(np.flatnonzero(~missing))
        encoded = column.nominal(0, None)

    numbers = column.numeric([0])[:, 0] if column.is_numeric(0) else None
    _refuse_infinite(numbers)
    if kind is None:
        kind = _infer_kind(numbers, encoded.n_values)
    if kind == "classification":
        # Declared categories without rows are no classes.
        classes, codes = np.unique(encoded.codes, return_inverse=True)
        return Target("classification", codes.reshape(-1), classes.size, missing)
    try:
        values = column.numeric([0])[:, 0]
    except (ValueError, TypeError, OverflowError) as error:
        raise DescriptorError(
            f"kind='regression' and y that holds no numbers given ({error}); expected numbers."
        ) from error
    return Target("regression", values, 0, missing)


def refuse_incomplete(y: Any) -> None:
    """Refuse a target without a finite value in each row; what is not one column passes.

    Raises:
        DescriptorError: If a value is missing or infinite.
    """
    try:
        column = _as_column(y)
        if column.shape[1] != 1:
            return
        missing = column.nominal(0, None).missing
        numbers = column.numeric([0])[:, 0] if column.is_numeric(0) else None
    except DescriptorError:
        return
    refuse_missing(missing)
    _refuse_infinite(numbers)


def refuse_missing(missing: np.ndarray) -> None:
    """Refuse a target that rows lack.

    Args:
        missing: ``(n_rows,)`` booleans.

    Raises:
        DescriptorError: If there are such rows.
    """
    if missing.any():
        raise DescriptorError(
            f"Input y contains NaN{_where(missing)}; expected a value for each row; leave these "
            "rows out."
        )


def _refuse_infinite(numbers: np.ndarray | None) -> None:
    if numbers is not None and np.isinf(numbers).any():
        raise DescriptorError(
            f"Input y contains infinity{_where(np.isinf(numbers))}; expected finite numbers."
        )


def _where(is_bad: np.ndarray) -> str:
    return f" in {is_bad.sum()} of {is_bad.size} rows, first in row {is_bad.argmax()}"


def _infer_kind(numbers: np.ndarray | None, n_distinct: int) -> Kind:
    if numbers is None:
        return "classification"
    if not np.all(numbers == np.floor(numbers)):
        return "regression"
    n_rows = numbers.size
    few = n_distinct <= _FEW_CLASSES and n_rows >= _ROWS_OF_FEW_CLASSES * n_distinct
    many = n_distinct <= _MANY_CLASSES and n_rows >= _ROWS_OF_MANY_CLASSES * n_distinct
    return "classification" if n_distinct <= 2 or few or many else "regression"


def _as_column(y: Any) -> Table:
    """``y`` as a table, which should have one column."""
    if hasattr(y, "isna") and not hasattr(y, "iloc"):  # an array of pandas, or an index
        import pandas as pd

        y = pd.Series(y)
    if hasattr(y, "to_frame"):
        y = y.to_frame()
    elif hasattr(y, "tocsr"):
        y = y.toarray() if y.shape[-1] == 1 else y
    elif not hasattr(y, "iloc") and not hasattr(y, "to_pandas"):
        y = as_array(y, what="y")
        if y.ndim not in (1, 2):
            raise DescriptorError(f"y of shape {y.shape} given; expected one value a row.")
        y = y.reshape(-1, 1) if y.ndim == 1 else y
    return open_table(y, what="y")
