"""What the sampler's model predicts of a configuration's loss, as a distribution.

It is the mixture that ``warmstart.posterior.Posterior`` chooses by: normal distributions of the
logarithmic regret ``z = log((loss - a) / b + eps)``, a term for each of its components and each
point of its grid over ``a`` and ``b``, the task's unknown best loss and range.

Notation:
    M: configurations. k: terms of the mixture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

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


@dataclass(frozen=True)
class Prediction:
    """A predictive distribution for each of ``M`` configurations, independent of each other.

    Attributes:
        weights: Of the terms, ``(k,)``, sum 1.
        best: The task's best loss, if a term is right, ``(k,)``.
        extent: The range of its losses, ``(k,)``.
        means: Of ``z``, ``(M, k)``.
        deviations: Of ``z``, the noise of a trial included, ``(M, k)``.
    """

    weights: np.ndarray
    best: np.ndarray
    extent: np.ndarray
    means: np.ndarray
    deviations: np.ndarray

    def widened(self, factor: float) -> Prediction:
        """The same with all standard deviations multiplied by ``factor``."""
        return replace(self, deviations=self.deviations * factor)

    def middle(self) -> np.ndarray:
        """The mean of the terms' medians, as losses ``(M,)``."""
        medians = self.best + self.extent * (np.exp(self.means) - EPSILON)
        return np.asarray(medians @ self.weights)

    def probability_below(self, losses: np.ndarray) -> np.ndarray:
        """The share of each distribution below the loss that was observed, ``(M,)``."""
        from scipy.special import ndtr

        shifted, z = self._z(losses)
        below = np.where(shifted > 0, ndtr((z - self.means) / self.deviations), 0.0)
        return np.asarray(below @ self.weights)

    def log_density(self, losses: np.ndarray) -> np.ndarray:
        """Of the losses observed, in nats, ``(M,)``."""
        shifted, z = self._z(losses)
        u = (z - self.means) / self.deviations
        density = np.exp(-0.5 * u**2) / (np.sqrt(2.0 * np.pi) * self.deviations)
        # dz / dloss = 1 / (b * ((loss - a) / b + eps))
        density = np.where(shifted > 0, density / (self.extent * np.maximum(shifted, 1e-12)), 0.0)
        return np.log(np.maximum(density @ self.weights, _SMALLEST))

    def _z(self, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shifted = (losses[:, None] - self.best) / self.extent + EPSILON
        return shifted, np.log(np.maximum(shifted, 1e-12))


def before_trials(prior: Prior, candidates: Candidates, *, transfer: bool = True) -> Prediction:
    """What is expected, as regret, on a task of which no trial was seen.

    Args:
        prior: Of the estimator.
        candidates: The configurations.
        transfer: Whether the source tasks are drawn on.
    """
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
    )


def after_trials(prior: Prior, posterior: Posterior, candidates: Candidates) -> Prediction:
    """What is expected after the trials that a posterior was made of, in their losses' unit.

    Args:
        prior: That the posterior was made with.
        posterior: The mixture after some trials.
        candidates: The configurations, made with the posterior's prior weights.
    """
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
    )
