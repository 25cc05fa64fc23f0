"""Runs with their configurations and scores, read through a ``Client`` in few requests."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime

from warmstart.openml.client import IDS_PER_REQUEST, Client, Run
from warmstart.openml.flows import Flow
from warmstart.openml.measures import Measure, metric_of
from warmstart.space import Value
from warmstart.trial import Trial


def list_runs(
    client: Client, flow_id: int, measure: Measure, task_ids: Collection[int] | None
) -> list[Run]:
    """All runs of a flow that have a value of the measure, each once, by task and run id."""
    runs = {
        run.run_id: run
        for page in client.runs(measure.function, flow_id, task_ids)
        for run in page
        if run.value is not None and math.isfinite(run.value)
    }
    return sorted(runs.values(), key=lambda run: (run.task_id, run.run_id))


def other_scores(
    client: Client, flow_id: int, functions: Iterable[str], runs: Sequence[Run]
) -> dict[int, dict[str, float]]:
    """Values of other measures, by run id and metric, as far as the server has them."""
    scores: dict[int, dict[str, float]] = {run.run_id: {} for run in runs}
    task_ids = {run.task_id for run in runs}
    for function in functions:
        for page in client.runs(function, flow_id, task_ids):
            for run in page:
                if run.run_id in scores and run.value is not None:
                    scores[run.run_id][metric_of(function)] = run.value
    return scores


def with_configurations(
    client: Client, flow: Flow, runs: Sequence[Run]
) -> Iterator[list[tuple[Run, dict[str, Value] | None]]]:
    """Look up what runs were set to, a request of setups at a time.

    Runs may share a setup; it is fetched once and kept as long as a later run needs it.

    Yields:
        Runs with their configurations, in the order given; None where the server has no setup.
    """
    n_waiting = Counter(run.setup_id for run in runs)
    found: dict[int, dict[str, Value] | None] = {}
    for batch in _batches(runs):
        missing = list({run.setup_id: None for run in batch if run.setup_id not in found})
        setups = client.setups(missing)
        for setup_id in missing:
            parameters = setups.get(setup_id)
            found[setup_id] = None if parameters is None else flow.configuration(parameters)
        yield [(run, found[run.setup_id]) for run in batch]
        n_waiting.subtract(run.setup_id for run in batch)
        for run in batch:
            if not n_waiting[run.setup_id]:
                found.pop(run.setup_id, None)


def to_trial(
    run: Run, configuration: dict[str, Value], measure: Measure, scores: dict[str, float]
) -> Trial:
    """A run as a trial; the value of the measure itself is kept next to the loss."""
    assert run.value is not None, "list_runs leaves out runs without a value"
    return Trial(
        configuration,
        measure.loss(run.value),
        measures={measure.metric: run.value, **scores},
        run_id=str(run.run_id),
        time=_iso(run.time),
    )


def _batches(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """Cut runs, in their order, where a request's worth of setups is full."""
    batch: list[Run] = []
    seen: set[int] = set()
    n_new = 0
    for run in runs:
        if run.setup_id not in seen:
            if n_new == IDS_PER_REQUEST:
                yield batch
                batch, n_new = [], 0
            seen.add(run.setup_id)
            n_new += 1
        batch.append(run)
    if batch:
        yield batch


def _iso(time: str) -> str | None:
    """A time as OpenML writes it, in ISO 8601; None if it can't be read."""
    try:
        return datetime.fromisoformat(time).isoformat()
    except ValueError:
        return None
