"""``LearnedSchedule``: the controller of the LSTM optimizer around any other optimizer."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from metaopt.optim import memory as columns
from metaopt.optim import rule, schedule_rule
from metaopt.optim.features import Clock, Shapes, read_clock, shape_features
from metaopt.optim.losses import Loss, check_loss, seen_loss
from metaopt.optim.packing import plain
from metaopt.optim.weights import load_weights, shipped_path
from warmstart.errors import WarmStartWarning

# Meta-training gives it learning rates of Adam of this times e^±spread to work around: good ones,
# and a few times too small or large. Were they always too small, it would learn a mere factor.
USUAL_LR: Final = 1e-2
LR_SPREAD: Final = 1.2
_LARGEST_LR: Final = USUAL_LR * math.exp(LR_SPREAD)
_WATCHED: Final = 1024  # elements of a tensor, about


class LearnedSchedule:
    """Sets the learning rate and the momentum of an optimizer while training runs.

    The optimizer's own learning rate is what it starts from: warm-up and decay, times a factor
    within e^±4 that the LSTM of ``LSTMOptimizer`` sets from the loss and from statistics of
    gradients and parameters, over about 1,000 elements of each tensor. It is one factor for all,
    so that parameter groups keep their proportions.

    The weights are meta-trained around Adam with learning rates of 0.003 to 0.033, and none is
    raised above that. The steps of SGD grow with the gradient, so that a learning rate that is
    too large diverges: there, none is raised at all. They grow with momentum, too, as
    1 / (1 - momentum): what is multiplied is the learning rate over (1 - momentum).

        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        schedule = LearnedSchedule(optimizer, total_steps=1000)
        for x, y in batches:
            optimizer.zero_grad()
            loss = loss_function(model(x), y)
            loss.backward()
            optimizer.step()
            schedule.step(loss=loss)

    Args:
        optimizer: Any of torch's, or like them. ``lr`` and, where a group has them, ``betas[0]``
            or ``momentum`` are set for each step, the first one included.
        total_steps: How many steps the training has; None: unknown. More are allowed: a warning,
            and the learning rate stays where it ended.
        set_momentum: Whether momentum is set, too.
        weights: A file of ``metaopt train optimizer``; None: those that come with the package.
        distributed: Whether to average the loss over all processes, as in ``LSTMOptimizer``.

    Raises:
        TypeError: If ``optimizer`` is none.
        ValueError: If ``total_steps`` is out of range.
        ArtifactError: If the weights are damaged, or made for another version.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        *,
        total_steps: float | None = None,
        set_momentum: bool = True,
        weights: str | os.PathLike[str] | None = None,
        distributed: bool | None = None,
    ) -> None:
        if not hasattr(optimizer, "param_groups"):
            raise TypeError(
                f"optimizer of type {type(optimizer).__name__} given; expected an optimizer of "
                "torch, such as torch.optim.AdamW(model.parameters())."
            )
        if total_steps is not None and not 0 < total_steps < math.inf:
            raise ValueError(
                f"total_steps={total_steps!r} given; expected a number above 0, or None."
            )
        self.optimizer = optimizer
        self.total_steps = total_steps
        self._set_momentum = set_momentum
        self._distributed = distributed
        loaded = load_weights(
            shipped_path("schedule") if weights is None else weights, kind="learned-schedule"
        )
        self._theta = {name: part.numpy() for name, part in loaded.theta.items()}
        self._digest = loaded.digest
        self._rates = [float(group["lr"]) for group in optimizer.param_groups]
        self._momenta = [_momentum(group) for group in optimizer.param_groups]
        self._warned = False
        tensors = self._tensors()
        values = [_watched(p) for p in tensors]
        self._counts = np.array([len(x) for x in values])
        sizes = torch.tensor(self._counts).clamp(min=1).float()
        squares = torch.stack([x.dot(x) for x in values]).cpu()
        shapes = shape_features([p.shape for p in tensors], tied=True)._replace(sizes=sizes)
        self._shapes = Shapes(*(part.numpy() for part in shapes))
        hidden_size = loaded.theta["recurrent"].shape[0]
        self._state = _State(
            steps=np.zeros(len(tensors), np.float32),
            memory=columns.empty(squares, sizes).numpy(),
            hidden=np.zeros((len(tensors), 2 * hidden_size), np.float32),
            moment=np.zeros(int(self._counts.sum()), np.float32),
            square=np.zeros(int(self._counts.sum()), np.float32),
        )
        self._coefficients = self._decide(math.nan)

    def step(self, loss: Loss | None = None) -> None:
        """Set the rates of the next step; call it after ``optimizer.step()``.

        Gradients must still be there. On a GPU, it waits for one small copy.

        Args:
            loss: The loss of the step; None, NaN or infinite: unknown.

        Raises:
            ValueError: If the loss has more than one element, or no value.
        """
        tensors = self._tensors()
        check_loss(loss, tensors[0].device)
        seen = seen_loss(loss, tensors[0].device, self._distributed)
        with np.errstate(all="ignore"):
            self._observe(tensors)
        self._coefficients = self._decide(float(seen))
        if self.total_steps is not None and self._state.steps[0] > self.total_steps:
            self._warn_once()

    def get_last_lr(self) -> list[float]:
        """The learning rate of each parameter group for the next step."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to continue, beside the optimizer's own state dict."""
        return {
            **{name: torch.tensor(part) for name, part in self._state._asdict().items()},
            "rates": list(self._rates),
            "momenta": list(self._momenta),
            "coefficients": [torch.tensor(part) for part in self._coefficients],
            "total_steps": self.total_steps,
            "weights": self._digest,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue where a state dict was taken.

        Raises:
            ValueError: If it is of another model, or of other weights of the LSTM.
        """
        expected = {name: part.shape for name, part in self._state._asdict().items()}
        given = {
            name: tuple(part.shape)
            for name, part in state_dict.items()
            if isinstance(part, Tensor)
        }
        if given != expected or state_dict.get("weights") != self._digest:
            raise ValueError(
                f"A state dict of shapes {given} and weights {state_dict.get('weights')!r} given; "
                f"expected {expected} and {self._digest!r}: it is of another model, or of other "
                "weights of the LSTM."
            )
        self._state = _State(*(state_dict[name].numpy().copy() for name in _State._fields))
        self._rates = list(state_dict["rates"])
        self._momenta = list(state_dict["momenta"])
        self.total_steps = state_dict["total_steps"]
        self._coefficients = schedule_rule.Coefficients(
            *(part.numpy().copy() for part in state_dict["coefficients"])
        )
        self._hand_over(self._coefficients)

    def _tensors(self) -> list[Tensor]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _observe(self, tensors: list[Tensor]) -> None:
        """Take in gradients and parameters after a step with the coefficients that were set."""
        state, counts = self._state, self._counts
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in tensors]
        g = rule.finite(torch.cat([_watched(x) for x in grads])).cpu().numpy()
        p = torch.cat([_watched(x) for x in tensors]).cpu().numpy()
        take1 = np.repeat(self._coefficients.take1, counts)
        take2 = np.repeat(self._coefficients.take2, counts)
        moment = state.moment + take1 * (g - state.moment)
        square = state.square + take2 * (g * g - state.square)
        tensor_of = np.repeat(np.arange(len(counts)), counts)
        sums = np.stack(
            [
                np.bincount(tensor_of, x, len(counts))
                for x in (g * g, moment * moment, square, p * p, g * moment)
            ],
            -1,
        ).astype(np.float32)
        memory = columns.see_sums(state.memory, sums, self._shapes.sizes, state.steps)
        self._state = state._replace(
            steps=state.steps + 1, memory=memory, moment=moment, square=square
        )

    def _decide(self, loss: float) -> schedule_rule.Coefficients:
        """Run the controller, and set what it decides."""
        state = self._state
        group_sizes = [len(group["params"]) for group in self.optimizer.param_groups]
        options = rule.Options(
            lr=np.float32(1.0),
            weight_decay=np.float32(0.0),
            beta1=np.repeat(np.array(self._momenta, np.float32), group_sizes),
            beta2=np.float32(rule.BETAS[1]),
            eps=np.float32(rule.EPS),
        )
        with np.errstate(all="ignore"):
            clock = self._clock()
            actions, memory, hidden = rule.decide(
                self._theta, state.memory, state.hidden, clock, np.float32(loss), self._shapes
            )
            coefficients, memory = schedule_rule.plan(
                actions, memory, clock, self._shapes, options
            )
        self._state = state._replace(memory=memory, hidden=hidden)
        self._hand_over(coefficients)
        return coefficients

    def _clock(self) -> Clock:
        total = math.nan if self.total_steps is None else self.total_steps
        return read_clock(self._state.steps, np.float32(total))

    def _hand_over(self, coefficients: schedule_rule.Coefficients) -> None:
        """Write learning rates and momenta into the optimizer's groups."""
        unlearned = float(schedule_rule.schedule(self._clock())[0])
        row = 0
        for index, group in enumerate(self.optimizer.param_groups):
            base = self._rates[index]
            highest = base if "dampening" in group else max(base, _LARGEST_LR)  # SGD has it
            rate = min(base * float(coefficients.rate[0]), highest * unlearned)
            sets = self._set_momentum and bool(group["params"])
            momentum = float(coefficients.beta1[row]) if sets else self._momenta[index]
            if group.get("dampening") == 0:
                rate *= (1 - momentum) / (1 - self._momenta[index])
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
            if sets:
                if "betas" in group:
                    group["betas"] = (momentum, *group["betas"][1:])
                elif "momentum" in group:
                    group["momentum"] = momentum
            row += len(group["params"])

    def _warn_once(self) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"total_steps={self.total_steps!r} given, and more steps are taken: the learning "
                "rate stays where it ended, near zero. Give the number of all steps, or None.",
                WarmStartWarning,
                stacklevel=3,
            )


class _State(NamedTuple):
    """What lives from step to step; moments are of the watched elements, one after the other."""

    steps: np.ndarray
    memory: np.ndarray
    hidden: np.ndarray
    moment: np.ndarray
    square: np.ndarray


def _momentum(group: Mapping[str, Any]) -> float:
    """The momentum of a parameter group; 0.9 for statistics where it has none to be set."""
    if "betas" in group:
        return float(group["betas"][0])
    return float(group.get("momentum", rule.BETAS[0]))


def _watched(tensor: Tensor) -> Tensor:
    """Some elements of a tensor, evenly spread over it, as float32."""
    flat = plain(tensor).reshape(-1)
    return flat[:: max(flat.numel() // _WATCHED, 1)].float()
