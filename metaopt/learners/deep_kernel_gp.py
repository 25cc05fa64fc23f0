"""A Gaussian process whose kernel is learned across tasks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metaopt.episodes.episode import Points
from metaopt.learners.learner import Learner, Loss, Predictor, Theta
from metaopt.learners.losses import Gaussian, gaussian_nll
from metaopt.learners.network import Network


@dataclass(frozen=True)
class DeepKernelGP(Learner):
    """GP regression with an RBF kernel on the network's outputs and a learned mean.

    The last output of the network is the prior mean, the others are what the kernel measures.

    Attributes:
        network: Maps inputs to at least two outputs.
        loss: Of the predictive distribution.

    Source: Patacchiola et al. 2020 (deep kernel transfer). Departures: the mean is learned, too,
    and training maximises the predictive density of the query, not the marginal likelihood.
    """

    network: Network
    loss: Loss = gaussian_nll

    def initial(self, generator: torch.Generator) -> Theta:
        """See ``Learner``; with the logarithms of the kernel's and the noise's variance."""
        scales = {"log_variance": torch.zeros(()), "log_noise": torch.tensor(-2.0)}
        return self.network.initial(generator) | scales

    def adapt(self, theta: Theta, support: Points) -> Predictor:
        """See ``Learner``."""
        variance, noise = theta["log_variance"].exp(), theta["log_noise"].exp() + 1e-4

        def mean_and_features(x: Tensor) -> tuple[Tensor, Tensor]:
            outputs = self.network(theta, x)
            return outputs[:, -1:], outputs[:, :-1]

        def kernel(a: Tensor, b: Tensor) -> Tensor:
            return variance * torch.exp(-0.5 * ((a[:, None] - b) ** 2).sum(-1))

        mean, features = mean_and_features(support.x)
        # A point of weight 0 is made independent of all others.
        root = support.weight.sqrt()[:, None]
        covariance = root * kernel(features, features) * root.T
        factor = torch.linalg.cholesky(covariance + noise * torch.eye(len(root)).to(root))
        dual = torch.cholesky_solve(root * (support.y - mean), factor)

        def predict(x: Tensor) -> Gaussian:
            prior, at = mean_and_features(x)
            cross = root * kernel(features, at)  # (n_support, n)
            explained = torch.linalg.solve_triangular(factor, cross, upper=False)
            left = (variance - (explained**2).sum(0)).clamp_min(0.0)
            return Gaussian(prior + cross.T @ dual, (left + noise)[:, None].expand_as(prior))

        return predict
