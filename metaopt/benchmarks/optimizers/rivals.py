"""Who trains: the learned optimizer and its rivals, each with the settings that users tune."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from metaopt.benchmarks.optimizers.hypergradient import HypergradientAdam

LEARNED: Final = "lstm"
# Arms with a learned schedule, each with the one that has a cosine in its place and the same
# settings.
SCHEDULES: Final = {"adamw-learned": "adamw-cosine", "sgd-learned": "sgd-cosine"}
_LOWEST_FACTOR: Final = 1e-3  # of the learning rate at the end of a cosine

Setting = Mapping[str, float]


class Trainer(Protocol):
    """Takes the steps of one training."""

    def zero_grad(self) -> None:
        """Forget the gradients."""
        ...

    def step(self, loss: Tensor) -> None:
        """Move the parameters, given the loss whose gradient they hold."""
        ...

    def finish(self) -> None:
        """Leave the parameters as they are to be judged."""
        ...


@dataclass
class Optimizers:
    """Torch optimizers, together all parameters, with a schedule for the learning rate."""

    optimizers: Sequence[torch.optim.Optimizer]
    factor: Callable[[int], float] | None = None
    n_steps: int = 0
    lrs: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lrs = [float(group["lr"]) for group in self._groups()]
        self._schedule()

    def _groups(self) -> Iterable[dict[str, Any]]:
        return (group for optimizer in self.optimizers for group in optimizer.param_groups)

    def _schedule(self) -> None:
        if self.factor is not None:
            for lr, group in zip(self.lrs, self._groups(), strict=True):
                group["lr"] = lr * self.factor(self.n_steps)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()

    def step(self, loss: Tensor) -> None:
        """Move the parameters."""
        for optimizer in self.optimizers:
            optimizer.step()
        self.n_steps += 1
        self._schedule()

    def finish(self) -> None:
        """Average the parameters, where the optimizer does."""
        for optimizer in self.optimizers:
            if hasattr(optimizer, "eval"):
                optimizer.eval()


@dataclass
class Learned:
    """The learned optimizer: it sees the loss."""

    optimizer: Any

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self.optimizer.zero_grad()

    def step(self, loss: Tensor) -> None:
        """Move the parameters."""
        self.optimizer.step(loss=loss)

    def finish(self) -> None:
        """Nothing is left to do."""


@dataclass
class Scheduled:
    """An optimizer in the hands of the learned schedule, which sees the loss."""

    optimizer: torch.optim.Optimizer
    schedule: Any

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self.optimizer.zero_grad()

    def step(self, loss: Tensor) -> None:
        """Move the parameters."""
        self.optimizer.step()
        self.schedule.step(loss=loss)

    def finish(self) -> None:
        """Nothing is left to do."""


@dataclass(frozen=True)
class Rival:
    """An optimizer to compare with.

    Attributes:
        name: As on the command line.
        make: From the model, a setting and the number of steps to a trainer.
        default: What its library or paper gives.
        ranges: Of what is tuned: lowest, highest; all logarithmic.
    """

    name: str
    make: Callable[[nn.Module, Setting, int], Trainer]
    default: Setting
    ranges: Mapping[str, tuple[float, float]]

    def settings(self, n: int, rng: np.random.Generator) -> list[Setting]:
        """``n`` settings, even in the first parameter and random in the others."""
        places = {name: rng.random(n) for name in self.ranges}
        first = next(iter(self.ranges))
        places[first] = (np.arange(n) + 0.5) / n
        return [
            {
                name: float(low * (high / low) ** places[name][i])
                for name, (low, high) in self.ranges.items()
            }
            for i in range(n)
        ]


def learned(weights: Path | None) -> Rival:
    """The learned optimizer, which has nothing to set."""

    def make(model: nn.Module, setting: Setting, n_steps: int) -> Trainer:
        from metaopt.optim.optimizer import LSTMOptimizer

        return Learned(LSTMOptimizer(model.parameters(), total_steps=n_steps, weights=weights))

    return Rival(LEARNED, make, {}, {})


def _cosine(n_steps: int, warm_up: float) -> Callable[[int], float]:
    def factor(step: int) -> float:
        rising = min(1.0, (step + 1) / max(1.0, warm_up * n_steps))
        return rising * max(_LOWEST_FACTOR, 0.5 * (1 + math.cos(math.pi * step / n_steps)))

    return factor


def _adamw(model: nn.Module, setting: Setting) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        model.parameters(),
        lr=setting["lr"],
        weight_decay=setting["weight_decay"],
        betas=(0.9, setting.get("beta2", 0.999)),
    )


def _adamw_constant(model: nn.Module, setting: Setting, n_steps: int) -> Trainer:
    return Optimizers([_adamw(model, setting)])


def _adamw_cosine(model: nn.Module, setting: Setting, n_steps: int) -> Trainer:
    return Optimizers([_adamw(model, setting)], _cosine(n_steps, setting["warm_up"]))


def _adamw_learned(model: nn.Module, setting: Setting, n_steps: int) -> Trainer:
    return _scheduled(_adamw(model, setting), n_steps)


def _sgd(model: nn.Module, setting: Setting) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        model.parameters(),
        lr=setting["lr"],
        momentum=0.9,
        nesterov=True,
        weight_decay=setting["weight_decay"],
    )


def _sgd_cosine(model: nn.Module, setting: Setting, n_steps: int) -> Trainer:
    return Optimizers([_sgd(model, setting)], _cosine(n_steps, setting["warm_up"]))


def _sgd_learned(model: nn.Module, setting: Setting, n_steps: int) -> Trainer:
    return _scheduled(_sgd(model, setting), n_steps)


def _scheduled(optimizer: torch.optim.Optimizer, n_steps: int) -> Trainer:
    from metaopt.optim.schedule import LearnedSchedule

    return Scheduled(optimizer, LearnedSchedule(optimizer, total_steps=n_steps))


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"The package {name} is not installed: `pip install {name}`, or name the rivals "
            "to compare with."
        ) from error


def _schedule_free(model: nn.Module, setting: Setting, n_steps: int) -> Trainer:
    optimizer = _library("schedulefree").AdamWScheduleFree(
        model.parameters(),
        lr=setting["lr"],
        weight_decay=setting["weight_decay"],
        warmup_steps=round(setting["warm_up"] * n_steps),
    )
    optimizer.train()
    return Optimizers([optimizer])


def _prodigy(model: nn.Module, setting: Setting, n_steps: int) -> Trainer:
    optimizer = _library("prodigyopt").Prodigy(
        model.parameters(),
        lr=1.0,
        d_coef=setting["d_coef"],
        weight_decay=setting["weight_decay"],
        safeguard_warmup=True,
    )
    return Optimizers([optimizer], _cosine(n_steps, setting["warm_up"]))


def _muon(model: nn.Module, setting: Setting, n_steps: int) -> Trainer:
    matrices = [p for p in model.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if p.ndim != 2]
    decay = setting["weight_decay"]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(matrices, lr=setting["lr"], weight_decay=decay)
    ]
    if others:
        optimizers.append(torch.optim.AdamW(others, lr=setting["adamw_lr"], weight_decay=decay))
    return Optimizers(optimizers, _cosine(n_steps, setting["warm_up"]))


def _hypergradient(model: nn.Module, setting: Setting, n_steps: int) -> Trainer:
    optimizer = HypergradientAdam(
        model.parameters(), lr=setting["lr"], hypergradient_lr=setting["hypergradient_lr"]
    )
    return Optimizers([optimizer])


_DECAY: Final = (1e-4, 0.3)
_WARM_UP: Final = (0.005, 0.2)

RIVALS: Final = {
    rival.name: rival
    for rival in (
        Rival(
            "adamw-constant",
            _adamw_constant,
            {"lr": 1e-3, "weight_decay": 0.01},
            {"lr": (1e-4, 0.1), "weight_decay": _DECAY, "beta2": (0.95, 0.999)},
        ),
        Rival(
            "adamw-cosine",
            _adamw_cosine,
            {"lr": 1e-3, "weight_decay": 0.01, "warm_up": 0.05},
            {
                "lr": (1e-4, 0.1),
                "weight_decay": _DECAY,
                "warm_up": _WARM_UP,
                "beta2": (0.95, 0.999),
            },
        ),
        Rival(
            "sgd-cosine",
            _sgd_cosine,
            {"lr": 1e-3, "weight_decay": 0.0, "warm_up": 0.05},
            {"lr": (1e-3, 1.0), "weight_decay": (1e-6, 1e-2), "warm_up": _WARM_UP},
        ),
        Rival("adamw-learned", _adamw_learned, {"lr": 1e-3, "weight_decay": 0.01}, {}),
        Rival("sgd-learned", _sgd_learned, {"lr": 1e-3, "weight_decay": 0.0}, {}),
        Rival(
            "schedule-free",
            _schedule_free,
            {"lr": 2.5e-3, "weight_decay": 0.0, "warm_up": 0.0},
            {"lr": (3e-4, 0.3), "weight_decay": _DECAY, "warm_up": _WARM_UP},
        ),
        Rival(
            "prodigy",
            _prodigy,
            {"d_coef": 1.0, "weight_decay": 0.0, "warm_up": 0.05},
            {"d_coef": (0.1, 10.0), "weight_decay": _DECAY, "warm_up": _WARM_UP},
        ),
        Rival(
            "muon",
            _muon,
            {"lr": 1e-3, "adamw_lr": 1e-3, "weight_decay": 0.1, "warm_up": 0.05},
            {
                "lr": (1e-3, 0.3),
                "adamw_lr": (1e-3, 0.1),
                "weight_decay": _DECAY,
                "warm_up": _WARM_UP,
            },
        ),
        Rival(
            "hypergradient",
            _hypergradient,
            {"lr": 1e-3, "hypergradient_lr": 1e-8},
            {"lr": (1e-4, 0.1), "hypergradient_lr": (1e-10, 1e-4)},
        ),
    )
}
