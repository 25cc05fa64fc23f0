"""Schedules predicted before training."""

from __future__ import annotations

import optuna
import pytest
import torch

import metaopt
import warmstart
from metaopt.schedule import LEARNED, SuggestedSchedule


@pytest.fixture(scope="module")
def general() -> SuggestedSchedule:
    return metaopt.suggest_schedule()


def test_all_that_was_learned_lies_in_the_ranges_that_were_tried(
    general: SuggestedSchedule,
) -> None:
    assert 1e-4 <= general.learning_rate <= 1e-1
    assert 1e-5 <= general.weight_decay <= 1e-1
    assert 0.1 <= general.momentum <= 0.99
    assert 16 <= general.batch_size <= 512
    assert general.learned == LEARNED
    assert general.shape == "cosine"


def test_a_batch_size_that_is_fixed_stays_and_is_not_called_learned() -> None:
    schedule = metaopt.suggest_schedule(n_parameters=50_000, depth=2, batch_size=1000)
    assert schedule.batch_size == 1000
    assert "batch_size" not in schedule.learned


def test_a_model_is_measured_and_its_training_built() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(10, 100), torch.nn.ReLU(), torch.nn.Linear(100, 3))
    schedule = metaopt.suggest_schedule(model, n_rows=60, epochs=2)
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    assert schedule == metaopt.suggest_schedule(
        n_parameters=n_parameters, depth=1, n_rows=60, epochs=2
    )
    assert schedule.batch_size <= 60
    optimizer, scheduler = schedule.build(model.parameters(), n_rows=60)
    assert optimizer.param_groups[0]["lr"] == schedule.learning_rate
    assert optimizer.param_groups[0]["momentum"] == schedule.momentum
    assert optimizer.param_groups[0]["weight_decay"] == schedule.weight_decay
    rates = []
    for _ in range(schedule.n_steps(60)):
        optimizer.step()
        scheduler.step()
        rates.append(scheduler.get_last_lr()[0])
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0.0, abs=1e-12)


def test_steps_are_counted_with_the_smaller_last_batch(general: SuggestedSchedule) -> None:
    n_rows = 3 * general.batch_size + 1
    assert general.n_steps(n_rows) == 4 * general.epochs


@pytest.mark.usefixtures("quiet")
def test_the_sampler_proposes_settings_for_a_torch_objective() -> None:
    def objective(trial: optuna.Trial) -> float:
        rate = trial.suggest_float("learning_rate", 1e-4, 0.1, log=True)
        momentum = trial.suggest_float("momentum", 0.1, 0.99)
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(64, 5, generator=generator)
        weights = torch.zeros(5, requires_grad=True)
        optimizer = torch.optim.SGD([weights], lr=rate, momentum=momentum)
        for _ in range(10):
            optimizer.zero_grad()
            loss = ((x @ weights - x.sum(1)) ** 2).mean()
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    sampler = warmstart.WarmStartSampler(estimator="lcbench.funnel_mlp", seed=0)
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=3)
    explained = warmstart.explain(study)
    assert list(explained["by"]) == ["meta-learner"] * 3


def test_training_tasks_can_be_left_out() -> None:
    with pytest.raises(ValueError, match="no-such-task"):
        metaopt.suggest_schedule(exclude="no-such-task")


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="depth=0"):
        metaopt.suggest_schedule(depth=0)
    with pytest.raises(ValueError, match=r"dropout=1\.5"):
        metaopt.suggest_schedule(dropout=1.5)
    with pytest.raises(ValueError, match="or its numbers"):
        metaopt.suggest_schedule(torch.nn.Linear(2, 2), depth=1)
