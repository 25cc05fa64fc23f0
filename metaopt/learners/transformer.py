"""A transformer that learns in context: a neural process with a predictive distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from metaopt.episodes.episode import Points
from metaopt.learners.learner import Learner, Loss, Predictor, Theta
from metaopt.learners.losses import Gaussian, gaussian_nll
from metaopt.learners.network import MLP


@dataclass(frozen=True)
class NeuralProcess(Learner):
    """Support points attend to each other, query points to the support, in each layer.

    There are no positions: predictions don't depend on the order of the support. A learned
    token stands beside the support, so that an empty one can be attended to.

    Attributes:
        n_features: Of an input.
        width: Of a token.
        n_heads: Of attention; divides ``width``.
        n_layers: Of attention and network.
        loss: Of the predictive distribution.

    Source: Nguyen and Grover 2022 (transformer neural processes, diagonal); Müller et al. 2022.
    """

    n_features: int
    width: int = 64
    n_heads: int = 4
    n_layers: int = 2
    loss: Loss = gaussian_nll

    @property
    def _networks(self) -> dict[str, MLP]:
        w = self.width
        networks = {
            "support": MLP((self.n_features + 1, w, w), name="support."),
            "query": MLP((self.n_features, w, w), name="query."),
            "head": MLP((w, w, 2), name="head."),
        }
        for i in range(self.n_layers):
            for part in ("from", "to", "value", "mixed"):
                networks[f"{part}{i}"] = MLP((w, w), name=f"{part}{i}.")
            networks[f"network{i}"] = MLP((w, 2 * w, w), name=f"network{i}.")
        return networks

    def initial(self, generator: torch.Generator) -> Theta:
        """See ``Learner``."""
        theta = {"nothing_seen": torch.zeros(1, self.width)}
        for network in self._networks.values():
            theta |= network.initial(generator)
        return theta

    def adapt(self, theta: Theta, support: Points) -> Predictor:
        """See ``Learner``."""
        seen = self._networks["support"](theta, torch.cat([support.x, support.y], dim=1))
        tokens = torch.cat([theta["nothing_seen"], seen])
        is_there = torch.cat([support.weight.new_ones(1), support.weight]) > 0
        layers = []
        for i in range(self.n_layers):
            layers.append(tokens)
            tokens = self._attended(theta, i, tokens, tokens, is_there)

        def predict(x: Tensor) -> Gaussian:
            at = self._networks["query"](theta, x)
            for i, context in enumerate(layers):
                at = self._attended(theta, i, at, context, is_there)
            mean, spread = self._networks["head"](theta, _normalised(at)).chunk(2, dim=1)
            return Gaussian(mean, torch.nn.functional.softplus(spread) + 1e-4)

        return predict

    def _attended(
        self, theta: Theta, layer: int, tokens: Tensor, context: Tensor, is_there: Tensor
    ) -> Tensor:
        """Tokens ``(n, width)`` after one layer of attention to a context ``(m, width)``."""

        def heads(part: str, of: Tensor) -> Tensor:
            mapped = self._networks[f"{part}{layer}"](theta, _normalised(of))
            return mapped.reshape(len(of), self.n_heads, -1).transpose(0, 1)  # (heads, n, size)

        asked, known, values = heads("from", tokens), heads("to", context), heads("value", context)
        match = asked @ known.transpose(1, 2) / math.sqrt(asked.shape[-1])
        attention = torch.softmax(match.masked_fill(~is_there, -math.inf), dim=-1)
        told = (attention @ values).transpose(0, 1).flatten(1)
        tokens = tokens + self._networks[f"mixed{layer}"](theta, told)
        return tokens + self._networks[f"network{layer}"](theta, _normalised(tokens))


def _normalised(tokens: Tensor) -> Tensor:
    return torch.nn.functional.layer_norm(tokens, tokens.shape[-1:])
