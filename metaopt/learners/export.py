"""Writing trained learners for numpy: those that adapt in closed form on an MLP's features."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

import torch

from metaopt.exported import KIND
from metaopt.learners.bayesian_linear import BayesianLinear
from metaopt.learners.deep_kernel_gp import DeepKernelGP
from metaopt.learners.learner import Learner, Theta
from metaopt.learners.network import MLP
from metaopt.learners.ridge import Ridge
from warmstart.artifact import write_artifact

_HEADS: Final[Mapping[type[Learner], str]] = {
    Ridge: "ridge",
    BayesianLinear: "bayesian linear",
    DeepKernelGP: "deep-kernel gp",
}


def export_learner(
    path: str | os.PathLike[str],
    learner: Learner,
    theta: Theta,
    *,
    card: Mapping[str, Any] | None = None,
) -> str:
    """Write a learner that ``metaopt.exported.read_learner`` runs without torch.

    Args:
        path: The file; replaced if it is there.
        learner: Whose head is in closed form, on a network of ReLU layers without a name.
        theta: Its meta-parameters.
        card: What users should know of it: JSON values.

    Returns:
        The digest of the artifact.

    Raises:
        ValueError: If the learner can't be run with numpy, or ``theta`` is not its own.
        ArtifactError: If the file can't be written.
    """
    head = _HEADS.get(type(learner))
    network = getattr(learner, "network", None)
    if head is None or not isinstance(network, MLP) or network.name or not _is_relu(network):
        raise ValueError(
            f"{learner!r} given; expected one of {[kind.__name__ for kind in _HEADS]} on an MLP "
            "with ReLU between its layers and no name: others run with torch only."
        )
    expected = learner.initial(torch.Generator().manual_seed(0))
    shapes, given = ({n: tuple(p.shape) for n, p in of.items()} for of in (expected, theta))
    if shapes != given:
        raise ValueError(
            f"Meta-parameters {given} given; expected those of {learner!r}: {shapes}."
        )
    tensors = {name: p.detach().cpu().to(torch.float32).numpy() for name, p in theta.items()}
    return write_artifact(path, tensors, {"kind": KIND, "head": head, "card": dict(card or {})})


def _is_relu(network: MLP) -> bool:
    return network.activation in (torch.relu, torch.nn.functional.relu)
