from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.samplers import RandomSampler
from sampler_worker import mixed_objective, not_planned, objective, warm
from small_artifact import svc_histories, write_small_artifact

from warmstart.artifact import Artifact
from warmstart.descriptor import describe
from warmstart.explanation import explain
from warmstart.sampler import WarmStartSampler

pytestmark = pytest.mark.usefixtures("quiet")


def test_each_trial_has_a_row_that_says_who_chose_it_and_why(artifact: Artifact) -> None:
    study = optuna.create_study(sampler=warm(artifact))
    study.optimize(mixed_objective, n_trials=8)
    frame = explain(study)
    assert list(frame["number"]) == list(range(8))
    assert list(frame["value"]) == [trial.value for trial in study.trials]
    assert set(frame["state"]) == {"COMPLETE"}
    assert set(frame["by"]) == {"meta-learner"}
    assert set(frame["estimator"]) == {"sklearn.svm.SVC"}
    assert all(artifact.digest.startswith(digest) for digest in frame["artifact"])
    assert frame.attrs["meta_learner_share"] == 1.0
    assert set(frame.attrs["matched"]) == {"C", "gamma"}
    assert set(frame.attrs["unmatched"]) == {"chunk_rows", "colour"}
    assert frame.attrs["matched"]["C"].startswith("C: ")
    assert set(frame["tasks"][0]) <= {f"task-{i}" for i in range(4)}


def test_the_portfolio_has_its_say_first_and_less_later(artifact: Artifact) -> None:
    study = optuna.create_study(sampler=warm(artifact))
    study.optimize(objective, n_trials=15)
    portfolio = explain(study)["portfolio"].to_numpy()
    assert portfolio[0] == 1.0
    assert portfolio[14] < 0.2
    assert list(np.flatnonzero(np.isnan(portfolio))) == sorted(not_planned(study))
    portfolio = portfolio[~np.isnan(portfolio)]
    assert ((portfolio >= 0) & (portfolio <= 1)).all()


def test_trials_of_other_samplers_count_as_proposed_by_then(artifact: Artifact) -> None:
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    study.optimize(objective, n_trials=3)
    assert set(explain(study)["by"]) == {"then"}
    study.sampler = warm(artifact)
    study.optimize(objective, n_trials=1)
    frame = explain(study)
    assert list(frame["by"]) == ["then", "then", "then", "meta-learner"]
    assert frame.attrs["meta_learner_share"] == 0.25


def test_enqueued_trials_are_called_so_unless_a_sampler_chose_the_rest(artifact: Artifact) -> None:
    study = optuna.create_study(sampler=warm(artifact))
    study.enqueue_trial({"C": 1.0, "gamma": 0.1})
    study.enqueue_trial({"C": 1.0})
    study.optimize(objective, n_trials=3)
    assert list(explain(study)["by"]) == ["enqueued", "meta-learner", "meta-learner"]
    study.sampler = RandomSampler(seed=0)
    study.enqueue_trial({"C": 1.0})
    study.optimize(objective, n_trials=1)
    assert list(explain(study)["by"])[3] == "then"


def test_an_empty_study_has_an_empty_frame(artifact: Artifact) -> None:
    frame = explain(optuna.create_study(sampler=warm(artifact)))
    assert len(frame) == 0
    assert "by" in frame.columns
    assert frame.attrs["meta_learner_share"] == 0.0


def test_several_objectives_have_no_value(artifact: Artifact) -> None:
    study = optuna.create_study(directions=["minimize"] * 2, sampler=warm(artifact))
    study.optimize(lambda trial: (objective(trial), 0.0), n_trials=2)
    frame = explain(study)
    assert frame["value"].isna().all()
    assert set(frame["by"]) == {"then"}


def test_running_failed_and_pruned_trials_have_rows(artifact: Artifact) -> None:
    study = optuna.create_study(sampler=warm(artifact))
    for state in ("FAIL", "PRUNED"):
        trial = study.ask()
        objective(trial)
        study.tell(trial, state=optuna.trial.TrialState[state])
    objective(study.ask())
    assert list(explain(study)["state"]) == ["FAIL", "PRUNED", "RUNNING"]
    assert set(explain(study)["by"]) == {"meta-learner"}


def test_look_alikes_and_what_was_left_out_are_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 5)) * [1, 2, 5, 9, 0.1]
    y = (X[:, 0] > 0.3).astype(int)
    path = write_small_artifact(tmp_path / "a", descriptors=[describe(X, y)])
    sampler = WarmStartSampler(
        estimator="sklearn.svm.SVC",
        artifact=path,
        task=describe(X[:250], y[:250]),
        exclude="similar",
        seed=0,
    )
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=2)
    frame = explain(study)
    assert frame.attrs["similar"] == ["name-0"]
    assert frame.attrs["excluded"] == ["name-0"]
    assert frame.attrs["n_excluded"] == 1
    assert [task.name for task in sampler.excluded_tasks()] == ["name-0"]
    assert [task.name for task, reason in sampler.similar_tasks() if reason] == ["name-0"]
    assert "task-0" not in {task for tasks in frame["tasks"] for task in tasks}


def test_the_own_histories_of_a_study_are_named(artifact: Artifact) -> None:
    sampler = WarmStartSampler(
        estimator="my.Model", histories=svc_histories(3, estimator="my.Model"), seed=0
    )
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=2)
    assert set(explain(study)["tasks"][1]) == {"task-0", "task-1", "task-2"}
