from __future__ import annotations

import math
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.study import Study
from optuna.trial import TrialState, create_trial

from warmstart.study_trials import StudyTrial, TrialReader, finite_losses, study_trials

RANGE = FloatDistribution(0.0, 1.0)


def new_study(direction: str = "minimize", **options: Any) -> Study:
    return optuna.create_study(
        direction=direction, sampler=optuna.samplers.RandomSampler(seed=0), **options
    )


def add(
    study: Study,
    value: float | None = None,
    state: TrialState = TrialState.COMPLETE,
    *,
    steps: dict[int, float] | None = None,
    violated: float | None = None,
) -> None:
    attrs = {} if violated is None else {"constraints": (violated, -1.0)}
    study.add_trial(
        create_trial(
            state=state,
            value=value,
            params={"x": 0.5},
            distributions={"x": RANGE},
            system_attrs=attrs,
            intermediate_values=steps or {},
        )
    )


def losses(study: Study) -> list[float | None]:
    return [trial.loss for trial in study_trials(study)]


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1.0), ("maximize", -1.0)])
def test_losses_are_minimised_whatever_the_study_does(direction: str, sign: float) -> None:
    study = new_study(direction)
    for value in (3.0, -1.0):
        add(study, value)
    assert losses(study) == [3.0 * sign, -1.0 * sign]
    best = min(study_trials(study), key=lambda trial: trial.loss or 0.0)
    assert best.number == study.best_trial.number


def test_a_trial_keeps_what_the_study_knows_of_it() -> None:
    study = new_study()
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.set_user_attr("note", "mine")
    study.tell(trial, 2.0)
    (read,) = study_trials(study)
    assert read == StudyTrial(0, trial.params, {"x": RANGE}, 2.0, True, {"note": "mine"})


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_failed_trials_are_infinitely_bad(direction: str) -> None:
    study = new_study(direction)
    add(study, state=TrialState.FAIL)
    study.optimize(lambda _: math.nan, n_trials=1)
    assert losses(study) == [math.inf, math.inf]
    assert not any(trial.is_final for trial in study_trials(study))


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1.0), ("maximize", -1.0)])
def test_a_pruned_trial_has_its_last_value_but_is_no_better_than_the_median(
    direction: str, sign: float
) -> None:
    study = new_study(direction)
    for value in (1.0, 2.0, 3.0):
        add(study, sign * value)
    add(study, state=TrialState.PRUNED, steps={1: sign * 9.0, 2: sign * 5.0})
    add(study, state=TrialState.PRUNED, steps={1: sign * 9.0, 2: sign * 0.5})
    assert losses(study) == [1.0, 2.0, 3.0, 5.0, 2.0]
    assert [trial.is_final for trial in study_trials(study)] == [True, True, True, False, False]


@pytest.mark.parametrize("steps", [{}, {3: math.nan}])
def test_a_pruned_trial_without_a_value_counts_as_failed(steps: dict[int, float]) -> None:
    study = new_study()
    add(study, 1.0)
    add(study, state=TrialState.PRUNED, steps=steps)
    assert losses(study) == [1.0, math.inf]


def test_pruned_trials_alone_keep_their_values() -> None:
    study = new_study()
    add(study, state=TrialState.PRUNED, steps={1: 4.0})
    assert losses(study) == [4.0]


def test_trials_that_violate_constraints_are_as_bad_as_failed_ones() -> None:
    study = new_study()
    add(study, 1.0, violated=0.5)
    add(study, 7.0, violated=-0.5)
    add(study, 2.0, violated=math.nan)
    assert losses(study) == [math.inf, 7.0, math.inf]


def test_while_nothing_is_feasible_the_violation_is_the_loss() -> None:
    study = new_study("maximize")
    add(study, 100.0, violated=0.5)
    add(study, 1.0, violated=0.2)
    assert losses(study) == [0.5, 0.2]
    add(study, -3.0, violated=0.0)
    assert losses(study) == [math.inf, math.inf, 3.0]


def test_while_nothing_is_feasible_a_pruned_trial_is_no_better_than_a_violating_one() -> None:
    study = new_study()
    add(study, 1.0, violated=0.5)
    add(study, state=TrialState.PRUNED, steps={1: -9.0})
    add(study, state=TrialState.PRUNED, steps={1: -9.0}, violated=0.2)
    assert losses(study) == [0.5, math.inf, 0.2]
    add(study, 2.0, violated=0.0)
    assert losses(study) == [math.inf, 2.0, math.inf, 2.0]


@pytest.mark.filterwarnings("ignore:.*constraints_func.*")
def test_constraints_of_a_sampler_are_read() -> None:
    sampler = optuna.samplers.TPESampler(
        seed=0, constraints_func=lambda trial: (trial.params["x"] - 0.5,)
    )
    study = optuna.create_study(sampler=sampler)
    for x in (0.2, 0.9):
        study.enqueue_trial({"x": x})
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    assert losses(study) == [0.2, math.inf]


def test_running_trials_have_no_loss_and_waiting_ones_are_not_there() -> None:
    study = new_study()
    study.enqueue_trial({"x": 0.1})
    study.enqueue_trial({"x": 0.2})
    running = study.ask()
    assert [(t.number, t.loss) for t in study_trials(study)] == [(running.number, None)]


def test_the_trial_that_is_being_suggested_is_left_out() -> None:
    study = new_study()
    add(study, 1.0)
    mine, others = study.ask(), study.ask()
    read = study_trials(study, before=mine.number)
    assert [trial.number for trial in read] == [0, others.number]


def test_the_oldest_of_very_many_running_trials_are_taken_as_abandoned() -> None:
    study = new_study()
    add(study, 1.0)
    for _ in range(70):
        study.ask()
    numbers = [trial.number for trial in study_trials(study)]
    assert numbers == [0, *range(7, 71)]


def test_a_reader_sees_what_finished_since_and_agrees_with_a_new_one() -> None:
    study = new_study()
    reader = TrialReader()
    asked = [study.ask() for _ in range(4)]
    for trial in asked:
        trial.suggest_float("x", 0, 1)
    assert [t.loss for t in reader.read(study)] == [None] * 4
    study.tell(asked[2], 5.0)
    study.tell(asked[0], state=TrialState.FAIL)
    assert [t.loss for t in reader.read(study)] == [math.inf, None, 5.0, None]
    study.tell(asked[1], 1.0)
    add(study, state=TrialState.PRUNED, steps={1: 0.0})
    assert reader.read(study) == study_trials(study)
    assert [t.loss for t in reader.read(study)] == [math.inf, 1.0, 5.0, None, 3.0]


def test_a_reader_knows_the_last_range_of_each_parameter() -> None:
    study = new_study()
    for high in (1.0, 2.0):
        trial = study.ask()
        trial.suggest_float("x", 0, high)
        study.tell(trial, 0.0)
    reader = TrialReader()
    reader.read(study)
    assert reader.distributions == {"x": FloatDistribution(0.0, 2.0)}


def test_readers_agree_on_a_range_whichever_trial_finishes_last() -> None:
    study = new_study()
    reader = TrialReader()
    older, newer = study.ask(), study.ask()
    older.suggest_float("x", 0, 1)
    newer.suggest_float("x", 0, 2)
    study.tell(newer, 0.0)
    reader.read(study)
    study.tell(older, 0.0)
    reader.read(study)
    fresh = TrialReader()
    fresh.read(study)
    assert reader.distributions == fresh.distributions == {"x": FloatDistribution(0.0, 2.0)}


def test_all_trials_are_seen_also_where_a_pruner_shows_a_part() -> None:
    study = new_study(pruner=optuna.pruners.HyperbandPruner(1, 27))

    class Reading(optuna.samplers.RandomSampler):
        def infer_relative_search_space(self, study: Study, trial: Any) -> Any:
            seen.append(len(study_trials(study, before=trial.number)))
            return super().infer_relative_search_space(study, trial)

    seen: list[int] = []
    study.sampler = Reading(seed=0)

    def objective(trial: optuna.Trial) -> float:
        trial.report(1.0, 1)
        trial.should_prune()
        return trial.suggest_float("x", 0, 1)

    study.optimize(objective, n_trials=8)
    assert seen == list(range(8))


@pytest.mark.parametrize("storage", ["memory", "sqlite"])
def test_trials_of_any_storage_are_read(storage: str, tmp_path: Any) -> None:
    url = None if storage == "memory" else f"sqlite:///{tmp_path / 'study.db'}"
    study = new_study(storage=url)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    assert losses(study) == [trial.value for trial in study.trials]


def trial_of(loss: float | None) -> StudyTrial:
    return StudyTrial(0, {}, {}, loss, True, {})


def test_infinite_losses_become_the_worst_finite_one() -> None:
    given = [trial_of(loss) for loss in (1.0, math.inf, 3.0, None)]
    assert finite_losses(given).tolist() == [1.0, 3.0, 3.0, 3.0]


def test_what_is_infinitely_good_becomes_the_best_finite_one() -> None:
    given = [trial_of(loss) for loss in (1.0, -math.inf, 3.0)]
    assert finite_losses(given).tolist() == [1.0, 1.0, 3.0]


def test_without_a_finite_loss_there_are_none() -> None:
    assert finite_losses([trial_of(math.inf)]).tolist() == []
    assert len(finite_losses([])) == 0
    assert finite_losses([trial_of(math.inf)]).dtype == np.float64
