"""Reptile: move the initialisation towards where plain training on each task ends."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.func import vmap

from metaopt.episodes.episode import Episode, Points
from metaopt.learners.inner_loop import descend, with_zeros
from metaopt.learners.learner import Learner, Loss, Predictor, Theta
from metaopt.learners.losses import squared_error
from metaopt.learners.network import Network


@dataclass(frozen=True)
class Reptile(Learner):
    """θ is the initialisation; no gradient goes through the training on a task.

    In meta-training a task has no query: support and query are one training set, gone through
    in minibatches. Adaptation takes full-batch steps on the support.

    Attributes:
        network: What predicts.
        loss: Of the training on a task, and of the query.
        n_steps: Steps of adaptation.
        step_size: Of all inner steps.
        minibatch: Points of an inner step in meta-training.
        n_epochs: Passes over the training set in meta-training.
        zeroed: As ``MAML``'s.

    Source: Nichol et al. 2018, algorithm 2. The outer step is ``meta_fit``'s optimizer: theirs
    is SGD.
    """

    network: Network
    loss: Loss = squared_error
    n_steps: int = 32
    step_size: float = 0.02
    minibatch: int = 10
    n_epochs: int = 1
    zeroed: tuple[str, ...] = ()

    def initial(self, generator: torch.Generator) -> Theta:
        """See ``Learner``."""
        return self.network.initial(generator)

    def adapt(self, theta: Theta, support: Points) -> Predictor:
        """See ``Learner``."""
        start = with_zeros(theta, self.zeroed)
        return partial(self.network, self._trained(start, support, self.n_steps))

    def meta_gradient(
        self, theta: Theta, episodes: Episode, generator: torch.Generator
    ) -> tuple[Theta, Tensor]:
        """θ minus the mean of where training ends, and the mean loss of its last minibatches."""

        def after_training(episode: Episode) -> tuple[Theta, Tensor]:
            every = Points(*(torch.cat(parts) for parts in zip(*episode, strict=True)))
            parameters = start
            for _ in range(self.n_epochs):
                for first in range(0, len(every.x), self.minibatch):
                    points = Points(*(part[first : first + self.minibatch] for part in every))
                    loss = self.loss(self.network(parameters, points.x), points)
                    parameters = self._trained(parameters, points, 1)
            moved = {name: start[name] - p for name, p in parameters.items()}
            return with_zeros(moved, self.zeroed), loss

        start = with_zeros(theta, self.zeroed)
        moves, losses = vmap(after_training)(episodes)
        return {name: move.mean(0) for name, move in moves.items()}, losses.mean()

    def _trained(self, parameters: Theta, points: Points, n_steps: int) -> Theta:
        def objective(parameters: Theta) -> Tensor:
            return self.loss(self.network(parameters, points.x), points)

        return descend(objective, parameters, n_steps=n_steps, step_size=self.step_size)
