"""What is said of fits and scores that failed."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence

from sklearn.exceptions import FitFailedWarning

# Tracebacks that are shown; there may be one a fold.
_MOST_SHOWN = 3


def all_failed(n_fits: int, fit_errors: Sequence[str], score_errors: Sequence[str]) -> ValueError:
    """The error of a search in which no trial has a score."""
    if n_fits and len(fit_errors) == n_fits:
        what = f"All the {n_fits} fits failed: none of the trials has a score."
        what += " Pass error_score='raise' to stop at the first one."
        return ValueError(f"{what} The errors were:\n{_listed(fit_errors)}")
    errors = [*fit_errors, *score_errors]
    what = f"None of the trials has a score on all folds, of {n_fits} fits"
    if not errors:
        return ValueError(
            f"{what}; expected finite scores. Scores are NaN, or all trials were pruned: check "
            "that scoring is defined on every fold, as with several classes in each."
        )
    what += f": {len(fit_errors)} fits and {len(score_errors)} scores failed."
    return ValueError(f"{what} The errors were:\n{_listed(errors)}")


def warn_of_failures(
    n_fits: int, fit_errors: Sequence[str], score_errors: Sequence[str], error_score: float | str
) -> None:
    """Warn once of all that failed in a search that ended well."""
    if fit_errors:
        warnings.warn(
            f"{len(fit_errors)} of {n_fits} fits failed; the score of their folds is "
            f"{error_score}. The errors were:\n{_listed(fit_errors)}",
            FitFailedWarning,
            stacklevel=3,
        )
    if score_errors:
        warnings.warn(
            f"Scoring failed on {len(score_errors)} of {n_fits} folds; their score is "
            f"{error_score}. The errors were:\n{_listed(score_errors)}",
            UserWarning,
            stacklevel=3,
        )


def _listed(tracebacks: Sequence[str]) -> str:
    counted = Counter(tracebacks).most_common()
    listed = [f"{n} times:\n{traceback}" for traceback, n in counted[:_MOST_SHOWN]]
    if len(counted) > _MOST_SHOWN:
        listed.append(f"and {len(counted) - _MOST_SHOWN} others.")
    return "\n".join(listed)
