from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from quadratic_tasks import ENCODING, SPACE, Task, history
from scipy.stats import multivariate_normal
from sklearn.gaussian_process.kernels import Matern

from warmstart.learning import AlignedHistory, learn_prior
from warmstart.own_parts import (
    OWN_NOISES,
    TaskTrials,
    foretelling,
    sample_trials,
    with_own_noise,
)
from warmstart.posterior import COMPONENTS, trial_noise
from warmstart.prior import Prior
from warmstart.regret import log_regret, regret


def bowls(n_tasks: int) -> list[Task]:
    """Tasks whose optima lie anywhere."""
    rng = np.random.default_rng(0)
    return [Task(centre=tuple(rng.random(3))) for _ in range(n_tasks)]


def noisy(n_tasks: int, noise: float, *, n: int = 60) -> list[AlignedHistory]:
    """Bowls, measured with noise; ``noise`` is in standard deviations of each one's losses."""
    rng = np.random.default_rng(1)
    made = []
    for i, task in enumerate(bowls(n_tasks)):
        exact = history(task, f"task-{i}", n=n, seed=i)
        errors = noise * exact.losses.std() * rng.normal(size=n)
        made.append(replace(exact, losses=exact.losses + errors))
    return made


def trials_of(prior: Prior, histories: list[AlignedHistory]) -> list[TaskTrials]:
    by_id = {one.task.id: one for one in histories}
    return [
        TaskTrials(
            t,
            ENCODING.features(by_id[task.id].coordinates),
            log_regret(regret(by_id[task.id].losses)),
        )
        for t, task in enumerate(prior.tasks)
    ]


def test_more_is_smoothed_away_where_losses_were_measured_with_noise() -> None:
    exact = learn_prior("bowl", SPACE, noisy(12, 0.0), n_inducing=120)
    measured = learn_prior("bowl", SPACE, noisy(12, 0.5), n_inducing=120)
    assert exact.own_noise < measured.own_noise


def test_the_noise_that_is_kept_foretells_best() -> None:
    histories = noisy(12, 0.3)
    prior = learn_prior("bowl", SPACE, histories, n_inducing=120)
    trials = sample_trials(trials_of(prior, histories), np.random.default_rng(0))
    kept = with_own_noise(prior, trials)
    scores = {n: foretelling(replace(prior, own_noise=n), trials) for n in OWN_NOISES}
    assert scores[kept.own_noise] == max(scores.values())
    assert min(scores.values()) < max(scores.values())


def test_what_is_common_to_all_tasks_is_not_smoothed() -> None:
    prior = replace(learn_prior("bowl", SPACE, noisy(12, 0.5), n_inducing=120), own_noise=0.0)
    smoothed = replace(prior, own_noise=3.0)
    at = prior.scale(ENCODING.features(ENCODING.sample(50, np.random.default_rng(3))))
    before, after = prior.log_regrets(at), smoothed.log_regrets(at)
    assert after.mean(axis=1) == pytest.approx(before.mean(axis=1))
    assert after.std(axis=1).mean() < before.std(axis=1).mean()


def test_few_families_say_nothing_of_noise() -> None:
    histories = noisy(4, 0.5)
    prior = learn_prior("bowl", SPACE, histories, n_inducing=120)
    trials = trials_of(prior, histories)
    assert prior.own_noise == 0
    assert with_own_noise(replace(prior, own_noise=0.1), trials).own_noise == 0.1


def test_foretelling_is_the_likelihood_of_the_mixture_without_the_tasks_own_family() -> None:
    histories = noisy(6, 0.2)
    prior = learn_prior("bowl", SPACE, histories, n_inducing=120)
    (trials,) = sample_trials([trials_of(prior, histories)[2]], np.random.default_rng(0), n_each=9)
    scaled = prior.scale(trials.features)
    told = np.delete(prior.log_regrets(scaled), 2, axis=1)
    transferred = [c for c in COMPONENTS if c.transfer]
    densities = []
    for c in transferred:
        K = c.transfer * np.cov(told, ddof=0) + 4.0
        K += c.smooth * Matern(nu=2.5)(scaled) + c.rough * Matern(0.2, nu=2.5)(scaled)
        K += (trial_noise(prior) + 1e-6) * np.eye(9)
        densities.append(c.share * multivariate_normal(told.mean(1), K).pdf(trials.log_regrets))
    constant = 9 / 2 * np.log(2 * np.pi)
    expected = np.log(sum(densities)) + constant
    assert foretelling(prior, [trials]) == pytest.approx(expected, rel=1e-6)


def test_the_draw_of_trials_is_bounded_and_the_same_with_the_same_seed() -> None:
    rng = np.random.default_rng(0)
    tasks = [TaskTrials(t, rng.random((50, 3)), rng.random(50)) for t in range(130)]
    a, b = (sample_trials(tasks, np.random.default_rng(5)) for _ in range(2))
    assert len(a) == 100
    assert {len(one.log_regrets) for one in a} == {30}
    assert all((x.features == y.features).all() for x, y in zip(a, b, strict=True))
