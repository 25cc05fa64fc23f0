from __future__ import annotations

import math

import pytest
import torch

from metaopt.optim import controller, rule, schedule_rule
from metaopt.optim.batched_rules import LearnedRule
from metaopt.optim.features import read_clock

N_STEPS = 8
LR = 0.003


def schedule(steps: torch.Tensor, total: float) -> torch.Tensor:
    return schedule_rule.schedule(read_clock(steps, torch.tensor([total])))


def test_untrained_it_is_adam_with_a_schedule() -> None:
    theta = controller.flatten(controller.init_theta(torch.Generator().manual_seed(0)))
    params = [torch.randn(1, *shape) for shape in ((6, 3), (6,))]
    one = torch.ones(1)
    learned = LearnedRule(
        [p.shape[1:] for p in params],
        theta[None],
        total_steps=N_STEPS * one,
        loss_shown=one > 0,
        lr=LR * one,
        tied=True,
    )
    expected = [p.clone().requires_grad_() for p in params]
    adam = torch.optim.Adam(expected, eps=rule.EPS)
    state = learned.begin(params)
    for step in range(N_STEPS):
        adam.param_groups[0]["lr"] = LR * float(schedule(torch.tensor([float(step)]), N_STEPS))
        for p in expected:
            p.grad = 2 * (p.detach() - 1)
        adam.step()
        gradients = [2 * (p - 1) for p in params]
        params, state = learned.update(params, gradients, state, one, step)
    torch.testing.assert_close(params, [p.detach() for p in expected])


def test_the_schedule_warms_up_and_decays_to_nearly_zero() -> None:
    factor = schedule(torch.arange(1000.0), 1000.0)
    peak = int(factor.argmax())
    assert 40 <= peak <= 60
    assert factor[0] == pytest.approx(1 / 50)
    assert torch.all(factor[:peak].diff() > 0)
    assert torch.all(factor[peak:].diff() <= 0)
    assert factor[-1] == pytest.approx(0.01)
    assert float(schedule(torch.tensor([1500.0]), 1000.0)) == pytest.approx(0.01)


@pytest.mark.parametrize("total", [math.nan, 0.0, -3.0])
def test_without_a_total_the_schedule_decays_slowly(total: float) -> None:
    factor = schedule(torch.tensor([100.0, 10_000.0]), total)
    assert 0.8 < factor[0] < 1
    assert 0.1 < factor[1] < 0.5
