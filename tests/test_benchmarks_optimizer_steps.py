from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from metaopt.benchmarks import optimizer_steps


def test_all_arms_are_timed_beside_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = optimizer_steps.time_steps("tiny", (30, 20, 10), "cpu", seconds=0.0, compiled=False)
    by_arm = {row.arm: row for row in rows}
    assert {"AdamW foreach", "AdamW fused", "LSTM", "LSTM refresh 10"} <= set(by_arm)
    assert by_arm["AdamW foreach"].ratio == 1.0
    assert all(row.milliseconds > 0 and row.low <= row.ratio <= row.high for row in rows)
    assert {row.n_parameters for row in rows} == {30 * 20 + 20 + 20 * 10 + 10}
    adam = by_arm["AdamW foreach"].state_bytes
    assert adam == pytest.approx(8 + 4 * 4 / 830)
    assert by_arm["LSTM"].state_bytes == pytest.approx(adam + 4 * 4 * 49 / 830)
    assert optimizer_steps.table(rows, "cpu").count("\n") == len(rows) + 1


def test_an_arm_that_fails_is_named_and_the_others_are_timed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(params: list[torch.Tensor]) -> torch.optim.Optimizer:
        raise RuntimeError("no such device")

    arms = {"AdamW foreach": torch.optim.AdamW, "other": broken}
    monkeypatch.setattr(optimizer_steps, "arms", lambda device, compiled: arms)
    rows = optimizer_steps.time_steps("tiny", (3, 2), "cpu", seconds=0.0, compiled=False)
    assert [row.failed for row in rows] == ["", "RuntimeError: no such device"]
    assert "not measured: RuntimeError" in optimizer_steps.table(rows, "cpu")
    assert math.isnan(rows[1].ratio)


def test_the_command_prints_the_table_and_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(optimizer_steps.MODELS, "cpu", {"tiny": (3, 2)})
    out = tmp_path / "steps.json"
    optimizer_steps.main(["--seconds", "0", "--no-compile", "--json", str(out)])
    assert "LSTM refresh 10" in capsys.readouterr().out
    assert {row["model"] for row in json.loads(out.read_text())} == {"tiny"}
