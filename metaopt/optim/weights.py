"""θ on disk: an artifact of the project, with the record of its meta-training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import torch
from torch import Tensor

from metaopt.optim.controller import Theta, hidden_size_of, theta_shapes
from warmstart.artifact import read_artifact, write_artifact
from warmstart.errors import ArtifactError

Kind = Literal["learned-optimizer", "learned-schedule"]

# Counts changes of features, memory or rule, after which θ means something else.
RULES: Final[Mapping[Kind, int]] = {"learned-optimizer": 2, "learned-schedule": 1}

_SHIPPED: Final = Path(__file__).parent / "weights"


class Weights(NamedTuple):
    """What an artifact of meta-training holds.

    Attributes:
        theta: The controller's, float32, on the CPU.
        record: How it was trained; JSON values.
        digest: What identifies θ with its record.
    """

    theta: Theta
    record: Mapping[str, Any]
    digest: str


def shipped_path(name: str) -> Path:
    """Where the weights that come with the package lie, such as those named ``lstm``."""
    return _SHIPPED / f"{name}.safetensors"


def save_weights(
    path: str | os.PathLike[str],
    theta: Mapping[str, Tensor],
    record: Mapping[str, Any],
    *,
    kind: Kind = "learned-optimizer",
) -> str:
    """Write θ in place of what was at ``path``: completely, or not at all.

    Args:
        path: The file; its directory must exist.
        theta: The controller's, without batch dimensions.
        record: How it was trained; JSON values.
        kind: What it is of.

    Returns:
        The digest.

    Raises:
        ArtifactError: If θ or the record is of another kind, or the file can't be written.
    """
    _check(path, theta)
    arrays = {name: part.detach().cpu().float().numpy() for name, part in theta.items()}
    return write_artifact(
        path, arrays, {"kind": kind, "rule": RULES[kind], "record": dict(record)}
    )


def load_weights(path: str | os.PathLike[str], *, kind: Kind = "learned-optimizer") -> Weights:
    """Read θ, every byte of it verified.

    Args:
        path: The file.
        kind: What it is to be of.

    Raises:
        ArtifactError: If there is none at ``path``, or it is damaged, or made for something else
            or another version of the update rule.
    """
    artifact = read_artifact(path)
    given, rule = artifact.description.get("kind"), artifact.description.get("rule")
    if given != kind:
        command = "metaopt train optimizer" + " --schedule" * (kind == "learned-schedule")
        raise ArtifactError(
            f"path={str(path)!r} given, an artifact of kind {given!r}; expected {kind!r}, as "
            f"`{command}` writes."
        )
    if rule != RULES[kind]:
        raise ArtifactError(
            f"path={str(path)!r} given, weights for version {rule!r} of the update rule; expected "
            f"version {RULES[kind]}: train them anew, or leave the argument out to use those "
            "shipped."
        )
    theta = {name: torch.tensor(array) for name, array in artifact.tensors.items()}
    _check(path, theta)
    record = artifact.description.get("record")
    return Weights(theta, record if isinstance(record, dict) else {}, artifact.digest)


def _check(path: str | os.PathLike[str], theta: Mapping[str, Tensor]) -> None:
    given = {name: tuple(part.shape) for name, part in theta.items()}
    recurrent = theta.get("recurrent")
    hidden_size = hidden_size_of(theta) if recurrent is not None and recurrent.ndim == 2 else 1
    expected = theta_shapes(hidden_size)
    if given != expected:
        raise ArtifactError(
            f"Weights of shapes {given} at path={str(path)!r}; expected {expected}, for some "
            "hidden size."
        )
    broken = [name for name, part in theta.items() if not part.isfinite().all()]
    if broken:
        raise ArtifactError(
            f"Weights at path={str(path)!r} are not finite in {broken}; expected finite ones."
        )
