"""The subcommands for pruners, learning curves and the LSTM of 2016."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from metaopt.benchmarks import learning_curves
from metaopt.cli.app import app

HELP = {
    ("bench", "pruner"): "final regret",
    ("bench", "l2l"): "ReLU",
    ("train", "curves"): "WarmStartPruner",
}


@pytest.mark.parametrize("command", HELP, ids=" ".join)
def test_each_says_what_it_is_for(command: tuple[str, str]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert HELP[command] in result.output


def test_the_experiment_is_trained_and_judged_and_printed_as_json(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from metaopt.optim import l2l_bench
    from metaopt.optim.l2l import L2LConfig
    from metaopt.optim.l2l_tasks import Quadratics
    from metaopt.optim.l2l_training import L2LTraining

    tiny = l2l_bench.Experiment(
        L2LConfig(log_range=None, output_scale=0.1, hidden=2),
        L2LTraining(n_optimizees=2, horizon=4, unroll=2, n_validation=2, validation_steps=(4,)),
        Quadratics(2),
        n_test=2,
        rates=(0.1,),
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(l2l_bench, "experiments", lambda: {"quadratic": tiny})
        arguments = ["bench", "l2l", "--results", str(tmp_path), "--epochs", "2", "--json"]
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["quadratic"]["as in training"]
    assert [row["optimizer"] for row in rows][:2] == ["LSTM", "Adam"]
    assert (tmp_path / "l2l_quadratic.safetensors").is_file()


def test_curves_are_learned_without_what_is_excluded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from test_bench_pruner import tasks

    from metaopt.training import learning_curves as training
    from warmstart.artifact import read_artifact

    def few(task: Any, *, seed: int) -> Any:
        return moments_of(task, n_configurations=40, n_moments=5, seed=seed)

    moments_of = training.moments_of
    monkeypatch.setattr(training, "moments_of", few)
    monkeypatch.setattr(learning_curves, "curve_tasks", lambda data: tasks())
    monkeypatch.setattr("metaopt.benchmarks.data_directory.data_directory", lambda given: given)
    out = tmp_path / "curves"
    arguments = ["train", "curves", "--out", str(out), "--json", "--exclude"]
    result = CliRunner().invoke(app, [*arguments, "hard"])
    assert result.exit_code == 0, result.output
    assert read_artifact(out).description["card"]["tasks"] == ["easy"]
    said = json.loads(result.stdout)
    assert said == {"path": str(out), "bytes": out.stat().st_size, "tasks": ["easy"]}
    assert isinstance(CliRunner().invoke(app, [*arguments, "harder"]).exception, ValueError)
