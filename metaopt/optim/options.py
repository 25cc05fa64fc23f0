"""What the user sets: checked, and laid out for each tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from metaopt.optim import rule
from metaopt.optim.packing import Pack

# Where each run of the LSTM is dear, it runs again after so many steps.
USUAL_INTERVAL: Final = 4  # where the length of the training is unknown
_LARGEST_INTERVAL: Final = 8
_MOST_STEPS: Final = 2**24  # that float32 can count
_FEWEST_RUNS: Final = 10  # of a training of at least so many steps


def check_options(group: Mapping[str, Any]) -> None:
    """Check a parameter group.

    Raises:
        ValueError: If one of its options is out of range.
        RuntimeError: If two of them exclude each other, as torch has it.
    """
    lr = group["lr"]
    if isinstance(lr, Tensor):
        if lr.numel() != 1:
            raise ValueError(f"Tensor lr must be 1-element, but has shape {tuple(lr.shape)}.")
    elif not 0.0 <= lr < math.inf:
        raise ValueError(f"Invalid learning rate: {lr!r} given; expected a finite lr >= 0.")
    for index, beta in enumerate(group["betas"]):
        if not isinstance(beta, Tensor) and not 0.0 <= beta < 1.0:
            raise ValueError(
                f"Invalid beta parameter at index {index}: {beta!r} given; expected 0 <= beta < 1."
            )
    for name in ("eps", "weight_decay"):
        if not 0.0 <= group[name] < math.inf:
            raise ValueError(
                f"Invalid {name} value: {group[name]!r} given; expected a finite {name} >= 0."
            )
    total = group["total_steps"]
    if total is not None and not 0 < total <= _MOST_STEPS:
        raise ValueError(
            f"total_steps={total!r} given; expected a number above 0, at most {_MOST_STEPS}, or "
            "None."
        )
    every = group["refresh_every"]
    if every is not None and (not isinstance(every, int) or every < 1):
        raise ValueError(
            f"refresh_every={every!r} given; expected a whole number of at least 1, or None."
        )
    if group["capturable"] and every not in (None, 1):
        raise ValueError(
            f"refresh_every={every} given with capturable=True; expected 1: a captured step is "
            "the same at each replay."
        )
    if group["differentiable"]:
        raise ValueError(
            "differentiable=True given; expected False: use metaopt.optim.rule.update, which has "
            "no side effects, where gradients through steps are needed."
        )
    if group["foreach"] and group["fused"]:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


def refresh_interval(group: Mapping[str, Any], device: torch.device) -> int:
    """After how many steps the LSTM runs again.

    Args:
        group: A parameter group.
        device: Of the parameters.
    """
    every: int | None = group["refresh_every"]
    if every is not None:
        return every
    if group["capturable"] or device.type != "cpu":
        return 1
    total = group["total_steps"]
    return USUAL_INTERVAL if total is None else interval_of(total)


def interval_of(total_steps: float) -> int:
    """The same where each run of the LSTM is dear, and the length of the training is known."""
    return int(max(1, min(_LARGEST_INTERVAL, total_steps // _FEWEST_RUNS)))


def group_arrays(groups: Sequence[Mapping[str, Any]], pack: Pack) -> rule.Options:
    """What the user set, for each tensor, as arrays ``[T]`` of numpy: for tensors on the CPU."""
    indices, sizes = zip(*pack.group_sizes, strict=True)
    rows = [
        [float(x) for x in (g["lr"], g["weight_decay"], *g["betas"], g["eps"])]
        for g in (groups[index] for index in indices)
    ]
    columns = np.array(rows, np.float32).T
    return rule.Options(*columns.repeat(sizes, axis=1))


def group_options(groups: Sequence[Mapping[str, Any]], pack: Pack) -> tuple[rule.Options, Tensor]:
    """What the user set, for each tensor: the rule's options and the total steps, ``[T]`` each.

    Numbers are written by the device itself, and tensors stay there: nothing waits.
    """
    device = pack.device

    def per_tensor(value: Callable[[Mapping[str, Any]], float | Tensor | None]) -> Tensor:
        parts = []
        for index, n_tensors in pack.group_sizes:
            given = value(groups[index])
            if isinstance(given, Tensor):
                one = given.detach().to(device, torch.float32, non_blocking=True)
                parts.append(one.reshape(1).expand(n_tensors))
            else:
                number = torch.nan if given is None else float(given)
                parts.append(torch.full((n_tensors,), number, device=device))
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    options = rule.Options(
        lr=per_tensor(lambda group: group["lr"]),
        weight_decay=per_tensor(lambda group: group["weight_decay"]),
        beta1=per_tensor(lambda group: group["betas"][0]),
        beta2=per_tensor(lambda group: group["betas"][1]),
        eps=per_tensor(lambda group: group["eps"]),
    )
    return options, per_tensor(lambda group: group["total_steps"])
