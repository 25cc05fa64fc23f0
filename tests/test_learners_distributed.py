"""Meta-training shared by processes makes the update of one process with the whole batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed
from torch.multiprocessing.spawn import spawn

from metaopt.episodes import Sinusoids
from metaopt.learners import MAML, MLP, meta_fit

TASKS = Sinusoids(5, 5)
LEARNER = MAML(MLP((1, 8, 1)))
N_STEPS = 3


def train_as(rank: int, n_processes: int, directory: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{directory}/meeting", rank=rank, world_size=n_processes
    )
    group = torch.distributed.group.WORLD
    with pytest.raises(ValueError, match="for 2 processes; expected"):
        meta_fit(LEARNER, TASKS, n_steps=N_STEPS, n_tasks=5, group=group)
    fit = meta_fit(LEARNER, TASKS, n_steps=N_STEPS, n_tasks=6, group=group)
    torch.save({"theta": fit.theta, "losses": fit.losses}, Path(directory, f"{rank}.pt"))
    torch.distributed.barrier()  # who leaves while the other still sends takes it down
    torch.distributed.destroy_process_group()


def test_two_processes_make_the_update_of_one_with_the_union_of_their_batches(
    tmp_path: Path,
) -> None:
    spawn(train_as, (2, str(tmp_path)), nprocs=2)  # type: ignore[no-untyped-call]
    alone = meta_fit(LEARNER, TASKS, n_steps=N_STEPS, n_tasks=6)
    for rank in range(2):
        shared = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(shared["theta"], alone.theta, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(shared["losses"], alone.losses, rtol=1e-5, atol=1e-7)
    start = LEARNER.initial(torch.Generator().manual_seed(0))
    assert not torch.allclose(start["weight0"], alone.theta["weight0"])
