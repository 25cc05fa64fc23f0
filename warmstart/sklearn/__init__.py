"""A search class for scikit-learn whose first configurations are already good.

Usage::

    from warmstart.sklearn import WarmStartSearchCV

    search = WarmStartSearchCV(pipeline, n_trials=30, cv=5, scoring="roc_auc").fit(X, y)

Files, in the order in which a fit passes through them: ``search`` is the class, ``other_names``
what its arguments are called elsewhere, ``delegation`` what it hands to the best estimator;
``candidates`` are the estimators, ``given_space`` and ``inferred_space`` say what is tuned of them
(``preprocessing`` of steps before the last), in the terms of ``tuned_space``, and ``limits`` let
every fit end; ``default_sampler`` proposes; ``running`` runs trials, in ``processes``, fold by
fold (``folds``, ``early_stopping``), which are kept in the study (``records``) and shown as
``cv_results_`` (``results``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from warmstart.sklearn.search import WarmStartSearchCV

__all__ = ["WarmStartSearchCV"]


def __getattr__(name: str) -> Any:
    # Worker processes need the folds alone.
    if name == "WarmStartSearchCV":
        from warmstart.sklearn.search import WarmStartSearchCV

        return WarmStartSearchCV
    raise AttributeError(f"module 'warmstart.sklearn' has no attribute {name!r}")
