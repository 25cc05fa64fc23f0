"""What Optuna's own suite leaves out: reproducibility, state, other trials, other studies."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import sampler_worker
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import PartialFixedSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from sampler_worker import (
    ESTIMATOR,
    TURNS_OF_TPE,
    mixed_objective,
    not_planned,
    objective,
    warm,
)
from small_artifact import svc_histories, write_small_artifact

import warmstart
from warmstart.artifact import Artifact, read_artifact
from warmstart.descriptor import describe
from warmstart.errors import WarmStartWarning
from warmstart.explanation import explain
from warmstart.provenance import ATTRIBUTE, LONGEST, META_LEARNER, read_provenance
from warmstart.sampler import WarmStartSampler
from warmstart.store import HistoryStore

pytestmark = pytest.mark.usefixtures("quiet")

KNOWN: dict[str, BaseDistribution] = {
    "C": FloatDistribution(1e-2, 1e4, log=True),
    "gamma": FloatDistribution(1e-5, 10, log=True),
}


def run(
    sampler: optuna.samplers.BaseSampler,
    n_trials: int,
    *,
    of: Callable[[optuna.Trial], Any] = objective,
    **options: Any,
) -> Study:
    study = optuna.create_study(sampler=sampler, **options)
    study.optimize(of, n_trials=n_trials)
    return study


def params_of(study: Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.get_trials(deepcopy=False)]


@contextlib.contextmanager
def logged() -> Iterator[list[str]]:
    """What the sampler logs meanwhile."""
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("optuna.warmstart")
    optuna.logging.set_verbosity(optuna.logging.INFO)
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)


def share(study: Study) -> float:
    return float(explain(study).attrs["meta_learner_share"])


def log_C(trial: FrozenTrial) -> float:
    return math.log10(trial.params["C"])


# Reproducibility


def in_another_process(
    where: str, n_trials: int, *, artifact: Path, hash_seed: int = 0, seed: int = 0
) -> list[dict[str, Any]]:
    command = [sys.executable, sampler_worker.__file__, where, str(n_trials), str(seed), artifact]
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return [json.loads(line)[1] for line in done.stdout.splitlines()]


def test_the_same_seed_proposes_the_same_in_every_process(artifact_path: Path) -> None:
    here = params_of(run(warm(str(artifact_path)), 15, of=mixed_objective))
    for hash_seed in (1, 2):
        there = in_another_process("memory", 15, artifact=artifact_path, hash_seed=hash_seed)
        assert there == here


def test_the_order_in_which_values_are_asked_for_after_the_first_trial_changes_nothing(
    artifact: Artifact,
) -> None:
    def reversed_objective(trial: optuna.Trial) -> float:
        trial.suggest_float("gamma", 1e-5, 10, log=True)
        return objective(trial)

    assert params_of(run(warm(artifact), 8)) == [
        {"C": p["C"], "gamma": p["gamma"]}
        for p in params_of(run(warm(artifact), 8, of=reversed_objective))
    ]


def test_another_seed_goes_another_way(artifact: Artifact) -> None:
    assert params_of(run(warm(artifact), 10)) != params_of(run(warm(artifact, seed=1), 10))


def test_without_a_seed_two_samplers_differ(artifact: Artifact) -> None:
    studies = [run(WarmStartSampler(estimator=ESTIMATOR, artifact=artifact), 10) for _ in range(2)]
    assert params_of(studies[0]) != params_of(studies[1])


def test_reseeding_changes_then_and_leaves_what_is_known_as_it_was(artifact: Artifact) -> None:
    def then_and_known() -> tuple[list[Any], list[Any]]:
        sampler = warm(artifact, then=RandomSampler(seed=0))
        if reseed:
            sampler.reseed_rng()
        study = run(sampler, 1, of=mixed_objective)
        params = study.trials[0].params
        return [params["chunk_rows"], params["colour"]], [params["C"], params["gamma"]]

    reseed = False
    before = then_and_known()
    assert then_and_known() == before
    reseed = True
    after = [then_and_known() for _ in range(4)]
    assert any(then != before[0] for then, _ in after)
    assert all(known == before[1] for _, known in after)


def test_maximising_the_negative_proposes_the_same(artifact: Artifact) -> None:
    down = run(warm(artifact), 15)
    up = run(warm(artifact), 15, of=lambda t: -objective(t), direction="maximize")
    assert params_of(down) == params_of(up)


def test_the_unit_and_the_offset_of_the_objective_do_not_matter(artifact: Artifact) -> None:
    plain = run(warm(artifact), 8)
    scaled = run(warm(artifact), 8, of=lambda t: 1024.0 * objective(t) - 4096.0)
    for a, b in zip(params_of(plain), params_of(scaled), strict=True):
        assert a == pytest.approx(b, rel=1e-3)


# Pickling and resuming


def test_a_pickled_sampler_proposes_what_the_original_would(artifact: Artifact) -> None:
    expected = params_of(run(warm(artifact), 8))
    assert params_of(run(pickle.loads(pickle.dumps(warm(artifact))), 8)) == expected


def test_a_sampler_pickled_in_the_middle_of_a_study_goes_on_as_the_original(
    artifact: Artifact,
) -> None:
    expected = params_of(run(warm(artifact), 12, of=mixed_objective))
    study = run(warm(artifact), 6, of=mixed_objective)
    study.sampler = pickle.loads(pickle.dumps(study.sampler))
    study.optimize(mixed_objective, n_trials=6)
    assert params_of(study) == expected


def test_a_sampler_with_a_store_of_histories_can_be_pickled(tmp_path: Path) -> None:
    with HistoryStore(tmp_path / "store") as store:
        for history in svc_histories(estimator="my.Model"):
            store.add(history)
        sampler = WarmStartSampler(estimator="my.Model", histories=store, seed=0)
        expected = params_of(run(sampler, 5))
        unpickled = pickle.loads(pickle.dumps(sampler))
    assert params_of(run(unpickled, 5)) == expected


def test_a_sampler_can_be_pickled_between_ask_and_tell(artifact: Artifact) -> None:
    study = optuna.create_study(sampler=warm(artifact))
    trial = study.ask()
    C = trial.suggest_float("C", 1e-2, 1e4, log=True)
    study.sampler = pickle.loads(pickle.dumps(study.sampler))
    gamma = trial.suggest_float("gamma", 1e-5, 10, log=True)
    study.tell(trial, 1.0)
    whole = run(warm(artifact), 1).trials[0].params
    assert whole["C"] == C
    assert gamma == pytest.approx(whole["gamma"], rel=0.5)  # planned anew around the same C


# Trials that came from elsewhere, or came to nothing


def test_an_enqueued_trial_is_run_as_it_is_and_learned_from(artifact: Artifact) -> None:
    study = optuna.create_study(sampler=warm(artifact))
    study.enqueue_trial({"C": 1.0, "gamma": 0.1})
    study.optimize(objective, n_trials=8)
    assert study.trials[0].params == {"C": 1.0, "gamma": 0.1}
    assert list(explain(study)["by"]) == ["enqueued"] + ["meta-learner"] * 7
    assert params_of(study)[1:] != params_of(run(warm(artifact), 7))


@pytest.mark.parametrize("fixed", [{"C": 0.02}, {"gamma": 3.0}])
def test_the_plan_of_a_partly_enqueued_trial_is_made_around_what_is_fixed(
    ridge: Artifact, fixed: dict[str, float]
) -> None:
    study = optuna.create_study(sampler=warm(ridge))
    study.enqueue_trial(fixed)
    study.optimize(objective, n_trials=1)
    params = study.trials[0].params
    assert {name: params[name] for name in fixed} == fixed
    # On the ridge, the one value follows from the other.
    assert math.log10(params["C"]) + math.log10(params["gamma"]) == pytest.approx(0.0, abs=1.0)
    assert explain(study)["by"][0] == META_LEARNER


@pytest.mark.parametrize("fixed", [{"C": 0.02}, {"gamma": 3.0}])
def test_partial_fixed_sampling_plans_around_what_is_fixed(
    ridge: Artifact, fixed: dict[str, float]
) -> None:
    study = optuna.create_study(sampler=PartialFixedSampler(fixed, warm(ridge)))
    study.optimize(objective, n_trials=10)
    for trial in study.trials:
        assert {name: trial.params[name] for name in fixed} == fixed
    first = study.trials[0].params
    assert math.log10(first["C"]) + math.log10(first["gamma"]) == pytest.approx(0.0, abs=1.0)


def test_partial_fixed_sampling_works_under_hyperband(ridge: Artifact) -> None:
    pruner = optuna.pruners.HyperbandPruner()
    sampler = PartialFixedSampler({"gamma": 3.0}, warm(ridge))
    study = optuna.create_study(sampler=sampler, pruner=pruner)
    study.optimize(objective, n_trials=3)
    assert all(trial.params["gamma"] == 3.0 for trial in study.trials)


def test_a_retried_trial_is_not_planned_anew(artifact: Artifact) -> None:
    study = run(warm(artifact), 2)
    again = study.trials[1]
    study.enqueue_trial(again.params, user_attrs=again.user_attrs)
    study.optimize(objective, n_trials=2)
    assert study.trials[2].params == again.params
    assert study.trials[3].params != again.params


@pytest.fixture(scope="module")
def ridge(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """What was learned on tasks that are best wherever ``C * gamma`` is 1."""
    from metaopt import meta_train
    from warmstart.history import History, TaskInfo, Trial

    rng = np.random.default_rng(0)
    histories = []
    for task in range(4):
        C, gamma = 10 ** rng.uniform(-2, 4, 80), 10 ** rng.uniform(-5, 1, 80)
        losses = (np.log10(C) + np.log10(gamma)) ** 2 + 0.01 * rng.standard_normal(80)
        trials = [
            Trial({"C": float(c), "gamma": float(g)}, float(loss))
            for c, g, loss in zip(C, gamma, losses, strict=True)
        ]
        info = TaskInfo(ESTIMATOR, f"task-{task}", "accuracy", "invented")
        histories.append(History.from_trials(info, trials))
    path = tmp_path_factory.mktemp("ridge") / "ridge.safetensors"
    meta_train(histories, path)
    return read_artifact(path)


@pytest.mark.parametrize("how", ["raises", "nan", "pruned", "infinite"])
def test_the_sampler_goes_where_trials_do_not_come_to_nothing(
    artifact: Artifact, how: str
) -> None:
    def fragile(trial: optuna.Trial) -> float:
        loss = objective(trial)
        if trial.params["C"] < 100:
            return loss
        if how == "raises":
            raise ArithmeticError
        if how == "pruned":
            trial.report(100.0, step=1)
            raise optuna.TrialPruned
        return math.nan if how == "nan" else math.inf

    study = optuna.create_study(sampler=warm(artifact))
    study.optimize(fragile, n_trials=30, catch=ArithmeticError)
    assert len(study.trials) == 30
    assert not_planned(study) <= TURNS_OF_TPE
    # A third of the space comes to nothing, and no source said so.
    assert sum(log_C(trial) >= 2.0 for trial in study.trials) <= 3
    assert study.best_value < 0.1


def test_where_every_trial_fails_each_one_is_another(artifact: Artifact) -> None:
    def failing(trial: optuna.Trial) -> float:
        objective(trial)
        raise ArithmeticError

    study = optuna.create_study(sampler=warm(artifact))
    study.optimize(failing, n_trials=12, catch=ArithmeticError)
    assert all(trial.state == TrialState.FAIL for trial in study.trials)
    assert len({tuple(p.values()) for p in params_of(study)}) == 12


def feasible_share(study: Study) -> float:
    return float(np.mean([log_C(trial) <= -0.5 for trial in study.trials[15:]]))


def violation(trial: optuna.Trial | FrozenTrial) -> float:
    return math.log10(trial.params["C"]) + 0.5


def test_constraints_of_then_are_kept_to(artifact: Artifact) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constraints_func is deprecated in Optuna 5
        then = TPESampler(seed=0, constraints_func=lambda trial: [violation(trial)])
        study = run(warm(artifact, then=then), 30)
    assert feasible_share(study) > 0.6
    assert not not_planned(study)
    free = run(warm(artifact), 30)
    planned = [t for t in free.trials[15:] if t.number not in not_planned(free)]
    assert np.mean([log_C(trial) <= -0.5 for trial in planned]) < 0.3


@pytest.mark.skipif(
    not hasattr(optuna.Trial, "set_constraint"),
    reason="Trial.set_constraint came with Optuna 5; what Optuna 4 has is tested above",
)
def test_constraints_of_trials_are_kept_to(artifact: Artifact) -> None:
    def constrained(trial: optuna.Trial) -> float:
        loss = objective(trial)
        trial.set_constraint("small", violation(trial))
        return loss

    assert feasible_share(run(warm(artifact), 30, of=constrained)) > 0.6


def test_under_hyperband_the_sampler_sees_all_trials(artifact: Artifact) -> None:
    def steps(trial: optuna.Trial) -> float:
        loss = objective(trial)
        for step in range(9):
            trial.report(loss + 1 / (step + 1), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return loss

    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9)
    study = run(warm(artifact), 30, of=steps, pruner=pruner, study_name="hyperband")
    assert {t.state for t in study.trials} >= {TrialState.COMPLETE, TrialState.PRUNED}
    assert not_planned(study) <= TURNS_OF_TPE
    assert len({tuple(p.values()) for p in params_of(study)}) == 30
    assert study.best_value < 0.1


def test_ask_and_tell_proposes_what_optimize_does(artifact: Artifact) -> None:
    study = optuna.create_study(sampler=warm(artifact))
    for _ in range(8):
        trial = study.ask()
        study.tell(trial, objective(trial))
    assert params_of(study) == params_of(run(warm(artifact), 8))


def test_trials_asked_for_all_at_once_differ(artifact: Artifact) -> None:
    study = optuna.create_study(sampler=warm(artifact))
    trials = [study.ask(KNOWN) for _ in range(16)]
    assert len({tuple(trial.params.values()) for trial in trials}) == 16


# Spaces


def test_the_first_configuration_is_the_best_known_whether_the_space_is_declared_or_not(
    artifact: Artifact,
) -> None:
    declared = optuna.create_study(sampler=warm(artifact)).ask(KNOWN)
    backwards = optuna.create_study(sampler=warm(artifact)).ask(dict(reversed(KNOWN.items())))
    suggested = run(warm(artifact), 1)
    assert declared.params == backwards.params == suggested.trials[0].params
    assert declared.params["C"] == pytest.approx(10, rel=3)
    assert declared.params["gamma"] == pytest.approx(0.01, rel=3)


def test_a_whole_configuration_is_planned_at_the_first_value_of_the_first_trial(
    artifact: Artifact,
) -> None:
    study = optuna.create_study(sampler=warm(artifact))
    trial = study.ask()
    C = trial.suggest_float("C", 1e-2, 1e4, log=True)
    planned = study.trials[0].user_attrs[ATTRIBUTE]
    gamma = trial.suggest_float("gamma", 1e-5, 10, log=True)
    said = read_provenance({ATTRIBUTE: planned})
    assert said is not None
    by_name = dict(zip(("C", "gamma"), said.coordinates, strict=True))
    low, high = math.log(1e-2), math.log(1e4)
    assert 0 <= by_name["C"] <= 1
    assert (math.log(C) - low) / (high - low) == pytest.approx(by_name["C"], abs=0.05)
    assert gamma == pytest.approx(run(warm(artifact), 1).trials[0].params["gamma"])


@pytest.mark.parametrize(
    ("C", "gamma"),
    [
        (IntDistribution(1, 1000), FloatDistribution(0.001, 0.1)),
        (IntDistribution(1, 1000, log=True), FloatDistribution(0.0, 1.0, step=0.05)),
        (FloatDistribution(0.5, 100.0, step=0.5), FloatDistribution(1e-9, 1e3, log=True)),
        (IntDistribution(10, 50, step=10), CategoricalDistribution([0.001, 0.01, 0.1])),
        (CategoricalDistribution([1, 10, 100]), CategoricalDistribution(["scale", 0.01])),
        (FloatDistribution(20, 30), FloatDistribution(1, 2)),
    ],
)
def test_values_are_of_the_kind_the_user_asks_for(
    artifact: Artifact, C: BaseDistribution, gamma: BaseDistribution
) -> None:
    study = optuna.create_study(sampler=warm(artifact))
    for _ in range(6):
        trial = study.ask({"C": C, "gamma": gamma})
        for name, distribution in (("C", C), ("gamma", gamma)):
            value = trial.params[name]
            internal = distribution.to_internal_repr(value)
            assert distribution._contains(internal)
            assert type(value) is type(distribution.to_external_repr(internal))
        study.tell(trial, math.log10(trial.params["C"]))
    assert share(study) == 1.0


def test_a_range_that_changes_with_another_value_is_kept_to(artifact: Artifact) -> None:
    def dynamic(trial: optuna.Trial) -> float:
        C = trial.suggest_float("C", 0.01, 100, log=True)
        gamma = trial.suggest_float("gamma", 1e-3 / C, 10 / C, log=True)
        assert 1e-3 / C <= gamma <= 10 / C
        return math.log10(C) ** 2 + (math.log10(gamma) + 1) ** 2

    study = run(warm(artifact), 25, of=dynamic)
    assert not_planned(study) <= TURNS_OF_TPE
    assert study.best_value < 0.3


def test_conditional_parameters_of_the_shipped_artifact_are_planned_where_they_are_asked_for() -> (
    None
):
    def conditional(trial: optuna.Trial) -> float:
        kernel = trial.suggest_categorical("kernel", ["rbf", "poly", "sigmoid"])
        loss = abs(math.log10(trial.suggest_float("C", 1e-3, 1e3, log=True)))
        if kernel == "poly":
            return loss + 0.1 * trial.suggest_int("degree", 2, 5)
        if kernel == "sigmoid":
            return loss + abs(trial.suggest_float("coef0", -1, 1))
        return loss + 1.0

    study = run(warm(None), 30, of=conditional)
    assert not_planned(study) <= TURNS_OF_TPE
    assert {trial.params["kernel"] for trial in study.trials} >= {"rbf", "poly"}
    assert "degree" in explain(study).attrs["matched"]


def test_a_pipeline_that_chooses_between_models_is_planned_for_the_one_that_is_known(
    artifact: Artifact,
) -> None:
    def either(trial: optuna.Trial) -> float:
        if trial.suggest_categorical("model", ["svm", "knn"]) == "knn":
            return 5.0 + trial.suggest_int("knn__n_neighbors", 1, 20)
        C = trial.suggest_float("svc__C", 1e-2, 1e4, log=True)
        gamma = trial.suggest_float("svc__gamma", 1e-5, 10, log=True)
        return abs(math.log10(C)) + abs(math.log10(gamma) + 1)

    study = run(warm(artifact), 30, of=either)
    frame = explain(study)
    svm = np.array([trial.params["model"] == "svm" for trial in study.trials])
    assert svm.sum() > 5
    assert not (frame["by"][svm] == "then").any()
    assert set(np.flatnonzero(frame["by"] == "tpe")) <= TURNS_OF_TPE
    assert set(frame.attrs["matched"]) == {"svc__C", "svc__gamma"}
    assert set(frame.attrs["unmatched"]) == {"model", "knn__n_neighbors"}


def test_where_nothing_is_known_the_study_is_that_of_then_alone() -> None:
    def unknown(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", -5, 5)
        return x**2 + trial.suggest_int("k", 0, 9) + (trial.suggest_categorical("c", "ab") == "a")

    alone = run(TPESampler(seed=4), 25, of=unknown)
    assert params_of(run(WarmStartSampler(seed=4), 25, of=unknown)) == params_of(alone)


def test_what_is_unknown_is_sampled_as_well_as_by_then_alone(artifact: Artifact) -> None:
    def mostly_unknown(trial: optuna.Trial) -> float:
        x, y = (trial.suggest_float(name, -5, 5) for name in "xy")
        return objective(trial) / 100 + x**2 + y**2

    study = run(warm(artifact), 60, of=mostly_unknown)
    assert study.best_value < 1.5  # at random, one in 20 trials; TPE gets there


# Directions, long studies, other artifacts


def test_with_several_objectives_then_samples_alone_and_the_log_says_so_once(
    artifact: Artifact,
) -> None:
    def both(trial: optuna.Trial) -> tuple[float, float]:
        return objective(trial), trial.params["C"]

    directions = ["minimize", "maximize"]
    with logged() as messages:
        study = run(warm(artifact, then=RandomSampler(seed=3)), 6, of=both, directions=directions)
    alone = run(RandomSampler(seed=3), 6, of=both, directions=directions)
    assert params_of(study) == params_of(alone)
    assert share(study) == 0.0
    assert messages == ["A study of 2 objectives: RandomSampler samples alone."]


@pytest.mark.parametrize(
    ("n_tasks", "expected"),
    [
        (1, ["1 source task, 0 excluded.", "that of 1 training task (0 excluded): name-0 ("]),
        (2, ["2 source tasks, 0 excluded.", "that of 2 training tasks (0 excluded): name-"]),
    ],
)
def test_the_log_counts_source_tasks_and_look_alikes(
    tmp_path: Path, n_tasks: int, expected: list[str]
) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 5)) * [1, 2, 5, 9, 0.1]
    task = describe(X, X[:, 0] > 0.3)
    path = write_small_artifact(tmp_path / "a", n_tasks=n_tasks, descriptors=[task] * n_tasks)
    with logged() as messages:
        run(WarmStartSampler(estimator=ESTIMATOR, artifact=path, task=task, seed=0), 1)
    assert len(messages) == 2
    assert all(text in message for text, message in zip(expected, messages, strict=True))


def test_a_study_of_300_trials_is_served_to_the_end(artifact: Artifact) -> None:
    study = run(warm(artifact), 300)
    assert set(range(11, 300, 4)) <= not_planned(study) <= TURNS_OF_TPE
    assert study.best_value < 1e-3


def test_resuming_with_another_artifact_warns_once_and_works(artifact: Artifact) -> None:
    study = run(warm(artifact), 3)
    study.sampler = warm(None)
    with pytest.warns(WarmStartWarning, match="began with artifact") as caught:
        study.optimize(objective, n_trials=3)
    assert len(caught) == 1
    assert share(study) == 1.0


def test_resuming_with_the_same_artifact_does_not_warn(artifact: Artifact) -> None:
    study = run(warm(artifact), 3)
    study.sampler = warm(artifact, seed=5)
    study.optimize(objective, n_trials=3)
    assert len(study.trials) == 6


@pytest.mark.parametrize("change", [RandomSampler(seed=0), None])
def test_a_study_that_another_sampler_began_is_taken_over(
    artifact: Artifact, change: RandomSampler | None
) -> None:
    study = run(change or TPESampler(seed=0), 20)
    best = study.best_value
    study.sampler = warm(artifact)
    study.optimize(objective, n_trials=10)
    assert {*range(20, 30)} & not_planned(study) <= TURNS_OF_TPE
    assert study.best_value < best


def test_one_sampler_serves_several_studies_at_a_time(artifact: Artifact) -> None:
    expected = params_of(run(warm(artifact), 6))
    sampler = warm(artifact)
    studies = [optuna.create_study(sampler=sampler) for _ in range(6)]
    for _ in range(6):
        for study in studies:
            study.optimize(objective, n_trials=1)
    assert all(params_of(study) == expected for study in studies)


# What a trial says of itself


def test_provenance_fits_into_a_database_column_and_explain_reads_it() -> None:
    from warmstart.catalogue import resolve_estimator

    name = "xgboost.XGBClassifier"
    sampler = WarmStartSampler(estimator=name, seed=0)
    study = optuna.create_study(sampler=sampler)
    space = {f"a_pipeline__with__long__names__{n}": d for n, d in _distributions_of(name).items()}
    assert len(space) > 8
    for value in (0.1, 0.2, 0.3):
        trial = study.ask(space)
        study.tell(trial, value)
        text = study.trials[-1].user_attrs[ATTRIBUTE]
        assert len(text) <= LONGEST
    frame = explain(study)
    assert list(frame["number"]) == [0, 1, 2]
    assert set(frame["estimator"]) == {resolve_estimator(name).name}
    assert (frame["by"] == META_LEARNER).all()
    assert all(0 < sum(tasks.values()) <= 1 + 1e-6 for tasks in frame["tasks"])
    assert frame["portfolio"].between(0, 1).all()
    assert frame["transfer"].between(0, 1).all()


def _distributions_of(estimator: str) -> Mapping[str, BaseDistribution]:
    from warmstart.knowledge import Knowledge
    from warmstart.space import Categorical, Float

    source = Knowledge().source(estimator)
    assert source is not None
    return {
        name: CategoricalDistribution(p.choices)
        if isinstance(p, Categorical)
        else FloatDistribution(p.low, p.high, log=p.log)
        if isinstance(p, Float)
        else IntDistribution(p.low, p.high, log=p.log)
        for name, p in source.prior.space.parameters.items()
    }


def test_the_package_says_what_the_sampler_is_for_without_loading_it() -> None:
    assert warmstart.WarmStartSampler is WarmStartSampler


def test_no_foreign_trial_enters_the_study(artifact: Artifact) -> None:
    study = run(warm(artifact), 4)
    assert [trial.number for trial in study.trials] == [0, 1, 2, 3]
    assert study.user_attrs == {}
