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


def batch_normalised(generator: torch.Generator) -> nn.Module:
    """Two hidden layers, each with batch normalisation."""

    def make() -> nn.Module:
        hidden = [
            layer
            for n in (SIDE * SIDE, 32)
            for layer in (nn.Linear(n, 32, bias=False), nn.BatchNorm1d(32), nn.ReLU())
        ]
        return nn.Sequential(*hidden, nn.Linear(32, N_CLASSES))

    return _seeded(make, generator)


def deep(generator: torch.Generator) -> nn.Module:
    """Six narrow hidden layers of hyperbolic tangents."""
    return mlp(SIDE * SIDE, N_CLASSES, 24, 6, nn.Tanh, generator)


def gated(generator: torch.Generator) -> nn.Module:
    """Two hidden layers of gated linear units."""

    def make() -> nn.Module:
        hidden = [layer for n in (SIDE * SIDE, 24) for layer in (nn.Linear(n, 48), nn.GLU())]
        return nn.Sequential(*hidden, nn.Linear(24, N_CLASSES))

    return _seeded(make, generator)


def strided(generator: torch.Generator) -> nn.Module:
    """Convolutions along one dimension, with strides and group normalisation."""

    def make() -> nn.Module:
        return nn.Sequential(
            nn.Unflatten(1, (1, SIDE * SIDE)),
            nn.Conv1d(1, 8, 5, stride=2, padding=2),
            nn.GroupNorm(2, 8),
            nn.SiLU(),
            nn.Conv1d(8, 16, 5, stride=4, padding=2),
            nn.SiLU(),
            nn.Flatten(),
            nn.Linear(16 * SIDE, N_CLASSES),
        )

    return _seeded(make, generator)


class _Bidirectional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(SIDE, 16, batch_first=True, bidirectional=True)
        self.head = nn.Linear(32, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.gru(x.reshape(-1, SIDE, SIDE))[0].mean(1))


def bidirectional(generator: torch.Generator) -> nn.Module:
    """A GRU that reads the rows of an image in both directions."""
    return _seeded(_Bidirectional, generator)


class _Embedding(nn.Module):
    """Words are pixels: where, and which of four shades."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(4 * SIDE * SIDE, 12)
        self.layers = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, N_CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        shade = torch.bucketize(x, torch.tensor([-0.5, 0.0, 1.0], device=x.device))
        place = 4 * torch.arange(SIDE * SIDE, device=x.device)
        return self.layers(self.words(shade + place).mean(1))


def embedding(generator: torch.Generator) -> nn.Module:
    """A bag of embedded words."""
    return _seeded(_Embedding, generator)
