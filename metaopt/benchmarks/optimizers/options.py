"""What an optimizer benchmark is asked to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

TIERS: Final = ("seeds", "data", "architectures", "scale")
SHARES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class OptimizerBenchOptions:
    """All that decides which trainings are run.

    Attributes:
        results: Directory; what it has is not run again.
        rivals: Names; empty: all.
        tiers: Of tasks.
        n_tasks: Most tasks of a tier; None: all.
        n_seeds: Trainings of each task, arm and horizon.
        n_settings: Settings of which one is chosen for all tasks, and trials per task.
        n_training_tasks: Meta-training tasks on which that one is chosen.
        horizon: Steps of a full training; five times as many for long tasks.
        shares: Of the horizon, at which every arm is run anew.
        device: Where models are trained.
        n_jobs: Processes.
        weights: An artifact of the learned optimizer; None: the shipped one.
    """

    results: Path
    rivals: Sequence[str] = ()
    tiers: Sequence[str] = TIERS
    n_tasks: int | None = None
    n_seeds: int = 10
    n_settings: int = 24
    n_training_tasks: int = 24
    horizon: int = 400
    shares: Sequence[float] = SHARES
    device: str = "cpu"
    n_jobs: int = 1
    weights: Path | None = None

    def __post_init__(self) -> None:
        unknown = sorted({*self.tiers} - {*TIERS})
        if unknown:
            raise ValueError(f"tier {unknown[0]!r} given; expected one of {', '.join(TIERS)}.")
        if not self.shares or max(self.shares) != 1.0 or min(self.shares) <= 0.0:
            raise ValueError(
                f"shares={tuple(self.shares)} given; expected numbers above 0, the largest 1."
            )

    @classmethod
    def quick(cls, **changes: Any) -> OptimizerBenchOptions:
        """A look in less than a minute: one rival, few tasks, short trainings."""
        return cls(
            **{
                "rivals": ("adamw-cosine",),
                "tiers": ("seeds", "data"),
                "n_tasks": 1,
                "n_seeds": 2,
                "n_settings": 3,
                "n_training_tasks": 1,
                "horizon": 20,
                "shares": (0.5, 1.0),
                **changes,
            }
        )
