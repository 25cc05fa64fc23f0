"""The rows of a batch of tasks, generated or drawn from a data set."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from metaopt.optim.tasks import functions
from metaopt.optim.tasks.architecture import SIDE
from metaopt.optim.tasks.bundled import load_data_set
from metaopt.optim.tasks.distribution import FUNCTIONS, TaskSpec

_LARGEST_NOISE = 0.2  # share of wrong labels, or deviation of a target's noise
_LARGEST_SHIFT = 2  # pixels


@dataclass(frozen=True)
class Rows:
    """The rows of ``n`` tasks: ``m`` for each, the last of them for validation.

    Attributes:
        pool: ``(n_pool, n_inputs)`` inputs that the tasks share.
        index: ``(n, m)`` int64, rows of the pool.
        labels: ``(n, m)`` classes as int64, or targets as float32.
    """

    pool: Tensor
    index: Tensor
    labels: Tensor


def make_rows(spec: TaskSpec, n: int, generator: torch.Generator) -> Rows:
    """The rows of ``n`` tasks, each with its own teacher, sample and label noise.

    Args:
        spec: What the tasks have in common.
        n: Number of tasks.
        generator: Source of randomness; the rows lie on its device.
    """
    if spec.data == "teacher":
        rows = _teacher_rows(spec, n, generator)
    elif spec.data == "prototypes":
        rows = _prototype_rows(spec, n, generator)
    elif spec.data in FUNCTIONS:
        rows = _function_rows(spec, n, generator)
    else:
        rows = _bundled_rows(spec, n, generator)
    return Rows(rows.pool, rows.index, _noisy(rows.labels, spec, generator))


def _noisy(labels: Tensor, spec: TaskSpec, generator: torch.Generator) -> Tensor:
    """Labels with noise in half of the tasks, of a strength drawn for each."""
    n = len(labels)
    device = generator.device
    strength = torch.rand(n, 1, generator=generator, device=device) * 2 - 1
    strength = strength.clamp_min(0) * _LARGEST_NOISE
    if spec.regression:
        noise = torch.randn(labels.shape, generator=generator, device=device)
        return labels + strength * noise
    wrong = torch.rand(labels.shape, generator=generator, device=device) < strength
    drawn = torch.randint(
        spec.architecture.n_outputs, labels.shape, generator=generator, device=device
    )
    return torch.where(wrong, drawn, labels)


def _bundled_rows(spec: TaskSpec, n: int, generator: torch.Generator) -> Rows:
    data = load_data_set(spec.data)
    device = generator.device
    m = spec.n_rows + spec.n_validation_rows
    order = torch.rand(n, len(data.x), generator=generator, device=device).argsort(dim=1)
    index = order[:, :m]
    return Rows(data.x.to(device), index, data.y.to(device)[index])


def _own_rows(x: Tensor, labels: Tensor) -> Rows:
    """Rows that no two tasks share: ``x`` is ``(n, m, n_inputs)``."""
    n, m = x.shape[:2]
    index = torch.arange(n * m, device=x.device).reshape(n, m)
    return Rows(x.reshape(n * m, -1), index, labels)


def _function_rows(spec: TaskSpec, n: int, generator: torch.Generator) -> Rows:
    m, d = spec.n_rows + spec.n_validation_rows, spec.architecture.n_inputs
    if spec.data == "sinusoids":
        return _own_rows(*functions.sinusoids(n, m, d, generator))
    if spec.data == "truth-tables":
        return _own_rows(*functions.truth_tables(n, m, d, generator))
    return _own_rows(*functions.clusters(n, m, d, spec.architecture.n_outputs, generator))


def _teacher_rows(spec: TaskSpec, n: int, generator: torch.Generator) -> Rows:
    """Correlated rows, labelled by a random network of two layers."""
    device = generator.device
    d, k = spec.architecture.n_inputs, spec.architecture.n_outputs
    m, hidden = spec.n_rows + spec.n_validation_rows, 16

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    def uniform(low: float, high: float) -> Tensor:
        drawn = torch.rand(n, 1, 1, generator=generator, device=device)
        return low + (high - low) * drawn

    # A spectrum that decays by a power drawn for each task.
    scales = torch.arange(1, d + 1, device=device, dtype=torch.float32) ** -uniform(0.0, 1.0)
    x = (normal(n, m, d) * scales) @ normal(n, d, d)
    x = x / x.std(dim=1, keepdim=True).clamp_min(1e-6)
    inner = (x @ normal(n, d, hidden)) * uniform(0.5, 2.0) / d**0.5 + 0.5 * normal(n, 1, hidden)
    smooth = torch.rand(n, 1, 1, generator=generator, device=device) < 0.5
    outputs = torch.where(smooth, torch.tanh(inner), torch.relu(inner)) @ normal(n, hidden, k)
    if spec.regression:
        target = outputs.squeeze(-1)
        spread = target.std(dim=1, keepdim=True).clamp_min(1e-6)
        return _own_rows(x, (target - target.mean(dim=1, keepdim=True)) / spread)
    outputs = outputs - outputs.mean(dim=1, keepdim=True)  # classes of about equal size
    return _own_rows(x, outputs.argmax(dim=-1))


def _prototype_rows(spec: TaskSpec, n: int, generator: torch.Generator) -> Rows:
    """Images: a smooth pattern for each class, moved a few pixels around the edge, and noise."""
    device = generator.device
    k, m = spec.architecture.n_outputs, spec.n_rows + spec.n_validation_rows
    coarse = torch.randn(n, k, 4, 4, generator=generator, device=device)
    patterns = functional.interpolate(coarse, size=(SIDE, SIDE), mode="bilinear")
    labels = torch.randint(k, (n, m), generator=generator, device=device)
    shifts = torch.randint(
        2 * _LARGEST_SHIFT + 1, (2, n, m, 1), generator=generator, device=device
    )
    pixels = torch.arange(SIDE, device=device)
    row, column = ((pixels + shift) % SIDE for shift in shifts)
    task = torch.arange(n, device=device)[:, None, None, None]
    x = patterns[task, labels[:, :, None, None], row[:, :, :, None], column[:, :, None, :]]
    noise = torch.rand(n, 1, 1, 1, generator=generator, device=device)
    x = x + (0.2 + noise) * torch.randn(x.shape, generator=generator, device=device)
    return _own_rows(x.reshape(n, m, SIDE * SIDE), labels)
