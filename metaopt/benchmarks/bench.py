"""The benchmark of samplers: run what is missing, judge, and write it down."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna

from metaopt.benchmarks.data_directory import data_directory
from metaopt.benchmarks.methods import METHODS, Method
from metaopt.benchmarks.options import BenchOptions
from metaopt.benchmarks.plots import plot_curves
from metaopt.benchmarks.progress import Progress
from metaopt.benchmarks.report import build_report
from metaopt.benchmarks.runner import run_missing
from metaopt.benchmarks.sources import RecordedSource, Source
from metaopt.benchmarks.text import report_text
from warmstart.durable import write_atomically


@dataclass(frozen=True)
class BenchReport:
    """What a benchmark found.

    Attributes:
        data: See ``report.build_report``; also the options and versions.
        text: Tables for people.
        files: What was written: the report as JSON, the tables, the pictures.
    """

    data: Mapping[str, Any]
    text: str
    files: Sequence[Path]


def run_benchmark(
    options: BenchOptions,
    *,
    methods: Mapping[str, Method] = METHODS,
    sources: Sequence[Source] | None = None,
    progress: Progress | None = None,
) -> BenchReport:
    """Run what has no result yet, and report on all that the options ask for.

    It may be stopped at any moment and started again: finished studies are not repeated, and
    results of other code, settings or data are not mixed in.

    Args:
        options: What to run, and where the results go.
        methods: Those that are known by name.
        sources: Instead of those that ``options.sources`` names.
        progress: Told of what is done; by default it is printed to standard error.

    Raises:
        ValueError: If a method or source is unknown.
        FileNotFoundError: If the data directory is not there.
    """
    chosen = _chosen_methods(options, methods)
    if sources is None:
        data = data_directory(options.data)
        sources = [
            RecordedSource(name, data, options.n_configurations) for name in options.sources
        ]
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with progress or Progress() as told:
            results = run_missing(options, methods=chosen, sources=sources, progress=told)
    finally:
        optuna.logging.set_verbosity(verbosity)
    report = {
        **build_report(results),
        "options": {name: _plain(value) for name, value in asdict(options).items()},
        "versions": {"python": platform.python_version(), "optuna": optuna.__version__},
    }
    text = report_text(report)
    files = [options.results / "report.json", options.results / "report.txt"]
    write_atomically(files[0], json.dumps(report).encode(), fsync=False)
    write_atomically(files[1], text.encode(), fsync=False)
    if options.plots:
        files += plot_curves(report, options.results)
    return BenchReport(report, text, files)


def _chosen_methods(options: BenchOptions, methods: Mapping[str, Method]) -> list[Method]:
    if options.methods is None:
        return list(methods.values())
    unknown = [name for name in options.methods if name not in methods]
    if unknown:
        raise ValueError(f"Methods {unknown} given; expected some of {sorted(methods)}.")
    return [methods[name] for name in options.methods]


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
