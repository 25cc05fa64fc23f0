"""``cv_results_``: the trials of a search as scikit-learn's search classes show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.ma import MaskedArray
from scipy.stats import rankdata

from warmstart.sklearn.records import Record


@dataclass(frozen=True)
class Row:
    """One trial.

    Attributes:
        number: In the study.
        params: As ``set_params`` takes them.
        record: Its folds.
        is_complete: Whether it has a score on all of them.
    """

    number: int
    params: Mapping[str, Any]
    record: Record
    is_complete: bool


def cv_results(rows: Sequence[Row], n_splits: int, names: Sequence[str]) -> dict[str, Any]:
    """Arrays of ``(n_trials,)`` by the names that scikit-learn uses, and ``trial_number``.

    Folds that a pruned trial did not reach are NaN, and so are their means, as those of trials
    with a fold that failed. NaN shares the last rank.

    Args:
        rows: The trials.
        n_splits: How many folds there are.
        names: Of the scores.
    """
    results: dict[str, Any] = {"trial_number": np.array([row.number for row in rows], dtype=int)}
    seconds = {
        "fit_time": [row.record.fit_seconds for row in rows],
        "score_time": [row.record.score_seconds for row in rows],
    }
    for key, values in seconds.items():
        table = _table(values, n_splits)
        counts = np.maximum(np.isfinite(table).sum(axis=1), 1)
        mean = np.nansum(table, axis=1) / counts
        results[f"mean_{key}"] = mean
        results[f"std_{key}"] = np.sqrt(np.nansum((table - mean[:, None]) ** 2, axis=1) / counts)
    for name in dict.fromkeys(name for row in rows for name in row.params):
        results[f"param_{name}"] = _masked([row.params for row in rows], name)
    results["params"] = [dict(row.params) for row in rows]
    for name in names:
        table = _table([row.record.scores.get(name, ()) for row in rows], n_splits)
        results |= _scores(f"test_{name}", table)
        results[f"rank_test_{name}"] = _ranks(results[f"mean_test_{name}"])
        if any(row.record.train_scores for row in rows):
            table = _table([row.record.train_scores.get(name, ()) for row in rows], n_splits)
            results |= _scores(f"train_{name}", table)
    return results


def best_row(results: Mapping[str, Any], name: str, refit: Any) -> int:
    """The index of the best trial: by rank, the first of equals; or as a function says.

    Raises:
        TypeError: If the function gives no integer.
        IndexError: If there is no such trial.
    """
    if not callable(refit):
        return int(results[f"rank_test_{name}"].argmin())
    index = refit(results)
    if not isinstance(index, Integral):
        raise TypeError(f"refit gave best_index_={index!r}; expected an integer.")
    n_trials = len(results["params"])
    if not 0 <= int(index) < n_trials:
        raise IndexError(f"refit gave best_index_={index}; expected 0 to {n_trials - 1}.")
    return int(index)


def _table(values: Sequence[Sequence[float]], n_splits: int) -> np.ndarray:
    """``(n_trials, n_splits)``, NaN where there is nothing."""
    table = np.full((len(values), n_splits), np.nan)
    for i, row in enumerate(values):
        table[i, : len(row)] = row
    return table


def _scores(key: str, table: np.ndarray) -> dict[str, np.ndarray]:
    scores = {f"split{i}_{key}": table[:, i] for i in range(table.shape[1])}
    return {**scores, f"mean_{key}": table.mean(axis=1), f"std_{key}": table.std(axis=1)}


def _ranks(means: np.ndarray) -> np.ndarray:
    if np.isnan(means).all():
        return np.ones(len(means), dtype=np.int32)
    worst = np.nanmin(means) - 1.0
    return rankdata(-np.where(np.isnan(means), worst, means), method="min").astype(np.int32)


def _masked(configurations: Sequence[Mapping[str, Any]], name: str) -> MaskedArray[Any, Any]:
    """The values of one parameter, masked where a configuration lacks it."""
    present = [params[name] for params in configurations if name in params]
    kinds = {type(value) for value in present}
    dtype: type = object
    if kinds <= {int, float} or kinds == {bool}:
        dtype = bool if kinds == {bool} else int if kinds == {int} else float
    column: MaskedArray[Any, Any] = MaskedArray(
        np.zeros(len(configurations), dtype=dtype), mask=[name not in c for c in configurations]
    )
    for i, params in enumerate(configurations):
        if name in params:
            column.data[i] = params[name]  # not by the mask's way: a tuple is one value
    return column
