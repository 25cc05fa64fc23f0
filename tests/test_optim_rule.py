from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from metaopt.optim import controller, memory, rule
from metaopt.optim.features import N_FEATURES, features, read_clock, shape_features

SHAPES = [(6, 3), (6,), (2, 6), ()]


def some_params(n_batch: tuple[int, ...] = (), seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [0.3 * torch.randn((*n_batch, *shape), generator=generator) for shape in SHAPES]


def some_theta(n_batch: tuple[int, ...] = (), spread: float = 0.3) -> controller.Theta:
    generator = torch.Generator().manual_seed(7)
    size = (*n_batch, controller.n_meta_parameters())
    return controller.unflatten(spread * torch.randn(size, generator=generator))


def trained(
    theta: controller.Theta, params: list[Tensor], n_batch: int = 0, n_steps: int = 5, **options
) -> tuple[list[Tensor], rule.RuleState, list[rule.Coefficients]]:
    """Steps on the squared distance to one."""
    state = rule.init_state(params, n_batch=n_batch)
    shapes = shape_features([p.shape[n_batch:] for p in params])
    taken = []
    for _ in range(n_steps):
        gradients = [2 * (p - 1) for p in params]
        losses = [(p - 1).square().flatten(n_batch).sum(-1) for p in params[:3]]
        params, state, coefficients = rule.update(
            theta,
            params,
            gradients,
            state,
            torch.stack(losses).sum(0),
            shapes=shapes,
            n_batch=n_batch,
            **{"total_steps": 20, **options},
        )
        taken.append(coefficients)
    return params, state, taken


def untrained() -> controller.Theta:
    return controller.init_theta(torch.Generator().manual_seed(0))


def test_a_flat_theta_has_all_of_it() -> None:
    theta = some_theta()
    vector = controller.flatten(theta)
    assert vector.shape == (controller.n_meta_parameters(),)
    again = controller.unflatten(vector)
    assert all(torch.equal(theta[name], again[name]) for name in theta)


def test_the_lstm_is_that_of_torch() -> None:
    theta = some_theta()
    cell = torch.nn.LSTMCell(N_FEATURES, controller.HIDDEN_SIZE)
    # torch has the gates in the order input, forget, candidate, output.
    order = [0, 1, 3, 2]

    def rows(part: Tensor) -> Tensor:
        return torch.cat([part.chunk(4, -1)[i] for i in order], -1).t()

    with torch.no_grad():
        cell.weight_ih.copy_(rows(theta["input"]))
        cell.weight_hh.copy_(rows(theta["recurrent"]))
        cell.bias_ih.copy_(rows(theta["bias"][None])[:, 0])
        cell.bias_hh.zero_()
    seen = torch.randn(5, N_FEATURES, generator=torch.Generator().manual_seed(1))
    hidden = torch.randn(5, 32, generator=torch.Generator().manual_seed(2))
    expected, expected_cell = cell(seen, tuple(hidden.chunk(2, -1)))
    actions, new = controller.step(theta, hidden, seen)
    torch.testing.assert_close(new, torch.cat([expected, expected_cell], -1))
    torch.testing.assert_close(actions, controller.actions(theta, new))


def test_untrained_it_is_schedule_free_adamw_and_ends_as_its_average() -> None:
    library = pytest.importorskip("schedulefree")
    params, _, taken = trained(untrained(), some_params(), n_steps=20)
    expected = [p.clone().requires_grad_() for p in some_params()]
    other = library.AdamWScheduleFree(
        [{"params": [p]} for p in expected],
        betas=rule.BETAS,
        eps=rule.EPS,
        r=rule.NEWEST_WEIGHT - 1,
        weight_lr_power=0.0,
    )
    other.train()
    for coefficients in taken:
        for group, rate in zip(other.param_groups, coefficients.rate, strict=True):
            group["lr"] = float(rate)
        for p in expected:
            p.grad = 2 * (p.detach() - 1)
        other.step()
    other.eval()
    torch.testing.assert_close(params, [p.detach() for p in expected])


def test_parameters_are_between_average_and_fast_point_until_the_last_step() -> None:
    _, state, taken = trained(some_theta(), some_params(), n_steps=19)
    share = state.memory[:, memory.INTERPOLATION]
    assert torch.all((share > 0.5) & (share < 1) & (share != rule.BETAS[0]))
    assert all(torch.all(coefficients.stay < 1) for coefficients in taken)
    _, state, taken = trained(some_theta(), some_params(), n_steps=20)
    assert torch.all(state.memory[:, memory.INTERPOLATION] == 1)
    assert torch.all(taken[0].stay == 0)  # the first step is the whole average


def test_whoever_moves_the_parameters_moves_average_and_fast_point_too() -> None:
    shapes = shape_features(SHAPES)

    def run(shift: float) -> list[Tensor]:
        params, state, _ = trained(untrained(), some_params(), n_steps=5, total_steps=8)
        moved = [p + shift for p in params]
        for _ in range(3):
            zeros = [torch.zeros_like(p) for p in moved]
            moved, state, _ = rule.update(
                untrained(), moved, zeros, state, shapes=shapes, total_steps=8
            )
        return moved

    torch.testing.assert_close(run(0.5), [p + 0.5 for p in run(0.0)])


@pytest.mark.parametrize("total", [1000.0, math.nan, 0.0, -3.0])
def test_the_schedule_warms_up_and_stays(total: float) -> None:
    steps = torch.arange(1500.0)
    factor = rule.schedule(read_clock(steps, torch.tensor([total])))
    n_warm = 50 if total > 0 else 20
    assert factor[0] == pytest.approx(1 / n_warm)
    assert torch.all(factor[:n_warm].diff() > 0)
    assert torch.all(factor[n_warm - 1 :] == 1)


def test_a_batch_of_tasks_is_trained_as_each_alone() -> None:
    theta = some_theta((3,))
    total = torch.tensor([7.0, 30.0, math.nan])
    together, state, _ = trained(theta, some_params((3,)), 1, total_steps=total)
    for task in range(3):
        own = {name: part[task] for name, part in theta.items()}
        alone, alone_state, _ = trained(
            own, [p[task] for p in some_params((3,))], total_steps=float(total[task])
        )
        torch.testing.assert_close([p[task] for p in together], alone)
        torch.testing.assert_close(state.memory[task], alone_state.memory)


def test_vmap_over_theta_and_tasks_gives_the_same() -> None:
    theta = some_theta((3,))
    together, _, _ = trained(theta, some_params((3,)), 1)

    def alone(own: controller.Theta, *params: Tensor) -> list[Tensor]:
        return trained(own, list(params))[0]

    torch.testing.assert_close(torch.vmap(alone)(theta, *some_params((3,))), together)


@pytest.mark.parametrize("scale", [1e-3, 1e4])
def test_the_unit_of_the_loss_does_not_matter(scale: float) -> None:
    theta = some_theta()
    shapes = shape_features(SHAPES)

    def run(scale: float) -> list[Tensor]:
        params = some_params()
        state = rule.init_state(params)
        for _ in range(5):
            gradients = [scale * 2 * (p - 1) for p in params]
            loss = scale * sum((p - 1).square().sum() for p in params)
            params, state, _ = rule.update(
                theta, params, gradients, state, loss, shapes=shapes, total_steps=20
            )
        return params

    torch.testing.assert_close(run(scale), run(1.0), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("loss", [1e38, -1e38, math.nan, math.inf, 0.0])
@pytest.mark.parametrize("gradient", [0.0, 1e-30, 1e30, math.nan, math.inf])
def test_whatever_comes_the_state_stays_finite(loss: float, gradient: float) -> None:
    theta = some_theta(spread=3.0)
    params = some_params()
    state = rule.init_state(params)
    shapes = shape_features(SHAPES)
    for value in (1.0, gradient, 1.0):
        gradients = [torch.full_like(p, value) for p in params]
        params, state, _ = rule.update(
            theta, params, gradients, state, torch.tensor(loss), shapes=shapes, total_steps=2
        )
    assert all(t.isfinite().all() for t in (*params, *state.offset, *state.exp_avg_sq))
    assert state.memory.isfinite().all()
    assert state.hidden.isfinite().all()


def test_a_tensor_without_gradient_signal_does_not_move() -> None:
    params = some_params()
    state = rule.init_state(params)
    shapes = shape_features(SHAPES)
    for _ in range(3):
        new, state, _ = rule.update(
            some_theta(), params, [torch.zeros_like(p) for p in params], state, shapes=shapes
        )
        torch.testing.assert_close(new, params, rtol=0, atol=0)


def test_before_the_first_step_only_the_parameters_are_known() -> None:
    params = some_params()
    empty = rule.init_state(params).memory
    sizes = torch.stack([p.square().mean().sqrt().log() for p in params])
    for column in (memory.LOG_PARAMETER, memory.LOG_FIRST_PARAMETER):
        torch.testing.assert_close(empty[:, column].squeeze(-1), sizes)
    assert torch.all(empty[:, memory.LOG_GRADIENT] == memory.NOTHING)
    assert torch.all(empty[:, memory.COSINE] == 0)
    assert torch.all(empty[:, memory.WEIGHTS] == 0)


def test_statistics_are_those_of_the_tensors_after_a_step() -> None:
    params = some_params()
    new, state, _ = trained(some_theta(), params, n_steps=2)
    middle, earlier, _ = trained(some_theta(), params, n_steps=1)
    for row, first, before, after, d, v, seen in zip(
        state.memory,
        params,
        middle,
        new,
        state.offset,
        state.exp_avg_sq,
        earlier.memory,
        strict=True,
    ):
        g = 2 * (before - 1)
        logs = [x.square().mean().sqrt().log() for x in (g, d, v.sqrt(), after, first)]
        torch.testing.assert_close(row[memory.LOGS][:-1], torch.stack(logs))
        usual = seen[memory.LOG_USUAL_GRADIENT][0]
        assert row[memory.LOGS][-1] == pytest.approx(float(usual + (logs[0] - usual) / 1.3))
        cosine = (g * d).sum() / (g.norm() * d.norm())
        torch.testing.assert_close(row[memory.COSINE].squeeze(), cosine)


def test_an_unknown_loss_leaves_the_memory_of_losses_as_it_was() -> None:
    _, state, _ = trained(untrained(), some_params())
    shares = shape_features(SHAPES).loss_shares
    after = memory.see_loss(state.memory, torch.tensor(math.nan), shares)
    assert torch.equal(after, state.memory)
    assert not torch.equal(memory.see_loss(state.memory, torch.tensor(3.0), shares), state.memory)


def test_features_are_of_moderate_size_and_flag_what_is_unknown() -> None:
    _, state, _ = trained(some_theta(), some_params(), n_steps=9)
    shapes = shape_features(SHAPES)
    clock, stopped = (read_clock(state.steps, torch.tensor([t])) for t in (20.0, math.nan))
    known = features(state.memory, clock, shapes)
    unknown = features(state.memory, stopped, shapes)
    assert known.shape == (4, N_FEATURES)
    assert known.abs().max() <= 2.01
    changed = (known != unknown).any(0)
    assert changed.sum() == 4
    assert torch.all(unknown[:, changed] == 0)


def test_the_learning_rate_of_matrices_follows_their_size() -> None:
    def rate(scale: float) -> Tensor:
        params = [scale * p for p in some_params()]
        return trained(untrained(), params, n_steps=1)[2][0].rate

    torch.testing.assert_close(rate(0.5)[[0, 2]], 0.5 * rate(1.0)[[0, 2]])
    assert torch.equal(rate(0.5)[[1, 3]], rate(1.0)[[1, 3]])
    assert torch.all(rate(0.0) > 0)
