"""What a benchmark is asked to do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from metaopt.benchmarks.corruption import HONEST, VARIANTS
from metaopt.benchmarks.sources import POOLS, SOURCES

REFERENCE: Final = "tpe"  # without transfer; what every method is measured against
REFERENCE_GP: Final = "gp"
PRODUCT: Final = "warmstart"
OWN_PRODUCT: Final = "own5"  # the product with a user's own studies in place of an artifact
GUARDED: Final = ("tpe", "portfolio_tpe", "rgpe", "warmstart")
QUICK_METHODS: Final = ("random", "tpe", "portfolio_tpe", "nearest_tpe", "rgpe", "warmstart")
GP_CHECK: Final = ("gp", "own_gp")
OWN_STUDIES: Final = ("tpe", "cmaes5", OWN_PRODUCT)


@dataclass(frozen=True)
class BenchOptions:
    """What a benchmark is asked to do.

    Attributes:
        results: Directory of the results. What is found there already is not run again.
        data: Data directory; see ``data_directory``.
        sources: Names of sources; the tables' forests and pools, and the surrogates.
        methods: Names of methods; None for all that are known.
        variants: Keys of ``corruption.VARIANTS``.
        guarded: Methods that run in the variants that are not honest, if they run at all.
        n_trials: Of each study.
        n_seeds: Studies for each task.
        n_reference_seeds: The same for TPE; half of them also stand in for a method, to say how
            often chance alone loses a task.
        n_folds: Into which the families are split.
        folds: Which of them to test on; None for all.
        n_tasks: To test on, of each source and fold, the first ones; None for all.
        n_training_tasks: Likewise to train on.
        n_configurations: Random ones that make a surrogate's histories.
        n_jobs: Processes.
        plots: Whether to draw the curves.
    """

    results: Path = Path("bench-results")
    data: Path | None = None
    sources: Sequence[str] = (*SOURCES, *POOLS)
    methods: Sequence[str] | None = None
    variants: Sequence[str] = (HONEST,)
    guarded: Sequence[str] = GUARDED
    n_trials: int = 100
    n_seeds: int = 3
    n_reference_seeds: int = 6
    n_folds: int = 5
    folds: Sequence[int] | None = None
    n_tasks: int | None = None
    n_training_tasks: int | None = None
    n_configurations: int = 1000
    n_jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    plots: bool = True

    def __post_init__(self) -> None:
        for name in ("n_trials", "n_seeds", "n_folds", "n_configurations", "n_jobs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} given; expected at least 1.")
        if self.n_folds < 2:
            raise ValueError(f"n_folds={self.n_folds} given; expected at least 2.")
        unknown = [variant for variant in self.variants if variant not in VARIANTS]
        if unknown:
            raise ValueError(f"Variants {unknown} given; expected some of {list(VARIANTS)}.")

    @classmethod
    def quick(cls, *, results: Path, data: Path | None = None, n_jobs: int = 2) -> BenchOptions:
        """A look in two minutes on two cores: few tasks, trials and seeds, one fold, no pools."""
        return cls(
            results=results,
            data=data,
            sources=SOURCES,
            methods=QUICK_METHODS,
            n_trials=50,
            n_seeds=1,
            n_reference_seeds=2,
            folds=(0,),
            n_tasks=3,
            n_training_tasks=20,
            n_configurations=300,
            n_jobs=n_jobs,
        )

    @classmethod
    def gp_check(cls, *, results: Path, data: Path | None = None, n_jobs: int = 2) -> BenchOptions:
        """Whether RGPE's own Gaussian process follows Optuna's without sources."""
        return cls(
            results=results,
            data=data,
            sources=SOURCES,
            methods=("tpe", *GP_CHECK),
            n_trials=50,
            n_jobs=n_jobs,
        )

    @classmethod
    def own_studies(
        cls, *, results: Path, data: Path | None = None, n_jobs: int = 2
    ) -> BenchOptions:
        """What five studies of a user's own are worth, beside none and beside CMA-ES with them."""
        return cls(
            results=results,
            data=data,
            sources=SOURCES,
            methods=OWN_STUDIES,
            n_trials=50,
            n_seeds=2,
            n_reference_seeds=4,
            n_tasks=4,
            n_jobs=n_jobs,
        )
