"""``metaopt suggest``: configurations to try first on a table of data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metaopt.cli.output import JsonOption, print_json

if TYPE_CHECKING:
    import pandas as pd


def suggest(
    estimator: Annotated[str, typer.Argument(help="Such as sklearn.svm.SVC, or just SVC.")],
    data: Annotated[Path, typer.Argument(help="A table: .csv, .csv.gz or .parquet.")],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    n: Annotated[int, typer.Option("-n", help="How many configurations.", min=1)] = 5,
    metric: Annotated[
        str | None, typer.Option(help="What you judge by, such as roc_auc. Default: any.")
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            help="A training task not to draw on, or 'similar'; several times if need be."
        ),
    ] = None,
    histories: Annotated[
        Path | None, typer.Option(help="A history store of your own to learn from, too.")
    ] = None,
    artifact: Annotated[Path | None, typer.Option(help="Default: the shipped one.")] = None,
    seed: Annotated[int, typer.Option(help="Of the candidates.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Name hyperparameters to try first, the most promising ones first."""
    from warmstart.suggestion import suggest as propose

    X, y = read_table(data, target)
    configurations = propose(
        estimator,
        X,
        y,
        n=n,
        metric=metric,
        exclude=exclude or (),
        histories=histories,
        artifact=artifact,
        seed=seed,
    )
    if as_json:
        print_json(configurations)
        return
    for configuration in configurations:
        print(", ".join(f"{name}={_text(value)}" for name, value in configuration.items()))


def read_table(path: Path, target: str) -> tuple[pd.DataFrame, pd.Series]:
    """The columns of a table without the target, and the target.

    Raises:
        ValueError: If the file is of another kind, is empty, or has no such column, or no other.
        FileNotFoundError: If there is no file.
    """
    import pandas as pd

    if path.name.endswith((".csv", ".csv.gz")):
        try:
            table = pd.read_csv(path)
        except pd.errors.EmptyDataError as error:
            raise ValueError(f"{path} given, which is empty; expected a row of names.") from error
    elif path.name.endswith(".parquet"):
        table = pd.read_parquet(path)
    else:
        raise ValueError(f"{path} given; expected a file that ends in .csv, .csv.gz or .parquet.")
    if target not in table.columns:
        names = ", ".join(map(str, table.columns[:20]))
        more = ", …" if len(table.columns) > 20 else ""
        raise ValueError(f"--target {target!r} given; expected a column of {path}: {names}{more}.")
    if len(table.columns) < 2:
        raise ValueError(f"{path} given, with {target!r} alone; expected more columns.")
    return table.drop(columns=target), table[target]


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
