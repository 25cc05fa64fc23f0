"""Real runs and surrogates: these tests need the data, which is not part of the project."""

import numpy as np
import pytest

from metaopt.benchmarks.bench import run_benchmark
from metaopt.benchmarks.families import fold_of
from metaopt.benchmarks.options import BenchOptions
from metaopt.benchmarks.progress import Progress
from metaopt.benchmarks.sources import (
    POOLS,
    SOURCES,
    RecordedSource,
    data_directory,
    problems,
    source_histories,
)


def test_a_data_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        data_directory(tmp_path / "nowhere")


def test_an_unknown_source_is_refused(tmp_path):
    with pytest.raises(ValueError, match="lightgbm"):
        RecordedSource("lightgbm", tmp_path)


def test_no_family_straddles_folds_in_any_source(recorded_data):
    folds = {}
    for name in (*SOURCES, *POOLS):
        source = RecordedSource(name, recorded_data, n_configurations=5)
        families = source.families()
        of_history = {h.info.task: h.info.family for h in source.histories()}
        for task, family in families.items():
            assert of_history[task] == family
            folds.setdefault(family, set()).add(fold_of(family))
    assert all(len(of_family) == 1 for of_family in folds.values())
    tasks = {
        n: RecordedSource(n, recorded_data).families() for n in ("adaboost", "rpart", "lcbench")
    }
    assert tasks["adaboost"]["openml-task-20"] == tasks["rpart"]["openml-dataset-40979"] == "mfeat"
    assert tasks["adaboost"]["openml-task-29"] == tasks["lcbench"]["openml-task-167104"]


def test_histories_are_valid_and_what_the_problem_answers(recorded_data):
    for source in ("svc", "lcbench"):
        histories = source_histories(recorded_data, source, n_configurations=20)
        tasks = [h.info.task for h in histories]
        assert len(set(tasks)) == len(tasks)
        for history in histories:
            history.check()
            assert history.info.family
            assert history.info.space is not None
        assert any(h.info.descriptor for h in histories)
        by_task = {h.info.task: h for h in histories}
        (problem,) = problems(
            recorded_data,
            source,
            pool=True,
            tasks=[next(iter(RecordedSource(source, recorded_data).families()))],
        )
        history = by_task[problem.task]
        if source == "lcbench":
            np.testing.assert_allclose(
                problem.losses(history.configurations()), history.losses, atol=1e-5
            )
        else:
            assert problem.best == history.losses.min()
            assert set(problem.losses(history.configurations())) <= set(history.losses)


def test_more_random_configurations_begin_with_the_same(recorded_data):
    few = source_histories(recorded_data, "rpart", n_configurations=5)
    more = source_histories(recorded_data, "rpart", n_configurations=8)
    for a, b in zip(few, more, strict=True):
        assert a.configurations()[:5] == b.configurations()[:5]
        np.testing.assert_allclose(a.losses[:5], b.losses[:5], atol=1e-5)


def test_digests_tell_tasks_apart_and_stay_the_same_with_more_configurations(recorded_data):
    digests = RecordedSource("lcbench", recorded_data, n_configurations=7).digests()
    assert len(set(digests.values())) == len(digests) == 25
    assert digests == RecordedSource("lcbench", recorded_data, n_configurations=900).digests()


def test_a_benchmark_on_real_data_runs_from_end_to_end(recorded_data, tmp_path):
    report = run_benchmark(
        BenchOptions(
            results=tmp_path,
            data=recorded_data,
            sources=("svc/pool", "lcbench"),
            methods=("tpe", "portfolio_tpe", "nearest_tpe", "rgpe"),
            n_trials=12,
            n_seeds=1,
            n_reference_seeds=1,
            folds=(0,),
            n_tasks=1,
            n_training_tasks=6,
            n_configurations=60,
            n_jobs=1,
            plots=False,
        ),
        progress=Progress(quiet=True),
    )
    assert report.data["failures"] == []
    for source in ("svc/pool", "lcbench"):
        figures = report.data["sources"]["honest"][source]
        assert figures["portfolio_tpe"]["regret"]["1"] == figures["rgpe"]["regret"]["1"]
