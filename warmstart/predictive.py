"""What the sampler's model predicts of a configuration's loss, as a distribution.

It is the mixture that ``warmstart.posterior.Posterior`` chooses by: normal distributions of the
logarithmic regret ``z = log((loss - a) / b + eps)``, a term for each of its components and each
point of its grid over ``a`` and ``b``, the task's unknown best loss and range. A prior that was
calibrated corrects it; see ``warmstart.calibration``.

Notation:
    M: configurations. k: terms of the mixture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from warmstart.calibration import TAIL_SPREADS, Correction
from warmstart.posterior import (
    COMPONENTS,
    LEAST_TRUST,
    OWN_LEVEL,
    OWN_MEAN,
    Candidates,
    Posterior,
    trial_noise,
)
from warmstart.prior import Prior
from warmstart.regret import EPSILON

_SMALLEST: Final = 1e-300
# Of z, where the best loss is 0 and the worst 1.
_REGRETS: Final = (float(np.log(EPSILON)), float(np.log(1.0 + EPSILON)))
_NO_BOUNDS: Final = (-np.inf, np.inf)
_AT: Final = 1e-9  # of z, from a bound that is not told apart


@dataclass(frozen=True)
class Tail:
    """A Cauchy distribution of losses that no term of the mixture foresees.

    Attributes:
        weight: Beside the terms; all have 1 together.
        center: Its median.
        scale: Half the width of its middle half.
    """

    weight: float
    center: float
    scale: float

    def below(self, losses: np.ndarray) -> np.ndarray:
        """The share below, ``(M,)``."""
        return np.asarray(0.5 + np.arctan((losses - self.center) / self.scale) / np.pi)

    def density(self, losses: np.ndarray) -> np.ndarray:
        """Of losses ``(M,)``."""
        u = (losses - self.center) / self.scale
        return np.asarray(1.0 / (np.pi * self.scale * (1.0 + u * u)))


@dataclass(frozen=True)
class Prediction:
    """A predictive distribution for each of ``M`` configurations, independent of each other.

    Attributes:
        weights: Of the terms, ``(k,)``, with that of the tail sum 1.
        best: The task's best loss, if a term is right, ``(k,)``.
        extent: The range of its losses, ``(k,)``.
        means: Of ``z``, ``(M, k)``, bounds aside.
        deviations: Of ``z``, the noise of a trial included, ``(M, k)``.
        groups: Of the terms, by which a correction weighs them, ``(k,)``.
        tail: What no term foresees; its weight is 0 without a correction.
        bounds: Between which ``z`` is known to lie: what a term foresees beyond one is there,
            since of some estimators many configurations are alike, and the best or the worst.
    """

    weights: np.ndarray
    best: np.ndarray
    extent: np.ndarray
    means: np.ndarray
    deviations: np.ndarray
    groups: np.ndarray
    tail: Tail
    bounds: tuple[float, float] = _NO_BOUNDS

    def widened(self, factor: float) -> Prediction:
        """The same with all standard deviations multiplied by ``factor``."""
        tail = replace(self.tail, scale=self.tail.scale * factor)
        return replace(self, deviations=self.deviations * factor, tail=tail)

    def of_one_variance(self, deviation: float) -> Prediction:
        """The same with one standard deviation for all terms and configurations."""
        return replace(self, deviations=np.full_like(self.deviations, deviation))

    def corrected(self, correction: Correction) -> Prediction:
        """The same with a correction for the number of trials that it follows from."""
        weights = self.weights * np.exp(correction.log_weights[self.groups])
        tail = float(np.exp(correction.tail))
        total = weights.sum() + tail
        return replace(
            self,
            weights=weights / total,
            deviations=self.deviations * correction.factors[self.groups],
            tail=replace(self.tail, weight=tail / total),
        )

    def middle(self) -> np.ndarray:
        """The mean of the medians of terms and tail, as losses ``(M,)``."""
        at = np.clip(self.means, *self.bounds)
        medians = self.best + self.extent * (np.exp(at) - EPSILON)
        return np.asarray(medians @ self.weights + self.tail.weight * self.tail.center)

    def probability_below(self, losses: np.ndarray) -> np.ndarray:
        """The share of each distribution below the loss that was observed, ``(M,)``."""
        below = self.terms_below(losses) @ self.weights
        return np.asarray(below + self.tail.weight * self.tail.below(losses))

    def covered(self, losses: np.ndarray, level: float) -> np.ndarray:
        """Whether the losses observed lie in central intervals, ``(M,)``; see ``covered``."""
        at = self.terms_at(losses) @ self.weights
        return covered(self.probability_below(losses), at, level)

    def log_density(self, losses: np.ndarray) -> np.ndarray:
        """Of the losses observed, in nats, ``(M,)``."""
        density = self.terms_density(losses) @ self.weights
        density = density + self.tail.weight * self.tail.density(losses)
        return np.asarray(np.log(np.maximum(density, _SMALLEST)))

    def terms_below(self, losses: np.ndarray) -> np.ndarray:
        """The share of each term below the loss that was observed, ``(M, k)``."""
        from scipy.special import ndtr

        shifted, z = self._z(losses)
        low, high = self.bounds
        below = np.where(shifted > 0, ndtr((z - self.means) / self.deviations), 0.0)
        below = np.where(z <= low + _AT, 0.0, below)
        return np.where(z > high + _AT, 1.0, below)

    def terms_at(self, losses: np.ndarray) -> np.ndarray:
        """The share of each term at the loss that was observed, 0 but at a bound, ``(M, k)``."""
        from scipy.special import ndtr

        share = np.zeros_like(self.means)
        if self.bounds == _NO_BOUNDS:
            return share
        _, z = self._z(losses)
        for bound, side in zip(self.bounds, (1.0, -1.0), strict=True):
            beyond = ndtr(side * (bound - self.means) / self.deviations)
            share = np.where(np.abs(z - bound) <= _AT, beyond, share)
        return share

    def terms_density(self, losses: np.ndarray) -> np.ndarray:
        """Of each term, of the losses observed, ``(M, k)``.

        What is at a bound counts as if it were spread over one unit of ``z``.
        """
        shifted, z = self._z(losses)
        low, high = self.bounds
        u = (z - self.means) / self.deviations
        density = np.exp(-0.5 * u**2) / (np.sqrt(2.0 * np.pi) * self.deviations)
        within = (z > low + _AT) & (z < high - _AT)
        density = np.where(within, density, self.terms_at(losses))
        # dz / dloss = 1 / (b * ((loss - a) / b + eps))
        return np.where(shifted > 0, density / (self.extent * np.maximum(shifted, 1e-12)), 0.0)

    def _z(self, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shifted = (losses[:, None] - self.best) / self.extent + EPSILON
        return shifted, np.log(np.maximum(shifted, 1e-12))


def covered(below: np.ndarray, at: np.ndarray, level: float) -> np.ndarray:
    """How much of what was observed lies in central intervals of a level, ``(M,)``.

    Where outcomes have a probability of their own, an end of the interval may be one of them. It
    is inside to the share that gives the interval its level.

    Args:
        below: Probability of less than what was observed, ``(M,)``.
        at: Probability of exactly that, ``(M,)``.
        level: Of the intervals.

    Returns:
        0 or 1 where ``at`` is 0.

    Source: Czado, Gneiting and Held 2009, the nonrandomised probability integral transform.
    """
    low, high = 0.5 - level / 2, 0.5 + level / 2
    inside = np.minimum(below + at, high) - np.maximum(below, low)
    share = np.clip(inside / np.where(at > 0, at, 1.0), 0.0, 1.0)
    return np.where(at > 0, share, (low <= below) & (below <= high)).astype(float)


def before_trials(prior: Prior, candidates: Candidates, *, transfer: bool = True) -> Prediction:
    """What is expected, as regret from 0 to 1, on a task of which no trial was seen.

    Args:
        prior: Of the estimator.
        candidates: The configurations.
        transfer: Whether the source tasks are drawn on.
    """
    prediction = uncalibrated_before_trials(prior, candidates, transfer=transfer)
    if prior.calibration is None or not transfer:
        return prediction
    return prediction.corrected(prior.calibration.after(0))


def after_trials(prior: Prior, posterior: Posterior, candidates: Candidates) -> Prediction:
    """What is expected after the trials that a posterior was made of, in their losses' unit.

    Args:
        prior: That the posterior was made with.
        posterior: The mixture after some trials.
        candidates: The configurations, made with the posterior's prior weights.
    """
    prediction = uncalibrated_after_trials(prior, posterior, candidates)
    if prior.calibration is None:
        return prediction
    return prediction.corrected(prior.calibration.after(posterior.n_finished))


def uncalibrated_before_trials(
    prior: Prior, candidates: Candidates, *, transfer: bool = True
) -> Prediction:
    """``before_trials`` without the prior's correction."""
    trust = max(prior.trust, LEAST_TRUST)
    weights, means, variances = [], [], []
    for component in COMPONENTS:
        variance = component.smooth + component.rough + trial_noise(prior)
        if component.transfer:
            weights.append(component.share * trust * transfer)
            means.append(candidates.mean)
            variances.append(variance + component.transfer * candidates.variance)
        else:
            weights.append(component.share)
            means.append(np.full(len(candidates.mean), OWN_MEAN))
            variances.append(np.full(len(candidates.mean), variance + OWN_LEVEL))
    k = len(weights)
    return Prediction(
        weights=np.array(weights) / np.sum(weights),
        best=np.zeros(k),
        extent=np.ones(k),
        means=np.stack(means, axis=1),
        deviations=np.sqrt(np.stack(variances, axis=1)),
        groups=np.array([int(not component.transfer) for component in COMPONENTS]),
        tail=Tail(weight=0.0, center=0.5, scale=1.0),
        bounds=_REGRETS,
    )


def uncalibrated_after_trials(
    prior: Prior, posterior: Posterior, candidates: Candidates
) -> Prediction:
    """``after_trials`` without the prior's correction."""
    terms = list(posterior.terms(candidates))
    weights = np.concatenate([term.weights for term in terms])
    deviations = [
        np.repeat(np.sqrt(t.variance + trial_noise(prior))[:, None], len(t.weights), axis=1)
        for t in terms
    ]
    return Prediction(
        weights=weights / weights.sum(),
        best=np.concatenate([term.best for term in terms]),
        extent=np.concatenate([term.extent for term in terms]),
        means=np.concatenate([term.means for term in terms], axis=1),
        deviations=np.concatenate(deviations, axis=1),
        groups=np.concatenate([term.grid for term in terms]),
        tail=Tail(0.0, posterior.middling, TAIL_SPREADS * posterior.spread),
    )
