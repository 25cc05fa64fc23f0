"""The outer loop of every meta-learner."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import torch
import torch.distributed
from torch import Tensor
from torch.optim import Adam, Optimizer

from metaopt.episodes.distribution import TaskDistribution
from metaopt.episodes.episode import Episode
from metaopt.learners.learner import Learner, Theta
from metaopt.learners.tracing import traced

#: Consecutive steps without a finite gradient after which training has failed.
MOST_SKIPPED: Final = 100
#: Recording takes as long as hundreds of steps.
STEPS_BEFORE_TRACING: Final = 50

MakeOptimizer: TypeAlias = Callable[[list[Tensor]], Optimizer]
ADAM: Final[MakeOptimizer] = partial(Adam, lr=1e-3, fused=True)


@dataclass(frozen=True)
class Fit:
    """What meta-training came to.

    Attributes:
        theta: Meta-parameters.
        losses: ``(n_steps,)`` mean meta-loss of each batch; NaN where a step was skipped.
    """

    theta: Theta
    losses: Tensor = field(repr=False)

    @property
    def n_skipped(self) -> int:
        """Steps that changed nothing because a loss or a gradient was not finite."""
        return int(self.losses.isnan().sum())


def meta_fit(
    learner: Learner,
    distribution: TaskDistribution,
    *,
    n_steps: int,
    n_tasks: int = 25,
    seed: int = 0,
    device: torch.device | str = "cpu",
    optimizer: MakeOptimizer = ADAM,
    rate: Callable[[float], float] | None = None,
    max_norm: float = 10.0,
    theta: Theta | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: int = 1000,
    group: torch.distributed.ProcessGroup | None = None,
    progress: Callable[[int, Tensor], None] | None = None,
) -> Fit:
    """Meta-train a learner: the same seed and device give the same result.

    A step whose loss or gradient is not finite changes nothing and is counted.

    Args:
        learner: What to train.
        distribution: Of the tasks.
        n_steps: Outer steps.
        n_tasks: In a batch; with several processes, in all of them together.
        seed: Of the initialisation, the tasks, and what a learner draws.
        device: Where to train.
        optimizer: Makes the outer optimizer.
        rate: Factor of its learning rate as a function of progress, 0 to 1; None: always 1.
        max_norm: A longer meta-gradient is shortened to this.
        theta: Where to begin; None: the learner's own initial meta-parameters.
        checkpoint: File that is written now and then, and gone on from if it is there.
        checkpoint_every: Steps between.
        group: Processes that share the work, each with a part of every batch; all of them call
            this with the same arguments. The update is that of one process with the whole
            batch. Rank 0 writes the checkpoint.
        progress: Called after each step with their number and the mean meta-loss.

    Raises:
        ValueError: If a number is below 1, ``n_tasks`` can't be shared evenly, or the
            checkpoint is of another run.
        FloatingPointError: If ``MOST_SKIPPED`` steps in a row had no finite gradient.
    """
    rank, n_ranks = (group.rank(), group.size()) if group is not None else (0, 1)
    if min(n_steps, n_tasks, checkpoint_every) < 1 or n_tasks % n_ranks:
        raise ValueError(
            f"n_steps={n_steps}, n_tasks={n_tasks} and checkpoint_every={checkpoint_every} given "
            f"for {n_ranks} processes; expected 1 or more of each, and tasks that divide evenly."
        )
    start = learner.initial(torch.Generator().manual_seed(seed)) if theta is None else theta
    parameters = {name: p.detach().clone().to(device) for name, p in start.items()}
    generator = torch.Generator(device).manual_seed(seed)
    # What a learner draws must not move the tasks: processes draw different amounts.
    own = torch.Generator(device).manual_seed(seed + 1 + rank)
    outer = optimizer(list(parameters.values()))
    base_rates = [settings["lr"] for settings in outer.param_groups]
    losses = torch.full((n_steps,), torch.nan)
    run = _Run(parameters, outer, losses, (generator, own), (seed, n_steps, n_tasks, n_ranks))
    first = run.load(checkpoint) if checkpoint is not None and checkpoint.exists() else 0
    gradient_of = _MetaGradient(learner, own)
    n_skipped = 0

    for step in range(first, n_steps):
        at = step / n_steps
        episodes = distribution.sample(n_tasks, generator, progress=at)
        if n_ranks > 1:
            episodes = episodes.tasks(slice(rank, None, n_ranks))
        gradient, loss = gradient_of(parameters, episodes)
        if group is not None:
            gradient, loss = _mean_over(group, gradient, loss)
        for name, p in parameters.items():
            p.grad = gradient[name]
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), max_norm)
        if bool((norm + loss).isfinite()):
            losses[step] = loss
            n_skipped = 0
            for settings, base in zip(outer.param_groups, base_rates, strict=True):
                settings["lr"] = base * (1.0 if rate is None else rate(at))
            outer.step()
        else:
            n_skipped += 1
            if n_skipped == MOST_SKIPPED:
                raise FloatingPointError(
                    f"{n_skipped} steps in a row without a finite meta-gradient, up to step "
                    f"{step + 1}: lower the learning rates, or check the tasks' targets."
                )
        if progress is not None:
            progress(step + 1, loss)
        done = step + 1
        is_due = done % checkpoint_every == 0 or done == n_steps
        if checkpoint is not None and rank == 0 and is_due:
            run.save(checkpoint, done)
    return Fit({name: p.detach() for name, p in parameters.items()}, losses)


class _MetaGradient:
    """A learner's meta-gradient, recorded for each shape of episodes that keeps coming."""

    def __init__(self, learner: Learner, generator: torch.Generator) -> None:
        self._learner = learner
        self._generator = generator
        self._traces: dict[tuple[torch.Size, ...], Callable[..., Any]] = {}
        self._n_seen: Counter[tuple[torch.Size, ...]] = Counter()

    def __call__(self, theta: Theta, episodes: Episode) -> tuple[Theta, Tensor]:
        with torch.no_grad():
            if not self._learner.deterministic:
                return self._direct(theta, episodes)
            shapes = tuple(tensor.shape for points in episodes for tensor in points)
            self._n_seen[shapes] += 1
            if self._n_seen[shapes] <= STEPS_BEFORE_TRACING:
                return self._direct(theta, episodes)
            if shapes not in self._traces:
                self._traces[shapes] = traced(self._direct, theta, episodes)
            return self._traces[shapes](theta, episodes)

    def _direct(self, theta: Theta, episodes: Episode) -> tuple[Theta, Tensor]:
        return self._learner.meta_gradient(theta, episodes, self._generator)


@dataclass(frozen=True)
class _Run:
    """All that changes during a run, to be written to a checkpoint and read again."""

    parameters: Theta
    optimizer: Optimizer
    losses: Tensor
    generators: tuple[torch.Generator, ...]
    settings: tuple[int, ...]

    def save(self, path: Path, step: int) -> None:
        state = {
            "step": step,
            "settings": list(self.settings),
            "theta": self.parameters,
            "optimizer": self.optimizer.state_dict(),
            "losses": self.losses,
            "generators": [generator.get_state() for generator in self.generators],
        }
        beside = path.with_name(path.name + ".new")
        torch.save(state, beside)
        os.replace(beside, path)

    def load(self, path: Path) -> int:
        """Restore, and return the number of steps done."""
        state = torch.load(path, weights_only=True)
        shapes = {name: p.shape for name, p in state["theta"].items()}
        if state["settings"] != list(self.settings) or shapes != {
            name: p.shape for name, p in self.parameters.items()
        }:
            raise ValueError(
                f"{path} is the checkpoint of another run (seed, steps, tasks, processes: "
                f"{state['settings']}); expected {list(self.settings)} and the same learner: "
                "remove it, or name another."
            )
        for name, p in self.parameters.items():
            p.copy_(state["theta"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.losses.copy_(state["losses"])
        for generator, saved in zip(self.generators, state["generators"], strict=True):
            generator.set_state(saved)
        return int(state["step"])


def _mean_over(
    group: torch.distributed.ProcessGroup, gradient: Theta, loss: Tensor
) -> tuple[Theta, Tensor]:
    """The mean over processes, in one message."""
    flat = torch.cat([*(g.reshape(-1) for g in gradient.values()), loss.reshape(1)])
    torch.distributed.all_reduce(flat, group=group)
    flat /= group.size()
    mean, first = {}, 0
    for name, g in gradient.items():
        mean[name] = flat[first : first + g.numel()].view_as(g)
        first += g.numel()
    return mean, flat[-1]
