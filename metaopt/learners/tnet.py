"""T-Net: MAML in a metric that is learned for each layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metaopt.episodes.episode import Points
from metaopt.learners.inner_loop import descend
from metaopt.learners.learner import Learner, Loss, Predictor, Theta
from metaopt.learners.losses import squared_error
from metaopt.learners.network import MLP

TRANSFORM = "transform."


@dataclass(frozen=True)
class TNet(Learner):
    """Each layer's weights W are followed by a matrix T that adaptation leaves alone.

    A step on W moves the layer's map W T by the gradient times TᵀT: T learns which directions
    move fast.

    Attributes:
        network: What predicts.
        loss: Of the support, and of the query.
        n_steps: Gradient steps of adaptation.
        step_size: Of these steps.

    Source: Lee and Choi 2018, section 3.1 (T-Net; without the masks of MT-Net).
    """

    network: MLP
    loss: Loss = squared_error
    n_steps: int = 1
    step_size: float = 0.01

    def initial(self, generator: torch.Generator) -> Theta:
        """See ``Learner``; T starts as the identity."""
        transforms = {
            f"{TRANSFORM}{self.network.name}weight{i}": torch.eye(n_out)
            for i, n_out in enumerate(self.network.sizes[1:])
        }
        return self.network.initial(generator) | transforms

    def adapt(self, theta: Theta, support: Points) -> Predictor:
        """See ``Learner``."""

        def predict(parameters: Theta, x: Tensor) -> Tensor:
            maps = {
                name: p @ theta[TRANSFORM + name] if TRANSFORM + name in theta else p
                for name, p in parameters.items()
            }
            return self.network(maps, x)

        def support_loss(parameters: Theta) -> Tensor:
            return self.loss(predict(parameters, support.x), support)

        start = {name: p for name, p in theta.items() if not name.startswith(TRANSFORM)}
        adapted = descend(support_loss, start, n_steps=self.n_steps, step_size=self.step_size)
        return lambda x: predict(adapted, x)
