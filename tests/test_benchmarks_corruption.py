import math

import numpy as np
import pytest
from benchmark_synthetic import BowlSource

from metaopt.benchmarks.corruption import corrupt, with_inverted_losses
from warmstart.history import History, TaskInfo, Trial


def histories():
    return BowlSource(n_tasks=9, n_trials=30).histories()


@pytest.mark.parametrize("kind", ["shuffled", "inverted", "half_shuffled", "half_inverted"])
def test_corruption_changes_losses_only_and_is_repeatable(kind):
    honest = histories()
    corrupted = corrupt(honest, kind, 3)
    again = corrupt(honest, kind, 3)
    for before, after, repeated in zip(honest, corrupted, again, strict=True):
        assert after.info == before.info
        assert after.configurations() == before.configurations()
        np.testing.assert_array_equal(after.losses, repeated.losses)
        np.testing.assert_array_equal(before.losses, before.subset(slice(None)).losses)
    np.testing.assert_array_equal(honest[0].losses, histories()[0].losses)


def test_shuffling_keeps_the_losses_of_each_task():
    for before, after in zip(histories(), corrupt(histories(), "shuffled", 0), strict=True):
        assert (before.losses != after.losses).any()
        np.testing.assert_array_equal(np.sort(before.losses), np.sort(after.losses))


def test_inverting_makes_the_best_the_worst_within_the_same_range():
    for before, after in zip(histories(), corrupt(histories(), "inverted", 0), strict=True):
        assert before.losses.argmin() == after.losses.argmax()
        assert after.losses.min() == pytest.approx(before.losses.min())
        np.testing.assert_allclose(np.argsort(before.losses), np.argsort(-after.losses))


@pytest.mark.parametrize("kind", ["half_shuffled", "half_inverted"])
def test_half_of_the_tasks_are_left_as_they_are(kind):
    pairs = list(zip(histories(), corrupt(histories(), kind, 0), strict=True))
    assert sum((before.losses == after.losses).all() for before, after in pairs) == 5  # of 9


def test_failed_trials_stay_failed():
    info = TaskInfo("bowl", "task", "loss", "synthetic")
    trials = [Trial({"x": 1}, 1.0), Trial({"x": 2}, math.nan, "failed"), Trial({"x": 3}, 3.0)]
    history = History.from_trials(info, trials)
    for kind in ("shuffled", "inverted"):
        (after,) = corrupt([history], kind, 0)
        assert math.isnan(after.losses[1])
        after.check()
    failed = History.from_trials(info, [Trial({}, math.nan, "failed")])
    assert np.isnan(corrupt([failed], "inverted", 0)[0].losses).all()


def test_an_unknown_corruption_is_refused():
    with pytest.raises(ValueError, match="upside_down"):
        corrupt(histories(), "upside_down", 0)


def test_an_inverted_problem_swaps_best_and_worst():
    (problem,) = BowlSource().problems(["bowl-3"])
    inverted = with_inverted_losses(problem)
    configurations = problem.space.sample(20, np.random.default_rng(1))
    losses, turned = problem.losses(configurations), inverted.losses(configurations)
    np.testing.assert_allclose(turned, -losses)
    unclipped = (losses >= problem.best) & (losses <= problem.worst)
    np.testing.assert_allclose(
        inverted.regret(turned)[unclipped], 1 - problem.regret(losses)[unclipped], atol=1e-12
    )
