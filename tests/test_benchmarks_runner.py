import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import optuna
import pytest
from benchmark_synthetic import BowlSource
from rich.console import Console

from metaopt.benchmarks.bench import run_benchmark
from metaopt.benchmarks.methods import METHODS, Method, code_digest, identity
from metaopt.benchmarks.options import BenchOptions
from metaopt.benchmarks.portfolio import greedy_portfolio
from metaopt.benchmarks.progress import Progress
from metaopt.benchmarks.proposals import FixedStartSampler
from metaopt.benchmarks.results import FILE, ResultFile

SOURCE = BowlSource(n_tasks=6, n_trials=20)


def options(directory, **changes):
    settings = {
        "methods": ("random", "tpe", "portfolio_tpe"),
        "n_trials": 6,
        "n_seeds": 2,
        "n_reference_seeds": 4,
        "n_jobs": 1,
        "plots": False,
    }
    return BenchOptions(results=Path(directory), **{**settings, **changes})


def run(directory, *, known=METHODS, source=SOURCE, **changes):
    return run_benchmark(
        options(directory, **changes),
        methods=known,
        sources=[source],
        progress=Progress(quiet=True),
    )


def n_lines(directory):
    return len((Path(directory) / FILE).read_text().splitlines())


def test_every_study_runs_once_and_again_gives_the_same(tmp_path):
    first = run(tmp_path / "a")
    assert n_lines(tmp_path / "a") == 6 * (2 + 4 + 2)
    again = run(tmp_path / "a")
    assert n_lines(tmp_path / "a") == 6 * (2 + 4 + 2)
    other = run(tmp_path / "b")
    for key in ("runs", "tests", "guard", "failures"):
        assert first.data[key] == again.data[key] == other.data[key]


def test_processes_give_the_same_as_one(tmp_path):
    one = run(tmp_path / "one", n_tasks=1)
    two = run(tmp_path / "two", n_tasks=1, n_jobs=2)
    assert one.data["runs"] == two.data["runs"]


def test_optuna_is_as_loud_as_before(tmp_path):
    before = optuna.logging.get_verbosity()
    run(tmp_path, n_tasks=1, n_seeds=1)
    assert optuna.logging.get_verbosity() == before


_SCRIPT = """
import sys
from pathlib import Path
from test_benchmarks_runner import run
run(sys.argv[1], n_trials=30)
"""


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    whole = run(tmp_path / "whole", n_trials=30)
    directory = tmp_path / "killed"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen([sys.executable, "-c", _SCRIPT, str(directory)], env=environment)
    file = directory / FILE
    while process.poll() is None and not (file.exists() and file.stat().st_size > 3000):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = file.read_bytes()
    kept = len(ResultFile(directory).read())
    assert 0 < kept < 48
    file.write_bytes(before[:-5])  # as if it had been writing
    resumed = run(directory, n_trials=30)
    assert resumed.data["runs"] == whole.data["runs"]
    assert file.read_bytes().startswith(before[:-5])
    assert n_lines(directory) <= 48 + 1


def test_a_longer_study_serves_a_shorter_one(tmp_path):
    run(tmp_path, n_trials=8)
    n = n_lines(tmp_path)
    short = run(tmp_path, n_trials=4)
    assert n_lines(tmp_path) == n
    assert {len(r["regret"]) for r in short.data["runs"]} == {4}
    longer = run(tmp_path, n_trials=9)
    assert n_lines(tmp_path) == 2 * n
    assert {len(r["regret"]) for r in longer.data["runs"]} == {9}


def _start(trained, problem, seed, *, n_start):
    return FixedStartSampler(trained[:n_start], optuna.samplers.RandomSampler(seed=seed))


def method(n_start=2, size=4):
    return Method("mine", partial(_start, n_start=n_start), partial(greedy_portfolio, size=size))


def n_runs_of(directory, one, source=SOURCE):
    before = n_lines(directory) if (directory / FILE).exists() else 0
    run(directory, known={"mine": one}, source=source, methods=("mine",), n_tasks=1, n_seeds=1)
    return n_lines(directory) - before


def test_other_settings_training_or_data_never_reuse_results(tmp_path):
    n = n_runs_of(tmp_path, method())
    assert n > 0
    assert n_runs_of(tmp_path, method()) == 0
    assert n_runs_of(tmp_path, method(n_start=3)) == n
    assert n_runs_of(tmp_path, method(size=5)) == n
    assert n_runs_of(tmp_path, method(), BowlSource(n_tasks=6, n_trials=21)) == n


def _fails(trained, problem, seed):
    raise RuntimeError(f"no sampler for {problem.task}")


def _fails_to_learn(histories):
    raise RuntimeError(f"nothing in {len(histories)} histories")


def test_failures_are_recorded_with_their_reason_and_tried_again(tmp_path):
    methods = {
        "tpe": METHODS["tpe"],
        "broken": Method("broken", _fails),
        "untrained": Method("untrained", _fails, _fails_to_learn),
    }
    report = run(tmp_path, known=methods, methods=("tpe", "broken", "untrained"))
    failures = report.data["failures"]
    assert {f["method"] for f in failures} == {"broken", "untrained"}
    assert any("no sampler for bowl-0" in f["error"] for f in failures)
    assert any("nothing in" in f["error"] for f in failures)
    assert list(report.data["sources"]["honest"]["bowls"]) == ["tpe"]
    assert "studies failed" in report.text
    repaired = {**methods, "broken": Method("broken", METHODS["random"].sampler)}
    report = run(tmp_path, known=repaired, methods=("tpe", "broken"))
    assert report.data["failures"] == []


class _Telling(optuna.samplers.RandomSampler):
    def before_trial(self, study, trial):
        by = "then" if trial.number % 3 == 0 else "meta-learner"
        said = json.dumps({"by": by})
        study._storage.set_trial_user_attr(trial._trial_id, "warmstart", said)


def _telling(trained, problem, seed):
    return _Telling(seed)


def test_the_share_of_trials_that_the_meta_learner_proposed_is_read_from_the_study(tmp_path):
    known = {"told": Method("told", _telling), "tpe": METHODS["tpe"]}
    report = run(tmp_path, known=known, methods=("told", "tpe"))
    figures = report.data["sources"]["honest"]["bowls"]
    assert figures["told"]["proposed"] == pytest.approx(4 / 6)
    assert figures["tpe"]["proposed"] is None


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match="magic"):
        run(tmp_path, methods=("magic",))
    with pytest.raises(ValueError, match="sideways"):
        options(tmp_path, variants=("sideways",))
    with pytest.raises(ValueError, match="n_jobs"):
        options(tmp_path, n_jobs=0)


def test_methods_without_transfer_run_once_for_all_corruptions(tmp_path):
    report = run(
        tmp_path,
        variants=("honest", "shuffled", "half_inverted", "inverted_target"),
        guarded=("tpe", "portfolio_tpe"),
        methods=("tpe", "portfolio_tpe"),
    )
    # TPE on honest and on inverted tasks; the portfolio in each variant.
    assert n_lines(tmp_path) == 6 * (2 * 4 + 4 * 2)
    assert {g["variant"] for g in report.data["guard"]} == {
        "shuffled",
        "half_inverted",
        "inverted_target",
    }
    assert all(g["method"] == "portfolio_tpe" for g in report.data["guard"])


def test_identity_names_settings_and_code_digest_follows_the_code(tmp_path, monkeypatch):
    assert identity(method(n_start=7).sampler).endswith("_start(n_start=7)")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "some_method.py").write_text("a = 1\n")
    before = code_digest(["some_method"])
    (tmp_path / "some_method.py").write_text("a = 2\n")
    assert code_digest(["some_method"]) != before
    with pytest.raises(ValueError, match="no_such_module_here"):
        code_digest(["no_such_module_here"])


def test_progress_is_plain_lines_away_from_a_terminal():
    from io import StringIO

    out = StringIO()
    with Progress(Console(file=out, force_terminal=False, width=60)) as progress:
        progress.advance("studies", 1, 3, "tpe on bowls, bowl-0")
        progress.advance("studies", 2, 3, "tpe on bowls, bowl-1", error="broken [really]")
        progress.advance("studies", 3, 3, "tpe on bowls, bowl-2")
    lines = out.getvalue().splitlines()
    assert lines[0] == "studies: 1 of 3 (tpe on bowls, bowl-0)"
    assert "failed: tpe on bowls, bowl-1: broken [really]" in lines
    assert lines[-1].startswith("studies: 3 of 3, about 0 s left")
    assert "\x1b" not in out.getvalue()
