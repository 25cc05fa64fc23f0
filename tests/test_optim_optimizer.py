from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor

from metaopt.optim import controller, rule
from metaopt.optim.features import shape_features
from metaopt.optim.optimizer import LSTMOptimizer
from metaopt.optim.weights import save_weights
from warmstart.errors import WarmStartWarning

SHAPES = [(5, 7), (5,), (3, 5), ()]


@pytest.fixture(scope="module")
def lively(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights whose actions are not zero."""
    generator = torch.Generator().manual_seed(3)
    theta = controller.unflatten(
        0.3 * torch.randn(controller.n_meta_parameters(), generator=generator)
    )
    path = tmp_path_factory.mktemp("weights") / "lively.safetensors"
    save_weights(path, theta, {"trained": False})
    return str(path)


def some_params(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        (0.3 * torch.randn(shape, generator=generator)).to(dtype).requires_grad_()
        for shape in SHAPES
    ]


def loss_of(params: list[Tensor]) -> Tensor:
    return sum(((p - 1) ** 2).abs().sum() for p in params if p.numel()).float()


def train(optimizer: torch.optim.Optimizer, n_steps: int = 12) -> list[Tensor]:
    params = [p for group in optimizer.param_groups for p in group["params"]]
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss = loss_of(params)
        loss.backward()
        optimizer.step(loss=loss)
    return [p.detach() for p in params]


def by_the_rule(weights: str, n_steps: int = 12, refresh_every: int = 1, **options) -> list[Tensor]:
    from metaopt.optim.weights import load_weights

    assert refresh_every == 1
    theta = load_weights(weights).theta
    params = [p.detach() for p in some_params()]
    state = rule.init_state(params)
    for _ in range(n_steps):
        params = [p.requires_grad_() for p in params]
        loss = loss_of(params)
        grads = torch.autograd.grad(loss, params)
        params, state, _ = rule.update(
            theta,
            [p.detach() for p in params],
            grads,
            state,
            loss.detach(),
            shapes=shape_features(SHAPES),
            **options,
        )
    return params


@pytest.mark.parametrize(
    "path",
    [{}, {"fused": True}, {"foreach": True}, {"foreach": False}, {"capturable": True}],
    ids=str,
)
@pytest.mark.parametrize(
    "options",
    [{}, {"total_steps": 12}, {"total_steps": 30, "lr": 2.0, "weight_decay": 0.3}],
    ids=str,
)
def test_every_path_does_what_the_rule_does(lively: str, path: dict, options: dict) -> None:
    optimizer = LSTMOptimizer(some_params(), weights=lively, **path, **options)
    torch.testing.assert_close(train(optimizer), by_the_rule(lively, **options))


def test_compiled_it_does_what_the_rule_does(lively: str) -> None:
    optimizer = LSTMOptimizer(some_params(), weights=lively, total_steps=20, compile=True)
    torch.testing.assert_close(train(optimizer), by_the_rule(lively, total_steps=20))
