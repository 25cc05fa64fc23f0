"""What is learned from parts of the histories, in memory, as training would write it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from metaopt.training.aligning import aligned_for_learning
from metaopt.training.calibrating import learn_calibration
from metaopt.training.figures import in_memory
from metaopt.training.trainer import SETTINGS
from warmstart.artifact import Artifact
from warmstart.history import History
from warmstart.learning import learn_prior
from warmstart.threads import one_thread


def learn(estimator: str, histories: Sequence[History], *, seed: int) -> Artifact | None:
    """The artifact that training on these histories would write; ``None`` if they say nothing.

    Args:
        estimator: Of the histories.
        histories: Chosen as training chooses them.
        seed: Of the learning.
    """
    space, aligned, _ = aligned_for_learning(estimator, histories)
    if space is None or not any(history.is_informative for history in aligned):
        return None
    with one_thread():
        prior = learn_prior(estimator, space, aligned, seed=seed, progress=None, **SETTINGS)
        calibration = learn_calibration(prior, aligned, seed=seed)
    return in_memory(replace(prior, calibration=calibration))


def comparing_by(artifact: Artifact, names: Sequence[str]) -> Artifact:
    """The artifact, tasks compared by other meta-features than were learned."""
    description: dict[str, Any] = json.loads(json.dumps(artifact.description))
    for prior in description["estimators"].values():
        prior["descriptor_names"] = list(names)
    return Artifact(description, artifact.tensors, artifact.digest)
