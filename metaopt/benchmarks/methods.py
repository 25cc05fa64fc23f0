"""The methods that a benchmark compares: how each is trained, and the sampler that it makes."""

from __future__ import annotations

import hashlib
import importlib.util
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.samplers import BaseSampler

from metaopt.benchmarks.neighbours import Neighbours, train_neighbours
from metaopt.benchmarks.own_studies import cma_of_own, own_studies, warmstart_of_own
from metaopt.benchmarks.portfolio import greedy_portfolio
from metaopt.benchmarks.problems import Problem
from metaopt.benchmarks.proposals import FixedStartSampler
from metaopt.benchmarks.rgpe import (
    GaussianProcessSampler,
    RankingWeightedSampler,
    SourceModels,
    train_source_models,
)
from metaopt.training import meta_train
from warmstart.artifact import Artifact, read_artifact
from warmstart.descriptor import TaskDescriptor
from warmstart.history import History
from warmstart.sampler import WarmStartSampler
from warmstart.space import Configuration

PORTFOLIO_SIZE: Final = 32
N_START: Final = 10  # configurations before TPE: as many as its own random ones
N_RGPE_START: Final = 5
N_OWN_STUDIES: Final = 5
N_OWN_TRIALS: Final = 50  # of each of them
N_RGPE_TRIALS: Final = 128  # of each source task: its processes then predict in milliseconds

Train = Callable[[Sequence[History]], Any]
MakeSampler = Callable[[Any, Problem, int], BaseSampler]


@dataclass(frozen=True)
class Method:
    """One way to tune, with or without sources.

    All functions must be picklable: functions of a module, or ``functools.partial`` of them
    with plain settings, which then belong to what identifies the results.

    Attributes:
        name: Unique among methods.
        sampler: Maps (what ``train`` returned, problem, seed) to a sampler for one study. Of
            the problem it may look at the space, the estimator and the qualities.
        train: Maps the histories of the training tasks to whatever ``sampler`` needs, which
            must be picklable; None for a method without transfer.
        modules: Modules or packages whose code the results depend on. When it changes, earlier
            results of this method no longer count.
        max_trials: In one study, for slow methods.
        max_seeds: For each task, for slow methods.
    """

    name: str
    sampler: MakeSampler
    train: Train | None = None
    modules: tuple[str, ...] = ()
    max_trials: int | None = None
    max_seeds: int | None = None


def _random(trained: None, problem: Problem, seed: int) -> BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


def _tpe(trained: None, problem: Problem, seed: int) -> BaseSampler:
    return optuna.samplers.TPESampler(seed=seed)


def _gp(trained: None, problem: Problem, seed: int) -> BaseSampler:
    return optuna.samplers.GPSampler(seed=seed)


def _own_gp(trained: None, problem: Problem, seed: int) -> BaseSampler:
    return GaussianProcessSampler(problem.space, seed=seed)


def _portfolio_random(
    trained: Sequence[Configuration], problem: Problem, seed: int
) -> BaseSampler:
    return FixedStartSampler(trained, _random(None, problem, seed))


def _portfolio_tpe(
    trained: Sequence[Configuration], problem: Problem, seed: int, *, n_start: int
) -> BaseSampler:
    return FixedStartSampler(trained[:n_start], _tpe(None, problem, seed))


def _nearest_tpe(trained: Neighbours, problem: Problem, seed: int) -> BaseSampler:
    first = trained.configurations(problem.qualities)
    return FixedStartSampler(first, _tpe(None, problem, seed))


def _rgpe(trained: SourceModels, problem: Problem, seed: int) -> BaseSampler:
    return RankingWeightedSampler(trained, seed=seed)


def _train_warmstart(histories: Sequence[History]) -> Artifact:
    """What ``metaopt train`` makes of these histories."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "artifact.safetensors"
        meta_train(histories, path)
        return read_artifact(path)


def _warmstart(trained: Artifact, problem: Problem, seed: int) -> BaseSampler:
    task = None
    if problem.qualities is not None:
        task = TaskDescriptor.from_openml_qualities(problem.qualities)
    return WarmStartSampler(estimator=problem.estimator, task=task, artifact=trained, seed=seed)


_HERE: Final = "metaopt.benchmarks"
_PORTFOLIO: Final = tuple(f"{_HERE}.{m}" for m in ("portfolio", "problems", "proposals"))
_DESCRIPTORS: Final = ("warmstart.descriptor", "warmstart.metafeatures", "warmstart.qualities")
_PROCESSES: Final = tuple(
    f"{_HERE}.{module}" for module in ("rgpe", "gp", "acquisition", "unit_space", "proposals")
)
_OWN: Final = tuple(f"{_HERE}.{module}" for module in ("own_studies", "problems", "runs"))
_TRAIN_OWN: Final = partial(own_studies, n_studies=N_OWN_STUDIES, n_trials=N_OWN_TRIALS)

# Every method that `run_benchmark` knows by name. One more is one more entry.
METHODS: Final[Mapping[str, Method]] = {
    method.name: method
    for method in (
        Method("random", _random),
        Method("tpe", _tpe),
        Method("gp", _gp, max_trials=50, max_seeds=1),
        Method("own_gp", _own_gp, modules=_PROCESSES, max_trials=50, max_seeds=1),
        Method(
            "portfolio_random",
            _portfolio_random,
            partial(greedy_portfolio, size=PORTFOLIO_SIZE),
            _PORTFOLIO,
        ),
        Method(
            "portfolio_tpe",
            partial(_portfolio_tpe, n_start=N_START),
            partial(greedy_portfolio, size=PORTFOLIO_SIZE),
            _PORTFOLIO,
        ),
        Method(
            "nearest_tpe",
            _nearest_tpe,
            partial(train_neighbours, size=N_START),
            (*_PORTFOLIO, *_DESCRIPTORS, f"{_HERE}.neighbours"),
        ),
        Method(
            "rgpe",
            _rgpe,
            partial(train_source_models, n_trials=N_RGPE_TRIALS, n_start=N_RGPE_START),
            (*_PROCESSES, *_PORTFOLIO),
            max_seeds=2,
        ),
        Method("warmstart", _warmstart, _train_warmstart, ("warmstart", "metaopt.training")),
        Method("cmaes5", cma_of_own, _TRAIN_OWN, _OWN, max_seeds=2),
        Method("own5", warmstart_of_own, _TRAIN_OWN, (*_OWN, "warmstart"), max_seeds=2),
    )
}


def identity(function: Callable[..., Any] | None) -> str:
    """A function's full name with the arguments that ``partial`` gave it."""
    if function is None:
        return ""
    if isinstance(function, partial):
        settings = ", ".join(
            [*map(repr, function.args), *(f"{k}={v!r}" for k, v in function.keywords.items())]
        )
        return f"{identity(function.func)}({settings})"
    return f"{function.__module__}.{function.__qualname__}"


def code_digest(modules: Sequence[str]) -> str:
    """A digest of the source code of modules, and of all modules in packages.

    Raises:
        ValueError: If a module is not there.
    """
    digest = hashlib.sha256()
    for module in sorted(modules):
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise ValueError(f"Module {module!r} given; expected one that can be imported.")
        path = Path(spec.origin)
        files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
        for file in files:
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
