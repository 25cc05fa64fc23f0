"""Gradient descent on a support set, differentiable in where it starts and in its rates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor
from torch.func import grad

from metaopt.learners.learner import Theta


def descend(
    objective: Callable[[Theta], Tensor],
    start: Theta,
    *,
    n_steps: int,
    step_size: float | Mapping[str, Tensor],
    first_order: bool = False,
) -> Theta:
    """The parameters after some steps of gradient descent.

    Args:
        objective: Scalar loss of the parameters.
        start: Where to begin; what is returned depends on it differentiably.
        n_steps: How many.
        step_size: One for all, or for each parameter a tensor that broadcasts to its shape.
        first_order: Whether to take the gradients for constants when differentiating.
    """
    parameters = start
    for _ in range(n_steps):
        gradient = grad(objective)(parameters)
        if first_order:
            gradient = {name: g.detach() for name, g in gradient.items()}
        parameters = {
            name: value
            - (step_size[name] if isinstance(step_size, Mapping) else step_size) * gradient[name]
            for name, value in parameters.items()
        }
    return parameters


def with_zeros(parameters: Theta, names: Collection[str]) -> Theta:
    """The parameters, those of some names replaced by zeros."""
    return {n: torch.zeros_like(p) if n in names else p for n, p in parameters.items()}
