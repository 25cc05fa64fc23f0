"""The loop of meta-training: batches of small tasks, noise, and a step of Adam on θ."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from metaopt.optim.action_gradient import action_gradient
from metaopt.optim.action_noise import ActionNoise
from metaopt.optim.batched_rules import FlatState, LearnedRule
from metaopt.optim.meta_checkpoint import (
    CURVE,
    Curve,
    MetaState,
    load_checkpoint,
    save_checkpoint,
)
from metaopt.optim.meta_gradient import estimate_gradient, perturb
from metaopt.optim.meta_options import MetaTrainingOptions
from metaopt.optim.meta_validation import (
    MetaValidation,
    initial_theta,
    readout_size,
    validation_tasks,
)
from metaopt.optim.options import USUAL_INTERVAL, interval_of
from metaopt.optim.schedule import LR_SPREAD, USUAL_LR
from metaopt.optim.tasks import TaskBatch, TaskSpec, make_batch, sample_spec
from metaopt.optim.unroll import STEPS_PER_REPLAY, Unroll, run_together
from metaopt.optim.workers import Workers

_BETAS: Final = (0.9, 0.99)  # of Adam on θ
_EPS: Final = 1e-8
_LARGEST_GRADIENT: Final = 3.0  # of a coordinate, in roots of the second moment
_LOWEST_DECAY: Final = 0.1  # of the learning rate
_MAY_CHANGE: Final = {"learning_rate", "patience"}  # on resuming
_SAVE_EVERY_SECONDS: Final = 20.0

Report = Callable[[dict[str, Any]], None]


@dataclass
class _Group:
    """A specification in use, with what was captured for it."""

    number: int
    spec: TaskSpec
    every: int
    unroll: Unroll[FlatState] | None = None


class MetaTraining:
    """A meta-training in a directory, resumed where it stopped.

    Args:
        directory: For the checkpoint and the curve; made if it is not there.
        options: What to do; must be those of the checkpoint, if there is one.
        device: Where to train.
        workers: The processes that share the work.
        capture: Whether to capture CUDA graphs.
        compiled: Whether ``torch.compile`` fuses the update rule.

    Raises:
        ValueError: If the directory holds a meta-training with other options; only the learning
            rate and the patience may change.
    """

    def __init__(
        self,
        directory: Path,
        options: MetaTrainingOptions,
        *,
        device: torch.device,
        workers: Workers | None = None,
        capture: bool = True,
        compiled: bool = False,
    ) -> None:
        self._capture, self._compiled = capture, compiled
        self._directory, self._options, self._device = directory, options, device
        self._workers = workers or Workers()
        if self._workers.rank == 0:
            directory.mkdir(parents=True, exist_ok=True)
        self._workers.wait()
        self.state = self._resumed() or MetaState.begin(
            initial_theta(options.seed, options.hidden_size, device)
        )
        self._groups: dict[int, _Group] = {}
        self._judge: MetaValidation | None = None

    def _resumed(self) -> MetaState | None:
        found = load_checkpoint(self._directory, self._device)
        if found is None:
            return None
        state, options = found
        wanted = self._options.to_dict()
        different = sorted(
            name
            for name in wanted
            if wanted[name] != options.get(name) and name not in _MAY_CHANGE
        )
        if different:
            name = different[0]
            raise ValueError(
                f"{self._directory} holds a meta-training with {name}={options.get(name)}, and "
                f"{name}={wanted[name]} was given; expected the same options or another "
                "directory."
            )
        return state

    def run(
        self,
        *,
        n_updates: int | None = None,
        seconds: float | None = None,
        report: Report | None = None,
    ) -> MetaState:
        """Train until a limit is reached or meta-validation stops getting better.

        Args:
            n_updates: Stop after this many in all; None: no limit.
            seconds: Stop after this long in this call; None: no limit.
            report: Told of every update and judgement.
        """
        started = saved = time.monotonic()
        before = self.state.seconds
        leads = self._workers.rank == 0
        curve = Curve(self._directory / CURVE, self.state.update) if leads else None

        def tell(entry: dict[str, Any]) -> None:
            if curve is not None:
                curve.add(entry)
                if report is not None:
                    report(entry)

        if self.state.update == 0 and not self.state.judgements:
            self._judge_now(tell)
        while not self._finished(n_updates):
            elapsed = time.monotonic() - started
            if self._workers.agree(seconds is not None and elapsed >= seconds):
                break
            tell(self._update())
            self.state.seconds = before + time.monotonic() - started
            if self.state.update % self._options.judge_every == 0:
                self._judge_now(tell)
            if leads and time.monotonic() - saved >= _SAVE_EVERY_SECONDS:
                self._save()
                saved = time.monotonic()
        if leads:
            self._save()
        self._workers.wait()
        return self.state

    def _save(self) -> None:
        save_checkpoint(self._directory, self.state, self._options.to_dict())

    def _finished(self, n_updates: int | None) -> bool:
        if n_updates is not None and self.state.update >= n_updates:
            return True
        since_best = self.state.update - self.state.best_update
        return since_best >= self._options.patience * self._options.judge_every

    def _judge_now(self, tell: Report) -> None:
        """Judge the mean θ; all processes do, and come to the same."""
        options, state = self._options, self.state
        if self._judge is None:
            self._judge = MetaValidation(
                validation_tasks(small=options.small),
                n=options.n_judged,
                device=self._device,
                hidden_size=options.hidden_size,
                tied=options.kind == "schedule",
                every=USUAL_INTERVAL if options.small and options.kind == "optimizer" else 1,
                capture=self._capture,
                compiled=self._compiled,
            )
        judgement = self._judge.judge(state.mean)
        entry = {
            "update": state.update,
            "gain": judgement.gain,
            "gain_at_half": judgement.gain_at_half,
            "gains": list(judgement.gains),
            "reference": self._judge.reference_setting,
        }
        state.judgements.append(entry)
        if judgement.score > state.best_score:
            state.best = state.mean.clone()
            state.best_score, state.best_update = judgement.score, state.update
        tell(entry)

    def _update(self) -> dict[str, Any]:
        """One step of Adam on θ, along the mean gradient of all groups."""
        options, state = self._options, self.state
        horizon = self._horizon()
        mine = self._workers.share(options.n_groups)
        rows = torch.zeros(options.n_groups, len(state.theta) + 2, device=self._device)
        started = time.monotonic()
        perturb_all = self._perturb_actions if options.noise == "actions" else self._perturb_theta
        for number, (log_losses, gradient) in perturb_all(mine, horizon).items():
            rows[number, :-2] = gradient
            rows[number, -2] = log_losses.mean()
            rows[number, -1] = len(log_losses)
        rows = self._workers.gather(rows)
        gradient = rows[:, :-2].mean(0)
        self._step(gradient)
        n_tasks = int(rows[:, -1].sum())
        state.n_steps += n_tasks * horizon
        return {
            "update": state.update,
            "horizon": horizon,
            "log_loss": float(rows[:, -2].mean()),
            "gradient": float(gradient.norm()),
            "moved": float((state.mean - state.theta).norm()),
            "n_tasks": n_tasks,
            "seconds": round(time.monotonic() - started, 3),
        }

    def _perturb_theta(self, mine: list[int], horizon: int) -> dict[int, tuple[Tensor, Tensor]]:
        """The log losses and the gradient of each group, by noise on θ."""
        unrolls, noises = [], []
        for number in mine:
            unroll, noise = self._prepared(number, horizon)
            unrolls.append(unroll)
            noises.append(noise)
        losses = run_together(unrolls, [horizon] * len(mine))
        return {
            number: (log_losses, estimate_gradient(log_losses, noise))
            for number, log_losses, noise in zip(mine, losses, noises, strict=True)
        }

    def _perturb_actions(self, mine: list[int], horizon: int) -> dict[int, tuple[Tensor, Tensor]]:
        """The same by noise on what the LSTM decides."""
        options = self._options
        tied = options.kind == "schedule"
        found = {}
        for number in mine:
            group, batch, generator = self._drawn(number, horizon)
            theta = self.state.theta.clone().requires_grad_()
            rule = self._rule(batch, theta, horizon, generator)
            n = len(batch.input_scale) // 2
            found[number] = action_gradient(
                batch,
                rule,
                theta,
                horizon=horizon,
                every=group.every,
                noise=ActionNoise.draw(n, rule.facts, generator, tied=tied),
                exact=horizon <= options.longest_exact,
            )
        return found

    def _step(self, gradient: Tensor) -> None:
        options, state = self._options, self.state
        state.update += 1
        beta1, beta2 = _BETAS
        state.square = beta2 * state.square + (1 - beta2) * gradient.square()
        root = (state.square / (1 - beta2**state.update)).sqrt() + _EPS
        bounded = torch.clamp(gradient, -_LARGEST_GRADIENT * root, _LARGEST_GRADIENT * root)
        state.moment = beta1 * state.moment + (1 - beta1) * bounded
        moved = state.moment / (1 - beta1**state.update) / root
        state.theta = state.theta - self._learning_rate() * moved
        # A mean over all updates at first, over the last ones later.
        kept = min(options.averaging, state.update / (state.update + 9))
        state.mean = kept * state.mean + (1 - kept) * state.theta

    def _learning_rate(self) -> float:
        options, update = self._options, self.state.update
        left = 1 - update / options.n_decay if options.n_decay else 1.0
        return options.learning_rate * max(_LOWEST_DECAY, left)

    def _horizon(self) -> int:
        shortest, start, end = self._options.horizons
        done = min(1.0, self.state.update / max(1, self._options.n_curriculum))
        longest = math.exp((1 - done) * math.log(start) + done * math.log(end))
        rng = self._rng(self.state.update)
        drawn = math.exp(rng.uniform(math.log(shortest), math.log(longest)))
        return max(1, round(drawn / STEPS_PER_REPLAY)) * STEPS_PER_REPLAY

    def _rng(self, *numbers: int) -> np.random.Generator:
        return np.random.default_rng([self._options.seed, *numbers])

    def _drawn(self, number: int, horizon: int) -> tuple[_Group, TaskBatch, torch.Generator]:
        """A group, new tasks for it, each of them twice, and what else of it is drawn from."""
        options, state = self._options, self.state
        # Groups are redrawn in turn, not all at once.
        use = (state.update + number) // options.n_uses
        group = self._groups.get(number)
        if group is None or group.number != use:
            # The old graph's memory goes first.
            self._groups.pop(number, None)
            rng = self._rng(use, number, 1)
            spec = sample_spec(rng, largest=options.largest if options.small else math.inf)
            seldom = options.kind == "optimizer" and rng.random() < options.seldom
            usual = USUAL_INTERVAL if options.noise == "weights" else interval_of(horizon)
            group = _Group(use, spec, usual if seldom else 1)
            self._groups[number] = group
        n = int(options.n_numbers / group.spec.n_numbers / 2)
        n = max(2, min(options.most_pairs, n))
        seed = int(self._rng(state.update, number, 2).integers(2**62))
        generator = torch.Generator(self._device).manual_seed(seed)
        return group, make_batch(group.spec, n, generator).repeated(2), generator

    def _prepared(self, number: int, horizon: int) -> tuple[Unroll[FlatState], Tensor]:
        """A group's unroll with new tasks and perturbations of θ, and the perturbations."""
        options, state = self._options, self.state
        group, batch, generator = self._drawn(number, horizon)
        thetas, noise = perturb(
            state.theta,
            len(batch.input_scale) // 2,
            sigma=options.sigma,
            generator=generator,
            trained=self._trained(),
        )
        rule = self._rule(batch, thetas, horizon, generator, group.every)
        if group.unroll is None:
            group.unroll = Unroll(batch, rule, capture=self._capture)
        else:
            group.unroll.reload(batch, rule)
        return group.unroll, noise

    def _trained(self) -> Tensor:
        """1 for each number of θ that is trained now."""
        theta = self.state.theta
        trained = torch.ones_like(theta)
        if self.state.update < self._options.n_readout:
            trained[: -readout_size(self._options.hidden_size)] = 0.0
        return trained

    def _rule(
        self,
        batch: TaskBatch,
        thetas: Tensor,
        horizon: int,
        generator: torch.Generator,
        every: int = 1,
    ) -> LearnedRule:
        options = self._options
        n = len(batch.input_scale) // 2
        drawn = torch.rand(3, n, generator=generator, device=self._device).repeat(1, 2)
        tied = options.kind == "schedule"
        lr = torch.ones_like(drawn[2])
        if tied:
            lr = USUAL_LR * torch.exp(LR_SPREAD * (2 * drawn[2] - 1))
        return LearnedRule(
            batch.shapes,
            thetas,
            total_steps=torch.where(drawn[0] < options.total_hidden, torch.nan, float(horizon)),
            loss_shown=drawn[1] >= options.loss_hidden,
            lr=lr,
            hidden_size=options.hidden_size,
            tied=tied,
            every=every,
            compiled=self._compiled,
        )
