"""Models of the benchmark: layers of torch itself, with torch's own initial weights."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

SIDE = 8
N_CLASSES = 10


def _seeded(make: Callable[[], nn.Module], generator: torch.Generator) -> nn.Module:
    """A module whose initial weights depend on the generator only."""
    seed = int(torch.randint(2**31, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def mlp(
    n_inputs: int,
    n_outputs: int,
    width: int,
    depth: int,
    activation: type[nn.Module],
    generator: torch.Generator,
) -> nn.Module:
    """A plain multi-layer perceptron."""

    def make() -> nn.Module:
        sizes = [n_inputs, *[width] * depth]
        hidden = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), activation())]
        return nn.Sequential(*hidden, nn.Linear(sizes[-1], n_outputs))

    return _seeded(make, generator)


def wide(width: int, depth: int, generator: torch.Generator) -> nn.Module:
    """An MLP many times wider than those of meta-training."""
    return mlp(SIDE * SIDE, N_CLASSES, width, depth, nn.ReLU, generator)


def convolutional(generator: torch.Generator) -> nn.Module:
    """Two convolutions with batch normalisation and max-pooling."""

    def make() -> nn.Module:
        return nn.Sequential(
            nn.Unflatten(1, (1, SIDE, SIDE)),
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64, N_CLASSES),
        )

    return _seeded(make, generator)


class _Residual(nn.Module):
    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x)


def residual(generator: torch.Generator) -> nn.Module:
    """Three residual blocks of two layers."""

    def make() -> nn.Module:
        blocks = [
            _Residual(
                nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32))
            )
            for _ in range(3)
        ]
        return nn.Sequential(nn.Linear(SIDE * SIDE, 32), *blocks, nn.Linear(32, N_CLASSES))

    return _seeded(make, generator)


class _Mixer(nn.Module):
    """Mixes tokens, then channels, as MLP-Mixer does."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = nn.Linear(SIDE, width)
        self.tokens = nn.Sequential(nn.Linear(SIDE, 16), nn.GELU(), nn.Linear(16, SIDE))
        self.channels = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 32), nn.GELU(), nn.Linear(32, width)
        )
        self.head = nn.Linear(width, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x.reshape(-1, SIDE, SIDE))
        tokens = tokens + self.tokens(tokens.transpose(1, 2)).transpose(1, 2)
        return self.head((tokens + self.channels(tokens)).mean(1))


def mixer(generator: torch.Generator) -> nn.Module:
    """An MLP-Mixer of one layer."""
    return _seeded(lambda: _Mixer(24), generator)


class _Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(SIDE, 32, batch_first=True)
        self.head = nn.Linear(32, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x.reshape(-1, SIDE, SIDE))[0][:, -1])


def recurrent(generator: torch.Generator) -> nn.Module:
    """An LSTM over the rows of an image."""
    return _seeded(_Lstm, generator)


class _Transformer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = nn.Linear(SIDE, width)
        self.places = nn.Parameter(0.02 * torch.randn(SIDE, width))
        self.block = nn.TransformerEncoderLayer(
            width, nhead=4, dim_feedforward=64, dropout=0.0, batch_first=True
        )
        self.head = nn.Linear(width, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x.reshape(-1, SIDE, SIDE)) + self.places
        return self.head(self.block(tokens).mean(1))


def transformer(generator: torch.Generator) -> nn.Module:
    """A post-norm transformer layer over the rows of an image."""
    return _seeded(lambda: _Transformer(32), generator)


class Autoencoder(nn.Sequential):
    """Squeezes an image through eight numbers."""

    def __init__(self) -> None:
        n = SIDE * SIDE
        super().__init__(
            nn.Linear(n, 48),
            nn.ELU(),
            nn.Linear(48, 8),
            nn.Linear(8, 48),
            nn.ELU(),
            nn.Linear(48, n),
        )


def autoencoder(generator: torch.Generator) -> nn.Module:
    """An :class:`Autoencoder`."""
    return _seeded(Autoencoder, generator)
