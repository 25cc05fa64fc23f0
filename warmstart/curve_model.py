"""What was learned from learning curves: when a trial is stopped.

A small network tells trials that will end below the incumbent from others. What it says is
compared with a threshold that depends on how much is done. Both are learned by
``metaopt train curves``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from warmstart.artifact import Artifact, read_artifact
from warmstart.curves import FEATURES, Curve, StudyCurves
from warmstart.errors import ArtifactError

KIND: Final = "learning-curves"
SHIPPED: Final = Path(__file__).parent / "artifacts" / "curves.safetensors"

# Curves of the study itself that the model is tried on before it is trusted, the latest ones.
_MOST_TRIED: Final = 6
_TRIED_AT: Final = (0.1, 0.3, 0.6)
_LARGEST_ERROR: Final = 0.5


@dataclass(frozen=True)
class CurveModel:
    """A network over ``FEATURES`` and the thresholds of its output.

    Attributes:
        mean: Of the features, ``(n_features,)``.
        deviation: Of the features.
        lowest: Of the features in training; what lies far outside is like nothing seen.
        highest: Likewise.
        weights: Of each layer, ``(n_in, n_out)``; tanh between them.
        biases: Of each layer, ``(n_out,)``.
        shares: Shares of the steps done, increasing, ``(k,)``.
        thresholds: A curve whose output lies below is stopped, ``(k,)``, linear between.
    """

    mean: np.ndarray
    deviation: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    weights: Sequence[np.ndarray]
    biases: Sequence[np.ndarray]
    shares: np.ndarray
    thresholds: np.ndarray

    def logit(self, features: np.ndarray) -> np.ndarray:
        """The log odds that curves end below the incumbent, if every second one did.

        Args:
            features: ``(..., n_features)``.

        Returns:
            ``(...)``.
        """
        hidden = (features - self.mean) / self.deviation
        for weights, biases in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = np.tanh(hidden @ weights + biases)
        return np.asarray((hidden @ self.weights[-1] + self.biases[-1])[..., 0])

    def knows(self, features: np.ndarray) -> bool:
        """Whether features ``(n_features,)`` lie where there were some in training."""
        margin = 0.1 * (self.highest - self.lowest)
        inside = (features >= self.lowest - margin) & (features <= self.highest + margin)
        return bool(inside.all())

    def stops(self, features: np.ndarray, *, leniency: float = 0.0) -> bool:
        """Whether a curve with these features is hopeless; leniency lowers the thresholds."""
        threshold = float(np.interp(features[0], self.shares, self.thresholds))
        return bool(self.logit(features) < threshold - leniency)

    def misleads(self, curves: Sequence[Curve]) -> bool:
        """Whether it would have stopped more than half of those that ended below another.

        Args:
            curves: Finished ones of one study, in the order in which they finished.
        """
        tried = curves[-_MOST_TRIED:]
        n_better = n_stopped = 0
        for other in tried:
            others = StudyCurves([other])
            for curve in tried:
                if curve.losses[-1] < other.losses[-1]:
                    n_better += 1
                    n_stopped += self._would_stop(curve, others)
        return n_better > 1 and n_stopped > _LARGEST_ERROR * n_better

    def _would_stop(self, curve: Curve, others: StudyCurves) -> bool:
        for share in _TRIED_AT:
            n_reports = int(share * len(curve.losses))
            features = others.features(curve.until(n_reports)) if n_reports else None
            if features is not None and self.knows(features) and self.stops(features):
                return True
        return False


def pack_curve_model(
    model: CurveModel, card: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and description for ``write_artifact``."""
    tensors = {
        name: getattr(model, name).astype(np.float32)
        for name in ("mean", "deviation", "lowest", "highest", "shares", "thresholds")
    }
    for layer, (weights, biases) in enumerate(zip(model.weights, model.biases, strict=True)):
        tensors[f"weights{layer}"] = weights.astype(np.float32)
        tensors[f"biases{layer}"] = biases.astype(np.float32)
    return tensors, {"kind": KIND, "card": dict(card), "features": list(FEATURES)}


def unpack_curve_model(artifact: Artifact) -> CurveModel:
    """The model of an artifact.

    Raises:
        ArtifactError: If it holds none, or one of other features.
    """
    description = artifact.description
    if description.get("kind") != KIND or description.get("features") != list(FEATURES):
        raise ArtifactError(
            f"An artifact of kind {description.get('kind')!r} given; expected {KIND!r} with the "
            "features of this version: make it anew with 'metaopt train curves'."
        )
    tensors = {name: np.asarray(t, dtype=float) for name, t in artifact.tensors.items()}
    layers = range(sum(name.startswith("weights") for name in tensors))
    try:
        model = CurveModel(
            mean=tensors["mean"],
            deviation=tensors["deviation"],
            lowest=tensors["lowest"],
            highest=tensors["highest"],
            weights=[tensors[f"weights{layer}"] for layer in layers],
            biases=[tensors[f"biases{layer}"] for layer in layers],
            shares=tensors["shares"],
            thresholds=tensors["thresholds"],
        )
        output = model.logit(np.zeros((1, len(FEATURES))))
    except (KeyError, ValueError, IndexError) as error:
        raise ArtifactError(
            f"The artifact's model of learning curves is not complete ({error!r}); make it anew "
            "with 'metaopt train curves'."
        ) from error
    if output.shape != (1,) or not np.isfinite(output).all():
        raise ArtifactError(
            "The artifact's model of learning curves has no finite output; make it anew with "
            "'metaopt train curves'."
        )
    return model


@lru_cache(maxsize=1)
def shipped_curve_model() -> CurveModel:
    """The model that comes with the package."""
    return unpack_curve_model(read_artifact(SHIPPED))
