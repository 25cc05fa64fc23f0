"""What a benchmark on real fits is asked to do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

HISTORIES: Final = Path(__file__).parents[2] / "histories"
PRODUCT: Final = "warmstart"
REFERENCE: Final = "tpe"
DEFAULT: Final = "default"
ZERO_SHOT: Final = "flaml"
TUNER: Final = "lightgbm_tuner"
OWN_TUNER: Final = "lightgbm_tune"
#: Those whose early stopping sees the folds, so that their scores there are not comparable.
TUNERS: Final = (TUNER, OWN_TUNER)
BUDGETS: Final = (1, 3, 5, 10, 20, 40)


@dataclass(frozen=True)
class LiveOptions:
    """What a benchmark on real fits is asked to do.

    Attributes:
        results: Directory of the results. What is found there already is not run again.
        stores: History stores that the artifacts are trained on.
        estimators: Names, as ``resolve_estimator`` takes them; empty for all that the stores
            have histories of.
        methods: Names of methods; None for all that are known.
        n_data: Data sets of each kind at most, drawn by their names, a family at a time; None
            for all.
        n_trials: Of each study.
        n_seeds: Test splits of each data set, each with studies of its own.
        n_folds: Of the cross-validation.
        n_family_folds: Into which the families are split.
        max_rows: Most rows to tune on; all that is in the test split is kept.
        max_trees: Most trees or rounds of boosting to tune up to; None for what the spaces say.
        fit_seconds: Processor time after which a fit in a study is killed, and the trial fails.
        n_jobs: Processes.
        plots: Whether to draw the curves.
    """

    results: Path = Path("bench-results/live")
    stores: Sequence[Path] = (HISTORIES,)
    estimators: Sequence[str] = ()
    methods: Sequence[str] | None = None
    n_data: int | None = None
    n_trials: int = BUDGETS[-1]
    n_seeds: int = 3
    n_folds: int = 3
    n_family_folds: int = 5
    max_rows: int = 1500
    max_trees: int | None = None
    fit_seconds: float = 10.0
    n_jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    plots: bool = True

    def __post_init__(self) -> None:
        least = {"n_trials": 1, "n_seeds": 1, "n_folds": 2, "n_family_folds": 2, "max_rows": 10}
        for name, low in {**least, "n_jobs": 1}.items():
            if getattr(self, name) < low:
                raise ValueError(f"{name}={getattr(self, name)} given; expected at least {low}.")

    @property
    def budgets(self) -> list[int]:
        """Numbers of trials that are reported, the last of them all."""
        return sorted({*(at for at in BUDGETS if at < self.n_trials), self.n_trials})

    @staticmethod
    def quick_settings() -> dict[str, Any]:
        """What makes it a look in two minutes on two cores."""
        return {
            "estimators": ("LGBMClassifier", "LGBMRegressor"),
            "methods": (PRODUCT, REFERENCE, "random", DEFAULT, ZERO_SHOT, *TUNERS),
            "n_trials": 20,
            "n_seeds": 1,
            "max_rows": 300,
            "max_trees": 100,
        }
