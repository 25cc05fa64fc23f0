"""What all subcommands share: JSON for scripts."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeAlias

import typer

JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print JSON for scripts instead of text.")
]


def print_json(content: Any) -> None:
    """Print plain values as indented JSON."""
    print(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))
