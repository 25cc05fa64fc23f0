from __future__ import annotations

import copy
import io
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lively_weights import write_lively_weights
from torch import Tensor

from metaopt.optim import memory as columns
from metaopt.optim import rule, schedule_rule
from metaopt.optim.features import read_clock, shape_features
from metaopt.optim.optimizer import LSTMOptimizer
from metaopt.optim.schedule import LearnedSchedule
from metaopt.optim.weights import load_weights
from warmstart.errors import WarmStartWarning

Make = Callable[[list[Tensor]], torch.optim.Optimizer]
OPTIMIZERS: dict[str, Make] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "LSTMOptimizer": lambda p: LSTMOptimizer(p),
}
if hasattr(torch.optim, "Muon"):
    OPTIMIZERS["Muon"] = lambda p: torch.optim.Muon([x for x in p if x.ndim == 2], lr=0.01)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "lively.safetensors"
    return write_lively_weights(path, kind="learned-schedule")


def some_params() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(40, 60), (5,), (3, 5)]
    return [(0.3 * torch.randn(s, generator=generator)).requires_grad_() for s in shapes]


def train(
    optimizer: torch.optim.Optimizer, schedule: LearnedSchedule, n_steps: int, given: bool = True
) -> list[float]:
    """Train, and return the learning rates of the steps."""
    rates = []
    for _ in range(n_steps):
        params = [p for group in optimizer.param_groups for p in group["params"]]
        optimizer.zero_grad()
        loss = torch.stack([(p - 1).square().mean() for p in params]).sum()
        loss.backward()
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step(loss=loss if given else None)
    return rates


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("given", [True, False], ids=["with loss", "without"])
def test_it_drives_any_optimizer(weights: str, name: str, given: bool) -> None:
    optimizer = OPTIMIZERS[name](some_params())
    base = optimizer.param_groups[0]["lr"]
    schedule = LearnedSchedule(optimizer, total_steps=20, weights=weights)
    params = [p for group in optimizer.param_groups for p in group["params"]]
    before = [p.detach().clone() for p in params]
    rates = train(optimizer, schedule, 20, given)
    assert len(set(rates)) == 20
    assert all(base * math.exp(-9) < rate < base * math.exp(4) for rate in rates)
    for p, old in zip(params, before, strict=True):
        assert (p - 1).abs().mean() < (old - 1).abs().mean()


def test_untrained_it_is_warm_up_and_decay(tmp_path: Any) -> None:
    from metaopt.optim.controller import init_theta
    from metaopt.optim.weights import save_weights

    theta = init_theta(torch.Generator().manual_seed(0))
    save_weights(tmp_path / "w", theta, {}, kind="learned-schedule")
    optimizer = OPTIMIZERS["Adam"](some_params())
    schedule = LearnedSchedule(optimizer, total_steps=100, weights=tmp_path / "w")
    rates = train(optimizer, schedule, 100)
    expected = [0.01 * min(1, (t + 1) / 5) * (1 - t / 100) for t in range(100)]
    assert rates == pytest.approx(expected, rel=1e-5)
    assert optimizer.param_groups[0]["betas"] == pytest.approx((0.9, 0.999))


def test_groups_keep_their_proportions_and_momentum_is_set(weights: str) -> None:
    a, b, c = some_params()
    optimizer = torch.optim.SGD(
        [{"params": [a], "lr": 0.1}, {"params": [b, c], "lr": 0.01, "momentum": 0.5}],
        momentum=0.9,
    )
    schedule = LearnedSchedule(optimizer, total_steps=20, weights=weights)
    momenta = set()
    for _ in range(5):
        train(optimizer, schedule, 1)
        # Of SGD, whose steps grow with momentum, the rate of the steps.
        first, second = (group["lr"] / (1 - group["momentum"]) for group in optimizer.param_groups)
        assert first == pytest.approx(10 * second * (1 - 0.5) / (1 - 0.9))
        momenta.add(optimizer.param_groups[1]["momentum"])
        assert (
            0 < optimizer.param_groups[1]["momentum"] < optimizer.param_groups[0]["momentum"] < 1
        )
    assert len(momenta) == 5


def test_learning_rates_are_raised_within_limits_and_those_of_sgd_never(tmp_path: Any) -> None:
    from metaopt.optim.controller import init_theta
    from metaopt.optim.weights import save_weights

    theta = init_theta(torch.Generator().manual_seed(0))
    theta["output_bias"][0] = 2.0  # e^2 times the learning rate
    theta["output_bias"][1] = 1.0  # more momentum
    save_weights(tmp_path / "w", theta, {}, kind="learned-schedule")

    def largest(optimizer: torch.optim.Optimizer) -> float:
        schedule = LearnedSchedule(optimizer, total_steps=20, weights=tmp_path / "w")
        rates = []
        for _ in range(20):
            group = optimizer.param_groups[0]
            rates.append(group["lr"] / (1 - group.get("momentum", 0.0)))
            train(optimizer, schedule, 1)
        return max(rates)

    assert largest(torch.optim.Adam(some_params(), lr=0.01)) > 0.02
    assert largest(torch.optim.Adam(some_params(), lr=0.02)) < 0.034
    assert largest(torch.optim.Adam(some_params(), lr=0.1)) <= 0.1
    assert largest(torch.optim.SGD(some_params(), lr=0.01, momentum=0.9)) <= 0.1 * (1 + 1e-6)
    assert largest(torch.optim.SGD(some_params(), lr=0.01)) <= 0.01


def test_groups_of_adam_keep_their_proportions(weights: str) -> None:
    a, b, c = some_params()
    optimizer = torch.optim.Adam([{"params": [a], "lr": 0.1}, {"params": [b, c], "lr": 0.01}])
    schedule = LearnedSchedule(optimizer, total_steps=20, weights=weights)
    for _ in range(5):
        train(optimizer, schedule, 1)
        first, second = schedule.get_last_lr()
        assert first == pytest.approx(10 * second)


def test_momentum_may_be_left_alone(weights: str) -> None:
    optimizer = OPTIMIZERS["AdamW"](some_params())
    schedule = LearnedSchedule(optimizer, total_steps=9, weights=weights, set_momentum=False)
    train(optimizer, schedule, 4)
    assert optimizer.param_groups[0]["betas"] == (0.9, 0.999)


def test_a_learning_rate_that_is_a_tensor_is_written_in_place(weights: str) -> None:
    rate = torch.tensor(0.01)
    optimizer = torch.optim.AdamW(some_params(), lr=rate, foreach=False)
    schedule = LearnedSchedule(optimizer, total_steps=9, weights=weights)
    train(optimizer, schedule, 2)
    assert optimizer.param_groups[0]["lr"] is rate
    assert float(rate) != pytest.approx(0.01)


@pytest.mark.parametrize("n_before", [0, 3])
def test_resumed_it_continues_as_without_a_break(weights: str, n_before: int) -> None:
    def make(params: list[Tensor]) -> tuple[torch.optim.Optimizer, LearnedSchedule]:
        optimizer = OPTIMIZERS["AdamW"](params)
        return optimizer, LearnedSchedule(optimizer, total_steps=9, weights=weights)

    optimizer, schedule = make(some_params())
    whole = train(optimizer, schedule, 8)
    optimizer, schedule = make(some_params())
    rates = train(optimizer, schedule, n_before)
    file = io.BytesIO()
    torch.save([optimizer.state_dict(), schedule.state_dict()], file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    params = [p.detach().clone().requires_grad_() for p in optimizer.param_groups[0]["params"]]
    optimizer, schedule = make(params)
    optimizer.load_state_dict(saved[0])
    schedule.load_state_dict(saved[1])
    assert rates + train(optimizer, schedule, 8 - n_before) == whole


def test_a_copy_goes_on_alike_and_apart(weights: str) -> None:
    params = some_params()
    optimizer = OPTIMIZERS["AdamW"](params)
    schedule = LearnedSchedule(optimizer, total_steps=9, weights=weights)
    train(optimizer, schedule, 3)
    other_optimizer, other = copy.deepcopy((optimizer, schedule))
    third = pickle.loads(pickle.dumps(schedule))
    rates = train(optimizer, schedule, 5)
    assert train(other_optimizer, other, 5) == rates
    assert train(third.optimizer, third, 5) == rates


def test_a_shallow_copy_does_not_move_with_the_original(weights: str) -> None:
    optimizer = OPTIMIZERS["AdamW"](some_params())
    schedule = LearnedSchedule(optimizer, total_steps=9, weights=weights)
    other = copy.copy(schedule)
    before = other.state_dict()
    train(optimizer, schedule, 3)
    assert all(torch.equal(before[k], other.state_dict()[k]) for k in ("steps", "moment"))


def test_a_total_that_is_changed_is_that_of_a_copy_too(weights: str) -> None:
    def run(copied: bool) -> list[float]:
        optimizer = OPTIMIZERS["AdamW"](some_params())
        schedule = LearnedSchedule(optimizer, total_steps=1000, weights=weights)
        train(optimizer, schedule, 3)
        schedule.total_steps = 40
        if copied:
            optimizer, schedule = copy.deepcopy((optimizer, schedule))
        return train(optimizer, schedule, 5)

    assert run(True) == run(False)


def test_it_sets_what_the_rule_says(weights: str) -> None:
    theta = load_weights(weights, kind="learned-schedule").theta
    shapes = [(6, 5), (6,), (2, 6)]  # small enough for all elements to be watched
    generator = torch.Generator().manual_seed(3)
    params = [torch.randn(s, generator=generator).requires_grad_() for s in shapes]
    optimizer = torch.optim.AdamW(params, lr=0.002)
    schedule = LearnedSchedule(optimizer, total_steps=12, weights=weights)
    facts = shape_features(shapes, tied=True)
    options = rule.Options(*(torch.tensor([x]) for x in (0.002, 0.0, 0.9, 0.999, rule.EPS)))
    state = rule.init_state([p.detach() for p in params])
    moments, squares = state.offset, state.exp_avg_sq
    memory, hidden, loss = state.memory, state.hidden, torch.tensor(math.nan)
    for step in range(8):
        steps = torch.full((len(params),), float(step))
        clock = read_clock(steps, torch.tensor([12.0]))
        actions, memory, hidden = rule.decide(theta, memory, hidden, clock, loss, facts)
        coefficients, memory = schedule_rule.plan(actions, memory, clock, facts, options)
        group = optimizer.param_groups[0]
        assert group["lr"] == pytest.approx(float(coefficients.rate[0]), rel=1e-4)
        assert group["betas"][0] == pytest.approx(float(coefficients.beta1[0]), rel=1e-4)
        optimizer.zero_grad()
        loss = torch.stack([(p - 1).square().mean() for p in params]).sum()
        loss.backward()
        optimizer.step()
        loss = loss.detach()
        schedule.step(loss=loss)
        sums = []
        for i, p in enumerate(params):
            g = p.grad
            moments[i] = torch.lerp(moments[i], g, coefficients.take1[i])
            squares[i] = torch.lerp(squares[i], g * g, coefficients.take2[i])
            sums.append(rule.sums_of(p.detach(), g, moments[i], squares[i]))
        memory = columns.see_sums(memory, torch.stack(sums), facts.sizes, steps)


def test_the_state_of_another_model_is_refused(weights: str) -> None:
    small = LearnedSchedule(OPTIMIZERS["SGD"](some_params()[:1]), weights=weights)
    large = LearnedSchedule(OPTIMIZERS["SGD"](some_params()), weights=weights)
    with pytest.raises(ValueError, match="another model"):
        large.load_state_dict(small.state_dict())
    with pytest.raises(ValueError, match="weights"):
        large.load_state_dict({**large.state_dict(), "weights": "0"})


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_does_not_stay(weights: str, bad: float) -> None:
    optimizer = OPTIMIZERS["SGD"](some_params())
    schedule = LearnedSchedule(optimizer, total_steps=50, weights=weights)
    train(optimizer, schedule, 2)
    for p in optimizer.param_groups[0]["params"]:
        p.grad.fill_(bad)
    schedule.step(loss=bad)
    assert all(math.isfinite(rate) for rate in train(optimizer, schedule, 3))
    state = schedule.state_dict()
    assert all(x.isfinite().all() for x in state.values() if isinstance(x, Tensor))


def test_past_the_total_it_warns(weights: str) -> None:
    optimizer = OPTIMIZERS["SGD"](some_params())
    schedule = LearnedSchedule(optimizer, total_steps=2, weights=weights)
    train(optimizer, schedule, 2)
    with pytest.warns(WarmStartWarning, match="total_steps=2"):
        train(optimizer, schedule, 1)
    train(optimizer, schedule, 1)


@pytest.mark.parametrize("wrong", [0, -1, math.nan])
def test_a_total_out_of_range_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="total_steps"):
        LearnedSchedule(OPTIMIZERS["SGD"](some_params()), total_steps=wrong)


def test_parameters_without_gradient_do_no_harm(weights: str) -> None:
    optimizer = OPTIMIZERS["SGD"](some_params())
    schedule = LearnedSchedule(optimizer, total_steps=9, weights=weights)
    optimizer.param_groups[0]["params"][0].sum().backward()
    optimizer.step()
    schedule.step()
    assert math.isfinite(schedule.get_last_lr()[0])


def test_what_is_no_optimizer_is_one_clear_error() -> None:
    with pytest.raises(TypeError, match="of type Linear given; expected an optimizer of torch"):
        LearnedSchedule(torch.nn.Linear(2, 1), total_steps=9)  # type: ignore[arg-type]
