"""Options of the commands that run estimators on data sets."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

MaxColumnsOption: TypeAlias = Annotated[
    int | None, typer.Option(help="Leave out data sets of more columns, encoded.")
]
MaxPerFamilyOption: TypeAlias = Annotated[
    int | None, typer.Option(help="Leave out more data sets of one family.")
]
MaxTreesOption: TypeAlias = Annotated[
    int | None, typer.Option(help="The most trees of a forest or rounds of boosting.")
]
