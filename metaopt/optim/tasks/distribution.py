"""Which tasks a learned optimizer is trained on: what one batch of them has in common."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from metaopt.optim.tasks.architecture import (
    ACTIVATIONS,
    NORMS,
    SIDE,
    Activation,
    Architecture,
    Family,
)
from metaopt.optim.tasks.bundled import IMAGES, TABLES, load_data_set

Data = Literal["teacher", "prototypes", "sinusoids", "truth-tables", "clusters"] | str

FUNCTIONS: Final = ("sinusoids", "truth-tables", "clusters")

_FAMILIES: Final[dict[Family, float]] = {
    "mlp": 0.6,
    "conv": 0.14,
    "transformer": 0.13,
    "gru": 0.13,
}
_TEACHERS: Final = 0.4  # share of the MLPs that learn from a teacher
_OF_FUNCTIONS: Final = 0.35  # share of those that learn what functions.py makes
_BUNDLED_IMAGES: Final = 0.5  # share of the image models that learn a bundled data set
SMALL_TASK: Final = 200_000  # numbers in one task: a limit that excludes no kind of model
_MOST_DRAWS: Final = 50
_CHEAP: Final[tuple[Activation, ...]] = ("relu", "gelu", "silu")


@dataclass(frozen=True)
class TaskSpec:
    """What the tasks of one batch have in common; the rest is drawn for each task.

    Attributes:
        architecture: Of the optimizee.
        data: ``"teacher"`` (a random network labels random rows), ``"prototypes"`` (shifted
            noisy images), one of ``FUNCTIONS`` or a bundled data set.
        n_rows: Rows to train on.
        n_validation_rows: Rows held out.
        batch_size: Rows in one step, at most ``n_rows``.
    """

    architecture: Architecture
    data: Data
    n_rows: int
    n_validation_rows: int
    batch_size: int

    def __post_init__(self) -> None:
        if not 1 <= self.batch_size <= self.n_rows:
            raise ValueError(
                f"batch_size={self.batch_size} given; expected 1 to n_rows={self.n_rows}."
            )

    @property
    def regression(self) -> bool:
        """Whether the target is a number."""
        return self.architecture.n_outputs == 1

    @property
    def n_numbers(self) -> int:
        """About how many numbers one task holds while it trains: weights and activations."""
        shape = self.architecture
        width, depth = shape.width, max(1, shape.depth)
        if shape.family == "mlp":
            weights = width * (shape.n_inputs + shape.n_outputs + width * (depth - 1))
            activations = shape.n_inputs + 3 * width * depth
        elif shape.family == "conv":
            weights = 12 * width**2 * 4 ** (depth - 1)
            activations = SIDE * SIDE * 14 * width + 12 * SIDE * width * depth
        elif shape.family == "transformer":
            weights = 8 * width**2 * depth
            activations = SIDE * width * 24 * depth
        else:
            weights = 6 * width**2 * depth
            activations = SIDE * width * 16 * depth
        return 4 * weights + self.batch_size * activations

    def __str__(self) -> str:
        return f"{self.architecture}-{self.data}-{self.n_rows}-{self.batch_size}"


def _between(rng: np.random.Generator, low: float, high: float) -> int:
    """A whole number, uniform on a logarithmic scale, both ends included."""
    return round(math.exp(rng.uniform(math.log(low), math.log(high))))


def _choose(rng: np.random.Generator, weights: dict[Family, float]) -> Family:
    names = list(weights)
    return names[int(rng.choice(len(names), p=list(weights.values())))]


def sample_spec(
    rng: np.random.Generator, *, family: Family | None = None, largest: float = math.inf
) -> TaskSpec:
    """Draw one of the specifications that optimizers are meta-trained on.

    Args:
        rng: Source of randomness.
        family: Kind of model; None draws it too.
        largest: Draw until one holds no more numbers than this, such as ``SMALL_TASK`` for a
            machine without an accelerator; if many hold more, take the smallest of these.
    """
    drawn = [_sample_spec(rng, family)]
    while drawn[-1].n_numbers > largest and len(drawn) < _MOST_DRAWS:
        drawn.append(_sample_spec(rng, family))
    return min(drawn, key=lambda spec: spec.n_numbers)


def _sample_spec(rng: np.random.Generator, family: Family | None) -> TaskSpec:
    family = family or _choose(rng, _FAMILIES)
    data, n_inputs, n_outputs, n_available = _sample_data(rng, family)
    n_rows, n_validation_rows = _sample_rows(rng, n_available)
    return TaskSpec(
        architecture=_sample_architecture(rng, family, n_inputs, n_outputs),
        data=data,
        n_rows=n_rows,
        n_validation_rows=n_validation_rows,
        batch_size=min(n_rows, _between(rng, 8, 192 if family == "mlp" else 48)),
    )


def _sample_data(rng: np.random.Generator, family: Family) -> tuple[Data, int, int, int | None]:
    """Name, inputs, outputs, and rows where they are limited."""
    drawn = rng.random()
    if family == "mlp" and drawn < _TEACHERS:
        n_outputs = 1 if rng.random() < 0.45 else int(rng.integers(2, 11))
        return "teacher", _between(rng, 2, 40), n_outputs, None
    if family == "mlp" and drawn < _TEACHERS + _OF_FUNCTIONS:
        return _sample_function(rng)
    if family != "mlp" and rng.random() >= _BUNDLED_IMAGES:
        return "prototypes", SIDE * SIDE, int(rng.integers(2, 11)), None
    data = str(rng.choice(TABLES if family == "mlp" else IMAGES))
    loaded = load_data_set(data)
    return data, loaded.x.shape[1], loaded.n_outputs, len(loaded.x)


def _sample_function(rng: np.random.Generator) -> tuple[Data, int, int, None]:
    data = str(rng.choice(FUNCTIONS))
    if data == "sinusoids":
        return data, int(rng.integers(1, 4)), 1, None
    if data == "truth-tables":
        return data, _between(rng, 4, 20), 2, None
    return data, _between(rng, 2, 8), int(rng.integers(2, 6)), None


def _sample_rows(rng: np.random.Generator, n_available: int | None) -> tuple[int, int]:
    if n_available is None:
        return _between(rng, 128, 4096), 256
    n_validation_rows = min(256, n_available // 4)
    most = n_available - n_validation_rows
    return _between(rng, most // 2, most), n_validation_rows


def _sample_architecture(
    rng: np.random.Generator, family: Family, n_inputs: int, n_outputs: int
) -> Architecture:
    if family == "mlp":
        depth = int(rng.choice(5, p=(0.06, 0.3, 0.34, 0.2, 0.1)))
        width = _between(rng, 8, 96 if depth < 3 else 64)
        if depth in (1, 2) and rng.random() < 0.15:
            width = _between(rng, 96, 256)
        return Architecture(
            "mlp",
            n_inputs,
            n_outputs,
            width,
            depth,
            # Sigmoids in deep stacks hardly learn at all.
            ACTIVATIONS[int(rng.integers(len(ACTIVATIONS) - (depth > 2)))],
            NORMS[int(rng.choice(3, p=(0.6, 0.2, 0.2)))],
        )
    activation = _CHEAP[int(rng.integers(len(_CHEAP)))]
    if family == "conv":
        norm = NORMS[int(rng.integers(2))]
        depth = int(rng.integers(1, 4))
        return Architecture(
            family, n_inputs, n_outputs, _between(rng, 4, 12), depth, activation, norm
        )
    if family == "transformer":
        depth = int(rng.integers(1, 3))
        return Architecture(family, n_inputs, n_outputs, _between(rng, 8, 32), depth, activation)
    depth = 1 if rng.random() < 0.8 else 2
    return Architecture(family, n_inputs, n_outputs, _between(rng, 8, 48), depth)
