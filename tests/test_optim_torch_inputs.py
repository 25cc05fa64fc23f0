"""torch's own inputs for tests of optimizers: those of Adam, without what only AMSGrad has."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from metaopt.optim.optimizer import LSTMOptimizer

pytest.importorskip("expecttest", reason="torch's test suite needs it")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal import common_optimizers


def inputs() -> list[Any]:
    given = common_optimizers.optim_inputs_func_adam("cpu", torch.float32)
    return [i for i in given if not i.kwargs.get("amsgrad")]


def error_inputs() -> list[Any]:
    """Without tensors as learning rate or betas, which AdamW refuses for lists of tensors only."""
    given = common_optimizers.optim_error_inputs_func_adam("cpu", torch.float32)
    return [
        i for i in given if "Tensors" not in i.error_regex and "as a Tensor" not in i.error_regex
    ]


@pytest.fixture(params=[torch.optim.AdamW, LSTMOptimizer])
def optimizer_class(request: pytest.FixtureRequest) -> Any:
    return request.param


def linear() -> tuple[list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(0)
    weight, bias, x = (torch.randn(s, generator=generator) for s in ((10, 5), (10,), (5,)))
    return [weight.requires_grad_(), bias.requires_grad_()], x


def train(optimizer: torch.optim.Optimizer, x: Tensor, sign: int, n_steps: int = 20) -> float:
    weight, bias = optimizer.param_groups[0]["params"]

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = sign * (weight.mv(x) + bias).pow(2).sum()
        loss.backward()
        return loss

    for _ in range(n_steps):
        loss = optimizer.step(closure)
    return sign * loss.item()


@pytest.mark.parametrize("given", inputs(), ids=lambda i: i.desc)
@pytest.mark.parametrize("foreach", [True, False])
def test_with_these_options_it_goes_the_right_way(
    optimizer_class: Any, given: Any, foreach: bool
) -> None:
    params, x = linear()
    optimizer = optimizer_class(params, foreach=foreach, **given.kwargs)
    sign = -1 if given.kwargs.get("maximize") else 1
    first = train(optimizer, x, sign, 1)
    assert train(optimizer, x, sign) < first


@pytest.mark.parametrize("given", inputs(), ids=lambda i: i.desc)
def test_with_these_options_its_state_can_be_loaded(optimizer_class: Any, given: Any) -> None:
    params, x = linear()
    optimizer = optimizer_class(params, **given.kwargs)
    train(optimizer, x, 1, 3)
    twin = optimizer_class([p.detach().clone().requires_grad_() for p in params], **given.kwargs)
    twin.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert train(twin, x, 1) == train(optimizer, x, 1)


@pytest.mark.parametrize("given", error_inputs(), ids=lambda i: i.optimizer_error_input.desc)
def test_these_options_are_refused_with_torch_s_words(optimizer_class: Any, given: Any) -> None:
    wrong = given.optimizer_error_input
    params = linear()[0] if wrong.params is None else wrong.params
    if given.error_type is UserWarning:
        with pytest.warns(UserWarning, match=given.error_regex):
            optimizer_class(params, **wrong.kwargs)
        return
    with pytest.raises(given.error_type, match=given.error_regex):
        optimizer_class(params, **wrong.kwargs)
