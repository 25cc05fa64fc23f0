"""``metaopt collect``: runs of our own into a history store."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from metaopt.cli.data_options import MaxColumnsOption, MaxPerFamilyOption, MaxTreesOption
from metaopt.cli.output import JsonOption, print_json


def collect(
    store: Annotated[Path, typer.Option(help="Directory of the history store to add to.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="A CSV or Parquet file, or a directory of such, perhaps with an index.csv; may "
            "be given several times."
        ),
    ] = None,
    target: Annotated[str, typer.Option(help="The column of the target in these.")] = "target",
    licence: Annotated[str, typer.Option(help="Of the data whose licence is not said.")] = "",
    bundled: Annotated[
        bool, typer.Option("--bundled", help="Also the data sets that come with scikit-learn.")
    ] = False,
    generated: Annotated[
        bool, typer.Option("--generated", help="Also generated regressions.")
    ] = False,
    openml: Annotated[
        list[int] | None,
        typer.Option(help="Id of a data set on OpenML; may be given several times."),
    ] = None,
    server: Annotated[
        str | None, typer.Option(help="Address of OpenML's REST API, if another one.")
    ] = None,
    estimator: Annotated[
        list[str] | None,
        typer.Option(
            help="Run this one, such as SVC, or SVC:50 for 50 configurations; may be given "
            "several times. Default: all."
        ),
    ] = None,
    configurations: Annotated[
        int, typer.Option(help="Of each estimator on each data set: the defaults, then draws.")
    ] = 50,
    variations: Annotated[
        int, typer.Option(min=0, help="Beside these, as many with 1 to 3 values off the defaults.")
    ] = 0,
    proposals: Annotated[
        int,
        typer.Option(
            min=0,
            help="Beside these, as many of the sampler's own proposals, kept from what it has "
            "learned on data that look like these.",
        ),
    ] = 0,
    artifact: Annotated[
        Path | None, typer.Option(help="For these; the shipped one by default.")
    ] = None,
    max_rows: Annotated[int, typer.Option(help="Of more rows a sample is taken.")] = 1500,
    max_columns: MaxColumnsOption = None,
    max_per_family: MaxPerFamilyOption = None,
    max_trees: MaxTreesOption = None,
    folds: Annotated[int, typer.Option(help="Of the cross-validation.")] = 3,
    fit_seconds: Annotated[
        float, typer.Option(help="A fit that takes more processor time is killed.")
    ] = 10.0,
    run_seconds: Annotated[
        float | None,
        typer.Option(help="A run is stopped after a fold if all folds would take longer."),
    ] = None,
    memory: Annotated[
        int | None, typer.Option(help="Megabytes that the process of a fit may take.")
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes side by side.")] = 1,
    backend: Annotated[
        str | None, typer.Option(help="Of joblib, such as loky, dask or ray.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Begin no run after this time; go on another day.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of samples, folds and draws.")] = 0,
    compact: Annotated[
        bool, typer.Option("--compact", help="Afterwards, put the store into few files.")
    ] = False,
    merge: Annotated[
        list[Path] | None,
        typer.Option(help="First add the histories of another store; may be given several times."),
    ] = None,
    summary: Annotated[
        bool, typer.Option("--summary", help="Run nothing: count what is in the store.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run estimators on data sets, and add what is measured to a history store.

    It may be killed at any moment and started again: what is stored is not run twice.
    """
    from metaopt.benchmarks.progress import Progress
    from metaopt.collect import command
    from metaopt.collect.collector import Options
    from metaopt.collect.sandbox import Limits, Split

    command.merge(merge or (), store)
    if summary or (merge and not (data or bundled or generated or openml)):
        counts = command.summary(store, compact=compact)
        if as_json:
            print_json(counts)
        else:
            print("\n".join(command.summary_lines(counts)))
        return
    data_sets, left_out = command.data_asked(
        data or (),
        target=target,
        licence=licence,
        bundled=bundled,
        generated=generated,
        openml=openml or (),
        server=server,
        max_columns=max_columns,
        max_per_family=max_per_family,
    )
    options = Options(
        max_rows=max_rows,
        split=Split(folds, seed),
        limits=Limits(fit_seconds, float("inf") if run_seconds is None else run_seconds, memory),
        max_trees=max_trees,
        variations=variations,
        proposals=command.proposals_asked(proposals, artifact),
        seed=seed,
    )
    with Progress() as shown:
        report = command.run(
            data_sets,
            command.estimators_asked(estimator or (), configurations),
            store,
            options=options,
            jobs=jobs,
            backend=backend,
            seconds=seconds,
            compact=compact,
            report=lambda done, total, where: shown.advance("collecting", done, total, where),
        )
    if as_json:
        print_json({**asdict(report), "left_out": left_out, "store": str(store)})
        return
    for line in left_out:
        print(f"left out: {line}")
    for line in command.report_lines(report):
        print(line)
