"""Collecting histories: estimators on data sets, in a store that any interruption leaves whole."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache
from importlib import import_module
from itertools import islice
from typing import Any, Final, TypeAlias

from metaopt.collect.configurations import (
    Candidate,
    Proposals,
    candidate_indices,
    candidates,
    collected_space,
)
from metaopt.collect.data_set import DataSet, subsampled
from metaopt.collect.evaluation import Outcome, is_for
from metaopt.collect.measures import PRIMARY
from metaopt.collect.preparation import preparation_of
from metaopt.collect.sandbox import Limits, Split, close_own_sandbox, own_sandbox
from warmstart.catalogue import resolve_estimator
from warmstart.descriptor import TaskDescriptor, describe
from warmstart.errors import HistoryError, MissingDependencyError
from warmstart.history import TaskInfo
from warmstart.search_spaces import search_space
from warmstart.store import HistoryStore
from warmstart.trial import Trial

SOURCE: Final = "collect"
_CHUNK: Final = 10  # configurations that are run and stored together
_CALLS_EACH: Final = 2  # of each process, where results come back together
_DIGITS: Final = 6

_Result: TypeAlias = tuple[TaskInfo, list[Trial]]

#: Called after each chunk with how many runs are done of how many that were left to do, and where
#: the last ones were.
Report: TypeAlias = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Options:
    """How runs are made; what is here is in the provenance of each task.

    Attributes:
        max_rows: More rows are sampled down to this.
        split: Into folds.
        limits: Of each fit and configuration.
        max_trees: Of forests and boosting; None for what the spaces say.
        variations: Of the defaults, so many, which are run beside the design.
        proposals: The sampler's own, which are run beside these.
        seed: Of the designs.
    """

    max_rows: int = 1500
    split: Split = field(default_factory=Split)
    limits: Limits = field(default_factory=Limits)
    max_trees: int | None = None
    variations: int = 0
    proposals: Proposals | None = None
    seed: int = 0


@dataclass(frozen=True)
class CollectReport:
    """What a collection did.

    Attributes:
        n_planned: Runs asked for.
        n_known: Of these, in the store before.
        n_stored: Runs made and stored now.
        n_by_state: Of the runs stored now, by how they ended.
        seconds: All in all.
        seconds_per_run: Mean of each estimator's runs, in seconds of one process.
    """

    n_planned: int
    n_known: int
    n_stored: int
    n_by_state: Mapping[str, int]
    seconds: float
    seconds_per_run: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Chunk:
    """Configurations of one estimator on one data set, run one after the other."""

    data: DataSet
    info: TaskInfo
    candidates: Sequence[Candidate]


def collect(
    data_sets: Sequence[DataSet],
    estimators: Mapping[str, int],
    store: HistoryStore,
    *,
    options: Options | None = None,
    n_jobs: int = 1,
    backend: Any = None,
    seconds: float = math.inf,
    report: Report | None = None,
) -> CollectReport:
    """Run estimators on data sets, and add what is measured to a store.

    It may be killed at any moment and started again: what is stored is not run twice, and what
    was under way is run again. Of any prefix, all data sets and estimators have about equally
    many runs; the families of data sets take turns.

    Args:
        data_sets: What to run on; of any number of rows.
        estimators: For each name, as ``resolve_estimator`` takes it, how many configurations;
            classifiers are run on classifications, regressors on regressions.
        store: What is in it is not run again.
        options: How runs are made.
        n_jobs: Of joblib: processes side by side.
        backend: Of joblib, by its name or itself; None for the active one (see
            ``joblib.parallel_config``).
        seconds: No run is begun after this time.
        report: Called after each chunk of runs.

    Raises:
        UnknownEstimatorError: If the catalogue has no such estimator.
        SearchSpaceError: If there is no space for it.
        HistoryError: If no data set is for any of the estimators, or two have one name.
        DescriptorError: If a data set has too few rows of too many classes.
        MissingDependencyError: If an estimator's library is not installed.
    """
    from joblib import delayed

    options = options or Options()
    started = time.monotonic()
    deadline = time.time() + seconds
    wanted = {resolve_estimator(name).name: n for name, n in estimators.items()}
    plan = _plan(data_sets, wanted, store, options)
    n_planned, n_known = plan.n_planned, plan.n_planned - plan.n_left
    spent: dict[str, list[float]] = defaultdict(list)
    states: dict[str, int] = defaultdict(int)
    n_done = n_known

    def before_deadline() -> Iterator[Chunk]:
        for chunk in plan.chunks():
            if time.time() >= deadline:
                return
            yield chunk

    run_options = replace(options, proposals=None)  # chunks bring their own; artifacts are large
    calls = (delayed(_run)(chunk, run_options, deadline) for chunk in before_deadline())
    try:
        for info, trials in _results(calls, n_jobs, backend):
            if trials:
                store.extend(info, trials)
            n_done += len(trials)
            for trial in trials:
                states[trial.state] += 1
                spent[info.estimator].append(trial.seconds or 0.0)
            if report is not None:
                where = f"{info.estimator} on {info.name}"
                report(n_done - n_known, n_planned - n_known, where)
    finally:
        close_own_sandbox()
    return CollectReport(
        n_planned=n_planned,
        n_known=n_known,
        n_stored=n_done - n_known,
        n_by_state=dict(states),
        seconds=time.monotonic() - started,
        seconds_per_run={name: sum(s) / len(s) for name, s in sorted(spent.items())},
    )


def _results(calls: Iterator[Any], n_jobs: int, backend: Any) -> Iterator[_Result]:
    """What joblib's calls return, as soon as the backend tells."""
    from joblib import Parallel, effective_n_jobs

    try:
        parallel = Parallel(n_jobs, backend=backend, return_as="generator_unordered")
    except ValueError:  # a backend that returns all results together gets few calls at a time
        with Parallel(n_jobs, backend=backend) as parallel:
            while some := list(islice(calls, _CALLS_EACH * effective_n_jobs(n_jobs))):
                yield from parallel(some)
        return
    yield from parallel(calls)


@dataclass(frozen=True, eq=False)
class _Plan:
    """What is to be run of what was asked for.

    Attributes:
        pairs: Each data set with each of its estimators.
        wanted: How many configurations of each estimator.
        known: Run ids in the store.
        options: How runs are made.
    """

    pairs: Sequence[tuple[DataSet, str]]
    wanted: Mapping[str, int]
    known: Collection[str]
    options: Options

    @property
    def n_planned(self) -> int:
        """How many runs were asked for."""
        return sum(len(self._indices(name)) for _, name in self.pairs)

    @property
    def n_left(self) -> int:
        """How many of them are not known."""
        return sum(
            run_id(task_name(data, self.options), name, index) not in self.known
            for data, name in self.pairs
            for index in self._indices(name)
        )

    def chunks(self) -> Iterator[Chunk]:
        """What is not known yet: the first of each pair, then the second of each."""
        made: dict[tuple[str, str], Chunk] = {}
        longest = max(len(self._indices(name)) for _, name in self.pairs)
        for start in range(0, longest, _CHUNK):
            for data, name in self.pairs:
                task = task_name(data, self.options)
                indices = self._indices(name)[start : start + _CHUNK]
                left = {i for i in indices if run_id(task, name, i) not in self.known}
                if left:
                    if (data.name, name) not in made:
                        made[data.name, name] = _whole(data, name, self.wanted[name], self.options)
                    whole = made[data.name, name]
                    asked = [c for c in whole.candidates if c.index in left]
                    if asked:
                        yield Chunk(data, whole.info, asked)

    def _indices(self, name: str) -> list[str]:
        options = self.options
        return candidate_indices(
            self.wanted[name], options.proposals, variations=options.variations
        )


def _plan(
    data_sets: Sequence[DataSet], wanted: Mapping[str, int], store: HistoryStore, options: Options
) -> _Plan:
    _check(data_sets, wanted)
    split = options.split
    used = [
        subsampled(data, max_rows=options.max_rows, n_folds=split.n_folds, seed=split.seed)
        for data in families_by_turns(data_sets)
        if any(is_for(name, data.kind) for name in wanted)
    ]
    pairs = [(data, name) for data in used for name in wanted if is_for(name, data.kind)]
    return _Plan(pairs, wanted, store.run_ids(source=SOURCE), options)


def _check(data_sets: Sequence[DataSet], wanted: Mapping[str, int]) -> None:
    if not wanted:
        raise HistoryError("No estimator given; expected at least one.")
    for name, n in wanted.items():
        search_space(name)
        if n < 1:
            raise HistoryError(f"{n} configurations of {name} given; expected at least 1.")
    names = [data.name for data in data_sets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise HistoryError(f"Several data sets of one name given: {twice}; expected one of each.")
    if not any(is_for(name, data.kind) for name in wanted for data in data_sets):
        raise HistoryError(
            f"{len(data_sets)} data sets given, none of a kind that {sorted(wanted)} are for; "
            "expected classifications for classifiers, regressions for regressors."
        )


def families_by_turns(data_sets: Sequence[DataSet]) -> list[DataSet]:
    """The data sets in an order in which each family comes once before any comes again."""
    seen: dict[str, int] = defaultdict(int)
    turns: list[tuple[int, int, DataSet]] = []
    for data in sorted(data_sets, key=lambda d: (d.n_rows * d.X.shape[1], d.name)):
        turns.append((seen[data.family], len(turns), data))
        seen[data.family] += 1
    return [data for *_, data in sorted(turns, key=lambda turn: turn[:2])]


def _whole(data: DataSet, estimator: str, n: int, options: Options) -> Chunk:
    """All configurations of an estimator on a data set."""
    task = _descriptor(data)
    space, listed = candidates(
        data,
        estimator,
        collected_space(estimator, task, max_trees=options.max_trees),
        n=n,
        n_folds=options.split.n_folds,
        variations=options.variations,
        proposals=options.proposals,
        task=task,
        seed=options.seed,
    )
    info = TaskInfo(
        estimator=estimator,
        task=task_name(data, options),
        metric=PRIMARY[data.kind],
        source=SOURCE,
        name=data.name,
        dataset=data.id,
        family=data.family,
        licence=data.licence,
        descriptor=task.to_json(),
        space=space,
        provenance=_provenance(data, estimator, options),
    )
    return Chunk(data, info, listed)


@lru_cache(maxsize=4)  # a data set's estimators come one after the other
def _descriptor(data: DataSet) -> TaskDescriptor:
    return describe(
        data.X, data.y, kind=data.kind, categorical=list(data.categorical), name=data.name
    )


def task_name(data: DataSet, options: Options) -> str:
    """A task is a data set with the rows and folds that were used of it."""
    split = options.split
    return f"{data.name}/{data.n_rows}-rows/{split.n_folds}-folds/seed-{split.seed}"


def run_id(task: str, estimator: str, index: str) -> str:
    """What a run is called: the same each time."""
    return f"{task}/{estimator}/{index}"


def _provenance(data: DataSet, estimator: str, options: Options) -> dict[str, Any]:
    limits, proposals = options.limits, options.proposals
    return {
        "rows": dict(data.recipe) or "all",
        "folds": options.split.n_folds,
        "folds_seed": options.split.seed,
        "design_seed": options.seed,
        "preparation": preparation_of(resolve_estimator(estimator)),
        "target": "standardised" if data.kind == "regression" else "as it is",
        "fit_seconds": limits.fit_seconds,
        "configuration_seconds": None
        if math.isinf(limits.configuration_seconds)
        else limits.configuration_seconds,
        "library": _library(estimator),
        **({"proposals": proposals.provenance} if proposals else {}),
    }


def _library(estimator: str) -> str:
    name = estimator.partition(".")[0]
    try:
        return f"{name} {import_module(name).__version__}"
    except ImportError as error:
        raise MissingDependencyError(
            f"{estimator} needs {name}, which is not installed: pip install {name}"
        ) from error


def _run(chunk: Chunk, options: Options, deadline: float) -> _Result:
    """Run a chunk; what is not begun before the deadline is left out."""
    sandbox = own_sandbox(options.limits, options.split)
    trials = []
    for candidate in chunk.candidates:
        if time.time() >= deadline:
            break
        outcome = sandbox.evaluate(chunk.data, chunk.info.estimator, candidate.native)
        trials.append(_trial(chunk.info, candidate, outcome))
    return chunk.info, trials


def _trial(info: TaskInfo, candidate: Candidate, outcome: Outcome) -> Trial:
    return Trial(
        configuration=candidate.configuration,
        loss=_rounded(outcome.loss),
        state=outcome.state,
        measures={name: _rounded(value) for name, value in outcome.measures.items()},
        run_id=run_id(info.task, info.estimator, candidate.index),
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=_rounded(outcome.seconds),
        proposed_by=candidate.proposed_by,
        reason=outcome.reason,
    )


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
