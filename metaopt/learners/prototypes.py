"""Prototypical networks: a class is the mean of its examples in a learned space."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metaopt.episodes.episode import Points
from metaopt.learners.learner import Learner, Loss, Predictor, Theta
from metaopt.learners.losses import cross_entropy
from metaopt.learners.network import Network


@dataclass(frozen=True)
class Prototypes(Learner):
    """Classifies by the squared distance to each class's mean; θ is the network's parameters.

    A class without an example has its prototype at the origin.

    Attributes:
        network: Maps inputs to the space of prototypes.
        loss: Of the logits.

    Source: Snell et al. 2017, equations 1 and 2.
    """

    network: Network
    loss: Loss = cross_entropy

    def initial(self, generator: torch.Generator) -> Theta:
        """See ``Learner``."""
        return self.network.initial(generator)

    def adapt(self, theta: Theta, support: Points) -> Predictor:
        """See ``Learner``."""
        of_class = support.y.T * support.weight  # (n_classes, n)
        counts = of_class.sum(1, keepdim=True).clamp_min(1.0)
        prototypes = of_class @ self.network(theta, support.x) / counts

        def predict(x: Tensor) -> Tensor:
            difference = self.network(theta, x)[:, None] - prototypes
            return -(difference**2).sum(-1)

        return predict
