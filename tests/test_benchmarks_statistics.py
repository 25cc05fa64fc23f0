import math

import numpy as np
import pytest

from metaopt.benchmarks import statistics


def test_regret_is_that_of_the_best_trial_so_far_between_the_references():
    curve = statistics.regret_curve([4.0, 5.0, 2.0, 1.5, 3.0], best=2.0, worst=6.0)
    np.testing.assert_allclose(curve, [0.5, 0.5, 0.0, 0.0, 0.0])


def test_failed_trials_improve_nothing_and_regret_is_one_before_the_first_success():
    curve = statistics.regret_curve([None, math.nan, 8.0, None, 3.0], best=2.0, worst=6.0)
    np.testing.assert_allclose(curve, [1.0, 1.0, 1.5, 1.5, 0.25])


def test_area_is_the_mean_over_the_first_trials():
    assert statistics.area(np.array([1.0, 0.5, 0.0, 0.0]), n_trials=3) == 0.5


def test_trials_to_match_counts_from_one_and_is_infinite_if_never():
    curve = np.array([0.9, 0.4, 0.2])
    assert statistics.trials_to_match(curve, 0.4) == 2
    assert statistics.trials_to_match(curve, 0.95) == 1
    assert statistics.trials_to_match(curve, 0.1) == math.inf


def test_geometric_mean_of_a_never_is_never():
    assert statistics.geometric_mean([1.0, 4.0, 16.0]) == pytest.approx(4.0)
    assert statistics.geometric_mean([1.0, math.inf]) == math.inf


def test_ties_share_their_ranks():
    ranks = statistics.mean_ranks(np.array([[0.1, 0.1, 0.3], [0.2, 0.1, 0.0]]))
    np.testing.assert_allclose(ranks, [(1.5 + 3) / 2, (1.5 + 2) / 2, (3 + 1) / 2])


def test_rows_are_averaged_within_groups_in_order_of_appearance():
    means = statistics.averaged_by(["b", "a", "b"], np.array([1.0, 5.0, 3.0]))
    np.testing.assert_allclose(means, [2.0, 5.0])


def test_holm_multiplies_by_what_is_left_and_never_decreases():
    adjusted = statistics.holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert adjusted == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert list(adjusted) == ["a", "b", "c"]


def test_paired_test_knows_equality_and_a_clear_difference():
    assert statistics.paired_p_value(np.zeros(5)) == 1.0
    assert statistics.paired_p_value(np.full(5, 1e-12)) == 1.0
    # By hand: 20 differences of one sign, so the ranks sum to 210 where 105 is expected.
    differences = np.arange(1.0, 21.0)
    z = (210 - 105) / math.sqrt(20 * 21 * 41 / 24)
    assert statistics.paired_p_value(differences) == pytest.approx(
        math.erfc(z / math.sqrt(2)), rel=1e-6
    )


def test_bootstrap_draws_whole_families():
    # One family of 99 equal tasks and one of a single task: resampling tasks would leave the
    # mean near 0, resampling families reaches both ends.
    families = ["big"] * 99 + ["small"]
    low, high = statistics.bootstrap_interval(families, np.r_[np.zeros(99), 1.0])
    assert (float(low), float(high)) == (0.0, 1.0)


def test_bootstrap_interval_of_curves_contains_their_mean_and_is_repeatable():
    curves = np.random.default_rng(0).random((20, 7))
    low, high = statistics.bootstrap_interval(range(20), curves)
    again, _ = statistics.bootstrap_interval(range(20), curves)
    assert low.shape == high.shape == (7,)
    assert ((low < curves.mean(axis=0)) & (curves.mean(axis=0) < high)).all()
    np.testing.assert_array_equal(low, again)


def test_a_task_is_lost_by_more_than_two_standard_deviations():
    reference = np.array([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3], [0.0, 0.0, 0.0]])  # deviation 0.1
    values = np.array([[0.39, 0.39], [0.41, 0.41], [0.0, 0.0]])
    assert statistics.lost_share(values, reference) == pytest.approx(1 / 3)
