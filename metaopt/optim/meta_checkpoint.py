"""A meta-training on disk: replaced whole or not at all, data only."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

CHECKPOINT: Final = "checkpoint.pt"
CURVE: Final = "curve.jsonl"


@dataclass
class MetaState:
    """Where a meta-training stands.

    Attributes:
        theta: ``(K,)``.
        mean: Running mean of θ, which is judged and shipped.
        moment: First moment of the gradient.
        square: Second moment of the gradient.
        update: Updates done.
        seconds: Spent on them.
        n_steps: Steps of single tasks taken in all.
        best: The best judged θ so far.
        best_update: After how many updates it was judged.
        best_score: Its score.
        judgements: One entry for each meta-validation.
    """

    theta: Tensor
    mean: Tensor
    moment: Tensor
    square: Tensor
    best: Tensor
    update: int = 0
    seconds: float = 0.0
    n_steps: int = 0
    best_update: int = 0
    best_score: float = float("-inf")
    judgements: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def begin(cls, theta: Tensor) -> MetaState:
        """Before the first update."""
        zeros = torch.zeros_like(theta)
        return cls(theta, theta.clone(), zeros, zeros.clone(), theta.clone())


_TENSORS: Final = ("theta", "mean", "moment", "square", "best")


def save_checkpoint(directory: Path, state: MetaState, options: Mapping[str, Any]) -> None:
    """Write the state so that a crash at any moment leaves the old file or the new one."""
    values = dict(vars(state))
    tensors = {name: values.pop(name).cpu() for name in _TENSORS}
    temporary = directory / f"{CHECKPOINT}.{os.getpid()}"
    with temporary.open("wb") as file:
        torch.save({**tensors, "text": json.dumps({**values, "options": options})}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(directory / CHECKPOINT)


def load_checkpoint(
    directory: Path, device: torch.device | str = "cpu"
) -> tuple[MetaState, dict[str, Any]] | None:
    """The state and the options of the meta-training in a directory; None if there is none.

    Raises:
        ValueError: If the file is not a checkpoint.
    """
    path = directory / CHECKPOINT
    if not path.exists():
        return None
    try:
        loaded = torch.load(path, map_location=device, weights_only=True)
        values = json.loads(loaded.pop("text"))
        options = values.pop("options")
        return MetaState(**loaded, **values), options
    except Exception as error:
        raise ValueError(
            f"{path} is not a checkpoint of this version ({type(error).__name__}); "
            "delete it to start anew."
        ) from error


class Curve:
    """One JSON object for each update, appended while training runs.

    Args:
        path: Of the file.
        n_updates: How many to keep of those that it has; the rest came after the checkpoint.
    """

    def __init__(self, path: Path, n_updates: int) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        kept = [line for line in lines if _update_of(line) <= n_updates]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")

    def add(self, entry: Mapping[str, Any]) -> None:
        """Append an entry; it must name its ``update``."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def _update_of(line: str) -> float:
    try:
        return float(json.loads(line)["update"])
    except (ValueError, KeyError, TypeError):  # half a line, written when it was killed
        return float("inf")
