"""The benchmark of optimizers: its tasks, rivals, statistics and report."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from metaopt.benchmarks.optimizers import runs
from metaopt.benchmarks.optimizers.bench import WAYS, run_benchmark
from metaopt.benchmarks.optimizers.comparison import NEVER, summarise, time_fraction
from metaopt.benchmarks.optimizers.hypergradient import HypergradientAdam
from metaopt.benchmarks.optimizers.options import TIERS, OptimizerBenchOptions
from metaopt.benchmarks.optimizers.rivals import LEARNED, RIVALS, SCHEDULES, learned
from metaopt.benchmarks.optimizers.runs import FILE, Runs, Training, digest_of, run_one
from metaopt.benchmarks.optimizers.tasks import N_LONGER, benchmark_tasks, tuning_tasks
from metaopt.benchmarks.optimizers.training import Outcome, run_training
from metaopt.cli.app import app

TASKS = {task.name: task for task in benchmark_tasks()}
CPU = torch.device("cpu")


def test_time_is_measured_against_the_rivals_own_shortest_training() -> None:
    theirs = {0.2: 3.0, 0.5: 1.0, 1.0: 1.0}
    assert time_fraction({0.2: 0.9, 1.0: 0.5}, theirs) == pytest.approx(0.4)
    assert time_fraction({0.2: 2.0, 0.5: 1.5, 1.0: 1.0}, theirs) == pytest.approx(2.0)


def test_a_rival_that_overfits_is_no_win() -> None:
    overfits = {0.1: 1.0, 0.5: 2.0, 1.0: 3.0}
    assert time_fraction(overfits, overfits) == 1.0
    assert time_fraction({0.1: 1.1, 0.5: 2.0, 1.0: 3.0}, overfits) == math.inf


def test_a_rival_that_always_diverges_is_beaten_at_once() -> None:
    assert time_fraction({1.0: 1.0}, {1.0: math.inf}) == 0.0
    assert time_fraction({1.0: math.inf}, {1.0: math.inf}) == math.inf


def test_the_summary_counts_what_was_never_reached() -> None:
    found = summarise([0.5, 0.5, 0.5, math.inf], ["data", "data", "seeds", "seeds"])
    assert (found.n_reached, found.n_tasks) == (3, 4)
    assert found.median == 0.5
    assert found.low <= found.median <= found.high <= NEVER
    assert found.geometric_mean == pytest.approx(0.5**0.75 * NEVER**0.25)


def test_the_interval_narrows_with_tasks_and_is_the_same_each_time() -> None:
    rng = np.random.default_rng(0)
    few, many = (summarise(rng.uniform(0.2, 1.0, n).tolist(), ["data"] * n) for n in (6, 400))
    assert many.high - many.low < few.high - few.low
    assert summarise([0.3, 0.7, 0.4], ["data"] * 3) == summarise([0.3, 0.7, 0.4], ["data"] * 3)


def test_every_tier_has_tasks_of_its_own_and_the_last_is_larger() -> None:
    assert {task.tier for task in TASKS.values()} == {*TIERS}
    assert len(TASKS) == len(benchmark_tasks()) >= 20
    assert {task.longer for task in TASKS.values() if task.tier == "scale"} == {1, N_LONGER}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_the_same_for_the_same_seed_and_its_loss_is_finite(name: str) -> None:
    first, again, other = (TASKS[name].make(seed) for seed in (0, 0, 1))
    weights = [
        torch.cat([p.detach().flatten() for p in problem.model.parameters()])
        for problem in (first, again, other)
    ]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    torch.testing.assert_close(first.train[0], again.train[0])
    loss = first.loss(first.model(first.train[0][:8]), first.train[1][:8])
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None for p in first.model.parameters())


def test_settings_are_chosen_on_other_tasks_than_the_benchmarks() -> None:
    theirs = [task.make(0).train[0] for task in tuning_tasks(4)]
    ours = [task.make(0).train[0] for task in TASKS.values() if task.tier == "seeds"]
    assert not any(torch.equal(a, b) for a in theirs for b in ours)


@pytest.mark.parametrize("name", [*RIVALS, LEARNED])
def test_every_rival_lowers_the_loss_at_a_sensible_setting(name: str) -> None:
    pytest.importorskip("schedulefree" if name == "schedule-free" else "torch")
    pytest.importorskip("prodigyopt" if name == "prodigy" else "torch")
    sensible = {"lr": 0.02, "adamw_lr": 0.02, "weight_decay": 1e-4, "warm_up": 0.05}
    rival = learned(None) if name == LEARNED else RIVALS[name]
    setting = {**rival.default, **{k: v for k, v in sensible.items() if k in rival.default}}
    before, after = (
        run_training(TASKS["wine"], rival, setting, horizon=steps, seed=0, device=CPU)
        for steps in (1, 40)
    )
    assert after.loss < before.loss
    assert not after.diverged
    assert after.accuracy is not None
    assert after.n_steps == 40


@pytest.mark.parametrize("name", [name for name in RIVALS if name not in SCHEDULES])
def test_settings_lie_within_their_ranges_and_cover_the_first(name: str) -> None:
    rival = RIVALS[name]
    settings = rival.settings(24, np.random.default_rng(0))
    assert len({tuple(setting.items()) for setting in settings}) == 24
    for parameter, (low, high) in rival.ranges.items():
        assert all(low <= setting[parameter] <= high for setting in settings)
    first, (low, high) = next(iter(rival.ranges.items()))
    assert min(setting[first] for setting in settings) < low * (high / low) ** 0.05
    assert set(rival.default) >= set(rival.ranges) - {"beta2"}


def test_hypergradient_adam_raises_a_learning_rate_that_is_too_small() -> None:
    parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = HypergradientAdam([parameter], lr=1e-3, hypergradient_lr=1e-4)
    for _ in range(3):
        optimizer.zero_grad()
        (parameter**2).sum().backward()
        optimizer.step()
    assert optimizer.param_groups[0]["lr"] > 1e-3


def test_hypergradient_adam_without_a_hypergradient_is_adam() -> None:
    ours, theirs = (torch.nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2))
    optimizers = (
        HypergradientAdam([ours], lr=0.1, hypergradient_lr=0.0),
        torch.optim.Adam([theirs], lr=0.1),
    )
    for _ in range(5):
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            (parameter**4).sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


def test_a_divergence_is_told_and_kept_as_plain_data() -> None:
    rival = RIVALS["sgd-cosine"]
    setting = {**rival.default, "lr": 1e6}
    outcome = run_training(TASKS["wine"], rival, setting, horizon=20, seed=0, device=CPU)
    assert outcome.diverged
    again = Outcome.from_dict(json.loads(json.dumps(outcome.to_dict())))
    assert again.diverged
    assert again.loss == outcome.loss or not math.isfinite(outcome.loss)


def tiny(directory: Path) -> OptimizerBenchOptions:
    return OptimizerBenchOptions.quick(
        results=directory, horizon=8, n_settings=2, tiers=("data", "scale"), n_seeds=1
    )


def test_a_benchmark_is_resumed_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def run(*arguments: object) -> Outcome:
        started.append(arguments[0])
        return run_one(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "run_one", run)
    report = run_benchmark(tiny(tmp_path))
    assert len(started) == len(set(started)) > 10

    file = tmp_path / FILE
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[:-2]) + lines[-1][:20], encoding="utf-8")
    n_before = len(started)
    again = run_benchmark(tiny(tmp_path))
    assert len(started) == n_before + 2
    assert again.data["arms"].keys() == report.data["arms"].keys()

    assert {path.name for path in report.files} == {
        "optimizers.json",
        "optimizers.txt",
        "optimizers.png",
    }
    assert all(path.stat().st_size > 100 for path in report.files)
    data = json.loads((tmp_path / "optimizers.json").read_text(encoding="utf-8"))
    assert set(data["against"]) == {f"adamw-cosine, {way}" for way in WAYS}
    against = data["against"]["adamw-cosine, one setting"]
    assert against["steps"]["first three tiers"]["n_tasks"] == 1
    assert against["steps"]["all"]["n_tasks"] == 2
    assert set(against["tasks"]) == {"breast-cancer", "wide-512"}
    for way in WAYS:
        assert way in report.text
    lines = report.text.splitlines()
    start = lines.index(next(line for line in lines if line.startswith("steps/seconds")))
    for line, task in zip(lines[start + 1 :], ("breast-cancer", "wide-512"), strict=False):
        of_arms = [data["against"][f"adamw-cosine, {way}"]["tasks"][task] for way in WAYS]
        shown = ["never" if a["steps"] is None else f"{a['steps']:.2f}" for a in of_arms]
        assert [cell.split("/")[0] for cell in line.split()[2:]] == shown


def test_a_task_of_the_same_name_and_another_definition_is_run_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = TASKS["wine"]
    training = Training.of(task, RIVALS["sgd-cosine"], {"lr": 0.1}, horizon=4, seed=0)
    started = []

    def run(training: Training, *_: object) -> Outcome:
        started.append(training)
        return Outcome(1.0, None, 0.1, 4, False)

    def outcomes() -> None:
        Runs(
            tmp_path, device="cpu", n_jobs=1, weights=None, report=lambda phase, done, of: None
        ).outcomes("test", [training])

    monkeypatch.setattr(runs, "run_one", run)
    outcomes()
    outcomes()
    assert len(started) == 1
    other = replace(task, make=TASKS["spirals"].make)
    monkeypatch.setattr(runs, "task_named", lambda name: other)
    outcomes()
    assert len(started) == 2


def test_a_digest_tells_tasks_apart_and_is_the_same_each_time() -> None:
    digests = {name: digest_of(task) for name, task in TASKS.items()}
    assert len(set(digests.values())) == len(TASKS)
    assert digests["wine"] == digest_of(TASKS["wine"])
    assert digests["wine"] != digest_of(replace(TASKS["wine"], longer=2))


def test_a_learned_schedule_is_compared_with_the_cosine_of_the_same_optimizer(
    tmp_path: Path,
) -> None:
    rivals = ("sgd-cosine", "sgd-learned")
    report = run_benchmark(replace(tiny(tmp_path), rivals=rivals, tiers=("data",)))
    assert set(report.data["schedules"]) == {f"sgd-learned, {way}" for way in WAYS}
    settings = [
        report.data["arms"][f"{rival}, one setting"]["tasks"]["breast-cancer"]["setting"]
        for rival in rivals
    ]
    assert settings[0] == settings[1]
    found = report.data["schedules"]["sgd-learned, default"]["tasks"]["breast-cancer"]
    learned_loss, cosine_loss = (
        report.data["arms"][f"{rival}, default"]["tasks"]["breast-cancer"]["curve"]["1.0"]
        for rival in rivals[::-1]
    )
    assert found["loss_ratio"] == pytest.approx(learned_loss / cosine_loss)
    assert "learned schedule, beside the same optimizer with a cosine" in report.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tiers": ("dta",)}, "tier 'dta' given; expected one of seeds, data"),
        ({"shares": (0.5,)}, r"shares=\(0\.5,\) given"),
    ],
)
def test_impossible_options_are_named(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        OptimizerBenchOptions(results=tmp_path, **changes)  # type: ignore[arg-type]


def test_an_unknown_rival_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rival 'adam' given; expected one of adamw-constant"):
        run_benchmark(OptimizerBenchOptions(results=tmp_path, rivals=("adam",)))


def test_bench_and_train_have_an_optimizer_part_and_still_work_themselves() -> None:
    runner = CliRunner()
    for command in ("bench", "train"):
        of_part = runner.invoke(app, [command, "optimizer", "--help"])
        of_command = runner.invoke(app, [command, "--help"])
        assert (of_part.exit_code, of_command.exit_code) == (0, 0)
        assert "optimizer" in of_command.output
        assert "--seconds" in of_part.output or "--rival" in of_part.output
    assert "--store" in of_command.output


def test_training_an_artifact_without_naming_it_says_what_is_missing() -> None:
    result = CliRunner().invoke(app, ["train"])
    assert result.exit_code == 2
    assert "Missing option '--out'" in result.output


def test_an_unknown_rival_on_the_command_line_is_named(tmp_path: Path) -> None:
    given = ["bench", "optimizer", "--rival", "adam", "--results", str(tmp_path)]
    result = CliRunner().invoke(app, given)
    assert isinstance(result.exception, ValueError)
    assert "rival 'adam' given" in str(result.exception)


def test_a_missing_library_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prodigyopt", None)
    rival = RIVALS["prodigy"]
    with pytest.raises(ValueError, match="pip install prodigyopt"):
        run_training(TASKS["wine"], rival, rival.default, horizon=1, seed=0, device=CPU)
