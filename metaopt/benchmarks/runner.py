"""Planning the studies of a benchmark and running those that have no result yet."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from metaopt.benchmarks.cells import (
    Cell,
    Training,
    TrainingOutcome,
    cell_key,
    histories_of,
    method_digest,
    run_cell,
    run_training,
    start_worker,
    training_histories,
    training_key,
)
from metaopt.benchmarks.corruption import HONEST, VARIANTS
from metaopt.benchmarks.families import fold_of
from metaopt.benchmarks.methods import Method
from metaopt.benchmarks.options import REFERENCE, BenchOptions
from metaopt.benchmarks.progress import Progress
from metaopt.benchmarks.results import Result, ResultFile
from metaopt.benchmarks.sources import Source

TRAINED: Final = "trained"

_Job = TypeVar("_Job")
_Done = TypeVar("_Done")


@dataclass(frozen=True)
class Task:
    """One task of one source that is to be tuned."""

    source: Source
    name: str
    family: str
    fold: int


def chosen_tasks(source: Source, options: BenchOptions) -> list[Task]:
    """The tasks of a source that the options ask for, fold by fold."""
    tasks = [
        Task(source, name, family, fold_of(family, n_folds=options.n_folds))
        for name, family in source.families().items()
    ]
    folds = range(options.n_folds) if options.folds is None else options.folds
    return [t for fold in folds for t in [t for t in tasks if t.fold == fold][: options.n_tasks]]


def run_missing(
    options: BenchOptions,
    *,
    methods: Sequence[Method],
    sources: Sequence[Source],
    progress: Progress,
) -> list[Result]:
    """Run every study that the options ask for and that has no result yet.

    Args:
        options: What to run.
        methods: Which.
        sources: Which.
        progress: Told of what is done.

    Returns:
        One result for each study, in the order of the plan; those that failed say why.
    """
    tasks = {source.name: chosen_tasks(source, options) for source in sources}
    pairs = [
        (method, variant)
        for variant in options.variants
        for method in methods
        if variant == HONEST or method.name in options.guarded
    ]
    trainings = _plan_trainings(options, pairs, sources, tasks)
    distinct = list({training.key: training for training in trainings.values()}.values())
    outcomes: dict[str, TrainingOutcome] = {}
    for training, outcome in each_done(run_training, distinct, options.n_jobs):
        outcomes[training.key] = outcome
        where = f"{training.method.name} on {training.source.name}, fold {training.fold}"
        progress.advance("training", len(outcomes), len(distinct), where, outcome.error)

    cells = list(_plan_cells(options, pairs, sources, tasks, trainings, outcomes))
    file = ResultFile(options.results)
    known = file.read()
    finished: dict[str, Result] = {}
    to_run: dict[str, Cell] = {}
    for cell in cells:
        result = known.get(cell.result.key)
        if cell.result.error:
            finished[cell.result.key] = cell.result
            file.add(cell.result)
        elif result and not result.error and len(result.losses) >= cell.n_trials:
            finished[cell.result.key] = result
        else:
            to_run[cell.result.key] = cell
    n_before = len(finished)
    for _, result in each_done(run_cell, list(to_run.values()), options.n_jobs):
        file.add(result)
        finished[result.key] = result
        where = f"{result.method} on {result.source}, {result.task}"
        progress.advance("studies", len(finished) - n_before, len(to_run), where, result.error)
    return [
        replace(
            finished[cell.result.key],
            losses=finished[cell.result.key].losses[: cell.n_trials],
            # A study that several variants share is stored under the first of them.
            variant=cell.result.variant,
            method=cell.result.method,
        )
        for cell in cells
    ]


_Where = tuple[str, str, str, int]  # method, variant, source, fold


def _plan_trainings(
    options: BenchOptions,
    pairs: Sequence[tuple[Method, str]],
    sources: Sequence[Source],
    tasks: Mapping[str, Sequence[Task]],
) -> dict[_Where, Training]:
    """What to train for which method, variant, source and fold."""
    trainings = {}
    learners = [(method, variant) for method, variant in pairs if method.train is not None]
    for source in sources if learners else ():
        histories, digests = histories_of(source)
        for fold in sorted({task.fold for task in tasks[source.name]}):
            kept = training_histories(
                histories,
                fold=fold,
                n_folds=options.n_folds,
                max_tasks=options.n_training_tasks,
            )
            of_kept = [digests[history.info.task] for history in kept]
            for method, variant in learners:
                corruption = VARIANTS[variant].corruption
                # Which half is corrupted depends on all histories, so all belong to the key.
                read = of_kept if corruption is None else [*of_kept, *digests.values()]
                trainings[method.name, variant, source.name, fold] = Training(
                    key=training_key(method, read, corruption=corruption),
                    method=method,
                    source=source,
                    fold=fold,
                    n_folds=options.n_folds,
                    corruption=corruption,
                    max_tasks=options.n_training_tasks,
                    directory=options.results / TRAINED,
                )
    return trainings


def _plan_cells(
    options: BenchOptions,
    pairs: Sequence[tuple[Method, str]],
    sources: Sequence[Source],
    tasks: Mapping[str, Sequence[Task]],
    trainings: Mapping[_Where, Training],
    outcomes: Mapping[str, TrainingOutcome],
) -> Iterator[Cell]:
    """Every study, those of one source together."""
    codes = {method.name: method_digest(method) for method, _ in pairs}
    for source in sources:
        digests = source.digests()
        names = tuple(task.name for task in tasks[source.name])
        for method, variant in pairs:
            n_trials = min(options.n_trials, method.max_trials or options.n_trials)
            for task in tasks[source.name]:
                training = trainings.get((method.name, variant, source.name, task.fold))
                outcome = TrainingOutcome() if training is None else outcomes[training.key]
                for seed in range(n_seeds_of(method, options)):
                    result = Result(
                        key=cell_key(
                            source.name,
                            code=codes[method.name],
                            task_digest=digests[task.name],
                            inverted=VARIANTS[variant].inverted_target,
                            seed=seed,
                            trained=outcome.digest or outcome.error,
                        ),
                        source=source.name,
                        variant=variant,
                        method=method.name,
                        task=task.name,
                        family=task.family,
                        fold=task.fold,
                        seed=seed,
                        trained=outcome.digest,
                        error=outcome.error,
                    )
                    path: Path | None = None if training is None else training.path
                    yield Cell(result, method, source, names, n_trials, path)


def n_seeds_of(method: Method, options: BenchOptions) -> int:
    """How many studies a method runs on each task."""
    if method.name == REFERENCE:
        return max(options.n_reference_seeds, options.n_seeds)
    return min(options.n_seeds, method.max_seeds or options.n_seeds)


def each_done(
    function: Callable[[_Job], _Done], jobs: Collection[_Job], n_jobs: int
) -> Iterator[tuple[_Job, _Done]]:
    """Jobs with what came of them, in the order in which they end; in processes of their own."""
    if n_jobs == 1 or len(jobs) < 2:
        for job in jobs:
            yield job, function(job)
        return
    executor = ProcessPoolExecutor(
        max_workers=min(n_jobs, len(jobs)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=start_worker,
    )
    try:
        futures = {executor.submit(function, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        executor.shutdown(cancel_futures=True)
