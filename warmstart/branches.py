"""Studies that choose between estimators, and which of them a trial should be of.

Such a study has a categorical parameter, as ``trial.suggest_categorical("classifier", [...])``,
and for each of its choices parameters of an estimator.

The choice is Thompson sampling: a source task is drawn, by how well the standings of the
estimators there agree with what they reached so far, and the estimator that then seems to reach
most is taken. Standings count less and less as trials come in.

Notation:
    B: number of branches. T: number of tasks of the standings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from warmstart.catalogue import ESTIMATORS, resolve_estimator
from warmstart.errors import UnknownEstimatorError
from warmstart.names import own_words, spelling
from warmstart.study_trials import StudyTrial

# How far an estimator may be from its standing on the task that is most like the new one,
_OWN_DEVIATION: Final = 0.3
# and the best of n trials from what it would reach in the end: this over the root of n.
_UNFINISHED_DEVIATION: Final = 0.3
# A standing's unit, in units of the spread of the losses seen: trials that are all good differ
# less than those that standings were learned from.
_SCALES: Final = np.array([0.5, 1.0])
# What a trial that failed counts against a branch of which none succeeded.
_FAILURE: Final = 0.5
# Now and then the branch of the fewest trials has its turn, whatever the sources say.
_TURN_EVERY: Final = 8


@dataclass(frozen=True)
class Branches:
    """A parameter that chooses between estimators.

    Attributes:
        parameter: The user's name of it.
        estimators: By choice; ``None`` where it is none that the catalogue has.
    """

    parameter: str
    estimators: Mapping[object, str | None]

    def seen(self, trials: Iterable[StudyTrial]) -> tuple[list[np.ndarray], list[int]]:
        """The losses of each branch's finished trials, and how many run, in order of choices."""
        choices = list(self.estimators)
        losses: list[list[float]] = [[] for _ in choices]
        n_running = [0 for _ in choices]
        for trial in trials:
            if trial.params.get(self.parameter) in choices:
                branch = choices.index(trial.params[self.parameter])
                if trial.loss is None:
                    n_running[branch] += 1
                else:
                    losses[branch].append(trial.loss)
        return [np.array(own) for own in losses], n_running


def find_branches(
    distributions: Mapping[str, BaseDistribution],
    *,
    estimators: Mapping[object, str | None] | None = None,
    kind: str | None = None,
) -> Branches | None:
    """The parameter that chooses between estimators, if there is one.

    Args:
        distributions: Of a study, by the user's names, those asked first coming first.
        estimators: What choices stand for, if the user said so: the first parameter that has all
            of these is taken. The names of other choices tell, such as ``"SVC"``,
            ``"random_forest"`` or ``"lgbm"``, as all do where nothing is said; then there must be
            one such parameter only.
        kind: Of the task; choices that stand for a classifier and a regressor stand for the one
            that fits, and for the classifier where that is not known.
    """
    found = []
    for name, distribution in distributions.items():
        if not isinstance(distribution, CategoricalDistribution):
            continue
        choices = distribution.choices
        if len(choices) < 2 or not all(map(_is_key, choices)):
            continue
        by_name: dict[object, str | None] = {
            choice: _named(choice, kind) if isinstance(choice, str) else None for choice in choices
        }
        if estimators is not None:
            if {_typed(choice) for choice in estimators} <= {_typed(choice) for choice in choices}:
                return Branches(name, {**by_name, **estimators})
            continue
        known = [estimator for estimator in by_name.values() if estimator is not None]
        if len(known) > 1 and len(known) == len(set(known)) and 2 * len(known) >= len(choices):
            found.append(Branches(name, by_name))
    return found[0] if len(found) == 1 else None


def _is_key(choice: object) -> bool:
    try:
        hash(choice)
    except TypeError:
        return False
    return True


def _typed(choice: object) -> tuple[type, object]:
    """A choice that tells ``True`` from 1."""
    return type(choice), choice


def _named(choice: str, kind: str | None) -> str | None:
    """The estimator that the name of a choice stands for."""
    try:
        return resolve_estimator(choice).name
    except UnknownEstimatorError:
        pass
    family = "regressor" if kind == "regression" else "classifier"
    word = spelling(choice)
    meant: dict[str, str] = {}
    for estimator in ESTIMATORS:
        is_meant = estimator.family == family and word in own_words(estimator)
        if is_meant and not estimator.benchmark_only:
            meant.setdefault(estimator.group, estimator.name)
    return next(iter(meant.values())) if len(meant) == 1 else None


def choose_branch(
    standings: np.ndarray,
    weights: np.ndarray,
    losses: Sequence[np.ndarray],
    n_running: Sequence[int],
    rng: np.random.Generator,
) -> int:
    """The branch that the next trial should be of.

    Args:
        standings: Of each branch on each source task, ``(T, B)``; see ``warmstart.standings``.
        weights: Of the source tasks, ``(T,)``, sum 1.
        losses: Of the finished trials of each branch, infinite where they failed.
        n_running: How many trials of each branch run now.
        rng: Draws.

    Source: Thompson sampling, Thompson 1933.
    """
    n = np.array([len(own) for own in losses]) + np.array(n_running)
    mean = weights @ standings
    if not n.any():
        return int(mean.argmin())
    failures = np.array([0 if np.isfinite(own).any() else len(own) for own in losses])
    if n.sum() % _TURN_EVERY == _TURN_EVERY - 1:
        return int(np.lexsort([mean, n, failures > 1])[0])
    n_finished, reached = _reached(losses)
    unfinished = _UNFINISHED_DEVIATION**2 / np.maximum(n_finished, 1)
    seen = n_finished > 0
    # What is reached says how branches differ, not where zero is: that is as it fits best.
    certainty = seen / (unfinished + _OWN_DEVIATION**2)
    difference = reached * _SCALES[:, None] - standings[:, None]
    offset = (difference * certainty).sum(axis=2, keepdims=True) / max(certainty.sum(), 1e-12)
    misfit = (difference - offset) ** 2 * certainty
    log_share = np.log(np.maximum(weights, 1e-12))[:, None] - 0.5 * misfit.sum(axis=2)
    share = np.exp(log_share - log_share.max()).ravel()
    drawn = int(rng.choice(len(share), p=share / share.sum()))
    task, scale = divmod(drawn, len(_SCALES))
    precision = 1.0 / _OWN_DEVIATION**2 + seen / unfinished
    observed = standings[task] + (difference - offset)[task, scale]
    expected = standings[task] / _OWN_DEVIATION**2 + seen * observed / unfinished
    drawn_standing = expected / precision + rng.standard_normal(len(n)) / np.sqrt(precision)
    return int((drawn_standing + _FAILURE * failures).argmin())


def _reached(losses: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """How many trials of each branch say something, and how far its best is from that of all."""
    pooled = np.concatenate(losses)
    finite = pooled[np.isfinite(pooled)]
    n_finished = np.array([len(own) if np.isfinite(own).any() else 0 for own in losses])
    if not len(finite):
        return n_finished, np.zeros(len(losses))
    best, middle = finite.min(), np.median(finite)
    spread = middle - best
    if not spread > 0:
        spread = max(float(np.ptp(finite)), 1e-300)
    reached = np.array([min(own, default=np.inf) for own in losses])
    return n_finished, np.clip((reached - best) / spread, 0.0, 1.0)
