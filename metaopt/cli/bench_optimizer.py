"""``metaopt bench optimizer``: the learned optimizer beside others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from metaopt.cli.output import JsonOption, print_json


def bench_optimizer(
    results: Annotated[
        Path, typer.Option(help="Directory for results; what it has is not run again.")
    ] = Path("bench-results/optimizers"),
    quick: Annotated[
        bool, typer.Option("--quick", help="A look in a minute: two tasks, one rival.")
    ] = False,
    rival: Annotated[
        list[str] | None,
        typer.Option(help="Such as adamw-cosine; may be given several times. Default: all."),
    ] = None,
    tier: Annotated[
        list[str] | None,
        typer.Option(
            help="seeds, data, architectures or scale; may be given several times. Default: all."
        ),
    ] = None,
    tasks: Annotated[int | None, typer.Option(help="Most of each tier.", min=1)] = None,
    seeds: Annotated[int | None, typer.Option(help="Trainings of each task.", min=1)] = None,
    settings: Annotated[
        int | None, typer.Option(help="Of which a rival's best is taken.", min=1)
    ] = None,
    training_tasks: Annotated[
        int | None,
        typer.Option(help="Meta-training tasks to choose a rival's one setting on.", min=1),
    ] = None,
    horizon: Annotated[int | None, typer.Option(help="Steps of a training.", min=4)] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Of the learned optimizer. Default: those shipped.")
    ] = None,
    device: Annotated[str, typer.Option(help="Such as cpu or cuda.")] = "cpu",
    jobs: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    as_json: JsonOption = False,
) -> None:
    """Compare the learned optimizer with others, in time to their best validation loss.

    Each rival at its library's defaults, at one setting chosen on meta-training tasks, and tuned
    for each task. It may be stopped at any moment and started again.
    """
    from metaopt.benchmarks.optimizers import OptimizerBenchOptions, run_benchmark

    make = OptimizerBenchOptions.quick if quick else OptimizerBenchOptions
    changes: dict[str, Any] = {
        "rivals": rival,
        "tiers": tier,
        "n_tasks": tasks,
        "n_seeds": seeds,
        "n_settings": settings,
        "n_training_tasks": training_tasks,
        "horizon": horizon,
    }
    options = replace(
        make(results=results, device=device, n_jobs=jobs, weights=weights),
        **{name: value for name, value in changes.items() if value not in (None, [])},
    )
    report = run_benchmark(options, report=None if as_json else _print_progress)
    if as_json:
        print_json({**report.data, "files": [str(file) for file in report.files]})
        return
    print(report.text)
    print("Written: " + ", ".join(str(file) for file in report.files))


def _print_progress(phase: str, done: int, of: int) -> None:
    if done == of or done % max(1, of // 20) == 0:
        print(f"{phase}: {done} of {of} trainings", flush=True)
