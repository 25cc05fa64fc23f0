"""Figures of an evaluation as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def interval(figure: Mapping[str, Any], digits: int) -> str:
    """A mean and its 95 % interval."""
    mean, low, high = (figure[end] for end in ("mean", "low", "high"))
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def mean(at: Mapping[str, Any] | None, score: str, digits: int) -> str:
    """The mean of a score at one budget; empty if it is not known."""
    return f"{at[score]['mean']:.{digits}f}" if at and score in at else ""


def number(value: float | None, digits: int) -> str:
    """A number; empty if there is none."""
    return "" if value is None else f"{value:.{digits}f}"
