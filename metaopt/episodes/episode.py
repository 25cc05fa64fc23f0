"""What a learner sees of a task: points to adapt to, and points to be judged on.

Both are named tuples of tensors, so that ``torch.func`` maps over a batch of them as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Points(NamedTuple):
    """Inputs and targets; leading axes, such as that of tasks, come before the shapes below.

    Attributes:
        x: ``(n, n_features)``.
        y: ``(n, n_targets)``; classes are one-hot.
        weight: ``(n,)``: 1 for a point, 0 for padding and for a point whose target is missing.
    """

    x: Tensor
    y: Tensor
    weight: Tensor

    @classmethod
    def of(cls, x: Any, y: Any) -> Points:
        """Points of one task from arrays; a target that is not finite gets weight 0.

        Such a target is that of a failed trial: nothing is learned from it.

        Args:
            x: ``(n, n_features)``; n may be 0.
            y: ``(n, n_targets)``, or ``(n,)`` for one target.

        Raises:
            ValueError: If the shapes don't match, or an input is not finite.
        """
        x = torch.as_tensor(x, dtype=torch.float32)
        y = torch.as_tensor(y, dtype=torch.float32)
        y = y[:, None] if y.ndim == 1 else y
        if x.ndim != 2 or y.ndim != 2 or len(x) != len(y):
            raise ValueError(
                f"Inputs {tuple(x.shape)} and targets {tuple(y.shape)} given; "
                "expected (n, n_features) and (n, n_targets)."
            )
        if not x.isfinite().all():
            raise ValueError(
                f"{int((~x.isfinite()).sum())} inputs that are not finite given; "
                "expected numbers: impute what is missing first."
            )
        present = y.isfinite().all(dim=1)
        return cls(x, torch.where(present[:, None], y, 0.0), present.to(x.dtype))

    def to(self, device: torch.device | str) -> Points:
        """The same on another device."""
        return Points(*(tensor.to(device) for tensor in self))


class Episode(NamedTuple):
    """Support and query set of one task, or of a batch of tasks along the first axis."""

    support: Points
    query: Points

    def to(self, device: torch.device | str) -> Episode:
        """The same on another device."""
        return Episode(self.support.to(device), self.query.to(device))

    def tasks(self, chosen: slice) -> Episode:
        """Some tasks of a batch."""
        return Episode(*(Points(*(tensor[chosen] for tensor in points)) for points in self))


def collate(episodes: Sequence[Episode]) -> Episode:
    """One batch of single tasks; shorter support or query sets are padded with weight 0.

    Raises:
        ValueError: If none is given, or tasks of different spaces are.
    """
    if not episodes:
        raise ValueError("No episode given; expected at least one.")
    spaces = {(points.x.shape[1], points.y.shape[1]) for episode in episodes for points in episode}
    if len(spaces) > 1:
        raise ValueError(
            f"Tasks with {sorted(spaces)} features and targets given in one batch; expected the "
            "same for all: bring them onto one space first, or train a learner for each."
        )
    return Episode(
        _padded([episode.support for episode in episodes]),
        _padded([episode.query for episode in episodes]),
    )


def _padded(sets: Sequence[Points]) -> Points:
    pad = torch.nn.utils.rnn.pad_sequence
    return Points(*(pad(list(tensors), batch_first=True) for tensors in zip(*sets, strict=True)))
