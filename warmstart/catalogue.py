"""The estimators that this package knows, and how they are asked for."""

from __future__ import annotations

from warmstart.boosting_estimators import BENCHMARK_ESTIMATORS, BOOSTING_ESTIMATORS
from warmstart.errors import UnknownEstimatorError
from warmstart.estimator import Estimator, Hyperparameter
from warmstart.sklearn_estimators import SKLEARN_ESTIMATORS

__all__ = [
    "ESTIMATORS",
    "Estimator",
    "Hyperparameter",
    "estimator_name",
    "known_estimator",
    "resolve_estimator",
]

ESTIMATORS: tuple[Estimator, ...] = (
    *SKLEARN_ESTIMATORS,
    *BOOSTING_ESTIMATORS,
    *BENCHMARK_ESTIMATORS,
)


def resolve_estimator(asked: object) -> Estimator:
    """The estimator that a name, a class or an instance stands for.

    Args:
        asked: A dotted name in full or in part (``"sklearn.svm.SVC"``, ``"svm.SVC"``,
            ``"SVC"``; case doesn't matter), also by the module paths of earlier versions; or a
            class, a subclass of it, or an instance.

    Raises:
        UnknownEstimatorError: If the catalogue has no such estimator; names near matches.
    """
    if isinstance(asked, Estimator):
        return asked
    names = [asked] if isinstance(asked, str) else _class_names(asked)
    for name in names:
        for estimator in ESTIMATORS:
            if _means(name.strip().lower(), estimator):
                return estimator
    raise UnknownEstimatorError(
        f"estimator={names[0]!r} given; expected one in the catalogue, {_near(names[0])}."
    )


def known_estimator(asked: object) -> Estimator | None:
    """The estimator that a name, a class or an instance stands for, if the catalogue has it."""
    try:
        return resolve_estimator(asked)
    except UnknownEstimatorError:
        return None


def estimator_name(asked: object) -> str:
    """The canonical name of a name, a class or an instance; one that is not known stays."""
    try:
        return resolve_estimator(asked).name
    except UnknownEstimatorError:
        if isinstance(asked, str):
            return asked.strip()
        kind = asked if isinstance(asked, type) else type(asked)
        return f"{kind.__module__}.{kind.__qualname__}"


def _class_names(asked: object) -> list[str]:
    """Dotted names of a class, or of an instance's class, and of the class it was derived from.

    A user's own subclass stands for its parent; a library's subclass is an estimator of its own.
    """
    libraries = {estimator.name.partition(".")[0] for estimator in ESTIMATORS}
    names = []
    for kind in (asked if isinstance(asked, type) else type(asked)).__mro__:
        names.append(f"{kind.__module__}.{kind.__qualname__}")
        if kind.__module__.partition(".")[0] in libraries:
            break
    return names


def _means(name: str, estimator: Estimator) -> bool:
    canonical = estimator.name.lower()
    if name == canonical or canonical.endswith("." + name):
        return True
    if name in (alias.lower() for alias in estimator.aliases):
        return True
    # Modules were renamed and made private over the years (sklearn.svm.classes, xgboost.sklearn):
    # within one library the class name decides.
    library, _, path = name.partition(".")
    return (
        library == canonical.partition(".")[0]
        and path.rpartition(".")[2] == canonical.rpartition(".")[2]
    )


def _near(name: str) -> str:
    from difflib import get_close_matches

    by_class = {estimator.class_name.lower(): estimator.name for estimator in ESTIMATORS}
    wanted = name.strip().lower().rpartition(".")[2]
    near = get_close_matches(wanted, by_class, n=3, cutoff=0.5)
    if near:
        return "such as " + " or ".join(repr(by_class[match]) for match in near)
    return f"one of {sorted(by_class.values())}"
