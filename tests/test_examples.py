"""The examples and the README's code, run as a newcomer would run them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from openml_server import FakeOpenML, serving

from warmstart.store import HistoryStore

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
README = (ROOT / "README.md").read_text(encoding="utf-8")
LONGEST_EXAMPLE = 60


def run(directory, *command):
    """What a Python command prints; fails with what it says on standard error."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WarmStartWarning" not in done.stderr
    return done.stdout


def test_a_pipeline_is_tuned(tmp_path):
    out = run(tmp_path, EXAMPLES / "tune_svm_pipeline.py", "--trials", 3)
    assert "Best accuracy 0.9" in out
    assert out.count("meta-learner") == 3


def test_own_studies_are_sources(tmp_path):
    out = run(tmp_path, EXAMPLES / "own_studies_as_sources.py", "--trials", 6)
    assert len(re.findall(r"^\w+: best 0\.\d+$", out, flags=re.MULTILINE)) == 5
    assert "digits: first 0." in out
    assert "'map__gamma': 'gamma" in out.replace('"', "'")
    assert "'model__alpha': 'alpha" in out.replace('"', "'")


def test_estimators_are_chosen_between(tmp_path):
    pytest.importorskip("lightgbm", reason="the example tunes LightGBM, an optional dependency")
    out = run(tmp_path, EXAMPLES / "search_estimators.py", "--trials", 4)
    assert "boosting__num_leaves" in out
    assert "Best ROC AUC 0.9" in out
    assert re.search(r"^0\.9\d+ on rows that the search did not see$", out, flags=re.MULTILINE)


def test_a_parameter_dict_of_lightgbm_is_tuned(tmp_path):
    pytest.importorskip("lightgbm", reason="the example tunes LightGBM, an optional dependency")
    out = run(tmp_path, EXAMPLES / "tune_lightgbm.py", "--trials", 2)
    assert re.search(r"^Best ROC AUC of cross-validation 0\.9\d+, \d+ rounds$", out, re.MULTILINE)
    assert "'eta': 0.1" in out
    assert "By an objective of one's own: 0.9" in out


def test_several_processes_share_a_study(tmp_path):
    out = run(tmp_path, EXAMPLES / "several_processes.py", "--trials", 4, "--processes", 2)
    n_trials, n_different = map(int, re.findall(r"^(\d+) trials, (\d+) different", out)[0])
    assert n_trials >= 4
    assert n_different == n_trials


def test_runs_are_ingested_from_openml(tmp_path):
    example = EXAMPLES / "ingest_openml.py"
    with serving(FakeOpenML()) as fake:
        first = run(tmp_path, example, "--server", fake.url, "--store", "runs")
        again = run(tmp_path, example, "--server", fake.url, "--store", "runs")
    n_runs = len(HistoryStore(tmp_path / "runs"))
    assert n_runs > 0
    assert first.startswith(f"{n_runs} runs added, 0 known")
    assert again.startswith(f"0 runs added, {n_runs} known")
    assert "with a loss of" in first


def test_the_code_in_the_readme_runs_from_top_to_bottom(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    out = run(tmp_path, "-c", "\n".join(blocks))
    assert "meta-learner" in out
    assert "'svc__gamma'" in out
    assert "sklearn.ensemble.AdaBoostClassifier" in out
    assert len(HistoryStore(tmp_path / "histories")) == 10


def test_every_command_in_the_readme_is_one_with_these_options():
    import typer.main

    from metaopt.cli import app

    commands = typer.main.get_command(app).commands
    mentioned = re.findall(r"`metaopt ([^`]*)`", README)
    assert {text.split()[0] for text in mentioned} == set(commands)
    for text in mentioned:
        name, *words = text.split()
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known, text


def test_every_target_in_the_readme_is_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make (\w+)", README):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_every_link_in_the_readme_leads_to_a_file():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert "LICENSE" in links
    assert [link for link in links if not (ROOT / link).is_file()] == []


def test_every_example_is_listed_in_the_readme():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(
        re.findall(r"\(examples/(\w+\.py)\)", README)
    )


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_examples_fit_a_screen(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_EXAMPLE
