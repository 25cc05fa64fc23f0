"""What a search is judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sklearn.metrics import check_scoring

from warmstart.sklearn.folds import SCORE

# What scikit-learn's estimators score themselves by.
_OWN_SCORES = {"classifier": "accuracy", "regressor": "r2"}


@dataclass(frozen=True)
class Scoring:
    """What a search is judged by.

    Attributes:
        scorer: ``scorer(estimator, X, y)`` gives a number, or numbers by name.
        by_name: The scorers, where they are several; else empty.
        names: Of the scores; empty if the scorer is a function that may give several.
        metric: The name of the score that counts; ``None`` for the first.
        known_as: scikit-learn's name of that score; ``None`` if it has none.
    """

    scorer: Callable[..., Any]
    by_name: Mapping[str, Callable[..., Any]]
    names: tuple[str, ...]
    metric: str | None
    known_as: str | None

    @property
    def fitted(self) -> Any:
        """What ``scorer_`` shows: the scorer, or a dict of them."""
        return dict(self.by_name) if self.by_name else self.scorer

    def takes_sample_weight(self) -> bool:
        """Whether the installed scikit-learn gives sample weights to it without being asked."""
        accepts = getattr(self.scorer, "_accept_sample_weight", None)
        return bool(accepts is not None and accepts())


def read_scoring(estimator: Any, scoring: Any, refit: Any, kind: str | None) -> Scoring:
    """What ``scoring`` and ``refit`` say.

    Args:
        estimator: That is scored.
        scoring: ``None``, a name, a function, or several as a list or a dict.
        refit: Of several, the name of the one that counts, a function or ``False``.
        kind: ``"classifier"``, ``"regressor"`` or another of scikit-learn's kinds.

    Raises:
        ValueError: If scikit-learn has no such score, or ``refit`` names none of several.
    """
    if scoring is None or isinstance(scoring, str) or callable(scoring):
        scorer = check_scoring(estimator, scoring)
        named = isinstance(scoring, str)
        return Scoring(
            scorer,
            {},
            (SCORE,) if not callable(scoring) else (),
            refit if isinstance(refit, str) and callable(scoring) else None,
            scoring if named else _OWN_SCORES.get(kind or "") if scoring is None else None,
        )
    several = dict(scoring) if isinstance(scoring, Mapping) else {name: name for name in scoring}
    if not several:
        raise ValueError(f"scoring={scoring!r} given; expected at least one score.")
    by_name = {name: check_scoring(estimator, given) for name, given in several.items()}
    is_named = isinstance(refit, str) and refit in by_name
    if refit is not False and not is_named and not callable(refit):
        raise ValueError(
            f"refit={refit!r} given with several scores; expected one of {sorted(by_name)}, a "
            "function of cv_results_, or False. The parameter refit must be set to a scorer key."
        )
    metric = refit if is_named else next(iter(by_name))
    known_as = several[metric]
    return Scoring(
        check_scoring(estimator, by_name, raise_exc=False),
        by_name,
        tuple(by_name),
        metric,
        known_as if isinstance(known_as, str) else None,
    )
