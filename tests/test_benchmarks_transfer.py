"""The methods that learn from training tasks, and the samplers that they make."""

import numpy as np
import optuna
import pytest
from benchmark_synthetic import SPACE, BowlSource
from threadpoolctl import threadpool_limits

from metaopt.benchmarks.neighbours import train_neighbours
from metaopt.benchmarks.portfolio import greedy_choice, greedy_portfolio, space_of
from metaopt.benchmarks.proposals import FixedStartSampler
from metaopt.benchmarks.rgpe import (
    GaussianProcessSampler,
    RankingWeightedSampler,
    misrankings,
    train_source_models,
    weights_of,
)
from metaopt.benchmarks.runs import run_study
from metaopt.benchmarks.statistics import regret_curve
from warmstart.history import History, TaskInfo, Trial
from warmstart.space import Float, SearchSpace

SOURCE = BowlSource()


@pytest.fixture(autouse=True, scope="module")
def _quiet_and_in_one_thread():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with threadpool_limits(limits=1):
        yield
    optuna.logging.set_verbosity(before)


@pytest.fixture(scope="module")
def models():
    return train_source_models(SOURCE.histories()[4:], n_trials=40, n_start=3)


def curve_of(problem, sampler, n_trials):
    losses = run_study(problem, sampler, n_trials=n_trials).losses
    return regret_curve(losses, best=problem.best, worst=problem.worst)


def test_each_choice_lowers_the_mean_of_the_best_most():
    regrets = np.array([[0.0, 0.4, 0.9, 0.5], [0.9, 0.4, 0.0, 0.5], [0.9, 0.5, 0.9, 0.5]])
    # 1: mean 0.433; then 2 leaves (0.4, 0.0, 0.5), 0 leaves (0.0, 0.4, 0.5): the first wins.
    assert greedy_choice(regrets, size=3) == [1, 0, 2]


def test_a_choice_that_can_not_be_improved_begins_anew_with_the_rest():
    regrets = np.array([[0.0, 0.3, 0.2], [0.0, 0.2, 0.6]])
    assert greedy_choice(regrets, size=9) == [0, 1, 2]


def test_a_portfolio_begins_near_where_all_tasks_are_good():
    portfolio = greedy_portfolio(SOURCE.histories(), size=4)
    assert len(portfolio) == 4
    assert portfolio[0]["kind"] == "narrow"
    assert abs(portfolio[0]["x"] - 0.7) < 0.2


def test_tasks_that_tell_nothing_apart_are_passed_over():
    info = TaskInfo("bowl", "flat", "loss", "synthetic", family="flat", space=SPACE)
    rng = np.random.default_rng(0)
    flat = History.from_trials(info, [Trial(c, 1.0) for c in SPACE.sample(30, rng)])
    few = SOURCE.histories()[0].subset(slice(0, 3))
    assert greedy_portfolio([flat, few], size=4) == []
    histories = SOURCE.histories()
    assert greedy_portfolio([flat, few, *histories], size=4) == greedy_portfolio(histories, size=4)


def test_histories_of_different_spaces_are_refused():
    history = SOURCE.histories()[0]
    other = History.from_trials(
        TaskInfo("bowl", "other", "loss", "synthetic", space=SearchSpace({"x": Float(0, 1)})), []
    )
    with pytest.raises(ValueError, match="different search spaces"):
        space_of([history, other])


def described(n_rows):
    return {"NumberOfInstances": n_rows, "NumberOfFeatures": 10, "NumberOfClasses": 2}


def test_the_nearest_task_comes_first():
    from dataclasses import replace

    from warmstart.descriptor import TaskDescriptor

    histories = [
        replace(
            history,
            info=replace(
                history.info,
                descriptor=TaskDescriptor.from_openml_qualities(described(10.0**i)).to_json(),
            ),
        )
        for i, history in enumerate(SOURCE.histories()[:6], start=1)
    ]
    neighbours = train_neighbours([*histories, *SOURCE.histories()[6:]], size=3)
    found = neighbours.configurations(described(2e4))
    best = [h.configurations()[int(h.losses.argmin())] for h in histories]
    assert found == [best[3], best[4], best[2]]
    assert neighbours.configurations(None) == greedy_portfolio(
        [*histories, *SOURCE.histories()[6:]], size=3
    )


def test_given_configurations_are_tried_first_and_then_the_other_sampler_takes_over():
    (problem,) = SOURCE.problems(["bowl-0"])
    first = SPACE.sample(3, np.random.default_rng(5))
    sampler = FixedStartSampler(first, optuna.samplers.TPESampler(seed=0, n_startup_trials=4))
    run = run_study(problem, sampler, n_trials=12)
    np.testing.assert_allclose(run.losses[:3], problem.losses(first))
    assert len(set(run.losses)) > 8


def test_misrankings_are_the_pairs_in_the_wrong_order():
    losses = np.array([1.0, 2.0, 3.0])
    draws = np.array([[[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]], [[1.0, 3.0, 2.0], [2.0, 1.0, 3.0]]])
    assert misrankings(draws, losses).tolist() == [[0, 3], [1, 1]]


def test_weights_are_shares_of_wins_and_bad_sources_get_none():
    misranked = np.array(
        [
            [0, 9, 5, 0],  # wins the first draw; shares the last with the next
            [4, 9, 0, 0],  # wins the third
            [0, 30, 30, 30],  # median 30, above the target's 95th percentile: left out
            [5, 3, 5, 1],  # the target wins the second
        ]
    )
    np.testing.assert_allclose(weights_of(misranked), [1.5 / 4, 1.5 / 4, 0.0, 1 / 4])


def test_at_par_the_target_wins():
    np.testing.assert_allclose(weights_of(np.array([[2, 2], [2, 1], [2, 1]])), [0, 0, 1])


def test_rgpe_begins_with_the_portfolio(models):
    (problem,) = SOURCE.problems(["bowl-1"])
    run = run_study(problem, RankingWeightedSampler(models, seed=0), n_trials=3)
    np.testing.assert_allclose(run.losses, problem.losses(models.portfolio))


def test_rgpe_beats_its_own_process_without_sources(models):
    with_sources, without = [], []
    for problem in SOURCE.problems([f"bowl-{i}" for i in range(4)]):
        with_sources.append(curve_of(problem, RankingWeightedSampler(models, seed=0), 16))
        without.append(curve_of(problem, GaussianProcessSampler(problem.space, seed=0), 16))
    gain = np.mean(with_sources, axis=0) - np.mean(without, axis=0)
    assert (gain <= 1e-12).all()
    assert np.mean(with_sources) < 0.3 * np.mean(without)


def test_rgpe_without_a_usable_source_still_finds_the_optimum():
    models = train_source_models(
        [history.subset(slice(0, 2)) for history in SOURCE.histories()], n_trials=40, n_start=3
    )
    assert not models.processes
    (problem,) = SOURCE.problems(["bowl-2"])
    curve = curve_of(problem, RankingWeightedSampler(models, seed=0), 30)
    assert curve[-1] < 0.01


@pytest.mark.parametrize("kind", ["own_gp", "rgpe"])
def test_the_same_seed_proposes_the_same(kind, models):
    (problem,) = SOURCE.problems(["bowl-0"])

    def losses(seed):
        sampler = (
            RankingWeightedSampler(models, seed=seed)
            if kind == "rgpe"
            else GaussianProcessSampler(problem.space, n_start=4, seed=seed)
        )
        return run_study(problem, sampler, n_trials=8).losses

    np.testing.assert_array_equal(losses(3), losses(3))
    assert (losses(3) != losses(4)).any()
