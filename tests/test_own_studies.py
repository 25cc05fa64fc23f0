"""Studies of the user's own as sources: recorded, stored, and learned from without training."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import RandomSampler
from small_artifact import svc_histories

from metaopt import meta_train
from warmstart.errors import UnknownEstimatorError, WarmStartWarning
from warmstart.explanation import explain
from warmstart.recording import Recorder, record
from warmstart.sampler import WarmStartSampler
from warmstart.store import HistoryStore
from warmstart.suggestion import suggest

pytestmark = pytest.mark.usefixtures("quiet")

MODEL = "my.Model"


def loss(rate: float, layers: int, kind: str) -> float:
    """Best at a rate of 0.01 with 3 layers of the kind "deep"."""
    return (math.log10(rate) + 2) ** 2 + 0.3 * abs(layers - 3) + 2.0 * (kind != "deep")


def plain(trial: optuna.Trial) -> float:
    rate = trial.suggest_float("rate", 1e-5, 1, log=True)
    layers = trial.suggest_int("layers", 1, 9)
    return loss(rate, layers, trial.suggest_categorical("kind", ["flat", "deep", "wide"]))


def renamed(trial: optuna.Trial) -> float:
    rate = trial.suggest_float("fitter__rate", 1e-4, 1e-1, log=True)
    layers = trial.suggest_int("fitter__layers", 2, 12)
    return loss(rate, layers, trial.suggest_categorical("fitter__kind", ["wide", "deep"]))


def with_more(trial: optuna.Trial) -> float:
    return plain(trial) + 0.1 * trial.suggest_float("dropout", 0, 1)


def with_fewer(trial: optuna.Trial) -> float:
    return loss(trial.suggest_float("rate", 1e-6, 10, log=True), 3, "deep")


OBJECTIVES = (plain, renamed, with_more, with_fewer, plain)


def add_studies(
    store: HistoryStore, objectives: tuple[Callable[[optuna.Trial], float], ...]
) -> None:
    for i, objective in enumerate(objectives):
        study = optuna.create_study(study_name=f"old-{i}", sampler=RandomSampler(seed=i))
        study.optimize(objective, n_trials=30)
        assert record(study, store, estimator=MODEL) == 30


def tuned(sampler: WarmStartSampler, objective: Any, n_trials: int = 6) -> optuna.Study:
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=n_trials)
    return study


@pytest.mark.parametrize("n_studies", [1, 5])
@pytest.mark.parametrize("objective", [plain, renamed, with_fewer])
def test_own_studies_of_an_unknown_estimator_are_learned_from(
    store: HistoryStore, n_studies: int, objective: Any
) -> None:
    add_studies(store, OBJECTIVES[:n_studies])
    study = tuned(WarmStartSampler(estimator=MODEL, histories=store, seed=0), objective)
    frame = explain(study)
    assert (frame["by"] == "meta-learner").all()
    assert set(frame["estimator"]) == {MODEL}
    # At random, one trial in 250 is as good, and one in 40 is for the rate alone.
    assert study.best_value < 0.5


def test_a_parameter_that_no_study_had_is_not_planned_and_told(store: HistoryStore) -> None:
    add_studies(store, (plain, plain))
    frame = explain(tuned(WarmStartSampler(estimator=MODEL, histories=store, seed=0), with_more))
    assert set(frame.attrs["matched"]) == {"rate", "layers", "kind"}
    assert set(frame.attrs["unmatched"]) == {"dropout"}


def test_an_own_estimator_is_inferred_from_its_parameters(store: HistoryStore) -> None:
    add_studies(store, (plain, plain))
    study = tuned(WarmStartSampler(histories=store, seed=0), plain)
    assert explain(study)["estimator"].iloc[-1] == MODEL
    assert study.best_value < 0.5


@pytest.mark.parametrize("give", [lambda store: store.histories(), lambda store: str(store.path)])
def test_histories_and_the_path_of_a_store_are_as_good_as_a_store(
    store: HistoryStore, give: Callable[[HistoryStore], Any]
) -> None:
    add_studies(store, (plain,))
    expected = tuned(WarmStartSampler(estimator=MODEL, histories=store, seed=0), plain)
    given = tuned(WarmStartSampler(estimator=MODEL, histories=give(store), seed=0), plain)
    assert [t.params for t in given.trials] == [t.params for t in expected.trials]


def test_own_studies_of_a_known_estimator_are_drawn_on_beside_the_artifact() -> None:
    own = svc_histories(5)
    study = optuna.create_study(
        sampler=WarmStartSampler(estimator="sklearn.svm.SVC", histories=own, seed=0)
    )

    def objective(trial: optuna.Trial) -> float:
        C = trial.suggest_float("clf__C", 1e-3, 1e3, log=True)
        gamma = trial.suggest_float("clf__gamma", 1e-5, 1e1, log=True)
        return (math.log10(C) - 1) ** 2 + (math.log10(gamma) + 2) ** 2

    study.optimize(objective, n_trials=8)
    frame = explain(study)
    assert (frame["by"] == "meta-learner").all()
    named = {task for tasks in frame["tasks"] for task in tasks}
    assert named & {history.info.task for history in own}
    assert study.best_value < 0.3


def test_the_first_study_starts_with_a_warning_and_the_second_knows_it(
    store: HistoryStore,
) -> None:
    with pytest.warns(WarmStartWarning, match="Nothing is known of my.Model") as caught:
        first = WarmStartSampler(estimator=MODEL, histories=store, seed=0)
    assert len(caught) == 1
    study = optuna.create_study(study_name="first", sampler=first)
    study.optimize(plain, n_trials=25, callbacks=[Recorder(store, estimator=MODEL)])
    assert set(explain(study)["by"]) == {"then"}

    second = WarmStartSampler(estimator=MODEL, histories=store, seed=0)
    assert explain(tuned(second, plain)).attrs["meta_learner_share"] == 1.0


def test_without_histories_an_unknown_estimator_is_an_error() -> None:
    with pytest.raises(UnknownEstimatorError):
        WarmStartSampler(estimator=MODEL)


def test_studies_that_say_nothing_start_with_a_warning(store: HistoryStore) -> None:
    study = optuna.create_study(study_name="one", sampler=RandomSampler(seed=0))
    study.optimize(plain, n_trials=1)
    record(study, store, estimator=MODEL)
    with pytest.warns(WarmStartWarning, match="Nothing is known"):
        sampler = WarmStartSampler(estimator=MODEL, histories=store, seed=0)
    assert set(explain(tuned(sampler, plain))["by"]) == {"then"}


def test_an_artifact_of_an_own_estimator_serves_its_studies(
    store: HistoryStore, tmp_path: Path
) -> None:
    add_studies(store, OBJECTIVES)
    meta_train(store, tmp_path / "mine.safetensors")
    sampler = WarmStartSampler(estimator=MODEL, artifact=tmp_path / "mine.safetensors", seed=0)
    study = tuned(sampler, renamed)
    assert explain(study).attrs["meta_learner_share"] == 1.0
    assert study.best_value < 0.5
    inferred = tuned(WarmStartSampler(artifact=tmp_path / "mine.safetensors", seed=0), renamed)
    assert explain(inferred)["estimator"].iloc[-1] == MODEL
    best = suggest(MODEL, n=3, artifact=tmp_path / "mine.safetensors")
    assert len(best) == 3
    assert set(best[0]) >= {"fitter__rate"} or set(best[0]) >= {"rate"}


def test_a_task_of_the_own_histories_can_be_excluded(store: HistoryStore) -> None:
    add_studies(store, (plain, plain, plain))
    left_out = store.histories()[0].info.task
    sampler = WarmStartSampler(estimator=MODEL, histories=store, exclude=left_out, seed=0)
    assert [task.id for task in sampler.excluded_tasks()] == [left_out]
    frame = explain(tuned(sampler, plain))
    assert left_out not in {task for tasks in frame["tasks"] for task in tasks}


def test_a_study_never_draws_on_another_estimators_histories(store: HistoryStore) -> None:
    add_studies(store, (plain, plain))
    for history in svc_histories(2, estimator="other.Model"):
        store.add(history)
    frame = explain(tuned(WarmStartSampler(estimator=MODEL, histories=store, seed=0), plain))
    named = {task for tasks in frame["tasks"] for task in tasks}
    assert named <= {h.info.task for h in store.histories() if h.info.estimator == MODEL}
