"""One of two processes that train one model together; run by test_optim_distributed.py."""

from __future__ import annotations

import sys

import torch
import torch.distributed as dist
from torch import Tensor, nn

from metaopt.optim.optimizer import LSTMOptimizer

N_STEPS = 5


def model_and_data() -> tuple[nn.Module, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(0.3 * torch.randn(p.shape, generator=generator))
    x, y = (torch.randn(16, width, generator=generator) for width in (6, 3))
    return model, x, 2 * y


def train(model: nn.Module, x: Tensor, y: Tensor, weights: str) -> list[Tensor]:
    optimizer = LSTMOptimizer(model.parameters(), total_steps=9, weights=weights)
    for _ in range(N_STEPS):
        optimizer.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        optimizer.step(loss=loss)
    return [p.detach() for p in model.parameters()]


def main(rank: int, rendezvous: str, weights: str, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    model, x, y = model_and_data()
    own = slice(8 * rank, 8 * rank + 8)
    copies = train(nn.parallel.DistributedDataParallel(model), x[own], y[own], weights)

    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model, x, y = model_and_data()
    mesh = init_device_mesh("cpu", (2,))
    for layer in (model[0], model[2]):
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    parts = train(model, x[own], y[own], weights)
    torch.save([copies, [p.full_tensor() for p in parts]], f"{out}.{rank}")
    dist.barrier()  # who leaves while the other still sends takes it down
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
