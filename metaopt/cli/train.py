"""``metaopt train``: from histories to an artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metaopt.cli.output import JsonOption, print_json


def train(
    out: Annotated[Path, typer.Option(help="The artifact to write; replaced if it is there.")],
    store: Annotated[
        list[Path] | None,
        typer.Option(help="A history store to learn from; may be given several times."),
    ] = None,
    surrogates: Annotated[
        Path | None, typer.Option(help="A data directory with surrogates to learn from.")
    ] = None,
    estimator: Annotated[
        list[str] | None,
        typer.Option(
            help="Learn this one, such as SVC; may be given several times. Default: all."
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            help="Leave out a task: its id, name, data set or family; may be given several times."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all random choices.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Learn from histories, and write an artifact for WarmStartSampler.

    The same histories and seed make the same file.
    """
    from metaopt.training import train_artifact
    from metaopt.training.selection import read_histories

    report = train_artifact(
        [history for path in store for history in read_histories(path)] if store else None,
        surrogates,
        out=out,
        estimators=estimator or None,
        exclude=exclude or (),
        seed=seed,
        progress=True,
    )
    if as_json:
        print_json(
            {
                "path": str(report.path),
                "digest": report.digest,
                "bytes": report.n_bytes,
                "n_histories": report.n_histories,
                "n_excluded": report.n_excluded,
                "left_out": [
                    {"source": key.source, "task": key.task, "reason": reason}
                    for key, reason in ((o.key, o.reason) for o in report.left_out)
                ],
                "card": report.card,
            }
        )
        return
    for name, learned in report.card["estimators"].items():
        print(f"{name}: {learned['n_tasks']} tasks, {learned['n_trials']} trials")
    for left_out in report.left_out:
        print(f"left out: {left_out.key.task} of {left_out.key.source}: {left_out.reason}")
    print(f"{report.path}: {report.n_bytes} bytes, digest {report.digest}")
