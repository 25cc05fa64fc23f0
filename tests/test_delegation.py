"""Which trials are left to another sampler."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler, TPESampler
from sampler_worker import left_to_then, objective, open_storage, warm

from warmstart.artifact import Artifact
from warmstart.delegation import is_delegated, memoryless_tpe
from warmstart.explanation import explain
from warmstart.provenance import ATTRIBUTE
from warmstart.study_trials import StudyTrial

pytestmark = pytest.mark.usefixtures("quiet")


def trials(
    n: int, *, transfer: float = 1.0, losses: tuple[float | None, ...] = ()
) -> list[StudyTrial]:
    """Planned trials; those at the end have the losses given."""
    attributes = {ATTRIBUTE: json.dumps({"by": "meta-learner", "transfer": transfer})}
    all_losses = [*[0.5] * (n - len(losses)), *losses]
    return [
        StudyTrial(
            number=i, params={}, distributions={}, loss=loss, is_final=True, user_attrs=attributes
        )
        for i, loss in enumerate(all_losses)
    ]


def turns(*, transfer: float) -> list[int]:
    return [n for n in range(24) if is_delegated(n, trials(n, transfer=transfer))]


def test_every_fourth_trial_from_the_twelfth_on_is_left_to_another_sampler() -> None:
    assert turns(transfer=0.9) == [11, 15, 19, 23]


def test_every_second_is_where_the_trials_speak_against_the_sources() -> None:
    assert turns(transfer=0.01) == [11, 13, 15, 17, 19, 21, 23]


def test_trials_that_nobody_planned_say_nothing_against_the_sources() -> None:
    foreign = [
        StudyTrial(i, params={}, distributions={}, loss=0.5, is_final=True, user_attrs={})
        for i in range(13)
    ]
    assert not is_delegated(13, foreign)
    assert is_delegated(13, [*trials(1, transfer=0.0), *foreign[1:]])


def test_the_last_planned_trial_tells() -> None:
    before = trials(12, transfer=0.0)
    assert is_delegated(13, [*before, *trials(13, transfer=0.0)[12:]])
    assert not is_delegated(13, [*before, *trials(13, transfer=0.5)[12:]])


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


class _Counting(RandomSampler):
    """Notes which trials it samples, and how."""

    def __init__(self) -> None:
        super().__init__(seed=0)
        self.jointly: list[int] = []
        self.alone: list[int] = []

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return optuna.search_space.intersection_search_space(study.get_trials(deepcopy=False))

    def sample_relative(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        if search_space:
            self.jointly.append(trial.number)
        return {
            name: super(_Counting, self).sample_independent(study, trial, name, distribution)
            for name, distribution in search_space.items()
        }

    def sample_independent(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        self.alone.append(trial.number)
        return super().sample_independent(study, trial, param_name, param_distribution)


def test_a_sampler_of_the_users_has_its_trials_as_a_whole_and_no_others(
    artifact: Artifact,
) -> None:
    then = _Counting()
    study = optuna.create_study(sampler=warm(artifact, then=then))
    study.optimize(objective, n_trials=20)
    assert set(then.jointly) == left_to_then(study) >= {11, 15, 19}
    assert not then.alone
    frame = explain(study)
    assert set(frame.index[frame["by"] == "then"]) == left_to_then(study)


def test_constraints_keep_all_trials_with_the_meta_learner(artifact: Artifact) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constraints_func is deprecated in Optuna 5
        then = TPESampler(seed=0, constraints_func=lambda trial: [-trial.params["C"]])
        study = optuna.create_study(sampler=warm(artifact, then=then))
        study.optimize(objective, n_trials=16)
    assert not left_to_then(study)


def test_what_is_left_to_the_usual_sampler_depends_on_the_stored_trials_alone(
    artifact: Artifact, artifact_path: Path, tmp_path: Path
) -> None:
    whole = optuna.create_study(sampler=warm(artifact, seed=3))
    whole.optimize(objective, n_trials=20)
    assert left_to_then(whole)
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
