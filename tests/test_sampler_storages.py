"""Studies on all kinds of storage, resumed by new samplers in new processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import sampler_worker
from sampler_worker import objective, open_storage, warm
from small_artifact import write_small_artifact

from warmstart.explanation import explain


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_artifact(tmp_path_factory.mktemp("artifact") / "svc.safetensors")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


@pytest.fixture(params=["sqlite", "journal"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    name = tmp_path / f"study.{request.param}"
    return f"sqlite:///{name}" if request.param == "sqlite" else str(name)


def study_on(where: str, artifact: Path, **options: Any) -> optuna.Study:
    return optuna.create_study(
        study_name="shared",
        storage=open_storage(where),
        sampler=warm(str(artifact), **options),
        load_if_exists=True,
    )


def params_of(study: optuna.Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.get_trials(deepcopy=False)]


def in_memory(artifact: Path, n_trials: int) -> list[dict[str, Any]]:
    study = study_on("memory", artifact)
    study.optimize(objective, n_trials=n_trials)
    return params_of(study)


def test_every_storage_gives_the_same_proposals(where: str, artifact: Path) -> None:
    study = study_on(where, artifact)
    study.optimize(objective, n_trials=10)
    assert params_of(study) == in_memory(artifact, 10)
    assert explain(study).attrs["meta_learner_share"] == 1.0


def test_a_study_resumed_in_a_new_process_goes_on_as_if_never_interrupted(
    where: str, artifact: Path
) -> None:
    study_on(where, artifact).optimize(objective, n_trials=13)
    command = [sys.executable, sampler_worker.__file__, where, "2", "0", str(artifact)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    resumed = [json.loads(line) for line in done.stdout.splitlines()]
    whole = in_memory(artifact, 15)
    assert resumed == [[13, whole[13]], [14, whole[14]]]


def test_a_sampler_resumes_before_the_lengthscales_of_its_study_are_due_anew(
    tmp_path: Path, artifact: Path
) -> None:
    where = str(tmp_path / "study.journal")
    whole = in_memory(artifact, 24)
    for n_trials in (9, 2, 9, 4):
        study_on(where, artifact).optimize(objective, n_trials=n_trials)
    assert params_of(study_on(where, artifact)) == whole


def test_explain_reads_a_study_without_its_sampler(where: str, artifact: Path) -> None:
    study_on(where, artifact).optimize(objective, n_trials=3)
    loaded = optuna.load_study(study_name="shared", storage=open_storage(where))
    frame = explain(loaded)
    assert list(frame["by"]) == ["meta-learner"] * 3
    assert "matched" not in frame.attrs
