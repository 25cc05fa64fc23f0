"""Categorical choices as plain values, so that they can be kept and compared."""

from __future__ import annotations

import math
import re
from typing import Final

import numpy as np

from warmstart.space import Value, same_choice

# Python refuses to print integers of more than 4,300 digits.
_LONGEST_INT_BITS: Final = 14_000
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")


def plain_choice(choice: object) -> Value:
    """A choice as a bool, integer, finite float, text or None.

    Anything else becomes a text that is the same in every process and storage: a class or a
    function its dotted name, a tuple or a list ``"[64, 64]"``, a set its sorted members, NaN
    ``"nan"``, an integer too long to print its hexadecimal digits, another object its ``repr``
    without its address.
    """
    if isinstance(choice, np.generic):
        choice = choice.item()
    if choice is None or isinstance(choice, bool):
        return choice
    if isinstance(choice, int):
        return int(choice) if choice.bit_length() <= _LONGEST_INT_BITS else hex(choice)
    if isinstance(choice, float) and math.isfinite(choice):
        return float(choice)
    text = str.__str__(choice) if isinstance(choice, str) else _text(choice)
    return text.encode(errors="backslashreplace").decode()  # half a surrogate pair is no text


def distinct(choices: tuple[Value, ...]) -> tuple[Value, ...]:
    """Each choice once, where it stands first; ``True`` and ``1`` are two."""
    kept: list[Value] = []
    for choice in choices:
        if not same_choice(choice, tuple(kept)):
            kept.append(choice)
    return tuple(kept)


def _text(choice: object) -> str:
    if isinstance(choice, tuple | list):
        return f"[{', '.join(map(_text, choice))}]"
    if isinstance(choice, set | frozenset):
        return f"{{{', '.join(sorted(map(_text, choice)))}}}"
    if isinstance(choice, np.generic):
        return _text(choice.item())
    if isinstance(choice, int) and choice.bit_length() > _LONGEST_INT_BITS:
        return hex(choice)
    name = getattr(choice, "__qualname__", None)
    if isinstance(name, str):
        return f"{getattr(choice, '__module__', '')}.{name}"
    return _ADDRESS.sub("", repr(choice))
