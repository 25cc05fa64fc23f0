"""``metaopt demo``: a warm start beside none, on real data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from metaopt.cli.output import JsonOption, print_json


def demo(
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            help="Of scikit-learn: breast_cancer, diabetes, digits or wine; may be given several "
            "times. Default: the first two."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Studies of each sampler.", min=1)] = 5,
    trials: Annotated[int, typer.Option(help="Of each study.", min=1)] = 20,
    plots: Annotated[Path, typer.Option(help="Directory to write the curves to.")] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Tune LightGBM with WarmStartSampler and with TPE, side by side."""
    from metaopt.demo import DEFAULT_DATASETS, DemoOptions, report_text, run_demo

    all_options = [DemoOptions(name, seeds, trials, plots) for name in dataset or DEFAULT_DATASETS]
    reports = []
    for options in all_options:
        reports.append(run_demo(options))
        if not as_json:
            print(report_text(reports[-1]), end="\n\n")
    if as_json:
        print_json([report.to_json() for report in reports])
