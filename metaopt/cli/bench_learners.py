"""``metaopt bench learners``: every family of meta-learner on problems with a known answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from metaopt.cli.output import JsonOption, print_json


def bench_learners(
    out: Annotated[
        Path, typer.Option(help="Directory for results; what it has is not run again.")
    ] = Path("learner-results"),
    part: Annotated[
        list[str] | None,
        typer.Option(
            help="proposer, sinusoids, digits, histories, embeddings or speed; may be given "
            "several times. "
            "Default: all."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Directory of recorded runs. Default: $WARMSTART_DATA.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to train, such as cuda.")] = "cpu",
    jobs: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="Of all training.")] = 0,
    share: Annotated[
        float, typer.Option(help="Of the outer steps; less than 1 for a quick look.", min=0.0)
    ] = 1.0,
    as_json: JsonOption = False,
) -> None:
    """Compare meta-learners: sine waves, few-shot digits, histories; and how fast they train.

    It may be stopped at any moment and started again. Without recorded runs, the parts that need
    them are left out.
    """
    from metaopt.benchmarks.learners.jobs import PARTS, JobOptions
    from metaopt.benchmarks.learners.run import RESULTS, run_learner_benchmark
    from metaopt.benchmarks.learners.training import Training

    unknown = sorted(set(part or ()) - set(PARTS))
    if unknown:
        raise ValueError(f"--part {', '.join(unknown)} given; expected some of {list(PARTS)}.")
    options = JobOptions(training=Training(seed, share, device))
    text = run_learner_benchmark(out, part or PARTS, options, data=data, n_jobs=jobs)
    if as_json:
        print_json(json.loads((out / RESULTS).read_text()))
    else:
        print(text)
