"""Small models that run under ``torch.func.vmap``, thousands at a time.

Convolutions and recurrences are written with matrix products: a grouped convolution, which is
what ``vmap`` makes of an ordinary one, is slow for thousands of groups.
"""

from __future__ import annotations

import itertools
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from metaopt.optim.tasks.architecture import SIDE, Activation, Architecture, Norm

_ACTIVATIONS: Final[dict[Activation, type[nn.Module]]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "sigmoid": nn.Sigmoid,
}


def build_model(architecture: Architecture, *, device: torch.device | str = "meta") -> nn.Module:
    """A model of this architecture: ``(n, n_inputs)`` to ``(n, n_outputs)``.

    Args:
        architecture: What to build.
        device: Of the parameters; ``"meta"`` allocates none, for shapes and functional calls.
    """
    with torch.device(device):
        if architecture.family == "mlp":
            return _mlp(architecture)
        if architecture.family == "conv":
            return _ConvNet(architecture)
        if architecture.family == "transformer":
            return _Transformer(architecture)
        return _Recurrent(architecture)


def _norm(norm: Norm, width: int) -> list[nn.Module]:
    if norm == "layer":
        return [nn.LayerNorm(width)]
    if norm == "batch":
        return [nn.BatchNorm1d(width, track_running_stats=False)]
    return []


def _mlp(architecture: Architecture) -> nn.Module:
    layers: list[nn.Module] = []
    n_inputs = architecture.n_inputs
    for _ in range(architecture.depth):
        layers += [
            nn.Linear(n_inputs, architecture.width),
            *_norm(architecture.norm, architecture.width),
            _ACTIVATIONS[architecture.activation](),
        ]
        n_inputs = architecture.width
    return nn.Sequential(*layers, nn.Linear(n_inputs, architecture.n_outputs))


def _patches(images: Tensor) -> Tensor:
    """The 3 × 3 neighbourhood of each pixel: ``(n, h, w, c)`` to ``(n, h, w, 9 c)``."""
    height, width = images.shape[1:3]
    padded = functional.pad(images, (0, 0, 1, 1, 1, 1))
    shifted = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return torch.cat(shifted, dim=-1)


def _halved(images: Tensor) -> Tensor:
    """Mean over squares of 2 × 2 pixels of ``(n, h, w, c)``."""
    n, height, width, channels = images.shape
    return images.reshape(n, height // 2, 2, width // 2, 2, channels).mean(dim=(2, 4))


class _ConvNet(nn.Module):
    """Convolutions of 3 × 3, each twice as wide as the last, halving the image in between."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        widths = [1, *(architecture.width * 2**i for i in range(architecture.depth))]
        pairs = list(itertools.pairwise(widths))
        self.convolutions = nn.ModuleList([nn.Linear(9 * a, b) for a, b in pairs])
        self.norms = nn.ModuleList(
            [nn.LayerNorm(b) if architecture.norm == "layer" else nn.Identity() for _, b in pairs]
        )
        self.activation = _ACTIVATIONS[architecture.activation]()
        self.head = nn.Linear(widths[-1], architecture.n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        images = x.reshape(-1, SIDE, SIDE, 1)
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            if 0 < i < 3:
                images = _halved(images)
            images = self.activation(norm(convolution(_patches(images))))
        return self.head(images.mean(dim=(1, 2)))


class _Attention(nn.Module):
    """Self-attention with two heads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        n, length, width = tokens.shape
        heads = self.queries_keys_values(tokens).reshape(n, length, 3, 2, width // 2)
        queries, keys, values = heads.permute(2, 0, 3, 1, 4).unbind(0)
        scores = queries @ keys.transpose(-1, -2) / (width // 2) ** 0.5
        mixed = torch.softmax(scores, dim=-1) @ values
        return self.out(mixed.transpose(1, 2).reshape(n, length, width))


class _Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int, activation: Activation) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = _Attention(width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            _ACTIVATIONS[activation](),
            nn.Linear(2 * width, width),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(self.attention_norm(tokens))
        return tokens + self.mlp(tokens)


class _Transformer(nn.Module):
    """Reads the rows of an image as tokens."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        width = architecture.width + architecture.width % 2  # two heads
        self.embedding = nn.Linear(SIDE, width)
        self.positions = nn.Parameter(torch.zeros(SIDE, width))
        self.blocks = nn.Sequential(
            *[_Block(width, architecture.activation) for _ in range(architecture.depth)]
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, architecture.n_outputs)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embedding(x.reshape(-1, SIDE, SIDE)) + self.positions
        return self.head(self.norm(self.blocks(tokens)).mean(dim=1))


class _Recurrent(nn.Module):
    """Gated recurrent units over the rows of an image, one layer on another."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        width = architecture.width
        inputs = [SIDE] + [width] * (architecture.depth - 1)
        self.inputs = nn.ModuleList([nn.Linear(n, 3 * width) for n in inputs])
        self.hidden = nn.ModuleList([nn.Linear(width, 3 * width) for _ in inputs])
        self.head = nn.Linear(width, architecture.n_outputs)
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.reshape(-1, SIDE, SIDE)
        for from_input, from_hidden in zip(self.inputs, self.hidden, strict=True):
            gates = from_input(tokens)
            state = torch.zeros_like(gates[:, 0, : self.width])
            states = []
            for i in range(SIDE):
                reset, update, new = gates[:, i].chunk(3, dim=-1)
                reset_h, update_h, new_h = from_hidden(state).chunk(3, dim=-1)
                update = torch.sigmoid(update + update_h)
                new = torch.tanh(new + torch.sigmoid(reset + reset_h) * new_h)
                state = new + update * (state - new)
                states.append(state)
            tokens = torch.stack(states, dim=1)
        return self.head(tokens[:, -1])
