"""Plans: whole configurations for studies that say what they tune bit by bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from quadratic_tasks import SPACE, alike, learned

from warmstart.estimator import uncatalogued
from warmstart.knowledge import Source
from warmstart.matching import Matcher
from warmstart.planning import Plan, Planner
from warmstart.provenance import ATTRIBUTE, Provenance, pack_coordinates
from warmstart.study_trials import StudyTrial

RATE = FloatDistribution(1e-4, 1.0, log=True)
DEPTH = IntDistribution(1, 16)
KIND = CategoricalDistribution(["plain", "wide"])
WIDTH = FloatDistribution(1e-2, 10.0, log=True)
ALL: dict[str, BaseDistribution] = {"rate": RATE, "depth": DEPTH, "kind": KIND, "width": WIDTH}


def planner() -> Planner:
    estimator = uncatalogued("bowl", SPACE)
    prior = learned()
    source = Source(estimator, prior, alike(prior), Matcher(estimator, space=SPACE), (), ())
    return Planner(source, seed=0)


def plan(
    distributions: Mapping[str, BaseDistribution],
    trials: tuple[StudyTrial, ...] = (),
    *,
    by: Planner | None = None,
    given: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    avoid: tuple[np.ndarray, ...] = (),
) -> Plan:
    return (by or planner()).plan(
        distributions,
        trials,
        given=given or {},
        fixed=fixed or {},
        rng=np.random.default_rng(0),
        avoid=avoid,
    )


def trial(
    number: int,
    params: Mapping[str, Any],
    loss: float | None = None,
    *,
    planned: Plan | None = None,
) -> StudyTrial:
    attrs = {}
    if planned is not None:
        said = Provenance(
            by="meta-learner", estimator="bowl", coordinates=pack_coordinates(planned.row)
        )
        attrs[ATTRIBUTE] = said.to_json()
    own = {name: ALL[name] for name in params}
    return StudyTrial(number, params, own, loss, loss is not None, attrs)


def test_what_was_not_asked_for_yet_is_planned_on_the_range_that_was_learned() -> None:
    first = plan({"rate": RATE})
    assert set(first.values) == {"rate"}
    assert first.stand_ins == {"depth", "kind", "width"}
    assert np.isfinite(first.row[:3]).all()


def test_the_whole_is_the_same_whichever_is_asked_for_first() -> None:
    whole = plan(ALL)
    for name, distribution in ALL.items():
        alone = plan({name: distribution})
        assert alone.values[name] == whole.values[name]
        np.testing.assert_array_equal(alone.row, whole.row)


def test_a_plan_is_extended_by_what_it_foresaw() -> None:
    by = planner()
    first = plan({"rate": RATE}, by=by)
    second = by.extend(first, {"rate": RATE, "depth": DEPTH}, "depth")
    assert second is not None
    assert second.values == {name: plan(ALL).values[name] for name in ("rate", "depth")}
    assert second.stand_ins == {"kind", "width"}


def test_a_plan_is_not_extended_to_where_it_did_not_lead() -> None:
    by = planner()
    first = plan({"rate": RATE}, by=by)
    far = IntDistribution(12, 16)
    assert by.extend(first, {"rate": RATE, "depth": far}, "depth") is None
    other = CategoricalDistribution(["plain"])
    assert plan(ALL).values["kind"] == "wide"
    assert by.extend(first, {"rate": RATE, "kind": other}, "kind") is None
    assert by.extend(first, {"rate": RATE, "hue": RATE}, "hue") is None


def test_what_is_given_and_what_is_fixed_is_kept_and_planned_around() -> None:
    for where in ("given", "fixed"):
        made = plan(ALL, **{where: {"kind": "plain", "depth": 3}})
        assert made.values["kind"] == "plain"
        assert made.values["depth"] == 3
        assert np.isnan(made.row[3])  # the width of a plain kind


def test_a_given_value_that_the_range_lacks_is_taken_where_it_is() -> None:
    made = plan({"rate": FloatDistribution(0.1, 1.0), "depth": DEPTH}, given={"rate": 1e-4})
    assert made.row[0] == pytest.approx(0.0, abs=1e-6)


def test_a_hyperparameter_that_a_finished_trial_did_not_have_is_not_tuned() -> None:
    finished = trial(0, {"rate": 0.1, "kind": "wide"}, 1.0)
    made = plan({"rate": RATE, "kind": KIND}, (finished,))
    assert made.stand_ins == frozenset()


def test_what_was_inactive_in_all_trials_may_still_be_tuned() -> None:
    finished = trial(0, {"rate": 0.1, "kind": "plain", "depth": 3}, 1.0)
    made = plan({"rate": RATE, "kind": KIND, "depth": DEPTH}, (finished,))
    assert made.stand_ins == {"width"}


def test_trials_that_run_and_rows_to_avoid_are_not_planned_again() -> None:
    by = planner()
    first = plan(ALL, by=by)
    running = trial(0, {}, planned=first)
    assert by.planned_rows([running]) != []
    second = plan(ALL, (running,), by=by)
    assert not by.like(second, [first.row])
    third = plan(ALL, by=by, avoid=(first.row,))
    assert not by.like(third, [first.row])


def test_rows_are_alike_that_agree_on_all_that_is_tuned() -> None:
    by = planner()
    made = plan({"rate": RATE, "kind": KIND}, by=by)
    other = made.row.copy()
    other[1] += 0.3  # the depth, which is not tuned
    assert len(by.like(made, [made.row, other])) == 2
    other[0] += 0.01
    assert len(by.like(made, [made.row, other])) == 1


def test_a_small_space_that_is_all_taken_is_planned_all_the_same() -> None:
    by = planner()
    trials: tuple[StudyTrial, ...] = ()
    for number in range(5):
        made = plan({"kind": KIND}, trials, by=by)
        trials = (*trials, trial(number, {"kind": made.values["kind"]}, planned=made))
    assert {t.params["kind"] for t in trials[:2]} == {"plain", "wide"}


def test_plans_of_foreign_or_broken_provenance_are_not_read() -> None:
    by = planner()
    for text in (
        "{",
        Provenance(by="meta-learner", estimator="other", coordinates=(0.1,) * 4).to_json(),
        Provenance(by="meta-learner", estimator="bowl", coordinates=(0.1,) * 3).to_json(),
    ):
        running = StudyTrial(0, {}, {}, None, False, {ATTRIBUTE: text})
        assert by.planned_rows([running]) == []
        assert plan(ALL, (running,), by=by).values == plan(ALL).values


def test_losses_pull_the_plan_away_from_what_was_bad() -> None:
    first = plan(ALL)
    trials = tuple(
        trial(i, {**first.values, "depth": depth, "rate": rate}, loss)
        for i, (depth, rate, loss) in enumerate(
            [(4, 0.1, 5.0), (5, 0.2, 6.0), (3, 0.3, 5.5), (14, 1e-3, 0.1), (15, 2e-3, 0.0)]
        )
    )
    assert plan(ALL, trials).values["depth"] > 10


def test_failed_trials_alone_are_only_kept_away_from() -> None:
    first = plan(ALL)
    failed = trial(0, first.values, math.inf)
    second = plan(ALL, (failed,))
    assert second.values != first.values
    assert second.proposal.portfolio_share == 1.0


@pytest.mark.parametrize("rate", [0.3, 0.1234567, 1, 5.0])
def test_a_plan_has_what_was_set_to_the_last_digit(rate: float) -> None:
    for said in ({"given": {"rate": rate}}, {"fixed": {"rate": rate}}):
        value = plan(ALL, **said).values["rate"]
        assert (type(value), value) == (type(rate), rate)


def test_a_trial_that_failed_early_does_not_say_what_is_not_tuned() -> None:
    failed = trial(0, {"rate": 0.1}, math.inf)
    assert plan({"rate": RATE}, (failed,)).stand_ins == {"depth", "kind", "width"}
    finished = trial(1, {"rate": 0.1}, 1.0)
    assert plan({"rate": RATE}, (failed, finished)).stand_ins == frozenset()


def test_what_the_program_does_not_ask_for_makes_no_other_trial() -> None:
    by = planner()
    known = {"kind": KIND, "depth": DEPTH}
    trials = [trial(0, {"kind": "plain", "depth": 5}, 0.55)]
    for number in range(1, 14):
        values = dict(plan(known, tuple(trials), by=by).values)
        if values["kind"] == "wide":  # here, the program asks for no depth
            del values["depth"]
        loss = 0.1 if values["kind"] == "wide" else 0.5 + 0.01 * values["depth"]
        trials.append(trial(number, values, loss))
    kinds = [t.params["kind"] for t in trials]
    depths = {t.params["depth"] for t in trials if t.params["kind"] == "plain"}
    assert kinds.count("wide") == 1
    assert len(depths) == 13


def test_a_parameter_that_was_added_later_is_tried_with_what_was_tried_before() -> None:
    known = {"kind": KIND, "depth": DEPTH}
    before = [trial(i, {"kind": kind}, 0.1 + 0.4 * i) for i, kind in enumerate(KIND.choices)]
    found = plan(known, (*before, trial(2, {"kind": "wide", "depth": 3}, 0.2)))
    assert found.values["kind"] in KIND.choices
    assert found.values != {"kind": "wide", "depth": 3}


@pytest.mark.parametrize(
    "extra",
    [
        StudyTrial(8, {}, {}, math.inf, False, {}),
        StudyTrial(8, {"kind": "wide"}, {"kind": KIND}, math.inf, False, {}),
        StudyTrial(8, {"baseline": True}, {"baseline": KIND}, 0.9, True, {}),
    ],
    ids=["failed at once", "failed half way", "another branch"],
)
def test_what_a_trial_did_not_come_to_rules_nothing_out(extra: StudyTrial) -> None:
    known = {"kind": KIND, "depth": DEPTH}
    by = planner()
    trials = [trial(i, {"kind": "wide", "depth": 2 + i}, 0.1 * i) for i in range(8)] + [extra]
    for number in range(9, 21):
        values = plan(known, tuple(trials), by=by).values
        loss = 0.1 * abs(values["depth"] - 5) + (values["kind"] == "plain")
        trials.append(trial(number, values, loss))
    # Where everything counts as tried, the best is tried again and again.
    tried = {(t.params["kind"], t.params["depth"]) for t in trials if "depth" in t.params}
    assert len(tried) == 20
