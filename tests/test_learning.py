from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from quadratic_tasks import ENCODING, SPACE, Task, family, histories, history, learned
from scipy.optimize import approx_fprime
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern, WhiteKernel

from warmstart import lengthscales as module
from warmstart.descriptor import TaskDescriptor
from warmstart.errors import HistoryError
from warmstart.learning import AlignedHistory, extend_prior, greedy_portfolio, learn_prior
from warmstart.lengthscales import fit_lengthscales
from warmstart.prior import SourceTask


def gaussian_process_tasks(
    lengthscales: list[float], noise: float, *, n_tasks: int = 4, n: int = 60
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draws from Gaussian processes that share their lengthscales but not their units."""
    rng = np.random.default_rng(2)
    tasks = []
    for _ in range(n_tasks):
        E = rng.random((n, len(lengthscales)))
        K = Matern(length_scale=lengthscales, nu=2.5)(E) + noise * np.eye(n)
        y = np.linalg.cholesky(K) @ rng.normal(size=n)
        tasks.append((E, (y - y.mean()) / y.std()))
    return tasks


def objective(at: np.ndarray, tasks: list[tuple[np.ndarray, np.ndarray]]) -> float:
    columns = np.arange(len(at) - 1)
    return module._negative_log_posterior(at, tasks, columns)[0]


def test_the_objective_is_scikit_learns_likelihood_at_its_best_signal_variance() -> None:
    tasks = gaussian_process_tasks([0.4, 1.5], 0.05, n_tasks=1, n=30)
    E, y = tasks[0]

    def expected(at: np.ndarray) -> float:
        kernel = Matern(length_scale=np.exp(at[:2]), nu=2.5) + WhiteKernel(np.exp(at[2]))
        model = GaussianProcessRegressor(kernel, alpha=0.0, optimizer=None).fit(E, y)
        K = kernel(E)
        variance = y @ np.linalg.solve(K, y) / len(y)
        # N(0, s K) has the likelihood of N(0, K) for y / sqrt(s), less the volume.
        model = GaussianProcessRegressor(kernel, alpha=0.0, optimizer=None)
        model.fit(E, y / np.sqrt(variance))
        likelihood = model.log_marginal_likelihood_value_ - len(y) / 2 * np.log(variance)
        prior = -0.5 * ((at[:2] - np.log(0.7)) ** 2).sum()
        return float(-likelihood - prior)

    a, b = np.log([0.4, 1.5, 0.05]), np.log([0.9, 0.2, 0.3])
    difference = objective(a, tasks) - objective(b, tasks)
    assert difference == pytest.approx(expected(a) - expected(b), rel=1e-6)


@pytest.mark.parametrize("at", [[0.4, 1.5, 2.0, 0.05], [0.1, 0.3, 5.0, 0.6]])
def test_the_gradient_is_that_of_finite_differences(at: list[float]) -> None:
    tasks = gaussian_process_tasks([0.4, 1.5, 1.0], 0.05, n_tasks=2, n=25)
    point = np.log(at)
    gradient = module._negative_log_posterior(point, tasks, np.arange(3))[1]
    expected = approx_fprime(point, objective, 1e-6, tasks)
    assert gradient == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_the_gradient_of_a_category_sums_over_its_columns() -> None:
    rng = np.random.default_rng(4)
    E = rng.random((25, 4))
    tasks = [(E, rng.normal(size=25))]
    column_of = np.array([0, 1, 1, 1])
    point = np.log([0.5, 0.9, 0.1])
    _, gradient = module._negative_log_posterior(point, tasks, column_of)
    expected = approx_fprime(
        point, lambda at: module._negative_log_posterior(at, tasks, column_of)[0], 1e-6
    )
    assert gradient == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_lengthscales_and_noise_of_drawn_tasks_are_found_again() -> None:
    truth = [0.3, 1.0, 20.0]
    fitted, noise = fit_lengthscales(gaussian_process_tasks(truth, 0.1), np.arange(3))
    assert fitted[:2] == pytest.approx(truth[:2], rel=0.4)
    assert fitted[2] > 2.0
    assert 0.03 < noise < 0.3


def test_a_hyperparameter_without_influence_gets_a_long_lengthscale() -> None:
    rng = np.random.default_rng(0)
    E = rng.random((60, 2))
    y = np.sin(6 * E[:, 0])
    fitted, noise = fit_lengthscales([(E, (y - y.mean()) / y.std())], np.arange(2))
    assert fitted[1] > 4 * fitted[0]
    assert noise < 0.01


def test_learning_is_the_same_in_another_process_with_the_same_seed() -> None:
    code = (
        "from quadratic_tasks import learned; p = learned()\n"
        "print(repr(float(p.values.sum())), repr(float(p.lengthscales.sum())), p.noise)"
    )
    here = Path(__file__).parent
    run = [sys.executable, "-c", code]
    other = subprocess.run(run, cwd=here, capture_output=True, text=True, check=True).stdout
    prior = learned()
    sums = (float(prior.values.sum()), float(prior.lengthscales.sum()), prior.noise)
    assert [float(x) for x in other.split()] == pytest.approx(sums, rel=1e-12)


def test_another_seed_draws_other_inducing_configurations() -> None:
    given = histories(2)
    a, b = (learn_prior("bowl", SPACE, given, n_inducing=20, seed=s) for s in (0, 1))
    assert not np.array_equal(a.inducing, b.inducing, equal_nan=True)


def test_each_task_proposes_its_best_configurations() -> None:
    prior = learned()
    for t, given in enumerate(histories()):
        own = prior.proposals[prior.proposed_by == t]
        best = given.coordinates[np.argsort(given.losses)[: len(own)]]
        assert len(own) == 3
        assert own == pytest.approx(best, nan_ok=True)


def test_units_of_losses_do_not_matter() -> None:
    given = histories(3)
    scaled = [replace(h, losses=1000 * h.losses - 5) for h in given]
    a, b = (learn_prior("bowl", SPACE, hs, n_inducing=40) for hs in (given, scaled))
    assert a.values == pytest.approx(b.values, abs=1e-3)


def test_failed_trials_count_as_the_worst() -> None:
    given = histories(2)
    failed = given[0].coordinates[:, ENCODING.names.index("rate")] < 0.3
    losses = np.where(failed, np.nan, given[0].losses)
    prior = learn_prior("bowl", SPACE, [replace(given[0], losses=losses)], n_inducing=60)
    at = ENCODING.coordinates([{"rate": 1e-4, "depth": 4, "kind": "wide", "width": 2.0}])
    predicted = prior.log_regrets(prior.scale(ENCODING.features(at)))
    assert predicted[0, 0] > -0.5
    assert np.isfinite(prior.values).all()


@pytest.mark.parametrize(
    "losses",
    [np.full(60, 3.0), np.full(60, np.nan), np.append(np.arange(4.0), np.full(56, np.nan))],
)
def test_a_history_that_says_nothing_is_left_out(losses: np.ndarray) -> None:
    silent = replace(history(Task((0.5, 0.5, 0.5)), "silent"), losses=losses)
    assert not silent.is_informative
    prior = learn_prior("bowl", SPACE, [silent, *histories(2)], n_inducing=40)
    assert [task.id for task in prior.tasks] == ["task-0", "task-1"]
    with pytest.raises(HistoryError, match=r"1 histories of bowl given.*expected one or more"):
        learn_prior("bowl", SPACE, [silent])


def test_one_short_history_is_enough() -> None:
    short = history(family(1)[0], "short", n=5)
    prior = learn_prior("bowl", SPACE, [short])
    assert len(prior.tasks) == 1
    assert np.isfinite(prior.values).all()


def test_of_many_tasks_the_most_different_ones_stay() -> None:
    twins = [history(Task((0.8, 0.25, 0.75)), f"twin-{i}", seed=9) for i in range(6)]
    odd = history(Task((0.1, 0.9, 0.1)), "odd", seed=9)
    odder = history(Task((0.1, 0.1, 0.9), plain=-1.0), "odder", seed=9)
    given = [*twins, odd, odder]
    prior = learn_prior("bowl", SPACE, given, n_inducing=60, most_tasks=3)
    ids = [task.id for task in prior.tasks]
    assert len(ids) == 3
    assert {"odd", "odder"} < set(ids)
    assert len(prior.values) == 3
    best_of_odd = odd.coordinates[odd.losses.argmin()]
    assert prior.proposals[prior.proposed_by == ids.index("odd")][0] == pytest.approx(
        best_of_odd, nan_ok=True
    )


def test_progress_counts_the_tasks() -> None:
    calls: list[tuple[int, int]] = []
    learn_prior(
        "bowl",
        SPACE,
        histories(3),
        n_inducing=20,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_more_tasks_join_a_prior_as_if_it_were_learned_with_them() -> None:
    all_of_them = histories(4)
    prior = learn_prior("bowl", SPACE, all_of_them[:3], n_inducing=150)
    extended = extend_prior(prior, all_of_them[3:])
    assert [task.id for task in extended.tasks] == ["task-0", "task-1", "task-2", "task-3"]
    assert (extended.values[:3] == prior.values).all()
    assert (extended.lengthscales == prior.lengthscales).all()
    drawn = ENCODING.sample(200, np.random.default_rng(8))
    predicted = extended.log_regrets(extended.scale(ENCODING.features(drawn)))[:, 3]
    actual = family(4)[3].losses(drawn)
    assert np.corrcoef(predicted, np.log(actual - actual.min() + 0.1 * np.ptp(actual)))[0, 1] > 0.9
    own = extended.proposals[extended.proposed_by == 3]
    assert own[0] == pytest.approx(
        all_of_them[3].coordinates[all_of_them[3].losses.argmin()], nan_ok=True
    )


def test_extending_by_nothing_or_by_silence_changes_nothing() -> None:
    prior = learned()
    silent = replace(histories(1)[0], losses=np.full(60, 1.0))
    assert extend_prior(prior, []) is prior
    assert extend_prior(prior, [silent]) is prior


def test_extending_by_many_keeps_the_most_different_and_numbers_them_right() -> None:
    prior = extend_prior(learned(n=2), histories(8), most_tasks=3)
    assert len(prior.tasks) == len(prior.values) == 5
    assert set(prior.proposed_by.tolist()) == set(range(5))
    by_id = {h.task.id: h for h in histories(8)}
    for t in (2, 3, 4):
        given = by_id[prior.tasks[t].id]
        assert prior.proposals[prior.proposed_by == t][0] == pytest.approx(
            given.coordinates[given.losses.argmin()], nan_ok=True
        )


def two_kinds_of_tasks(n: int, *, told_by_rows: bool) -> list[AlignedHistory]:
    """Tasks with one of two optima; the number of rows tells which, or is drawn by chance."""
    rng = np.random.default_rng(1)
    given = []
    for i in range(n):
        big = i % 2
        rows = 10.0 ** (2 + 3 * (big if told_by_rows else rng.integers(2)) + 0.1 * rng.random())
        centre = (0.9, 0.9, 0.9) if big else (0.1, 0.1, 0.1)
        descriptor = TaskDescriptor(
            {"NumberOfInstances": rows, "NumberOfFeatures": 10.0, "NumberOfClasses": 2.0}
        )
        known = SourceTask(f"t{i}", family=f"f{i}", descriptor=descriptor)
        given.append(replace(history(Task(centre), "", n=40, seed=i), task=known))
    return given


def test_descriptors_count_where_they_tell_tasks_apart_and_only_there() -> None:
    told = learn_prior("bowl", SPACE, two_kinds_of_tasks(16, told_by_rows=True), n_inducing=60)
    chance = learn_prior("bowl", SPACE, two_kinds_of_tasks(16, told_by_rows=False), n_inducing=60)
    assert told.bandwidth > 0
    assert chance.bandwidth == 0


def test_without_descriptors_there_is_no_bandwidth() -> None:
    assert learned().bandwidth == 0


def best_subset(regrets: np.ndarray, weights: np.ndarray, n: int) -> list[int]:
    chosen: list[int] = []
    for _ in range(n):
        scores = [float(regrets[[*chosen, i]].min(axis=0) @ weights) for i in range(len(regrets))]
        chosen.append(int(np.argmin(scores)))
    return chosen


def test_a_greedy_portfolio_takes_at_each_step_what_helps_most() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        regrets, weights = rng.random((12, 5)), rng.dirichlet(np.ones(5))
        assert greedy_portfolio(regrets, weights, 4) == best_subset(regrets, weights, 4)


def test_a_portfolio_covers_tasks_that_the_first_choice_leaves_out() -> None:
    regrets = np.array([[0.1, 0.9], [0.0, 1.0], [1.0, 0.0]])
    assert greedy_portfolio(regrets, np.array([0.7, 0.3]), 2) == [1, 2]


def test_a_prior_has_a_value_for_each_task_at_each_inducing_configuration() -> None:
    prior = learned()
    m, d = prior.inducing.shape
    assert (m, d) == (120, 4)
    assert prior.values.shape == (8, m)
    assert prior.lengthscales.shape == (d,)
    assert 0 < prior.noise <= 1
    assert sorted(set(prior.proposed_by.tolist())) == list(range(8))


def test_tasks_of_a_kind_foretell_each_other_and_noise_does_not() -> None:
    assert learned().agreement > 0.5
    assert abs(learned(shuffled=True).agreement) < 0.15


def test_too_few_families_leave_the_agreement_open() -> None:
    assert learned(n=2).agreement == 1.0
