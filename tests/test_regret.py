from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from warmstart.regret import EPSILON, capped, from_log_regret, log_regret, regret

losses = hnp.arrays(float, st.integers(2, 20), elements=st.floats(-1e6, 1e6))


def test_regret_is_0_at_the_best_and_1_at_the_worst() -> None:
    assert regret(np.array([3.0, 1.0, 2.0])).tolist() == [1.0, 0.0, 0.5]


@pytest.mark.parametrize("failed", [np.nan, np.inf, -np.inf])
def test_a_failed_trial_is_as_bad_as_the_worst(failed: float) -> None:
    assert regret(np.array([2.0, failed, 4.0])).tolist() == [0.0, 1.0, 1.0]


def test_losses_that_are_all_alike_have_no_regret_unless_failed() -> None:
    assert regret(np.array([7.0, 7.0, np.nan])).tolist() == [0.0, 0.0, 1.0]


def test_without_a_finished_trial_there_is_no_regret() -> None:
    with pytest.raises(ValueError, match="No finished trial given"):
        regret(np.array([np.nan, np.inf]))


@given(losses)
def test_regret_lies_between_0_and_1_and_keeps_the_order(losses: np.ndarray) -> None:
    regrets = regret(losses)
    assert regrets.min() == 0.0
    assert regrets.max() <= 1.0
    assert (np.diff(regrets[np.argsort(losses)]) >= 0).all()


@given(losses, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_units_of_the_loss_do_not_matter(losses: np.ndarray, factor: float, shift: float) -> None:
    losses = np.append(np.round(losses, 3), [0.0, 1.0])
    assert regret(factor * losses + shift) == pytest.approx(regret(losses), abs=1e-6)


@given(hnp.arrays(float, 5, elements=st.floats(0, 1)))
def test_the_models_scale_is_undone_by_its_inverse(regrets: np.ndarray) -> None:
    assert from_log_regret(log_regret(regrets)) == pytest.approx(regrets, abs=1e-12)


def test_what_a_model_takes_for_better_than_the_best_has_regret_0() -> None:
    assert from_log_regret(np.array([-20.0, np.log(EPSILON)])) == pytest.approx([0.0, 0.0])
    assert log_regret(np.array([-0.5, 0.0])) == pytest.approx([np.log(EPSILON)] * 2)


def test_the_smallest_and_the_largest_floats_still_differ() -> None:
    assert regret(np.array([5e-324, 0.0])).tolist() == [1.0, 0.0]
    assert regret(np.array([-1.7e308, 0.0, 1.7e308])).tolist() == [0.0, 0.5, 1.0]


def test_a_diverged_model_does_not_make_all_others_alike() -> None:
    losses = np.array([0.3, 0.4, 0.5, 1e9, np.nan])
    assert np.ptp(regret(losses)[:3]) < 1e-9
    assert np.all(np.diff(regret(capped(losses))[:4]) > 0.04)
    assert np.isnan(capped(losses)[4])


@pytest.mark.parametrize("losses", [[0.3, 0.4, 0.5, 0.9], [0.1, 0.1, 0.1, 7.0], [np.nan]])
def test_without_far_off_losses_or_a_scale_nothing_is_capped(losses: list[float]) -> None:
    np.testing.assert_array_equal(capped(np.array(losses)), losses)
