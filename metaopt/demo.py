"""The demonstration: one estimator on one bundled data set, with and without a warm start.

A support vector machine is tuned, because it is quick to fit and useless with bad settings, on
the ranges of Hsu, Chang and Lin's "A Practical Guide to Support Vector Classification". By default
the data are the two largest classification sets that come with scikit-learn, so that scores are
least noisy. Both choices have these reasons; none was made by looking at results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna

from metaopt.demo_progress import DemoProgress

DATASETS: Final = ("digits", "breast_cancer", "wine")
DEFAULT_DATASETS: Final = ("digits", "breast_cancer")
ESTIMATOR: Final = "sklearn.svm.SVC"
SAMPLERS: Final = ("WarmStartSampler", "TPESampler")
AT: Final = (1, 3, 5, 10, 20)
_N_FOLDS: Final = 3


@dataclass(frozen=True)
class DemoOptions:
    """What to demonstrate.

    Attributes:
        dataset: One of ``DATASETS``.
        n_seeds: Studies of each sampler.
        n_trials: Of each study.
        directory: Where to write the picture.
    """

    dataset: str = DEFAULT_DATASETS[0]
    n_seeds: int = 5
    n_trials: int = 20
    directory: Path = Path()

    @property
    def plot(self) -> Path:
        """The picture's file."""
        return self.directory / f"demo-{self.dataset}.png"

    def __post_init__(self) -> None:
        if self.dataset not in DATASETS:
            raise ValueError(f"dataset={self.dataset!r} given; expected one of {list(DATASETS)}.")
        for name in ("n_seeds", "n_trials"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} given; expected at least 1.")


@dataclass(frozen=True)
class DemoReport:
    """What the demonstration showed.

    Attributes:
        options: What was asked for.
        best: For each of ``SAMPLERS`` the best score so far, ``(n_seeds, n_trials)``.
        proposed: Share of the warm-started trials that the meta-learner proposed.
        excluded: Names of the training tasks that were left out as too similar to the data.
    """

    options: DemoOptions
    best: Mapping[str, np.ndarray]
    proposed: float
    excluded: Sequence[str]

    def scores(self) -> dict[str, dict[int, float]]:
        """Mean best score of each sampler after some numbers of trials."""
        return {
            name: {at: float(best[:, at - 1].mean()) for at in AT if at <= self.options.n_trials}
            for name, best in self.best.items()
        }

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "dataset": self.options.dataset,
            "estimator": ESTIMATOR,
            "n_seeds": self.options.n_seeds,
            "n_trials": self.options.n_trials,
            "mean_best_accuracy": {
                name: {str(at): score for at, score in scores.items()}
                for name, scores in self.scores().items()
            },
            "best_accuracy": {name: best.tolist() for name, best in self.best.items()},
            "proposed": self.proposed,
            "excluded": list(self.excluded),
            "plot": str(self.options.plot),
        }


def run_demo(options: DemoOptions, progress: DemoProgress | None = None) -> DemoReport:
    """Tune with both samplers, seed by seed, and draw the picture.

    Args:
        options: What to demonstrate.
        progress: Told of every trial; by default shown on standard error.
    """
    from warmstart.descriptor import describe
    from warmstart.explanation import explain
    from warmstart.sampler import WarmStartSampler

    X, y = _load(options.dataset)
    task = describe(X, y)
    best = {name: np.empty((options.n_seeds, options.n_trials)) for name in SAMPLERS}
    proposed, excluded = [], []
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with progress or DemoProgress(SAMPLERS, options.n_seeds, options.n_trials) as shown:
            for seed in range(options.n_seeds):
                warm = WarmStartSampler(
                    estimator=ESTIMATOR,
                    task=task,
                    metric="accuracy",
                    exclude="similar",
                    seed=seed,
                )
                study = _tune(X, y, warm, options.n_trials, shown, SAMPLERS[0])
                best[SAMPLERS[0]][seed] = _best_so_far(study)
                proposed.append(explain(study).attrs["meta_learner_share"])
                excluded = [source.name or source.id for source in warm.excluded_tasks()]
                tpe = optuna.samplers.TPESampler(seed=seed)
                study = _tune(X, y, tpe, options.n_trials, shown, SAMPLERS[1])
                best[SAMPLERS[1]][seed] = _best_so_far(study)
    finally:
        optuna.logging.set_verbosity(verbosity)
    report = DemoReport(options, best, float(np.mean(proposed)), excluded)
    _plot(report)
    return report


def report_text(report: DemoReport) -> str:
    """The table, and what has to be said beside it."""
    options = report.options
    scores = report.scores()
    numbers = list(next(iter(scores.values())))
    width = max(map(len, scores))
    lines = [
        f"{ESTIMATOR} on {options.dataset}: mean best accuracy ({_N_FOLDS}-fold cross-validation) "
        f"over {options.n_seeds} seeds",
        "after trial".ljust(width) + "".join(f"{at:>9}" for at in numbers),
    ]
    for name, by_number in scores.items():
        cells = "".join(f"{by_number[at]:>9.4f}" for at in numbers)
        lines.append(name.ljust(width) + cells)
    lines.append(f"The meta-learner proposed {report.proposed:.0%} of WarmStartSampler's trials.")
    if report.excluded:
        n = len(report.excluded)
        lines.append(
            f"Left out as too similar to {options.dataset}: {n} of the training tasks "
            f"({', '.join(report.excluded)})."
        )
    else:
        lines.append(
            f"No training task of this estimator looks like {options.dataset}: none was left out."
        )
    lines.append(f"The curves: {options.plot}")
    return "\n".join(lines)


def _load(dataset: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn import datasets

    X, y = getattr(datasets, f"load_{dataset}")(return_X_y=True)
    return X, y


def _tune(
    X: np.ndarray,
    y: np.ndarray,
    sampler: optuna.samplers.BaseSampler,
    n_trials: int,
    progress: DemoProgress,
    name: str,
) -> optuna.Study:
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    pipeline = Pipeline([("scale", StandardScaler()), ("svc", SVC())])
    folds = StratifiedKFold(_N_FOLDS, shuffle=True, random_state=0)

    def objective(trial: optuna.Trial) -> float:
        settings: dict[str, Any] = {
            "svc__kernel": trial.suggest_categorical("svc__kernel", ["rbf", "poly", "sigmoid"]),
            "svc__C": trial.suggest_float("svc__C", 2**-5, 2**15, log=True),
            "svc__gamma": trial.suggest_float("svc__gamma", 2**-15, 2**3, log=True),
        }
        if settings["svc__kernel"] == "poly":
            settings["svc__degree"] = trial.suggest_int("svc__degree", 2, 5)
        model = pipeline.set_params(**settings)
        return float(cross_val_score(model, X, y, cv=folds, scoring="accuracy").mean())

    study = optuna.create_study(direction="maximize", sampler=sampler)
    with progress.study(name):
        study.optimize(
            objective,
            n_trials,
            callbacks=[lambda study, _: progress.trial(name, study.best_value)],
        )
    return study


def _best_so_far(study: optuna.Study) -> np.ndarray:
    scores = np.array([trial.value for trial in study.trials], dtype=float)
    return np.asarray(np.maximum.accumulate(scores))


def _plot(report: DemoReport) -> None:
    # The object interface draws without a display and leaves pyplot's state alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    options = report.options
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    trials = np.arange(1, options.n_trials + 1)
    for name, colour in zip(SAMPLERS, ("black", "tab:orange"), strict=True):
        error = 1.0 - report.best[name]
        axes.plot(trials, error.mean(axis=0), color=colour, marker=".", label=name)
        axes.fill_between(
            trials, error.min(axis=0), error.max(axis=0), color=colour, alpha=0.12, linewidth=0
        )
    # Errors span from near chance to a per cent; only a logarithm shows both ends.
    axes.set_yscale("log", nonpositive="clip")
    axes.set(
        xlabel="trials",
        ylabel="lowest error so far (1 − accuracy)",
        title=f"{ESTIMATOR} on {options.dataset}: mean and range of {options.n_seeds} seeds",
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=True, alpha=0.3)
    axes.legend(loc="upper right")
    options.directory.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.plot, dpi=120)
