"""``metaopt openml``: runs from OpenML into a history store."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from metaopt.cli.output import JsonOption, print_json


def openml(
    flow: Annotated[
        list[int],
        typer.Option(
            help="Id of a flow, such as 6969 (random forest), 6970 (AdaBoost) or 7707 (support "
            "vector machine); may be given several times."
        ),
    ],
    store: Annotated[Path, typer.Option(help="Directory of the history store to add to.")],
    task: Annotated[
        list[int] | None,
        typer.Option(help="Id of a task; may be given several times. Default: all of a flow's."),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(help="Address of the REST API. Default: the one openml is configured for."),
    ] = None,
    apikey: Annotated[
        str | None, typer.Option(envvar="OPENML_APIKEY", help="Reading needs none.")
    ] = None,
    measure: Annotated[
        str, typer.Option(help="OpenML's name of what the loss is made of.")
    ] = "predictive_accuracy",
    requests_per_second: Annotated[
        float, typer.Option(help="The most requests to send; 0: as fast as the server answers.")
    ] = 10.0,
    retries: Annotated[int, typer.Option(help="How often to repeat a request that fails.")] = 6,
    compact: Annotated[
        bool, typer.Option("--compact", help="Afterwards, put the store into few files.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Add the runs of OpenML flows to a history store.

    It may be stopped at any moment and started again: what is stored is not fetched twice.
    """
    from warmstart.openml import RetryPolicy, fetch_histories
    from warmstart.store import HistoryStore

    histories = HistoryStore(store)
    report = fetch_histories(
        flow,
        store=histories,
        tasks=task or None,
        server=server,
        apikey=apikey,
        measure=measure,
        requests_per_second=requests_per_second or None,
        retries=RetryPolicy(n_retries=retries),
    )
    if compact:
        histories.compact()
    if as_json:
        print_json({**asdict(report), "store": str(store), "n_trials": len(histories)})
        return
    print(
        f"{report.n_listed} runs listed: {report.n_stored} stored, {report.n_known} known before, "
        f"{report.n_skipped} skipped."
    )
    print(
        f"{report.n_requests} requests, {report.n_retries} of them repeated, in "
        f"{report.seconds:.1f} s. {store} holds {len(histories)} trials."
    )
