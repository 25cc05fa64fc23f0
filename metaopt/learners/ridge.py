"""A ridge regression head on learned features: adaptation in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metaopt.episodes.episode import Points
from metaopt.learners.learner import Learner, Loss, Predictor, Theta
from metaopt.learners.losses import cross_entropy
from metaopt.learners.network import Network


@dataclass(frozen=True)
class Ridge(Learner):
    """Fits targets, or one-hot classes, by ridge regression on the network's outputs.

    Attributes:
        network: Maps inputs to features.
        loss: Of the predictions, for classes as logits.
        scale: Factor of the predictions before training. Logits need more than 1: one-hot
            targets as logits leave much doubt, whatever the features.

    Source: Bertinetto et al. 2019 (R2D2), equations 4 to 6.
    """

    network: Network
    loss: Loss = cross_entropy
    scale: float = 1.0

    def initial(self, generator: torch.Generator) -> Theta:
        """See ``Learner``; with the ridge, and scale and offset of predictions."""
        return {
            **self.network.initial(generator),
            "log_ridge": torch.zeros(()),
            "scale": torch.tensor(self.scale),
            "offset": torch.zeros(()),
        }

    def adapt(self, theta: Theta, support: Points) -> Predictor:
        """See ``Learner``."""
        root = support.weight.sqrt()[:, None]
        features = root * _with_one(self.network(theta, support.x))  # (n, f + 1)
        # By Woodbury's identity the system is as large as the support, not as the features.
        ridge = theta["log_ridge"].exp() * torch.eye(len(features)).to(features)
        dual = torch.linalg.solve(features @ features.T + ridge, root * support.y)
        head = features.T @ dual

        def predict(x: Tensor) -> Tensor:
            return theta["scale"] * (_with_one(self.network(theta, x)) @ head) + theta["offset"]

        return predict


def _with_one(features: Tensor) -> Tensor:
    return torch.cat([features, torch.ones_like(features[:, :1])], dim=1)
