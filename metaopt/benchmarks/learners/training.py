"""How every learner of the benchmark is meta-trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metaopt.episodes.distribution import TaskDistribution
from metaopt.learners import Fit, Learner, meta_fit


@dataclass(frozen=True)
class Training:
    """What all trainings have in common.

    Attributes:
        seed: Of all random choices.
        share: Of the outer steps; less than 1 for a quick look.
        device: Where to train.
        checkpoint: File that a training which was stopped goes on from.
    """

    seed: int = 0
    share: float = 1.0
    device: str = "cpu"
    checkpoint: Path | None = None

    def steps(self, n_steps: int) -> int:
        """The outer steps to take in place of ``n_steps``."""
        return max(1, round(self.share * n_steps))

    def fit(
        self, learner: Learner, distribution: TaskDistribution, *, n_steps: int, **settings: Any
    ) -> Fit:
        """``meta_fit`` with the share of ``n_steps``; the meta-parameters are on the CPU."""
        fit = meta_fit(
            learner,
            distribution,
            n_steps=self.steps(n_steps),
            seed=self.seed,
            device=self.device,
            checkpoint=self.checkpoint,
            checkpoint_every=200,
            **settings,
        )
        return Fit({name: p.cpu() for name, p in fit.theta.items()}, fit.losses)


def to_zero(progress: float) -> float:
    """A learning rate that falls linearly to 0."""
    return 1.0 - progress
