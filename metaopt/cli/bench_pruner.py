"""``metaopt bench pruner``: pruners compared on learning curves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from metaopt.cli.output import JsonOption, print_json


def bench_pruner(
    data: Annotated[
        Path | None,
        typer.Option(help="Directory with LCBench's surrogate. Default: $WARMSTART_DATA."),
    ] = None,
    results: Annotated[
        Path, typer.Option(help="Directory for results; what it has is not run again.")
    ] = Path("bench-results/pruners"),
    pruner: Annotated[
        list[str] | None,
        typer.Option(
            help="none, median, hyperband, halving or warmstart; may be given several times. "
            "Default: all."
        ),
    ] = None,
    sampler: Annotated[
        list[str] | None,
        typer.Option(help="tpe or warmstart; may be given several times. Default: tpe."),
    ] = None,
    trials: Annotated[int, typer.Option(help="Of each study.", min=1)] = 50,
    seeds: Annotated[int, typer.Option(help="Studies of each task.", min=1)] = 3,
    as_json: JsonOption = False,
) -> None:
    """Compare pruners on LCBench's tasks: final regret, and the epochs that it cost.

    The families that a pruner is tested on are left out of its training. It may be stopped at any
    moment and started again.
    """
    import optuna

    from metaopt.benchmarks.data_directory import data_directory
    from metaopt.benchmarks.learning_curves import curve_tasks
    from metaopt.benchmarks.pruner_report import as_text, summary
    from metaopt.benchmarks.pruners import PRUNERS, run_benchmark
    from warmstart.durable import write_atomically

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers = sampler or ["tpe"]
    found = run_benchmark(
        list(curve_tasks(data_directory(data))),
        results,
        pruners=pruner or list(PRUNERS),
        samplers=samplers,
        n_trials=trials,
        n_seeds=seeds,
    )
    rows = {name: summary(found, name) for name in samplers}
    path = results / "summary.json"
    write_atomically(path, json.dumps(rows, indent=2).encode(), fsync=False)
    if as_json:
        print_json(rows)
        return
    for name in samplers:
        print(as_text(rows[name], name))
    print(f"Written: {path}")
