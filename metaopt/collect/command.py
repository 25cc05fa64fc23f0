"""What the command ``collect`` does with its arguments, whatever reads them from a shell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metaopt.collect.collector import CollectReport, Options, Report, collect
from metaopt.collect.configurations import Proposals
from metaopt.collect.data_set import DataSet
from metaopt.collect.duplicates import with_shared_families
from metaopt.collect.preparation import n_prepared_columns
from metaopt.collect.sources import bundled_data, generated_data, openml_data, read_data
from metaopt.collect.summary import summarise
from warmstart.artifact import read_artifact
from warmstart.errors import HistoryError
from warmstart.knowledge import shipped_artifact
from warmstart.search_spaces import tunable_estimators
from warmstart.store import HistoryStore


def estimators_asked(names: Sequence[str], configurations: int) -> dict[str, int]:
    """How many configurations of each estimator: ``NAME`` or ``NAME:N``; none: all there are.

    Raises:
        HistoryError: If a number is none.
    """
    asked = {}
    for name in names or tunable_estimators():
        short, _, number = name.partition(":")
        try:
            asked[short] = int(number) if number else configurations
        except ValueError:
            raise HistoryError(
                f"--estimator {name} given; expected NAME or NAME:N, such as SVC:50."
            ) from None
    return asked


def proposals_asked(n: int, artifact: Path | None) -> Proposals | None:
    """The sampler's proposals asked for: of an artifact's, or of the shipped one's.

    Raises:
        ArtifactError: If there is no artifact at the path, or it is damaged or foreign.
    """
    if n < 1:
        return None
    return Proposals(n, read_artifact(artifact or shipped_artifact()))


def data_asked(
    paths: Sequence[Path],
    *,
    target: str = "target",
    licence: str = "",
    bundled: bool = False,
    generated: bool = False,
    openml: Sequence[int] = (),
    server: str | None = None,
    max_columns: int | None = None,
    max_per_family: int | None = None,
) -> tuple[list[DataSet], list[str]]:
    """The data sets asked for, those that share data under one family; and what is left out.

    Raises:
        HistoryError: If there are none.
    """
    listed = [data for path in paths for data in read_data(path, target=target, licence=licence)]
    listed += bundled_data() if bundled else []
    listed += generated_data() if generated else []
    listed += openml_data(openml, server=server) if openml else []
    kept: list[DataSet] = []
    left_out = []
    for data in with_shared_families(listed):
        n_columns = n_prepared_columns(data, "encoded")
        if max_columns is not None and n_columns > max_columns:
            left_out.append(f"{data.name}: {n_columns} columns")
        elif (
            max_per_family is not None
            and [k.family for k in kept].count(data.family) >= max_per_family
        ):
            left_out.append(f"{data.name}: more of family {data.family}")
        else:
            kept.append(data)
    if not kept:
        raise HistoryError("No data sets given or left; expected at least one.")
    return kept, left_out


def run(
    data_sets: Sequence[DataSet],
    estimators: dict[str, int],
    store: Path,
    *,
    options: Options,
    jobs: int = 1,
    backend: str | None = None,
    seconds: float | None = None,
    compact: bool = False,
    report: Report | None = None,
) -> CollectReport:
    """Collect into the store at a path, and tidy it afterwards if asked to."""
    with HistoryStore(store) as opened:
        done = collect(
            data_sets,
            estimators,
            opened,
            options=options,
            n_jobs=jobs,
            backend=backend,
            seconds=math.inf if seconds is None else seconds,
            report=report,
        )
        if compact:
            opened.compact()
        return done


def merge(stores: Sequence[Path], into: Path) -> None:
    """Add the histories of other stores; runs that are there already stay as they are.

    Raises:
        HistoryError: If there is no store at a path.
    """
    for path in stores:
        with HistoryStore(path, create=False) as other, HistoryStore(into) as store:
            known = store.run_ids()
            for history in other.histories():
                new = [not run_id or run_id not in known for run_id in history.run_ids]
                store.add(history.subset(np.array(new, dtype=bool)))


def summary(store: Path, *, compact: bool = False) -> dict[str, dict[str, Any]]:
    """Counts of what the store at a path holds; see ``summarise``.

    Raises:
        HistoryError: If there is no store.
    """
    with HistoryStore(store, create=False) as opened:
        if compact:
            opened.compact()
        return summarise(opened.histories())


def summary_lines(counts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Counts in words, a line for each estimator."""
    return [
        f"{name}: {n['n_trials']} trials ({n['n_failed']} failed, {n['n_pruned']} stopped) on "
        f"{n['n_data_sets']} data sets of {n['n_families']} families, {n['fewest_trials']} or "
        f"more each, {n['median_trials']:g} in the middle; {n['n_default']} of defaults, "
        f"{n['n_variation']} variations of these, {n['n_space_filling']} space-filling, "
        f"{n['n_warmstart']} proposed by the sampler"
        for name, n in counts.items()
    ]


def report_lines(report: CollectReport) -> list[str]:
    """A report in words."""
    ended = ", ".join(f"{n} {state}" for state, n in sorted(report.n_by_state.items()))
    lines = [
        f"{report.n_planned} runs: {report.n_known} known before, {report.n_stored} stored now"
        + (f" ({ended})" if ended else "")
        + f", in {report.seconds:.0f} s."
    ]
    lines += [f"{name}: {s:.2f} s a run" for name, s in report.seconds_per_run.items()]
    return lines
