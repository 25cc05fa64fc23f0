"""The controller: one small LSTM cell, run once per tensor of the optimizee with shared weights.

Pure functions of θ, so that meta-training perturbs it and the optimizer steps with it.

=========  ===================  ==========================================================
symbol     shape                meaning
=========  ===================  ==========================================================
T                               tensors of the optimizee
H                               hidden size
``...``                         leading batch dimensions: tasks, each with its own θ or not
features   ``[..., T, F]``      what the controller sees of each tensor
hidden     ``[..., T, 2H]``     output and cell of the LSTM
actions    ``[..., T, A]``      what it decides, unbounded; zeros mean: as the prior has it
=========  ===================  ==========================================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

from metaopt.optim.arrays import Array, arrays_of
from metaopt.optim.features import N_FEATURES

Theta = dict[str, Tensor]

# Learning rate, newest in the average, β2, interpolation; of a schedule the second is β1, and the
# last is not used.
N_ACTIONS: Final = 4
HIDDEN_SIZE: Final = 16
_LONG_MEMORY: Final = 2.0  # bias of the forget gate: sigmoid(2) = 0.88 of the cell is kept


def theta_shapes(hidden_size: int = HIDDEN_SIZE) -> dict[str, tuple[int, ...]]:
    """Name and shape of each part of θ, in the order of ``flatten``."""
    return {
        "input": (N_FEATURES, 4 * hidden_size),
        "recurrent": (hidden_size, 4 * hidden_size),
        "bias": (4 * hidden_size,),
        "output": (hidden_size, N_ACTIONS),
        "output_bias": (N_ACTIONS,),
    }


def n_meta_parameters(hidden_size: int = HIDDEN_SIZE) -> int:
    """The length of a flat θ."""
    return sum(math.prod(shape) for shape in theta_shapes(hidden_size).values())


def hidden_size_of(theta: Mapping[str, Array]) -> int:
    """H, read off θ."""
    return int(theta["recurrent"].shape[-2])


def init_theta(generator: torch.Generator, hidden_size: int = HIDDEN_SIZE) -> Theta:
    """θ before meta-training: whatever it sees, its actions are zeros.

    Args:
        generator: Of the random weights; it gives the device, too.
        hidden_size: H.
    """
    shapes = theta_shapes(hidden_size)
    theta = {name: torch.zeros(shape, device=generator.device) for name, shape in shapes.items()}
    for name in ("input", "recurrent"):
        theta[name].normal_(0, shapes[name][0] ** -0.5, generator=generator)
    theta["bias"][hidden_size : 2 * hidden_size] = _LONG_MEMORY
    return theta


def flatten(theta: Mapping[str, Tensor]) -> Tensor:
    """θ as one vector, ``[..., n_meta_parameters]``."""
    parts = theta_shapes(hidden_size_of(theta))
    return torch.cat([theta[name].flatten(-len(shape)) for name, shape in parts.items()], -1)


def unflatten(vector: Tensor, hidden_size: int = HIDDEN_SIZE) -> Theta:
    """The inverse of ``flatten``; the parts are views."""
    shapes = theta_shapes(hidden_size)
    parts = torch.split(vector, [math.prod(shape) for shape in shapes.values()], -1)
    return {
        name: part.reshape(*part.shape[:-1], *shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


def step(theta: Mapping[str, Array], hidden: Array, features: Array) -> tuple[Array, Array]:
    """One step of the LSTM.

    Args:
        theta: Each part with the batch dimensions in front, or without any.
        hidden: ``[..., T, 2H]``, zeros at the start.
        features: ``[..., T, F]``.

    Returns:
        Actions ``[..., T, A]`` and the new hidden state.
    """
    xp = arrays_of(hidden)
    size = hidden_size_of(theta)
    output, cell = hidden[..., :size], hidden[..., size:]
    gates = features @ theta["input"] + output @ theta["recurrent"] + theta["bias"][..., None, :]
    opened = xp.sigmoid(gates[..., : 3 * size])  # to let in, to keep, to show
    candidate = xp.tanh(gates[..., 3 * size :])
    cell = opened[..., size : 2 * size] * cell + opened[..., :size] * candidate
    hidden = xp.cat([opened[..., 2 * size :] * xp.tanh(cell), cell])
    return actions(theta, hidden), hidden


def actions(theta: Mapping[str, Array], hidden: Array) -> Array:
    """What the controller decides in a hidden state, ``[..., T, A]``."""
    output = hidden[..., : hidden_size_of(theta)]
    return output @ theta["output"] + theta["output_bias"][..., None, :]
