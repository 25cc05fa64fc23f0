from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from quadratic_tasks import ENCODING, SPACE, Task, alike, family, history, learned
from scipy.special import ndtri
from scipy.stats import multivariate_normal
from sklearn.gaussian_process.kernels import Matern

from warmstart.learning import learn_prior
from warmstart.posterior import (
    COMPONENTS,
    Candidates,
    Component,
    Posterior,
    Trials,
    first_improvement,
    fit_own_lengthscales,
    portfolio_improvement,
)
from warmstart.prior import Prior
from warmstart.regret import EPSILON, from_log_regret

# With noise, the small jitter that keeps matrices regular is too small to be seen.
PRIOR = replace(learned(), noise=0.2, agreement=0.3)
NEW_TASK = family(20, seed=3)[13]
OWN = np.array([0.4, 1.0, 2.0, 0.8])
ALONE = (
    Component(0.0, 0.5, 0.05, 0.6),
    Component(0.0, 1.5, 0.15, 0.4, "usual", 0.5),
    Component(0.0, 0.5, 0.05, 0.3, "own"),
)
TRANSFERRED = (Component(1.0, 0.05, 0.03, 0.7), Component(0.5, 0.2, 0.3, 0.3))


def trials_at(
    prior: Prior, coordinates: np.ndarray, losses: np.ndarray, *, pending: int = 0
) -> Trials:
    """Trials at these coordinates; the last ``pending`` ones run."""
    features = prior.encoding.features(coordinates)
    log_regrets = prior.log_regrets(prior.scale(features))
    return Trials(features, log_regrets, losses[: len(losses) - pending])


def some_trials(n: int = 12, *, seed: int = 0, pending: int = 0, prior: Prior = PRIOR) -> Trials:
    coordinates = ENCODING.sample(n, np.random.default_rng(seed))
    return trials_at(prior, coordinates, NEW_TASK.losses(coordinates), pending=pending)


def candidates(n: int = 30, *, prior: Prior = PRIOR) -> tuple[np.ndarray, np.ndarray]:
    trials = some_trials(n, seed=99, prior=prior)
    return trials.features, trials.log_regrets


@dataclass
class Naive:
    """The mixture written down without any thought of speed: formulas of the module's docstring.

    Attributes:
        shares: Of the components.
        expected: Improvement in regret over the mixture's components, ``(M,)``.
    """

    shares: np.ndarray
    expected: np.ndarray


def naive(
    trials: Trials, components: tuple[Component, ...], E: np.ndarray, g: np.ndarray
) -> Naive:
    weights = alike(PRIOR)
    columns = ENCODING.column_of
    scales = {"learned": PRIOR.lengthscales[columns], "usual": 0.6, "own": OWN[columns]}
    n_finished, n = len(trials.losses), len(trials.features)
    every_E = np.concatenate([trials.features, E])
    every_g = np.concatenate([trials.log_regrets, g])
    losses = np.append(trials.losses, np.full(n - n_finished, np.median(trials.losses)))
    spread = np.ptp(trials.losses)
    quantiles = ndtri((np.arange(4000) + 0.5) / 4000)

    log_weights, gains = [], []
    for component in components:
        scaled = every_E / scales[component.lengthscales] / component.stretch
        K = component.smooth * Matern(nu=2.5)(scaled) + component.rough * Matern(nu=2.5)(
            scaled / 0.2
        )
        if component.transfer:
            mean = every_g @ weights
            deviation = every_g - mean[:, None]
            K += component.transfer * deviation @ np.diag(weights) @ deviation.T
        else:
            mean = np.full(len(every_E), -1.0)
            K += 4.0
        noisy = K[:n, :n] + 0.05 * min(PRIOR.noise, 0.1) * np.eye(n)
        gain = K[n:, :n] @ np.linalg.inv(noisy)
        sd = np.sqrt(np.diag(K[n:, n:] - gain @ K[:n, n:]))
        told = slice(0, n_finished)
        normal = multivariate_normal(mean[told], noisy[told, told])
        for below in (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0):
            for extent in (0.5, 1.0, 2.0, 4.0, 10.0, 30.0):
                a, b = trials.losses.min() - below * spread, extent * spread
                z = np.log((losses - a) / b + EPSILON)
                # The density of the losses, not of z: dz/dloss = 1 / (b * exp(z)).
                jacobian = -(z[told] + np.log(b)).sum()
                trust = PRIOR.trust if component.transfer else 1.0
                log_weights.append(
                    np.log(component.share * trust) + normal.logpdf(z[told]) + jacobian
                )
                drawn = (mean[n:] + gain @ (z - mean[:n]))[:, None] + sd[:, None] * quantiles
                better = np.exp(z[told].min()) - np.exp(drawn)
                gains.append(np.maximum(better, 0.0).mean(axis=1))
    posterior = np.exp(np.array(log_weights) - max(log_weights))
    posterior /= posterior.sum()
    shares = posterior.reshape(len(components), -1).sum(axis=1)
    return Naive(shares, posterior @ np.array(gains))


@pytest.mark.parametrize("components", [ALONE, TRANSFERRED, (*ALONE, *TRANSFERRED)])
@pytest.mark.parametrize("pending", [0, 3])
def test_shares_are_those_of_the_naive_mixture(
    components: tuple[Component, ...], pending: int
) -> None:
    trials = some_trials(12, pending=pending)
    posterior = Posterior(PRIOR, alike(PRIOR), trials, own_lengthscales=OWN, components=components)
    expected = naive(trials, components, *candidates(1)).shares
    assert posterior.shares == pytest.approx(expected, rel=2e-3, abs=1e-6)


@pytest.mark.parametrize("components", [*((c,) for c in ALONE), *((c,) for c in TRANSFERRED)])
@pytest.mark.parametrize("pending", [0, 3])
def test_expected_improvement_is_that_of_sampling_from_the_naive_mixture(
    components: tuple[Component, ...], pending: int
) -> None:
    trials = some_trials(30, pending=pending)
    E, g = candidates()
    posterior = Posterior(PRIOR, alike(PRIOR), trials, own_lengthscales=OWN, components=components)
    expected = (1 - posterior.portfolio_share) * naive(trials, components, E, g).expected
    expected += posterior.portfolio_share * portfolio_improvement(
        from_log_regret(g), trials.log_regrets, posterior.task_weights
    )
    # What weighs next to nothing in the mixture may be left out.
    assert posterior.improvement(E, g) == pytest.approx(
        expected, rel=0.08, abs=0.01 * expected.max()
    )


def test_weights_of_source_tasks_are_their_likelihoods_as_the_only_one_alike() -> None:
    trials = some_trials(6)
    posterior = Posterior(PRIOR, alike(PRIOR), trials)
    scaled = PRIOR.scale(trials.features)
    K = 0.3 * Matern(nu=2.5)(scaled) + (PRIOR.noise + 0.01) * np.eye(6)
    spread = np.ptp(trials.losses)
    likelihoods = np.zeros(8)
    for below in (0.0, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0):
        for extent in (0.5, 1.0, 2.0, 4.0, 10.0, 30.0):
            a, b = trials.losses.min() - below * spread, extent * spread
            z = np.log((trials.losses - a) / b + EPSILON)
            density = multivariate_normal(np.zeros(6), K)
            likelihoods += [
                np.exp(density.logpdf(z - trials.log_regrets[:, t]) - (z + np.log(b)).sum())
                for t in range(8)
            ]
    expected = likelihoods / likelihoods.sum()
    assert posterior.task_weights == pytest.approx(expected, rel=2e-3, abs=1e-6)


@pytest.mark.parametrize("t", range(4))
def test_the_source_task_that_the_trials_come_from_gains_weight(t: int) -> None:
    centres = ((0.1, 0.1, 0.1), (0.9, 0.1, 0.9), (0.1, 0.9, 0.9), (0.9, 0.9, 0.1))
    tasks = [Task(centre) for centre in centres]
    given = [history(task, str(i), seed=i) for i, task in enumerate(tasks)]
    prior = learn_prior("bowl", SPACE, given, n_inducing=120)
    coordinates = ENCODING.sample(5, np.random.default_rng(1))
    trials = trials_at(prior, coordinates, tasks[t].losses(coordinates))
    weights = Posterior(prior, alike(prior), trials).task_weights
    assert weights.sum() == pytest.approx(1.0)
    assert weights[t] > 0.9


def test_two_trials_do_not_tell_source_tasks_apart() -> None:
    weights = Posterior(PRIOR, alike(PRIOR), some_trials(2)).task_weights
    assert weights == pytest.approx(alike(PRIOR))


@given(st.floats(1e-6, 1e6), st.floats(-100, 100))
@settings(max_examples=20)
def test_units_of_the_loss_do_not_matter(factor: float, shift: float) -> None:
    trials = some_trials(10)
    scaled = replace(trials, losses=factor * (trials.losses + shift))
    a, b = (Posterior(PRIOR, alike(PRIOR), seen) for seen in (trials, scaled))
    assert a.shares == pytest.approx(b.shares, rel=1e-4, abs=1e-8)
    one, other = a.improvement(*candidates()), b.improvement(*candidates())
    assert one == pytest.approx(other, rel=1e-3, abs=1e-4 * one.max())


@given(st.permutations(range(10)))
@settings(max_examples=10)
def test_the_order_of_trials_does_not_matter(order: list[int]) -> None:
    trials = some_trials(10)
    shuffled = Trials(trials.features[order], trials.log_regrets[order], trials.losses[order])
    a, b = (Posterior(PRIOR, alike(PRIOR), seen) for seen in (trials, shuffled))
    assert a.task_weights == pytest.approx(b.task_weights, rel=1e-4, abs=1e-8)
    one, other = a.improvement(*candidates()), b.improvement(*candidates())
    assert one == pytest.approx(other, rel=1e-4, abs=1e-5 * one.max())


def test_the_order_of_source_tasks_does_not_matter() -> None:
    order = np.array([3, 1, 7, 0, 2, 6, 5, 4])
    trials = some_trials(10)
    E, g = candidates()
    weights = np.arange(1.0, 9.0) / 36
    a = Posterior(PRIOR, weights, trials)
    b = Posterior(PRIOR, weights[order], replace(trials, log_regrets=trials.log_regrets[:, order]))
    assert a.task_weights[order] == pytest.approx(b.task_weights, rel=1e-4)
    assert a.improvement(E, g) == pytest.approx(b.improvement(E, g[:, order]), rel=1e-4)


def test_candidates_are_judged_each_alone() -> None:
    posterior = Posterior(PRIOR, alike(PRIOR), some_trials(10))
    E, g = candidates()
    together = posterior.improvement(E, g)
    assert posterior.improvement(E[4:5], g[4:5])[0] == pytest.approx(together[4], rel=1e-4)
    assert posterior.improvement(E[:0], g[:0]).shape == (0,)


def test_a_belief_cut_in_two_counts_as_before() -> None:
    whole, rest = ALONE[0], TRANSFERRED[0]
    halves = (replace(whole, share=0.2), replace(whole, share=0.4), rest)
    a = Posterior(PRIOR, alike(PRIOR), some_trials(8), components=(whole, rest))
    b = Posterior(PRIOR, alike(PRIOR), some_trials(8), components=halves)
    assert b.shares[0] / b.shares[1] == pytest.approx(0.5)
    assert b.shares[:2].sum() == pytest.approx(a.shares[0], rel=1e-6)
    assert b.transfer_share == pytest.approx(a.transfer_share, rel=1e-6)


def test_sources_that_explain_the_trials_keep_their_say_and_misleading_ones_lose_it() -> None:
    coordinates = ENCODING.sample(25, np.random.default_rng(2))
    losses = NEW_TASK.losses(coordinates)
    noise = np.random.default_rng(3).permutation(losses)
    prior = learned()
    shares = [
        Posterior(prior, alike(prior), trials_at(prior, coordinates, seen)).transfer_share
        for seen in (losses, -losses, noise)
    ]
    assert shares[0] > 0.6
    assert max(shares[1:]) < 0.2


def test_the_first_choices_are_the_portfolios_and_later_ones_are_not() -> None:
    shares = [
        Posterior(PRIOR, alike(PRIOR), some_trials(n)).portfolio_share for n in (1, 2, 5, 10, 40)
    ]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.9
    assert shares[-1] < 0.02


def test_without_belief_in_the_sources_the_portfolio_has_no_say() -> None:
    posterior = Posterior(PRIOR, alike(PRIOR), some_trials(2), components=ALONE[:1])
    assert posterior.transfer_share == 0.0
    assert posterior.portfolio_share == 0.0


def test_what_needs_the_tasks_own_lengthscales_is_left_out_without_them() -> None:
    n_own = sum(c.lengthscales == "own" for c in COMPONENTS)
    without = Posterior(PRIOR, alike(PRIOR), some_trials(12))
    fitted = Posterior(PRIOR, alike(PRIOR), some_trials(12), own_lengthscales=OWN)
    assert (len(without.shares), len(fitted.shares)) == (len(COMPONENTS) - n_own, len(COMPONENTS))
    assert without.shares.sum() == pytest.approx(1.0)


def test_little_is_gained_next_to_a_trial_that_runs() -> None:
    coordinates = ENCODING.sample(12, np.random.default_rng(0))
    losses = NEW_TASK.losses(coordinates)
    finished = trials_at(PRIOR, coordinates[:11], losses[:11])
    E, g = candidates()
    components = ALONE[:1]
    before = Posterior(PRIOR, alike(PRIOR), finished, components=components)
    best = int(before.improvement(E, g).argmax())
    running = Trials(
        np.concatenate([finished.features, E[best : best + 1]]),
        np.concatenate([finished.log_regrets, g[best : best + 1]]),
        finished.losses,
    )
    after = Posterior(PRIOR, alike(PRIOR), running, components=components)
    gained = before.improvement(E, g)[best], after.improvement(E, g)[best]
    assert gained[1] < 0.25 * gained[0]
    assert after.shares == pytest.approx(before.shares)  # what runs is no evidence


def test_the_best_configuration_so_far_promises_little() -> None:
    prior = learned()
    trials = some_trials(20, prior=prior)
    best = int(trials.losses.argmin())
    posterior = Posterior(prior, alike(prior), trials, components=ALONE[:1])
    again = posterior.improvement(trials.features, trials.log_regrets)
    assert again[best] < 0.3 * posterior.improvement(*candidates(prior=prior)).max()


def test_a_diverged_trial_does_not_set_the_scale() -> None:
    trials = some_trials(10)
    diverged = [
        replace(trials, losses=np.append(trials.losses[:-1], loss)) for loss in (1e8, 1e12)
    ]
    a, b = (Posterior(PRIOR, alike(PRIOR), seen).improvement(*candidates()) for seen in diverged)
    assert a == pytest.approx(b, rel=1e-9)


@given(hnp.arrays(float, st.integers(1, 8), elements=st.floats(-1e100, 1e100)))
@example(np.array([0.0, 5e-324]))  # a spread whose shares are 0
@settings(max_examples=60)
def test_any_losses_give_finite_answers(losses: np.ndarray) -> None:
    trials = some_trials(len(losses))
    posterior = Posterior(PRIOR, alike(PRIOR), replace(trials, losses=losses))
    improvement = posterior.improvement(*candidates())
    assert np.isfinite(improvement).all()
    assert improvement.min() >= -1e-9
    assert posterior.shares.sum() == pytest.approx(1.0)
    assert posterior.task_weights.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("noise", [1e-4, 1.0])
def test_one_configuration_over_and_over_is_no_obstacle(noise: float) -> None:
    prior = replace(PRIOR, noise=noise)
    coordinates = np.repeat(ENCODING.sample(2, np.random.default_rng(0)), 30, axis=0)
    losses = np.random.default_rng(1).normal(size=60)
    trials = trials_at(prior, coordinates, losses)
    improvement = Posterior(prior, alike(prior), trials).improvement(*candidates(prior=prior))
    assert np.isfinite(improvement).all()


def test_without_source_tasks_the_trials_alone_are_believed() -> None:
    nobody = PRIOR.without(range(8))
    posterior = Posterior(nobody, np.empty(0), some_trials(10, prior=nobody))
    E, g = candidates(prior=nobody)
    improvement = posterior.improvement(E, g)
    assert posterior.transfer_share == 0.0
    assert improvement.max() > 0
    with_sources = Posterior(
        PRIOR,
        alike(PRIOR),
        some_trials(10),
        components=tuple(c for c in COMPONENTS if not c.transfer),
    )
    assert improvement == pytest.approx(with_sources.improvement(*candidates()), rel=1e-4)


def test_what_the_portfolio_promises_is_the_weighted_gain_over_what_was_tried() -> None:
    rng = np.random.default_rng(0)
    g, tried = rng.normal(-1, 1, (5, 3)), rng.normal(-1, 1, (2, 3))
    weights = np.array([0.5, 0.3, 0.2])
    expected = [
        sum(
            w * max(min(from_log_regret(tried[:, t])) - from_log_regret(g[m, t]), 0)
            for t, w in enumerate(weights)
        )
        for m in range(5)
    ]
    assert portfolio_improvement(from_log_regret(g), tried, weights) == pytest.approx(
        np.array(expected)
    )


def test_with_nothing_tried_the_portfolio_starts_with_the_lowest_expected_regret() -> None:
    g = np.log(np.array([[0.1, 0.9], [0.4, 0.3]]) + EPSILON)
    first = portfolio_improvement(from_log_regret(g), np.empty((0, 2)), np.array([0.5, 0.5]))
    assert first == pytest.approx([0.5, 0.65])


def test_the_first_choice_is_good_on_most_tasks_rather_than_never_bad() -> None:
    log_regrets = np.log(np.array([[0.01, 0.01, 0.9], [0.3, 0.3, 0.3]]) + EPSILON)
    candidates = Candidates(np.zeros((2, 1)), log_regrets, np.full(3, 1 / 3))
    nothing = np.empty((0, 3))
    assert first_improvement(candidates, nothing, np.full(3, 1 / 3)).argmax() == 0
    assert portfolio_improvement(candidates.regrets, nothing, np.full(3, 1 / 3)).argmax() == 1


def test_with_trials_that_run_the_choice_adds_to_them() -> None:
    log_regrets = np.log(np.array([[0.0, 0.9], [0.5, 0.0]]) + EPSILON)
    candidates = Candidates(np.zeros((2, 1)), log_regrets, np.array([0.9, 0.1]))
    assert first_improvement(candidates, log_regrets[:1], np.array([0.9, 0.1])).argmax() == 1


def test_what_nobody_tried_is_expected_to_be_worse() -> None:
    log_regrets = np.log(np.array([[0.2, 0.2], [0.2, 0.2]]) + EPSILON)
    candidates = Candidates(
        np.zeros((2, 1)), log_regrets, np.array([0.5, 0.5]), np.array([0.0, 0.8])
    )
    assert candidates.regrets[0] == pytest.approx([0.2, 0.2])
    assert candidates.regrets[1] == pytest.approx(0.25 * np.exp(0.4) - EPSILON)
    assert first_improvement(candidates, np.empty((0, 2)), np.array([0.5, 0.5])).argmax() == 0


def test_own_lengthscales_tell_what_matters_to_this_task() -> None:
    coordinates = ENCODING.sample(40, np.random.default_rng(0))
    rate, depth = (coordinates[:, ENCODING.names.index(name)] for name in ("rate", "depth"))
    fitted = fit_own_lengthscales(PRIOR, trials_at(PRIOR, coordinates, np.sin(5 * rate)))
    assert fitted is not None
    by_name = dict(zip(ENCODING.names, fitted, strict=True))
    assert by_name["rate"] < 0.5 * by_name["depth"]
    other = fit_own_lengthscales(PRIOR, trials_at(PRIOR, coordinates, np.sin(5 * depth)))
    assert other is not None
    by_name = dict(zip(ENCODING.names, other, strict=True))
    assert by_name["depth"] < 0.5 * by_name["rate"]


def test_trials_that_are_all_alike_have_no_lengthscales() -> None:
    trials = some_trials(12)
    assert fit_own_lengthscales(PRIOR, replace(trials, losses=np.ones(12))) is None
