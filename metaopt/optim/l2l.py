"""The coordinate-wise LSTM optimizer of Andrychowicz et al. 2016, a baseline by name.

One small LSTM sees the gradient of one coordinate and proposes its step; all coordinates share its
weights and have states of their own: 320 bytes a parameter in float32, against Adam's 8.
It is here to be compared with; ``LSTMOptimizer`` is what to train with.

Source: "Learning to learn by gradient descent by gradient descent", arXiv 1606.04474.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from warmstart.artifact import read_artifact, write_artifact
from warmstart.errors import ArtifactError

KIND: Final = "l2l-network"

State = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class L2LConfig:
    """What the network sees and how its output is scaled.

    Attributes:
        log_range: ``p`` of the paper's preprocessing: a gradient enters as its logarithm over
            ``p`` and its sign, or, below ``exp(-p)``, as -1 and the gradient times ``exp(p)``.
            None: the gradient itself enters.
        input_scale: Gradients are multiplied by it first.
        output_scale: The network's output times this is the step.
        hidden: Units of each layer.
        layers: Of the LSTM.
    """

    log_range: float | None = 5.0
    input_scale: float = 1.0
    output_scale: float = 0.01
    hidden: int = 20
    layers: int = 2


class CoordinateLSTM(nn.Module):
    """Maps the gradient of each coordinate to its step."""

    def __init__(self, config: L2LConfig, *, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        n_inputs = 1 if config.log_range is None else 2
        self.lstm = nn.LSTM(n_inputs, config.hidden, config.layers)
        self.output = nn.Linear(config.hidden, 1)
        self._draw(torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def _draw(self, generator: torch.Generator) -> None:
        """Weights of deviation 1/√fan-in; every memory cell starts out remembering."""
        for parameter in self.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0.0, parameter.shape[1] ** -0.5, generator=generator)
            else:
                parameter.zero_()
        forget = slice(self.config.hidden, 2 * self.config.hidden)
        for layer in range(self.config.layers):
            getattr(self.lstm, f"bias_ih_l{layer}")[forget] = 1.0

    def inputs(self, gradients: Tensor) -> Tensor:
        """What the LSTM sees of gradients ``(...)``: ``(..., n_inputs)``."""
        gradients = gradients * self.config.input_scale
        p = self.config.log_range
        if p is None:
            return gradients.unsqueeze(-1)
        smallest = torch.finfo(gradients.dtype).tiny
        size = (gradients.abs().clamp_min(smallest).log() / p).clamp_min(-1.0)
        sign = (gradients * math.exp(p)).clamp(-1.0, 1.0)
        return torch.stack((size, sign), dim=-1)

    def forward(self, gradients: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The steps for a sequence of gradients.

        Args:
            gradients: ``(n_steps, n_coordinates)``.
            state: After the steps before these, each ``(layers, n_coordinates, hidden)``; None at
                the first one.

        Returns:
            The steps ``(n_steps, n_coordinates)``, and the state after them.
        """
        hidden, state = self.lstm(self.inputs(gradients), state)
        return self.output(hidden).squeeze(-1) * self.config.output_scale, state


class L2LOptimizer(torch.optim.Optimizer):
    """Any model trained by a coordinate-wise LSTM, as a torch optimizer.

    Args:
        params: As of any torch optimizer; real numbers, dense gradients.
        network: The optimizer network; see ``load_l2l``.
        lr: Multiplies the steps.

    Raises:
        ValueError: If ``lr`` is negative.
    """

    def __init__(
        self,
        params: Iterable[Any],
        network: CoordinateLSTM,
        *,
        lr: float = 1.0,
    ) -> None:
        if lr < 0:
            raise ValueError(f"lr={lr} given; expected 0 or more.")
        super().__init__(params, {"lr": lr})
        self._network = network

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; returns what ``closure`` returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.numel():
                    self._step_one(parameter, group["lr"])
        return loss

    def _step_one(self, parameter: Tensor, lr: float) -> None:
        if parameter.grad is None or parameter.grad.is_sparse or parameter.is_complex():
            raise ValueError(
                "L2LOptimizer was given a sparse gradient or a complex parameter; expected dense "
                "gradients of real parameters: use torch.optim.SparseAdam or Adam for it."
            )
        state = self.state[parameter]
        before = (state["hidden"], state["cell"]) if state else None
        steps, (hidden, cell) = self._network(parameter.grad.reshape(1, -1), before)
        state["hidden"], state["cell"] = hidden, cell
        parameter.add_(steps.reshape(parameter.shape), alpha=lr)


def save_l2l(
    network: CoordinateLSTM, path: str | os.PathLike[str], *, card: Mapping[str, Any]
) -> str:
    """Write a network as an artifact; ``card`` says how it was trained (JSON). Returns the digest.

    Raises:
        ArtifactError: If it can't be written.
    """
    tensors = {name: value.detach().cpu().numpy() for name, value in network.state_dict().items()}
    description = {"kind": KIND, "config": asdict(network.config), "card": dict(card)}
    return write_artifact(path, tensors, description)


def load_l2l(path: str | os.PathLike[str]) -> tuple[CoordinateLSTM, Mapping[str, Any]]:
    """A network that ``save_l2l`` wrote, and the card of its training.

    Raises:
        ArtifactError: If the file holds none.
    """
    artifact = read_artifact(path)
    try:
        if artifact.description["kind"] != KIND:
            raise ValueError(f"kind {artifact.description['kind']!r}")
        network = CoordinateLSTM(L2LConfig(**artifact.description["config"]))
        network.load_state_dict({k: torch.tensor(v) for k, v in artifact.tensors.items()})
        return network, artifact.description["card"]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ArtifactError(
            f"path={str(path)!r} given, which holds no optimizer network ({error}); expected kind "
            f"{KIND!r}: train one with 'metaopt bench l2l'."
        ) from error
