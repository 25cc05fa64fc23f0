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
    results: Annotated[
        Path,
        typer.Option(help="Directory of networks; a training there goes on where it stopped."),
    ] = Path("bench-results/l2l"),
    epochs: Annotated[int | None, typer.Option(help="Of meta-training.", min=1)] = None,
    device: Annotated[str, typer.Option(help="Such as cpu or cuda.")] = "cpu",
    seed: Annotated[int, typer.Option(help="Of the meta-training and the tests.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Meta-train the LSTM of Andrychowicz et al., and compare it with Adam, RMSprop, SGD and NAG.

    Each rival is tuned. They meet on the family that it was meta-trained on and on others, ReLU
    networks among them, where it is known to fail. It may be stopped at any moment and started
    again.
    """
    from metaopt.optim.l2l_bench import as_text, experiments, run

    found = run(
        experiment or list(experiments()),
        out=results,
        epochs=epochs,
        device=device,
        seed=seed,
        report=lambda progress: print(progress, file=sys.stderr, flush=True),
    )
    if as_json:
        print_json(
            {
                name: {family: [asdict(row) for row in rows] for family, rows in of.items()}
                for name, of in found.items()
            }
        )
        return
    for name, of in found.items():
        print(as_text(name, of))
