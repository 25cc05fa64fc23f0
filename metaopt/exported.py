"""Exported meta-learners, run with numpy alone.

``metaopt.learners.export`` writes them. What adapts in closed form can be run without torch: a
network maps inputs to features, and a head is fitted to the support set.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from warmstart.artifact import Artifact, read_artifact
from warmstart.errors import ArtifactError

KIND: Final = "learner"
_JITTER: Final = 1e-4  # as the learners': kept so that both compute the same

#: Maps inputs ``(n, n_features)`` to means and variances, ``(n,)`` each; a variance is NaN where
#: the learner gives none.
NumpyPredictor: TypeAlias = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
_Tensors: TypeAlias = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class ExportedLearner:
    """A meta-learner without torch.

    Attributes:
        head: One of ``HEADS``.
        n_features: Of an input.
        tensors: Its meta-parameters, float64.
    """

    head: str
    n_features: int
    tensors: _Tensors

    def adapt(self, x: np.ndarray, y: np.ndarray) -> NumpyPredictor:
        """Learn one task.

        Args:
            x: Inputs seen, ``(n, n_features)``; n may be 0.
            y: Their targets, ``(n,)``.

        Raises:
            ValueError: If the shapes don't fit, or a number is not finite.
        """
        x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
        if x.ndim != 2 or x.shape[1] != self.n_features or y.shape != (len(x),):
            raise ValueError(
                f"Inputs {x.shape} and targets {y.shape} given; expected (n, {self.n_features}) "
                "and (n,)."
            )
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise ValueError("Inputs or targets that are not finite given; leave these out.")
        return HEADS[self.head](self.tensors, x, y)


def read_learner(artifact: Artifact | str | os.PathLike[str]) -> ExportedLearner:
    """An exported learner from its file.

    Raises:
        ArtifactError: If the file is none of these, or not complete.
    """
    read = artifact if isinstance(artifact, Artifact) else read_artifact(artifact)
    said = read.description
    if said.get("kind") != KIND or said.get("head") not in HEADS:
        raise ArtifactError(
            f"An artifact of kind {said.get('kind')!r} with head {said.get('head')!r} given; "
            f"expected {KIND!r} with one of {sorted(HEADS)}, as metaopt.learners.export writes it."
        )
    tensors = {name: np.asarray(tensor, dtype=float) for name, tensor in read.tensors.items()}
    try:
        learner = ExportedLearner(said["head"], len(tensors["weight0"]), tensors)
        learner.adapt(np.zeros((1, learner.n_features)), np.zeros(1))(
            np.zeros((1, learner.n_features))
        )
    except (KeyError, ValueError, np.linalg.LinAlgError) as error:
        raise ArtifactError(
            f"The exported learner is not complete ({error!r}); export it anew."
        ) from error
    return learner


def _network(tensors: _Tensors, x: np.ndarray) -> np.ndarray:
    n_layers = sum(name.startswith("weight") for name in tensors)
    for i in range(n_layers):
        x = x @ tensors[f"weight{i}"] + tensors[f"bias{i}"]
        if i < n_layers - 1:
            x = np.maximum(x, 0.0)
    return x


def _ridge(tensors: _Tensors, x: np.ndarray, y: np.ndarray) -> NumpyPredictor:
    def features(x: np.ndarray) -> np.ndarray:
        return np.column_stack([_network(tensors, x), np.ones(len(x))])

    seen = features(x)
    ridge = np.exp(tensors["log_ridge"]) * np.eye(len(seen))
    head = seen.T @ np.linalg.solve(seen @ seen.T + ridge, y)

    def predict(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = tensors["scale"] * (features(x) @ head) + tensors["offset"]
        return mean, np.full(len(x), np.nan)

    return predict


def _bayesian_linear(tensors: _Tensors, x: np.ndarray, y: np.ndarray) -> NumpyPredictor:
    from scipy.linalg import cho_solve, solve_triangular

    noise = np.exp(tensors["log_noise"]) + _JITTER
    root = tensors["prior_root"]
    seen = _network(tensors, x)
    precision = root @ root.T + _JITTER * np.eye(len(root))
    factor = np.linalg.cholesky(precision + seen.T @ seen / noise)
    prior = precision @ tensors["prior_mean"][:, 0]
    head = cho_solve((factor, True), prior + seen.T @ y / noise)

    def predict(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        at = _network(tensors, x)
        spread = solve_triangular(factor, at.T, lower=True)
        return at @ head, (spread**2).sum(axis=0) + noise

    return predict


def _deep_kernel_gp(tensors: _Tensors, x: np.ndarray, y: np.ndarray) -> NumpyPredictor:
    from scipy.linalg import cho_solve, solve_triangular

    variance = np.exp(tensors["log_variance"])
    noise = np.exp(tensors["log_noise"]) + _JITTER

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(variance * np.exp(-0.5 * ((a[:, None] - b) ** 2).sum(axis=-1)))

    outputs = _network(tensors, x)
    mean, seen = outputs[:, -1], outputs[:, :-1]
    factor = np.linalg.cholesky(kernel(seen, seen) + noise * np.eye(len(x)))
    dual = cho_solve((factor, True), y - mean) if len(x) else y

    def predict(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        outputs = _network(tensors, x)
        across = kernel(seen, outputs[:, :-1])
        explained = solve_triangular(factor, across, lower=True) if len(seen) else across
        left = np.maximum(variance - (explained**2).sum(axis=0), 0.0)
        return outputs[:, -1] + across.T @ dual, left + noise

    return predict


HEADS: Final[Mapping[str, Callable[[_Tensors, np.ndarray, np.ndarray], NumpyPredictor]]] = {
    "ridge": _ridge,
    "bayesian linear": _bayesian_linear,
    "deep-kernel gp": _deep_kernel_gp,
}
