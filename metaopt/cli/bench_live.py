"""``metaopt bench live``: methods compared on real fits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from metaopt.cli.data_options import MaxColumnsOption, MaxPerFamilyOption, MaxTreesOption
from metaopt.cli.output import JsonOption, print_json


def bench_live(
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="A CSV or Parquet file, or a directory of such, perhaps with an index.csv; may "
            "be given several times. Default: the data sets that come with scikit-learn."
        ),
    ] = None,
    target: Annotated[str, typer.Option(help="The column of the target in these.")] = "target",
    store: Annotated[
        list[Path] | None,
        typer.Option(
            help="A history store to train on; may be given several times. Default: the histories "
            "that come with metaopt."
        ),
    ] = None,
    results: Annotated[
        Path, typer.Option(help="Directory for results; what it has is not run again.")
    ] = Path("bench-results/live"),
    quick: Annotated[
        bool,
        typer.Option("--quick", help="A look in two minutes: LightGBM with few trees and trials."),
    ] = False,
    estimator: Annotated[
        list[str] | None,
        typer.Option(
            help="Tune this one, such as SVC; may be given several times. Default: all that there "
            "are histories of."
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="A method, such as tpe; may be given several times. Default: all."),
    ] = None,
    max_data: Annotated[
        int | None,
        typer.Option(
            help="Data sets of each kind at most, drawn by their names, a family at a time.",
            min=1,
        ),
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Of each study. Default: 40.", min=1)] = None,
    seeds: Annotated[
        int | None,
        typer.Option(help="Test splits of each data set, with studies each. Default: 3.", min=1),
    ] = None,
    folds: Annotated[int, typer.Option(help="Of the cross-validation.", min=2)] = 3,
    family_folds: Annotated[
        int, typer.Option(help="Into which the families are split.", min=2)
    ] = 5,
    max_rows: Annotated[
        int | None, typer.Option(help="Of more rows to tune on a sample is taken. Default: 1500.")
    ] = None,
    max_columns: MaxColumnsOption = None,
    max_per_family: MaxPerFamilyOption = None,
    max_trees: MaxTreesOption = None,
    fit_seconds: Annotated[
        float, typer.Option(help="A fit in a study that takes more processor time is killed.")
    ] = 10.0,
    jobs: Annotated[
        int | None, typer.Option(help="Processes. Default: one for each core.", min=1)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare methods on real fits, by cross-validation and by a test split that none has seen.

    Families of data sets take turns: those tested are left out of training, and so is what looks
    like them. It may be stopped at any moment and started again.
    """
    from metaopt.benchmarks.live.bench import run_live
    from metaopt.benchmarks.live.options import HISTORIES, LiveOptions
    from metaopt.collect.command import data_asked

    data_sets, left_out = data_asked(
        data or (),
        target=target,
        bundled=not data,
        max_columns=max_columns,
        max_per_family=max_per_family,
    )
    asked = {
        "n_data": max_data,
        "n_trials": trials,
        "n_seeds": seeds,
        "max_rows": max_rows,
        "max_trees": max_trees,
        "estimators": estimator,
        "methods": method,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    options = LiveOptions(
        results=results,
        stores=store or (HISTORIES,),
        n_folds=folds,
        n_family_folds=family_folds,
        fit_seconds=fit_seconds,
        n_jobs=jobs or os.cpu_count() or 1,
        **{**(LiveOptions.quick_settings() if quick else {}), **given},
    )
    report = run_live(data_sets, options)
    if as_json:
        curves = ("curve", "low", "high", "test_curve")
        short = {
            name: {m: {k: v for k, v in f.items() if k not in curves} for m, f in methods.items()}
            for name, methods in report.data["estimators"].items()
        }
        files = [str(file) for file in report.files]
        print_json({**report.data, "estimators": short, "data_left_out": left_out, "files": files})
        return
    for line in left_out:
        print(f"left out: {line}")
    print(report.text)
    print("Written: " + ", ".join(str(file) for file in report.files))
