"""MAML: an initialisation from which a few gradient steps learn a task."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch

from metaopt.episodes.episode import Points
from metaopt.learners.inner_loop import descend, with_zeros
from metaopt.learners.learner import Learner, Loss, Predictor, Theta
from metaopt.learners.losses import squared_error
from metaopt.learners.network import Network


@dataclass(frozen=True)
class MAML(Learner):
    """θ is the initialisation; the meta-gradient goes through the gradient steps.

    Attributes:
        network: What predicts.
        loss: Of the support, and of the query.
        n_steps: Gradient steps of adaptation; may be another number after meta-training.
        step_size: Of these steps.
        first_order: Whether to leave out second derivatives (FOMAML).
        zeroed: Parameters that adaptation starts at 0, whatever θ says: those of a classifier's
            last layer, for which no class is the first.

    Sources: Finn et al. 2017, algorithms 1 and 2; first order: section 5.2. Zeroing: Kao et al.
    2022.
    """

    network: Network
    loss: Loss = squared_error
    n_steps: int = 1
    step_size: float = 0.01
    first_order: bool = False
    zeroed: tuple[str, ...] = ()

    def initial(self, generator: torch.Generator) -> Theta:
        """See ``Learner``."""
        return self.network.initial(generator)

    def adapt(self, theta: Theta, support: Points) -> Predictor:
        """See ``Learner``."""

        def support_loss(parameters: Theta) -> torch.Tensor:
            return self.loss(self.network(parameters, support.x), support)

        adapted = descend(
            support_loss,
            with_zeros(theta, self.zeroed),
            n_steps=self.n_steps,
            step_size=self.step_size,
            first_order=self.first_order,
        )
        return partial(self.network, adapted)
