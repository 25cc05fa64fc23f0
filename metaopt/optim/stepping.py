"""One step of all parameters on a device: what the optimizer does, runs eagerly or compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from metaopt.optim import backends, rule
from metaopt.optim import memory as columns
from metaopt.optim.arrays import Array
from metaopt.optim.backends import Backend
from metaopt.optim.features import read_clock
from metaopt.optim.packing import Pack, Small, all_reduced


def take_step(
    pack: Pack,
    small: Small,
    grads: list[Tensor],
    loss: Array,
    options: rule.Options,
    total_steps: Array,
    backend: Backend,
    *,
    refresh: bool,
    observe: bool,
) -> None:
    """Update the parameters of a pack, and its state, in place.

    Args:
        pack: The parameters.
        small: ``pack.small`` or ``pack.tensors``; the other arrays are of its kind.
        grads: Plain tensors as ``pack.params``, of what is to be minimised.
        loss: 0-dimensional; NaN where unknown.
        options: ``[T]`` each.
        total_steps: ``[T]``; NaN where unknown.
        backend: What updates the elements.
        refresh: Whether the controller runs.
        observe: Whether statistics are taken for its next run.
    """
    clock = read_clock(small.steps, total_steps)
    memory = small.memory
    if refresh:
        actions, memory, hidden = rule.decide(
            small.theta, memory, small.hidden, clock, loss, small.shapes
        )
        small.hidden[...] = hidden
        small.actions[...] = actions
    coefficients, memory = rule.plan(small.actions, memory, clock, small.shapes, options)
    small.rates[...] = coefficients.rate
    sums = backend(
        pack.params,
        grads,
        pack.exp_avg,
        pack.exp_avg_sq,
        torch.as_tensor(coefficients.factors()),
        observe=observe,
    )
    if sums is not None:
        if pack.sharded:
            sums = all_reduced(sums, pack.originals)
        same_kind = sums if small is pack.tensors else sums.numpy()
        memory = columns.see_sums(memory, same_kind, small.shapes.sizes, small.steps)
    small.memory[...] = memory
    small.steps[...] = small.steps + 1


def choose_backend(pack: Pack, grads: list[Tensor], options: Mapping[str, Any]) -> Backend:
    """The fastest way for these tensors, unless the user chose one.

    Args:
        pack: The parameters.
        grads: Plain tensors as ``pack.params``.
        options: Of a parameter group, for ``foreach`` and ``fused``.

    Raises:
        RuntimeError: If ``fused`` is asked for where it can't be.
    """
    foreach, fused = options["foreach"], options["fused"]
    if fused or (fused is None and foreach is None and pack.device.type == "cpu"):
        if pack.device.type == "cpu" and backends.can_be_fused_on_cpu(pack.params, grads):
            return backends.fused_on_cpu
        if fused:
            raise RuntimeError(
                f"fused=True given with parameters on {pack.device}; expected contiguous ones of "
                "float32, or float64, on a CPU: leave fused out, or use compile=True on a GPU."
            )
    return backends.one_by_one if foreach is False else backends.many_at_once
