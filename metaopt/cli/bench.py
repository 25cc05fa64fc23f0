"""``metaopt bench``: samplers compared on recorded tasks."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from metaopt.cli.output import JsonOption, print_json


def bench(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Directory of recorded runs and surrogates. Default: $WARMSTART_DATA.",
        ),
    ] = None,
    results: Annotated[
        Path, typer.Option(help="Directory for results; what it has is not run again.")
    ] = Path("bench-results"),
    quick: Annotated[
        bool, typer.Option("--quick", help="A look in two minutes: few tasks, trials and seeds.")
    ] = False,
    gp_check: Annotated[
        bool,
        typer.Option("--gp-check", help="Whether RGPE's Gaussian process is as good as Optuna's."),
    ] = False,
    own_studies: Annotated[
        bool,
        typer.Option(
            "--own-studies",
            help="What five studies of your own are worth: WarmStartSampler(histories=...) beside "
            "TPE and CmaEsSampler(source_trials=...).",
        ),
    ] = False,
    method: Annotated[
        list[str] | None,
        typer.Option(help="A method, such as tpe; may be given several times. Default: all."),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(help="A source, such as svc; may be given several times. Default: all."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="Studies for each task.", min=1)] = None,
    reference_seeds: Annotated[
        int | None, typer.Option(help="The same for TPE, which all is measured against.", min=1)
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Of each study.", min=1)] = None,
    fold: Annotated[
        list[int] | None,
        typer.Option(help="Test on this fold, from 0; may be given several times. Default: all."),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            help="What was done to the histories before training, such as honest, shuffled or "
            "inverted; may be given several times. Default: honest."
        ),
    ] = None,
    pools: Annotated[
        bool | None,
        typer.Option("--pools/--no-pools", help="Whether to use tables as pools of runs, too."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Processes. Default: one for each core.", min=1)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare samplers on tasks that the meta-learner was not trained on.

    It may be stopped at any moment and started again. Tables, every curve as JSON, and pictures
    are written into the directory of results.
    """
    if context.invoked_subcommand:
        return
    from metaopt.benchmarks.bench import run_benchmark
    from metaopt.benchmarks.options import BenchOptions
    from metaopt.benchmarks.sources import POOLS, SOURCES

    chosen = {"--quick": quick, "--gp-check": gp_check, "--own-studies": own_studies}
    given = [option for option, is_given in chosen.items() if is_given]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} given; expected one of them.")
    if source and pools is not None:
        raise ValueError("--source and --pools given; expected one of them.")
    n_jobs = jobs or os.cpu_count() or 1
    if quick:
        options = BenchOptions.quick(results=results, data=data, n_jobs=n_jobs)
    elif gp_check:
        options = BenchOptions.gp_check(results=results, data=data, n_jobs=n_jobs)
    elif own_studies:
        options = BenchOptions.own_studies(results=results, data=data, n_jobs=n_jobs)
    else:
        options = BenchOptions(results=results, data=data, n_jobs=n_jobs)
    changes: dict[str, Any] = {
        "methods": method,
        "sources": source,
        "variants": variant,
        "folds": fold,
        "n_seeds": seeds,
        "n_reference_seeds": reference_seeds,
        "n_trials": trials,
    }
    if pools is not None:
        changes["sources"] = (*SOURCES, *POOLS) if pools else SOURCES
    options = replace(options, **{name: v for name, v in changes.items() if v not in (None, [])})
    report = run_benchmark(options)
    if as_json:
        summary = {name: part for name, part in report.data.items() if name != "runs"}
        print_json({**summary, "files": [str(file) for file in report.files]})
        return
    print(report.text)
    print("Written: " + ", ".join(str(file) for file in report.files))
