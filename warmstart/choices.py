"""Categorical choices as plain values, so that they can be kept and compared."""

from __future__ import annotations

import math
import re

import numpy as np

from warmstart.space import Value, same_choice

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def plain_choice(choice: object) -> Value:
    """A choice as a bool, integer, finite float, text or None.

    Anything else becomes a text that is the same in every process and storage: a class or a
    function its dotted name, a tuple or a list ``"[64, 64]"``, NaN ``"nan"``, another object its
    ``repr`` without its address.
    """
    if isinstance(choice, np.generic):
        choice = choice.item()
    if choice is None or isinstance(choice, bool):
        return choice
    if isinstance(choice, int):
        return int(choice)
    if isinstance(choice, float) and math.isfinite(choice):
        return float(choice)
    text = str.__str__(choice) if isinstance(choice, str) else _text(choice)
    return text.encode(errors="backslashreplace").decode()  # half a surrogate pair is no text


def plain_choices(choices: tuple[object, ...]) -> tuple[Value, ...]:
    """Choices as plain values, in their order; those that become equal are one."""
    return distinct(tuple(map(plain_choice, choices)))


def distinct(choices: tuple[Value, ...]) -> tuple[Value, ...]:
    """Each choice once, where it stands first; ``True`` and ``1`` are two."""
    kept: list[Value] = []
    for choice in choices:
        if not same_choice(choice, tuple(kept)):
            kept.append(choice)
    return tuple(kept)


def _text(choice: object) -> str:
    if isinstance(choice, tuple | list):
        return f"[{', '.join(_text(part) for part in choice)}]"
    name = getattr(choice, "__qualname__", None)
    if isinstance(name, str):
        return f"{getattr(choice, '__module__', '')}.{name}"
    return _ADDRESS.sub("", repr(choice))
