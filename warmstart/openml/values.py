"""Hyperparameter values: from OpenML's text to Python values.

OpenML keeps every value as text. Flows of openml-python write JSON (``"gini"``, ``true``,
``null``), older ones and other tools plain text (``gini``, ``True``, ``None``). One reader serves
both, since no value means one thing in JSON and another in plain text, save for a plain string
that is itself a quoted JSON string.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from warmstart.space import Value

CONSTANTS: dict[str, Value] = {
    "True": True,
    "true": True,
    "TRUE": True,
    "False": False,
    "false": False,
    "FALSE": False,
    "None": None,
    "null": None,
}
_INTEGER = re.compile(r"[+-]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][+-]?[0-9]+)?")
_LONGEST_INTEGER = 4000  # digits; Python refuses to read more than 4,300 from untrusted text


def parse_value(text: str) -> Value:
    """Read one hyperparameter value.

    Numbers keep their kind and all their digits: ``"100"`` is an integer, ``"100.0"`` a float.
    Lists and mappings, which no search space holds, stay what they are: text. So do ``nan`` and
    ``inf``, which no comparison would find again.

    Args:
        text: The text as OpenML serves it, JSON or plain.
    """
    text = text.strip()
    if text in CONSTANTS:
        return CONSTANTS[text]
    if _INTEGER.fullmatch(text) and len(text) <= _LONGEST_INTEGER:
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text
    if text.startswith('"'):
        decoded = _decode(text)
        return decoded if isinstance(decoded, str) else text
    return text


def refers_to_object(text: str) -> bool:
    """Whether a value stands for a part of the flow or a Python object.

    The steps of a pipeline, the base estimator of an ensemble or a function are such values:
    they make the flow what it is, and no run can set them otherwise.
    """
    return text.lstrip()[:1] in ("{", "[") and _holds_object(_decode(text))


def _holds_object(value: Any) -> bool:
    """Whether openml-python's mark of a serialised object is anywhere in a JSON value."""
    if isinstance(value, dict):
        return any(
            key.endswith(":serialized_object") or _holds_object(part)
            for key, part in value.items()
        )
    return isinstance(value, list) and any(map(_holds_object, value))


def _decode(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
