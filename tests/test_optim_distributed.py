from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from distributed_worker import model_and_data, train
from lively_weights import write_lively_weights
from torch import Tensor

WORKER = Path(__file__).parent / "distributed_worker.py"


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[list[list[Tensor]]], str]:
    """Parameters of both processes, after training as copies and in parts."""
    path = tmp_path_factory.mktemp("distributed")
    weights = write_lively_weights(path / "lively.safetensors")
    arguments = [str(path / "rendezvous"), weights, str(path / "out")]
    processes = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(rank), *arguments],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
    return [torch.load(f"{path / 'out'}.{rank}", weights_only=True) for rank in range(2)], weights


def test_copies_of_a_model_stay_alike_in_all_processes(outcomes) -> None:
    (first, second), _ = outcomes
    torch.testing.assert_close(first[0], second[0], rtol=0, atol=0)


@pytest.mark.parametrize("kind", [0, 1], ids=["DDP", "FSDP2"])
def test_two_processes_train_as_one_with_all_data(outcomes, kind: int) -> None:
    (first, second), weights = outcomes
    model, x, y = model_and_data()
    alone = train(model, x, y, weights)
    for together in (first[kind], second[kind]):
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
