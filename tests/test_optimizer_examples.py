"""The examples of learned optimizers, run as a newcomer would run them; notebooks cell by cell."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NOTEBOOK = EXAMPLES / "train_mlp.ipynb"


def printed(directory: Path, *command: object) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_classifier_is_fitted_without_a_learning_rate(tmp_path: Path) -> None:
    out = printed(tmp_path, EXAMPLES / "train_classifier.py", "--epochs", 4)
    assert float(re.findall(r"Accuracy (0\.\d+) in 3 folds", out)[0]) > 0.9


def test_a_running_training_is_handed_over(tmp_path: Path) -> None:
    out = printed(tmp_path, EXAMPLES / "hand_over_schedule.py", "--steps", 200)
    before, after = (float(loss) for loss in re.findall(r"loss (\d+\.\d+)", out))
    assert after < before < 2.0
    assert "4.bias" in out


def test_the_notebook_runs_cell_by_cell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    matplotlib.use("agg")
    monkeypatch.setitem(sys.modules, "IPython", None)  # as where there is no Jupyter
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    namespace: dict[str, object] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"]).replace("N_STEPS = 300", "N_STEPS = 60")
            exec(compile(source, NOTEBOOK.name, "exec"), namespace)
    accuracy = re.findall(r"Accuracy on test data (\d\.\d+)", capsys.readouterr().out)[0]
    assert float(accuracy) > 0.85
    rates = namespace["rates"]
    assert isinstance(rates, dict)
    assert all(len(of_tensor) == 60 for of_tensor in rates.values())


def test_the_notebook_is_kept_without_output() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]
