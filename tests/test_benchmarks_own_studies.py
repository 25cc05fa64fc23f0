from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from benchmark_synthetic import SPACE, BowlSource

from metaopt.benchmarks.bench import run_benchmark
from metaopt.benchmarks.options import BenchOptions
from metaopt.benchmarks.own_studies import cma_of_own, own_studies, warmstart_of_own
from metaopt.benchmarks.progress import Progress
from metaopt.benchmarks.runs import run_study, suggest_configuration

SOURCE = BowlSource(n_tasks=14, n_trials=80)
# Optuna marks source_trials as experimental.
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture(scope="module")
def histories():
    return SOURCE.histories()


@pytest.fixture(scope="module")
def studies(histories):
    return own_studies(histories[2:], n_studies=5, n_trials=30)


@pytest.fixture(scope="module")
def problem():
    return SOURCE.problems(["bowl-0"])[0]


def test_studies_are_of_different_families_and_of_the_asked_length(studies):
    assert [len(study) for study in studies] == [30] * 5
    assert len({study.info.family for study in studies}) == 5


def test_every_trial_is_a_recorded_run_and_none_is_there_twice(histories, studies):
    recorded = {history.info.task: history for history in histories}
    for study in studies:
        history = recorded[study.info.task]
        runs = list(zip(history.configurations(), history.losses, strict=True))
        at = [runs.index(run) for run in zip(study.configurations(), study.losses, strict=True)]
        assert len(set(at)) == len(study)


def test_studies_look_for_low_losses(histories, studies):
    recorded = {history.info.task: history.losses.mean() for history in histories}
    later = [study.losses[15:].mean() / recorded[study.info.task] for study in studies]
    assert np.mean(later) < 0.8


def test_the_seed_decides_which_studies(histories, studies):
    def told(given):
        return [(study.info.task, study.losses.tolist()) for study in given]

    assert told(own_studies(histories[2:], n_studies=5, n_trials=30)) == told(studies)
    assert told(own_studies(histories[2:], n_studies=5, n_trials=30, seed=1)) != told(studies)


def test_flat_histories_are_passed_over_and_short_ones_come_last(histories):
    flat = replace(histories[0], losses=np.full(80, 0.5))
    short = histories[4].subset(slice(12))
    chosen = own_studies([flat, short, histories[6], histories[8]], n_studies=3, n_trials=30)
    assert {study.info.task for study in chosen[:2]} == {"bowl-6", "bowl-8"}
    assert (chosen[2].info.task, len(chosen[2])) == ("bowl-4", 12)


def test_failed_runs_are_no_trials(histories):
    losses = histories[0].losses.copy()
    losses[:70] = np.nan
    (study,) = own_studies([replace(histories[0], losses=losses)], n_studies=1, n_trials=30)
    assert sorted(study.losses) == sorted(losses[70:])


def test_too_few_families_are_an_error(histories):
    with pytest.raises(ValueError, match=r"Histories of 2 families .* expected at least 5"):
        own_studies(histories[:4], n_studies=5, n_trials=30)


def test_a_history_without_a_space_is_an_error(histories):
    bare = replace(histories[0], info=replace(histories[0].info, space=None))
    with pytest.raises(ValueError, match="'bowl-0' without a space"):
        own_studies([bare], n_studies=1, n_trials=30)


def test_the_product_proposes_all_trials_from_studies_of_an_unknown_estimator(studies, problem):
    sampler = warmstart_of_own(studies, problem, 0)
    run = run_study(problem, sampler, n_trials=8)
    assert all("warmstart" in attributes for attributes in run.attributes)
    assert run.losses[:3].min() < np.median(run_study(problem, _random(), n_trials=50).losses)


def test_renamed_parameters_are_taken_for_those_of_the_study(studies, problem):
    sampler = warmstart_of_own(studies, problem, 0)
    study = optuna.create_study(sampler=sampler)
    for _ in range(10):
        trial = study.ask()
        study.tell(trial, problem.losses([suggest_configuration(trial, SPACE)])[0])
    matched = sampler.alignment(study).matched
    assert {name: match.canonical for name, match in matched.items()} == {
        name: f"model__{name}" for name in SPACE.parameters
    }


def test_cma_starts_among_the_best_of_the_sources_and_leaves_the_rest_to_tpe(studies, problem):
    sampler = cma_of_own(studies, problem, 0)
    study = optuna.create_study(sampler=sampler)
    for _ in range(12):
        trial = study.ask()
        study.tell(trial, problem.losses([suggest_configuration(trial, SPACE)])[0])
    space = sampler.infer_relative_search_space(study, study.trials[-1])
    assert set(space) == {"x", "rate"}
    assert abs(np.median([trial.params["x"] for trial in study.trials[1:]]) - 0.7) < 0.15
    assert {trial.params["kind"] for trial in study.trials} == {"wide", "narrow"}


def test_both_ways_and_tpe_are_compared_end_to_end(tmp_path):
    options = replace(
        BenchOptions.own_studies(results=Path(tmp_path), n_jobs=1),
        n_trials=12,
        n_tasks=1,
        folds=(0, 1),
        plots=False,
    )
    report = run_benchmark(options, sources=[SOURCE], progress=Progress(quiet=True))
    assert report.data["failures"] == []
    figures = report.data["sources"]["honest"]["bowls"]
    assert set(figures) == {"tpe", "cmaes5", "own5"}
    assert figures["own5"]["proposed"] == pytest.approx(11 / 12)  # the twelfth is TPE's
    assert figures["own5"]["area"] < figures["tpe"]["area"]
    assert [(test["method"], test["other"]) for test in report.data["tests"]] == [
        ("own5", "tpe"),
        ("own5", "cmaes5"),
    ]


def _random():
    return optuna.samplers.RandomSampler(seed=0)
