"""How fast meta-training is, beside a batched loop written by hand for one model.

In turns, so that what else the machine does meets all alike; and on a CPU in seconds of this
process's own work.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import torch
import torch.distributed
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from metaopt.episodes.episode import Episode
from metaopt.episodes.sinusoids import Sinusoids
from metaopt.learners import MAML, MLP, Theta, meta_fit
from metaopt.learners.meta_fit import STEPS_BEFORE_TRACING

TASKS: Final = Sinusoids(10, 10)
N_TASKS: Final = 25
_LEARNER: Final = MAML(MLP((1, 40, 40, 1)))
_N_ROUNDS: Final = 5
_WARM: Final = STEPS_BEFORE_TRACING + 10
#: Large enough for the arithmetic to outweigh the message between two processes.
_N_SHARED_TASKS: Final = 1024


def hand_written_gradient(theta: Theta, episodes: Episode) -> tuple[Theta, Tensor]:
    """MAML's meta-gradient for this one network, with weights of each task and ``baddbmm``."""
    n_tasks = len(episodes.support.x)
    start = {name: p.detach().requires_grad_() for name, p in theta.items()}

    def predict(weights: Theta, x: Tensor) -> Tensor:
        for i in range(3):
            x = torch.baddbmm(weights[f"bias{i}"][:, None], x, weights[f"weight{i}"])
            x = torch.relu(x) if i < 2 else x
        return x

    weights = {name: p.expand(n_tasks, *p.shape) for name, p in start.items()}
    support, query = episodes
    loss = ((predict(weights, support.x) - support.y) ** 2).mean((1, 2)).sum()
    gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
    adapted = {
        name: w - _LEARNER.step_size * g
        for (name, w), g in zip(weights.items(), gradients, strict=True)
    }
    meta_loss = ((predict(adapted, query.x) - query.y) ** 2).mean()
    meta_gradient = torch.autograd.grad(meta_loss, list(start.values()))
    return dict(zip(start, meta_gradient, strict=True)), meta_loss.detach()


def hand_written_training(n_steps: int, *, device: str) -> Theta:
    """The same training as ``meta_fit`` of the same learner, without anything around it."""
    theta = _LEARNER.initial(torch.Generator().manual_seed(0))
    theta = {name: p.to(device) for name, p in theta.items()}
    optimizer = torch.optim.Adam(theta.values(), lr=1e-3, fused=True)
    generator = torch.Generator(device).manual_seed(0)
    for _ in range(n_steps):
        gradient, _ = hand_written_gradient(theta, TASKS.sample(N_TASKS, generator))
        for name, p in theta.items():
            p.grad = gradient[name]
        torch.nn.utils.clip_grad_norm_(theta.values(), 10.0)
        optimizer.step()
    return theta


def run_speed(device: str, *, share: float) -> dict[str, Any]:
    """Tasks a second of ``meta_fit`` and of the loop written by hand, and their ratio."""
    n_steps = max(20, round(400 * share))
    ours, by_hand = [], []
    for _ in range(_N_ROUNDS):
        by_hand.append(_seconds(partial(hand_written_training, n_steps, device=device), device))
        # Recording the operations is part of a run, but its cost does not grow with it.
        short = _seconds(partial(_our_training, _WARM, device), device)
        ours.append(_seconds(partial(_our_training, n_steps + _WARM, device), device) - short)
    ratios = [mine / theirs for mine, theirs in zip(ours, by_hand, strict=True)]
    return {
        "device": device,
        "n_steps": n_steps,
        "tasks_per_second": N_TASKS * n_steps / statistics.median(ours),
        "tasks_per_second_by_hand": N_TASKS * n_steps / statistics.median(by_hand),
        "times_by_hand": statistics.median(ratios),
        "rounds": ratios,
    }


def run_processes(*, share: float) -> dict[str, Any]:
    """Throughput of two processes over one, on batches of the same size; on the CPU."""
    n_steps = max(5, round(200 * share))
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(3):
        for n, taken in seconds.items():
            taken.append(_seconds_with(n, n_steps))
    ratios = [one / two for one, two in zip(seconds[1], seconds[2], strict=True)]
    return {
        "n_tasks": _N_SHARED_TASKS,
        "n_steps": n_steps,
        "tasks_per_second": {
            str(n): _N_SHARED_TASKS * n_steps / statistics.median(taken)
            for n, taken in seconds.items()
        },
        "speedup": statistics.median(ratios),
        "rounds": ratios,
    }


def _our_training(n_steps: int, device: str) -> Theta:
    return meta_fit(_LEARNER, TASKS, n_steps=n_steps, n_tasks=N_TASKS, device=device).theta


def _seconds(run: Callable[[], object], device: str) -> float:
    clock = time.process_time if device == "cpu" else time.perf_counter
    start = clock()
    run()
    if device != "cpu":
        torch.cuda.synchronize()
    return clock() - start


def _seconds_with(n_processes: int, n_steps: int) -> float:
    """Of training, without starting the processes; the slowest of them."""
    with TemporaryDirectory() as directory:
        spawn(  # type: ignore[no-untyped-call]
            _timed_rank, (n_processes, n_steps, directory), nprocs=n_processes
        )
        return max(float(path.read_text()) for path in Path(directory).glob("seconds*"))


def _timed_rank(rank: int, n_processes: int, n_steps: int, directory: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{directory}/meeting", rank=rank, world_size=n_processes
    )
    train = partial(
        meta_fit,
        _LEARNER,
        TASKS,
        n_tasks=_N_SHARED_TASKS,
        group=torch.distributed.group.WORLD if n_processes > 1 else None,
    )
    train(n_steps=_WARM)
    start = time.perf_counter()
    train(n_steps=_WARM)
    warm = time.perf_counter()
    train(n_steps=n_steps + _WARM)
    seconds = (time.perf_counter() - warm) - (warm - start)
    Path(directory, f"seconds{rank}").write_text(str(seconds))
    torch.distributed.barrier()  # who leaves while the other still sends takes it down
    torch.distributed.destroy_process_group()
