"""The demonstration: LightGBM on one bundled data set, tuned with and without a warm start.

What is tuned, and in which ranges, is what ``warmstart.search_spaces`` says that people tune, but
for the number of trees, which stays at the library's. Classifiers are judged by log loss, which
tells them apart where all are right on almost every row. By default the data are the largest
classification and the largest regression of scikit-learn's for which three minutes are enough.
These choices have these reasons; none was made by looking at results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna

from metaopt.benchmarks.runs import suggest_configuration
from metaopt.demo_progress import DemoProgress
from warmstart.descriptor import TaskDescriptor
from warmstart.errors import MissingDependencyError
from warmstart.space import SearchSpace, Value

DATASETS: Final = ("breast_cancer", "diabetes", "digits", "wine")
DEFAULT_DATASETS: Final = ("breast_cancer", "diabetes")
SAMPLERS: Final = ("WarmStartSampler", "TPESampler")
AT: Final = (1, 3, 5, 10, 20)
#: As many as the library makes where nothing is said.
N_TREES: Final = 100
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
    def estimator(self) -> str:
        """What is tuned."""
        return f"lightgbm.LGBM{'Regressor' if self._is_regression else 'Classifier'}"

    @property
    def metric(self) -> str:
        """The loss, by the name that histories know."""
        return "root_mean_squared_error" if self._is_regression else "log_loss"

    @property
    def _is_regression(self) -> bool:
        return self.dataset == "diabetes"

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
        best: For each of ``SAMPLERS`` the lowest loss so far, ``(n_seeds, n_trials)``.
        default: The loss of the library's defaults.
        proposed: Share of the warm-started trials that the meta-learner proposed.
        excluded: Names of the training tasks that were left out as too similar to the data.
    """

    options: DemoOptions
    best: Mapping[str, np.ndarray]
    default: float
    proposed: float
    excluded: Sequence[str]

    def losses(self) -> dict[str, dict[int, float]]:
        """Mean lowest loss of each sampler after some numbers of trials."""
        return {
            name: {at: float(best[:, at - 1].mean()) for at in AT if at <= self.options.n_trials}
            for name, best in self.best.items()
        }

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "dataset": self.options.dataset,
            "estimator": self.options.estimator,
            "metric": self.options.metric,
            "n_seeds": self.options.n_seeds,
            "n_trials": self.options.n_trials,
            "default_loss": self.default,
            "mean_lowest_loss": {
                name: {str(at): loss for at, loss in losses.items()}
                for name, losses in self.losses().items()
            },
            "lowest_loss": {name: best.tolist() for name, best in self.best.items()},
            "proposed": self.proposed,
            "excluded": list(self.excluded),
            "plot": str(self.options.plot),
        }


def run_demo(options: DemoOptions, progress: DemoProgress | None = None) -> DemoReport:
    """Tune with both samplers, seed by seed, and draw the picture.

    Args:
        options: What to demonstrate.
        progress: Told of every trial; by default shown on standard error.

    Raises:
        MissingDependencyError: If LightGBM is not installed.
    """
    from warmstart.descriptor import describe
    from warmstart.explanation import explain
    from warmstart.sampler import WarmStartSampler

    X, y = _load(options.dataset)
    loss = _loss(options, X, y)
    default = loss({})
    task = describe(X, y)
    space = _space(options, task)
    best = {name: np.empty((options.n_seeds, options.n_trials)) for name in SAMPLERS}
    proposed, excluded = [], []
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with progress or DemoProgress(SAMPLERS, options.n_seeds, options.n_trials) as shown:
            for seed in range(options.n_seeds):
                warm = WarmStartSampler(
                    estimator=options.estimator,
                    task=task,
                    metric=options.metric,
                    exclude="similar",
                    seed=seed,
                )
                study = _tune(loss, space, warm, options.n_trials, shown, SAMPLERS[0])
                best[SAMPLERS[0]][seed] = _best_so_far(study)
                proposed.append(explain(study).attrs["meta_learner_share"])
                excluded = [source.name or source.id for source in warm.excluded_tasks()]
                tpe = optuna.samplers.TPESampler(seed=seed)
                study = _tune(loss, space, tpe, options.n_trials, shown, SAMPLERS[1])
                best[SAMPLERS[1]][seed] = _best_so_far(study)
    finally:
        optuna.logging.set_verbosity(verbosity)
    report = DemoReport(options, best, default, float(np.mean(proposed)), excluded)
    _plot(report)
    return report


def report_text(report: DemoReport) -> str:
    """The table, and what has to be said beside it."""
    options = report.options
    losses = report.losses()
    numbers = list(next(iter(losses.values())))
    width = max(map(len, losses))
    lines = [
        f"{options.estimator} on {options.dataset}: mean lowest {_words(options.metric)} "
        f"({_N_FOLDS}-fold cross-validation) over {options.n_seeds} seeds",
        "after trial".ljust(width) + "".join(f"{at:>9}" for at in numbers),
    ]
    for name, by_number in losses.items():
        cells = "".join(f"{by_number[at]:>9.4f}" for at in numbers)
        lines.append(name.ljust(width) + cells)
    lines.append(f"The library's defaults: {report.default:.4f}.")
    lines.append(f"The meta-learner proposed {report.proposed:.0%} of WarmStartSampler's trials.")
    if report.excluded:
        n = len(report.excluded)
        lines.append(
            f"Left out as too similar to {options.dataset}: {n} of the training tasks "
            f"({', '.join(report.excluded)}). What all tasks share was learned with them; "
            "'metaopt bench live' trains without."
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


def _loss(
    options: DemoOptions, X: np.ndarray, y: np.ndarray
) -> Callable[[Mapping[str, Value]], float]:
    """The cross-validated loss of a configuration."""
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score

    try:
        import lightgbm
    except ImportError as error:
        raise MissingDependencyError(
            'The demonstration tunes LightGBM, which is not installed: pip install "warmstart'
            '[lightgbm]"'
        ) from error
    model = getattr(lightgbm, options.estimator.rpartition(".")[2])
    splitter = KFold if options.metric == "root_mean_squared_error" else StratifiedKFold
    folds = splitter(_N_FOLDS, shuffle=True, random_state=0)

    def loss(configuration: Mapping[str, Value]) -> float:
        fitted = model(**configuration, n_jobs=1, random_state=0, verbose=-1)
        scores = cross_val_score(fitted, X, y, cv=folds, scoring=f"neg_{options.metric}")
        return float(-scores.mean())

    return loss


def _space(options: DemoOptions, task: TaskDescriptor) -> SearchSpace:
    from warmstart.search_spaces import search_space

    return search_space(options.estimator, task=task, fixed={"n_estimators": N_TREES})


def _tune(
    loss: Callable[[Mapping[str, Value]], float],
    space: SearchSpace,
    sampler: optuna.samplers.BaseSampler,
    n_trials: int,
    progress: DemoProgress,
    name: str,
) -> optuna.Study:
    study = optuna.create_study(direction="minimize", sampler=sampler)
    with progress.study(name):
        study.optimize(
            lambda trial: loss(suggest_configuration(trial, space)),
            n_trials,
            callbacks=[lambda study, _: progress.trial(name, study.best_value)],
        )
    return study


def _best_so_far(study: optuna.Study) -> np.ndarray:
    losses = np.array([trial.value for trial in study.trials], dtype=float)
    return np.asarray(np.minimum.accumulate(losses))


def _words(metric: str) -> str:
    return metric.replace("_", " ")


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
        best = report.best[name]
        axes.plot(trials, best.mean(axis=0), color=colour, marker=".", label=name)
        axes.fill_between(
            trials, best.min(axis=0), best.max(axis=0), color=colour, alpha=0.12, linewidth=0
        )
    axes.axhline(report.default, color="grey", linestyle=":", label="the library's defaults")
    # The first trials may be far off; only a logarithm shows both ends.
    axes.set_yscale("log")
    for write in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        write("{x:g}")  # plain numbers, not powers of ten
    axes.set(
        xlabel="trials",
        ylabel=f"lowest {_words(options.metric)} so far",
        title=f"{options.estimator} on {options.dataset}: mean and range of "
        f"{options.n_seeds} seeds",
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=True, alpha=0.3)
    axes.legend(loc="upper right")
    options.directory.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.plot, dpi=120)
