"""What a fitted search hands to its best estimator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.exceptions import NotFittedError
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from warmstart.sklearn.candidates import read_candidates


def _has(method: str) -> Callable[[Any], bool]:
    """Whether the best estimator has a method; before the fit, whether the first candidate has."""

    def check(search: Any) -> bool:
        if not search.refit:
            raise AttributeError(
                f"This {type(search).__name__} was made with refit={search.refit!r}; {method} "
                "needs an estimator that was refitted with the best parameters."
            )
        best = getattr(search, "best_estimator_", None)
        if best is None:
            best = next(iter(read_candidates(search.estimator).values()))
        getattr(best, method)
        return True

    return check


class DelegatesToBest:
    """Predicts, transforms and shows what the best estimator does."""

    refit: Any
    best_estimator_: Any
    estimator: Any

    @available_if(_has("predict"))  # type: ignore[untyped-decorator]
    def predict(self, X: Any) -> Any:
        """Predictions of the best estimator."""
        check_is_fitted(self)
        return self.best_estimator_.predict(X)

    @available_if(_has("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """Class probabilities of the best estimator."""
        check_is_fitted(self)
        return self.best_estimator_.predict_proba(X)

    @available_if(_has("predict_log_proba"))  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> Any:
        """Logarithms of class probabilities of the best estimator."""
        check_is_fitted(self)
        return self.best_estimator_.predict_log_proba(X)

    @available_if(_has("decision_function"))  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> Any:
        """Decision values of the best estimator."""
        check_is_fitted(self)
        return self.best_estimator_.decision_function(X)

    @available_if(_has("score_samples"))  # type: ignore[untyped-decorator]
    def score_samples(self, X: Any) -> Any:
        """A score of each row by the best estimator."""
        check_is_fitted(self)
        return self.best_estimator_.score_samples(X)

    @available_if(_has("transform"))  # type: ignore[untyped-decorator]
    def transform(self, X: Any) -> Any:
        """Rows, transformed by the best estimator."""
        check_is_fitted(self)
        return self.best_estimator_.transform(X)

    @available_if(_has("inverse_transform"))  # type: ignore[untyped-decorator]
    def inverse_transform(self, X: Any) -> Any:
        """Rows, transformed back by the best estimator."""
        check_is_fitted(self)
        return self.best_estimator_.inverse_transform(X)

    @available_if(_has("set_output"))  # type: ignore[untyped-decorator]
    def set_output(self, *, transform: str | None = None) -> DelegatesToBest:
        """Set what ``transform`` returns: ``"default"``, ``"pandas"`` or ``"polars"``."""
        for candidate in read_candidates(self.estimator).values():
            candidate.set_output(transform=transform)
        if hasattr(self, "best_estimator_"):
            self.best_estimator_.set_output(transform=transform)
        return self

    @property
    def classes_(self) -> Any:
        """Class labels."""
        _has("classes_")(self)
        return self.best_estimator_.classes_

    @property
    def n_features_in_(self) -> int:
        """Number of columns seen while fitting."""
        try:
            check_is_fitted(self)
        except NotFittedError as error:
            raise AttributeError(
                f"This {type(self).__name__} is not fitted, and has no n_features_in_ yet."
            ) from error
        n_features: int = self.best_estimator_.n_features_in_
        return n_features
