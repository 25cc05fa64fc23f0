from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from hypothesis import settings
from small_artifact import write_small_artifact

from metaopt.benchmarks.data_directory import data_directory
from metaopt.cli import main
from warmstart.artifact import Artifact, read_artifact
from warmstart.store import HistoryStore

# How long an example takes depends on the machine and what else runs there.
settings.register_profile("warmstart", deadline=None)
settings.load_profile("warmstart")


@pytest.fixture
def quiet() -> Iterator[None]:
    """Keep Optuna from logging each trial."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[HistoryStore]:
    with HistoryStore(tmp_path / "histories", fsync=False) as opened:
        yield opened


@pytest.fixture(scope="session")
def artifact_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_artifact(tmp_path_factory.mktemp("artifact") / "svc.safetensors")


@pytest.fixture(scope="session")
def artifact(artifact_path: Path) -> Artifact:
    return read_artifact(artifact_path)


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    """Real runs, surrogates and data sets, which are too large and not ours to be included."""
    try:
        return data_directory()
    except FileNotFoundError as error:
        pytest.skip(
            "compares with recorded OpenML data, which is not part of the repository; "
            f"test_recorded_data.py tests the same code on invented files. {error}"
        )


@pytest.fixture
def metaopt(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command as a shell would; gives exit code, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["metaopt", *map(str, arguments)])
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # put back afterwards
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return run
