"""The whole benchmark: jobs, one JSON of all results, one text."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metaopt.benchmarks.learners.inputs import POOL_SOURCES, read_inputs
from metaopt.benchmarks.learners.jobs import JobOptions, job_names, kept_results, run_jobs
from metaopt.benchmarks.learners.report import report


def run_learner_benchmark(
    out: Path,
    parts: Sequence[str],
    options: JobOptions,
    *,
    n_jobs: int = 1,
    only_report: bool = False,
) -> str:
    """Run some parts, and write ``learners.json`` and ``learners.txt``.

    It may be stopped and started again: ``out/jobs`` keeps the result of each job.

    Args:
        out: Directory of the results.
        parts: Of ``jobs.PARTS``.
        options: Of all jobs.
        n_jobs: Processes at once.
        only_report: Whether to run nothing, and report what is there.

    Returns:
        The text.
    """
    inputs = read_inputs(options.inputs, options.data)
    with_pools = f"{POOL_SOURCES[0]}/x" in inputs
    names = job_names(parts, with_pools=with_pools, device=options.device)
    if not only_report:
        run_jobs(names, options, directory=out / "jobs", n_jobs=n_jobs, told=_say)
    results = kept_results(names, out / "jobs")
    text = report(results)
    (out / "learners.json").write_text(json.dumps(results, indent=1) + "\n")
    (out / "learners.txt").write_text(text + "\n")
    return text


def _say(name: str, result: Mapping[str, Any]) -> None:
    print(f"{name}: {result['seconds']:.0f} s", file=sys.stderr, flush=True)
