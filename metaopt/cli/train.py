"""``metaopt train``: from histories to an artifact."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from metaopt.cli.output import JsonOption, print_json

if TYPE_CHECKING:
    from metaopt.training import LeftOut

_MOST_NAMED: Final = 5  # tasks in one line; JSON has all


def train(
    context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option(help="The artifact to write; replaced if it is there. Must be given."),
    ] = None,
    store: Annotated[
        list[Path] | None,
        typer.Option(help="A history store to learn from; may be given several times."),
    ] = None,
    surrogates: Annotated[
        Path | None, typer.Option(help="A data directory with surrogates to learn from.")
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option("--from", help="An artifact to add the histories to. Default: start anew."),
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
    fewest_tasks: Annotated[
        int, typer.Option(help="Leave out an estimator with fewer tasks than that.")
    ] = 1,
    seed: Annotated[int, typer.Option(help="Of all random choices.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Learn from histories, and write an artifact for WarmStartSampler.

    The same histories and seed make the same file. With --from, only what is new is learned.
    """
    if context.invoked_subcommand:
        return
    if out is None:
        raise typer.BadParameter("Missing option '--out': the artifact to write.")
    from metaopt.training import train_artifact
    from metaopt.training.selection import read_histories

    report = train_artifact(
        [history for path in store for history in read_histories(path)] if store else None,
        surrogates,
        out=out,
        estimators=estimator or None,
        exclude=exclude or (),
        fewest_tasks=fewest_tasks,
        seed=seed,
        base=base,
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
                    {**asdict(left_out.key), "reason": left_out.reason}
                    for left_out in report.left_out
                ],
                "added": {
                    name: {
                        "n_histories": len(extension.added),
                        "n_replaced": extension.n_replaced,
                        "old_tasks_first_pick_before": _finite(extension.old_before),
                        "old_tasks_first_pick_after": _finite(extension.old_after),
                    }
                    for name, extension in report.extensions.items()
                },
                "card": report.card,
            }
        )
        return
    for name, learned in report.card["estimators"].items():
        print(f"{name}: {learned['n_tasks']} tasks, {learned['n_trials']} trials")
    for name, extension in report.extensions.items():
        print(
            f"{name}: {len(extension.added)} histories added, {extension.n_replaced} of them in "
            f"place of shorter ones; first pick on the old tasks: regret "
            f"{extension.old_before:.3f} before, {extension.old_after:.3f} now"
        )
    for line in _left_out_lines(report.left_out):
        print(line)
    print(f"{report.path}: {report.n_bytes} bytes, digest {report.digest}")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _left_out_lines(left_out: Iterable[LeftOut]) -> list[str]:
    """A line for each estimator and reason; a task that is judged by several metrics is one."""
    tasks: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for history in left_out:
        tasks[history.key.estimator, history.reason][history.key.task] = None
    lines = []
    for (estimator, reason), found in tasks.items():
        names = list(found)
        named = ", ".join(names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")
        n_tasks = "1 task" if len(names) == 1 else f"{len(names)} tasks"
        lines.append(f"{estimator}: {n_tasks} left out ({named}): {reason}")
    return lines
