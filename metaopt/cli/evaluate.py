"""``metaopt evaluate``: what an artifact is worth on tasks that it was not trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from metaopt.cli.output import JsonOption, print_json


def evaluate(
    artifact: Annotated[
        Path | None, typer.Argument(help="The file. Default: the shipped one.", show_default=False)
    ] = None,
    store: Annotated[
        list[Path] | None,
        typer.Option(
            help="A history store to judge by; may be given several times. Default: that of this "
            "repository."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Directory for results; what it has is not made again.")
    ] = Path("evaluation-results"),
    estimator: Annotated[
        list[str] | None,
        typer.Option(help="Only this one, such as SVC; may be given several times. Default: all."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A look: few folds, tasks and variations.")
    ] = False,
    folds: Annotated[int, typer.Option(help="Folds of data-set families.")] = 5,
    seed: Annotated[int, typer.Option(help="Of all random choices.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure predictions on held-out tasks: adaptation, calibration, overfitting, shortcuts.

    It may be stopped at any moment and started again. All figures are written as JSON, and a
    page with pictures as Markdown and HTML.
    """
    from metaopt.evaluation import EvaluationOptions
    from metaopt.evaluation import evaluate as run
    from metaopt.evaluation.page import overview

    if quick:
        options = EvaluationOptions.quick(n_folds=folds, seed=seed)
    else:
        options = replace(EvaluationOptions(), n_folds=folds, n_folds_judged=folds, seed=seed)
    evaluation = run(
        artifact,
        store or None,
        out=out,
        estimators=estimator or None,
        options=options,
        progress=True,
    )
    if as_json:
        files = [str(file) for file in evaluation.files]
        print_json({**evaluation.data, "files": files})
        return
    for line in overview(evaluation.data):
        print(line)
    print("Written: " + ", ".join(str(file) for file in evaluation.files))
