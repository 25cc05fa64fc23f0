"""``metaopt train optimizer``: meta-training of the learned optimizer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from metaopt.cli.output import JsonOption, print_json


def train_optimizer(
    out: Annotated[
        Path, typer.Option(help="Directory of checkpoints and curves; resumed if it is there.")
    ],
    weights: Annotated[
        Path | None,
        typer.Option(help="The artifact to write: the best of all seeds in --out."),
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(help="Meta-train from it; may be given several times. Default: 0, 1, 2."),
    ] = None,
    updates: Annotated[
        int | None, typer.Option(help="Of each seed. Default: until it gets no better.", min=1)
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="For each seed, in this call.", min=0.0)
    ] = None,
    device: Annotated[str, typer.Option(help="Such as cpu or cuda.")] = "cpu",
    schedule: Annotated[
        bool, typer.Option("--schedule", help="For LearnedSchedule: one decision for all tensors.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="A minute: enough to see that it runs.")
    ] = False,
    option: Annotated[
        list[str] | None,
        typer.Option(
            help="Change an option of metaopt.optim.meta_options: NAME=JSON, such as "
            "n_groups=3; may be given several times."
        ),
    ] = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="Fuse the update rule with torch.compile.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Meta-train the learned optimizer on small tasks, by noise on what it decides.

    It may be stopped at any moment and started again. Under torchrun, its processes share the
    work of each seed.
    """
    import torch

    from metaopt.optim.meta_options import MetaTrainingOptions, parse_changes
    from metaopt.optim.meta_training import meta_train_optimizer, ship_best

    on_cpu = torch.device(device).type == "cpu"
    make = MetaTrainingOptions.for_cpu if on_cpu else MetaTrainingOptions.for_gpu
    if quick:
        make = MetaTrainingOptions.quick
    changes = parse_changes(option or ())
    options = replace(make(**changes), kind="schedule" if schedule else "optimizer")
    meta_train_optimizer(
        out,
        seeds=seed or (0, 1, 2),
        options=options,
        device=torch.device(device),
        n_updates=updates or (2 if quick else None),
        seconds=seconds,
        compiled=compile,
        report=None if as_json else _print_entry,
    )
    if weights is None:
        return
    record = ship_best(out, weights)
    if as_json:
        print_json({"path": str(weights), **record})
        return
    print(f"{weights}: {record['chosen']}, after {record['update']} updates")


def _print_entry(seed: int, entry: dict[str, Any]) -> None:
    if "gain" in entry:
        print(
            f"seed {seed}, update {entry['update']}: log loss {entry['gain']:+.3f} below AdamW's, "
            f"{entry['gain_at_half']:+.3f} in half of its steps",
            flush=True,
        )
    elif entry["update"] % 10 == 0:
        print(
            f"seed {seed}, update {entry['update']}: {entry['n_tasks']} trainings of "
            f"{entry['horizon']} steps, log loss {entry['log_loss']:.3f}, "
            f"{entry['seconds']:.1f} s",
            flush=True,
        )
