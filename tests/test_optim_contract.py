"""What users of torch expect of an optimizer: AdamW passes each of these tests, too."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lively_weights import write_lively_weights
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, ReduceLROnPlateau

from metaopt.optim.optimizer import LSTMOptimizer

Make = Callable[..., torch.optim.Optimizer]
SHAPES = [(4, 6), (4,), (2, 4), ()]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_lively_weights(tmp_path_factory.mktemp("weights") / "lively.safetensors")


@pytest.fixture(params=["AdamW", "LSTMOptimizer"])
def make(request: pytest.FixtureRequest, weights: str) -> Make:
    """Makes an optimizer; both move parameters by a few thousandths a step."""

    def make(params: Any, **options: Any) -> torch.optim.Optimizer:
        if request.param == "AdamW":
            options["lr"] = 5e-3 * options.pop("lr", 1.0)
            return torch.optim.AdamW(params, **{"weight_decay": 0.0, **options})
        return LSTMOptimizer(params, **{"total_steps": 100, "weights": weights, **options})

    return make


def some_params(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        (0.3 * torch.randn(shape, generator=generator)).to(dtype).requires_grad_()
        for shape in SHAPES
    ]


def all_params(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def loss_of(params: list[Tensor]) -> Tensor:
    return torch.stack([(p - 1).abs().square().sum().float() for p in params]).sum()


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    if isinstance(optimizer, LSTMOptimizer):
        optimizer.step(loss=loss)
    else:
        optimizer.step()


def train(optimizer: torch.optim.Optimizer, n_steps: int = 6) -> list[Tensor]:
    params = all_params(optimizer)
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss = loss_of(params)
        loss.backward()
        step(optimizer, loss)
    return [p.detach().clone() for p in params]


def through_a_file(state_dict: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state_dict, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_training_goes_the_right_way(make: Make) -> None:
    optimizer = make(some_params(), lr=3.0)
    before = loss_of(all_params(optimizer)).item()
    assert loss_of(train(optimizer, 60)).item() < 0.6 * before


def test_a_closure_is_called_with_gradients_and_its_loss_returned(make: Make) -> None:
    params = some_params()
    optimizer = make(params)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(params)
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    assert optimizer.step() is None


def test_parameters_without_gradient_stay_and_have_no_state(make: Make) -> None:
    params = some_params()
    optimizer = make(params, weight_decay=0.1)
    before = [p.detach().clone() for p in params]
    loss_of(params[:2]).backward()
    for _ in range(2):
        step(optimizer, torch.tensor(1.0))
    for p, old in zip(params[2:], before[2:], strict=True):
        assert torch.equal(p, old)
        assert not optimizer.state.get(p)
    assert not torch.equal(params[0], before[0])


def test_gradients_of_zero_move_nothing(make: Make) -> None:
    params = some_params()
    optimizer = make(params)
    before = [p.detach().clone() for p in params]
    for _ in range(3):
        for p in params:
            p.grad = torch.zeros_like(p)
        step(optimizer, torch.tensor(1.0))
    torch.testing.assert_close([p.detach() for p in params], before, rtol=0, atol=0)


def test_scalars_empty_and_strided_tensors_are_trained(make: Make) -> None:
    def run(strided: bool) -> list[Tensor]:
        values = [p.detach() for p in some_params()] + [torch.zeros(0, 3)]
        if strided:
            values[0] = values[0].t().contiguous().t()
            values[2] = values[2].repeat(1, 2)[:, ::2].copy_(values[2])
            assert not values[2].is_contiguous()
        return train(make([v.requires_grad_() for v in values]))

    torch.testing.assert_close(run(strided=True), run(strided=False))


def test_a_complex_tensor_is_trained_as_its_two_parts(make: Make) -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(5, 3, dtype=torch.complex64, generator=generator)
    whole = start.clone().requires_grad_()
    parts = torch.view_as_real(start).clone().requires_grad_()
    for params in ([whole], [parts]):
        optimizer = make(params)
        for _ in range(3):
            optimizer.zero_grad()
            value = params[0] if params[0].is_complex() else torch.view_as_complex(params[0])
            (value - 1).abs().square().sum().backward()
            optimizer.step()
    if isinstance(optimizer, LSTMOptimizer):  # the LSTM sees another shape
        assert (whole - 1).abs().sum() < (start - 1).abs().sum()
    else:
        torch.testing.assert_close(torch.view_as_real(whole), parts)


def test_a_group_may_come_later(make: Make) -> None:
    params = some_params()
    optimizer = make(params[:2])
    train(optimizer, 3)
    optimizer.add_param_group({"params": params[2:], "lr": optimizer.param_groups[0]["lr"]})
    before = [p.detach().clone() for p in params]
    train(optimizer, 3)
    assert all(not torch.equal(p, old) for p, old in zip(params, before, strict=True))


def test_a_parameter_whose_data_are_replaced_is_still_trained(make: Make) -> None:
    """As ``vector_to_parameters`` does it, and moving a model to another dtype and back."""

    def run(replaced: bool) -> list[Tensor]:
        optimizer = make(some_params())
        train(optimizer, 2)
        if replaced:
            for p in all_params(optimizer):
                p.data = p.data.clone()
        return train(optimizer, 2)

    torch.testing.assert_close(run(replaced=True), run(replaced=False), rtol=0, atol=0)


def test_a_state_that_is_cleared_begins_anew(make: Make) -> None:
    optimizer = make(some_params())
    train(optimizer, 2)
    optimizer.state.clear()
    train(optimizer, 1)
    squares = [optimizer.state[p]["exp_avg_sq"] for p in all_params(optimizer)]
    grads = [p.grad for p in all_params(optimizer)]
    # One step after zero: the second moment is a share of the gradient's square.
    for v, g in zip(squares, grads, strict=True):
        torch.testing.assert_close(v / v.norm(), g.square() / g.square().norm())


def test_names_of_parameters_are_kept(make: Make) -> None:
    model = torch.nn.Linear(3, 2)
    optimizer = make(model.named_parameters())
    model(torch.ones(1, 3)).sum().backward()
    step(optimizer, torch.tensor(1.0))
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]


def test_each_group_has_its_own_learning_rate_and_decay(make: Make) -> None:
    a, b, c = (torch.ones(3, 2, requires_grad=True) for _ in range(3))
    optimizer = make([{"params": [a]}, {"params": [b], "weight_decay": 9.0}, {"params": [c]}])
    optimizer.param_groups[2]["lr"] = 0.0
    for p in (a, b, c):
        p.grad = torch.full_like(p, -1.0)
    step(optimizer, torch.tensor(1.0))
    assert torch.equal(c, torch.ones(3, 2))
    assert torch.all(a > 1)
    assert torch.all(b < a)


def test_maximising_is_minimising_the_negative(make: Make) -> None:
    outcomes = []
    for sign in (1, -1):
        optimizer = make(some_params(), maximize=sign < 0)
        for _ in range(4):
            optimizer.zero_grad()
            loss = sign * loss_of(all_params(optimizer))
            loss.backward()
            step(optimizer, loss)
        outcomes.append([p.detach() for p in all_params(optimizer)])
    torch.testing.assert_close(*outcomes)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lists_of_tensors_one_kernel_and_a_loop_give_the_same(
    make: Make, dtype: torch.dtype
) -> None:
    options = {"weight_decay": 0.1}
    loop = train(make(some_params(dtype), foreach=False, **options))
    torch.testing.assert_close(train(make(some_params(dtype), foreach=True, **options)), loop)
    torch.testing.assert_close(train(make(some_params(dtype), fused=True, **options)), loop)


def test_a_sparse_gradient_is_refused(make: Make) -> None:
    p = torch.ones(3, 2, requires_grad=True)
    optimizer = make([p])
    p.grad = torch.sparse_coo_tensor([[0], [1]], [1.0], (3, 2), check_invariants=False)
    with pytest.raises(RuntimeError, match="sparse"):
        step(optimizer, torch.tensor(1.0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"lr": -1.0},
        {"betas": (1.0, 0.9)},
        {"betas": (0.9, -0.1)},
        {"eps": -1.0},
        {"weight_decay": -1.0},
        {"lr": torch.tensor([0.1, 0.1])},
    ],
    ids=str,
)
def test_options_out_of_range_are_refused(make: Make, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"1-element|[Ii]nvalid"):
        make(some_params(), **wrong)


def test_fused_and_foreach_exclude_each_other(make: Make) -> None:
    with pytest.raises(RuntimeError, match="cannot be `True` together"):
        make(some_params(), fused=True, foreach=True)


def test_hooks_are_called(make: Make) -> None:
    called: list[str] = []
    optimizer = make(some_params())
    optimizer.register_step_pre_hook(lambda *_: called.append("pre"))
    optimizer.register_step_post_hook(lambda *_: called.append("post"))
    optimizer.register_state_dict_post_hook(lambda *_: called.append("state"))
    optimizer.register_load_state_dict_post_hook(lambda *_: called.append("load"))
    train(optimizer, 1)
    optimizer.load_state_dict(optimizer.state_dict())
    assert called == ["pre", "post", "state", "load"]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_a_copy_continues_as_the_original(
    make: Make, copied: Callable[[torch.optim.Optimizer], torch.optim.Optimizer]
) -> None:
    optimizer = make(some_params())
    train(optimizer, 3)
    twin = copied(optimizer)
    torch.testing.assert_close(train(twin, 3), train(optimizer, 3), rtol=0, atol=0)


def test_a_state_dict_has_state_and_groups_only_and_is_always_the_same(make: Make) -> None:
    def state_dict() -> dict[str, Any]:
        optimizer = make(some_params())
        train(optimizer, 3)
        return optimizer.state_dict()

    first, second = state_dict(), state_dict()
    assert set(first) == {"state", "param_groups"}
    assert first["param_groups"] == second["param_groups"]
    torch.testing.assert_close(first["state"], second["state"], rtol=0, atol=0)
    assert all(set(first["state"][0]) == set(own) for own in first["state"].values())


@pytest.mark.parametrize("n_before", [0, 1, 4])
@pytest.mark.parametrize("every", [1, 3])
def test_resumed_in_the_middle_is_as_without_a_break(
    make: Make, n_before: int, every: int
) -> None:
    options = {} if "AdamW" in repr(make(some_params())) else {"refresh_every": every}
    whole = train(make(some_params(), **options), 8)
    first = make(some_params(), **options)
    train(first, n_before)
    saved = through_a_file(first.state_dict())
    second = make([p.detach().clone().requires_grad_() for p in all_params(first)], **options)
    second.load_state_dict(saved)
    torch.testing.assert_close(train(second, 8 - n_before), whole, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_loading_keeps_the_precision_of_the_state(make: Make, dtype: torch.dtype) -> None:
    optimizer = make(some_params(dtype))
    train(optimizer, 2)
    saved = optimizer.state_dict()
    fresh = make(some_params(dtype))
    fresh.load_state_dict(through_a_file(saved))
    for p, own in zip(all_params(fresh), saved["state"].values(), strict=True):
        assert {k: v.dtype for k, v in fresh.state[p].items()} == {
            k: v.dtype for k, v in own.items()
        }
    train(fresh, 1)
    assert all(p.dtype == dtype for p in all_params(fresh))


@pytest.mark.parametrize(
    "scheduler",
    [
        lambda o, lr: OneCycleLR(o, max_lr=lr, total_steps=10),
        lambda o, lr: CosineAnnealingLR(o, T_max=10),
        lambda o, lr: ReduceLROnPlateau(o, patience=0),
    ],
    ids=["OneCycleLR", "CosineAnnealingLR", "ReduceLROnPlateau"],
)
def test_schedulers_of_torch_change_its_learning_rate(make: Make, scheduler: Any) -> None:
    optimizer = make(some_params())
    base = optimizer.param_groups[0]["lr"]
    schedule = scheduler(optimizer, base)
    rates = []
    for _ in range(8):
        train(optimizer, 1)
        schedule.step(*([1.0] if isinstance(schedule, ReduceLROnPlateau) else []))
        rates.append(optimizer.param_groups[0]["lr"])
    assert len(set(rates)) > 3
    assert loss_of(all_params(optimizer)).item() < loss_of(some_params()).item()


def test_a_learning_rate_may_be_a_tensor(make: Make) -> None:
    plain = train(make(some_params(), lr=0.5))
    foreach = {"foreach": False}  # what AdamW asks for with such a learning rate
    tensor = train(make(some_params(), lr=torch.tensor(0.5), **foreach))
    torch.testing.assert_close(tensor, plain)


def test_gradients_are_left_as_they_are(make: Make) -> None:
    params = some_params()
    optimizer = make(params)
    loss_of(params).backward()
    torch.nn.utils.clip_grad_norm_(params, 0.1)
    before = [p.grad.clone() for p in params]
    step(optimizer, torch.tensor(1.0))
    torch.testing.assert_close([p.grad for p in params], before, rtol=0, atol=0)


def test_a_grad_scaler_skips_a_step_with_infinite_gradients(make: Make) -> None:
    params = some_params()
    optimizer = make(params)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    outcomes = []
    for scale in (1.0, float("inf"), 1.0):
        optimizer.zero_grad()
        loss = loss_of(params)
        scaler.scale(loss).backward()
        params[0].grad.mul_(scale)
        if isinstance(optimizer, LSTMOptimizer):
            scaler.step(optimizer, loss=loss)
        else:
            scaler.step(optimizer)
        scaler.update()
        outcomes.append([p.detach().clone() for p in params])
    assert torch.equal(outcomes[0][0], outcomes[1][0])
    assert not torch.equal(outcomes[1][0], outcomes[2][0])
    assert float(optimizer.state[params[0]]["step"]) == 2


def test_the_distributed_checkpoint_s_state_dict_can_be_set_again(make: Make) -> None:
    from torch.distributed.checkpoint.state_dict import (
        get_optimizer_state_dict,
        set_optimizer_state_dict,
    )

    model = torch.nn.Linear(3, 2)
    optimizer = make(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    step(optimizer, torch.tensor(1.0))
    saved = get_optimizer_state_dict(model, optimizer)
    fresh = make(model.parameters())
    set_optimizer_state_dict(model, fresh, saved)
    torch.testing.assert_close(fresh.state_dict()["state"], optimizer.state_dict()["state"])
