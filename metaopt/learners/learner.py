"""The contract of every meta-learner.

Notation:
    θ (theta): the meta-parameters, a dict of tensors shared by all tasks.
    episode: support and query of one task; with a leading axis, of a batch of tasks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from metaopt.episodes.episode import Episode, Points

Theta: TypeAlias = dict[str, Tensor]
#: Maps inputs ``(n, n_features)`` to a prediction that the learner's loss understands.
Predictor: TypeAlias = Callable[[Tensor], Any]
#: Maps a prediction and the points it is of to a scalar.
Loss: TypeAlias = Callable[[Any, Points], Tensor]


class Learner(ABC):
    """Settings of a meta-learner.

    A support set may be empty (all weights 0): the predictor is then what θ says of a task of
    which nothing was seen.
    """

    loss: Loss
    #: Whether ``meta_gradient`` draws nothing from its generator, and so can be traced.
    deterministic: ClassVar[bool] = True

    @abstractmethod
    def initial(self, generator: torch.Generator) -> Theta:
        """Meta-parameters before training, on the CPU."""

    @abstractmethod
    def adapt(self, theta: Theta, support: Points) -> Predictor:
        """Learn one task from its support set; differentiable in θ."""

    def meta_loss(self, theta: Theta, episode: Episode) -> Tensor:
        """Loss on the query of one task after adapting to its support."""
        return self.loss(self.adapt(theta, episode.support)(episode.query.x), episode.query)

    def meta_gradient(
        self, theta: Theta, episodes: Episode, generator: torch.Generator
    ) -> tuple[Theta, Tensor]:
        """What the outer loop descends, and the mean meta-loss, over a batch of tasks.

        This is the gradient of the mean meta-loss; Reptile and RL² have another.
        """

        def mean_loss(theta: Theta) -> Tensor:
            return vmap(self.meta_loss, in_dims=(None, 0))(theta, episodes).mean()

        return grad_and_value(mean_loss)(theta)


def query_losses(learner: Learner, theta: Theta, episodes: Episode) -> Tensor:
    """The meta-loss of each task of a batch, ``(n_tasks,)``."""
    with torch.no_grad():
        return vmap(learner.meta_loss, in_dims=(None, 0))(theta, episodes)
