"""The subcommands together, and how errors and warnings end."""

from __future__ import annotations

import sys
import warnings
from typing import TextIO

import typer

from metaopt.cli.bench import bench
from metaopt.cli.bench_l2l import bench_l2l
from metaopt.cli.bench_learners import bench_learners
from metaopt.cli.bench_live import bench_live
from metaopt.cli.bench_optimizer import bench_optimizer
from metaopt.cli.bench_pruner import bench_pruner
from metaopt.cli.collect import collect
from metaopt.cli.demo import demo
from metaopt.cli.evaluate import evaluate
from metaopt.cli.groups import add_group
from metaopt.cli.info import info
from metaopt.cli.openml import openml
from metaopt.cli.suggest import suggest
from metaopt.cli.train import train
from metaopt.cli.train_curves import train_curves
from metaopt.cli.train_optimizer import train_optimizer

USAGE_ERROR = 2

app = typer.Typer(
    name="metaopt",
    help="Learn from earlier tuning runs, and start new ones with what was learned.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (demo, suggest, openml, collect, evaluate, info):
    app.command()(command)
add_group(app, train, {"curves": train_curves, "optimizer": train_optimizer})
add_group(
    app,
    bench,
    {
        "l2l": bench_l2l,
        "pruner": bench_pruner,
        "learners": bench_learners,
        "live": bench_live,
        "optimizer": bench_optimizer,
    },
)


def main() -> None:
    """Run the command line.

    What a user can mend ends in one line on standard error and exit code 2; anything else is a
    defect and keeps its traceback.
    """
    warnings.showwarning = _show_warning
    try:
        app()
    except Exception as error:
        if not _can_be_mended(error):
            raise
        print(f"metaopt: {_one_line(error)}", file=sys.stderr)
        raise SystemExit(USAGE_ERROR) from None


def _can_be_mended(error: Exception) -> bool:
    from warmstart.errors import WarmStartError

    return isinstance(error, WarmStartError | ValueError | FileNotFoundError)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"metaopt: warning: {_one_line(message)}", file=file or sys.stderr)
