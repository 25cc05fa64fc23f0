"""``LearnedSchedule``: the controller of the LSTM optimizer around any other optimizer."""

from __future__ import annotations

import copy
import math
import os
import warnings
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from metaopt.optim import memory as columns
from metaopt.optim import rule, schedule_rule
from metaopt.optim.controller import N_ACTIONS, hidden_size_of
from metaopt.optim.features import Clock, read_clock, shape_features
from metaopt.optim.losses import Loss, check_loss, seen_number
from metaopt.optim.numpy_controller import NumpyController, Small
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
        self._digest = loaded.digest
        self._rates = [float(group["lr"]) for group in optimizer.param_groups]
        self._momenta = [_momentum(group) for group in optimizer.param_groups]
        self._warned = False
        tensors = self._tensors()
        values = [_watched(p) for p in tensors]
        self._counts = np.array([len(x) for x in values])
        ends = self._counts.cumsum().tolist()
        self._places = [slice(*ends) for ends in pairwise([0, *ends])]
        sizes = torch.tensor(self._counts).clamp(min=1).float()
        squares = torch.stack([x.dot(x) for x in values]).cpu()
        shapes = shape_features([p.shape for p in tensors], tied=True)._replace(sizes=sizes)
        hidden_size = hidden_size_of(loaded.theta)
        n = len(tensors)
        self._small = Small(
            theta=loaded.theta,
            shapes=shapes,
            steps=torch.zeros(n),
            memory=columns.empty(squares, sizes),
            hidden=torch.zeros(n, 2 * hidden_size),
            actions=torch.zeros(n, N_ACTIONS),
            rates=torch.zeros(n),
        ).as_numpy()
        self._moment, self._square = np.zeros((2, int(self._counts.sum())), np.float32)
        self._begin()
        self._coefficients = self._decide(math.nan)

    def _begin(self) -> None:
        """Make what follows from the rest."""
        self._controller = NumpyController(self._small, self.total_steps)
        group_sizes = [len(group["params"]) for group in self.optimizer.param_groups]
        self._options = rule.Options(
            lr=np.float32(1.0),
            weight_decay=np.float32(0.0),
            beta1=np.repeat(np.array(self._momenta, np.float32), group_sizes),
            beta2=np.float32(rule.BETAS[1]),
            eps=np.float32(rule.EPS),
        )

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
        seen = seen_number(loss, tensors[0].device, self._distributed)
        with np.errstate(all="ignore"):
            self._observe(tensors)
        self._coefficients = self._decide(seen)
        if self.total_steps is not None and self._small.steps[0] > self.total_steps:
            self._warn_once()

    def get_last_lr(self) -> list[float]:
        """The learning rate of each parameter group for the next step."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to continue, beside the optimizer's own state dict."""
        return {
            **{name: torch.tensor(part) for name, part in self._state().items()},
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
        expected = {name: part.shape for name, part in self._state().items()}
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
        for name, part in self._state().items():
            part[...] = state_dict[name].numpy()
        self._rates = list(state_dict["rates"])
        self._momenta = list(state_dict["momenta"])
        self.total_steps = state_dict["total_steps"]
        self._begin()
        self._coefficients = schedule_rule.Coefficients(
            *(part.numpy().copy() for part in state_dict["coefficients"])
        )
        self._hand_over(self._coefficients)

    def __getstate__(self) -> dict[str, Any]:
        own = {name: part for name, part in self.__dict__.items() if name != "_controller"}
        # They are written in place: a copy has its own.
        return own | copy.deepcopy({name: own[name] for name in ("_small", "_moment", "_square")})

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()

    def _state(self) -> dict[str, np.ndarray]:
        """What lives from step to step; moments are of the watched elements, one by one."""
        small = {name: getattr(self._small, name) for name in ("steps", "memory", "hidden")}
        return {**small, "moment": self._moment, "square": self._square}

    def _tensors(self) -> list[Tensor]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def _observe(self, tensors: list[Tensor]) -> None:
        """Take in gradients and parameters after a step with the coefficients that were set."""
        moment, square = self._moment, self._square
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in tensors]
        g = rule.finite(torch.cat([_watched(x) for x in grads])).cpu().numpy()
        p = torch.cat([_watched(x) for x in tensors]).cpu().numpy()
        moment += self._spread(self._coefficients.take1) * (g - moment)
        square += self._spread(self._coefficients.take2) * (g * g - square)
        parts = ((g[i], moment[i], square[i], p[i]) for i in self._places)
        sums = [(g.dot(g), m.dot(m), v.sum(), p.dot(p), g.dot(m)) for g, m, v, p in parts]
        self._controller.see_sums(np.array(sums, np.float32))
        self._controller.end()

    def _spread(self, shares: np.ndarray) -> np.ndarray:
        """A share of each tensor for each of its watched elements."""
        return shares[:1] if (shares == shares[0]).all() else np.repeat(shares, self._counts)

    def _decide(self, loss: float) -> schedule_rule.Coefficients:
        """Run the controller, and set what it decides."""
        small = self._small
        self._controller.set_total(self.total_steps)
        with np.errstate(all="ignore"):
            self._controller.decide(loss)
            coefficients, memory = schedule_rule.plan(
                small.actions, small.memory, self._clock(), small.shapes, self._options
            )
        small.memory[...] = memory
        self._hand_over(coefficients)
        return coefficients

    def _clock(self) -> Clock:
        total = math.nan if self.total_steps is None else self.total_steps
        return read_clock(self._small.steps, np.float32(total))

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


def _momentum(group: Mapping[str, Any]) -> float:
    """The momentum of a parameter group; 0.9 for statistics where it has none to be set."""
    if "betas" in group:
        return float(group["betas"][0])
    return float(group.get("momentum", rule.BETAS[0]))


def _watched(tensor: Tensor) -> Tensor:
    """Some elements of a tensor, evenly spread over it, as float32."""
    flat = plain(tensor).reshape(-1)
    return flat[:: max(flat.numel() // _WATCHED, 1)].float()
