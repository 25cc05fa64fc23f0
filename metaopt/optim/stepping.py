"""One step of all parameters on a device: what the optimizer does, runs eagerly or compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metaopt.optim import backends, rule
from metaopt.optim import memory as columns
from metaopt.optim.backends import Backend
from metaopt.optim.features import read_clock
from metaopt.optim.numpy_plan import NumpyPlan
from metaopt.optim.packing import Pack, all_reduced


def take_step(
    pack: Pack,
    grads: list[Tensor],
    loss: Tensor,
    options: rule.Options,
    total_steps: Tensor,
    backend: Backend,
    *,
    refresh: bool,
    observe: bool,
) -> None:
    """Update the parameters of a pack, and its state, in place.

    Args:
        pack: The parameters.
        grads: Plain tensors as ``pack.params``, of what is to be minimised.
        loss: 0-dimensional; NaN where unknown.
        options: ``[T]`` each.
        total_steps: ``[T]``; NaN where unknown.
        backend: What updates the elements.
        refresh: Whether the controller runs.
        observe: Whether statistics are taken for its next run.
    """
    small = pack.tensors
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
        pack.offset,
        pack.exp_avg_sq,
        coefficients.factors(),
        observe=observe,
    )
    if sums is not None:
        if pack.sharded:
            sums = all_reduced(sums, pack.originals)
        memory = columns.see_sums(memory, sums, small.shapes.sizes, small.steps)
    small.memory[...] = memory
    small.steps[...] = small.steps + 1


def take_planned_step(
    pack: Pack,
    plan: NumpyPlan,
    grads: list[Tensor],
    loss: float,
    backend: Backend,
    *,
    refresh: bool,
    observe: bool,
    n_ahead: int,
) -> None:
    """The same with ``pack.plan``, as ``take_step`` otherwise.

    Args:
        pack: The parameters.
        plan: Its plan, with the options to be used.
        grads: As above.
        loss: NaN where unknown.
        backend: As above.
        refresh: As above.
        observe: As above.
        n_ahead: Steps, this one included, until the controller runs again.
    """
    if refresh:
        with np.errstate(all="ignore"):
            plan.decide(loss)
    factors = plan.plan(n_ahead)
    with np.errstate(all="ignore"):
        if backend is backends.fused_on_cpu:
            sums = _in_blocks(pack, grads, factors, observe=observe)
        else:
            sums = _in_lists(pack, grads, factors, backend, observe=observe)
        if sums is not None:
            plan.see_sums(sums)
    plan.end()


def _in_blocks(
    pack: Pack, grads: list[Tensor], factors: np.ndarray, *, observe: bool
) -> np.ndarray | None:
    grads = pack.laid_out(grads, blocks=True)
    sums = np.empty((len(grads), columns.N_SUMS), np.float32) if observe else None
    for block in pack.blocks:
        block.update([grads[index] for index in block.indices], factors)
        if sums is not None:
            sums[block.indices] = block.sums()
    if pack.alone:
        parts = (pack.params, grads, pack.offset, pack.exp_avg_sq)
        params, grads, offset, squares = ([part[i] for i in pack.alone] for part in parts)
        found = backends.fused_on_cpu(
            params, grads, offset, squares, factors[pack.alone], observe=observe
        )
        if sums is not None and found is not None:
            sums[pack.alone] = all_reduced(found, pack.originals).numpy()
    return sums


def _in_lists(
    pack: Pack, grads: list[Tensor], factors: np.ndarray, backend: Backend, *, observe: bool
) -> np.ndarray | None:
    sums = backend(
        pack.params,
        pack.laid_out(grads, blocks=False),
        pack.offset,
        pack.exp_avg_sq,
        torch.from_numpy(factors),
        observe=observe,
    )
    return None if sums is None else all_reduced(sums, pack.originals).numpy()


def choose_backend(
    pack: Pack, grads: list[Tensor], options: Mapping[str, Any], compiled: bool
) -> Backend:
    """The fastest way for these tensors, unless the user chose one.

    Args:
        pack: The parameters.
        grads: Plain tensors as ``pack.params``.
        options: Of a parameter group, for ``foreach`` and ``fused``.
        compiled: Whether the step is to be compiled.

    Raises:
        RuntimeError: If ``fused`` is asked for where it can't be.
    """
    if compiled:
        return backends.one_by_one
    foreach, fused = options["foreach"], options["fused"]
    if fused or (fused is None and foreach is None and pack.device.type == "cpu"):
        if pack.fused_dtype and all(grad.dtype == pack.fused_dtype for grad in grads):
            return backends.fused_on_cpu
        if fused:
            raise RuntimeError(
                f"fused=True given with parameters on {pack.device}; expected contiguous ones of "
                "float32, or float64, on a CPU: leave fused out, or use compile=True on a GPU."
            )
    return backends.one_by_one if foreach is False else backends.many_at_once
