"""Pruners compared on LCBench's learning curves: final regret, and the epochs that it cost.

All pruners serve the same sampler with the same seeds. ``WarmStartPruner`` is trained anew for
each fold of families, without the families that it is tested on. What has run is kept, and not
run again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from metaopt.benchmarks.families import fold_of
from metaopt.benchmarks.learning_curves import N_EPOCHS, CurveTask
from metaopt.training.learning_curves import moments_of, train_curves
from warmstart.pruner import WarmStartPruner
from warmstart.sampler import WarmStartSampler
from warmstart.space import Categorical, Integer, SearchSpace

PRODUCT: Final = "warmstart"
REFERENCE: Final = "median"
N_REFERENCE: Final = 4000  # random configurations that fix the scale of regret

MakePruner = Callable[[Path], BasePruner]  # from the artifact of the fold

PRUNERS: Final[Mapping[str, MakePruner]] = {
    "none": lambda artifact: optuna.pruners.NopPruner(),
    "median": lambda artifact: optuna.pruners.MedianPruner(),
    "hyperband": lambda artifact: optuna.pruners.HyperbandPruner(max_resource=N_EPOCHS),
    "halving": lambda artifact: optuna.pruners.SuccessiveHalvingPruner(),
    "warmstart": lambda artifact: WarmStartPruner(artifact=artifact),
}
SAMPLERS: Final[Mapping[str, Callable[[int, CurveTask], BaseSampler]]] = {
    "tpe": lambda seed, task: optuna.samplers.TPESampler(seed=seed),
    # The shipped artifact's shared parameters keep a trace of the task that is excluded.
    "warmstart": lambda seed, task: WarmStartSampler(
        estimator="lcbench.funnel_mlp", exclude=[task.task], seed=seed
    ),
}


@dataclass(frozen=True)
class StudyResult:
    """One study.

    Attributes:
        pruner: Its name.
        sampler: Its name.
        task: Its id.
        family: Of the task.
        seed: Of the sampler.
        epochs: Of all trials up to each one, ``(n_trials,)``.
        regrets: Of the best finished trial up to each one; 1 before the first.
    """

    pruner: str
    sampler: str
    task: str
    family: str
    seed: int
    epochs: tuple[int, ...]
    regrets: tuple[float, ...]

    def regret_at(self, n_epochs: float) -> float:
        """The regret when so many epochs were spent."""
        within = [r for e, r in zip(self.epochs, self.regrets, strict=True) if e <= n_epochs]
        return within[-1] if within else 1.0


def run_study(
    task: CurveTask,
    sampler: BaseSampler,
    pruner: BasePruner,
    *,
    n_trials: int,
    scale: tuple[float, float],
) -> tuple[list[int], list[float]]:
    """Epochs and regrets after each trial of a study that minimises the classification error.

    Args:
        task: What is tuned.
        sampler: Proposes.
        pruner: Stops.
        n_trials: In all.
        scale: The losses at regret 0 and 1.
    """
    distributions = _distributions(task.space)
    study = optuna.create_study(sampler=sampler, pruner=pruner)
    n_epochs, lowest = 0, np.inf
    epochs, regrets = [], []
    for _ in range(n_trials):
        trial = study.ask(distributions)
        for epoch in range(1, N_EPOCHS + 1):
            n_epochs += 1
            loss = float(task.losses([trial.params], epoch)[0, 0])
            trial.report(loss, epoch)
            if trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                break
        else:
            study.tell(trial, loss)
            lowest = min(lowest, loss)
        best, worst = scale
        regrets.append(float(np.clip((lowest - best) / (worst - best), 0.0, 1.0)))
        epochs.append(n_epochs)
    return epochs, regrets


def _distributions(space: SearchSpace) -> dict[str, optuna.distributions.BaseDistribution]:
    made: dict[str, optuna.distributions.BaseDistribution] = {}
    for name, parameter in space.parameters.items():
        if isinstance(parameter, Categorical):
            made[name] = optuna.distributions.CategoricalDistribution(parameter.choices)
        elif isinstance(parameter, Integer):
            made[name] = optuna.distributions.IntDistribution(
                int(parameter.low), int(parameter.high), log=parameter.log
            )
        else:
            made[name] = optuna.distributions.FloatDistribution(
                parameter.low, parameter.high, log=parameter.log
            )
    return made


class Results:
    """Finished studies in a file of lines of JSON, one each."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / "studies.jsonl"
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        self._known = {}
        for line in lines:
            fields = json.loads(line)
            fields |= {name: tuple(fields[name]) for name in ("epochs", "regrets")}
            result = StudyResult(**fields)
            self._known[self.key(result)] = result

    @staticmethod
    def key(result: StudyResult) -> tuple[str, str, str, int, int]:
        """What makes a study the same."""
        return (
            result.pruner,
            result.sampler,
            result.task,
            result.seed,
            len(result.epochs),
        )

    def get(self, key: tuple[str, str, str, int, int]) -> StudyResult | None:
        """The study, if it has finished."""
        return self._known.get(key)

    def add(self, result: StudyResult) -> None:
        """Keep a study."""
        self._known[self.key(result)] = result
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(result)) + "\n")


def run_benchmark(
    tasks: Sequence[CurveTask],
    directory: Path,
    *,
    pruners: Sequence[str] = tuple(PRUNERS),
    samplers: Sequence[str] = ("tpe",),
    n_trials: int = 50,
    n_seeds: int = 3,
    n_folds: int = 5,
    artifacts: Mapping[int, Path] | None = None,
    report: Callable[[StudyResult], None] | None = None,
) -> list[StudyResult]:
    """Run the studies that have no result yet; returns all that were asked for.

    Args:
        tasks: To tune; the other folds of them are trained on.
        directory: Of results and trained artifacts.
        pruners: Of ``PRUNERS``.
        samplers: Of ``SAMPLERS``.
        n_trials: Of each study.
        n_seeds: Studies of each task.
        n_folds: Of families.
        artifacts: Of each fold, in place of those trained here.
        report: Told of each new study.
    """
    unknown = sorted({*pruners} - {*PRUNERS} | {*samplers} - {*SAMPLERS})
    if unknown:
        raise ValueError(
            f"{unknown} given; expected pruners of {list(PRUNERS)}, samplers of {list(SAMPLERS)}."
        )
    kept = Results(directory)
    folds = {task.task: fold_of(task.family, n_folds=n_folds) for task in tasks}
    if artifacts is None:
        artifacts = _trained(tasks, folds, directory) if PRODUCT in pruners else {}
    results = []
    for seed in range(n_seeds):
        for task in tasks:
            scale: tuple[float, float] | None = None
            for sampler in samplers:
                for pruner in pruners:
                    key = (pruner, sampler, task.task, seed, n_trials)
                    result = kept.get(key)
                    if result is None:
                        scale = scale or _scale(task)
                        artifact = artifacts.get(folds[task.task], directory)
                        epochs, regrets = run_study(
                            task,
                            SAMPLERS[sampler](seed, task),
                            PRUNERS[pruner](artifact),
                            n_trials=n_trials,
                            scale=scale,
                        )
                        result = StudyResult(
                            pruner,
                            sampler,
                            task.task,
                            task.family,
                            seed,
                            tuple(epochs),
                            tuple(regrets),
                        )
                        kept.add(result)
                        if report is not None:
                            report(result)
                    results.append(result)
    return results


def _scale(task: CurveTask) -> tuple[float, float]:
    """The lowest and highest final loss of random configurations: regret 0 and 1."""
    configurations = task.space.sample(N_REFERENCE, np.random.default_rng(0))
    losses = task.losses(configurations, N_EPOCHS)[:, 0]
    return float(losses.min()), float(losses.max())


def _trained(
    tasks: Sequence[CurveTask], folds: Mapping[str, int], directory: Path
) -> dict[int, Path]:
    """The artifact of each fold, trained on the tasks of the others."""
    paths = {fold: directory / f"curves-fold{fold}.safetensors" for fold in folds.values()}
    if not all(path.exists() for path in paths.values()):
        moments = {task.task: moments_of(task) for task in tasks}
        for fold, path in paths.items():
            kept = [name for name in moments if folds[name] != fold]
            train_curves([moments[name] for name in kept], tasks=kept, out=path)
    return paths
