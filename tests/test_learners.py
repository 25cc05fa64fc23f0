"""Every meta-learner keeps one contract; each is also held to what makes it what it is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import vmap

from metaopt.benchmarks.portfolio import greedy_choice
from metaopt.episodes import Episode, FewShotClasses, Points, Sinusoids, TaskSet, collate
from metaopt.learners import (
    MAML,
    MLP,
    RL2,
    BayesianLinear,
    ConvNet,
    DeepKernelGP,
    Gaussian,
    Learner,
    LSTMLearner,
    MetaSGD,
    NeighbourTasks,
    NeuralProcess,
    Prototypes,
    Reptile,
    Ridge,
    Theta,
    TNet,
    cross_entropy,
    meta_fit,
    query_losses,
    squared_error,
)
from metaopt.learners.meta_fit import MOST_SKIPPED
from metaopt.learners.tracing import traced

NETWORK = MLP((1, 16, 16, 1), torch.tanh)
SINE = Sinusoids(n_support=10, n_query=10)
REGRESSION: dict[str, Learner] = {
    "maml": MAML(NETWORK),
    "fomaml": MAML(NETWORK, first_order=True),
    "reptile": Reptile(NETWORK),
    "meta_sgd": MetaSGD(NETWORK, n_steps=2),
    "tnet": TNet(NETWORK, n_steps=2),
    "ridge": Ridge(MLP((1, 16, 16)), loss=squared_error),
    "deep_kernel_gp": DeepKernelGP(MLP((1, 16, 4))),
    "bayesian_linear": BayesianLinear(MLP((1, 16, 16))),
    "neighbour_tasks": NeighbourTasks(1, n_prototypes=4, width=16),
    "lstm": LSTMLearner(1, n_hidden=8, width=16),
    "neural_process": NeuralProcess(1, width=16, n_layers=1),
}
# What each adapts by does not depend on the order of what it sees.
ORDERED = {"lstm"}
# Their meta-gradient is, on purpose, not that of the meta-loss.
# Their meta-gradients are others on purpose, and have tests of their own.
NOT_THE_GRADIENT = {"fomaml", "reptile"}

each_regression = pytest.mark.parametrize("name", REGRESSION)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def start_of(learner: Learner, *, dtype: torch.dtype = torch.float32) -> Theta:
    theta = learner.initial(generator())
    # Away from zeros and identities, where some gradients vanish.
    noise = generator(1)
    return {
        n: (p + 0.05 * torch.randn(p.shape, generator=noise)).to(dtype) for n, p in theta.items()
    }


def in_double(episodes: Episode) -> Episode:
    return Episode(*(Points(*(tensor.double() for tensor in points)) for points in episodes))


def mean_of(prediction: Tensor | Gaussian) -> Tensor:
    return prediction.mean if isinstance(prediction, Gaussian) else prediction


def single(episodes: Episode, task: int) -> Episode:
    return Episode(*(Points(*(tensor[task] for tensor in points)) for points in episodes))


@pytest.mark.parametrize("name", [name for name in REGRESSION if name not in NOT_THE_GRADIENT])
def test_a_meta_gradient_agrees_with_finite_differences(name: str) -> None:
    learner = REGRESSION[name]
    theta = start_of(learner, dtype=torch.float64)
    episodes = in_double(SINE.sample(3, generator(2)))
    gradient, loss = learner.meta_gradient(theta, episodes, generator())
    assert loss == pytest.approx(float(query_losses(learner, theta, episodes).mean()), rel=1e-9)
    directions = generator(3)
    for _ in range(3):
        along = {
            n: torch.randn(p.shape, generator=directions, dtype=p.dtype) for n, p in theta.items()
        }
        step = 1e-5
        ahead, behind = (
            float(
                query_losses(
                    learner, {n: p + sign * step * along[n] for n, p in theta.items()}, episodes
                ).mean()
            )
            for sign in (1, -1)
        )
        slope = sum(float((gradient[n] * along[n]).sum()) for n in theta)
        assert slope == pytest.approx((ahead - behind) / (2 * step), rel=1e-5, abs=1e-7)


@each_regression
def test_the_meta_gradient_of_a_batch_is_the_mean_of_that_of_its_tasks(name: str) -> None:
    learner = REGRESSION[name]
    theta = start_of(learner, dtype=torch.float64)
    episodes = in_double(SINE.sample(4, generator(2)))
    batched, loss = learner.meta_gradient(theta, episodes, generator())
    one_by_one = [
        learner.meta_gradient(theta, episodes.tasks(slice(i, i + 1)), generator())
        for i in range(4)
    ]
    assert loss == pytest.approx(float(torch.stack([alone for _, alone in one_by_one]).mean()))
    for parameter, value in batched.items():
        looped = torch.stack([gradient[parameter] for gradient, _ in one_by_one]).mean(0)
        torch.testing.assert_close(value, looped, rtol=1e-8, atol=1e-10)


@each_regression
def test_what_is_recorded_computes_the_same_on_other_numbers(name: str) -> None:
    learner = REGRESSION[name]
    theta, other = start_of(learner), learner.initial(generator(9))

    def gradient(theta: Theta, episodes: Episode) -> tuple[Theta, Tensor]:
        return learner.meta_gradient(theta, episodes, generator())

    replay = traced(gradient, theta, SINE.sample(3, generator(2)))
    episodes = SINE.sample(3, generator(4))
    expected, loss = gradient(other, episodes)
    with torch.no_grad():
        replayed, replayed_loss = replay(other, episodes)
    torch.testing.assert_close(replayed_loss, loss, rtol=0, atol=0)
    torch.testing.assert_close(replayed, expected, rtol=0, atol=0)


@each_regression
def test_padding_of_a_support_set_changes_nothing(name: str) -> None:
    learner = REGRESSION[name]
    theta = start_of(learner)
    support, query = single(SINE.sample(1, generator(2)), 0)
    rows = torch.full((3, 1), 7.0)
    padded = Points(
        torch.cat([support.x, rows]),
        torch.cat([support.y, rows]),
        torch.cat([support.weight, torch.zeros(3)]),
    )
    expected = mean_of(learner.adapt(theta, support)(query.x))
    torch.testing.assert_close(
        mean_of(learner.adapt(theta, padded)(query.x)), expected, rtol=1e-4, atol=1e-5
    )


@each_regression
def test_an_empty_support_set_gives_finite_predictions_that_depend_on_theta_alone(
    name: str,
) -> None:
    learner = REGRESSION[name]
    theta = start_of(learner)
    x = torch.linspace(-5, 5, 7)[:, None]
    nothing = Points.of(torch.zeros(0, 1), torch.zeros(0, 1))
    unseen = Points(torch.ones(2, 1), torch.ones(2, 1), torch.zeros(2))
    expected = mean_of(learner.adapt(theta, nothing)(x))
    assert expected.isfinite().all()
    torch.testing.assert_close(mean_of(learner.adapt(theta, unseen)(x)), expected)


@each_regression
def test_one_trial_is_enough_to_adapt_to(name: str) -> None:
    learner = REGRESSION[name]
    theta = start_of(learner)
    x = torch.tensor([[1.0]])
    nothing = mean_of(learner.adapt(theta, Points.of(torch.zeros(0, 1), torch.zeros(0, 1)))(x))
    adapted = mean_of(learner.adapt(theta, Points.of([[1.0]], [[3.0]]))(x))
    assert adapted.isfinite().all()
    assert adapted != nothing


@each_regression
def test_the_order_of_the_support_matters_to_recurrent_learners_only(name: str) -> None:
    learner = REGRESSION[name]
    theta = start_of(learner)
    support, query = single(SINE.sample(1, generator(2)), 0)
    turned = Points(*(part.flip(0) for part in support))
    one, other = (mean_of(learner.adapt(theta, s)(query.x)) for s in (support, turned))
    assert torch.allclose(one, other, rtol=1e-3, atol=1e-5) == (name not in ORDERED)


@each_regression
def test_a_few_hundred_outer_steps_halve_the_loss_of_held_out_tasks(name: str) -> None:
    learner = REGRESSION[name]
    n_steps, rate = (1500, 1.0) if name == "reptile" else (300, 5e-3)
    make = torch.optim.SGD if name == "reptile" else torch.optim.Adam
    # Few steps of a small network: a narrow family of tasks.
    tasks = Sinusoids(10, 10, amplitudes=(4.0, 5.0), phases=(0.0, 0.5), inputs=(-3.0, 3.0))
    fit = meta_fit(
        learner,
        tasks,
        n_steps=n_steps,
        n_tasks=5,
        optimizer=partial(make, lr=rate),
    )
    held_out = tasks.sample(50, generator(77))
    judged = replace(learner, loss=squared_error)  # type: ignore[type-var]
    before, after = (
        float(query_losses(judged, theta, held_out).mean())
        for theta in (learner.initial(generator(0)), fit.theta)
    )
    assert after < 0.5 * before
    assert fit.n_skipped == 0


def test_first_order_maml_takes_the_gradient_at_the_adapted_parameters() -> None:
    learner = MAML(NETWORK, n_steps=2, step_size=0.1, first_order=True)
    theta = start_of(learner, dtype=torch.float64)
    episodes = in_double(SINE.sample(1, generator(2)))
    gradient, _ = learner.meta_gradient(theta, episodes, generator())
    support, query = single(episodes, 0)
    adapted = {n: p.clone().requires_grad_() for n, p in theta.items()}
    for _ in range(2):
        loss = squared_error(NETWORK(adapted, support.x), support)
        grads = torch.autograd.grad(loss, list(adapted.values()))
        adapted = {
            n: (p - 0.1 * g).detach().requires_grad_()
            for (n, p), g in zip(adapted.items(), grads, strict=True)
        }
    expected = torch.autograd.grad(
        squared_error(NETWORK(adapted, query.x), query), list(adapted.values())
    )
    for name, value in zip(theta, expected, strict=True):
        torch.testing.assert_close(gradient[name], value)


def test_the_second_order_of_maml_is_not_lost() -> None:
    theta = start_of(MAML(NETWORK), dtype=torch.float64)
    episodes = in_double(SINE.sample(3, generator(2)))
    second, first = (
        MAML(NETWORK, step_size=0.1, first_order=order).meta_gradient(
            theta, episodes, generator()
        )[0]["weight1"]
        for order in (False, True)
    )
    assert (second - first).norm() > 0.01 * second.norm()


def test_reptile_moves_towards_where_plain_training_ends() -> None:
    learner = Reptile(NETWORK, step_size=0.05, minibatch=8, n_epochs=2)
    theta = start_of(learner, dtype=torch.float64)
    episodes = in_double(SINE.sample(1, generator(2)))
    move, _ = learner.meta_gradient(theta, episodes, generator())
    support, query = single(episodes, 0)
    x, y = torch.cat([support.x, query.x]), torch.cat([support.y, query.y])
    trained = {n: p.clone().requires_grad_() for n, p in theta.items()}
    plain = torch.optim.SGD(trained.values(), lr=0.05)
    for _ in range(2):
        for batch in (slice(0, 8), slice(8, 16), slice(16, 20)):
            plain.zero_grad()
            ((NETWORK(trained, x[batch]) - y[batch]) ** 2).mean().backward()
            plain.step()
    for name in theta:
        torch.testing.assert_close(move[name], theta[name] - trained[name].detach())


def test_a_transformation_bends_the_inner_step_but_not_the_map() -> None:
    learner = TNet(NETWORK, n_steps=1, step_size=0.1)
    theta = learner.initial(generator())
    support, query = single(SINE.sample(1, generator(2)), 0)
    plain = MAML(NETWORK, step_size=0.1).adapt(theta, support)(query.x)
    torch.testing.assert_close(learner.adapt(theta, support)(query.x), plain)
    # T = c, W / c is the same map, whose step is c² times as long.
    c = 2.0
    bent = {
        n: p / c if n == "weight1" else p * c if n == "transform.weight1" else p
        for n, p in theta.items()
    }
    still = replace(learner, n_steps=0)
    torch.testing.assert_close(
        still.adapt(bent, support)(query.x), still.adapt(theta, support)(query.x)
    )
    assert not torch.allclose(learner.adapt(bent, support)(query.x), plain)


def test_meta_sgd_with_equal_rates_is_maml() -> None:
    support, query = single(SINE.sample(1, generator(2)), 0)
    theta = MetaSGD(NETWORK, n_steps=3, step_size=0.02).initial(generator())
    torch.testing.assert_close(
        MetaSGD(NETWORK, n_steps=3).adapt(theta, support)(query.x),
        MAML(NETWORK, n_steps=3, step_size=0.02).adapt(theta, support)(query.x),
    )


def test_a_prototype_is_the_mean_of_its_class_and_an_absent_class_lies_at_the_origin() -> None:
    identity = MLP((2, 2))
    theta = {"weight0": torch.eye(2), "bias0": torch.zeros(2)}
    support = Points.of([[0.0, 2.0], [0.0, 4.0]], [[1.0, 0.0], [1.0, 0.0]])
    logits = Prototypes(identity).adapt(theta, support)(torch.tensor([[1.0, 3.0]]))
    torch.testing.assert_close(logits, torch.tensor([[-1.0, -10.0]]))


def images_of(n: int, seed: int = 0) -> Tensor:
    return torch.rand(n, 64, generator=generator(seed))


CLASSIFIER = ConvNet(8, (4, 6), (1, 2), n_outputs=3)
LAST_LAYER = ("weight_out", "bias_out")


def test_an_untrained_conv_net_sees_what_is_where_and_not_its_contrast() -> None:
    network = replace(CLASSIFIER, n_outputs=None)
    theta = network.initial(generator())
    features = network(theta, images_of(5))
    assert features.shape == (5, 6 * 4 * 4)
    torch.testing.assert_close((features**2).sum(1), torch.full((5,), 8.0), rtol=1e-4, atol=0)
    torch.testing.assert_close(network(theta, 0.3 * images_of(5)), features, rtol=1e-3, atol=1e-4)
    shifted = images_of(5).view(5, 8, 8).roll(2, dims=2).flatten(1)
    assert not torch.allclose(network(theta, shifted), features, atol=0.1)


@pytest.mark.parametrize(
    "learner",
    [
        MAML(CLASSIFIER, cross_entropy, n_steps=2, step_size=0.3, zeroed=LAST_LAYER),
        Reptile(CLASSIFIER, cross_entropy, n_steps=2, step_size=0.3, zeroed=LAST_LAYER),
    ],
    ids=["maml", "reptile"],
)
def test_a_zeroed_last_layer_makes_no_class_the_first(learner: MAML | Reptile) -> None:
    theta = start_of(learner)
    support = Points.of(images_of(6), torch.eye(3).repeat(2, 1))
    order = torch.tensor([2, 0, 1])
    renamed = support._replace(y=support.y[:, order])
    x = images_of(4, seed=1)
    logits = learner.adapt(theta, support)(x)
    torch.testing.assert_close(learner.adapt(theta, renamed)(x), logits[:, order])
    assert not torch.allclose(
        replace(learner, zeroed=()).adapt(theta, renamed)(x),
        replace(learner, zeroed=()).adapt(theta, support)(x)[:, order],
    )
    batch = collate([Episode(support, support)])
    gradient, _ = learner.meta_gradient(theta, batch, generator())
    assert not any(gradient[name].any() for name in LAST_LAYER)
    assert gradient["weight0"].any()


def test_the_scale_of_a_ridge_head_multiplies_what_it_predicts_before_training() -> None:
    support, query = single(SINE.sample(1, generator(2)), 0)
    one, ten = (Ridge(NETWORK, squared_error, scale=scale) for scale in (1.0, 10.0))
    torch.testing.assert_close(
        ten.adapt(ten.initial(generator()), support)(query.x),
        10 * one.adapt(one.initial(generator()), support)(query.x),
    )


def test_the_ridge_head_solves_the_normal_equations() -> None:
    learner = Ridge(MLP((1, 8, 8)), loss=squared_error)
    theta = start_of(learner)
    support, query = single(SINE.sample(1, generator(2)), 0)

    def features(x: Tensor) -> np.ndarray:
        mapped = learner.network(theta, x)
        return torch.cat([mapped, torch.ones(len(x), 1)], 1).double().numpy()

    phi = features(support.x)
    ridge = math.exp(float(theta["log_ridge"])) * np.eye(9)
    head = np.linalg.solve(phi.T @ phi + ridge, phi.T @ support.y.numpy())
    expected = float(theta["scale"]) * features(query.x) @ head + float(theta["offset"])
    np.testing.assert_allclose(
        learner.adapt(theta, support)(query.x).numpy(), expected, rtol=1e-3, atol=1e-4
    )


def test_the_gaussian_process_predicts_as_scikit_learns() -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel

    identity = MLP((1, 2))
    theta = {
        "weight0": torch.tensor([[1.0, 0.0]]),  # the feature is x, the prior mean 0
        "bias0": torch.zeros(2),
        "log_variance": torch.tensor(0.7).log(),
        "log_noise": torch.tensor(0.1 - 1e-4).log(),
    }
    support, query = single(SINE.sample(1, generator(2)), 0)
    kernel = ConstantKernel(0.7) * RBF(1.0)
    model = GaussianProcessRegressor(kernel, alpha=0.1, optimizer=None)
    mean, spread = model.fit(support.x, support.y[:, 0]).predict(query.x, return_std=True)
    predicted = DeepKernelGP(identity).adapt(theta, support)(query.x)
    np.testing.assert_allclose(predicted.mean[:, 0], mean, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(predicted.variance[:, 0], spread**2 + 0.1, rtol=1e-3)


def test_bayesian_regression_knows_more_where_it_has_seen_more() -> None:
    learner = BayesianLinear(MLP((1, 8, 8)))
    theta = start_of(learner)
    x = torch.tensor([[0.5]])
    variances = [
        float(
            learner.adapt(theta, Points.of(torch.full((n, 1), 0.5), torch.ones(n, 1)))(x).variance
        )
        for n in (0, 1, 10, 1000)
    ]
    assert variances == sorted(variances, reverse=True)
    assert variances[-1] == pytest.approx(math.exp(float(theta["log_noise"])), rel=0.01)


def test_few_shot_classes_never_seen_in_training_are_told_apart() -> None:
    def blobs(seed: int, n_classes: int) -> list[Tensor]:
        # Classes differ in the first 2 of 8 features; the others are loud noise.
        drawn = generator(seed)
        centres = 4 * torch.randn(n_classes, 2, generator=drawn)
        return [
            torch.cat(
                [
                    centre + 0.3 * torch.randn(20, 2, generator=drawn),
                    5 * torch.randn(20, 6, generator=drawn),
                ],
                dim=1,
            )
            for centre in centres
        ]

    training, test = FewShotClasses(blobs(0, 40)), FewShotClasses(blobs(1, 20))
    episodes = test.sample(100, generator(5))
    for learner in (Prototypes(MLP((8, 32, 16))), Ridge(MLP((8, 32, 16)))):
        fit = meta_fit(learner, training, n_steps=200, n_tasks=8)
        logits = vmap(lambda e, a=learner, f=fit: a.adapt(f.theta, e.support)(e.query.x))(episodes)
        right = (logits.argmax(-1) == episodes.query.y.argmax(-1)).float().mean()
        nearest = torch.cdist(episodes.query.x, episodes.support.x).argmin(-1)
        by_pixels = (
            (episodes.support.y.argmax(-1).gather(1, nearest) == episodes.query.y.argmax(-1))
            .float()
            .mean()
        )
        assert right > by_pixels + 0.15


def test_the_same_seed_gives_the_same_meta_parameters() -> None:
    runs = [
        meta_fit(MAML(NETWORK), SINE, n_steps=5, n_tasks=4, seed=seed).theta for seed in (0, 0, 1)
    ]
    torch.testing.assert_close(runs[0], runs[1], rtol=0, atol=0)
    assert not torch.equal(runs[0]["weight1"], runs[2]["weight1"])


def test_a_run_that_was_stopped_goes_on_to_the_same_end(tmp_path: Path) -> None:
    settings = {"n_steps": 12, "n_tasks": 4, "checkpoint_every": 5}
    whole = meta_fit(MAML(NETWORK), SINE, **settings)  # type: ignore[arg-type]

    def stop(step: int, _: Tensor) -> None:
        if step == 8:
            raise KeyboardInterrupt

    path = tmp_path / "run.pt"
    with pytest.raises(KeyboardInterrupt):
        meta_fit(MAML(NETWORK), SINE, checkpoint=path, progress=stop, **settings)  # type: ignore[arg-type]
    steps: list[int] = []
    resumed = meta_fit(
        MAML(NETWORK),
        SINE,
        checkpoint=path,
        progress=lambda step, _: steps.append(step),
        **settings,  # type: ignore[arg-type]
    )
    assert steps[0] == 6
    torch.testing.assert_close(resumed.theta, whole.theta, rtol=0, atol=0)
    torch.testing.assert_close(resumed.losses, whole.losses, rtol=0, atol=0)


def test_the_checkpoint_of_another_run_is_not_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    meta_fit(MAML(NETWORK), SINE, n_steps=2, n_tasks=2, checkpoint=path)
    with pytest.raises(ValueError, match="checkpoint of another run"):
        meta_fit(MAML(NETWORK), SINE, n_steps=2, n_tasks=2, seed=1, checkpoint=path)
    with pytest.raises(ValueError, match="same learner"):
        meta_fit(MAML(MLP((1, 8, 1))), SINE, n_steps=2, n_tasks=2, checkpoint=path)


@dataclass(frozen=True)
class SometimesNaN:
    """Sine waves, whose targets are NaN at the steps that ``when`` names."""

    when: frozenset[int]
    n_steps: int

    def sample(
        self, n_tasks: int, generator: torch.Generator, *, progress: float = 1.0
    ) -> Episode:
        support, query = SINE.sample(n_tasks, generator)
        if round(progress * self.n_steps) in self.when:
            query = query._replace(y=torch.full_like(query.y, math.nan))
        return Episode(support, query)


def test_a_step_with_nan_losses_changes_nothing_and_is_counted() -> None:
    tasks = SometimesNaN(frozenset({3, 4}), n_steps=5)
    stopped = meta_fit(MAML(NETWORK), tasks, n_steps=5, n_tasks=2)
    assert stopped.n_skipped == 2
    assert stopped.losses.isnan().tolist() == [False, False, False, True, True]
    assert all(p.isfinite().all() for p in stopped.theta.values())
    before = meta_fit(MAML(NETWORK), SINE, n_steps=3, n_tasks=2)
    torch.testing.assert_close(stopped.theta, before.theta, rtol=0, atol=0)


def test_nothing_but_nan_losses_ends_in_one_error() -> None:
    n = MOST_SKIPPED + 1
    with pytest.raises(FloatingPointError, match="lower the learning rates"):
        meta_fit(
            MAML(MLP((1, 2, 1))),
            SometimesNaN(frozenset(range(n)), n_steps=n),
            n_steps=n,
            n_tasks=1,
        )


@pytest.mark.parametrize("wrong", [{"n_steps": 0}, {"n_steps": 1, "n_tasks": 0}])
def test_numbers_below_one_are_named(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected 1 or more"):
        meta_fit(MAML(NETWORK), SINE, **wrong)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Pool:
    """A pool of configurations whose regret is lowest at ``best`` of each of two families."""

    name: str
    family: str
    best: float

    def episode(self, generator: torch.Generator) -> Episode:
        x = torch.rand(40, 1, generator=generator)
        regret = (x - self.best).abs().clamp(max=1.0)
        return Episode(Points.of(x[:0], regret[:0]), Points.of(x, regret))


def test_a_proposer_trained_by_reward_beats_random_proposals_where_it_must_adapt() -> None:
    # The best is at one of two places; only the first trials tell which.
    pools = TaskSet([Pool("a", "a", 0.1), Pool("b", "b", 0.9)])
    learner = RL2(1, n_hidden=16, width=16, n_trials=4, n_studies=16)
    fit = meta_fit(
        learner, pools, n_steps=300, n_tasks=4, optimizer=partial(torch.optim.Adam, lr=5e-3)
    )
    test = pools.sample(40, generator(50)).query
    proposed, _, _ = learner.studies(fit.theta, test, generator=None, n_trials=4)
    last = proposed.min(-1).values.mean()
    untrained, _, _ = learner.studies(
        learner.initial(generator()), test, generator=generator(1), n_trials=4
    )
    assert last < 0.5 * untrained.min(-1).values.mean()


@pytest.mark.parametrize("n_known", [0, 3])
def test_a_proposer_adapts_as_it_does_in_its_studies_and_tries_nothing_twice(
    n_known: int,
) -> None:
    learner = RL2(1, n_known=n_known, n_hidden=8, width=8)
    theta = start_of(learner)
    pool = collate([Pool("a", "a", 0.3).episode(generator(4))]).query
    known = torch.rand(1, 40, n_known, generator=generator(5))
    pool = pool._replace(x=torch.cat([pool.x, known], dim=-1))
    regrets, _, _ = learner.studies(theta, pool, generator=None, n_trials=40)
    assert sorted(regrets.flatten().tolist()) == sorted(pool.y.flatten().tolist())
    x, y = pool.x[0], pool.y[0]
    tried: list[int] = []
    for t in range(5):
        scores = learner.adapt(theta, Points.of(x[tried], y[tried]))(x)[:, 0].clone()
        scores[tried] = -torch.inf
        tried.append(int(scores.argmax()))
        assert y[tried[-1], 0] == regrets[0, 0, t]
    with pytest.raises(ValueError, match="Pool of 40"):
        learner.studies(theta, pool, generator=None, n_trials=41)


def test_before_training_a_proposer_that_knows_tasks_is_their_greedy_portfolio() -> None:
    known = torch.rand(40, 6, generator=generator(1))
    learner = RL2(1, n_known=6, n_heads=1)
    theta = start_of(learner)
    theta |= {"score": torch.zeros_like(theta["score"]), "sharpness": torch.tensor([-30.0])}
    chosen = greedy_choice(known.T.numpy(), size=5)
    x = torch.cat([torch.rand(40, 1, generator=generator(2)), known], dim=1)
    order = torch.full((40,), 1.0)
    order[chosen] = torch.arange(1.0, 6.0) / 6  # so that regrets tell which was proposed
    pool = Points(*(part[None] for part in Points.of(x, order)))
    regrets, _, _ = learner.studies(theta, pool, generator=None, n_trials=5)
    assert regrets[0, 0].tolist() == order[chosen].tolist()


def test_a_proposer_believes_the_task_that_explains_its_trials_and_none_that_says_nothing() -> (
    None
):
    x = torch.linspace(0.0, 1.0, 41)
    alike, unlike, silent = (x - 0.8).abs(), (x - 0.2).abs(), torch.ones(41)
    rows = torch.stack([x, alike, unlike, silent], dim=1)
    learner = RL2(1, n_known=3, n_heads=1)
    theta = start_of(learner)
    theta |= {"score": torch.zeros_like(theta["score"]), "sharpness": torch.tensor([20.0])}
    tried = rows[[4, 20, 26]]
    scores = learner.adapt(theta, Points.of(tried, 1000.0 + 7.0 * tried[:, 1]))(rows)
    assert x[int(scores.argmax())] == pytest.approx(0.8)
    other = learner.adapt(theta, Points.of(tried, 1000.0 + 7.0 * tried[:, 2]))(rows)
    assert x[int(other.argmax())] == pytest.approx(0.2)


def test_no_parameter_of_a_proposer_is_without_effect_on_what_it_proposes() -> None:
    learner = RL2(2, n_known=3, n_hidden=6, width=6)
    theta = {name: p.clone().requires_grad_() for name, p in start_of(learner).items()}
    x = torch.rand(1, 12, 5, generator=generator(1))
    pool = Points(x, torch.rand(1, 12, 1, generator=generator(2)), torch.ones(1, 12))
    _, chances, _ = learner.studies(theta, pool, generator=generator(3), n_trials=5)
    slopes = torch.autograd.grad(chances[0, 0].sum(), list(theta.values()))
    for name, slope in zip(theta, slopes, strict=True):
        assert float(slope.abs().max()) > 1e-6, name


def test_classes_are_scored_as_cross_entropy() -> None:
    points = Points.of([[0.0]] * 2, [[1.0, 0.0], [0.0, 1.0]])
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    expected = (math.log(1 + math.exp(-2)) + math.log(2)) / 2
    assert float(cross_entropy(logits, points)) == pytest.approx(expected)
