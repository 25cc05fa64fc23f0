"""From a data set to the arrays of each fold: the same simple preprocessing for all estimators.

Everything is learned from the training rows of a fold alone.

- ``"native"`` (LightGBM): numbers with NaN where they are missing, categories as codes that the
  library is told of.
- ``"encoded"`` (other trees): medians for missing numbers; categories as one column each, or as
  codes where there are more than ten.
- ``"scaled"`` (linear models, neighbours, kernels, networks): as encoded, then mean 0 and
  variance 1.

The target of a regression is brought to mean 0 and variance 1, so that what penalises or
tolerates in its units means the same everywhere; measures are in its own units.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import pandas as pd

from metaopt.collect.data_set import DataSet
from warmstart.estimator import Estimator

Preparation: TypeAlias = Literal["native", "encoded", "scaled"]

MOST_INDICATORS: Final = 10
_SCALED: Final = frozenset(
    (
        *("support_vector_machine", "neighbors", "multilayer_perceptron"),
        *("logistic_regression", "elastic_net", "ridge"),
    )
)


@dataclass(frozen=True, eq=False)
class Fold:
    """One split, ready to fit.

    Attributes:
        X_train: ``(n_train, n_columns)``.
        y_train: ``(n_train,)`` class codes, or standardised values.
        X_test: ``(n_test, n_columns)``.
        y_test: ``(n_test,)`` class codes, or values in their own unit.
        nominal: Positions of the columns of codes that the library is to be told of.
        mean: What to add to predictions times ``scale``.
        scale: See ``mean``.
    """

    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    nominal: tuple[int, ...] = ()
    mean: float = 0.0
    scale: float = 1.0


def preparation_of(estimator: Estimator) -> Preparation:
    """Which preparation an estimator gets."""
    if estimator.group == "lightgbm":
        return "native"
    return "scaled" if estimator.group in _SCALED else "encoded"


def prepared_folds(
    data: DataSet, preparation: Preparation, *, n_folds: int, seed: int
) -> list[Fold]:
    """The folds of a data set: shuffled, and stratified by class."""
    return [
        prepared_fold(data, preparation, train, test)
        for train, test in _splits(data, n_folds, seed)
    ]


def n_prepared_columns(data: DataSet, preparation: Preparation) -> int:
    """How many columns an estimator sees, with all categories of the data set."""
    if preparation == "native":
        return data.X.shape[1]
    return sum(
        _n_indicators(data.X[name]) if name in data.categorical else 1 for name in data.X.columns
    )


def _n_indicators(column: pd.Series) -> int:
    n = int(column.nunique())
    return n if 2 < n <= MOST_INDICATORS else 1


def _splits(data: DataSet, n_folds: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    from sklearn.model_selection import KFold, StratifiedKFold

    splitter = StratifiedKFold if data.kind == "classification" else KFold
    yield from splitter(n_folds, shuffle=True, random_state=seed).split(
        np.empty((data.n_rows, 0)), data.y
    )


def prepared_fold(
    data: DataSet, preparation: Preparation, train: np.ndarray, test: np.ndarray
) -> Fold:
    """One split of a data set into rows to fit and rows to judge by, given by position."""
    columns: list[np.ndarray] = []
    nominal: list[int] = []
    for name in data.X.columns:
        column = data.X[name]
        if name in data.categorical:
            if preparation == "native":
                nominal.append(len(columns))
            columns += _nominal_columns(column, train, preparation)
        else:
            columns.append(_numbers(column, train, preparation))
    X = np.column_stack(columns)
    if preparation == "scaled":
        spread = X[train].std(axis=0)
        X = (X - X[train].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    y_train = data.y[train]
    mean, scale = 0.0, 1.0
    if data.kind == "regression":
        mean, scale = float(y_train.mean()), float(y_train.std()) or 1.0
        y_train = (y_train - mean) / scale
    return Fold(
        np.ascontiguousarray(X[train]),
        y_train,
        np.ascontiguousarray(X[test]),
        data.y[test],
        tuple(nominal),
        mean,
        scale,
    )


def _numbers(column: pd.Series, train: np.ndarray, preparation: Preparation) -> np.ndarray:
    numbers = column.to_numpy(dtype=float, na_value=np.nan)
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    if preparation == "native":
        return numbers
    known = numbers[train][~np.isnan(numbers[train])]
    return np.where(np.isnan(numbers), np.median(known) if len(known) else 0.0, numbers)


def _nominal_columns(
    column: pd.Series, train: np.ndarray, preparation: Preparation
) -> list[np.ndarray]:
    """Codes or indicators of a column's categories; what the training rows lack is missing."""
    text = column.astype(object).where(column.notna(), None).map(str).to_numpy(dtype=object)
    text[column.isna().to_numpy()] = ""
    known = sorted(set(text[train]) - {""})
    code_of = {category: code for code, category in enumerate(known)}
    codes = np.array([code_of.get(category, -1) for category in text], dtype=float)
    if preparation == "native":
        return [np.where(codes < 0, np.nan, codes)]
    if 2 < len(known) <= MOST_INDICATORS:
        return [(codes == code).astype(float) for code in range(len(known))]
    return [codes]
