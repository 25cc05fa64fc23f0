"""Meta-training of the coordinate-wise LSTM by truncated back-propagation.

Notation: g_t gradient of the optimizee at x_t; u_t the step, x_{t+1} = x_t + u_t.
Without second derivatives g_t is a constant input, so the derivative of the summed losses of an
unroll by u_t is g_{t+1} + … + g_T. The optimizee is differentiated once a step for both purposes,
and the LSTM once an unroll, over the whole sequence.

Departures from the paper: losses count relative to their mean over the unroll, or the first steps
would drown the last ones; gradients are clipped, and Adam's learning rate falls.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from metaopt.optim.l2l import CoordinateLSTM, L2LConfig, State
from metaopt.optim.l2l_tasks import Family, Losses

_COORDINATES_AT_ONCE: Final = 320  # in the backward pass on a CPU: what fits its cache
_LARGEST_GRADIENT: Final = 1.0


@dataclass(frozen=True)
class L2LTraining:
    """How to meta-train.

    Attributes:
        n_epochs: Each trains new optimizees for ``horizon`` steps.
        n_optimizees: Side by side in an epoch.
        horizon: Steps of an epoch.
        unroll: Steps between two updates of the network.
        learning_rate: Of Adam at the start; it falls to a tenth along a cosine.
        n_validation: Optimizees on which the best epoch is chosen.
        validation_steps: At which their mean losses are taken; the worse one counts.
        validate_every: Epochs.
        seed: Of all random choices.
    """

    n_epochs: int = 700
    n_optimizees: int = 32
    horizon: int = 100
    unroll: int = 20
    learning_rate: float = 3e-3
    n_validation: int = 256
    validation_steps: tuple[int, ...] = (100, 200)
    validate_every: int = 100
    seed: int = 0


@dataclass(frozen=True)
class L2LProgress:
    """Where a meta-training stands: the epoch, and the best validation loss and its epoch."""

    epoch: int
    n_epochs: int
    best_loss: float
    best_epoch: int


def gradient(losses: Losses, x: Tensor) -> tuple[Tensor, Tensor]:
    """The losses ``(n,)`` and the gradient ``(n, n_parameters)`` of each at its row."""
    x = x.detach().requires_grad_()
    values = losses(x)
    (slope,) = torch.autograd.grad(values.sum(), x)
    return values.detach(), slope


@torch.no_grad()
def roll_out(
    network: CoordinateLSTM, family: Family, *, n: int, n_steps: int, generator: torch.Generator
) -> Tensor:
    """Losses ``(n_steps + 1, n)`` of ``n`` optimizees, the first ones before any step."""
    optimizees = family.sample(n, generator=generator)
    x, state, losses = optimizees.start, None, []
    for _ in range(n_steps):
        with torch.enable_grad():
            values, slope = gradient(optimizees.losses, x)
        losses.append(values)
        steps, state = network(slope.reshape(1, -1), state)
        x = x + steps.view_as(x)
    return torch.stack([*losses, optimizees.losses(x)])


def back_propagate(
    network: CoordinateLSTM, slopes: Tensor, losses: Tensor, before: State | None
) -> None:
    """Add the meta-gradient of an unroll to the gradients of the network's weights.

    Args:
        network: To be trained.
        slopes: ``(unroll + 1, n_optimizees, n_parameters)``, the gradient before each step, and
            after the last one.
        losses: ``(unroll, n_optimizees)``, after each step.
        before: The network's state before the unroll.
    """
    weights = 1.0 / (losses.mean(dim=0) * losses.shape[1])
    by_steps = (slopes[1:].flip(0).cumsum(0).flip(0) * weights.unsqueeze(1)).flatten(1)
    slopes = slopes.flatten(1)
    n = slopes.shape[1]
    size = _COORDINATES_AT_ONCE if slopes.device.type == "cpu" else n
    for start in range(0, n, size):
        part = slice(start, start + size)
        state = None
        if before is not None:
            state = (before[0][:, part].contiguous(), before[1][:, part].contiguous())
        steps, _ = network(slopes[:-1, part], state)
        steps.backward(by_steps[:, part])


class MetaTrainer:
    """Meta-trains a network; may be stopped after any epoch and continued from its checkpoint.

    Args:
        config: Of the network.
        family: To train on.
        training: How.
        device: Where all of it runs.
        checkpoint: File to continue from, if it is there, and to write to; None for neither.

    Raises:
        ValueError: If the checkpoint is one of other settings.
    """

    def __init__(
        self,
        config: L2LConfig,
        family: Family,
        training: L2LTraining,
        *,
        device: torch.device | str = "cpu",
        checkpoint: Path | None = None,
    ) -> None:
        self._family, self._training, self._checkpoint = family, training, checkpoint
        self._settings = {"config": asdict(config), "training": asdict(training)}
        self._network = CoordinateLSTM(config, seed=training.seed).to(device)
        self._best = CoordinateLSTM(config, seed=training.seed).to(device)
        self._adam = torch.optim.Adam(self._network.parameters(), lr=training.learning_rate)
        self._generator = torch.Generator(device).manual_seed(training.seed)
        self._epoch, self._best_epoch, self._best_loss = 0, 0, math.inf
        if checkpoint is not None and checkpoint.exists():
            self._restore(torch.load(checkpoint, map_location="cpu", weights_only=True))

    def run(self, report: Callable[[L2LProgress], None] | None = None) -> CoordinateLSTM:
        """Train to the end; returns the network of the best epoch."""
        training = self._training
        while self._epoch < training.n_epochs:
            self._train_epoch()
            self._epoch += 1
            if self._epoch % training.validate_every == 0 or self._epoch == training.n_epochs:
                self._validate()
                if self._checkpoint is not None:
                    self._save(self._checkpoint)
                if report is not None:
                    report(self.progress)
        return self._best

    @property
    def progress(self) -> L2LProgress:
        """Where it stands."""
        return L2LProgress(self._epoch, self._training.n_epochs, self._best_loss, self._best_epoch)

    def _train_epoch(self) -> None:
        training = self._training
        done = self._epoch / training.n_epochs
        for group in self._adam.param_groups:
            group["lr"] = training.learning_rate * (0.55 + 0.45 * math.cos(math.pi * done))
        optimizees = self._family.sample(training.n_optimizees, generator=self._generator)
        x = optimizees.start
        state: State | None = None
        _, slope = gradient(optimizees.losses, x)
        for _ in range(0, training.horizon, training.unroll):
            before, slopes = state, [slope]
            losses: list[Tensor] = []
            for _ in range(training.unroll):
                with torch.no_grad():
                    steps, state = self._network(slope.reshape(1, -1), state)
                x = x + steps.view_as(x)
                values, slope = gradient(optimizees.losses, x)
                slopes.append(slope)
                losses.append(values)
            self._adam.zero_grad()
            back_propagate(self._network, torch.stack(slopes), torch.stack(losses), before)
            nn.utils.clip_grad_norm_(self._network.parameters(), _LARGEST_GRADIENT)
            self._adam.step()

    def _validate(self) -> None:
        training = self._training
        generator = torch.Generator(self._generator.device).manual_seed(training.seed + 1)
        curve = roll_out(
            self._network,
            self._family,
            n=training.n_validation,
            n_steps=max(training.validation_steps),
            generator=generator,
        )
        loss = float(curve[list(training.validation_steps)].mean(dim=1).max())
        if loss < self._best_loss:
            self._best_loss, self._best_epoch = loss, self._epoch
            self._best.load_state_dict(self._network.state_dict())

    def _save(self, path: Path) -> None:
        unfinished = path.with_suffix(".unfinished")
        torch.save(
            {
                "settings": self._settings,
                "epoch": self._epoch,
                "best_epoch": self._best_epoch,
                "best_loss": self._best_loss,
                "network": self._network.state_dict(),
                "best": self._best.state_dict(),
                "adam": self._adam.state_dict(),
                "generator": self._generator.get_state(),
            },
            unfinished,
        )
        unfinished.replace(path)

    def _restore(self, saved: dict[str, Any]) -> None:
        if saved["settings"] != self._settings:
            raise ValueError(
                f"{self._checkpoint} is a checkpoint of {saved['settings']}; expected one of "
                f"{self._settings}: name another directory, or remove it."
            )
        self._epoch, self._best_epoch = saved["epoch"], saved["best_epoch"]
        self._best_loss = saved["best_loss"]
        self._network.load_state_dict(saved["network"])
        self._best.load_state_dict(saved["best"])
        self._adam.load_state_dict(saved["adam"])
        self._generator.set_state(saved["generator"])
