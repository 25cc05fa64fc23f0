"""``LSTMOptimizer``: Adam-like steps and their running average, both steered by a small LSTM."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Mapping
from itertools import chain
from types import FunctionType
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT, StateDict

from metaopt.optim import rule
from metaopt.optim.controller import Theta, hidden_size_of
from metaopt.optim.losses import Loss, check_loss, seen_loss, seen_number
from metaopt.optim.numpy_plan import NumpyPlan
from metaopt.optim.options import (
    check_options,
    group_arrays,
    group_options,
    refresh_interval,
)
from metaopt.optim.packing import (
    LARGE,
    SMALL,
    Pack,
    check_state,
    new_states,
    put_at_average,
    state_dtype,
)
from metaopt.optim.stepping import choose_backend, take_planned_step, take_step
from metaopt.optim.weights import load_weights, shipped_path
from warmstart.errors import WarmStartWarning

# Parameters, their gradients, and how many of them are of which group.
_Ready = tuple[list[Tensor], list[Tensor], list[tuple[int, int]]]
# What follows from what the groups say: options and total steps, or a plan that has both.
_Options = tuple[rule.Options, Tensor] | NumpyPlan


class LSTMOptimizer(torch.optim.Optimizer):
    """Trains a neural model with nothing to tune, at about Adam's price.

    A small pretrained LSTM looks at each tensor of the model (how its gradients, offset and size
    relate, not the numbers themselves), at the loss, and at how much of the training is done, and
    sets the tensor's learning rate, what its running average forgets, how far from that the
    gradients are taken, and the decay of the second moment. The rest follows Schedule-Free AdamW;
    metaopt/optim/rule.py says where it departs from it.

        optimizer = LSTMOptimizer(model.parameters(), total_steps=1000)
        for x, y in batches:
            optimizer.zero_grad()
            loss = loss_function(model(x), y)
            loss.backward()
            optimizer.step(loss=loss)
        optimizer.eval()  # after the last of the total steps, it changes nothing

    Args:
        params: As in every optimizer of torch: tensors, named tensors, or groups. Groups may have
            their own ``lr``, ``betas``, ``eps``, ``weight_decay``, ``total_steps``, ``maximize``.
        lr: A multiplier of the learning rates that the LSTM sets, and what schedulers change.
        betas: Around which the LSTM sets the share of the average in the parameters while training
            goes on (never below 0.1), and the decay of the second moment.
        eps: Beside the root of the second moment.
        weight_decay: Decoupled, times the learning rate of the tensor, as in AdamW.
        total_steps: How many steps the training has: the last leaves the parameters at their
            average. None: unknown; call :meth:`eval` when it is over. Taking more steps is
            allowed: a warning, and the parameters stay at the average.
        refresh_every: The LSTM runs every so many steps; more is cheaper. None: every step; on a
            CPU every eighth, or more often where these would be fewer than ten runs in a training,
            or every fourth if ``total_steps`` is unknown. That saves small models more time than
            the slightly higher loss is worth.
        weights: A file of ``metaopt train optimizer``; None: those that come with the package.
        maximize: Whether the objective is to be maximised; the loss given is then that objective.
        foreach: Whether to use operations on lists of tensors. None: whatever is fastest.
        fused: Whether to use Adam's fused operation, which is for contiguous parameters of float32
            or float64 on a CPU. None: where it is possible.
        compile: Whether to compile the step with ``torch.compile``, to few kernels.
        capturable: Whether steps can be captured in a CUDA graph. Learning rates that change
            between replays must be tensors, and the LSTM runs at each step.
        differentiable: Only False: there is no gradient through a step.
        distributed: Whether to average the loss over all processes, without which copies of a
            model drift apart. None: where ``torch.distributed`` is initialised. Each process must
            then step as often as the others.

    While training goes on, the model is a little noisier than the average that it ends as. To
    judge or save it before that, or if fewer steps were taken than were announced, call
    :meth:`eval`, and :meth:`train` to go on. The average of parameters of half precision suffers
    from rounding: keep them in float32, and use autocast.

    The step waits for no device. The loss may be a number or a tensor of one element, on any
    device (it is copied to where the parameters are); None, NaN or infinite, it counts as unknown
    at this step. Elements of a gradient that are not finite count as 0.

    Raises:
        ValueError: If an argument is out of range.
        ArtifactError: If the weights are damaged, or made for another version.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        betas: tuple[float | Tensor, float | Tensor] = rule.BETAS,
        eps: float = rule.EPS,
        weight_decay: float = 0.0,
        *,
        total_steps: float | None = None,
        refresh_every: int | None = None,
        weights: str | os.PathLike[str] | None = None,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        compile: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        distributed: bool | None = None,
    ) -> None:
        loaded = load_weights(shipped_path("lstm") if weights is None else weights)
        self._theta: Theta = loaded.theta
        self._compile = compile
        self._distributed = distributed
        self._forget()
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "total_steps": total_steps,
                "refresh_every": refresh_every,
                "maximize": maximize,
                "foreach": foreach,
                "fused": fused,
                "capturable": capturable,
                "differentiable": differentiable,
                "weights": loaded.digest,
            },
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; its parameters join the schedule where it is.

        Raises:
            ValueError: If one of its options is out of range.
        """
        super().add_param_group(param_group)
        try:
            check_options(self.param_groups[-1])
        except (ValueError, TypeError):
            self.param_groups.pop()
            raise

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Callable[[], Loss] | None = None, *, loss: Loss | None = None
    ) -> Loss | None:
        """Take one step.

        Args:
            closure: Computes gradients anew and returns the loss.
            loss: The loss that the gradients are of, for the LSTM; None: the closure's.

        Returns:
            What the closure returned, or None.

        Raises:
            RuntimeError: If a gradient is sparse.
            TypeError: If the closure is none.
            ValueError: If the loss has more than one element, or no value.
        """
        returned = None
        if closure is not None:
            if not callable(closure):
                raise TypeError(
                    f"closure={closure!r} given; expected a function: a loss goes by its name, as "
                    "in step(loss=loss)."
                )
            with torch.enable_grad():
                returned = closure()
            loss = returned if loss is None else loss
        ready = self._with_gradients()
        if not ready:
            return returned
        every = refresh_interval(self.param_groups[0], next(iter(ready)))
        n_ahead = every - self._n_steps % every
        refresh, observe = n_ahead == every, n_ahead == 1
        if refresh and self.param_groups[0]["maximize"] and loss is not None:
            loss = -loss
        for device, (params, grads, group_sizes) in ready.items():
            check_loss(loss, device)
            pack = self._pack(device, params, group_sizes)
            grads = self._to_minimise(pack.as_plain(grads), group_sizes)
            backend = choose_backend(pack, grads, self.param_groups[0], self._compile)
            options = self._options_of(pack)
            if isinstance(options, NumpyPlan):
                number = seen_number(loss, device, self._distributed) if refresh else math.nan
                take_planned_step(
                    pack,
                    options,
                    grads,
                    number,
                    backend,
                    refresh=refresh,
                    observe=observe,
                    n_ahead=n_ahead,
                )
                continue
            grads = pack.laid_out(grads, blocks=False)
            seen = seen_loss(loss, device, self._distributed) if refresh else pack.unknown
            step = self._compiled() if self._compile else take_step
            step(pack, grads, seen, *options, backend, refresh=refresh, observe=observe)
        self._n_steps += 1
        self._leave_at_average()
        self._warn_when_over()
        return returned

    @torch.no_grad()
    def eval(self) -> None:
        """Put the parameters on their average, to judge or save the model; once or more often.

        Training goes on well without :meth:`train`, but for one step from the average. Statistics
        of batch normalisation remain those from where training was: let the model see some
        batches in training mode, if it has any.
        """
        self._put_at_average(stays=True)

    @torch.no_grad()
    def train(self) -> None:
        """Put the parameters back to where training goes on; the inverse of :meth:`eval`."""
        self._put_at_average(stays=False)

    def _put_at_average(self, *, stays: bool) -> None:
        for param, own in self.state.items():
            if own:
                put_at_average(param, own, stays=stays)
        for pack in self._packs.values():
            if pack.plan is not None:
                pack.plan.forget()

    def learning_rates(self) -> dict[str, float]:
        """The learning rate of each parameter at the last step, in Adam's sense.

        By the parameter's name, or the number of its group and its own. Waits for the device.
        """
        names = {
            param: group["param_names"][index] if "param_names" in group else f"{number}.{index}"
            for number, group in enumerate(self.param_groups)
            for index, param in enumerate(group["params"])
        }
        return {
            names[param]: rate
            for pack in self._packs.values()
            for param, rate in zip(pack.originals, pack.tensors.rates.tolist(), strict=True)
        }

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Continue where a state dict was taken: the same steps follow as without a break.

        The options in it replace this optimizer's, as everywhere in torch; offsets and second
        moments keep their precision, whatever that of the parameters. What was trained with other
        weights continues with these, with a warning.

        Raises:
            ValueError: If it is of other parameters, or of another optimizer.
        """
        given: list[StateDict] = []

        def pairs() -> list[tuple[Mapping[str, Tensor], Tensor]]:
            saved = chain.from_iterable(group["params"] for group in given[0]["param_groups"])
            own = chain.from_iterable(group["params"] for group in self.param_groups)
            states = given[0]["state"]
            return [(states[key], p) for key, p in zip(saved, own, strict=False) if key in states]

        def check(_: torch.optim.Optimizer, replaced: StateDict) -> None:
            given.append(replaced)
            hidden_size = hidden_size_of(self._theta)
            for state, param in pairs():
                check_state(state, param, hidden_size)

        def keep_precision(_: torch.optim.Optimizer) -> None:
            for state, param in pairs():
                for name in LARGE:
                    self.state[param][name] = state[name].to(param.device, state_dtype(param))
                for name in SMALL:
                    self.state[param][name] = state[name].to(param.device, torch.float32)

        digest = self.defaults["weights"]
        before = self.register_load_state_dict_pre_hook(check)
        after = self.register_load_state_dict_post_hook(keep_precision, prepend=True)
        try:
            super().load_state_dict(state_dict)
        finally:
            before.remove()
            after.remove()
        if any(group.get("weights", digest) != digest for group in self.param_groups):
            warnings.warn(
                "The state dict is of a training with other weights of the LSTM; it continues "
                "with those of this optimizer.",
                WarmStartWarning,
                stacklevel=2,
            )
        for group in self.param_groups:
            group["weights"] = digest

    def __getstate__(self) -> dict[str, Any]:
        own = {name: self.__dict__[name] for name in ("_theta", "_compile", "_distributed")}
        return {**super().__getstate__(), **own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._forget()
        steps = [float(own["step"]) for own in self.state.values()]
        self._n_steps = int(max(steps, default=0.0))

    def _forget(self) -> None:
        """Drop all that is derived from state and options."""
        self._packs: dict[torch.device, Pack] = {}
        self._options: dict[torch.device, tuple[list[tuple[object, ...]], _Options]] = {}
        self._compiled_step: Callable[..., None] | None = None
        self._n_steps = 0
        self._warned = False

    def _with_gradients(self) -> dict[torch.device, _Ready]:
        """Parameters that have gradients, by device."""
        ready: dict[torch.device, _Ready] = {}
        for index, group in enumerate(self.param_groups):
            found = [(p, grad) for p in group["params"] if (grad := p.grad) is not None]
            if any(grad.is_sparse for _, grad in found):
                raise RuntimeError(
                    "LSTMOptimizer was given a sparse gradient; expected dense ones: build "
                    "the layer with sparse=False, or give it to SparseAdam."
                )
            devices = dict.fromkeys([p.device for p, _ in found])
            for device in devices:
                here = found if len(devices) == 1 else [x for x in found if x[0].device == device]
                params, grads, sizes = ready.setdefault(device, ([], [], []))
                params += [param for param, _ in here]
                grads += [grad for _, grad in here]
                sizes.append((index, len(here)))
        return ready

    def _pack(
        self, device: torch.device, params: list[Tensor], group_sizes: list[tuple[int, int]]
    ) -> Pack:
        pack = self._packs.get(device)
        if pack is None or not pack.holds(params, group_sizes, self.state):
            new = [param for param in params if not self.state[param]]
            if new:
                states = new_states(new, self._n_steps, hidden_size_of(self._theta))
                self.state.update(zip(new, states, strict=True))
            pack = Pack(params, group_sizes, self.state, self._theta)
            self._packs[device] = pack
            self._options.pop(device, None)
        return pack

    def _options_of(self, pack: Pack) -> _Options:
        """The options of each tensor, or the plan that uses them if there can be one."""
        device = pack.device
        numbers: list[tuple[object, ...]] = [
            (g["lr"], *g["betas"], g["eps"], g["weight_decay"], g["total_steps"])
            for g in self.param_groups
        ]
        if any(isinstance(number, Tensor) for group in numbers for number in group):
            numbers = []
        known = self._options.get(device)
        if known is not None and numbers and known[0] == numbers:
            return known[1]
        options: _Options
        totals = {group["total_steps"] for group in self.param_groups}
        if pack.plan is None or self._compile or len(totals) > 1:
            options = group_options(self.param_groups, pack)
        else:
            options = pack.plan
            options.use(group_arrays(self.param_groups, pack), totals.pop())
        self._options[device] = (numbers, options)
        return options

    def _to_minimise(
        self, grads: list[Tensor], group_sizes: list[tuple[int, int]]
    ) -> list[Tensor]:
        start = 0
        for index, n_tensors in group_sizes:
            if self.param_groups[index]["maximize"]:
                part = slice(start, start + n_tensors)
                grads[part] = torch._foreach_neg(grads[part])
            start += n_tensors
        return grads

    def _compiled(self) -> Callable[..., None]:
        if self._compiled_step is None:
            # Its own copy: torch counts compilations by code object, for all optimizers together.
            own = FunctionType(take_step.__code__.replace(), take_step.__globals__)
            own.__kwdefaults__ = take_step.__kwdefaults__
            self._compiled_step = torch.compile(own, fullgraph=True, dynamic=False)
        return self._compiled_step

    def _leave_at_average(self) -> None:
        """Put on its average what had no gradient at the last step."""
        for group in self.param_groups:
            total = group["total_steps"]
            if total is not None and self._n_steps >= total:
                for param in group["params"]:
                    if param.grad is None and self.state.get(param):
                        put_at_average(param, self.state[param], stays=True)

    def _warn_when_over(self) -> None:
        totals = [group["total_steps"] for group in self.param_groups]
        over = [total for total in totals if total is not None and self._n_steps > total]
        if self._warned or not over:
            return
        self._warned = True
        warnings.warn(
            f"total_steps={over[0]!r} given, and step {self._n_steps} is taken: these parameters "
            "stay at their average. Give the number of all steps, or None.",
            WarmStartWarning,
            stacklevel=3,
        )
