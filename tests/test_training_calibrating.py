"""Calibration is learned from how predictions err on training tasks, by other families."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from benchmark_synthetic import BowlSource

from metaopt import meta_train
from metaopt.evaluation.judging import Judging, judge
from metaopt.evaluation.learned import learn
from metaopt.training import calibrating
from metaopt.training.aligning import aligned_for_learning
from metaopt.training.calibrating import learn_calibration
from metaopt.training.figures import in_memory
from metaopt.training.selection import by_metric, named_canonically
from warmstart.calibration import Calibration
from warmstart.history import History
from warmstart.learning import AlignedHistory
from warmstart.predictive import Prediction, Tail
from warmstart.prior import Prior
from warmstart.regret import EPSILON

BUDGETS = (0, 1, 2, 5, 10)


def histories() -> list[History]:
    """Tasks whose losses, errors of 0 or more, have units of their own."""
    rng = np.random.default_rng(0)
    return [
        replace(h, losses=10.0 ** float(rng.uniform(-3, 0)) * h.losses)
        for h in BowlSource(n_tasks=60, n_trials=40).histories()
    ]


@pytest.fixture(scope="module")
def known() -> tuple[Prior, list[AlignedHistory]]:
    """A prior of two thirds of the tasks, and their histories."""
    some = histories()[:40]
    _, aligned, _ = aligned_for_learning("bowl", some)
    return meta_train(some).priors["bowl"], list(aligned)


@pytest.fixture(scope="module")
def calibration(known: tuple[Prior, list[AlignedHistory]]) -> Calibration:
    found = known[0].calibration
    assert found is not None
    return found


def covered(prior: Prior, budget: int) -> float:
    rows = judge(in_memory(prior), "bowl", histories()[40:], Judging(n_splits=3, budgets=BUDGETS))
    return float(np.mean([row["covered"][0][1] for row in rows if row["budget"] == budget]))


def score(prior: Prior, budget: int) -> float:
    rows = judge(in_memory(prior), "bowl", histories()[40:], Judging(n_splits=3, budgets=BUDGETS))
    return float(np.mean([row["log_scores"][0] for row in rows if row["budget"] == budget]))


@pytest.mark.parametrize("budget", BUDGETS)
def test_on_other_families_intervals_cover_what_they_say_sooner_than_without(
    known: tuple[Prior, list[AlignedHistory]], calibration: Calibration, budget: int
) -> None:
    plain = replace(known[0], calibration=None)
    calibrated = replace(known[0], calibration=calibration)
    off = [abs(covered(prior, budget) - 0.8) for prior in (calibrated, plain)]
    assert off[0] < max(0.1, off[1])
    if budget in (1, 2):  # the scale is all but unknown
        assert off[0] < off[1]
        assert score(calibrated, budget) > score(plain, budget)


def test_the_same_histories_give_the_same_in_any_order(calibration: Calibration) -> None:
    again = meta_train(histories()[:40][::-1]).priors["bowl"].calibration
    assert again is not None
    assert again.to_json() == calibration.to_json()


def test_outside_of_meta_training_the_order_of_tasks_and_trials_plays_no_part() -> None:
    rng = np.random.default_rng(0)
    given = by_metric(named_canonically(histories()[:40]))
    mixed = [h.subset(list(rng.permutation(len(h)))) for h in given][::-1]
    learned = [learn("bowl", some, seed=0) for some in (given, mixed)]
    assert learned[0] is not None
    assert learned[1] is not None
    assert learned[0].description == learned[1].description
    for name, values in learned[0].tensors.items():
        np.testing.assert_array_equal(learned[1].tensors[name], values)


def test_a_task_is_predicted_by_the_prior_without_its_family(
    known: tuple[Prior, list[AlignedHistory]], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn_on: list[tuple[str, set[str]]] = []

    def spy(prior: Prior, _: np.ndarray, history: AlignedHistory, n: int, *, seed: int) -> None:
        drawn_on.append((history.task.family, {task.family for task in prior.tasks}))

    monkeypatch.setattr(calibrating, "_case", spy)
    assert learn_calibration(known[0], known[1], seed=0) is None
    assert len({family for family, _ in drawn_on}) == 20
    assert all(family not in families for family, families in drawn_on)
    assert all(len(families) == 19 for _, families in drawn_on)


def test_before_any_trial_what_is_not_foretold_is_as_wide_as_tasks_are_and_no_wider() -> None:
    rng = np.random.default_rng(0)

    def case() -> calibrating._Case:
        # Half of the runs are where the sources say, the others about -1, whatever they say.
        foretold = rng.uniform(-2.5, -0.5, size=60)
        z = np.where(np.arange(60) % 2, foretold, -1.0) + 0.3 * rng.standard_normal(60)
        regrets = np.clip(np.exp(z) - EPSILON, 0.0, 1.0)
        prediction = Prediction(
            weights=np.array([0.5, 0.5]),
            best=np.zeros(2),
            extent=np.ones(2),
            means=np.stack([foretold, np.full(60, -1.0)], axis=1),
            deviations=np.tile([0.3, 2.0], (60, 1)),
            groups=np.array([0, 1]),
            tail=Tail(weight=0.0, center=0.5, scale=1.0),
            bounds=(float(np.log(EPSILON)), float(np.log(1.0 + EPSILON))),
        )
        return calibrating._Case(prediction, regrets, regrets + EPSILON, 2)

    factor, first = calibrating._learn_before_trials([case() for _ in range(12)])
    assert factor == 0.2
    assert first.factor == pytest.approx(1.0, abs=0.25)
    assert first.grid[0] == pytest.approx(0.0, abs=0.5)


def test_with_few_families_nothing_is_learned(
    known: tuple[Prior, list[AlignedHistory]],
) -> None:
    prior, aligned = known
    few = [h for h in aligned if h.task.family in {f"pair-{i}" for i in range(9)}]
    assert learn_calibration(prior, few, seed=0) is None
    assert meta_train(histories()[:10]).priors["bowl"].calibration is None
