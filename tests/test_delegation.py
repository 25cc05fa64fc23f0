"""Which trials are left to TPE."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import RandomSampler, TPESampler
from sampler_worker import not_planned, objective, open_storage, warm

from warmstart.artifact import Artifact
from warmstart.delegation import has_room, is_delegated, memoryless_tpe
from warmstart.explanation import explain
from warmstart.provenance import ATTRIBUTE
from warmstart.study_trials import StudyTrial

pytestmark = pytest.mark.usefixtures("quiet")


def trials(
    n: int, *, transfer: float = 1.0, losses: tuple[float | None, ...] = ()
) -> list[StudyTrial]:
    """Planned trials; those at the end have the losses given."""
    attributes = {ATTRIBUTE: json.dumps({"by": "meta-learner", "transfer": transfer})}
    varied = [0.5 + 0.01 * i for i in range(n - len(losses))]
    all_losses = [*varied, *losses]
    return [
        StudyTrial(
            number=i, params={}, distributions={}, loss=loss, is_final=True, user_attrs=attributes
        )
        for i, loss in enumerate(all_losses)
    ]


def turns(*, transfer: float) -> list[int]:
    return [n for n in range(24) if is_delegated(n, trials(n, transfer=transfer))]


def test_every_fourth_trial_from_the_twelfth_on_is_left_to_tpe() -> None:
    assert turns(transfer=0.9) == [11, 15, 19, 23]


def test_every_second_is_where_the_trials_speak_against_the_sources() -> None:
    assert turns(transfer=0.01) == [11, 13, 15, 17, 19, 21, 23]


def test_trials_that_nobody_planned_say_nothing_against_the_sources() -> None:
    foreign = [
        StudyTrial(i, params={}, distributions={}, loss=0.01 * i, is_final=True, user_attrs={})
        for i in range(13)
    ]
    assert not is_delegated(13, foreign)
    assert is_delegated(13, [*trials(1, transfer=0.0), *foreign[1:]])


def test_the_last_planned_trial_tells() -> None:
    before = trials(12, transfer=0.0)
    assert is_delegated(13, [*before, *trials(13, transfer=0.0)[12:]])
    assert not is_delegated(13, [*before, *trials(13, transfer=0.5)[12:]])


def test_enqueued_trials_take_no_turn() -> None:
    asked_for = [replace(t, is_enqueued=t.number in (2, 11)) for t in trials(24)]
    assert [n for n in range(24) if is_delegated(n, asked_for[:n])] == [13, 17, 21]


def test_running_trials_count_but_ten_must_be_finished() -> None:
    assert not is_delegated(11, trials(11, losses=(None, None)))
    assert is_delegated(15, trials(15, losses=(None, None)))


def test_workers_on_one_study_have_turns_of_their_own() -> None:
    others = trials(16)
    turns = [n for n in range(16) if is_delegated(n, [t for t in others if t.number != n])]
    assert turns == [11, 15]


def test_where_many_trials_come_to_nothing_none_is_delegated() -> None:
    assert is_delegated(23, trials(23, losses=(math.inf,)))
    assert not is_delegated(23, trials(23, losses=(math.inf, math.inf)))


def test_where_all_losses_are_alike_nothing_speaks_against_the_sources() -> None:
    alike = trials(13, transfer=0.0, losses=(0.5,) * 13)
    assert not is_delegated(13, alike)
    assert is_delegated(13, trials(13, transfer=0.0, losses=(0.4,)))


@pytest.mark.parametrize(("choices", "expected"), [(range(6), set()), (range(400), {11, 15, 19})])
def test_a_small_grid_is_never_repeated(
    artifact: Artifact, choices: range, expected: set[int]
) -> None:
    def on_grid(trial: optuna.Trial) -> float:
        n = len(choices)
        C = trial.suggest_float("C", 1.0, float(n), step=1.0)
        gamma = trial.suggest_float("gamma", 0.1, n / 10, step=0.1)
        return abs(C - 2) + abs(gamma - 0.3)

    study = optuna.create_study(sampler=warm(artifact))
    study.optimize(on_grid, n_trials=24)
    assert len({tuple(t.params.values()) for t in study.trials}) == 24
    assert expected <= not_planned(study)
    assert bool(not_planned(study)) == bool(expected)


def test_room_is_counted_in_configurations() -> None:
    one = optuna.distributions.IntDistribution(3, 3)
    six = optuna.distributions.IntDistribution(0, 10, step=2)
    two = optuna.distributions.CategoricalDistribution(["a", "b"])
    ten = optuna.distributions.FloatDistribution(0.1, 1.0, step=0.1)
    anything = optuna.distributions.FloatDistribution(0, 1)
    finite = {"a": one, "b": six, "c": two, "d": ten}  # 120 configurations
    assert has_room(finite, 5)
    assert not has_room(finite, 6)
    assert has_room({**finite, "e": anything}, 10**6)


def test_explain_says_which_trials_were_left_to_tpe(artifact: Artifact) -> None:
    study = optuna.create_study(sampler=warm(artifact))
    study.optimize(objective, n_trials=13)
    frame = explain(study)
    assert list(frame["by"]) == ["meta-learner"] * 11 + ["tpe", "meta-learner"]
    assert frame["transfer"].isna().sum() == 1
    assert frame.attrs["meta_learner_share"] == pytest.approx(12 / 13)


class _OnlyOther(RandomSampler):
    """Serves one parameter, as a sampler of the user's may."""

    def sample_independent(
        self, study: optuna.Study, trial: Any, param_name: str, param_distribution: Any
    ) -> Any:
        assert param_name == "other"
        return super().sample_independent(study, trial, param_name, param_distribution)


def test_the_users_sampler_has_what_is_unknown_and_no_more(artifact: Artifact) -> None:
    def with_unknown(trial: optuna.Trial) -> float:
        return objective(trial) + trial.suggest_float("other", 0, 1)

    study = optuna.create_study(sampler=warm(artifact, then=_OnlyOther(seed=0)))
    study.optimize(with_unknown, n_trials=16)
    assert not_planned(study) >= {11, 15}


def test_a_group_of_tpe_can_serve_a_resumed_study(artifact: Artifact) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # group is experimental
        then = TPESampler(seed=0, multivariate=True, group=True)
    study = optuna.create_study(sampler=warm(artifact))
    study.optimize(objective, n_trials=3)
    study.sampler = warm(artifact, then=then)
    study.optimize(objective, n_trials=2)
    assert not not_planned(study)


def test_fixed_values_are_planned_around(artifact: Artifact) -> None:
    study = optuna.create_study(sampler=warm(artifact))
    study.optimize(objective, n_trials=11)
    study.enqueue_trial({"C": 2.0})
    study.optimize(objective, n_trials=1)
    assert study.trials[11].params["C"] == 2.0
    assert not not_planned(study)


def test_a_turn_that_an_enqueued_trial_came_upon_is_the_next_ones(artifact: Artifact) -> None:
    study = optuna.create_study(sampler=warm(artifact))
    study.optimize(objective, n_trials=11)
    study.enqueue_trial({"C": 2.0, "gamma": 0.1})
    study.optimize(objective, n_trials=2)
    assert list(explain(study)["by"])[11:] == ["enqueued", "tpe"]


def test_a_trial_stays_with_whom_it_began_when_its_sampler_forgets(artifact: Artifact) -> None:
    studies = [optuna.create_study(sampler=warm(artifact)) for _ in range(2)]
    for study in studies:
        study.optimize(objective, n_trials=11 + studies.index(study))
    spaces = {
        "C": optuna.distributions.FloatDistribution(1e-2, 1e4, log=True),
        "gamma": optuna.distributions.FloatDistribution(1e-5, 10, log=True),
    }
    whole = []
    for study, forgets in [(studies[0], False), (studies[0], True), (studies[1], True)]:
        copied = optuna.create_study(sampler=warm(artifact))
        copied.add_trials(study.trials)
        trial = copied.ask()
        for name, distribution in spaces.items():
            trial._suggest(name, distribution)
            if forgets:
                copied.sampler = warm(artifact)
        whole.append((trial.params, 11 in not_planned(copied)))
    assert whole[0] == whole[1]
    assert [left for _, left in whole] == [True, True, True]


def test_constraints_keep_all_trials_with_the_meta_learner(artifact: Artifact) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constraints_func is deprecated in Optuna 5
        then = TPESampler(seed=0, constraints_func=lambda trial: [-trial.params["C"]])
        study = optuna.create_study(sampler=warm(artifact, then=then))
        study.optimize(objective, n_trials=16)
    assert not not_planned(study)


def test_what_is_left_to_the_usual_sampler_depends_on_the_stored_trials_alone(
    artifact: Artifact, artifact_path: Path, tmp_path: Path
) -> None:
    whole = optuna.create_study(sampler=warm(artifact, seed=3))
    whole.optimize(objective, n_trials=20)
    assert not_planned(whole)
    storage = open_storage(str(tmp_path / "study.journal"))
    for _ in range(20):
        part = optuna.create_study(
            study_name="a", storage=storage, load_if_exists=True, sampler=warm(artifact, seed=3)
        )
        part.optimize(objective, n_trials=1)
    assert [t.params for t in part.trials] == [t.params for t in whole.trials]


def test_the_memoryless_sampler_differs_by_seed_trial_and_parameter() -> None:
    study = optuna.create_study(sampler=TPESampler(seed=0))
    study.optimize(objective, n_trials=15)
    trial = study.ask()
    frozen = study._storage.get_trial(trial._trial_id)
    unit = optuna.distributions.FloatDistribution(0, 1)

    def drawn(*key: Any) -> float:
        return float(memoryless_tpe(*key).sample_independent(study, frozen, "x", unit))

    draws = [drawn(0, 5, "C"), drawn(1, 5, "C"), drawn(0, 6, "C"), drawn(0, 5, "gamma")]
    assert len(set(draws)) == 4
    assert drawn(0, 5, "C") == draws[0]
