"""The gradient of final losses by way of the LSTM's decisions, against finite differences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from metaopt.optim import controller
from metaopt.optim.action_gradient import action_gradient
from metaopt.optim.action_noise import SIZES, ActionNoise
from metaopt.optim.batched_rules import LearnedRule
from metaopt.optim.features import shape_features
from metaopt.optim.tasks import Architecture, TaskBatch, TaskSpec, make_batch
from metaopt.optim.unroll import bounded_log_losses

HORIZON = 8
N_BIASES = controller.N_ACTIONS
RELU = TaskSpec(Architecture("mlp", 4, 1, 6, 2), "teacher", 64, 32, 16)
ATTENTION = TaskSpec(Architecture("transformer", 64, 3, 4, 1), "prototypes", 20, 10, 5)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def decided_by_biases() -> Tensor:
    """θ whose decisions are its last four numbers, whatever it sees; the prior's at first."""
    return controller.flatten(controller.init_theta(seeded()))


def rule_of(batch: TaskBatch, theta: Tensor, *, tied: bool = False) -> LearnedRule:
    ones = torch.ones(len(batch.input_scale))
    return LearnedRule(
        batch.shapes,
        theta,
        total_steps=HORIZON * ones,
        loss_shown=ones > 0,
        lr=0.01 * ones if tied else ones,
        tied=tied,
    )


def final_loss(batch: TaskBatch, theta: Tensor) -> float:
    rule = rule_of(batch, theta)
    parameters = list(batch.initial)
    state = rule.begin(parameters)
    for step in range(HORIZON):
        gradients, losses = batch.gradients(parameters, *batch.minibatch(torch.tensor(step)))
        parameters, state = rule.update(parameters, gradients, state, losses, step)
    return float(bounded_log_losses(batch, parameters).mean())


def finite_differences(batch: TaskBatch, theta: Tensor, size: float) -> Tensor:
    """Of the mean final loss, in the biases of the decisions."""
    slopes = []
    for bias in range(-N_BIASES, 0):
        step = torch.zeros_like(theta)
        step[bias] = size
        slopes.append((final_loss(batch, theta + step) - final_loss(batch, theta - step)) / 2)
    return torch.tensor(slopes) / size


def no_noise(n: int, n_tensors: int) -> ActionNoise:
    zeros = torch.zeros(n, n_tensors, N_BIASES)
    return ActionNoise(zeros, zeros[:, :1], zeros[:, :1], torch.tensor(SIZES))


def gradient_of(
    batch: TaskBatch, theta: Tensor, noise: ActionNoise, *, exact: bool, tied: bool = False
) -> Tensor:
    theta = theta.clone().requires_grad_()
    rule = rule_of(batch, theta, tied=tied)
    _, gradient = action_gradient(
        batch, rule, theta, horizon=HORIZON, every=1, noise=noise, exact=exact
    )
    return gradient


def cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.cosine_similarity(a, b, dim=0))


def test_noise_alone_finds_the_slope_of_the_biases() -> None:
    theta = decided_by_biases()
    batch = make_batch(RELU, 600, seeded(1))
    noise = ActionNoise.draw(600, shape_features(batch.shapes), seeded(2), tied=False)
    found = gradient_of(batch.repeated(2), theta, noise, exact=False)
    assert cosine(found[-N_BIASES:], finite_differences(batch, theta, 0.1)) > 0.9


def test_differentiation_finds_the_slope_of_the_biases() -> None:
    theta = decided_by_biases()
    batch = make_batch(RELU, 8, seeded(1))
    noise = no_noise(8, len(batch.shapes))
    found = gradient_of(batch.repeated(2), theta, noise, exact=True)
    assert cosine(found[-N_BIASES:], finite_differences(batch, theta, 0.01)) > 0.95


@pytest.mark.parametrize("spec", [RELU, ATTENTION], ids=["relu", "attention"])
@pytest.mark.parametrize("tied", [False, True])
def test_the_gradient_is_finite_and_reaches_all_of_theta(spec: TaskSpec, tied: bool) -> None:
    theta = decided_by_biases()
    theta = theta + 0.3 * torch.randn(theta.shape, generator=seeded(3))
    batch = make_batch(spec, 2, seeded(1))
    noise = ActionNoise.draw(2, shape_features(batch.shapes), seeded(2), tied=tied)
    found = gradient_of(batch.repeated(2), theta, noise, exact=True, tied=tied)
    assert found.isfinite().all()
    parts = controller.unflatten(found)
    assert all(part.abs().sum() > 0 for part in parts.values())


def test_a_training_that_diverges_gives_a_finite_gradient() -> None:
    theta = decided_by_biases()
    theta[-N_BIASES] = 40.0
    batch = make_batch(RELU, 2, seeded(1))
    noise = ActionNoise.draw(2, shape_features(batch.shapes), seeded(2), tied=False)
    assert gradient_of(batch.repeated(2), theta, noise, exact=True).isfinite().all()


def test_noise_is_smooth_and_has_its_size_on_average() -> None:
    facts = shape_features([(3, 2), (3,), (1, 3)])
    noise = ActionNoise.draw(4000, facts, seeded(), tied=False)
    curve = torch.stack([noise.at(i / 20) for i in range(21)])
    assert (curve[1:] - curve[:-1]).abs().mean() < 0.2 * curve.std()
    spread = curve.std(dim=(0, 1, 2)) / torch.tensor(SIZES)
    assert ((spread > 1.0) & (spread < 1.6)).all()


def test_tied_noise_is_the_same_for_all_tensors() -> None:
    facts = shape_features([(3, 2), (3,), (1, 3)])
    noise = ActionNoise.draw(5, facts, seeded(), tied=True).at(0.3)
    assert torch.equal(noise[:, :1].expand_as(noise), noise)
