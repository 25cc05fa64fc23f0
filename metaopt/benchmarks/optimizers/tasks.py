"""The benchmark's tasks: ordinary modules and loaders' worth of rows, in four tiers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from metaopt.benchmarks.optimizers import models
from metaopt.optim.tasks import build_model, make_batch, sample_spec
from metaopt.optim.tasks.architecture import Family
from metaopt.optim.tasks.bundled import load_data_set
from metaopt.optim.tasks.distribution import SMALL_TASK

N_LONGER: Final = 5
_OF_BENCHMARK: Final = 900_000  # seeds of specifications; meta-training's are other sequences
_OF_TUNING: Final = 800_000
_HELD_OUT: Final = 0.25


@dataclass(frozen=True)
class Problem:
    """A model with its data, ready to train.

    Attributes:
        model: With its initial weights.
        loss: Of outputs and labels.
        train: Inputs and labels.
        validation: Inputs and labels.
        batch_size: Rows in a step.
    """

    model: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    train: tuple[Tensor, Tensor]
    validation: tuple[Tensor, Tensor]
    batch_size: int


@dataclass(frozen=True)
class BenchTask:
    """A task to train on.

    Attributes:
        name: Unique.
        tier: One of ``options.TIERS``, or ``"meta-training"`` for those that settings are
            chosen on.
        make: From a seed (of rows, initial weights and noise) to the problem.
        longer: How many times the usual horizon it takes.
    """

    name: str
    tier: str
    make: Callable[[int], Problem]
    longer: int = 1


def benchmark_tasks() -> list[BenchTask]:
    """The tasks of all tiers; none of them, nor their data, is used in meta-training."""
    once: tuple[Family, ...] = ("mlp", "mlp", "mlp", "mlp", "gru", "transformer", "conv")
    families = once + once
    seeds = [
        BenchTask(
            f"{family}-{index}", "seeds", partial(_of_distribution, _OF_BENCHMARK + index, family)
        )
        for index, family in enumerate(families)
    ]
    data = [
        BenchTask(name, "data", partial(_of_table, make, width, depth, activation))
        for name, make, width, depth, activation in (
            ("breast-cancer", _bundled("breast_cancer"), 32, 2, nn.ReLU),
            ("friedman", _friedman, 32, 2, nn.ReLU),
            ("spirals", _spirals, 32, 2, nn.Tanh),
            ("wine", _bundled("wine"), 16, 1, nn.ReLU),
            ("waves", _waves, 64, 3, nn.GELU),
            ("parity", _parity, 48, 2, nn.ReLU),
            ("rings", _rings, 24, 2, nn.SiLU),
            ("checkers", _checkers, 48, 2, nn.ReLU),
            ("impedance", _impedance, 32, 2, nn.GELU),
            ("sparse-linear", _sparse_linear, 32, 1, nn.ReLU),
            ("majority", _majority, 32, 1, nn.Tanh),
            ("moons", _moons, 16, 2, nn.ReLU),
        )
    ]
    architectures = [
        BenchTask(name, "architectures", partial(_of_images, make))
        for name, make in (
            ("residual", models.residual),
            ("torch-lstm", models.recurrent),
            ("torch-conv", models.convolutional),
            ("autoencoder", models.autoencoder),
            ("torch-transformer", models.transformer),
            ("mixer", models.mixer),
            ("batch-normalised", models.batch_normalised),
            ("deep", models.deep),
            ("gated", models.gated),
            ("strided", models.strided),
            ("bidirectional", models.bidirectional),
            ("embedding", models.embedding),
        )
    ]
    scale = [
        BenchTask("wide-512", "scale", partial(_of_images, partial(models.wide, 512, 1))),
        BenchTask(
            "long-mlp", "scale", partial(_of_distribution, _OF_BENCHMARK + 20, "mlp"), N_LONGER
        ),
        BenchTask(
            "long-friedman",
            "scale",
            partial(_of_table, _friedman, 64, 3, nn.SiLU),
            N_LONGER,
        ),
        BenchTask("wide-400x2", "scale", partial(_of_images, partial(models.wide, 400, 2))),
    ]
    return [*seeds, *data, *architectures, *scale]


def tuning_tasks(n: int) -> list[BenchTask]:
    """Tasks as meta-training draws them, to choose one setting of a rival on."""
    return [
        BenchTask(f"tuning-{i}", "meta-training", partial(_of_distribution, _OF_TUNING + i, None))
        for i in range(n)
    ]


def _of_distribution(index: int, family: Family | None, seed: int) -> Problem:
    """A task as meta-training draws it, from a sequence of seeds that it never uses."""
    spec = sample_spec(np.random.default_rng([index]), family=family, largest=SMALL_TASK)
    batch = make_batch(spec, 1, torch.Generator().manual_seed(index * 1000 + seed))
    model = build_model(spec.architecture, device="cpu")
    with torch.no_grad():
        for parameter, initial in zip(model.parameters(), batch.initial, strict=True):
            parameter.copy_(initial[0])
    x = (batch.rows.pool[batch.rows.index] * batch.input_scale)[0]
    y, n = batch.rows.labels[0], spec.n_rows
    loss = _squared if spec.regression else functional.cross_entropy
    return Problem(model, loss, (x[:n], y[:n]), (x[n:], y[n:]), spec.batch_size)


def _squared(outputs: Tensor, labels: Tensor) -> Tensor:
    return functional.mse_loss(outputs.squeeze(-1), labels)


Rows = tuple[Tensor, Tensor, int]  # inputs, labels, outputs


def _of_table(
    make: Callable[[np.random.Generator], Rows],
    width: int,
    depth: int,
    activation: type[nn.Module],
    seed: int,
) -> Problem:
    """An MLP with torch's own initial weights on a table."""
    x, y, n_outputs = make(np.random.default_rng(7))
    torch_seed = torch.Generator().manual_seed(seed)
    model = models.mlp(x.shape[1], n_outputs, width, depth, activation, torch_seed)
    loss = _squared if n_outputs == 1 else functional.cross_entropy
    return _problem(model, loss, x, y, torch_seed)


def _of_images(make: Callable[[torch.Generator], nn.Module], seed: int) -> Problem:
    """A model of the 8 × 8 digits."""
    generator = torch.Generator().manual_seed(seed)
    model = make(generator)
    digits = load_data_set("digits")
    if isinstance(model, models.Autoencoder):
        return _problem(model, functional.mse_loss, digits.x, digits.x, generator)
    return _problem(model, functional.cross_entropy, digits.x, digits.y, generator)


def _problem(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    generator: torch.Generator,
) -> Problem:
    order = torch.randperm(len(x), generator=generator)
    n = round(len(x) * (1 - _HELD_OUT))
    train, held_out = order[:n], order[n:]
    return Problem(model, loss, (x[train], y[train]), (x[held_out], y[held_out]), min(32, n))


def _bundled(name: str) -> Callable[[np.random.Generator], Rows]:
    def rows(_: np.random.Generator) -> Rows:
        data = load_data_set(name)
        return data.x, data.y, data.n_outputs

    return rows


def _regression(x: np.ndarray, y: np.ndarray) -> Rows:
    target = torch.tensor((y - y.mean()) / y.std(), dtype=torch.float32)
    return torch.tensor(x, dtype=torch.float32), target, 1


def _friedman(rng: np.random.Generator) -> Rows:
    """Friedman's first function of five of ten inputs, with noise."""
    x = rng.uniform(size=(1200, 10))
    y = 10 * np.sin(math.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    y = y + 10 * x[:, 3] + 5 * x[:, 4] + rng.normal(size=len(x))
    return _regression((x - 0.5) * 12**0.5, y)


def _waves(rng: np.random.Generator) -> Rows:
    """A picture: brightness as a function of the place."""
    x = rng.uniform(-1, 1, size=(1500, 2))
    y = np.sin(5 * x[:, 0]) * np.cos(4 * x[:, 1]) + np.exp(-8 * (x**2).sum(axis=1))
    return _regression(x, y)


def _spirals(rng: np.random.Generator) -> Rows:
    """Three interleaved spirals in the plane."""
    n, k = 900, 3
    label = np.arange(n) % k
    radius = rng.uniform(0.1, 1.0, size=n)
    angle = 4 * radius + label * 2 * math.pi / k + 0.15 * rng.normal(size=n)
    x = 2 * radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(label), k


def _parity(rng: np.random.Generator) -> Rows:
    """Whether an even number of the first three of ten signs is negative."""
    x = rng.choice((-1.0, 1.0), size=(1000, 10))
    label = (x[:, :3].prod(axis=1) > 0).astype(np.int64)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(label), 2


def _rings(rng: np.random.Generator) -> Rows:
    """Four rings around one another, of two classes in turn."""
    n = 800
    ring = np.arange(n) % 4
    angle = rng.uniform(0, 2 * math.pi, size=n)
    radius = 0.3 + 0.4 * ring + 0.08 * rng.normal(size=n)
    x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(ring % 2), 2


def _checkers(rng: np.random.Generator) -> Rows:
    """The colour of a field of a board of four by four."""
    x = rng.uniform(-2, 2, size=(1500, 2))
    label = np.floor(x).sum(axis=1).astype(np.int64) % 2
    return torch.tensor(x, dtype=torch.float32), torch.tensor(label), 2


def _impedance(rng: np.random.Generator) -> Rows:
    """Friedman's second function, the impedance of a circuit, with noise."""
    low, high = np.array([0, 40 * math.pi, 0, 1]), np.array([100, 560 * math.pi, 1, 11])
    u = rng.uniform(size=(1000, 4))
    a, b, c, d = (low + (high - low) * u).T
    y = np.hypot(a, b * c - 1 / (b * d))
    return _regression((u - 0.5) * 12**0.5, y + 0.2 * y.std() * rng.normal(size=len(y)))


def _sparse_linear(rng: np.random.Generator) -> Rows:
    """A linear function of five of thirty inputs, with half its deviation as noise."""
    x = rng.normal(size=(600, 30))
    y = x[:, :5] @ np.array([3.0, -2.0, 1.5, 1.0, -0.5])
    return _regression(x, y + 0.5 * y.std() * rng.normal(size=len(y)))


def _majority(rng: np.random.Generator) -> Rows:
    """Whether most of eleven of twenty signs are positive; one label in twenty is wrong."""
    x = rng.choice((-1.0, 1.0), size=(900, 20))
    label = x[:, :11].sum(axis=1) > 0
    label ^= rng.uniform(size=len(x)) < 0.05
    return torch.tensor(x, dtype=torch.float32), torch.tensor(label.astype(np.int64)), 2


def _moons(rng: np.random.Generator) -> Rows:
    """Two half circles that reach into each other, with noise."""
    n = 600
    label = np.arange(n) % 2
    angle = rng.uniform(0, math.pi, size=n)
    side = 1 - 2 * label
    x = np.stack([side * np.cos(angle) + label, side * np.sin(angle) + 0.5 * label], axis=1)
    x = (x + 0.2 * rng.normal(size=x.shape) - [0.5, 0.25]) * 1.3
    return torch.tensor(x, dtype=torch.float32), torch.tensor(label), 2
