"""The state of many tensors, laid out for one step of all of them.

What the optimizer keeps of a parameter lies in its ``state``, as torch wants it. The small parts
(step, memory, hidden) of all parameters on one device are rows of common tensors, so that the
controller is one batch; the state holds views of these rows.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final

import torch
from torch import Tensor

from metaopt.optim import controller, rule
from metaopt.optim import memory as columns
from metaopt.optim.blocks import Blocks, groups_of
from metaopt.optim.controller import Theta
from metaopt.optim.features import shape_features
from metaopt.optim.numpy_controller import Small
from metaopt.optim.numpy_plan import NumpyPlan

SMALL: Final = ("step", "memory", "hidden")
LARGE: Final = ("offset", "exp_avg_sq")  # as the parameters


def state_dtype(param: Tensor) -> torch.dtype:
    """What the state of a parameter is kept in: never less than float32."""
    wide = torch.promote_types(param.dtype, torch.float32)
    return wide if wide != torch.complex32 else torch.complex64


def is_distributed(tensor: Tensor) -> bool:
    """Whether it is a DTensor, of which each process has a part."""
    module = sys.modules.get("torch.distributed.tensor")  # loaded, if there are any
    return module is not None and isinstance(tensor, module.DTensor)


def plain(tensor: Tensor) -> Tensor:
    """A real tensor of this process with the same elements: its memory, not a copy."""
    if is_distributed(tensor):
        tensor = tensor.to_local()  # type: ignore[attr-defined]
    tensor = tensor.detach()
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def new_states(
    params: Sequence[Tensor], n_steps: int, hidden_size: int
) -> list[dict[str, Tensor]]:
    """The states of parameters on one device that have never been stepped."""
    device = params[0].device
    sizes = torch.tensor([float(_n_numbers(p)) for p in params], device=device)
    local = [plain(p).to(torch.float32).reshape(-1) for p in params]
    squares = torch.stack([x.dot(x) for x in local]).unsqueeze(-1)
    memory = columns.empty(all_reduced(squares, params)[:, 0], sizes)
    steps = torch.full((len(params),), float(n_steps), device=device)
    hidden = torch.zeros(len(params), 2 * hidden_size, device=device)
    states = []
    for row, param in enumerate(params):
        dtype = state_dtype(param)
        states.append(
            {
                "step": steps[row],
                "memory": memory[row],
                "hidden": hidden[row],
                **{
                    name: torch.zeros_like(
                        param, dtype=dtype, memory_format=torch.preserve_format
                    ).detach()
                    for name in LARGE
                },
            }
        )
    return states


def check_state(state: Mapping[str, Tensor], param: Tensor, hidden_size: int) -> None:
    """Check what a state dict holds of a parameter.

    Raises:
        ValueError: If it is of another parameter, or of another optimizer.
    """
    missing = [name for name in (*SMALL, *LARGE) if name not in state]
    if missing:
        raise ValueError(
            f"A state dict without {missing} given; expected one of LSTMOptimizer.state_dict()."
        )
    names = ("offset", "exp_avg_sq", "memory", "hidden")
    given = {name: tuple(state[name].shape) for name in names}
    shape, of_lstm = tuple(param.shape), ((columns.N_COLUMNS,), (2 * hidden_size,))
    expected = dict(zip(names, (shape, shape, *of_lstm), strict=True))
    if given != expected:
        raise ValueError(
            f"A state dict given with tensors of shapes {given}; expected {expected}: it is of "
            "another model, or of other weights of the LSTM."
        )


def put_at_average(param: Tensor, state: Mapping[str, Tensor], *, stays: bool) -> None:
    """Move a parameter to its average or, from there, back; average and fast point stay.

    Args:
        param: The parameter.
        state: Its state; offset and memory change.
        stays: Whether it is to be at the average.
    """
    column = state["memory"][columns.INTERPOLATION.start]
    offset, value = plain(state["offset"]), plain(param)
    dtype, device = offset.dtype, offset.device
    share = column.abs().clamp(rule.LOWEST_INTERPOLATION, 1.0)
    back = rule.offsets_back(column).to(device, dtype)
    before = value.to(dtype, copy=True)
    # The fast point is 1 + back offsets from the average.
    ahead = 0.0 if stays else (1 - share.to(device, dtype)) * (1 + back)
    value.copy_(before + offset * (ahead - back))
    offset.add_(before - value.to(dtype))
    after = -share if stays else share
    column.copy_(torch.where(column == 0, column, after))  # 0: no step yet


def all_reduced(sums: Tensor, params: Sequence[Tensor]) -> Tensor:
    """Sums ``[T, k]`` over the local shards, made sums over whole tensors.

    One packed reduction a mesh dimension.
    """
    groups: dict[Any, list[int]] = {}
    for index, param in enumerate(params):
        if is_distributed(param):
            for dim, placement in enumerate(param.placements):  # type: ignore[attr-defined]
                if placement.is_shard():
                    group = param.device_mesh.get_group(dim)  # type: ignore[attr-defined]
                    groups.setdefault(group, []).append(index)
    for group, rows in groups.items():
        part = sums if len(rows) == len(sums) else sums[rows]
        part = part.contiguous()
        torch.distributed.all_reduce(part, group=group)
        sums = (
            part
            if len(rows) == len(sums)
            else sums.index_copy(0, torch.tensor(rows, device=sums.device), part)
        )
    return sums


def _n_numbers(param: Tensor) -> int:
    return max(param.numel(), 1) * (2 if param.is_complex() else 1)


class Pack:
    """The parameters on one device that are stepped together.

    Attributes:
        originals: The parameters as the user gave them.
        params: Theirs, as plain tensors; offsets and second moments alike.
        flat: Whether these are one-dimensional views, on a CPU where all are contiguous.
        group_sizes: How many of them are of each parameter group: group index, number.
        tensors: What the controller works on, float32.
        fused_dtype: Of all parameters and their state, if Adam's fused operation can take them.
        blocks: Of the small ones among these.
        alone: Which tensors are in none of them.
        plan: What plans the steps, on a CPU, if the tensors are all alike.
        unknown: NaN on the device, for a loss that is not known.
        sharded: Whether any of them is only a part of a tensor.
    """

    def __init__(
        self,
        originals: Sequence[Tensor],
        group_sizes: Sequence[tuple[int, int]],
        states: Mapping[Tensor, dict[str, Tensor]],
        theta: Theta,
    ) -> None:
        device = originals[0].device
        self.device = device
        self.originals = list(originals)
        self.group_sizes = list(group_sizes)
        own = self._states = [states[p] for p in originals]
        self.sharded = any(map(is_distributed, originals))
        self._plain = not self.sharded and not any(p.is_complex() for p in originals)
        self._addresses = self._addresses_of(originals)
        elements = [[plain(p) for p in originals]]
        elements += [[plain(s[name]) for s in own] for name in LARGE]
        self.flat = device.type == "cpu" and all(x.is_contiguous() for x in chain(*elements))
        if self.flat:
            elements = [[x.view(-1) for x in part] for part in elements]
        self.params, self.offset, self.exp_avg_sq = elements
        dtypes = {x.dtype for x in chain(*elements)}
        is_one = self.flat and len(dtypes) == 1 and dtypes <= {torch.float32, torch.float64}
        self.fused_dtype = dtypes.pop() if is_one else None
        self.blocks = self._side_by_side() if self.fused_dtype and self._plain else []
        in_blocks = {index for block in self.blocks for index in block.indices}
        self.alone = [index for index in range(len(own)) if index not in in_blocks]
        self.unknown = torch.full((), torch.nan, device=device)
        sizes = torch.tensor([float(_n_numbers(p)) for p in originals], device=device)
        shapes = shape_features([p.shape for p in originals], device)._replace(sizes=sizes)
        # Late parameters join the training where it is, with the trend of the loss.
        steps = torch.stack([s["step"].to(device) for s in own]).max().expand(len(own)).clone()
        memory = torch.stack([s["memory"] for s in own])
        oldest = memory[:, columns.LOSSES_SEEN].argmax().reshape(1)
        trend = memory[:, columns.LOSS_TREND].index_select(0, oldest)
        memory[:, columns.LOSS_TREND] = trend
        here = {name: part.to(device) for name, part in theta.items()}
        hidden = torch.stack([s["hidden"] for s in own])
        self.tensors = Small(
            theta=here,
            shapes=shapes,
            steps=steps,
            memory=memory,
            hidden=hidden,
            actions=controller.actions(here, hidden),
            rates=torch.zeros_like(steps),
        )
        self.plan = NumpyPlan(self.tensors.as_numpy()) if device.type == "cpu" else None
        for row, state in enumerate(own):
            state["step"] = self.tensors.steps[row]
            state["memory"] = self.tensors.memory[row]
            state["hidden"] = self.tensors.hidden[row]

    def _side_by_side(self) -> list[Blocks]:
        """Move what is kept of small tensors to where one operation updates them all."""
        blocks = []
        for group in groups_of([len(p) for p in self.params]):
            parts = (self.params, self.offset, self.exp_avg_sq)
            params, offset, squares = ([part[index] for index in group] for part in parts)
            shapes = [self.originals[index].shape for index in group]
            block = Blocks(group, params, offset, squares, shapes)
            for name, views in zip(LARGE, (block.offset, block.exp_avg_sq), strict=True):
                for index, shape, view in zip(group, shapes, views, strict=True):
                    getattr(self, name)[index] = view
                    self._states[index][name] = view.view(shape)
            blocks.append(block)
        return blocks

    def as_plain(self, grads: list[Tensor]) -> list[Tensor]:
        """Gradients as plain tensors, as ``params``."""
        return grads if self._plain else [plain(grad) for grad in grads]

    def laid_out(self, grads: Sequence[Tensor], *, blocks: bool) -> list[Tensor]:
        """Plain gradients in the shapes of ``params``; contiguous if these are flat.

        Args:
            grads: From ``as_plain``.
            blocks: Whether those of tensors in blocks may stay as they are.
        """
        laid_out = list(grads)
        if self.flat:
            for index in self.alone if blocks else range(len(laid_out)):
                laid_out[index] = laid_out[index].reshape(-1).contiguous()
        return laid_out

    def holds(
        self,
        params: list[Tensor],
        group_sizes: list[tuple[int, int]],
        states: Mapping[Tensor, dict[str, Tensor]],
    ) -> bool:
        """Whether it was made for exactly these, where they are now."""
        return (
            group_sizes == self.group_sizes
            and len(params) == len(self.originals)
            and all(map(operator.is_, params, self.originals))
            and all(map(operator.is_, map(states.get, params), self._states))
            and self._addresses_of(params) == self._addresses
        )

    def _addresses_of(self, params: Sequence[Tensor]) -> list[int]:
        """Where elements are: ``param.data`` may be replaced at any time."""
        if self.sharded:
            return [0 if is_distributed(p) else p.data_ptr() for p in params]
        return [p.data_ptr() for p in params]
