"""Meta-SGD: MAML that also learns a step size, with its sign, for every parameter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch

from metaopt.episodes.episode import Points
from metaopt.learners.inner_loop import descend
from metaopt.learners.learner import Learner, Loss, Predictor, Theta
from metaopt.learners.losses import squared_error
from metaopt.learners.network import Network

RATE = "rate."


@dataclass(frozen=True)
class MetaSGD(Learner):
    """θ is the initialisation and the step sizes, named ``rate.`` and the parameter.

    Attributes:
        network: What predicts.
        loss: Of the support, and of the query.
        n_steps: Gradient steps of adaptation.
        step_size: Before training, of all parameters.

    Source: Li et al. 2017, algorithm 1. Departure: step sizes start equal, not random.
    """

    network: Network
    loss: Loss = squared_error
    n_steps: int = 1
    step_size: float = 0.01

    def initial(self, generator: torch.Generator) -> Theta:
        """See ``Learner``."""
        start = self.network.initial(generator)
        rates = {RATE + name: torch.full_like(p, self.step_size) for name, p in start.items()}
        return start | rates

    def adapt(self, theta: Theta, support: Points) -> Predictor:
        """See ``Learner``."""

        def support_loss(parameters: Theta) -> torch.Tensor:
            return self.loss(self.network(parameters, support.x), support)

        start = {name: p for name, p in theta.items() if not name.startswith(RATE)}
        rates = {name: theta[RATE + name] for name in start}
        adapted = descend(support_loss, start, n_steps=self.n_steps, step_size=rates)
        return partial(self.network, adapted)
