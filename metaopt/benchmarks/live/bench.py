"""The benchmark on real fits: run what is missing, judge, and write it down."""

from __future__ import annotations

import json
import platform
import traceback
import warnings
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import optuna

from metaopt.benchmarks.cells import TrainingOutcome, digest_of
from metaopt.benchmarks.families import fold_of
from metaopt.benchmarks.live.figures import build_report
from metaopt.benchmarks.live.methods import METHODS, LiveMethod
from metaopt.benchmarks.live.options import LiveOptions
from metaopt.benchmarks.live.plots import plot_live
from metaopt.benchmarks.live.results import LiveResult, LiveResults, plain
from metaopt.benchmarks.live.studies import Setting
from metaopt.benchmarks.live.tasks import LiveData, Splitting, live_task
from metaopt.benchmarks.live.text import live_text
from metaopt.benchmarks.live.training import (
    Held,
    HeldOut,
    LiveTraining,
    plan_training,
    run_training,
)
from metaopt.benchmarks.methods import code_digest
from metaopt.benchmarks.progress import Progress
from metaopt.benchmarks.runner import each_done
from metaopt.collect.data_set import DataSet
from metaopt.collect.evaluation import is_for
from metaopt.collect.sandbox import close_own_sandbox
from metaopt.training.selection import named_canonically, read_histories
from warmstart.catalogue import resolve_estimator
from warmstart.durable import write_atomically
from warmstart.errors import HistoryError
from warmstart.search_spaces import tunable_estimators
from warmstart.threads import one_thread

#: Modules that every result depends on.
_CODE: Final = (
    *(f"metaopt.benchmarks.live.{name}" for name in ("studies", "tasks", "lightgbm_api")),
    "metaopt.collect.evaluation",
    "metaopt.collect.preparation",
    "warmstart.search_spaces",
)


@dataclass(frozen=True)
class LiveReport:
    """What a benchmark on real fits found.

    Attributes:
        data: See ``figures.build_report``; also options, versions and what was held out.
        text: Tables for people.
        files: What was written: the report as JSON, the tables, the pictures.
    """

    data: Mapping[str, Any]
    text: str
    files: Sequence[Path]


@dataclass(frozen=True)
class LiveCell:
    """One study to run.

    Attributes:
        result: What is known beforehand of its result.
        method: A key of the methods.
        data: Which data set.
        splitting: How it is split.
        options: What is asked for.
        n_trials: How many.
        artifact: Where it is; None without one.
    """

    result: LiveResult
    method: LiveMethod
    data: LiveData
    splitting: Splitting
    options: LiveOptions
    n_trials: int
    artifact: Path | None


def run_live(
    data_sets: Sequence[DataSet],
    options: LiveOptions,
    *,
    methods: Mapping[str, LiveMethod] = METHODS,
    progress: Progress | None = None,
) -> LiveReport:
    """Run what has no result yet, and report on all that the options ask for.

    It may be stopped at any moment and started again: finished studies are not repeated, and
    results of other code, settings or data are not mixed in.

    Args:
        data_sets: To tune on; those that share data under one family.
        options: What to run, and where the results go.
        methods: Those that are known by name.
        progress: Told of what is done; by default it is printed to standard error.

    Raises:
        ValueError: If a method is unknown.
        UnknownEstimatorError: If an estimator is.
        HistoryError: If there is no store, no history of an estimator, or nothing to tune.
    """
    chosen, missing = _chosen(options, methods)
    histories = [h for path in options.stores for h in read_histories(path)]
    histories = named_canonically(histories)
    estimators = _estimators(options, chosen, {h.info.estimator for h in histories})
    pairs = [
        (data, estimator)
        for data in chosen_data(data_sets, options.n_data)
        for estimator in estimators
        if is_for(estimator, data.kind)
    ]
    if not pairs:
        raise HistoryError(
            f"{len(data_sets)} data sets given, none of a kind that {estimators} are for."
        )
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with progress or Progress() as told:
            trainings, held_out = _plan_trainings(pairs, options, chosen, histories)
            outcomes = _train(trainings, options, told)
            results = _run(
                list(_cells(pairs, options, chosen, trainings, outcomes)), options, told
            )
    finally:
        optuna.logging.set_verbosity(verbosity)
    report = {
        **build_report(results, budgets=options.budgets),
        "methods_left_out": missing,
        "held_out": {
            f"{estimator}, fold {fold}": [asdict(history) for history in listed]
            for (estimator, fold), listed in held_out.items()
        },
        "options": json.loads(json.dumps(asdict(options), default=str)),
        "versions": {"python": platform.python_version(), "optuna": optuna.__version__},
    }
    text = live_text(report)
    files = [options.results / "report.json", options.results / "report.txt"]
    write_atomically(files[0], json.dumps(report, allow_nan=False).encode(), fsync=False)
    write_atomically(files[1], text.encode(), fsync=False)
    if options.plots:
        files += plot_live(report, options.results)
    return LiveReport(report, text, files)


def chosen_data(data_sets: Sequence[DataSet], n_each: int | None) -> list[DataSet]:
    """At most so many of each kind: another of a family only when all families have one.

    Which ones depends on nothing but the names, so that what is easy is not preferred.
    """
    seen: Counter[str] = Counter()
    turns: list[tuple[int, int, DataSet]] = []
    for data in sorted(data_sets, key=lambda data: zlib.crc32(data.name.encode())):
        turns.append((seen[data.family], len(turns), data))
        seen[data.family] += 1
    kept: Counter[str] = Counter()
    chosen = []
    for *_, data in sorted(turns, key=lambda turn: turn[:2]):
        if n_each is None or kept[data.kind] < n_each:
            chosen.append(data)
        kept[data.kind] += 1
    return chosen


def _chosen(
    options: LiveOptions, methods: Mapping[str, LiveMethod]
) -> tuple[list[LiveMethod], dict[str, str]]:
    """The methods asked for that can run here, and why others can't."""
    unknown = sorted(set(options.methods or ()) - set(methods))
    if unknown:
        raise ValueError(f"Methods {unknown} given; expected some of {sorted(methods)}.")
    asked = [methods[name] for name in options.methods or methods]
    why = {method.name: method.why_missing() for method in asked}
    return [m for m in asked if not why[m.name]], {
        n: reason for n, reason in why.items() if reason
    }


def _estimators(options: LiveOptions, methods: Sequence[LiveMethod], known: set[str]) -> list[str]:
    asked = [resolve_estimator(name).name for name in options.estimators]
    unknown = sorted(set(asked) - known)
    if unknown and any(method.is_trained for method in methods):
        raise HistoryError(
            f"Estimators {unknown} given; expected some that the stores have histories of: "
            f"{sorted(known)}."
        )
    return asked or [name for name in tunable_estimators() if name in known]


_Trainings = Mapping[tuple[str, int], LiveTraining]  # by estimator and fold


def _plan_trainings(
    pairs: Sequence[tuple[DataSet, str]],
    options: LiveOptions,
    methods: Sequence[LiveMethod],
    histories: Sequence[Any],
) -> tuple[_Trainings, dict[tuple[str, int], list[HeldOut]]]:
    trainings, held_out = {}, {}
    if any(method.is_trained for method in methods):
        directory = options.results / "trained"
        n_folds = options.n_family_folds
        for fold in range(n_folds):
            here = [(d, e) for d, e in pairs if fold_of(d.family, n_folds=n_folds) == fold]
            tested = list({data.name: data for data, _ in here}.values())
            held = Held(fold, n_folds, tested)
            for estimator in sorted({estimator for _, estimator in here}):
                trainings[estimator, fold], held_out[estimator, fold] = plan_training(
                    estimator, held, fold, histories, directory
                )
    return trainings, held_out


def _train(
    trainings: _Trainings, options: LiveOptions, progress: Progress
) -> dict[str, TrainingOutcome]:
    """What came of each training, by its key."""
    distinct = list({training.key: training for training in trainings.values()}.values())
    outcomes = {}
    for training, outcome in each_done(run_training, distinct, options.n_jobs):
        outcomes[training.key] = outcome
        where = f"{training.estimator}, fold {training.fold}"
        progress.advance("training", len(outcomes), len(distinct), where, outcome.error)
    return outcomes


def _cells(
    pairs: Sequence[tuple[DataSet, str]],
    options: LiveOptions,
    methods: Sequence[LiveMethod],
    trainings: _Trainings,
    outcomes: Mapping[str, TrainingOutcome],
) -> Iterator[LiveCell]:
    """Every study: all of one split together, and every data set before the next seed."""
    code = {m.name: code_digest((*_CODE, *m.modules)) for m in methods}
    live = {data.name: LiveData.of(data) for data, _ in pairs}
    for seed in range(options.n_seeds):
        splitting = Splitting(options.n_folds, options.max_rows, seed)
        for data, estimator in pairs:
            fold = fold_of(data.family, n_folds=options.n_family_folds)
            for method in methods:
                if not method.is_for(estimator) or seed >= (method.max_seeds or seed + 1):
                    continue
                training = trainings[estimator, fold] if method.is_trained else None
                outcome = outcomes[training.key] if training else TrainingOutcome()
                fits = (options.n_folds, options.max_rows, options.max_trees, options.fit_seconds)
                key = digest_of(
                    *(live[data.name].digest, estimator, method.name, code[method.name]),
                    *(fits, seed, outcome.digest, outcome.error, optuna.__version__),
                )
                yield LiveCell(
                    LiveResult(
                        key=key,
                        estimator=estimator,
                        method=method.name,
                        data=data.name,
                        family=data.family,
                        fold=fold,
                        seed=seed,
                        trained=outcome.digest,
                        error=outcome.error,
                    ),
                    method,
                    live[data.name],
                    splitting,
                    options,
                    min(options.n_trials, method.max_trials or options.n_trials),
                    training.path if training else None,
                )


def _run(cells: Sequence[LiveCell], options: LiveOptions, progress: Progress) -> list[LiveResult]:
    """The results of all cells, in their order."""
    kept = LiveResults(options.results / "studies")
    finished: dict[str, LiveResult] = {}
    to_run = []
    for cell in cells:
        known = kept.find(cell.result, n_trials=cell.n_trials)
        if cell.result.error:
            finished[cell.result.key] = cell.result
        elif known is not None:
            finished[cell.result.key] = known
        else:
            to_run.append(cell)
    n_before = len(finished)
    try:
        for _, result in each_done(run_cell, to_run, options.n_jobs):
            if not result.error:
                kept.add(result)
            finished[result.key] = result
            where = f"{result.method} on {result.data}, seed {result.seed}"
            progress.advance("studies", len(finished) - n_before, len(to_run), where, result.error)
    finally:
        close_own_sandbox()
    return [_first(finished[cell.result.key], cell.n_trials) for cell in cells]


def _first(result: LiveResult, n_trials: int) -> LiveResult:
    several = ("losses", "errors", "tests", "seconds")
    return replace(result, **{name: getattr(result, name)[:n_trials] for name in several})


def study_seed(result: LiveResult) -> int:
    """The seed of a study's sampler: the same for all methods, another for each data set.

    With one for all, the same random configurations would be drawn everywhere, and how good they
    happen to be would not average out.
    """
    return zlib.crc32(f"{result.seed}:{result.data}:{result.estimator}".encode())


def run_cell(cell: LiveCell) -> LiveResult:
    """Run one study; what goes wrong is the result's ``error``."""
    options = cell.options
    try:
        with warnings.catch_warnings(), one_thread():
            warnings.simplefilter("ignore")
            setting = Setting(
                task=live_task(cell.data, cell.splitting),
                estimator=cell.result.estimator,
                n_folds=options.n_folds,
                max_trees=options.max_trees,
                fit_seconds=options.fit_seconds,
                n_trials=cell.n_trials,
                seed=study_seed(cell.result),
            )
            trials = cell.method.run(setting, cell.artifact)
    except Exception:  # of whatever library: the other studies go on
        lines = traceback.format_exc(limit=-2, chain=False).strip().splitlines()
        return replace(cell.result, error=" | ".join(line.strip() for line in lines[1:])[-1000:])
    said = [proposed for proposed in trials.proposed if proposed is not None]
    return replace(
        cell.result,
        losses=plain(trials.losses),
        errors=plain(trials.errors),
        tests=plain(trials.tests),
        seconds=[round(seconds, 4) for seconds in trials.seconds],
        proposed=sum(said) / len(said) if said else None,
    )
