"""Prediction by the nearest tasks, in a learned space of tasks: prototypes for regression."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metaopt.episodes.episode import Points
from metaopt.learners.learner import Learner, Loss, Predictor, Theta
from metaopt.learners.losses import Gaussian, gaussian_nll
from metaopt.learners.network import MLP


@dataclass(frozen=True)
class NeighbourTasks(Learner):
    """A task's embedding attends to learned prototypes of tasks; their predictions are mixed.

    The embedding is the mean over the support of a network of each point, so that it depends
    neither on their order nor, but for noise, on their number. Each prototype has a place in
    that space and a linear head on shared features of the input.

    Attributes:
        n_features: Of an input.
        n_prototypes: Prototypes of tasks.
        n_dimensions: Of the embedding.
        width: Of hidden layers.
        loss: Of the predictive distribution.

    Sources: the embedding is that of Zaheer et al. 2017 (deep sets), the attention that of
    Vinyals et al. 2016, over tasks in place of points.
    """

    n_features: int
    n_prototypes: int = 32
    n_dimensions: int = 8
    width: int = 64
    loss: Loss = gaussian_nll

    @property
    def _points(self) -> MLP:
        sizes = (self.n_features + 1, self.width, self.width, self.n_dimensions)
        return MLP(sizes, name="points.")

    @property
    def _inputs(self) -> MLP:
        return MLP((self.n_features, self.width, self.width), torch.tanh, name="inputs.")

    def initial(self, generator: torch.Generator) -> Theta:
        """See ``Learner``."""

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator)

        return {
            **self._points.initial(generator),
            **self._inputs.initial(generator),
            "nothing_seen": torch.zeros(self.n_dimensions),
            "places": normal(self.n_prototypes, self.n_dimensions),
            "heads": 0.1 * normal(self.n_prototypes, self.width),
            "log_variance": torch.zeros(self.n_prototypes),
        }

    def embed(self, theta: Theta, support: Points) -> Tensor:
        """The place of a task, ``(n_dimensions,)``, from what was seen of it."""
        points = self._points(theta, torch.cat([support.x, support.y], dim=1))
        seen = (support.weight[:, None] * points).sum(0) + theta["nothing_seen"]
        return seen / (support.weight.sum() + 1)

    def adapt(self, theta: Theta, support: Points) -> Predictor:
        """See ``Learner``."""
        away = ((self.embed(theta, support) - theta["places"]) ** 2).sum(1)
        attention = torch.softmax(-away, dim=0)
        head = attention @ theta["heads"]
        variance = attention @ theta["log_variance"].exp() + 1e-4

        def predict(x: Tensor) -> Gaussian:
            mean = (self._inputs(theta, x) @ head)[:, None]
            return Gaussian(mean, variance.expand_as(mean))

        return predict
