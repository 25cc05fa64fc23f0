"""From an OpenML server into a history store, a request at a time, from where it stopped."""

from __future__ import annotations

import operator
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from warmstart.descriptor import TaskDescriptor
from warmstart.errors import OpenMLError, WarmStartWarning
from warmstart.history import TaskInfo
from warmstart.openml.client import (
    AnswerError,
    Client,
    Dataset,
    Run,
    Task,
    connect,
    import_openml,
)
from warmstart.openml.flows import Flow
from warmstart.openml.measures import Measure, measure_of
from warmstart.openml.progress import FetchProgress, Report, progress_shown
from warmstart.openml.reading import list_runs, other_scores, to_trial, with_configurations
from warmstart.openml.transport import RetryPolicy, Transport
from warmstart.store import HistoryStore

SOURCE = "openml"
# Scores of runs on other kinds of tasks, such as learning curves, mean something else.
CLASSIFICATION = "Supervised Classification"
TASK_KINDS = frozenset({CLASSIFICATION, "Supervised Regression"})


@dataclass(frozen=True)
class FetchReport:
    """What a fetch did.

    Attributes:
        n_listed: Runs that the server lists for what was asked, with a value of the measure.
        n_known: Of these, runs that the store had already.
        n_stored: Runs that were added.
        n_skipped: Runs on other kinds of tasks, or whose hyperparameters the server lacks.
        n_requests: Requests sent, repeated ones included.
        n_retries: Requests that repeated a failed one.
        seconds: How long it took.
    """

    n_listed: int
    n_known: int
    n_stored: int
    n_skipped: int
    n_requests: int
    n_retries: int
    seconds: float


def fetch_histories(
    flows: int | Sequence[int],
    *,
    store: HistoryStore,
    tasks: Sequence[int] | None = None,
    server: str | None = None,
    apikey: str | None = None,
    measure: str = "predictive_accuracy",
    also: Sequence[str] = ("area_under_roc_curve",),
    requests_per_second: float | None = 10.0,
    retries: RetryPolicy | None = None,
    seed: int = 0,
    progress: bool | Report = True,
) -> FetchReport:
    """Add the runs of OpenML flows to a history store.

    The runs of a flow on a task become trials in the history of the estimator that the flow
    tunes. Names and values in their configurations are described in ``warmstart.openml``.

    A fetch may be stopped at any moment, even by ``kill -9``, and called again: runs that the
    store has are listed (10,000 a request) but not fetched, so nothing is lost or repeated. One
    fetch runs at a time in a process, and other threads must not use ``openml`` meanwhile.

    Args:
        flows: Ids, such as 6969 (random forest), 6970 (AdaBoost), 7707 (support vector machine).
        store: Where the trials go.
        tasks: Ids; None: all tasks that a flow has runs on.
        server: Address of the REST API, as ``https://www.openml.org/api/v1/xml``; None: the one
            that ``openml`` is configured for.
        apikey: Reading needs none; None: the configured one, for the configured server only.
        measure: OpenML's name of what the loss is made of: ``loss = 1 - predictive_accuracy``.
        also: Other measures to keep in ``Trial.measures``, where the server has them.
        requests_per_second: The most requests to send; None: as fast as the server answers.
        retries: How often to repeat what fails, and after which waits; None: ``RetryPolicy()``.
        seed: Of the generator that varies these waits.
        progress: True: a bar on a terminal, plain lines elsewhere, on standard error; or a
            callback, called with a ``FetchProgress`` after each step.

    Raises:
        MissingDependencyError: If ``openml`` is not installed.
        OpenMLError: If an argument is not usable, the server can't be reached or speaks another
            language, or a flow, or each of its runs, is not there. What was stored before stays,
            and is whole.
    """
    started = time.monotonic()
    import_openml()
    flow_ids = _checked_ids("flows", [flows] if isinstance(flows, int) else flows)
    task_ids = None if tasks is None else _checked_ids("tasks", tasks)
    loss_measure = measure_of(measure)
    others = [function for function in also if function != measure]
    transport = Transport(requests_per_second, retries=retries or RetryPolicy(), seed=seed)
    with (
        closing(transport),
        connect(server, apikey, transport) as client,
        progress_shown(progress) as report,
    ):
        fetch = _Fetch(client, store, loss_measure, others)
        # All flows first: an unknown one is an error before anything is stored.
        for flow in [client.flow(flow_id) for flow_id in flow_ids]:
            for n_done, n_total in fetch.steps(flow, task_ids):
                report(
                    FetchProgress(
                        flow=flow.flow_id,
                        estimator=flow.estimator,
                        n_done=n_done,
                        n_total=n_total,
                        n_requests=transport.n_requests,
                        n_retries=transport.n_retries,
                    )
                )
    return FetchReport(
        **{f"n_{name}": fetch.counts[name] for name in ("listed", "known", "stored", "skipped")},
        n_requests=transport.n_requests,
        n_retries=transport.n_retries,
        seconds=time.monotonic() - started,
    )


class _Fetch:
    """What a call of ``fetch_histories`` reads from and writes to, and what it counted so far."""

    def __init__(
        self, client: Client, store: HistoryStore, measure: Measure, others: Sequence[str]
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._client = client
        self._store = store
        self._measure = measure
        self._others = others
        self._datasets: dict[int, Dataset] = {}

    def steps(
        self, flow: Flow, task_ids: Collection[int] | None
    ) -> Iterator[tuple[int, int | None]]:
        """Store what is new of one flow.

        Yields:
            After each step, how many of the flow's runs are done with, and how many there are
            (None: not known yet).
        """
        yield 0, None
        runs = list_runs(self._client, flow.flow_id, self._measure, task_ids)
        if not runs:
            where = "any task" if task_ids is None else f"tasks {sorted(task_ids)}"
            raise OpenMLError(
                f"{self._client.server} lists no runs of flow {flow.flow_id} "
                f"({flow.estimator}) on {where} with measure {self._measure.function!r}; "
                "expected at least one. Check the ids of flow and tasks."
            )
        new = self._not_stored(flow, runs)
        tasks = self._tasks(new)
        new = [run for run in new if tasks[run.task_id].kind in TASK_KINDS]
        n_done = len(runs) - len(new)
        self.counts["listed"] += len(runs)
        yield n_done, len(runs)
        scores = other_scores(self._client, flow.flow_id, self._others, new)
        for batch in with_configurations(self._client, flow, new):
            trials = defaultdict(list)
            for run, configuration in batch:
                if configuration is not None:
                    trial = to_trial(run, configuration, self._measure, scores[run.run_id])
                    trials[run.task_id].append(trial)
            for task_id, found in trials.items():
                self._store.extend(self._info(flow, tasks[task_id]), found)
            n_stored = sum(map(len, trials.values()))
            self.counts["stored"] += n_stored
            self.counts["skipped"] += len(batch) - n_stored
            n_done += len(batch)
            yield n_done, len(runs)

    def _not_stored(self, flow: Flow, runs: Sequence[Run]) -> list[Run]:
        """The runs that no history of this estimator and metric holds."""
        known = {
            run_id
            for history in self._store.histories(estimator=flow.estimator, source=SOURCE)
            if history.info.metric == self._measure.metric
            for run_id in history.run_ids
        }
        new = [run for run in runs if str(run.run_id) not in known]
        self.counts["known"] += len(runs) - len(new)
        return new

    def _tasks(self, runs: Sequence[Run]) -> dict[int, Task]:
        """The tasks of runs by id; what the server does not list is made up from the run."""
        made_up = {
            run.task_id: Task(run.task_id, run.dataset_id, run.dataset_name, CLASSIFICATION)
            for run in runs
        }
        try:
            listed = self._client.tasks(made_up)
        except AnswerError as error:
            warnings.warn(
                f"Runs are taken to be on supervised tasks: {error}",
                WarmStartWarning,
                stacklevel=4,
            )
            listed = {}
        tasks = made_up | listed
        self.counts["skipped"] += sum(tasks[run.task_id].kind not in TASK_KINDS for run in runs)
        return tasks

    def _info(self, flow: Flow, task: Task) -> TaskInfo:
        """A history's description; asks for each data set once."""
        if task.dataset_id not in self._datasets:
            self._datasets[task.dataset_id] = self._client.dataset(task.dataset_id)
        dataset = self._datasets[task.dataset_id]
        descriptor = None
        if dataset.qualities:
            descriptor = TaskDescriptor.from_openml_qualities(dataset.qualities, name=task.name)
        return TaskInfo(
            estimator=flow.estimator,
            task=f"openml-task-{task.task_id}",
            metric=self._measure.metric,
            source=SOURCE,
            name=task.name,
            dataset=f"openml-dataset-{dataset.dataset_id}",
            licence=dataset.licence or "",
            descriptor=None if descriptor is None else descriptor.to_json(),
        )


def _checked_ids(name: str, ids: Sequence[int]) -> list[int]:
    """Ids as distinct positive integers, in their order; NumPy's become Python's."""
    try:
        checked = list(dict.fromkeys(operator.index(i) for i in ids))
    except TypeError:
        checked = []
    if not checked or min(checked) < 1:
        raise OpenMLError(f"{name}={ids!r} given; expected one or more positive integers.")
    return checked
