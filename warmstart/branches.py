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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from warmstart.catalogue import ESTIMATORS, resolve_estimator
from warmstart.errors import UnknownEstimatorError
from warmstart.names import own_words, spelling

# How far an estimator may be from its standing on the task that is most like the new one,
_OWN_DEVIATION: Final = 0.3
# and the best of n trials from what it would reach in the end: this over the root of n.
_UNFINISHED_DEVIATION: Final = 0.3
# A standing's unit, in units of the spread of the losses seen: trials that are all good differ
# less than those that standings were learned from.
_SCALES: Final = np.array([0.5, 1.0])
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


def find_branches(
    distributions: Mapping[str, BaseDistribution],
    *,
    estimators: Mapping[object, str | None] | None = None,
    kind: str | None = None,
) -> Branches | None:
    """The parameter that chooses between estimators, if there is one.

    Args:
        distributions: Of a study, by the user's names.
        estimators: What each choice stands for, if the user said so; else the choices' own names
            tell, such as ``"SVC"``, ``"random_forest"`` or ``"lgbm"``.
        kind: Of the task; choices that stand for a classifier and a regressor stand for the one
            that fits, and for the classifier where that is not known.
    """
    found = []
    for name, distribution in distributions.items():
        if not isinstance(distribution, CategoricalDistribution):
            continue
        choices = distribution.choices
        if estimators is not None:
            if len(choices) > 1 and all(choice in estimators for choice in choices):
                found.append(Branches(name, {choice: estimators[choice] for choice in choices}))
            continue
        named: dict[object, str | None] = {
            choice: _named(choice, kind) if isinstance(choice, str) else None for choice in choices
        }
        known = [estimator for estimator in named.values() if estimator is not None]
        if len(known) > 1 and len(known) == len(set(known)) and 2 * len(known) >= len(named):
            found.append(Branches(name, named))
    return found[0] if len(found) == 1 else None


def _named(choice: str, kind: str | None) -> str | None:
    """The estimator that the name of a choice stands for."""
    try:
        return resolve_estimator(choice).name
    except UnknownEstimatorError:
        pass
    family = "regressor" if kind == "regression" else "classifier"
    word = spelling(choice)
    meant = {
        e.group: e.name
        for e in ESTIMATORS
        if e.family == family and not e.benchmark_only and word in own_words(e)
    }
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
    if n.sum() % _TURN_EVERY == _TURN_EVERY - 1:
        return int(np.lexsort([mean, n])[0])
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
    return int(drawn_standing.argmin())


def _reached(losses: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """How many trials of each branch say something, and how far its best is from that of all."""
    pooled = np.concatenate(losses)
    finite = pooled[np.isfinite(pooled)]
    n_finished = np.array([len(own) for own in losses])
    if not len(finite):
        return n_finished * 0, np.zeros(len(losses))
    best, middle = finite.min(), np.median(finite)
    spread = middle - best
    if not spread > 0:
        spread = max(float(np.ptp(finite)), 1e-300)
    reached = np.array([min(own, default=np.inf) for own in losses])
    return n_finished, np.clip((reached - best) / spread, 0.0, 1.0)
