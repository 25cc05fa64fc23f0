"""The loss that a training hands in: of any kind, on any device, of one process or of many."""

from __future__ import annotations

import math

import torch
from torch import Tensor

Loss = float | Tensor


def check_loss(loss: Loss | None, device: torch.device) -> None:
    """Check what was given as the loss.

    Args:
        loss: A number or a tensor; None: unknown.
        device: Where it is needed.

    Raises:
        ValueError: If it has more than one element, or is on a device without values.
    """
    if not isinstance(loss, Tensor):
        return
    if loss.numel() != 1:
        raise ValueError(
            f"A loss of shape {tuple(loss.shape)} given; expected one element: give its mean "
            "or sum, whichever was differentiated."
        )
    if loss.is_meta and device.type != "meta":
        raise ValueError(
            "A loss on the device meta given, which has no value; expected a number or a "
            f"tensor on {device} or any other device: leave it out if it is not known."
        )


def seen_loss(loss: Loss | None, device: torch.device, distributed: bool | None) -> Tensor:
    """The loss as the controller sees it.

    Args:
        loss: A number or a tensor of one element, on any device; None: unknown.
        device: Where it is needed.
        distributed: Whether to average over all processes; None: where ``torch.distributed`` is
            initialised. Unknown in one process, it is unknown in all.

    Returns:
        0-dimensional float32; NaN where unknown.
    """
    if isinstance(loss, Tensor):
        # On the way to a CPU, what does not wait may be read before it is there.
        seen = loss.detach().to(device, torch.float32, non_blocking=device.type != "cpu")
        seen = seen.reshape(())
    else:
        seen = torch.full((), math.nan if loss is None else float(loss), device=device)
    if not _is_averaged(distributed):
        return seen
    seen = seen / torch.distributed.get_world_size()
    torch.distributed.all_reduce(seen)
    return seen


def seen_number(loss: Loss | None, device: torch.device, distributed: bool | None) -> float:
    """The same as a number, for a controller on the CPU; arguments as above."""
    if _is_averaged(distributed):
        return float(seen_loss(loss, device, distributed))
    if loss is None:
        return math.nan
    return float(loss.item() if isinstance(loss, Tensor) else loss)


def _is_averaged(distributed: bool | None) -> bool:
    if distributed is False or not torch.distributed.is_available():
        return False
    return distributed or torch.distributed.is_initialized()
