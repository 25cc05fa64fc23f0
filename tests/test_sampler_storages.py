"""Studies on all kinds of storage, resumed by new samplers in new processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
import sampler_worker
from sampler_worker import objective, open_storage, warm

from warmstart.explanation import explain

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture(params=["sqlite", "journal"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    name = tmp_path / f"study.{request.param}"
    return f"sqlite:///{name}" if request.param == "sqlite" else str(name)


def study_on(where: str, artifact_path: Path, **options: Any) -> optuna.Study:
    return optuna.create_study(
        study_name="shared",
        storage=open_storage(where),
        sampler=warm(str(artifact_path), **options),
        load_if_exists=True,
    )


def params_of(study: optuna.Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.get_trials(deepcopy=False)]


def in_memory(artifact_path: Path, n_trials: int) -> list[dict[str, Any]]:
    study = study_on("memory", artifact_path)
    study.optimize(objective, n_trials=n_trials)
    return params_of(study)


def test_every_storage_gives_the_same_proposals(where: str, artifact_path: Path) -> None:
    study = study_on(where, artifact_path)
    study.optimize(objective, n_trials=10)
    assert params_of(study) == in_memory(artifact_path, 10)
    assert explain(study).attrs["meta_learner_share"] == 1.0


def test_a_study_resumed_in_a_new_process_goes_on_as_if_never_interrupted(
    where: str, artifact_path: Path
) -> None:
    study_on(where, artifact_path).optimize(objective, n_trials=13)
    command = [sys.executable, sampler_worker.__file__, where, "2", "0", str(artifact_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    resumed = [json.loads(line) for line in done.stdout.splitlines()]
    whole = in_memory(artifact_path, 15)
    assert resumed == [[13, whole[13]], [14, whole[14]]]


def test_a_sampler_resumes_before_the_lengthscales_of_its_study_are_due_anew(
    tmp_path: Path, artifact_path: Path
) -> None:
    where = str(tmp_path / "study.journal")
    whole = in_memory(artifact_path, 24)
    for n_trials in (9, 2, 9, 4):
        study_on(where, artifact_path).optimize(objective, n_trials=n_trials)
    assert params_of(study_on(where, artifact_path)) == whole


def test_explain_reads_a_study_without_its_sampler(where: str, artifact_path: Path) -> None:
    study_on(where, artifact_path).optimize(objective, n_trials=3)
    loaded = optuna.load_study(study_name="shared", storage=open_storage(where))
    frame = explain(loaded)
    assert list(frame["by"]) == ["meta-learner"] * 3
    assert "matched" not in frame.attrs
