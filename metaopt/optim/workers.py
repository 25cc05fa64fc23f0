"""The processes that share one meta-training."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Workers:
    """This process among those that ``torchrun`` started; or alone."""

    rank: int = 0
    size: int = 1

    def share(self, n: int) -> list[int]:
        """Which of ``n`` pieces of work are this process's."""
        return list(range(self.rank, n, self.size))

    def gather(self, rows: Tensor) -> Tensor:
        """Rows that each process filled for its share only, and left zero elsewhere, together.

        The sum of a number and zeros is exact, so any number of processes gives the same.
        """
        if self.size == 1:
            return rows
        on_cpu = rows.cpu()
        distributed.all_reduce(on_cpu)
        return on_cpu.to(rows.device)

    def agree(self, decision: bool) -> bool:
        """What the first process decided."""
        if self.size == 1:
            return decision
        flag = torch.tensor([float(decision)])
        distributed.broadcast(flag, 0)
        return bool(flag.item())

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def workers_from_environment() -> Iterator[Workers]:
    """Join the processes that ``torchrun`` started, if it did."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Workers()
        return
    # θ is small: its gradient travels over gloo, on GPUs too.
    distributed.init_process_group("gloo")
    try:
        workers = Workers(distributed.get_rank(), distributed.get_world_size())
        yield workers
        workers.wait()  # who leaves while another still sends takes it down
    finally:
        distributed.destroy_process_group()
