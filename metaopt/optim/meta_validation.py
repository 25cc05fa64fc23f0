"""Judging θ on fixed tasks that it is never trained on: wide, long, deep and other models, too."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from metaopt.optim import controller
from metaopt.optim.batched_rules import AdamWCosine, FlatState, LearnedRule
from metaopt.optim.schedule import USUAL_LR
from metaopt.optim.tasks import Architecture, TaskBatch, TaskSpec, make_batch
from metaopt.optim.unroll import STEPS_PER_REPLAY, Unroll, run_together

_SEED: Final = 20_161_606  # of the tasks; meta-training never uses it
_SHORT: Final = 0.5  # of the horizon: the rival's loss is to be reached by then
_LARGEST_GAIN: Final = 2.0  # of a log loss, for one task

# The settings of AdamW with cosine decay of which the best is the reference.
_REFERENCE_LRS: Final = (3e-4, 1e-3, 2e-3, 3e-3, 6e-3, 1e-2, 2e-2, 3e-2)
_REFERENCE_WEIGHT_DECAYS: Final = (0.0, 0.01, 0.1)
_REFERENCE_WARM_UP: Final = 0.05
_FEW_SETTINGS: Final = ((6e-3, 0.01), (1e-2, 0.01), (2e-2, 0.01), (3e-2, 0.01))  # without a GPU


@dataclass(frozen=True)
class ValidationTask:
    """Tasks of one specification, trained for ``horizon`` steps."""

    spec: TaskSpec
    horizon: int


def validation_tasks(*, small: bool = False) -> list[ValidationTask]:
    """What θ is judged on.

    Args:
        small: Narrow models and short horizons, for a machine without an accelerator.
    """

    def mlp(
        data: str, n_inputs: int, n_outputs: int, width: int, depth: int, **other: str
    ) -> Architecture:
        return Architecture("mlp", n_inputs, n_outputs, width, depth, **other)  # type: ignore[arg-type]

    def image(family: str, width: int, depth: int, **other: str) -> Architecture:
        return Architecture(family, 64, 10, width, depth, **other)  # type: ignore[arg-type]

    plain = [
        ValidationTask(TaskSpec(mlp("teacher", 12, 5, 24, 2), "teacher", 700, 256, 32), 200),
        ValidationTask(
            TaskSpec(mlp("teacher", 20, 1, 32, 3, activation="tanh"), "teacher", 900, 256, 64), 400
        ),
        ValidationTask(TaskSpec(mlp("digits", 64, 10, 32, 1), "digits", 1200, 256, 32), 1000),
        ValidationTask(TaskSpec(image("conv", 8, 2), "digits", 1200, 256, 32), 300),
        ValidationTask(
            TaskSpec(image("transformer", 16, 1, activation="gelu"), "prototypes", 900, 256, 24),
            300,
        ),
        ValidationTask(TaskSpec(image("gru", 24, 1), "digits", 1200, 256, 32), 300),
    ]
    if small:
        wide = TaskSpec(mlp("digits", 64, 10, 128, 1), "digits", 1200, 128, 16)
        convolutional = TaskSpec(image("conv", 4, 1), "prototypes", 500, 128, 8)
        attentive = TaskSpec(image("transformer", 12, 1), "digits", 900, 128, 16)
        recurrent = TaskSpec(image("gru", 16, 1), "digits", 900, 128, 16)
        deep = TaskSpec(mlp("teacher", 16, 4, 24, 4, norm="layer"), "teacher", 900, 128, 32)
        waves = mlp("sinusoids", 2, 1, 48, 3, activation="gelu")
        rough = TaskSpec(waves, "sinusoids", 900, 256, 32)
        logical = TaskSpec(mlp("truth-tables", 12, 2, 32, 2), "truth-tables", 700, 256, 32)
        scattered = TaskSpec(mlp("clusters", 3, 4, 24, 2), "clusters", 900, 256, 24)
        return [
            *[ValidationTask(task.spec, task.horizon // 20 * 4) for task in plain[:3]],
            ValidationTask(convolutional, 80),
            ValidationTask(wide, 40),
            ValidationTask(attentive, 120),
            ValidationTask(recurrent, 120),
            ValidationTask(deep, 160),
            ValidationTask(rough, 120),
            ValidationTask(logical, 100),
            ValidationTask(scattered, 60),
        ]
    return [
        *plain,
        ValidationTask(
            TaskSpec(mlp("digits", 64, 10, 512, 2, activation="gelu"), "digits", 1400, 256, 64),
            400,
        ),
        ValidationTask(
            TaskSpec(mlp("teacher", 16, 8, 64, 5, norm="layer"), "teacher", 2000, 256, 64), 600
        ),
        ValidationTask(TaskSpec(mlp("diabetes", 10, 1, 64, 2), "diabetes", 330, 110, 32), 1000),
        ValidationTask(TaskSpec(mlp("teacher", 8, 1, 48, 2), "teacher", 1500, 256, 64), 1600),
        ValidationTask(
            TaskSpec(image("conv", 24, 3, norm="layer"), "prototypes", 1500, 256, 32), 400
        ),
    ]


@dataclass(frozen=True)
class Judgement:
    """How θ does beside one setting of AdamW with cosine decay, the best of several.

    Attributes:
        gain: Mean over tasks of the log loss of AdamW minus that of θ, at equal horizons;
            higher is better.
        gain_at_half: The same with θ at half of the horizon.
        gains: As ``gain``, for each specification.
    """

    gain: float
    gain_at_half: float
    gains: tuple[float, ...]

    @property
    def score(self) -> float:
        """What selects θ: higher is better."""
        return 0.5 * (self.gain + self.gain_at_half)


class MetaValidation:
    """The validation tasks with the reference's losses, made once.

    Args:
        tasks: From :func:`validation_tasks`.
        n: Tasks of each specification.
        device: Where to train.
        hidden_size: H of θ.
        tied: Whether θ is of a schedule.
        every: The controller runs every so many steps.
        capture: Whether to capture CUDA graphs.
        compiled: Whether ``torch.compile`` fuses the update rule.
    """

    def __init__(
        self,
        tasks: Sequence[ValidationTask],
        *,
        n: int,
        device: torch.device,
        hidden_size: int,
        tied: bool = False,
        every: int = 1,
        capture: bool = True,
        compiled: bool = False,
    ) -> None:
        self._tasks, self._n, self._tied = tasks, n, tied
        self._capture, self._compiled = capture, compiled
        self._hidden_size, self._every = hidden_size, every
        generators = [
            torch.Generator(device).manual_seed(_SEED + index) for index in range(len(tasks))
        ]
        self._batches = [
            make_batch(task.spec, n, generator)
            for task, generator in zip(tasks, generators, strict=True)
        ]
        self._reference, self.reference_setting = _best_setting(
            self._batches, tasks, capture=capture
        )
        if device.type == "cuda":
            torch.cuda.empty_cache()  # the reference needed much more than θ will
        self._unrolls: list[Unroll[FlatState]] | None = None

    def judge(self, theta: Tensor) -> Judgement:
        """Train every task with θ, for the whole horizon and for half of it."""
        full = self._gains(theta, 1.0)
        half = self._gains(theta, _SHORT)
        return Judgement(
            gain=float(full.mean()),
            gain_at_half=float(half.mean()),
            gains=tuple(full.tolist()),
        )

    def _gains(self, theta: Tensor, share: float) -> Tensor:
        horizons = [_multiple(task.horizon * share) for task in self._tasks]
        rules = [
            self._rule(batch, theta, horizon)
            for batch, horizon in zip(self._batches, horizons, strict=True)
        ]
        if self._unrolls is None:
            self._unrolls = [
                Unroll(batch, rule, capture=self._capture)
                for batch, rule in zip(self._batches, rules, strict=True)
            ]
        else:
            for unroll, batch, rule in zip(self._unrolls, self._batches, rules, strict=True):
                unroll.reload(batch, rule)
        losses = run_together(self._unrolls, horizons)
        return torch.stack(
            [
                (reference - ours).clamp(-_LARGEST_GAIN, _LARGEST_GAIN).mean().cpu()
                for reference, ours in zip(self._reference, losses, strict=True)
            ]
        )

    def _rule(self, batch: TaskBatch, theta: Tensor, horizon: int) -> LearnedRule:
        ones = torch.ones(self._n, device=theta.device)
        return LearnedRule(
            batch.shapes,
            theta.repeat(self._n, 1),
            total_steps=horizon * ones,
            loss_shown=ones > 0,
            lr=USUAL_LR * ones if self._tied else ones,
            hidden_size=self._hidden_size,
            tied=self._tied,
            every=self._every,
            compiled=self._compiled,
        )


def _best_setting(
    batches: Sequence[TaskBatch], tasks: Sequence[ValidationTask], *, capture: bool
) -> tuple[list[Tensor], dict[str, float]]:
    """The log losses of AdamW at its best single setting, and that setting."""
    on_gpu = batches[0].input_scale.device.type == "cuda"
    everything = itertools.product(_REFERENCE_LRS, _REFERENCE_WEIGHT_DECAYS)
    grid = list(everything if on_gpu else _FEW_SETTINGS)
    unrolls = []
    for batch, task in zip(batches, tasks, strict=True):
        n = len(batch.input_scale)
        device = batch.input_scale.device
        settings = torch.tensor(grid, device=device).repeat_interleave(n, 0)  # settings, tasks
        ones = torch.ones(len(settings), device=settings.device)
        rule = AdamWCosine(
            batch.shapes,
            lr=settings[:, 0],
            weight_decay=settings[:, 1],
            warm_up=_REFERENCE_WARM_UP * ones,
            total_steps=task.horizon * ones,
        )
        unrolls.append(Unroll(batch.repeated(len(grid)), rule, capture=capture))
    horizons = [_multiple(task.horizon) for task in tasks]
    losses = torch.stack(
        [losses.reshape(len(grid), -1) for losses in run_together(unrolls, horizons)]
    )  # (n_tasks, n_settings, n)
    best_of_task = losses.amin(1, keepdim=True)
    cost = (losses - best_of_task).clamp(max=_LARGEST_GAIN).mean(dim=(0, 2))
    best = int(cost.argmin())
    return list(losses[:, best]), {"lr": grid[best][0], "weight_decay": grid[best][1]}


def _multiple(horizon: float) -> int:
    return max(1, round(horizon / STEPS_PER_REPLAY)) * STEPS_PER_REPLAY


def initial_theta(seed: int, hidden_size: int, device: torch.device) -> Tensor:
    """θ before meta-training, ``(n_meta_parameters,)``.

    Args:
        seed: Of the random LSTM.
        hidden_size: H of θ.
        device: Where θ is to lie.
    """
    generator = torch.Generator().manual_seed(seed)
    return controller.flatten(controller.init_theta(generator, hidden_size)).to(device)


def readout_size(hidden_size: int) -> int:
    """How many numbers at the end of a flat θ belong to the output layer."""
    shapes = controller.theta_shapes(hidden_size)
    names = list(shapes)
    assert names[-2:] == ["output", "output_bias"]
    return sum(math.prod(shapes[name]) for name in names[-2:])
