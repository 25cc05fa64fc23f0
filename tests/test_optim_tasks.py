"""Tasks that optimizers are meta-trained on, and training them in batches."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from metaopt.optim import controller, rule, schedule_rule
from metaopt.optim import memory as columns
from metaopt.optim.batched_rules import AdamWCosine, LearnedRule
from metaopt.optim.features import Shapes, read_clock, shape_features
from metaopt.optim.optimizer import LSTMOptimizer
from metaopt.optim.rule import RuleState, init_state
from metaopt.optim.tasks import Architecture, TaskBatch, TaskSpec, build_model, make_batch
from metaopt.optim.tasks.distribution import SMALL_TASK, sample_spec
from metaopt.optim.tasks.functions import truth_tables
from metaopt.optim.tasks.rows import make_rows
from metaopt.optim.unroll import Unroll, run_together
from metaopt.optim.weights import save_weights

N = 3
SPECS = {
    "mlp": TaskSpec(Architecture("mlp", 4, 3, 6, 2, "tanh", "layer"), "teacher", 30, 10, 8),
    "regression": TaskSpec(Architecture("mlp", 4, 1, 6, 1, norm="batch"), "teacher", 30, 10, 8),
    "table": TaskSpec(Architecture("mlp", 10, 1, 6, 1), "diabetes", 60, 10, 8),
    "conv": TaskSpec(Architecture("conv", 64, 3, 2, 2, norm="layer"), "prototypes", 20, 10, 5),
    "transformer": TaskSpec(Architecture("transformer", 64, 10, 4, 1), "digits", 20, 10, 5),
    "gru": TaskSpec(Architecture("gru", 64, 10, 4, 2), "digits", 20, 10, 5),
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(name: str, seed: int = 0) -> TaskBatch:
    return make_batch(SPECS[name], N, seeded(seed))


def alone(
    batch: TaskBatch, task: int, inputs: Tensor, labels: Tensor
) -> tuple[list[Tensor], Tensor]:
    """The gradient and the loss of one task, computed by an ordinary module."""
    model = build_model(batch.spec.architecture, device="cpu")
    for parameter, values in zip(model.parameters(), batch.initial, strict=True):
        parameter.data.copy_(values[task])
    outputs = model(inputs[task])
    loss = (
        functional.mse_loss(outputs.squeeze(-1), labels[task])
        if batch.spec.regression
        else functional.cross_entropy(outputs, labels[task])
    )
    return list(torch.autograd.grad(loss, list(model.parameters()))), loss.detach()


@pytest.mark.parametrize("name", SPECS)
def test_a_batch_computes_what_each_model_computes_alone(name: str) -> None:
    batch = batch_of(name)
    inputs, labels = batch.minibatch(torch.tensor(1))
    gradients, losses = batch.gradients(list(batch.initial), inputs, labels)
    for task in range(N):
        own_gradients, own_loss = alone(batch, task, inputs, labels)
        torch.testing.assert_close(losses[task], own_loss, rtol=1e-4, atol=1e-5)
        for together, own in zip(gradients, own_gradients, strict=True):
            torch.testing.assert_close(together[task], own, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "regression", "table", "conv"])
def test_a_seed_makes_the_same_tasks_and_another_seed_others(name: str) -> None:
    first, again, other = (batch_of(name, seed).tensors() for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_an_epoch_reads_every_row_once_and_none_that_is_held_out() -> None:
    spec = TaskSpec(Architecture("mlp", 4, 2, 4, 0), "teacher", 30, 10, 10)
    batch = make_batch(spec, 2, seeded())
    for epoch in range(3):
        read = torch.cat([batch.minibatch(torch.tensor(3 * epoch + i))[0] for i in range(3)], 1)
        rows = batch.rows.pool[batch.rows.index[:, :30]] * batch.input_scale
        for task in range(2):
            assert {*map(tuple, read[task].tolist())} == {*map(tuple, rows[task].tolist())}


def test_epochs_have_different_orders() -> None:
    spec = TaskSpec(Architecture("mlp", 4, 2, 4, 0), "teacher", 30, 10, 10)
    batch = make_batch(spec, 1, seeded())
    starts = [batch.minibatch(torch.tensor(3 * epoch))[0] for epoch in range(12)]
    assert len({tuple(start.flatten().tolist()) for start in starts}) > 4


def test_tasks_of_a_batch_differ_in_data_scale_and_initial_weights() -> None:
    batch = batch_of("mlp")
    inputs, _ = batch.minibatch(torch.tensor(0))
    assert not torch.equal(inputs[0], inputs[1])
    assert len(set(batch.input_scale.flatten().tolist())) == N
    assert not torch.equal(batch.initial[0][0], batch.initial[0][1])


def test_repeated_tasks_are_the_same_tasks_several_times() -> None:
    batch = batch_of("mlp")
    twice = batch.repeated(2)
    losses = twice.validation_losses(list(twice.initial))
    torch.testing.assert_close(losses[:N], losses[N:])
    torch.testing.assert_close(losses[:N], batch.validation_losses(list(batch.initial)))


def test_specifications_vary_in_all_that_they_can() -> None:
    specs = [sample_spec(np.random.default_rng(seed)) for seed in range(300)]
    shapes = [spec.architecture for spec in specs]
    assert {shape.family for shape in shapes} == {"mlp", "conv", "transformer", "gru"}
    assert {shape.depth for shape in shapes} >= {0, 1, 2, 3, 4}
    assert {shape.norm for shape in shapes} == {"none", "layer", "batch"}
    assert len({shape.activation for shape in shapes}) == 6
    assert {spec.data for spec in specs} == {
        "teacher",
        "prototypes",
        "sinusoids",
        "truth-tables",
        "clusters",
        "digits",
        "diabetes",
        "iris",
    }
    assert min(shape.width for shape in shapes) < 12 < 150 < max(s.width for s in shapes)
    assert {spec.regression for spec in specs} == {True, False}
    assert all(1 <= spec.batch_size <= spec.n_rows for spec in specs)


def test_data_sets_of_the_benchmark_are_not_trained_on() -> None:
    specs = [sample_spec(np.random.default_rng(seed)) for seed in range(300)]
    assert not {"breast_cancer", "wine"} & {spec.data for spec in specs}


@pytest.mark.parametrize(
    ("data", "n_inputs", "n_outputs"), [("sinusoids", 2, 1), ("clusters", 3, 4)]
)
def test_made_up_rows_are_standardised_and_differ_from_task_to_task(
    data: str, n_inputs: int, n_outputs: int
) -> None:
    spec = TaskSpec(Architecture("mlp", n_inputs, n_outputs, 4, 1), data, 1500, 500, 8)
    rows = make_rows(spec, 2, seeded())
    x = rows.pool[rows.index]
    assert x.shape == (2, 2000, n_inputs)
    torch.testing.assert_close(x.std(1), torch.ones(2, n_inputs), atol=0.1, rtol=0.0)
    assert not torch.equal(rows.labels[0], rows.labels[1])
    if data == "clusters":
        assert rows.labels.unique().tolist() == [0, 1, 2, 3]
    else:
        torch.testing.assert_close(rows.labels.std(1), torch.ones(2), atol=0.1, rtol=0.0)


def test_a_truth_table_gives_equal_rows_equal_classes_and_has_both() -> None:
    x, y = truth_tables(20, 400, 6, seeded())
    assert {*x.unique().tolist()} == {-1.0, 1.0}
    for rows, classes in zip(x.tolist(), y.tolist(), strict=True):
        assert {*classes} == {0, 1}
        seen: dict[tuple[float, ...], int] = {}
        for row, label in zip(rows, classes, strict=True):
            assert seen.setdefault(tuple(row[:4]), label) == label


def test_small_tasks_are_of_every_family() -> None:
    rng = np.random.default_rng(0)
    drawn = Counter(sample_spec(rng, largest=SMALL_TASK).architecture.family for _ in range(200))
    assert all(drawn[family] > 10 for family in ("mlp", "conv", "transformer", "gru"))


def test_a_batch_size_beyond_the_rows_says_what_is_expected() -> None:
    with pytest.raises(ValueError, match=r"batch_size=9 given; expected 1 to n_rows=8\."):
        TaskSpec(Architecture("mlp", 4, 2, 4, 0), "teacher", 8, 4, 9)


def test_a_model_of_images_says_that_it_needs_images() -> None:
    with pytest.raises(ValueError, match=r"n_inputs=5 given for 'conv'; expected 64"):
        Architecture("conv", 5, 2, 4, 1)


def learned_rule(batch: TaskBatch, horizon: int, *, tied: bool = False) -> LearnedRule:
    generator = seeded(3)
    theta = controller.flatten(controller.init_theta(generator))
    thetas = theta + 0.3 * torch.randn(N, len(theta), generator=generator)
    return LearnedRule(
        batch.shapes,
        thetas,
        total_steps=torch.tensor([float(horizon), torch.nan, float(horizon)]),
        loss_shown=torch.tensor([True, True, False]),
        lr=torch.tensor([1.0, 0.5, 1.0]),
        tied=tied,
    )


def scheduled(
    theta: controller.Theta,
    params: list[Tensor],
    grads: list[Tensor],
    state: RuleState,
    losses: Tensor,
    shapes: Shapes,
    total_steps: Tensor,
    lr: Tensor,
) -> tuple[list[Tensor], RuleState]:
    """A step of a schedule's rule, tensor by tensor; the offset is the first moment."""
    clock = read_clock(state.steps, total_steps[:, None])
    actions, memory, hidden = rule.decide(theta, state.memory, state.hidden, clock, losses, shapes)
    beta1, beta2, eps = (torch.tensor([x]) for x in (*rule.BETAS, rule.EPS))
    options = rule.Options(lr[:, None], torch.zeros(1), beta1, beta2, eps)
    coefficients, memory = schedule_rule.plan(actions, memory, clock, shapes, options)
    stepped = []
    for index, tensors in enumerate(
        zip(params, grads, state.offset, state.exp_avg_sq, strict=True)
    ):
        own = coefficients.factors()[:, index]
        own = own.reshape(*own.shape, *(1,) * (tensors[0].ndim - 1))
        stepped.append(schedule_rule.apply(*tensors, *own.unbind(1)))
    sums = torch.stack([rule.sums_of(*of, n_batch=1) for of in stepped], -2)
    memory = columns.see_sums(memory, sums, shapes.sizes, state.steps)
    new, _, moments, squares = (list(parts) for parts in zip(*stepped, strict=True))
    return new, RuleState(state.steps + 1, memory, hidden, moments, squares)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_the_flat_rule_does_what_the_rule_does_on_tensors(name: str, tied: bool) -> None:
    batch = batch_of(name)
    learned = learned_rule(batch, 6, tied=tied)
    thetas, total_steps, shown, lr = learned.tensors()
    shapes = shape_features(batch.shapes, tied=tied)
    parameters, reference = list(batch.initial), list(batch.initial)
    state, own = learned.begin(parameters), init_state(reference, n_batch=1)
    for step in range(6):
        inputs, labels = batch.minibatch(torch.tensor(step))
        gradients, losses = batch.gradients(reference, inputs, labels)
        parameters, state = learned.update(parameters, gradients, state, losses, step)
        shown_losses = torch.where(shown, losses, torch.nan)
        given = controller.unflatten(thetas), reference, gradients, own, shown_losses
        if tied:
            reference, own = scheduled(*given, shapes, total_steps, lr)
        else:
            reference, own, _ = rule.update(
                *given, shapes=shapes, total_steps=total_steps, lr=lr, n_batch=1
            )
    for flat, whole in zip(parameters, reference, strict=True):
        torch.testing.assert_close(flat, whole, rtol=1e-4, atol=1e-5)


def test_a_rule_that_seldom_runs_the_lstm_does_what_the_optimizer_does(tmp_path: Path) -> None:
    batch = batch_of("mlp")
    theta = learned_rule(batch, 8).tensors()[0][0]
    save_weights(tmp_path / "lstm.safetensors", controller.unflatten(theta), {})
    ones = torch.ones(N)
    learned = LearnedRule(
        batch.shapes,
        theta.repeat(N, 1),
        total_steps=8 * ones,
        loss_shown=ones > 0,
        lr=ones,
        every=4,
    )
    parameters = list(batch.initial)
    state = learned.begin(parameters)
    single = [torch.nn.Parameter(tensor[0].clone()) for tensor in parameters]
    optimizer = LSTMOptimizer(
        single, weights=tmp_path / "lstm.safetensors", total_steps=8, refresh_every=4
    )
    for step in range(8):
        inputs, labels = batch.minibatch(torch.tensor(step))
        gradients, losses = batch.gradients(parameters, inputs, labels)
        parameters, state = learned.update(parameters, gradients, state, losses, step % 4)
        for parameter, gradient in zip(single, gradients, strict=True):
            parameter.grad = gradient[0].clone()
        optimizer.step(loss=losses[0])
    for flat, whole in zip(parameters, single, strict=True):
        torch.testing.assert_close(flat[0], whole.detach(), rtol=1e-4, atol=1e-5)


def test_adamw_of_a_batch_does_what_torch_does() -> None:
    batch = batch_of("mlp")
    lr, weight_decay = torch.tensor([1e-3, 1e-2, 3e-2]), torch.tensor([0.0, 0.1, 0.5])
    ones = torch.ones(N)
    rule = AdamWCosine(
        batch.shapes, lr=lr, weight_decay=weight_decay, warm_up=0.25 * ones, total_steps=8 * ones
    )
    gradients = [torch.randn_like(tensor) for tensor in batch.initial]
    parameters, state = list(batch.initial), rule.begin(list(batch.initial))
    for step in range(8):
        parameters, state = rule.update(parameters, gradients, state, ones, step)
    for task in range(N):
        single = [torch.nn.Parameter(tensor[task].clone()) for tensor in batch.initial]
        adamw = torch.optim.AdamW(single, weight_decay=float(weight_decay[task]))
        for step in range(8):
            shape = min(1.0, (step + 1) / 2) * 0.5 * (1 + np.cos(np.pi * step / 8))
            adamw.param_groups[0]["lr"] = float(lr[task]) * shape
            for parameter, gradient in zip(single, gradients, strict=True):
                parameter.grad = gradient[task].clone()
            adamw.step()
        for together, parameter in zip(parameters, single, strict=True):
            torch.testing.assert_close(together[task], parameter.detach(), rtol=1e-4, atol=1e-6)


def test_training_lowers_the_validation_loss() -> None:
    batch = batch_of("table")
    ones = torch.ones(N)
    rule = AdamWCosine(
        batch.shapes,
        lr=1e-2 * ones,
        weight_decay=0 * ones,
        warm_up=0 * ones,
        total_steps=40 * ones,
    )
    before = batch.validation_losses(list(batch.initial)).log()
    (after,) = run_together([Unroll(batch, rule)], [40])
    assert (after < before).all()


def test_other_tasks_and_another_theta_can_be_loaded_into_an_unroll() -> None:
    first, other = batch_of("mlp", 0), batch_of("mlp", 1)
    (expected,) = run_together([Unroll(other, learned_rule(other, 8))], [8])
    unroll = Unroll(first, learned_rule(first, 4))
    run_together([unroll], [4])
    unroll.reload(batch_of("mlp", 1), learned_rule(other, 8))
    (loaded,) = run_together([unroll], [8])
    torch.testing.assert_close(loaded, expected)


def test_a_divergence_counts_as_a_bounded_loss() -> None:
    batch = batch_of("table")
    ones = torch.ones(N)
    rule = AdamWCosine(
        batch.shapes, lr=1e12 * ones, weight_decay=0 * ones, warm_up=0 * ones, total_steps=8 * ones
    )
    (losses,) = run_together([Unroll(batch, rule)], [8])
    start = (batch.validation_losses(list(batch.initial)) + 1e-4).log()
    torch.testing.assert_close(losses, start + 1)


def test_horizons_are_whole_replays() -> None:
    batch = batch_of("mlp")
    with pytest.raises(ValueError, match="horizon=6 given; expected a positive multiple of 4"):
        run_together([Unroll(batch, learned_rule(batch, 6))], [6])
