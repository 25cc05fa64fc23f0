"""Bayesian linear regression on learned features, with a learned prior over its weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metaopt.episodes.episode import Points
from metaopt.learners.learner import Learner, Loss, Predictor, Theta
from metaopt.learners.losses import Gaussian, gaussian_nll
from metaopt.learners.network import MLP


@dataclass(frozen=True)
class BayesianLinear(Learner):
    """The posterior over the last layer's weights is exact; its prior is part of θ.

    Attributes:
        network: Maps inputs to features.
        loss: Of the predictive distribution.

    Source: Harrison et al. 2018 (ALPaCA), section 3. Departure: one target, and the noise is
    learned.
    """

    network: MLP
    loss: Loss = gaussian_nll

    def initial(self, generator: torch.Generator) -> Theta:
        """See ``Learner``; with the prior's mean, the root of its precision, and the noise."""
        n = self.network.sizes[-1]
        prior = {
            "prior_mean": torch.zeros(n, 1),
            "prior_root": torch.eye(n),
            "log_noise": torch.tensor(-1.0),
        }
        return self.network.initial(generator) | prior

    def adapt(self, theta: Theta, support: Points) -> Predictor:
        """See ``Learner``."""
        noise = theta["log_noise"].exp() + 1e-4
        root = theta["prior_root"]
        features = self.network(theta, support.x)
        weighted = features * support.weight[:, None] / noise
        jitter = 1e-4 * torch.eye(len(root)).to(root)
        precision = root @ root.T + jitter
        factor = torch.linalg.cholesky(precision + weighted.T @ features)
        mean = torch.cholesky_solve(
            precision @ theta["prior_mean"] + weighted.T @ support.y, factor
        )

        def predict(x: Tensor) -> Gaussian:
            at = self.network(theta, x)
            spread = torch.linalg.solve_triangular(factor, at.T, upper=False)
            variance = (spread**2).sum(0)[:, None] + noise
            return Gaussian(at @ mean, variance)

        return predict
