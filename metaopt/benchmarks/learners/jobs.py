"""The benchmark as independent jobs: each a process of its own, each result a file of its own."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from metaopt.benchmarks.learners.inputs import N_FOLDS, POOL_SOURCES, read_inputs


@dataclass(frozen=True)
class JobOptions:
    """What is asked of every job.

    Attributes:
        inputs: File of prepared inputs; None to make them.
        data: Directory of recorded runs; None: as ``data_directory`` finds it.
        device: Where to train.
        seed: Of all training.
        share: Of the outer steps; less than 1 for a quick look.
    """

    inputs: Path | None = None
    data: Path | None = None
    device: str = "cpu"
    seed: int = 0
    share: float = 1.0


#: Longest first, as far as known, so that none is left over at the end.
PARTS: Final = ("proposer", "sinusoids", "digits", "histories", "speed")


def job_names(parts: Sequence[str], *, with_pools: bool, device: str) -> list[str]:
    """The names of all jobs of some parts, such as ``"speed/processes"``."""
    from metaopt.benchmarks.learners.digits import DIGIT_JOBS, SHOTS, SPLITS
    from metaopt.benchmarks.learners.families import FAMILIES
    from metaopt.benchmarks.learners.sinusoids import SINE_JOBS

    pooled = [f"{source}/{fold}" for source in POOL_SOURCES for fold in range(N_FOLDS)]
    names = {
        "proposer": pooled if with_pools else [],
        "sinusoids": list(SINE_JOBS),
        "digits": [
            f"{split}/{n}-shot/{learner}"
            for split in SPLITS
            for n in SHOTS
            for learner in (*DIGIT_JOBS, "references")
        ],
        "histories": [f"{source}/{family}" for source in POOL_SOURCES for family in FAMILIES]
        if with_pools
        else [],
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
        n_jobs: Processes at once. The jobs that measure speed run alone, after all others.
        told: Called with the name and result of each job that ends.
    """
    directory.mkdir(parents=True, exist_ok=True)
    left = [name for name in names if not _file_of(directory, name).exists()]
    timed = [name for name in left if name.startswith("speed/")]
    with ProcessPoolExecutor(n_jobs, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(run_job, name, options): name for name in left if name not in timed}
        failures = []
        for ended in as_completed(running):
            failure = ended.exception()
            if isinstance(failure, Exception):
                failures.append(failure)
            else:
                _keep(directory, running[ended], ended.result(), told)
    if failures:
        raise ExceptionGroup(f"{len(failures)} of {len(running)} jobs failed", failures)
    for name in timed:
        _keep(directory, name, run_job(name, options), told)


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


@lru_cache(maxsize=1)
def _inputs(options: JobOptions) -> Mapping[str, Any]:
    return read_inputs(options.inputs, options.data)


def _sinusoids(name: str, options: JobOptions) -> dict[str, Any]:
    from metaopt.benchmarks.learners.sinusoids import SINE_JOBS, run_sine_job

    job = SINE_JOBS[name]
    return run_sine_job(job, seed=options.seed, share=options.share, device=options.device)


def _digits(name: str, options: JobOptions) -> dict[str, Any]:
    from metaopt.benchmarks.learners.digits import DIGIT_JOBS, run_digit_job, run_references

    split, shots, learner = name.split("/")
    n_shots = int(shots.removesuffix("-shot"))
    if learner == "references":
        return run_references(_inputs(options), split, n_shots, seed=options.seed)
    return run_digit_job(
        DIGIT_JOBS[learner],
        _inputs(options),
        split,
        n_shots,
        seed=options.seed,
        share=options.share,
        device=options.device,
    )


def _proposer(name: str, options: JobOptions) -> dict[str, Any]:
    from metaopt.benchmarks.learners.proposer import run_proposer

    source, _, fold = name.partition("/")
    return run_proposer(
        _inputs(options),
        source,
        int(fold),
        seed=options.seed,
        share=options.share,
        device=options.device,
    )


def _histories(name: str, options: JobOptions) -> dict[str, Any]:
    from metaopt.benchmarks.learners.families import run_family

    source, _, family = name.partition("/")
    return run_family(
        _inputs(options),
        source,
        family,
        seed=options.seed,
        share=options.share,
        device=options.device,
    )


def _speed(name: str, options: JobOptions) -> dict[str, Any]:
    from metaopt.benchmarks.learners.speed import run_processes, run_speed

    if name == "processes":
        return run_processes(share=options.share)
    return run_speed(share=options.share, device=name)


_RUNNERS: Final[Mapping[str, Callable[[str, JobOptions], dict[str, Any]]]] = {
    "sinusoids": _sinusoids,
    "digits": _digits,
    "proposer": _proposer,
    "histories": _histories,
    "speed": _speed,
}
