"""What is asked of an evaluation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

#: Support points after which predictions are judged.
BUDGETS: Final = (0, 1, 2, 5, 10, 25)
#: Central intervals whose coverage is measured.
LEVELS: Final = (0.5, 0.8, 0.95)
#: Factors of the standard deviation among which a recalibration chooses.
FACTORS: Final = (0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0, 2.5)
#: Standard deviations of logarithmic regret among which the model of one variance chooses.
DEVIATIONS: Final = (0.15, 0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0)


@dataclass(frozen=True)
class EvaluationOptions:
    """How thoroughly to evaluate.

    Attributes:
        n_folds: Of families; each is judged by what the others have taught.
        n_folds_judged: Of these, from the first on, those that are judged.
        n_folds_varied: Of these, those on which the number of tasks and trials is varied and
            parts of the histories are left out.
        n_splits: Random support sets of each task and budget.
        most_tasks: Tasks of a fold that are judged at most.
        sizes: Numbers of training tasks to learn from, besides all.
        lengths: Numbers of trials of each training task to learn from, besides all.
        seed: Of all random choices.

    Raises:
        ValueError: If there are too few folds to leave one out, or nothing would be judged.
    """

    n_folds: int = 5
    n_folds_judged: int = 5
    n_folds_varied: int = 2
    n_splits: int = 3
    most_tasks: int = 30
    sizes: tuple[int, ...] = (5, 10, 20, 40)
    lengths: tuple[int, ...] = (10, 25, 50, 100, 200)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_folds < 2:
            raise ValueError(f"folds={self.n_folds} given; expected 2 or more.")
        if min(self.n_folds_judged, self.n_splits, self.most_tasks) < 1:
            raise ValueError(
                f"{self.n_folds_judged} folds to judge with {self.n_splits} splits of "
                f"{self.most_tasks} tasks given; expected at least one of each."
            )

    @classmethod
    def quick(cls, *, n_folds: int = 5, seed: int = 0) -> EvaluationOptions:
        """A look in about a minute for each estimator."""
        return cls(
            n_folds=n_folds,
            n_folds_judged=2,
            n_folds_varied=1,
            n_splits=1,
            most_tasks=12,
            sizes=(10,),
            lengths=(25,),
            seed=seed,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}
