"""Reading a data directory of recorded runs and surrogates: here an invented one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from invented_data import BOOSTERS, N_RUNS, TASKS, weights_of, write_invented_data
from typer.testing import CliRunner

from metaopt.benchmarks.data_directory import data_directory
from metaopt.benchmarks.families import fold_of
from metaopt.benchmarks.sources import (
    POOLS,
    SOURCES,
    RecordedSource,
    problems,
    source_histories,
)
from metaopt.benchmarks.tables import TABLES
from metaopt.cli.app import app
from metaopt.training import train_artifact
from warmstart.artifact import read_artifact
from warmstart.prior_file import estimators_in

#: Where one of the invented tasks is tested.
FOLD = str(fold_of("spambase"))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_invented_data(tmp_path_factory.mktemp("data"))


def test_the_environment_says_where_the_data_are(data, monkeypatch):
    monkeypatch.setenv("WARMSTART_DATA", str(data))
    assert data_directory() == data


def test_without_data_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.delenv("WARMSTART_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="pass --data or set WARMSTART_DATA"):
        data_directory()


@pytest.mark.parametrize("source", TABLES)
def test_a_table_is_read_task_by_task_with_values_of_its_space(data, source):
    histories = source_histories(data, source)
    assert [h.info.task for h in histories] == [f"openml-task-{task}" for task in TASKS]
    for history, (dataset, name) in zip(histories, TASKS.values(), strict=True):
        assert len(history) == N_RUNS
        assert (history.info.dataset, history.info.name) == (f"openml-dataset-{dataset}", name)
        assert history.info.descriptor is not None
        history.check()  # that its values lie in its space
    for history in histories:
        for configuration in history.configurations():
            space = TABLES[source].space
            assert all(
                (name in configuration) == space.is_active(name, configuration)
                for name in space.parameters
            )


@pytest.mark.parametrize("source", TABLES)
def test_a_pool_answers_with_its_runs_and_a_forest_near_them(data, source):
    history = source_histories(data, source)[0]
    (pool,) = problems(data, source, pool=True, tasks=[history.info.task])
    (forest,) = problems(data, source, tasks=[history.info.task])
    assert pool.losses(history.configurations()) == pytest.approx(history.losses)
    assert (pool.best, pool.worst) == (history.losses.min(), history.losses.max())
    near = forest.losses(history.configurations())
    assert np.corrcoef(near, history.losses)[0, 1] > 0.8


def test_a_surrogate_is_fed_by_its_own_names_codes_and_fidelity(data):
    problem = problems(data, "xgboost")[0]
    configuration = {"booster": "gbtree", "n_estimators": 100, "learning_rate": 0.5}
    # The first instance, the booster's code, the epoch, then numbers, inactive ones as 0.
    row = np.array([1, BOOSTERS["gbtree"], 50, 100, 0.5, 0.0])
    accuracy = -((row @ weights_of("xgboost"))[1] ** 2)
    assert problem.losses([configuration])[0] == pytest.approx(-accuracy, rel=1e-5)


def test_a_surrogates_space_has_its_conditions(data):
    space = problems(data, "xgboost")[0].space
    assert set(space.parameters) == {"booster", "n_estimators", "learning_rate", "rate_drop"}
    assert space.conditions["learning_rate"].values == ("gbtree", "dart")
    assert space.conditions["rate_drop"].values == ("dart",)


@pytest.mark.parametrize("source", ["xgboost", "rpart", "lcbench"])
def test_a_surrogates_histories_go_on_near_the_best(data, source):
    few = source_histories(data, source, n_configurations=20)
    more = source_histories(data, source, n_configurations=40)
    for a, b, problem in zip(few, more, problems(data, source), strict=True):
        assert (len(a), len(b)) == (40, 80)
        assert a.configurations()[:20] == b.configurations()[:20]
        assert a.losses == pytest.approx(problem.losses(a.configurations()), rel=1e-4, abs=1e-6)
        assert np.median(b.losses[40:]) < np.median(b.losses[:40])


def test_one_family_is_one_family_in_all_sources(data):
    for source in (*SOURCES, *POOLS):
        families = RecordedSource(source, data).families()
        assert len(families) == len(TASKS)
        assert len(set(families.values())) == len(TASKS) - 1


def test_digests_tell_tasks_apart_and_stay_with_more_configurations(data):
    for source in ("svc", "rpart"):
        digests = RecordedSource(source, data, n_configurations=7).digests()
        assert len(set(digests.values())) == len(TASKS)
        assert digests == RecordedSource(source, data, n_configurations=90).digests()


def test_the_recipe_of_the_shipped_artifact_learns_surrogates(data, tmp_path):
    report = train_artifact(None, data, out=tmp_path / "a", estimators=["rpart"])
    assert estimators_in(read_artifact(tmp_path / "a")) == ["rpart"]
    sampling = report.card["surrogates"]["sampling"]
    n = sampling["n_random"] + sampling["n_rounds"] * sampling["n_local"]
    assert report.card["estimators"]["rpart"]["n_trials"] == len(TASKS) * n


def test_the_benchmark_command_runs_all_sources_and_methods_and_goes_on(data, tmp_path):
    command = ["bench", "--data", str(data), "--results", str(tmp_path), "--json", "--jobs", "1"]
    command += ["--trials", "6", "--seeds", "1", "--reference-seeds", "1", "--fold", FOLD]
    for method in ("tpe", "portfolio_tpe", "nearest_tpe", "rgpe", "warmstart"):
        command += ["--method", method]
    for source in ("svc", "svc/pool", "xgboost"):
        command += ["--source", source]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["failures"] == []
    for source in ("svc", "svc/pool", "xgboost"):
        assert report["sources"]["honest"][source]["warmstart"]["proposed"] == 1.0
    written = (tmp_path / "results.jsonl").read_text()
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 0
    assert (tmp_path / "results.jsonl").read_text() == written
