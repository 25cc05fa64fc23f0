"""The command ``metaopt``: a module for each subcommand, which loads its part when called."""

from metaopt.cli.app import app, main

__all__ = ["app", "main"]
