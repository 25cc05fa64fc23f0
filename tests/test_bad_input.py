"""What is wrong ends in one clear error, or in the fallback with one warning."""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import RandomSampler, TPESampler
from safetensors.numpy import save
from sampler_worker import ESTIMATOR, TURNS_OF_TPE, not_planned, objective
from small_artifact import svc_histories, write_small_artifact

from warmstart.artifact import METADATA_KEY, read_artifact, write_artifact
from warmstart.descriptor import describe
from warmstart.errors import (
    ArtifactError,
    DescriptorError,
    HistoryError,
    UnknownEstimatorError,
    WarmStartError,
    WarmStartWarning,
)
from warmstart.explanation import explain
from warmstart.history import History, TaskInfo, Trial
from warmstart.sampler import WarmStartSampler
from warmstart.store import HistoryStore
from warmstart.suggestion import suggest

pytestmark = pytest.mark.usefixtures("quiet")


def error_of(kind: type[Exception], make: Callable[[], object]) -> str:
    """The message of the one error, which is one line."""
    with pytest.raises(kind) as caught:
        make()
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


def by(sampler: WarmStartSampler, n_trials: int = 4) -> set[str]:
    """Run a study, and say who proposed its trials."""
    study = optuna.create_study(sampler=sampler)
    study.optimize(objective, n_trials=n_trials)
    assert len(study.trials) == n_trials
    return set(explain(study)["by"])


# Artifacts


def newer_format(data: bytes) -> bytes:
    header_size = int.from_bytes(data[:8], "little")
    entry = json.loads(json.loads(data[8 : 8 + header_size])["__metadata__"][METADATA_KEY])
    return save({"x": np.zeros(2)}, {METADATA_KEY: json.dumps({**entry, "version": 99})})


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:20],
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data[:-50] + bytes(50),
        lambda data: data[:3000] + b"\xff" + data[3001:],
        lambda data: b"not an artifact at all",
        lambda data: save({"weights": np.zeros(3)}),
        newer_format,
    ],
    ids=["empty", "20 bytes", "half", "short", "zeroed", "flipped", "text", "foreign", "newer"],
)
def test_a_damaged_or_foreign_artifact_is_an_error_that_names_it(
    artifact_path: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(damage(artifact_path.read_bytes()))
    for use in (
        lambda: WarmStartSampler(estimator=ESTIMATOR, artifact=path),
        lambda: suggest(ESTIMATOR, artifact=path),
    ):
        assert "damaged.safetensors" in error_of(ArtifactError, use)


def test_an_artifact_of_a_newer_format_says_what_to_do(
    artifact_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "newer.safetensors"
    path.write_bytes(newer_format(artifact_path.read_bytes()))
    message = error_of(ArtifactError, lambda: WarmStartSampler(artifact=path))
    assert "99" in message


def test_a_directory_or_nothing_in_place_of_an_artifact_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing", str(tmp_path / "nothing"), "\0"):
        error_of(ArtifactError, lambda path=path: WarmStartSampler(artifact=path))


def test_a_sound_artifact_of_another_content_is_an_error(tmp_path: Path) -> None:
    write_artifact(tmp_path / "other", {"x": np.zeros(2)}, {"what": "an optimizer"})
    error_of(ArtifactError, lambda: WarmStartSampler(artifact=tmp_path / "other"))


@pytest.mark.parametrize("key", ["lengthscales", "values"])
def test_an_artifact_with_nonsense_inside_is_an_error(
    artifact_path: Path, tmp_path: Path, key: str
) -> None:
    artifact = read_artifact(artifact_path)
    tensors = dict(artifact.tensors)
    names = [name for name in tensors if name.endswith(key)]
    for name in names:
        tensors[name] = np.full_like(tensors[name], np.nan)
    assert names
    write_artifact(tmp_path / "nonsense", tensors, artifact.description)

    def use() -> None:
        by(WarmStartSampler(estimator=ESTIMATOR, artifact=tmp_path / "nonsense", seed=0))

    error_of(ArtifactError, use)


# Histories


def test_a_store_with_a_broken_record_gives_the_rest_with_one_warning(tmp_path: Path) -> None:
    with HistoryStore(tmp_path / "store", fsync=False) as store:
        for history in svc_histories(2, estimator="my.Model"):
            store.add(history)
    journals = [p for p in sorted((tmp_path / "store").rglob("*")) if p.is_file()]
    largest = max(journals, key=lambda p: p.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 0xFF
    largest.write_bytes(bytes(data))
    with pytest.warns(WarmStartWarning, match="skipped") as caught:
        sampler = WarmStartSampler(estimator="my.Model", histories=str(tmp_path / "store"), seed=0)
    assert len(caught) == 1
    assert by(sampler) == {"meta-learner"}


def test_no_store_at_a_path_is_an_error_and_makes_none(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", str(tmp_path / "missing")):
        error_of(HistoryError, lambda path=path: WarmStartSampler(histories=path))
    assert not (tmp_path / "missing").exists()


def test_infinite_losses_of_histories_count_as_failures() -> None:
    def proposals(odd: float) -> list[dict[str, Any]]:
        histories = []
        for history in svc_histories(3, estimator="my.Model"):
            every_third = np.arange(len(history)) % 3 == 0
            losses = np.where(every_third, odd, history.losses)
            histories.append(replace(history, losses=losses))
        sampler = WarmStartSampler(estimator="my.Model", histories=histories, seed=0)
        study = optuna.create_study(sampler=sampler)
        study.optimize(objective, n_trials=5)
        assert set(explain(study)["by"]) == {"meta-learner"}
        return [trial.params for trial in study.trials]

    assert proposals(math.inf) == proposals(-math.inf) == proposals(math.nan)


@pytest.mark.parametrize("loss", [math.inf, -math.inf, math.nan, "0.3", None])
def test_a_trial_without_a_number_for_a_loss_is_an_error(loss: Any) -> None:
    assert "expected" in error_of(HistoryError, lambda: Trial({"C": 1.0}, loss))


def test_histories_without_a_single_loss_say_nothing_and_warn() -> None:
    info = TaskInfo("my.Model", "t", "accuracy", "own")
    failed = History.from_trials(
        info, [Trial({"C": float(i)}, math.nan, state="failed") for i in range(1, 12)]
    )
    with pytest.warns(WarmStartWarning, match="Nothing is known"):
        sampler = WarmStartSampler(estimator="my.Model", histories=[failed], seed=0)
    assert by(sampler) == {"then"}


# Tasks


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (np.ones((2, 3)), np.array([0, 1])),
        (np.full((20, 3), np.nan), np.arange(20) % 2),
        (np.ones((20, 3)), np.arange(20) % 2),
        (pd.DataFrame({"a": [None] * 20, "b": ["x"] * 20}), np.arange(20) % 2),
    ],
    ids=["two rows", "all missing", "constant", "constant text"],
)
def test_degenerate_data_are_served(X: Any, y: Any) -> None:
    task = describe(X, y)
    sampler = WarmStartSampler(estimator=ESTIMATOR, task=task, exclude="similar", seed=0)
    assert by(sampler) == {"meta-learner"}
    assert len(suggest(ESTIMATOR, task=task, n=2)) == 2


@pytest.mark.parametrize(
    ("X", "y"),
    [
        (np.ones((1, 3)), np.array([0])),
        (np.random.default_rng(0).normal(size=(20, 3)), np.zeros(20)),
    ],
    ids=["one row", "one class"],
)
def test_constant_targets_warn_and_are_served(X: Any, y: Any) -> None:
    with pytest.warns(WarmStartWarning, match="y has the same value"):
        task = describe(X, y)
    sampler = WarmStartSampler(estimator=ESTIMATOR, task=task, exclude="similar", seed=0)
    assert by(sampler) == {"meta-learner"}
    assert len(suggest(ESTIMATOR, task=task, n=2)) == 2


@pytest.mark.parametrize("estimator", ["sklearn.svm.SVR", {"a": "SVR", "b": "my.Model"}])
def test_a_task_of_another_kind_than_the_estimator_warns_once(estimator: Any) -> None:
    ratings = np.arange(60) % 5
    task = describe(np.eye(60), ratings)
    own = [History.from_trials(TaskInfo("my.Model", "t", "x", "own"), [Trial({"C": 1.0}, 0.1)])]
    with pytest.warns(WarmStartWarning, match="kind='regression'") as caught:
        WarmStartSampler(estimator=estimator, task=task, histories=own, seed=0)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    as_said = describe(np.eye(60), ratings, kind="regression")
    WarmStartSampler(estimator=estimator, task=as_said, histories=own, seed=0)


def test_no_rows_are_an_error() -> None:
    error_of(DescriptorError, lambda: describe(np.empty((0, 3)), np.empty(0)))


# Metrics


@pytest.mark.parametrize(
    "use",
    [
        lambda metric: WarmStartSampler(estimator=ESTIMATOR, metric=metric, seed=0),
        lambda metric: WarmStartSampler(metric=metric, seed=0),
        lambda metric: suggest(ESTIMATOR, metric=metric, n=1),
    ],
)
@pytest.mark.parametrize("asked", ["acuracy", "max_error", ""])
def test_a_metric_that_nothing_was_judged_by_warns_once_and_names_the_known(
    use: Callable[[str], object], asked: str
) -> None:
    with pytest.warns(WarmStartWarning, match=f"metric='{asked}' given") as caught:
        use(asked)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert "['accuracy', 'balanced_accuracy'" in str(caught[0].message)


@pytest.mark.parametrize("asked", [None, " Accuracy ", "neg_log_loss", "f1_macro", "objective"])
def test_a_metric_under_any_of_its_names_does_not_warn(asked: str | None) -> None:
    WarmStartSampler(estimator=ESTIMATOR, metric=asked, seed=0)


def test_a_metric_of_the_users_own_histories_does_not_warn() -> None:
    own = svc_histories(2, metric="profit")
    WarmStartSampler(estimator=ESTIMATOR, histories=own, metric="profit", seed=0)


def test_a_metric_of_the_artifacts_own_does_not_warn(tmp_path: Path) -> None:
    path = write_small_artifact(tmp_path / "svc.safetensors", metric="profit")
    WarmStartSampler(estimator=ESTIMATOR, artifact=path, metric="profit", seed=0)


# Estimators


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("sklearn.svm.SCV", "sklearn.svm.SVC"),
        ("RandomForrestClassifier", "sklearn.ensemble.RandomForestClassifier"),
        ("xgboost.XGBClasifier", "xgboost.XGBClassifier"),
    ],
)
def test_an_unknown_estimator_is_an_error_that_names_those_near(asked: str, near: str) -> None:
    for use in (lambda: WarmStartSampler(estimator=asked), lambda: suggest(asked)):
        message = error_of(UnknownEstimatorError, use)
        assert near in message
        assert asked in message


@pytest.mark.parametrize("asked", ["", "   ", 3, object(), dict, b"sklearn.svm.SVC"])
def test_what_is_no_estimator_is_an_error(asked: object) -> None:
    error_of(UnknownEstimatorError, lambda: WarmStartSampler(estimator=asked))


def test_an_estimator_of_the_catalogue_that_nothing_is_known_of_warns_once(
    artifact_path: Path,
) -> None:
    with pytest.warns(WarmStartWarning, match="Nothing is known of") as caught:
        sampler = WarmStartSampler(
            estimator="xgboost.XGBClassifier", artifact=artifact_path, seed=0
        )
    assert len(caught) == 1
    assert by(sampler) == {"then"}


def test_excluding_all_that_is_known_warns_once(artifact_path: Path) -> None:
    names = [f"name-{i}" for i in range(4)]
    with pytest.warns(WarmStartWarning, match="excluded") as caught:
        sampler = WarmStartSampler(
            estimator=ESTIMATOR, artifact=artifact_path, exclude=names, seed=0
        )
    assert len(caught) == 1
    assert by(sampler) == {"then"}


def test_excluding_what_does_not_exist_is_an_error() -> None:
    message = error_of(ValueError, lambda: WarmStartSampler(exclude=["no such task"]))
    assert "no such task" in message
    error_of(ValueError, lambda: WarmStartSampler(exclude="similar"))


# Arguments


@pytest.mark.parametrize(
    "arguments",
    [
        {"task": {"NumberOfFeatures": 3}},
        {"task": np.ones((3, 3))},
        {"then": "tpe"},
        {"then": TPESampler},
        {"artifact": 3},
        {"artifact": b"path"},
        {"histories": 3},
        {"histories": [1, 2]},
        {"histories": {"a": 1}},
        {"exclude": 3},
        {"exclude": [3]},
        {"metric": 3},
        {"seed": "0"},
        {"seed": -1},
        {"seed": 1.5},
        {"seed": True},
    ],
    ids=str,
)
def test_an_argument_of_another_type_is_an_error_that_names_it(arguments: dict[str, Any]) -> None:
    def make() -> None:
        WarmStartSampler(estimator=ESTIMATOR, **arguments)

    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert next(iter(arguments)) in str(caught.value)
    assert "expected" in str(caught.value)


def test_a_seed_may_be_of_numpy_and_large() -> None:
    for seed in (np.int64(3), 2**32 - 1, 0):
        sampler = WarmStartSampler(estimator=ESTIMATOR, seed=seed, then=RandomSampler(seed=0))
        assert by(sampler, 2) == {"meta-learner"}


@pytest.mark.parametrize(
    "arguments",
    [{"n": 0}, {"n": -3}, {"X": np.ones((9, 2))}, {"space": {"nothing": FloatDistribution(0, 1)}}],
    ids=str,
)
def test_suggest_says_what_it_expected(arguments: dict[str, Any]) -> None:
    assert "expected" in error_of(ValueError, lambda: suggest(ESTIMATOR, **arguments))


def test_suggest_of_an_empty_space_is_an_error() -> None:
    assert "expected" in error_of(WarmStartError, lambda: suggest(ESTIMATOR, space={}))


# Studies


def test_a_study_without_parameters_runs() -> None:
    study = optuna.create_study(sampler=WarmStartSampler(estimator=ESTIMATOR, seed=0))
    study.optimize(lambda trial: float(trial.number), n_trials=5)
    assert set(explain(study)["by"]) == {"then"}
    assert len(explain(optuna.create_study(sampler=WarmStartSampler(seed=0)))) == 0
    empty = study.ask({})
    assert empty.params == {}


def test_one_sampler_in_studies_of_other_directions_keeps_them_apart() -> None:
    sampler = WarmStartSampler(estimator=ESTIMATOR, seed=0)
    down = optuna.create_study(sampler=sampler)
    up = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in range(15):
        down.optimize(objective, n_trials=1)
        up.optimize(lambda trial: -objective(trial), n_trials=1)
    assert [t.params for t in down.trials] == [t.params for t in up.trials]


def test_a_study_copied_into_another_direction_is_read_anew() -> None:
    study = optuna.create_study(sampler=WarmStartSampler(estimator=ESTIMATOR, seed=0))
    study.optimize(objective, n_trials=12)
    turned = optuna.create_study(direction="maximize", sampler=study.sampler)
    turned.add_trials(study.trials)
    turned.optimize(objective, n_trials=20)
    assert turned.best_value > 10  # the worst corner of a space that goes to 41
    assert not_planned(turned) <= TURNS_OF_TPE


@pytest.mark.parametrize(
    "changed",
    [
        FloatDistribution(1e-9, 1e-8, log=True),
        FloatDistribution(1e6, 1e7, log=True),
        FloatDistribution(3.0, 3.0, log=True),
    ],
)
def test_a_study_whose_range_changes_goes_on_in_the_new_range(changed: FloatDistribution) -> None:
    study = optuna.create_study(sampler=WarmStartSampler(estimator=ESTIMATOR, seed=0))
    study.optimize(objective, n_trials=5)
    for _ in range(5):
        trial = study.ask({"C": changed, "gamma": FloatDistribution(1e-5, 10, log=True)})
        assert changed.low <= trial.params["C"] <= changed.high
        study.tell(trial, 1.0)


def test_a_study_whose_parameter_changes_its_meaning_goes_on() -> None:
    study = optuna.create_study(sampler=WarmStartSampler(estimator=ESTIMATOR, seed=0))
    spaces: list[dict[str, BaseDistribution]] = [
        {"kernel": CategoricalDistribution(["rbf", "poly"]), "C": FloatDistribution(1, 2)},
        {"gamma": CategoricalDistribution(["scale", "auto"]), "C": FloatDistribution(-3, 3)},
        {"degree": IntDistribution(2, 5), "C": FloatDistribution(0, 0.5)},
    ]
    for space in spaces:
        for _ in range(4):
            study.tell(study.ask(space), 1.0)
    assert len(study.trials) == 12
    assert not_planned(study) <= TURNS_OF_TPE


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "null",
        "3",
        '{"by": 3}',
        '{"by":"meta-learner","coordinates":["x"]}',
        '{"by":"meta-learner","estimator":"sklearn.svm.SVC","coordinates":[1,2,3]}',
        '{"by":"meta-learner","tasks":3}',
        '{"by":"meta-learner","transfer":"x"}',
    ],
)
def test_provenance_that_someone_broke_is_ignored(text: str) -> None:
    study = optuna.create_study(sampler=WarmStartSampler(estimator=ESTIMATOR, seed=0))
    running = study.ask()
    running.set_user_attr("warmstart", text)
    done = study.ask()
    done.set_user_attr("warmstart", text)
    study.tell(done, 1.0)
    study.optimize(objective, n_trials=3)
    assert list(explain(study)["by"])[-3:] == ["meta-learner"] * 3


def test_an_error_inside_planning_leaves_the_trial_to_then_with_one_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from warmstart import planning

    def broken(*_: object, **__: object) -> None:
        raise np.linalg.LinAlgError("a matrix is singular")

    sampler = WarmStartSampler(estimator=ESTIMATOR, seed=0)
    monkeypatch.setattr(planning.Planner, "plan", broken)
    with pytest.warns(WarmStartWarning, match=re.escape("a matrix is singular")) as caught:
        assert by(sampler) == {"then"}
    assert len(caught) == 1


def test_nothing_wrong_means_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert by(WarmStartSampler(estimator=ESTIMATOR, seed=0)) == {"meta-learner"}
