"""The benchmark of pruners, on invented curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaopt.benchmarks.learning_curves import N_EPOCHS
from metaopt.benchmarks.pruner_report import as_text, summary
from metaopt.benchmarks.pruners import StudyResult, run_benchmark
from metaopt.training.learning_curves import moments_of, train_curves
from warmstart.curve_model import SHIPPED
from warmstart.space import Configuration, Float, SearchSpace

pytestmark = pytest.mark.usefixtures("quiet")


@dataclass(frozen=True)
class InventedTask:
    """As ``CurveTask``: two parameters, an end and a speed."""

    task: str
    family: str
    harder: float = 0.0

    space = SearchSpace({"end": Float(0.1, 0.9), "speed": Float(0.02, 0.5, log=True)})

    def losses(self, configurations: Sequence[Configuration], epoch: int) -> np.ndarray:
        end = np.array([c["end"] for c in configurations], dtype=float)
        speed = np.array([c["speed"] for c in configurations], dtype=float)
        fallen = self.harder + end + (1 - end) * np.exp(-speed * epoch)
        return np.stack([fallen, 2 * fallen], axis=1)

    def curves(self, configurations: Sequence[Configuration]) -> np.ndarray:
        epochs = range(1, N_EPOCHS + 1)
        return np.stack([self.losses(configurations, e) for e in epochs]).transpose(2, 1, 0)


def tasks() -> list[Any]:
    return [InventedTask("easy", "easy"), InventedTask("hard", "hard", harder=1.0)]


def test_pruners_run_on_the_same_studies_and_what_ran_is_kept(tmp_path: Path) -> None:
    told: list[StudyResult] = []

    def bench() -> list[StudyResult]:
        return run_benchmark(
            tasks(),
            tmp_path,
            pruners=["none", "median", "warmstart"],
            n_trials=12,
            n_seeds=1,
            artifacts=dict.fromkeys(range(5), SHIPPED),
            report=told.append,
        )

    results = bench()
    assert len(told) == len(results) == 6
    whole = [r for r in results if r.pruner == "none"]
    ours = [r for r in results if r.pruner == "warmstart"]
    assert all(r.epochs[-1] == 12 * N_EPOCHS for r in whole)
    assert all(r.epochs[-1] < 9 * N_EPOCHS for r in ours)
    assert all(np.all(np.diff(r.regrets) <= 0) for r in results)
    assert [r.epochs[0] for r in results] == [N_EPOCHS] * 6
    assert bench() == results
    assert len(told) == 6


def test_an_unknown_pruner_or_sampler_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="hyperband"):
        run_benchmark(tasks(), tmp_path, pruners=["hyper"])
    with pytest.raises(ValueError, match="tpe"):
        run_benchmark(tasks(), tmp_path, pruners=["none"], samplers=["grid"])


def test_pruners_are_compared_by_task_with_the_median() -> None:
    def study(pruner: str, task: str, epochs: tuple[int, ...], regrets: tuple[float, ...]) -> Any:
        return StudyResult(pruner, "tpe", task, task, 0, epochs, regrets)

    rows = summary(
        [
            study("median", "a", (52, 100, 200), (0.5, 0.4, 0.2)),
            study("median", "b", (52, 200, 400), (0.5, 0.4, 0.4)),
            study("warmstart", "a", (52, 60, 90), (0.5, 0.3, 0.1)),
            study("warmstart", "b", (52, 190, 210), (0.5, 0.45, 0.3)),
        ],
        "tpe",
    )
    median, ours = rows
    assert median["share_of_epochs"] == 1.0
    assert median["difference"] == 0.0
    assert ours["epochs"] == 150
    assert ours["share_of_epochs"] == 0.5
    assert ours["difference"] == pytest.approx(-0.1)
    assert ours["regret_at_half"] == pytest.approx((0.1 + 0.45) / 2)
    assert median["share_to_their_regret"] == 1.0
    # Mean 0.3: at 90 of 200 epochs; the other one is at 0.5 until 190 of 400.
    assert ours["share_to_their_regret"] == pytest.approx(0.45)
    low, high = ours["difference_interval"]
    assert low <= -0.1 <= high
    text = as_text(rows, "tpe")
    assert "warmstart" in text
    assert "0.50" in text


def test_nothing_to_compare_is_said() -> None:
    assert "nothing to compare" in as_text(summary([], "tpe"), "tpe")


def test_an_artifact_is_learned_from_curves_alone_and_always_the_same(tmp_path: Path) -> None:
    def train(name: str) -> bytes:
        moments = [moments_of(task, n_configurations=40, n_moments=5) for task in tasks()]
        train_curves(moments, tasks=["easy", "hard"], out=tmp_path / name)
        return (tmp_path / name).read_bytes()

    assert train("one") == train("two")
