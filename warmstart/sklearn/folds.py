"""One fit on one fold: what worker processes do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Number
from traceback import format_exc
from typing import Any

import numpy as np
from sklearn.utils import _safe_indexing, get_tags

from warmstart.sklearn.early_stopping import booster_path, fit_until_worse

#: The name of the only score of a search.
SCORE = "score"

Rows = np.ndarray


@dataclass(frozen=True)
class Work:
    """What all fits of one search have in common.

    Attributes:
        X: ``(n_rows, ...)``.
        y: ``(n_rows, ...)``, or ``None``.
        splits: Of each fold, the rows to train on and the rows to score on.
        scorer: ``scorer(estimator, X, y)`` gives a number, or numbers by name.
        score_names: Of the scores, if they are known before the first.
        fit_params: For ``fit``, by the name of the candidate; what has a value a row is cut.
        score_params: For the scorer, likewise.
        early_stopping_rounds: See ``early_stopping``; ``None`` to fit as it comes.
        return_train_score: Whether to score the training rows, too.
        error_score: ``"raise"``, or the score of a fold that fails.
    """

    X: Any
    y: Any
    splits: Sequence[tuple[Rows, Rows]]
    scorer: Callable[..., Any]
    score_names: tuple[str, ...] = ()
    fit_params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    score_params: Mapping[str, Any] = field(default_factory=dict)
    early_stopping_rounds: int | None = None
    return_train_score: bool = False
    error_score: float | str = np.nan


@dataclass(frozen=True)
class FoldResult:
    """What came of a fold.

    Attributes:
        scores: By name, on the validation rows; empty if the names of scores are not known yet.
        train_scores: On the training rows, if they were asked for.
        fit_seconds: Until the fit ended or failed.
        score_seconds: Of the validation rows.
        n_trees: That early stopping found.
        fit_error: Traceback of a fit that failed.
        score_error: Traceback of a score that failed.
    """

    scores: Mapping[str, float]
    train_scores: Mapping[str, float]
    fit_seconds: float
    score_seconds: float
    n_trees: int | None = None
    fit_error: str = ""
    score_error: str = ""


def fit_fold(work: Work, estimator: Any, candidate: str, fold: int) -> FoldResult:
    """Fit an estimator on one fold and score it.

    Args:
        work: See there.
        estimator: A clone of this call's own; is fitted.
        candidate: Its name.
        fold: Index of the split.
    """
    train, test = work.splits[fold]
    fit_params = cut(work.fit_params.get(candidate, {}), len_of(work.X), train)
    pairwise = get_tags(estimator).input_tags.pairwise
    X_train, y_train = rows_of(work, train, train, pairwise=pairwise)
    X_test, y_test = rows_of(work, test, train, pairwise=pairwise)
    started = time.perf_counter()
    n_trees = None
    try:
        if work.early_stopping_rounds is not None and booster_path(estimator) is not None:
            weight = work.fit_params.get(candidate, {}).get("sample_weight")
            n_trees = fit_until_worse(
                estimator,
                (X_train, y_train),
                (X_test, y_test),
                rounds=work.early_stopping_rounds,
                fit_params=fit_params,
                validation_weight=None if weight is None else _safe_indexing(weight, test),
            )
        elif y_train is None:
            estimator.fit(X_train, **fit_params)
        else:
            estimator.fit(X_train, y_train, **fit_params)
    except Exception:
        if work.error_score == "raise":
            raise
        failed = dict.fromkeys(work.score_names, float(work.error_score))
        return FoldResult(
            scores=failed,
            train_scores=failed if work.return_train_score else {},
            fit_seconds=time.perf_counter() - started,
            score_seconds=0.0,
            fit_error=format_exc(),
        )
    fitted = time.perf_counter()
    scores, score_error = _score(work, estimator, X_test, y_test, test)
    scored = time.perf_counter()
    train_scores: Mapping[str, float] = {}
    if work.return_train_score:
        train_scores, train_error = _score(work, estimator, X_train, y_train, train)
        score_error = score_error or train_error
    return FoldResult(
        scores, train_scores, fitted - started, scored - fitted, n_trees, "", score_error
    )


def cut(params: Mapping[str, Any], n_rows: int, rows: Rows) -> dict[str, Any]:
    """Parameters, of those that have a value for each row only the rows asked for."""
    return {
        name: _safe_indexing(value, rows) if _has_rows(value, n_rows) else value
        for name, value in params.items()
    }


def len_of(X: Any) -> int:
    """The number of rows."""
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def rows_of(work: Work, rows: Rows, train: Rows, *, pairwise: bool) -> tuple[Any, Any]:
    """``X`` and ``y`` of some rows; of distances between rows, those to the training rows."""
    if pairwise:
        X = _safe_indexing(_safe_indexing(work.X, rows), train, axis=1)
    else:
        X = _safe_indexing(work.X, rows)
    return X, None if work.y is None else _safe_indexing(work.y, rows)


def _has_rows(value: Any, n_rows: int) -> bool:
    if isinstance(value, str | bytes | Mapping) or not (
        hasattr(value, "shape") or hasattr(value, "__len__")
    ):
        return False
    shape = getattr(value, "shape", None)
    if shape is not None:
        return bool(shape) and shape[0] == n_rows
    return len(value) == n_rows


def _score(work: Work, estimator: Any, X: Any, y: Any, rows: Rows) -> tuple[dict[str, float], str]:
    """Scores by name, and the traceback of one that failed."""
    params = cut(work.score_params, len_of(work.X), rows)
    try:
        given = (
            work.scorer(estimator, X, **params)
            if y is None
            else work.scorer(estimator, X, y, **params)
        )
    except Exception:
        if work.error_score == "raise":
            raise
        return dict.fromkeys(work.score_names, float(work.error_score)), format_exc()
    scores: dict[str, float] = {}
    error = ""
    for name, score in (given if isinstance(given, dict) else {SCORE: given}).items():
        if isinstance(score, str) and isinstance(given, dict) and name in work.score_names:
            # One scorer of several failed: scikit-learn gives its traceback.
            scores[name], error = float(work.error_score), score
            continue
        scores[name] = _number(name, score)
    return scores, error


def _number(name: str, score: Any) -> float:
    if hasattr(score, "item") and getattr(score, "size", 1) == 1:
        score = score.item()
    if not isinstance(score, Number) or isinstance(score, complex):
        raise ValueError(
            f"scoring gave {score!r} of type {type(score).__name__} for {name!r}; expected a "
            "number."
        )
    return float(score)  # type: ignore[arg-type]
