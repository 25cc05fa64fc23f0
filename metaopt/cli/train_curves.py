"""``metaopt train curves``: from learning curves to the artifact of ``WarmStartPruner``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from metaopt.cli.output import JsonOption, print_json


def train_curves(
    out: Annotated[Path, typer.Option(help="The artifact to write; replaced if it is there.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Directory with LCBench's surrogate. Default: $WARMSTART_DATA."),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Leave out a task or a family; may be given several times."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all random choices.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Learn when to stop learning curves, and write an artifact for WarmStartPruner.

    The same data and seed make the same file.
    """
    from metaopt.benchmarks.data_directory import data_directory
    from metaopt.benchmarks.learning_curves import curve_tasks
    from metaopt.training.learning_curves import moments_of
    from metaopt.training.learning_curves import train_curves as train

    tasks = list(curve_tasks(data_directory(data)))
    left_out = set(exclude or ())
    unknown = left_out - {name for task in tasks for name in (task.task, task.family)}
    if unknown:
        raise ValueError(
            f"--exclude {sorted(unknown)} given; expected some of "
            f"{sorted(task.task for task in tasks)}, or their families."
        )
    kept = [task for task in tasks if not left_out & {task.task, task.family}]
    moments = []
    for number, task in enumerate(kept, 1):
        moments.append(moments_of(task, seed=seed))
        print(f"{number}/{len(kept)} {task.task}", file=sys.stderr, flush=True)
    train(moments, tasks=[task.task for task in kept], out=out, seed=seed)
    n_bytes = out.stat().st_size
    if as_json:
        print_json({"path": str(out), "bytes": n_bytes, "tasks": [task.task for task in kept]})
        return
    print(f"{out}: {len(kept)} tasks, {n_bytes} bytes")
