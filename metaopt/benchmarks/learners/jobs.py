"""The benchmark as independent jobs: each a process of its own, each result a file of its own."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from metaopt.benchmarks.learners.inputs import N_FOLDS, POOL_SOURCES, read_inputs
from metaopt.benchmarks.learners.training import Training


@dataclass(frozen=True)
class JobOptions:
    """What is asked of every job.

    Attributes:
        inputs: File that ``write_inputs`` made; needed by ``PARTS_WITH_INPUTS``.
        training: Of all jobs; ``run_jobs`` gives each a checkpoint of its own.
    """

    inputs: Path | None = None
    training: Training = field(default_factory=Training)


#: Longest first, as far as known, so that none is left over at the end.
PARTS: Final = ("proposer", "sinusoids", "digits", "histories", "embeddings", "speed")
PARTS_WITH_INPUTS: Final = frozenset({"proposer", "digits", "histories", "embeddings"})


def job_names(parts: Sequence[str], *, with_pools: bool, device: str) -> list[str]:
    """The names of all jobs of some parts, such as ``"speed/processes"``."""
    from metaopt.benchmarks.learners.digits import DIGIT_JOBS, SHOTS
    from metaopt.benchmarks.learners.families import FAMILIES
    from metaopt.benchmarks.learners.sinusoids import SINE_JOBS

    pooled = [f"{source}/{fold}" for source in POOL_SOURCES for fold in range(N_FOLDS)]
    names = {
        "proposer": pooled if with_pools else [],
        "sinusoids": list(SINE_JOBS),
        "digits": [*DIGIT_JOBS, *(f"references/{n}-shot" for n in SHOTS)],
        "histories": [f"{source}/{family}" for source in POOL_SOURCES for family in FAMILIES]
        if with_pools
        else [],
        "embeddings": list(POOL_SOURCES) if with_pools else [],
        "speed": [*sorted({"cpu", device}), "processes"],
    }
    return [f"{part}/{name}" for part in PARTS if part in parts for name in names[part]]


def run_job(name: str, options: JobOptions) -> dict[str, Any]:
    """Run one job in this process, on one thread."""
    import torch

    torch.set_num_threads(1)
    part, _, rest = name.partition("/")
    start = time.perf_counter()
    result = _RUNNERS[part](rest, options)
    return {"job": name, "seconds": time.perf_counter() - start, **result}


def run_jobs(
    names: Sequence[str],
    options: JobOptions,
    *,
    directory: Path,
    n_jobs: int,
    told: Callable[[str, Mapping[str, Any]], None],
) -> None:
    """Run jobs in processes; what the directory has already is not run again.

    Args:
        names: Of ``job_names``.
        options: Of all.
        directory: Where each result is written as JSON.
        n_jobs: Processes at once; with 1, all run in this one. The jobs that measure speed run
            alone, after all others.
        told: Called with the name and result of each job that ends.
    """
    directory.mkdir(parents=True, exist_ok=True)
    left = [name for name in names if not _file_of(directory, name).exists()]
    alone = [name for name in left if n_jobs == 1 or name.startswith("speed/")]

    def options_of(name: str) -> JobOptions:
        kept = _file_of(directory, name).with_suffix(".pt")
        return replace(options, training=replace(options.training, checkpoint=kept))

    failures = []
    with ProcessPoolExecutor(n_jobs, mp_context=get_context("spawn")) as pool:
        running = {
            pool.submit(run_job, name, options_of(name)): name
            for name in left
            if name not in alone
        }
        for ended in as_completed(running):
            failure = ended.exception()
            if isinstance(failure, Exception):
                failures.append(failure)
            else:
                _keep(directory, running[ended], ended.result(), told)
    for name in alone:
        _keep(directory, name, run_job(name, options_of(name)), told)
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {len(running)} jobs failed", failures)


def kept_results(names: Sequence[str], directory: Path) -> list[dict[str, Any]]:
    """The results of those jobs that have ended, in the order of their names."""
    files = [_file_of(directory, name) for name in names]
    return [json.loads(file.read_text()) for file in files if file.exists()]


def _keep(
    directory: Path,
    name: str,
    result: Mapping[str, Any],
    told: Callable[[str, Mapping[str, Any]], None],
) -> None:
    path = _file_of(directory, name)
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(result))
    os.replace(beside, path)
    told(name, result)


def _file_of(directory: Path, name: str) -> Path:
    return directory / (re.sub(r"[^A-Za-z0-9.=-]+", "_", name) + ".json")


def _inputs(options: JobOptions) -> Mapping[str, Any]:
    assert options.inputs is not None, "run_learner_benchmark makes them"
    return read_inputs(options.inputs)


def _sinusoids(name: str, options: JobOptions) -> dict[str, Any]:
    from metaopt.benchmarks.learners.sinusoids import SINE_JOBS, run_sine_job

    return run_sine_job(SINE_JOBS[name], options.training)


def _digits(name: str, options: JobOptions) -> dict[str, Any]:
    from metaopt.benchmarks.learners.digits import DIGIT_JOBS, run_digit_job, run_references

    inputs = _inputs(options)
    if name in DIGIT_JOBS:
        return run_digit_job(DIGIT_JOBS[name], inputs, options.training)
    shots = name.partition("/")[2].removesuffix("-shot")
    return run_references(inputs, int(shots), seed=options.training.seed)


def _proposer(name: str, options: JobOptions) -> dict[str, Any]:
    from metaopt.benchmarks.learners.proposer import run_proposer

    source, _, fold = name.partition("/")
    return run_proposer(_inputs(options), source, int(fold), options.training)


def _histories(name: str, options: JobOptions) -> dict[str, Any]:
    from metaopt.benchmarks.learners.families import run_family

    source, _, family = name.partition("/")
    return run_family(_inputs(options), source, family, options.training)


def _embeddings(name: str, options: JobOptions) -> dict[str, Any]:
    from metaopt.benchmarks.learners.embeddings import run_embedding

    return run_embedding(_inputs(options), name, options.training)


def _speed(name: str, options: JobOptions) -> dict[str, Any]:
    from metaopt.benchmarks.learners.speed import run_processes, run_speed

    share = options.training.share
    return run_processes(share=share) if name == "processes" else run_speed(name, share=share)


_RUNNERS: Final[Mapping[str, Callable[[str, JobOptions], dict[str, Any]]]] = {
    "sinusoids": _sinusoids,
    "digits": _digits,
    "proposer": _proposer,
    "histories": _histories,
    "embeddings": _embeddings,
    "speed": _speed,
}
