"""What is known before the first trial, and what is left out of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_artifact import ESTIMATOR, svc_histories, write_small_artifact

from warmstart.artifact import Artifact, read_artifact
from warmstart.descriptor import TaskDescriptor, describe
from warmstart.errors import UnknownEstimatorError
from warmstart.history import History
from warmstart.knowledge import Knowledge, Source, shipped_artifact
from warmstart.space import Categorical, Float, Integer

SVM = {"C": Float(1e-3, 1e3, log=True), "gamma": Float(1e-5, 10, log=True)}


def data(seed: int, *, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4 + seed)) * rng.uniform(0.1, 9, 4 + seed)
    return X, (X[:, 0] > seed * X[:, 0].std() / 2).astype(int)


@pytest.fixture(scope="module")
def descriptors() -> list[TaskDescriptor]:
    return [describe(*data(seed)) for seed in range(4)]


@pytest.fixture(scope="module")
def artifact(
    tmp_path_factory: pytest.TempPathFactory, descriptors: list[TaskDescriptor]
) -> Artifact:
    path = tmp_path_factory.mktemp("artifact") / "svc.safetensors"
    return read_artifact(write_small_artifact(path, descriptors=descriptors))


def known(knowledge: Knowledge, name: str = ESTIMATOR) -> Source:
    source = knowledge.source(name)
    assert source is not None
    return source


def of(source: Source) -> list[str]:
    return [task.id for task in source.prior.tasks]


def own(n_tasks: int, *, metric: str = "accuracy", estimator: str = ESTIMATOR) -> list[History]:
    return [
        replace(h, info=replace(h.info, task=f"own-{i}", name="", metric=metric, source="own"))
        for i, h in enumerate(svc_histories(n_tasks, estimator=estimator))
    ]


# Which estimators


def test_the_shipped_artifact_lies_in_the_package_and_knows_what_the_readme_says() -> None:
    assert shipped_artifact().is_file()
    assert set(Knowledge().estimators()) >= {
        "sklearn.svm.SVC",
        "sklearn.ensemble.RandomForestClassifier",
        "sklearn.ensemble.AdaBoostClassifier",
        "xgboost.XGBClassifier",
    }


def test_own_estimators_come_after_those_of_the_artifact(artifact: Artifact) -> None:
    histories = [*own(2), *own(2, estimator="my.Model")]
    assert Knowledge(artifact=artifact, histories=histories).estimators() == [
        ESTIMATOR,
        "my.Model",
    ]


def test_estimators_are_resolved_by_name_alias_class_and_instance(artifact: Artifact) -> None:
    from sklearn.svm import SVC

    knowledge = Knowledge(artifact=artifact)
    for asked in ("sklearn.svm.SVC", "SVC", "sklearn.svm.classes.SVC", SVC, SVC(C=3)):
        assert knowledge.resolve(asked) == ESTIMATOR


def test_a_name_that_nobody_knows_is_only_taken_with_histories(artifact: Artifact) -> None:
    with pytest.raises(UnknownEstimatorError):
        Knowledge(artifact=artifact).resolve("my.Model")
    assert Knowledge(artifact=artifact, histories=[]).resolve("my.Model") == "my.Model"


def test_parameters_are_taken_for_the_users_own_estimator_first(artifact: Artifact) -> None:
    histories = own(3, estimator="my.Model")
    assert Knowledge(artifact=artifact).infer(SVM) == ESTIMATOR
    assert Knowledge(artifact=artifact, histories=histories).infer(SVM) == "my.Model"
    strange = {"hue": Float(0, 1), "size": Integer(1, 9), "mood": Categorical(("a", "b"))}
    assert Knowledge(artifact=artifact, histories=histories).infer(strange) is None


# Which tasks


@pytest.mark.parametrize("by", ["task-1", "name-1"])
def test_a_task_is_left_out_by_its_id_or_its_name(artifact: Artifact, by: str) -> None:
    source = known(Knowledge(artifact=artifact, exclude=by))
    assert of(source) == ["task-0", "task-2", "task-3"]
    assert [task.id for task in source.excluded] == ["task-1"]
    assert source.task_weights.sum() == pytest.approx(1.0)


def test_tasks_of_a_data_set_or_a_family_are_left_out_together() -> None:
    shipped = known(Knowledge()).prior.tasks
    family = next(task.family for task in shipped if task.family)
    members = {task.id for task in shipped if task.family == family}
    source = known(Knowledge(exclude=[family]))
    assert {task.id for task in source.excluded} == members
    assert not members & set(of(source))


def test_look_alikes_are_found_and_left_out_if_asked_for(artifact: Artifact) -> None:
    X, y = data(2)
    part = describe(X[:250], y[:250])
    drawn_on = known(Knowledge(artifact=artifact, task=part))
    assert "task-2" in [task.id for task, _ in drawn_on.similar]
    assert "task-2" in of(drawn_on)
    assert not drawn_on.excluded
    left_out = known(Knowledge(artifact=artifact, task=part, exclude="similar"))
    assert "task-2" not in of(left_out)
    assert "task-2" in [task.id for task in left_out.excluded]
    assert left_out.similar == drawn_on.similar


def test_other_data_are_no_look_alikes(artifact: Artifact) -> None:
    rng = np.random.default_rng(9)
    task = describe(rng.normal(size=(77, 19)), rng.integers(0, 5, 77))
    assert known(Knowledge(artifact=artifact, task=task, exclude="similar")).excluded == ()


def test_all_but_one_may_be_left_out_and_all_leave_nothing(artifact: Artifact) -> None:
    three = [f"task-{i}" for i in range(3)]
    assert of(known(Knowledge(artifact=artifact, exclude=three))) == ["task-3"]
    assert Knowledge(artifact=artifact, exclude=[*three, "task-3"]).source(ESTIMATOR) is None


def test_own_tasks_have_half_of_the_say_beside_those_of_an_artifact(artifact: Artifact) -> None:
    for n in (1, 3):
        source = known(Knowledge(artifact=artifact, histories=own(n)))
        is_own = np.array([task.startswith("own") for task in of(source)])
        assert is_own.sum() == n
        assert source.task_weights[is_own].sum() == pytest.approx(0.5)
        assert source.task_weights.sum() == pytest.approx(1.0)


def test_enough_tasks_of_the_asked_metric_leave_those_of_others_out() -> None:
    histories = [*own(12, metric="accuracy"), *svc_histories(4, estimator="my.Model")]
    mixed = [
        replace(h, info=replace(h.info, estimator="my.Model", task=f"t{i}"))
        for i, h in enumerate(histories)
    ]
    of_another = [replace(h, info=replace(h.info, metric="f1")) for h in mixed[:3]]
    histories = [*of_another, *mixed[3:]]
    asked = known(Knowledge(histories=histories, metric="accuracy"), "my.Model")
    assert len(asked.prior.tasks) == len(mixed) - 3
    assert len(known(Knowledge(histories=histories), "my.Model").prior.tasks) == len(mixed)
    few = known(Knowledge(histories=histories, metric="f1"), "my.Model")
    assert len(few.prior.tasks) == len(mixed)


def test_of_a_task_that_was_judged_by_several_metrics_only_one_counts() -> None:
    histories = own(12, estimator="my.Model")
    also = [replace(h, info=replace(h.info, metric="log_loss")) for h in histories[:11]]
    both = [*also, *histories]

    def metrics(asked: str | None) -> set[str]:
        source = known(Knowledge(histories=both, metric=asked), "my.Model")
        assert len({task.id for task in source.prior.tasks}) == len(source.prior.tasks)
        return {task.metric for task in source.prior.tasks}

    assert metrics("neg_log_loss") == {"log_loss"}
    assert metrics("accuracy") == metrics(None) == metrics("profit") == {"accuracy"}


def test_studies_that_do_not_say_their_metric_are_never_of_another() -> None:
    unsaid = own(3, estimator="my.Model", metric="objective")
    renamed = [replace(h, info=replace(h.info, task=f"u{i}")) for i, h in enumerate(unsaid)]
    histories = [*own(12, estimator="my.Model"), *renamed]
    source = known(Knowledge(histories=histories, metric="accuracy"), "my.Model")
    assert len(source.prior.tasks) == 15


def test_the_size_of_the_data_gives_values_their_meaning() -> None:
    X = np.random.default_rng(0).normal(size=(200, 25))
    task = describe(X, (X[:, 0] > 0).astype(int))
    forest = "sklearn.ensemble.RandomForestClassifier"
    match = known(Knowledge(task=task), forest).matcher.match(
        "max_features", Categorical(("sqrt", 0.5))
    )
    assert match is not None
    assert match.to_canonical("sqrt") == pytest.approx(5 / 25)


def test_a_path_and_an_artifact_are_the_same(tmp_path: Path) -> None:
    path = write_small_artifact(tmp_path / "svc.safetensors")
    digests = {
        Knowledge(artifact=given).digest for given in (path, str(path), read_artifact(path))
    }
    assert len(digests) == 1
