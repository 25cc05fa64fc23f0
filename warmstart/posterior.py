"""What is expected of a new task's configurations after some of its trials.

The answer is a mixture. Some of its components believe the source tasks: the new task's
logarithmic regret is their mean, plus how they differ among each other, plus a smooth and a rough
remainder of its own. Others believe the new task alone. Each is a Gaussian process; the trials
decide by their likelihood how much each counts, so that misleading sources lose their say, and
helpful ones keep it as long as they explain what is seen.

The scale of the new task's loss is not known: neither its best nor its worst. Both are integrated
over a grid; so is, by the same likelihood, how hard the losses are warped.

Besides, while trials are few, part of the say goes to a likelihood-weighted portfolio: what would
help most if the new task were one of the source tasks, as a greedy portfolio chooses.

Notation:
    n: trials seen, pending ones included. M: candidates. T: source tasks. Q: points of the grid.
    z: logarithmic regret; g: that of the source tasks, ``(n, T)`` or ``(M, T)``.
    a, b: best loss and range of the new task, ``(Q,)`` each: ``z = log((loss - a) / b + eps)``.
    E: unscaled features, ``(n, D)`` or ``(M, D)``.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from warmstart.kernels import matern52, squared_distances
from warmstart.prior import Prior
from warmstart.regret import EPSILON, from_log_regret

Lengthscales = Literal["learned", "usual", "own"]


@dataclass(frozen=True)
class Component:
    """One belief about the new task.

    Attributes:
        transfer: How much of the differences between source tasks to expect; 0 believes the new
            task alone.
        smooth: Variance of the smooth remainder.
        rough: Variance of the rough remainder, as the noise of a loss that is the same each time.
        share: Prior weight.
        lengthscales: Those learned from the sources, usual ones, or fitted to the new task.
        stretch: What they are multiplied with.
    """

    transfer: float
    smooth: float
    rough: float
    share: float
    lengthscales: Lengthscales = "learned"
    stretch: float = 1.0


def _components() -> tuple[Component, ...]:
    kinds: tuple[tuple[float, Lengthscales, float], ...] = (
        (0.05, "learned", 1.0),
        (0.05, "learned", 0.5),
        (0.05, "usual", 1.0),
        (0.10, "own", 1.0),
    )
    transferred = [
        Component(transfer, smooth, rough, 0.5 / 8)
        for transfer in (1.0, 0.5)
        for smooth in (0.05, 0.2)
        for rough in (0.03, 0.3)
    ]
    alone = [
        Component(0.0, smooth, 0.1 * smooth, share, lengthscales, stretch)
        for smooth in (0.5, 1.5)
        for share, lengthscales, stretch in kinds
    ]
    return (*transferred, *alone)


COMPONENTS = _components()

_ROUGHNESS = 0.2  # lengthscale of the rough remainder, relative to the smooth one
_NOISE_SHARE = 0.05  # of the learned noise, what repeats of a configuration would differ by
_MOST_NOISE = 0.1  # more says that the sources are noise, not that the new task is
_JITTER = 1e-6
_MOST_JITTERS = 6  # each ten times the one before
_USUAL_LENGTHSCALE = 0.6
OWN_MEAN = -1.0  # of z where the new task is believed alone,
OWN_LEVEL = 4.0  # and the variance of that
# The grid of a and b, in units of the spread of the losses seen.
_BELOW_BEST = np.array([0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0])
_RANGE = np.array([0.5, 1.0, 2.0, 4.0, 10.0, 30.0])
GRID_SHAPE = (len(_BELOW_BEST), len(_RANGE))
# Losses are capped at this many times the distance from the best to the median.
_CAP = 20.0
_SMALLEST_SPREAD = 1e-290  # of losses; of less, shares are 0
# Components and grid points with less than this share of the largest weight are left out.
_LEAST_WEIGHT = 0.002
_NEGLIGIBLE = 1e-5
_MOST_TERMS = 32
_GLANCE_TERMS = 8
_GLANCE_COMPONENTS = 2
# Source tasks that don't foretell each other still count for this much.
LEAST_TRUST = 0.02
# The portfolio's say is this, squared, over the number of trials from there on.
_PORTFOLIO_TRIALS = 3.0
_PORTFOLIO_REMAINDER = 0.3
_PORTFOLIO_NOISE = 0.01
# From this trial on the likelihood tells source tasks apart; two trials only tell which is better.
_FEWEST_TO_TELL = 3


@dataclass(frozen=True)
class Trials:
    """The new task's trials as arrays, those that finished first.

    Attributes:
        features: Unscaled, ``(n, D)``.
        log_regrets: Of the source tasks at the same configurations, ``(n, T)``.
        losses: Of the finished trials, ``(n_finished,)``; the rest of the rows is pending.
    """

    features: np.ndarray
    log_regrets: np.ndarray
    losses: np.ndarray


# What candidates keep, with a row or value for each of them.
_OF_EACH = (
    "features",
    "log_regrets",
    "uncertainty",
    "mean",
    "spread",
    "variance",
    "regrets",
)


class Candidates:
    """Configurations to be judged, and what the source tasks say of them.

    Args:
        features: Unscaled, ``(M, D)``.
        log_regrets: Of the source tasks, ``(M, T)``.
        task_weights: Prior weight of each source task, ``(T,)``.
        uncertainty: Variance of the logarithmic regrets, ``(M,)``; 0 by default.

    Attributes:
        mean: Of the source tasks' logarithmic regrets, ``(M,)``.
        spread: What their covariance is the product of, ``(M, T)``.
    """

    def __init__(
        self,
        features: np.ndarray,
        log_regrets: np.ndarray,
        task_weights: np.ndarray,
        uncertainty: np.ndarray | None = None,
    ) -> None:
        self.features = features
        self.log_regrets = log_regrets
        self.uncertainty = np.zeros(len(features)) if uncertainty is None else uncertainty
        self._task_weights = task_weights
        self.mean = log_regrets @ task_weights
        self.spread = (log_regrets - self.mean[:, None]) * np.sqrt(task_weights)

    @classmethod
    def foretold(cls, prior: Prior, features: np.ndarray, task_weights: np.ndarray) -> Candidates:
        """Candidates at unscaled features ``(M, D)``, with all that the source tasks say."""
        log_regrets, uncertainty = prior.foretell(prior.scale(features))
        return cls(features, log_regrets, task_weights, uncertainty)

    @cached_property
    def variance(self) -> np.ndarray:
        """Of the source tasks' logarithmic regrets, ``(M,)``."""
        return np.einsum("mt,mt->m", self.spread, self.spread)

    @property
    def log_expected(self) -> np.ndarray:
        """The logarithm of the regret that is expected of the source tasks, ``(M, T)``.

        The mean of a log-normal value: what nobody tried doesn't look good only for that.
        """
        return self.log_regrets + 0.5 * self.uncertainty[:, None]

    @cached_property
    def regrets(self) -> np.ndarray:
        """Expected of the source tasks, ``(M, T)``."""
        return from_log_regret(self.log_expected)

    def these(self, chosen: np.ndarray) -> Candidates:
        """Some of them, by index, without computing anything again."""
        some = copy(self)
        for name in _OF_EACH:
            if name in self.__dict__:
                some.__dict__[name] = self.__dict__[name][chosen]
        return some

    def and_these(self, other: Candidates) -> Candidates:
        """Both, one after the other, without computing anything again."""
        both = copy(self)
        for name in _OF_EACH:
            both.__dict__[name] = np.concatenate([getattr(self, name), getattr(other, name)])
        return both


@dataclass(frozen=True)
class Term:
    """What one component says of ``M`` candidates, at ``q`` points of the grid.

    Attributes:
        weights: Posterior weights, ``(q,)``.
        grid: Indices of the points, ``(q,)``.
        best: The best loss there, ``(q,)``.
        extent: The range of the losses, ``(q,)``.
        means: Of ``z``, ``(M, q)``.
        variance: Of ``z``, without the noise of a trial, ``(M,)``.
    """

    weights: np.ndarray
    grid: np.ndarray
    best: np.ndarray
    extent: np.ndarray
    means: np.ndarray
    variance: np.ndarray


class Posterior:
    """The mixture after some trials.

    Args:
        prior: Of the estimator.
        task_weights: Prior weight of each source task, ``(T,)``, sum 1.
        trials: At least one finished trial.
        own_lengthscales: Fitted to the new task, ``(d,)``; ``None`` leaves out what needs them.
        alone: Whether only the new task is believed, whatever the likelihood says.
        components: The beliefs that are mixed.

    Attributes:
        shares: Posterior weight of each component.
        task_weights: Posterior weight of each source task, ``(T,)``.
        middling: Median of the losses seen.
        spread: Of the losses seen, the unit of the grid.
    """

    def __init__(
        self,
        prior: Prior,
        task_weights: np.ndarray,
        trials: Trials,
        *,
        own_lengthscales: np.ndarray | None = None,
        alone: bool = False,
        components: tuple[Component, ...] = COMPONENTS,
    ) -> None:
        self._prior = prior
        self._prior_weights = task_weights
        self._trials = trials
        column_of = prior.encoding.column_of
        self._scales: dict[Lengthscales, np.ndarray] = {
            "learned": prior.lengthscales[column_of],
            "usual": np.full(len(column_of), _USUAL_LENGTHSCALE),
        }
        if own_lengthscales is not None:
            self._scales["own"] = own_lengthscales[column_of]
        self._components = [c for c in components if c.lengthscales in self._scales]
        if alone or not task_weights.size:
            self._components = [c for c in self._components if not c.transfer]

        losses, n = trials.losses, len(trials.features)
        seen = np.minimum(losses, _cap(losses))
        # A pending trial is taken to become middling: nothing is gained by its neighbours.
        y = np.append(seen, np.full(n - len(losses), np.median(seen)))
        self._best, self._range = _grid(seen)
        self.middling, self.spread = float(np.median(seen)), _spread_of(seen)
        shifted = (y[:, None] - self._best) / self._range + EPSILON
        self._z = np.log(np.maximum(shifted, 1e-12))
        self._log_jacobian = -(self._z[: len(losses)] + np.log(self._range)).sum(axis=0)
        self._n_finished = len(losses)

        tried = Candidates(trials.features, trials.log_regrets, task_weights)
        self._mean, self._spread = tried.mean, tried.spread
        self._fit()
        self.task_weights = self._weigh_tasks()

    def _covariances(self, E: np.ndarray) -> _Covariances:
        return _Covariances(E, self._trials.features, self._scales)

    def _fit(self) -> None:
        """Condition every component on the trials at every grid point, and weigh them all."""
        n = len(self._z)
        among = self._covariances(self._trials.features)
        between_tasks = self._spread @ self._spread.T
        # Pending trials are no evidence; they only lower the uncertainty around them.
        told = slice(0, self._n_finished)
        trust = (1.0, max(self._prior.trust, LEAST_TRUST))
        self._factors = []
        self._residuals = []
        log_weights = np.empty((len(self._components), len(self._best)))
        for i, component in enumerate(self._components):
            K = among.own(component)
            if component.transfer:
                K = K + component.transfer * between_tasks
                mean = self._mean
            else:
                K = K + OWN_LEVEL
                mean = np.full(n, OWN_MEAN)
            K[np.diag_indices(n)] += trial_noise(self._prior)
            L = _cholesky(K)
            residual = _solve(L, self._z - mean[:, None])
            log_likelihood = (
                self._log_jacobian
                - np.log(np.diag(L)[told]).sum()
                - 0.5 * np.einsum("nq,nq->q", residual[told], residual[told])
            )
            log_weights[i] = (
                np.log(component.share * trust[component.transfer > 0]) + log_likelihood
            )
            self._factors.append(L)
            self._residuals.append(residual)
        weights = np.exp(log_weights - log_weights.max())
        self._weights = weights / weights.sum()
        self.shares = self._weights.sum(axis=1)

    @property
    def n_finished(self) -> int:
        """The number of trials that have a loss."""
        return self._n_finished

    @property
    def transfer_share(self) -> float:
        """Posterior weight of all components that believe the source tasks."""
        believed = [c.transfer > 0 for c in self._components]
        return float(self.shares[believed].sum())

    def _weigh_tasks(self) -> np.ndarray:
        """Posterior weight of each source task as the only one that is like the new task."""
        n = self._n_finished
        if n < _FEWEST_TO_TELL or not self._prior_weights.size:
            return self._prior_weights
        E = self._prior.scale(self._trials.features[:n])
        K = _PORTFOLIO_REMAINDER * matern52(squared_distances(E, E))
        K[np.diag_indices(n)] += self._prior.noise + _PORTFOLIO_NOISE
        L = _cholesky(K)
        n_grid = len(self._best)
        both = np.concatenate([self._z[:n], self._trials.log_regrets[:n]], axis=1)
        whitened = _solve(L, both)
        z, g = whitened[:, :n_grid], whitened[:, n_grid:]
        squares = (z * z).sum(axis=0)[:, None] - 2.0 * z.T @ g + (g * g).sum(axis=0)[None]
        log_likelihood = self._log_jacobian[:, None] - 0.5 * squares
        peak = log_likelihood.max(axis=0)
        log_weights = peak + np.log(np.exp(log_likelihood - peak).sum(axis=0))
        log_weights += np.log(np.maximum(self._prior_weights, 1e-12))
        weights = np.exp(log_weights - log_weights.max())
        return np.asarray(weights / weights.sum())

    @property
    def portfolio_share(self) -> float:
        """How much of the say the portfolio has: all at the first trial, little after ten."""
        few = _PORTFOLIO_TRIALS / (_PORTFOLIO_TRIALS + self._n_finished - 1)
        return few**2 * min(1.0, 2.0 * self.transfer_share)

    def improvement(self, E: np.ndarray, log_regrets: np.ndarray) -> np.ndarray:
        """Expected improvement, in regret, of each candidate over the best trial, ``(M,)``.

        Args:
            E: Unscaled features of the candidates, ``(M, D)``.
            log_regrets: Of the source tasks, ``(M, T)``.
        """
        return self.improvement_of(Candidates(E, log_regrets, self._prior_weights))

    def improvement_of(self, candidates: Candidates, *, at_a_glance: bool = False) -> np.ndarray:
        """As ``improvement``, of candidates that keep what does not depend on trials.

        Args:
            candidates: Made with the posterior's prior weights.
            at_a_glance: Whether only the terms of the mixture count that weigh most, which is
                faster.
        """
        share = self.portfolio_share
        least = self._least_weights(at_a_glance)
        expected = (1.0 - share) * self._expected_improvement(candidates, least)
        if share > 0:
            expected += share * portfolio_improvement(
                candidates.regrets, self._trials.log_regrets, self.task_weights
            )
        return expected

    def _least_weights(self, at_a_glance: bool) -> np.ndarray:
        """The weight from which on a term counts, for each component."""
        flat = np.sort(self._weights, axis=None)[::-1]
        n_terms = min(_GLANCE_TERMS if at_a_glance else _MOST_TERMS, len(flat))
        least = np.full(len(self._components), max(flat[n_terms - 1], _LEAST_WEIGHT * flat[0]))
        if at_a_glance:
            least[np.argsort(-self.shares, kind="stable")[_GLANCE_COMPONENTS:]] = np.inf
        return least

    def terms(self, candidates: Candidates, least: np.ndarray | None = None) -> Iterator[Term]:
        """The terms of the mixture: what each component says of candidates.

        Args:
            candidates: Made with the posterior's prior weights.
            least: The weight from which on a term counts, for each component; by default all
                count that change any figure.
        """
        if least is None:
            least = np.full(len(self._components), _NEGLIGIBLE * self._weights.max())
        n = len(candidates.features)
        across = self._covariances(candidates.features)
        between_tasks = candidates.spread @ self._spread.T
        for i, component in enumerate(self._components):
            chosen = np.flatnonzero(self._weights[i] >= least[i])
            if not len(chosen):
                continue
            k = across.own(component)
            variance = np.full(n, component.smooth + component.rough)
            if component.transfer:
                k += component.transfer * between_tasks
                variance += component.transfer * candidates.variance
            else:
                k += OWN_LEVEL
                variance += OWN_LEVEL
            V = _solve(self._factors[i], k.T)
            variance -= np.einsum("nm,nm->m", V, V)
            means = V.T @ self._residuals[i][:, chosen]
            means += (candidates.mean if component.transfer else np.full(n, OWN_MEAN))[:, None]
            yield Term(
                weights=self._weights[i, chosen],
                grid=chosen,
                best=self._best[chosen],
                extent=self._range[chosen],
                means=means,
                variance=np.maximum(variance, 1e-8),
            )

    def _expected_improvement(self, candidates: Candidates, least: np.ndarray) -> np.ndarray:
        from scipy.special import ndtr

        total = np.zeros(len(candidates.features))
        best = self._z[: self._n_finished].min(axis=0)
        for term in self.terms(candidates, least):
            deviation = np.sqrt(term.variance)[:, None]
            goal = best[term.grid][None]
            u = (goal - term.means) / deviation
            gain = np.exp(goal) * ndtr(u)
            gain -= np.exp(term.means + 0.5 * deviation**2) * ndtr(u - deviation)
            total += gain @ term.weights
        return total


class _Covariances:
    """Covariances between other rows and the trials, each distance and kernel computed once."""

    def __init__(
        self, others: np.ndarray, E: np.ndarray, scales: dict[Lengthscales, np.ndarray]
    ) -> None:
        self._others = others
        self._E = E
        self._scales = scales
        self._decays: dict[Lengthscales, tuple[np.ndarray, np.ndarray]] = {}
        self._kernels: dict[tuple[Lengthscales, float], np.ndarray] = {}

    def own(self, component: Component) -> np.ndarray:
        """Covariance of the remainder of the new task's own, ``(M, n)``; a fresh array."""
        smooth = self._kernel(component.lengthscales, component.stretch)
        rough = self._kernel(component.lengthscales, component.stretch * _ROUGHNESS)
        covariance = component.smooth * smooth
        covariance += component.rough * rough
        return covariance

    def _kernel(self, lengthscales: Lengthscales, stretch: float) -> np.ndarray:
        """``matern52`` of distances over ``stretch``, with one exponential for all stretches."""
        key = (lengthscales, stretch)
        if key not in self._kernels:
            if lengthscales not in self._decays:
                scale = self._scales[lengthscales]
                squared = squared_distances(self._others / scale, self._E / scale)
                r = np.sqrt(5.0 * squared)
                self._decays[lengthscales] = r, np.exp(-r)
            r, decay = self._decays[lengthscales]
            factor = 1.0 / stretch
            kernel = r * (factor**2 / 3.0)
            kernel += factor
            kernel *= r
            kernel += 1.0
            kernel *= _power(decay, factor)
            self._kernels[key] = kernel
        return self._kernels[key]


def _power(base: np.ndarray, exponent: float) -> np.ndarray:
    """``base ** exponent``, by squaring where the exponent is whole."""
    n = round(exponent)
    if abs(exponent - n) > 1e-9 or n < 1:
        return np.asarray(base**exponent)
    power = None
    while n:
        if n % 2:
            power = base if power is None else power * base
        n //= 2
        if n:
            base = base * base
    assert power is not None
    return power


def _cholesky(K: np.ndarray) -> np.ndarray:
    """The lower factor of a symmetric matrix, a little of the diagonal added where it needs it.

    Straight to LAPACK: matrices are so small that checks would take longer.
    """
    from scipy.linalg.lapack import dpotrf

    jitter = _JITTER
    K[np.diag_indices(len(K))] += jitter
    for _ in range(_MOST_JITTERS):
        L, info = dpotrf(K.T, lower=1, clean=1)
        if info == 0:
            return np.asarray(L)
        jitter *= 10.0
        K[np.diag_indices(len(K))] += jitter
    raise np.linalg.LinAlgError(f"a covariance of {len(K)} trials has no Cholesky factor")


def _solve(L: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``L^-1 b``; fastest where ``b`` is in Fortran's order."""
    from scipy.linalg.lapack import dtrtrs

    return np.asarray(dtrtrs(L, b, lower=1)[0])


def portfolio_improvement(
    regrets: np.ndarray, tried: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """By how much candidates improve on what was tried, if the new task were a source task.

    Args:
        regrets: Of the source tasks at the candidates, ``(M, T)``.
        tried: Logarithmic, of the source tasks at the configurations tried, ``(n, T)``.
        weights: Of the source tasks, ``(T,)``.

    Returns:
        Expected improvement in regret, ``(M,)``.
    """
    if not len(tried):
        return np.asarray(1.0 - regrets @ weights)
    reached = from_log_regret(tried).min(axis=0)
    return np.asarray(np.maximum(reached - regrets, 0.0) @ weights)


def trial_noise(prior: Prior) -> float:
    """The variance of ``z`` by which repeats of a configuration would differ."""
    return _NOISE_SHARE * min(prior.noise, _MOST_NOISE)


def first_improvement(
    candidates: Candidates, taken: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """By how much candidates improve before any trial has finished, ``(M,)``.

    The first is what is good in the mean of the logarithm, which a few tasks of bad luck decide
    less than they decide the mean of the regret; those after it add to what runs already.

    Args:
        candidates: ``M`` of them.
        taken: Logarithmic regrets of the source tasks at configurations that run, ``(n, T)``.
        weights: Of the source tasks, ``(T,)``.
    """
    if len(taken):
        return portfolio_improvement(candidates.regrets, taken, weights)
    best = np.log(EPSILON)
    return np.asarray(-np.maximum(candidates.log_expected, best) @ weights)


def _cap(losses: np.ndarray) -> float:
    """A loss above which all are as bad: one diverged trial must not set the scale."""
    best, median = losses.min(), np.median(losses)
    return float(best + _CAP * (median - best)) if median > best else float(losses.max())


def _grid(losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best loss and range of the new task, ``(Q,)`` each, all pairs equally likely."""
    spread = _spread_of(losses)
    best, extent = np.meshgrid(losses.min() - _BELOW_BEST * spread, _RANGE * spread, indexing="ij")
    return best.ravel(), extent.ravel()


def _spread_of(losses: np.ndarray) -> float:
    spread = float(np.ptp(losses))
    return spread if spread > _SMALLEST_SPREAD else max(abs(float(losses.min())), 1e-12)


def fit_own_lengthscales(prior: Prior, trials: Trials) -> np.ndarray | None:
    """Lengthscales ``(d,)`` fitted to the finished trials; ``None`` where these are all alike."""
    from warmstart.lengthscales import fit_lengthscales

    losses = np.minimum(trials.losses, _cap(trials.losses))
    spread = float(np.ptp(losses))
    if spread <= _SMALLEST_SPREAD:
        return None
    z = np.log((losses - losses.min() + 0.03 * spread) / (2.0 * spread) + EPSILON)
    target = (z - z.mean()) / z.std()
    features = trials.features[: len(losses)]
    column_of = prior.encoding.column_of
    return fit_lengthscales([(features, target)], column_of, n_iterations=15)[0]
