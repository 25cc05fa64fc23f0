"""The whole benchmark: jobs, one JSON of all results, one text."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from metaopt.benchmarks.learners.inputs import has_pools, read_inputs, write_inputs
from metaopt.benchmarks.learners.jobs import (
    PARTS_WITH_INPUTS,
    JobOptions,
    job_names,
    kept_results,
    run_jobs,
)
from metaopt.benchmarks.learners.report import report

RESULTS: Final = "learners.json"


def run_learner_benchmark(
    out: Path,
    parts: Sequence[str],
    options: JobOptions,
    *,
    data: Path | None = None,
    n_jobs: int = 1,
    only_report: bool = False,
) -> str:
    """Run some parts, and write ``learners.json`` and ``learners.txt``.

    It may be stopped and started again: ``out/jobs`` keeps the result of each job.

    Args:
        out: Directory of the results.
        parts: Of ``jobs.PARTS``.
        options: Of all jobs; if no inputs are named, they are made once and kept in ``out``.
        data: Directory of recorded runs to make inputs of; None: as ``data_directory`` finds it.
        n_jobs: Processes at once.
        only_report: Whether to run nothing, and report what is there.

    Returns:
        The text.
    """
    with_pools = False
    if set(parts) & PARTS_WITH_INPUTS:
        options = replace(options, inputs=options.inputs or out / "inputs.npz")
        assert options.inputs is not None
        if not options.inputs.exists():
            write_inputs(options.inputs, data)
        with_pools = has_pools(read_inputs(options.inputs))
    names = job_names(parts, with_pools=with_pools, device=options.training.device)
    if not only_report:
        run_jobs(names, options, directory=out / "jobs", n_jobs=n_jobs, told=_say)
    results = kept_results(names, out / "jobs")
    text = report(results)
    (out / RESULTS).write_text(json.dumps(results, indent=1) + "\n")
    (out / "learners.txt").write_text(text + "\n")
    return text


def _say(name: str, result: Mapping[str, Any]) -> None:
    print(f"{name}: {result['seconds']:.0f} s", file=sys.stderr, flush=True)
