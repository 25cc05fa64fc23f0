"""An LSTM that reads the support set and then predicts: the recurrent meta-learner."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metaopt.episodes.episode import Points
from metaopt.learners.learner import Learner, Loss, Predictor, Theta
from metaopt.learners.losses import Gaussian, gaussian_nll
from metaopt.learners.network import MLP


@dataclass(frozen=True)
class LSTMCell:
    """One step of an LSTM as a pure function.

    Attributes:
        n_inputs: Size of an input.
        n_hidden: Size of the hidden state.
    """

    n_inputs: int
    n_hidden: int

    @property
    def _gates(self) -> MLP:
        return MLP((self.n_inputs + self.n_hidden, 4 * self.n_hidden), name="lstm.")

    def initial(self, generator: torch.Generator) -> Theta:
        """Parameters before training; the forget gate starts open."""
        theta = self._gates.initial(generator)
        theta["lstm.bias0"][self.n_hidden : 2 * self.n_hidden] += 1.0
        return theta

    def __call__(
        self, theta: Theta, x: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Hidden and cell state, each ``(..., n_hidden)``, after an input ``(..., n_inputs)``."""
        hidden, cell = state
        gates = self._gates(theta, torch.cat([x, hidden], dim=-1))
        enter, forget, leave, new = gates.chunk(4, dim=-1)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
        return torch.sigmoid(leave) * torch.tanh(cell), cell


@dataclass(frozen=True)
class LSTMLearner(Learner):
    """Reads the support point by point, in its order; the hidden state is the adapted learner.

    Attributes:
        n_features: Of an input.
        n_hidden: Size of the state.
        width: Of the hidden layer that predicts.
        loss: Of the predictive distribution.

    Source: Hochreiter et al. 2001; Santoro et al. 2016, without the memory.
    """

    n_features: int
    n_hidden: int = 64
    width: int = 64
    loss: Loss = gaussian_nll

    @property
    def _cell(self) -> LSTMCell:
        return LSTMCell(self.n_features + 1, self.n_hidden)

    @property
    def _head(self) -> MLP:
        return MLP((self.n_hidden + self.n_features, self.width, self.width, 2), name="head.")

    def initial(self, generator: torch.Generator) -> Theta:
        """See ``Learner``."""
        return self._cell.initial(generator) | self._head.initial(generator)

    def adapt(self, theta: Theta, support: Points) -> Predictor:
        """See ``Learner``."""
        hidden = cell = torch.zeros(self.n_hidden, device=support.x.device)
        points = torch.cat([support.x, support.y], dim=1)
        for point, weight in zip(points.unbind(), support.weight.unbind(), strict=True):
            after = self._cell(theta, point, (hidden, cell))
            hidden = torch.where(weight > 0, after[0], hidden)
            cell = torch.where(weight > 0, after[1], cell)

        def predict(x: Tensor) -> Gaussian:
            known = torch.cat([x, hidden.expand(len(x), -1)], dim=1)
            mean, spread = self._head(theta, known).chunk(2, dim=1)
            return Gaussian(mean, torch.nn.functional.softplus(spread) + 1e-4)

        return predict
