"""Small tensors side by side: nobody can tell, but for the time that a step takes."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lively_weights import write_lively_weights
from torch import Tensor

from metaopt.optim.blocks import LARGEST_TENSOR, groups_of
from metaopt.optim.optimizer import LSTMOptimizer

SHAPES = [(30, 20), (30,), (LARGEST_TENSOR + 1,), (1,), (64, 2), (), (0,), (3, 5, 2)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_lively_weights(tmp_path_factory.mktemp("weights") / "lively.safetensors")


def make_params(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [(0.3 * torch.randn(s, generator=generator)).to(dtype).requires_grad_() for s in SHAPES]


def take_steps(
    optimizer: LSTMOptimizer, params: list[Tensor], n_steps: int, absent: int = 10**9
) -> None:
    """Steps with gradients of their own; every ``absent``-th lacks that of some tensors."""
    for step in range(n_steps):
        generator = torch.Generator().manual_seed(step)
        for i, p in enumerate(params):
            noise = torch.randn(p.shape, generator=generator).to(p.dtype)
            p.grad = p.detach() + noise
            if i % 2 and step % absent == absent - 1:
                p.grad = None
        optimizer.step(loss=float(step))


def trained(weights: str, path: dict[str, Any], n_steps: int = 9, **how: Any) -> list[Tensor]:
    params = make_params(how.pop("dtype", torch.float32))
    absent = how.pop("absent", 10**9)
    optimizer = LSTMOptimizer(params, weights=weights, refresh_every=2, **path, **how)
    take_steps(optimizer, params, n_steps, absent)
    return [p.detach() for p in params] + [
        optimizer.state[p][name] for p in params for name in ("offset", "exp_avg_sq", "memory")
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    "how",
    [{}, {"weight_decay": 0.5, "total_steps": 9}, {"absent": 3}, {"maximize": True}],
    ids=str,
)
def test_small_tensors_beside_large_ones_do_what_lists_of_them_do(
    weights: str, dtype: torch.dtype, how: dict[str, Any]
) -> None:
    side_by_side = trained(weights, {"fused": True}, dtype=dtype, **how)
    one_by_one = trained(weights, {"foreach": False}, dtype=dtype, **how)
    torch.testing.assert_close(side_by_side, one_by_one, rtol=1e-4, atol=1e-5)


def test_the_state_may_change_hands_between_steps(weights: str) -> None:
    params = make_params()
    optimizer = LSTMOptimizer(params, weights=weights)
    take_steps(optimizer, params, 5)
    saved = io.BytesIO()
    torch.save(optimizer.state_dict(), saved)
    saved.seek(0)
    other_params = [p.detach().clone().requires_grad_() for p in params]
    other = LSTMOptimizer(other_params, weights=weights)
    other.load_state_dict(torch.load(saved, weights_only=True))
    third_params, third = copy.deepcopy((params, optimizer))
    for own, of in ((optimizer, params), (other, other_params), (third, third_params)):
        take_steps(own, of, 4)
    torch.testing.assert_close(other_params, params, rtol=0, atol=0)
    torch.testing.assert_close(third_params, params, rtol=0, atol=0)


def test_who_moves_parameters_between_steps_moves_them(weights: str) -> None:
    def run(path: dict[str, Any]) -> list[Tensor]:
        params = make_params()
        optimizer = LSTMOptimizer(params, weights=weights, **path)
        for _ in range(3):
            take_steps(optimizer, params, 2)
            with torch.no_grad():
                for p in params:
                    p.clamp_(-0.2, 0.2)
        return [p.detach() for p in params]

    torch.testing.assert_close(run({}), run({"foreach": False}), rtol=1e-4, atol=1e-5)


@given(st.lists(st.integers(0, 3 * LARGEST_TENSOR), max_size=40))
def test_groups_hold_small_tensors_once_and_in_order(sizes: list[int]) -> None:
    groups = groups_of(sizes)
    found = [index for group in groups for index in group]
    assert found == sorted(set(found))
    assert all(0 < sizes[index] <= LARGEST_TENSOR for index in found)
    assert all(len(group) >= 3 for group in groups)
    assert all(sum(-(-sizes[i] // 64) * 64 for i in group) <= 16_384 for group in groups)
