"""Commands that have parts of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import typer


def add_group(
    app: typer.Typer, command: Callable[..., None], parts: Mapping[str, Callable[..., None]]
) -> None:
    """Add a command that does its own work unless one of its parts is named.

    Args:
        app: To add it to.
        command: Takes a ``typer.Context`` and returns at once if a subcommand is invoked.
        parts: By name.
    """
    group = typer.Typer(add_completion=False, rich_markup_mode=None)
    group.callback(invoke_without_command=True)(command)
    for name, part in parts.items():
        group.command(name)(part)
    app.add_typer(group, name=command.__name__)
