from __future__ import annotations

import copy
import functools
import itertools
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lively_weights import write_lively_weights
from torch import Tensor

from metaopt.optim import memory as columns
from metaopt.optim import rule
from metaopt.optim.controller import init_theta, step
from metaopt.optim.features import read_clock, shape_features
from metaopt.optim.numpy_controller import Small
from metaopt.optim.optimizer import LSTMOptimizer
from metaopt.optim.options import refresh_interval
from metaopt.optim.weights import load_weights, save_weights
from warmstart.artifact import write_artifact
from warmstart.errors import ArtifactError, WarmStartWarning

SHAPES = [(5, 7), (5,), (3, 5), ()]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_lively_weights(tmp_path_factory.mktemp("weights") / "lively.safetensors")


def some_params() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [(0.3 * torch.randn(s, generator=generator)).requires_grad_() for s in SHAPES]


def loss_of(params: list[Tensor]) -> Tensor:
    return torch.stack([(p - 1).square().sum() for p in params]).sum()


def train(optimizer: LSTMOptimizer, n_steps: int = 6, with_loss: bool = True) -> list[Tensor]:
    params = [p for group in optimizer.param_groups for p in group["params"]]
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss = loss_of(params)
        loss.backward()
        optimizer.step(loss=loss if with_loss else None)
    return [p.detach().clone() for p in params]


def by_the_rule(weights: str, n_steps: int = 6, **options: Any) -> list[Tensor]:
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
    [{"fused": True}, {"foreach": True}, {"foreach": False}, {"capturable": True}],
    ids=str,
)
@pytest.mark.parametrize(
    "options", [{}, {"total_steps": 8, "lr": 2.0, "weight_decay": 0.3}], ids=str
)
def test_every_path_does_what_the_rule_does(weights: str, path: dict, options: dict) -> None:
    optimizer = LSTMOptimizer(some_params(), weights=weights, refresh_every=1, **path, **options)
    torch.testing.assert_close(train(optimizer), by_the_rule(weights, **options))


def test_traced_for_compilation_it_does_what_the_rule_does(
    weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    optimizer = LSTMOptimizer(some_params(), weights=weights, total_steps=8, compile=True)
    torch.testing.assert_close(train(optimizer, 3), by_the_rule(weights, 3, total_steps=8))


def test_many_compiled_optimizers_do_not_share_torch_s_limit_of_compilations(
    weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    for size in range(1, 4):
        params = [torch.zeros(size, 3).requires_grad_()]
        optimizer = LSTMOptimizer(params, weights=weights, compile=True, refresh_every=3)
        assert all(torch.all(p > 0) for p in train(optimizer, 5))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, in its compiler
def test_compiled_it_does_what_the_rule_does(weights: str) -> None:
    optimizer = LSTMOptimizer(some_params(), weights=weights, total_steps=8, compile=True)
    torch.testing.assert_close(train(optimizer), by_the_rule(weights, total_steps=8))


def test_groups_with_several_totals_each_follow_their_own(weights: str) -> None:
    def rates(totals: list[float | None]) -> list[float]:
        params = some_params()[:2]
        groups = [
            {"params": [p], "total_steps": total} for p, total in zip(params, totals, strict=True)
        ]
        optimizer = LSTMOptimizer(groups, weights=weights)
        train(optimizer, 4)
        return list(optimizer.learning_rates().values())

    mixed, first, second = rates([5, None]), rates([5, 5]), rates([None, None])
    # The loss couples them a little.
    assert mixed == pytest.approx([first[0], second[1]], rel=0.3)
    assert mixed[0] != pytest.approx(second[0], rel=0.3)


def test_late_parameters_know_the_trend_of_the_loss(weights: str) -> None:
    params = some_params()
    optimizer = LSTMOptimizer(params[:2], weights=weights, total_steps=20, refresh_every=1)
    train(optimizer, 4)
    optimizer.add_param_group({"params": params[2:]})
    train(optimizer, 1)
    trends = [optimizer.state[p]["memory"][columns.LOSS_TREND] for p in params]
    assert all(torch.equal(trend, trends[0]) for trend in trends)
    assert float(trends[0][-1]) == 5


def test_numpy_and_torch_plan_alike(weights: str) -> None:
    theta = load_weights(weights).theta
    generator = torch.Generator().manual_seed(1)
    params = [p.detach() for p in some_params()]
    state = rule.init_state(params)
    shapes = shape_features(SHAPES)
    for _ in range(3):
        grads = [torch.randn(p.shape, generator=generator) for p in params]
        params, state, _ = rule.update(
            theta, params, grads, state, torch.tensor(2.0), shapes=shapes, total_steps=9
        )
    options = [torch.full((4,), x) for x in (1.0, 0.1, 0.9, 0.99, 1e-8, 9.0)]
    small = Small(theta, shapes, state.steps, state.memory, state.hidden, *options[:2])
    outcomes = []
    for kind, given, loss in (
        (small, options, torch.tensor(1.5)),
        (small.as_numpy(), [x.numpy() for x in options], torch.tensor(1.5).numpy()),
    ):
        clock = read_clock(kind.steps, given[5])
        actions, memory, hidden = rule.decide(
            kind.theta, kind.memory, kind.hidden, clock, loss, kind.shapes
        )
        coefficients, memory = rule.plan(
            actions, memory, clock, kind.shapes, rule.Options(*given[:5])
        )
        outcomes.append([torch.as_tensor(x) for x in (*coefficients, memory, hidden)])
    torch.testing.assert_close(*outcomes)


@pytest.mark.parametrize("path", [{}, {"foreach": False}, {"lr": torch.tensor(1.0)}], ids=str)
def test_beside_the_cpu_no_step_asks_for_a_value(weights: str, path: dict[str, Any]) -> None:
    # Meta tensors have none: whatever would wait for a device fails here.
    params = [torch.empty(shape, device="meta", requires_grad=True) for shape in SHAPES]
    optimizer = LSTMOptimizer(params, weights=weights, total_steps=9, weight_decay=0.1, **path)
    for p in params:
        p.grad = torch.empty_like(p)
    for _ in range(3):
        optimizer.step(loss=torch.empty((), device="meta"))
    assert optimizer.state[params[0]]["offset"].device.type == "meta"
    with pytest.raises(NotImplementedError, match="meta"):
        optimizer.learning_rates()


@pytest.mark.parametrize("every", [2, 5])
def test_between_refreshes_the_last_decision_holds(weights: str, every: int) -> None:
    optimizer = LSTMOptimizer(some_params(), weights=weights, refresh_every=every)
    params = optimizer.param_groups[0]["params"]
    seen = []
    for _ in range(11):
        train(optimizer, 1)
        seen.append(optimizer.state[params[0]]["hidden"].clone())
    changes = [not torch.equal(a, b) for a, b in itertools.pairwise(seen)]
    assert changes == [(n + 1) % every == 0 for n in range(10)]


def test_without_loss_it_learns_too_and_differently(weights: str) -> None:
    optimizer = LSTMOptimizer(some_params(), weights=weights)
    without = train(optimizer, 4, with_loss=False)
    assert loss_of(without).item() < loss_of(some_params()).item()
    assert not torch.equal(without[0], train(LSTMOptimizer(some_params(), weights=weights), 4)[0])


@pytest.mark.parametrize(
    "missing", [None, math.nan, math.inf, torch.tensor(math.nan), torch.tensor([-math.inf])]
)
def test_a_loss_that_is_not_finite_counts_as_unknown(weights: str, missing: Any) -> None:
    outcomes = []
    for loss in (None, missing):
        optimizer = LSTMOptimizer(some_params(), weights=weights)
        train(optimizer, 2)
        optimizer.step(loss=loss)
        outcomes.append(train(optimizer, 2))
    torch.testing.assert_close(*outcomes, rtol=0, atol=0)


def test_a_number_is_as_good_as_a_tensor_with_history(weights: str) -> None:
    outcomes = []
    for convert in (Tensor.item, lambda x: x, lambda x: x.double().reshape(1, 1)):
        optimizer = LSTMOptimizer(some_params(), weights=weights)
        loss = loss_of(optimizer.param_groups[0]["params"])
        loss.backward()
        for _ in range(3):
            optimizer.step(loss=convert(loss))
        outcomes.append([p.detach() for p in optimizer.param_groups[0]["params"]])
    torch.testing.assert_close(outcomes[1], outcomes[0])
    torch.testing.assert_close(outcomes[2], outcomes[0])


def test_a_loss_is_copied_to_where_the_parameters_are(weights: str) -> None:
    params = [torch.empty(3, 2, device="meta", requires_grad=True)]
    optimizer = LSTMOptimizer(params, weights=weights)
    params[0].grad = torch.empty_like(params[0])
    optimizer.step(loss=torch.tensor(1.0))
    optimizer.step(loss=1.0)
    assert float(optimizer.param_groups[0]["lr"]) == 1.0
    assert optimizer.state[params[0]]["memory"].device.type == "meta"


def test_a_loss_without_a_value_is_refused(weights: str) -> None:
    optimizer = LSTMOptimizer(some_params(), weights=weights)
    train(optimizer, 1)
    with pytest.raises(ValueError, match="device meta given, which has no value"):
        optimizer.step(loss=torch.empty((), device="meta"))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("path", [{}, {"foreach": True}, {"foreach": False}], ids=str)
def test_half_precision_parameters_are_trained_with_a_state_of_float32(
    weights: str, dtype: torch.dtype, path: dict[str, Any]
) -> None:
    halves = [p.detach().to(dtype).requires_grad_() for p in some_params()]
    optimizer = LSTMOptimizer(halves, weights=weights, total_steps=20, **path)
    trained = train(optimizer, 10)
    assert {p.dtype for p in trained} == {dtype}
    assert {x.dtype for own in optimizer.state.values() for x in own.values()} == {torch.float32}
    whole = train(LSTMOptimizer(some_params(), weights=weights, total_steps=20, **path), 10)
    torch.testing.assert_close([p.float() for p in trained], whole, rtol=0.1, atol=0.05)


def test_a_loss_of_many_elements_is_refused() -> None:
    optimizer = LSTMOptimizer(some_params())
    loss_of(optimizer.param_groups[0]["params"]).backward()
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        optimizer.step(loss=torch.ones(3))


def test_a_loss_in_the_place_of_the_closure_is_refused() -> None:
    with pytest.raises(TypeError, match=r"step\(loss=loss\)"):
        LSTMOptimizer(some_params()).step(torch.tensor(1.0))


@pytest.mark.parametrize("path", [{}, {"foreach": True}, {"foreach": False}], ids=str)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 3e38])
def test_no_gradient_poisons_the_state(weights: str, path: dict, bad: float) -> None:
    optimizer = LSTMOptimizer(some_params(), weights=weights, total_steps=50, **path)
    params = optimizer.param_groups[0]["params"]
    train(optimizer, 2)
    optimizer.zero_grad()
    loss_of(params).backward()
    params[0].grad[0, 0] = bad
    params[1].grad.fill_(bad)
    optimizer.step(loss=torch.tensor(bad))
    own = [value for state in optimizer.state.values() for value in state.values()]
    assert all(value.isfinite().all() for value in own)
    assert all(p.isfinite().all() for p in params)
    before = loss_of(params).item()
    train(optimizer, 5)
    assert loss_of(params).item() < before


def test_past_the_total_it_warns_once_and_stays_at_the_average(weights: str) -> None:
    optimizer = LSTMOptimizer(some_params(), weights=weights, total_steps=4)
    train(optimizer, 4)
    with pytest.warns(WarmStartWarning, match="total_steps=4"):
        train(optimizer, 1)
    after = train(optimizer, 3)
    optimizer.eval()
    assert all(
        torch.equal(p, q) for p, q in zip(optimizer.param_groups[0]["params"], after, strict=True)
    )


@pytest.mark.parametrize("path", [{}, {"foreach": True}, {"foreach": False}], ids=str)
@pytest.mark.parametrize("n_steps", [1, 5])
def test_evaluated_it_is_where_the_total_would_have_left_it(
    tmp_path: Path, path: dict, n_steps: int
) -> None:
    # What a trained controller decides depends on the total.
    untrained = tmp_path / "w.safetensors"
    save_weights(untrained, init_theta(torch.Generator().manual_seed(0)), {})
    ended, open_end = (
        LSTMOptimizer(some_params(), weights=untrained, total_steps=total, **path)
        for total in (n_steps, 15)
    )
    train(ended, n_steps)
    between = train(open_end, n_steps)
    open_end.eval()
    torch.testing.assert_close(train(open_end, 0), train(ended, 0))
    assert n_steps == 1 or not torch.equal(train(open_end, 0)[0], between[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_to_evaluate_and_go_on_changes_nothing(weights: str, dtype: torch.dtype) -> None:
    def run(judged: bool) -> list[Tensor]:
        params = [p.detach().to(dtype).requires_grad_() for p in some_params()]
        optimizer = LSTMOptimizer(params, weights=weights, total_steps=20)
        for _ in range(3):
            before = train(optimizer, 2)
            if judged:
                optimizer.eval()
                at_average = train(optimizer, 0)
                optimizer.eval()
                torch.testing.assert_close(train(optimizer, 0), at_average, rtol=0, atol=0)
                assert not torch.equal(at_average[0], before[0])
                optimizer.train()
                tolerance = 0.01 if dtype == torch.bfloat16 else 1e-5
                torch.testing.assert_close(
                    train(optimizer, 0), before, rtol=tolerance, atol=tolerance
                )
        return train(optimizer, 2)

    tolerance = 0.03 if dtype == torch.bfloat16 else 1e-4
    torch.testing.assert_close(run(True), run(False), rtol=tolerance, atol=tolerance)


def test_training_goes_on_from_the_average_too(weights: str) -> None:
    optimizer = LSTMOptimizer(some_params(), weights=weights)
    train(optimizer, 3)
    optimizer.eval()
    before = loss_of(optimizer.param_groups[0]["params"]).item()
    train(optimizer, 5)
    optimizer.eval()
    assert loss_of(optimizer.param_groups[0]["params"]).item() < before


def test_what_has_no_gradient_at_the_last_step_is_left_at_its_average(weights: str) -> None:
    optimizer = LSTMOptimizer(some_params(), weights=weights, total_steps=6)
    params = optimizer.param_groups[0]["params"]
    train(optimizer, 5)
    optimizer.zero_grad()
    params[0].sum().backward()
    optimizer.step()
    ended = train(optimizer, 0)
    optimizer.eval()
    torch.testing.assert_close(train(optimizer, 0), ended, rtol=0, atol=0)


@pytest.mark.parametrize("copied", ["deepcopy", "pickle", "state_dict"])
def test_a_copy_made_at_the_average_goes_on_alike(weights: str, copied: str) -> None:
    optimizer = LSTMOptimizer(some_params(), weights=weights, total_steps=20)
    train(optimizer, 5)
    optimizer.eval()
    if copied == "deepcopy":
        other = copy.deepcopy(optimizer)
    elif copied == "pickle":
        other = pickle.loads(pickle.dumps(optimizer))
    else:
        params = [p.detach().clone().requires_grad_() for p in optimizer.param_groups[0]["params"]]
        other = LSTMOptimizer(params, weights=weights, total_steps=20)
        other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for each in (optimizer, other):
        each.train()
    torch.testing.assert_close(train(other, 4), train(optimizer, 4), rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["expanded", "every second", "transposed"])
def test_gradients_of_any_strides_are_read_and_what_is_beside_them_stays(
    weights: str, kind: str
) -> None:
    def run(**path: bool) -> tuple[Tensor, Tensor, Tensor]:
        beside = torch.arange(1.0, 101.0)
        p = torch.zeros(4, 6).requires_grad_()
        if kind == "expanded":
            p.grad = beside[0].expand(4, 6)
        elif kind == "every second":
            p = torch.zeros(24).requires_grad_()
            p.grad = beside[:48:2]
        else:
            p.grad = beside[:24].view(6, 4).t()
        optimizer = LSTMOptimizer([p], weights=weights, **path)
        for _ in range(3):
            optimizer.step()
        return p.detach(), optimizer.state[p]["exp_avg_sq"], beside

    fused = run(fused=True)
    torch.testing.assert_close(fused, run(foreach=False))
    assert torch.equal(fused[2], torch.arange(1.0, 101.0))


@pytest.mark.parametrize("path", [{"fused": True}, {"foreach": True}, {"foreach": False}], ids=str)
def test_without_eps_what_has_no_gradient_stays(weights: str, path: dict[str, bool]) -> None:
    optimizer = LSTMOptimizer(some_params(), weights=weights, eps=0.0, **path)
    params = optimizer.param_groups[0]["params"]
    for p in params:
        p.grad = torch.zeros_like(p)
    optimizer.step(loss=1.0)
    assert all(map(torch.equal, train(optimizer, 0), some_params()))


def test_outliers_of_float64_are_cut_off_on_every_path(weights: str) -> None:
    squares = []
    for path in ({"fused": True}, {"foreach": True}, {"foreach": False}):
        p = torch.ones(5, dtype=torch.float64).requires_grad_()
        optimizer = LSTMOptimizer([p], weights=weights, **path)
        p.grad = torch.tensor([1.0, 1e30, -1e200, 2.0, 3.0], dtype=torch.float64)
        optimizer.step()
        squares.append(optimizer.state[p]["exp_avg_sq"])
    torch.testing.assert_close(squares[0], squares[2])
    torch.testing.assert_close(squares[1], squares[2])


def test_a_state_dict_of_another_model_is_refused_whole(weights: str) -> None:
    optimizer = LSTMOptimizer(some_params()[:1], weights=weights)
    train(optimizer, 1)
    other = LSTMOptimizer([torch.zeros(2, 3, requires_grad=True)], weights=weights)
    with pytest.raises(ValueError, match=r"\(5, 7\).*another model"):
        other.load_state_dict(optimizer.state_dict())
    assert not other.state


def test_the_total_that_was_exceeded_is_named(weights: str) -> None:
    params = some_params()[:2]
    groups = [{"params": [params[0]]}, {"params": [params[1]], "total_steps": 2}]
    optimizer = LSTMOptimizer(groups, weights=weights)
    with pytest.warns(WarmStartWarning, match="total_steps=2 given, and step 3"):
        train(optimizer, 3)


def test_what_has_taken_no_step_is_its_own_average() -> None:
    optimizer = LSTMOptimizer(some_params())
    optimizer.eval()
    optimizer.train()
    assert all(map(torch.equal, train(optimizer, 0), some_params()))


@pytest.mark.parametrize("wrong", [0, -5, math.nan, math.inf, 2**24 + 1])
def test_a_total_out_of_range_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="total_steps"):
        LSTMOptimizer(some_params(), total_steps=wrong)


@pytest.mark.parametrize("wrong", [0, 1.5, -2])
def test_a_refresh_interval_out_of_range_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="refresh_every"):
        LSTMOptimizer(some_params(), refresh_every=wrong)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"total_steps": 15}, 1),
        ({"total_steps": 25}, 2),
        ({"total_steps": 1000}, 8),
        ({}, 4),
        ({"capturable": True}, 1),
        ({"total_steps": 1000, "refresh_every": 1}, 1),
    ],
    ids=str,
)
def test_on_a_cpu_the_lstm_runs_less_often_the_longer_the_training(
    options: dict[str, Any], expected: int
) -> None:
    group = LSTMOptimizer(some_params(), **options).param_groups[0]
    assert refresh_interval(group, torch.device("cpu")) == expected
    assert refresh_interval({**group, "refresh_every": None}, torch.device("cuda")) == 1


def test_with_a_huge_refresh_interval_a_step_still_takes_little_memory(weights: str) -> None:
    kept, at_once = (
        LSTMOptimizer(some_params(), weights=weights, total_steps=80, refresh_every=every)
        for every in (10**12, 80)
    )
    for optimizer in (kept, at_once):
        train(optimizer, 40)
    assert kept.learning_rates() == at_once.learning_rates()


def test_steps_warn_of_nothing_where_numpy_raises_errors(weights: str) -> None:
    optimizer = LSTMOptimizer(some_params(), weights=weights, total_steps=40, eps=1e-40)
    with np.errstate(all="raise"):
        train(optimizer, 20)


def test_captured_steps_refresh_always() -> None:
    with pytest.raises(ValueError, match="capturable"):
        LSTMOptimizer(some_params(), refresh_every=2, capturable=True)


def test_gradients_through_steps_are_refused_with_a_way_out() -> None:
    with pytest.raises(ValueError, match=r"metaopt\.optim\.rule\.update"):
        LSTMOptimizer(some_params(), differentiable=True)


def test_a_group_with_a_wrong_option_is_not_added() -> None:
    optimizer = LSTMOptimizer(some_params()[:1])
    with pytest.raises(ValueError, match="learning rate"):
        optimizer.add_param_group({"params": some_params()[1:2], "lr": -1.0})
    assert len(optimizer.param_groups) == 1


def test_learning_rates_are_told_by_name() -> None:
    model = torch.nn.Linear(4, 3)
    optimizer = LSTMOptimizer(model.named_parameters(), total_steps=10)
    model(torch.ones(1, 4)).sum().backward()
    optimizer.step(loss=1.0)
    rates = optimizer.learning_rates()
    assert set(rates) == {"weight", "bias"}
    assert all(rate > 0 for rate in rates.values())


def test_the_state_is_hardly_larger_than_adam_s() -> None:
    p = torch.zeros(400, 250, requires_grad=True)
    p.grad = torch.ones_like(p)
    optimizer = LSTMOptimizer([p])
    optimizer.step()
    n_bytes = sum(x.numel() * x.element_size() for x in optimizer.state[p].values())
    assert n_bytes <= 8 * p.numel() * 1.01


def test_a_state_dict_of_another_optimizer_is_refused_whole() -> None:
    adam = torch.optim.AdamW(some_params())
    loss_of(adam.param_groups[0]["params"]).backward()
    adam.step()
    optimizer = LSTMOptimizer(some_params())
    with pytest.raises(ValueError, match="memory"):
        optimizer.load_state_dict(adam.state_dict())
    assert not optimizer.state


def test_a_state_dict_of_other_weights_continues_with_a_warning(weights: str) -> None:
    optimizer = LSTMOptimizer(some_params(), weights=weights)
    train(optimizer, 2)
    other = LSTMOptimizer(some_params())
    with pytest.warns(WarmStartWarning, match="other weights"):
        other.load_state_dict(optimizer.state_dict())
    train(other, 1)


def test_weights_come_back_as_they_were_saved(tmp_path: Path) -> None:
    theta = init_theta(torch.Generator().manual_seed(5), hidden_size=8)
    digest = save_weights(tmp_path / "w.safetensors", theta, {"seed": 5})
    loaded = load_weights(tmp_path / "w.safetensors")
    assert all(torch.equal(loaded.theta[name], theta[name]) for name in theta)
    assert loaded.record == {"seed": 5}
    assert loaded.digest == digest
    LSTMOptimizer(some_params(), weights=tmp_path / "w.safetensors")


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, init_theta(torch.Generator().manual_seed(5)), {})
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ArtifactError, match="checksum"):
        LSTMOptimizer(some_params(), weights=path)
    with pytest.raises(ArtifactError, match="no file"):
        LSTMOptimizer(some_params(), weights=tmp_path / "nothing")


def test_weights_of_another_kind_or_version_are_refused(tmp_path: Path) -> None:
    theta = {k: v.numpy() for k, v in init_theta(torch.Generator().manual_seed(5)).items()}
    path = tmp_path / "w.safetensors"
    for description, said in (
        ({"kind": "learned-optimizer", "rule": 1}, "version 1 of the update rule"),
        ({"kind": "learned-schedule", "rule": 1}, "`metaopt train optimizer` writes"),
        ({"kind": "portfolio"}, "kind 'portfolio'"),
    ):
        write_artifact(path, theta, description)
        with pytest.raises(ArtifactError, match=said):
            load_weights(path)


def test_weights_of_a_wrong_shape_or_not_finite_are_not_written(tmp_path: Path) -> None:
    theta = init_theta(torch.Generator().manual_seed(5))
    with pytest.raises(ArtifactError, match="shapes"):
        save_weights(tmp_path / "w", {**theta, "bias": torch.zeros(3)}, {})
    with pytest.raises(ArtifactError, match="not finite"):
        save_weights(tmp_path / "w", {**theta, "bias": theta["bias"] * math.nan}, {})
    assert not list(tmp_path.iterdir())


def test_the_shipped_weights_are_small_and_say_how_they_were_made() -> None:
    from metaopt.optim.weights import shipped_path

    for name, kind in (("lstm", "learned-optimizer"), ("schedule", "learned-schedule")):
        loaded = load_weights(shipped_path(name), kind=kind)
        seeds = loaded.record["seeds"]
        assert len(seeds) >= 3
        assert max(seeds, key=lambda seed: seeds[seed]["score"]) == loaded.record["chosen"]
        assert seeds[loaded.record["chosen"]]["best_update"] > 0
        assert shipped_path(name).stat().st_size < 1_000_000
        actions, _ = step(loaded.theta, torch.zeros(2, 32), torch.zeros(2, 27))
        assert actions.isfinite().all()


def test_a_tensor_larger_than_the_processor_s_cache_is_trained_the_same(weights: str) -> None:
    def run(**path: bool) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(0)
        p = torch.randn(1100, 250, generator=generator).requires_grad_()
        optimizer = LSTMOptimizer([p], weights=weights, total_steps=9, weight_decay=0.1, **path)
        for _ in range(4):
            p.grad = torch.randn(p.shape, generator=generator)
            optimizer.step(loss=1.0)
        return p.detach(), optimizer.state[p]["memory"]

    torch.testing.assert_close(run(fused=True), run(foreach=True), rtol=1e-4, atol=1e-5)
