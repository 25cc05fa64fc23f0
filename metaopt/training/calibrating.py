"""Learning how a prior's predictions err, on its own tasks, each predicted by other families.

Support points are random trials, as in ``metaopt.evaluation``. After each of some numbers of them
the grid of the model's unknown scale gets prior weights and the model a tail, by the log score of
trials to come; and all standard deviations a factor, so that 80 % intervals cover 80 %.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from metaopt.training.figures import in_memory
from metaopt.training.selection import usual_metric
from warmstart.calibration import Calibration
from warmstart.knowledge import Knowledge
from warmstart.learning import AlignedHistory
from warmstart.posterior import (
    GRID_SHAPE,
    Candidates,
    Posterior,
    Trials,
    fit_own_lengthscales,
)
from warmstart.predictive import (
    Prediction,
    covered,
    uncalibrated_after_trials,
    uncalibrated_before_trials,
)
from warmstart.prior import Prior
from warmstart.regret import EPSILON, regret

N_TRIALS: Final = (1, 2, 5, 10, 25)
_COVERED: Final = 0.8
_FACTORS: Final = (0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5)
_ALONE_FACTORS: Final = (0.2, 0.3, 0.4, 0.55, 0.75, 1.0)
_N_ROUNDS: Final = 3  # of weights and factor in turn
_MOST_TASKS: Final = 60
_N_PREDICTED: Final = 30
_FEWEST_PREDICTED: Final = 3
_FEWEST_FAMILIES: Final = 10
_FIRST_FIT: Final = 10  # trials from which on the sampler fits lengthscales of the task's own
_RIDGE: Final = 0.02  # towards no correction: tasks are few
_FIRST_TAIL: Final = -3.0
_LEAST_WEIGHT: Final = 1e-4  # of a term, beside the largest
_MOST_ITERATIONS: Final = 60
_SMALLEST: Final = 1e-9  # density of logarithmic regret; less is not told apart


@dataclass(frozen=True)
class _Case:
    """One task after some trials.

    Attributes:
        prediction: Of ``M`` trials to come, as it is.
        observed: Their losses, ``(M,)``.
        jacobian: Of a loss, by its logarithmic regret, ``(M,)``.
        n_groups: Of the terms.
    """

    prediction: Prediction
    observed: np.ndarray
    jacobian: np.ndarray
    n_groups: int

    @property
    def member(self) -> np.ndarray:
        """The weight of each term in its group, ``(k, n_groups)``."""
        member = np.zeros((len(self.prediction.weights), self.n_groups))
        member[np.arange(len(member)), self.prediction.groups] = self.prediction.weights
        return member

    @property
    def weights(self) -> np.ndarray:
        """Of the groups and the tail, ``(n_groups + 1,)``."""
        return np.append(self.member.sum(axis=0), 1.0)

    def densities(self, factor: float) -> np.ndarray:
        """Of logarithmic regret, by group and of the tail, times their weights.

        Args:
            factor: Of the standard deviations.

        Returns:
            ``(M, n_groups + 1)``.
        """
        scaled = replace(self.prediction, deviations=factor * self.prediction.deviations)
        of_groups = scaled.terms_density(self.observed) @ self.member
        tail = scaled.tail.density(self.observed)
        return np.column_stack([of_groups, tail]) * self.jacobian[:, None]

    def covered(self, factor: float, shares: np.ndarray) -> float:
        """The share of what was observed in intervals of ``_COVERED``.

        Args:
            factor: Of the standard deviations.
            shares: That the weights of the groups and the tail are multiplied with.
        """
        scaled = replace(self.prediction, deviations=factor * self.prediction.deviations)
        groups, tail = shares[:-1], shares[-1]
        below = scaled.terms_below(self.observed) @ (self.member @ groups)
        below += tail * scaled.tail.below(self.observed)
        at = scaled.terms_at(self.observed) @ (self.member @ groups)
        total = self.weights @ shares
        return float(covered(below / total, at / total, _COVERED).mean())


def learn_calibration(
    prior: Prior, histories: Sequence[AlignedHistory], *, seed: int
) -> Calibration | None:
    """How a prior's predictions are put right; ``None`` with too few families to say.

    Args:
        prior: Of one estimator.
        histories: On its space, of tasks that it was learned from.
        seed: Of the tasks and trials that are drawn.
    """
    usual = usual_metric(history.task.metric for history in histories)
    judged = [h for h in histories if h.task.metric == usual and h.is_informative]
    if len({history.task.family for history in judged}) < _FEWEST_FAMILIES:
        return None
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(judged))[:_MOST_TASKS])
    cases: dict[int, list[_Case]] = {n: [] for n in (0, *N_TRIALS)}
    artifact = in_memory(prior)
    for history in (judged[i] for i in chosen):
        knowledge = Knowledge(
            artifact=artifact,
            task=history.task.descriptor,
            metric=history.task.metric,
            exclude={history.task.family},
        )
        source = knowledge.source(prior.estimator)
        if source is None:
            continue
        for n in cases:
            case = _case(source.prior, source.task_weights, history, n, seed=seed)
            if case is not None:
                cases[n].append(case)
    enough = {n: of_n for n, of_n in cases.items() if len(of_n) >= _FEWEST_FAMILIES}
    learned = {n: _learn(of_n) for n, of_n in enough.items() if n}
    later = list(learned)
    if 0 not in enough or not later:
        return None
    alone_factor, first = _learn_before_trials(enough[0])
    n_best, n_extent = GRID_SHAPE
    grid = np.stack([learned[n].grid for n in later])
    return Calibration(
        first_factor=first.factor,
        alone=float(first.grid[0]),
        alone_factor=alone_factor,
        n_trials=np.array(later),
        factors=np.array([learned[n].factor for n in later]),
        best=grid[:, :n_best],
        extent=grid[:, n_best : n_best + n_extent],
        tails=grid[:, -1],
    )


def _case(
    prior: Prior, task_weights: np.ndarray, history: AlignedHistory, n: int, *, seed: int
) -> _Case | None:
    """One task after ``n`` random trials; ``None`` if too few are left to predict."""
    finished = np.isfinite(history.losses)
    losses = history.losses[finished]
    rng = np.random.default_rng([seed, zlib.crc32(history.task.id.encode()), n])
    order = rng.permutation(len(losses))
    seen, left = order[:n], order[n : n + _N_PREDICTED]
    if len(left) < _FEWEST_PREDICTED:
        return None
    features = prior.encoding.features(history.coordinates[finished][order[: n + len(left)]])
    everything = Candidates.foretold(prior, features, task_weights)
    candidates = everything.these(np.arange(n, n + len(left)))
    regrets = regret(losses)[left]
    if not n:
        prediction = uncalibrated_before_trials(prior, candidates)
        return _Case(prediction, regrets, regrets + EPSILON, 2)
    trials = Trials(features[:n], everything.log_regrets[:n], losses[seen])
    own = fit_own_lengthscales(prior, trials) if n >= _FIRST_FIT else None
    posterior = Posterior(prior, task_weights, trials, own_lengthscales=own)
    return _Case(
        prediction=_pruned(uncalibrated_after_trials(prior, posterior, candidates)),
        observed=losses[left],
        jacobian=float(np.ptp(losses)) * (regrets + EPSILON),
        n_groups=int(np.prod(GRID_SHAPE)),
    )


def _pruned(prediction: Prediction) -> Prediction:
    """Without the terms that hardly count, which takes a fraction of the time."""
    kept = prediction.weights >= _LEAST_WEIGHT * prediction.weights.max()
    return replace(
        prediction,
        weights=prediction.weights[kept] / prediction.weights[kept].sum(),
        best=prediction.best[kept],
        extent=prediction.extent[kept],
        means=prediction.means[:, kept],
        deviations=prediction.deviations[:, kept],
        groups=prediction.groups[kept],
    )


@dataclass(frozen=True)
class _Learned:
    """What was learned after one number of trials.

    Attributes:
        factor: Of standard deviations.
        grid: Logarithmic weights: of the best loss, the range, and the tail; before any trial
            that of what believes the new task alone.
    """

    factor: float
    grid: np.ndarray


def _learn(cases: Sequence[_Case]) -> _Learned:
    has_grid = cases[0].n_groups > 2
    weights = np.zeros(sum(GRID_SHAPE) + 1 if has_grid else 1)
    if has_grid:
        weights[-1] = _FIRST_TAIL
    factor = 1.0
    for _ in range(_N_ROUNDS):
        weights = _weights(cases, factor, weights)
        factor = _factor(cases, weights)
    return _Learned(factor, weights)


def _learn_before_trials(cases: Sequence[_Case]) -> tuple[float, _Learned]:
    """The same before any trial, and the factor of terms that don't believe the source tasks.

    What a task's own trials may still say of them is vague; what nobody has tried is not.
    """

    def narrowed(case: _Case, factor: float) -> _Case:
        factors = np.where(case.prediction.groups == 1, factor, 1.0)
        deviations = factors * case.prediction.deviations
        return replace(case, prediction=replace(case.prediction, deviations=deviations))

    found = []
    for factor in _ALONE_FACTORS:
        changed = [narrowed(case, factor) for case in cases]
        learned = _learn(changed)
        found.append((_score(changed, learned), factor, learned))
    _, factor, learned = max(found, key=lambda one: one[0])
    return factor, learned


def _score(cases: Sequence[_Case], learned: _Learned) -> float:
    """The log score, averaged over tasks."""
    shares = np.exp(_log_weights(learned.grid))
    scores = [
        np.log(case.densities(learned.factor) @ shares + _SMALLEST).mean()
        - np.log(case.weights @ shares)
        for case in cases
    ]
    return float(np.mean(scores))


def _log_weights(weights: np.ndarray) -> np.ndarray:
    """Of all groups and the tail, from those that are learned; see ``_Learned``."""
    if len(weights) == 1:
        return np.array([0.0, weights[0], -np.inf])
    n_best, _ = GRID_SHAPE
    grid = weights[:n_best, None] + weights[None, n_best:-1]
    return np.append(grid.ravel(), weights[-1])


def _weights(cases: Sequence[_Case], factor: float, start: np.ndarray) -> np.ndarray:
    """The weights of the best log score, averaged over tasks."""
    from scipy.optimize import minimize

    density = np.concatenate([case.densities(factor) for case in cases])
    mass = np.stack([case.weights for case in cases])
    counts = np.array([len(case.observed) for case in cases])
    share = np.repeat(1.0 / (counts * len(cases)), counts)  # all tasks count alike

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        shares = np.exp(_log_weights(weights))
        terms, all_terms = density * shares, mass * shares
        total, all_total = terms.sum(axis=1) + _SMALLEST, all_terms.sum(axis=1)
        score = share @ np.log(total) - np.log(all_total).mean()
        slope = (share / total) @ terms - (1.0 / all_total) @ all_terms / len(cases)
        towards = weights.copy()
        if len(weights) > 1:
            towards[-1] = 0.0  # the tail is free
            by_place = slope[:-1].reshape(GRID_SHAPE)
            gradient = np.concatenate([by_place.sum(axis=1), by_place.sum(axis=0), slope[-1:]])
        else:
            gradient = slope[1:2]
        return (
            -float(score) + _RIDGE * float((towards**2).sum()),
            -gradient + 2.0 * _RIDGE * towards,
        )

    bounds = [(-20.0, 20.0)] * len(start)
    options = {"maxiter": _MOST_ITERATIONS}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(found.x)


def _factor(cases: Sequence[_Case], weights: np.ndarray) -> float:
    """The factor at which 80 % intervals cover 80 %, averaged over tasks, or the nearest to it."""
    shares = np.exp(_log_weights(weights))
    reached = [np.mean([case.covered(factor, shares) for case in cases]) for factor in _FACTORS]
    return float(np.interp(_COVERED, np.maximum.accumulate(reached), _FACTORS))
