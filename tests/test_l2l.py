"""The coordinate-wise LSTM of 2016: its network, its meta-training, its experiments."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from metaopt.optim.l2l import CoordinateLSTM, L2LConfig, L2LOptimizer, load_l2l, save_l2l
from metaopt.optim.l2l_bench import Experiment, as_text, compare, run, train
from metaopt.optim.l2l_tasks import Quadratics, SmallMLPs
from metaopt.optim.l2l_training import (
    L2LTraining,
    MetaTrainer,
    back_propagate,
    gradient,
    roll_out,
)
from warmstart.artifact import write_artifact
from warmstart.errors import ArtifactError

RAW = L2LConfig(log_range=None, input_scale=0.1, output_scale=0.1, hidden=4)
SHORT = L2LTraining(
    n_epochs=4,
    n_optimizees=3,
    horizon=8,
    unroll=4,
    n_validation=5,
    validation_steps=(8,),
    validate_every=2,
)
FAMILY = Quadratics(n_dimensions=2)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_gradient_enters_as_logarithm_and_sign() -> None:
    network = CoordinateLSTM(L2LConfig(log_range=5.0))
    seen = network.inputs(torch.tensor([math.e**2, -math.exp(-2), 0.0, 0.5 * math.exp(-5)]))
    expected = torch.tensor([[0.4, 1.0], [-0.4, -1.0], [-1.0, 0.0], [-1.0, 0.5]])
    torch.testing.assert_close(seen, expected)


def test_each_coordinate_is_stepped_as_if_it_were_alone() -> None:
    network = CoordinateLSTM(RAW)
    slopes = torch.randn(5, 3, generator=generator())
    together, _ = network(slopes)
    alone = torch.cat([network(slopes[:, [i]])[0] for i in range(3)], dim=1)
    torch.testing.assert_close(together, alone)


def test_the_meta_gradient_is_that_of_automatic_differentiation_without_second_derivatives() -> (
    None
):
    network = CoordinateLSTM(RAW, seed=1)
    optimizees = FAMILY.sample(3, generator=generator())
    x, state, slopes, losses, total = optimizees.start, None, [], [], []
    for _ in range(4):
        _, slope = gradient(optimizees.losses, x)
        steps, state = network(slope.reshape(1, -1), state)
        x = x + steps.view_as(x)  # the graph runs through the steps, not through the slopes
        slopes.append(slope)
        total.append(optimizees.losses(x))
        losses.append(total[-1].detach())
    slopes.append(gradient(optimizees.losses, x)[1])
    relative = torch.stack(total) / torch.stack(losses).mean(dim=0)
    expected = torch.autograd.grad(relative.sum() / 3, list(network.parameters()))
    back_propagate(network, torch.stack(slopes), torch.stack(losses), None)
    for parameter, slope in zip(network.parameters(), expected, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, slope)


def test_meta_training_lowers_the_losses_it_is_trained_for() -> None:
    training = replace(SHORT, n_epochs=60, n_optimizees=8, learning_rate=1e-2, validate_every=60)
    untrained = CoordinateLSTM(RAW, seed=training.seed)
    trained = MetaTrainer(RAW, FAMILY, training).run()
    before, after = (
        roll_out(network, FAMILY, n=32, n_steps=8, generator=generator(5))[-1].mean()
        for network in (untrained, trained)
    )
    assert after < 0.8 * before


def test_a_meta_training_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(progress: object) -> None:
        raise Stopped

    whole = MetaTrainer(RAW, FAMILY, SHORT).run()
    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(Stopped):
        MetaTrainer(RAW, FAMILY, SHORT, checkpoint=checkpoint).run(stop)
    resumed = MetaTrainer(RAW, FAMILY, SHORT, checkpoint=checkpoint)
    assert resumed.progress.epoch == 2
    for a, b in zip(whole.parameters(), resumed.run().parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint"
    MetaTrainer(RAW, FAMILY, SHORT, checkpoint=checkpoint).run()
    with pytest.raises(ValueError, match="another directory"):
        MetaTrainer(RAW, FAMILY, replace(SHORT, seed=1), checkpoint=checkpoint)


def test_a_network_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    network = CoordinateLSTM(RAW, seed=2)
    save_l2l(network, tmp_path / "network", card={"epochs": 3})
    loaded, card = load_l2l(tmp_path / "network")
    assert loaded.config == RAW
    assert card == {"epochs": 3}
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_an_artifact_of_another_kind_is_refused(tmp_path: Path) -> None:
    write_artifact(tmp_path / "other", {}, {"kind": "priors"})
    with pytest.raises(ArtifactError, match="l2l-network"):
        load_l2l(tmp_path / "other")


def test_the_optimizer_takes_the_steps_of_the_roll_out() -> None:
    network = CoordinateLSTM(RAW, seed=3)
    curve = roll_out(network, FAMILY, n=1, n_steps=3, generator=generator())
    optimizees = FAMILY.sample(1, generator=generator())
    x = torch.nn.Parameter(optimizees.start.clone())
    optimizer = L2LOptimizer([x], network)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = optimizees.losses(x).sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    torch.testing.assert_close(torch.stack(losses), curve[:3, 0])


def test_the_optimizer_keeps_to_the_contract_of_torch() -> None:
    network = CoordinateLSTM(RAW)
    with pytest.raises(ValueError, match="lr=-1"):
        L2LOptimizer([torch.nn.Parameter(torch.ones(2))], network, lr=-1.0)
    x, unused = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(()))
    optimizer = L2LOptimizer([x, unused], network)

    def closure() -> float:
        x.grad = torch.ones(2)
        return 7.0

    assert optimizer.step(closure) == 7.0
    assert unused == 1.0
    twin = torch.nn.Parameter(x.detach().clone())
    resumed = L2LOptimizer([twin, unused], network)
    resumed.load_state_dict(optimizer.state_dict())
    optimizer.step(closure)
    twin.grad = torch.ones(2)
    resumed.step()
    assert torch.equal(x, twin)
    x.grad = torch.ones(2).to_sparse()
    with pytest.raises(ValueError, match="sparse"):
        optimizer.step()


def test_an_mlp_of_the_family_is_the_one_that_torch_makes_of_the_same_numbers() -> None:
    inputs, labels = torch.randn(12, 3, generator=generator()), torch.arange(12) % 4
    family = SmallMLPs(inputs, labels, hidden=(5,), batch_size=6)
    optimizees = family.sample(2, generator=generator(1))
    state = generator(1)
    torch.randn(2, 3 * 5 + 5 + 5 * 4 + 4, generator=state)
    rows = torch.randint(12, (2, 6), generator=state)
    losses = optimizees.losses(optimizees.start)
    for k in range(2):
        w1, b1, w2, b2 = optimizees.start[k].split([15, 5, 20, 4])
        hidden = torch.sigmoid(inputs[rows[k]] @ w1.view(3, 5) + b1)
        expected = torch.nn.functional.cross_entropy(hidden @ w2.view(5, 4) + b2, labels[rows[k]])
        torch.testing.assert_close(losses[k], expected)


def test_rivals_are_tuned_and_judged_beside_the_network(tmp_path: Path) -> None:
    rates = (1e-3, 1e-2, 1e-1, 1e2)
    others = {"3 dimensions": Quadratics(3)}
    experiment = Experiment(RAW, SHORT, FAMILY, others, n_test=8, rates=rates)
    network = train("tiny", experiment, out=tmp_path)
    assert (tmp_path / "l2l_tiny.safetensors").is_file()
    results = compare(network, experiment)
    assert list(results) == ["as in training", "3 dimensions"]
    for rows in results.values():
        assert [row.optimizer for row in rows] == ["LSTM", "Adam", "RMSprop", "SGD", "NAG"]
        assert not any(row.at_edge for row in rows)
        assert all(row.losses[0] < 0.5 for row in rows[1:])
    text = as_text("tiny", results)
    assert text.count("Adam") == 2
    assert "step 200" in text


def test_an_unknown_experiment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="quadratic"):
        run(["cubic"], out=tmp_path)
