"""``metaopt bench l2l``: the coordinate-wise LSTM of 2016 beside tuned optimizers."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from metaopt.cli.output import JsonOption, print_json


def bench_l2l(
    experiment: Annotated[
        list[str] | None,
        typer.Option(help="quadratic or mlp; may be given several times. Default: both."),
    ] = None,
    train_into: Annotated[
        Path | None,
        typer.Option(help="Meta-train anew, or go on, in this directory. Default: no training."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Of meta-training.", min=1)] = None,
    device: Annotated[str, typer.Option(help="Such as cpu or cuda.")] = "cpu",
    seed: Annotated[int, typer.Option(help="Of the meta-training and the tests.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Compare the LSTM of Andrychowicz et al. with Adam, RMSprop, SGD and NAG, each tuned.

    On the families that it was meta-trained on and on others, ReLU networks among them, where it
    is known to fail. A training may be stopped at any moment and started again.
    """
    from metaopt.optim.l2l_bench import as_text, experiments, run

    results = run(
        experiment or list(experiments()),
        out=train_into,
        epochs=epochs,
        device=device,
        seed=seed,
        report=lambda progress: print(progress, file=sys.stderr, flush=True),
    )
    if as_json:
        print_json(
            {
                name: {family: [asdict(row) for row in rows] for family, rows in of.items()}
                for name, of in results.items()
            }
        )
        return
    for name, of in results.items():
        print(as_text(name, of))
