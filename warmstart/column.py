"""One hyperparameter over many trials, as arrays that keep every value's Python type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from types import NoneType
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from warmstart.errors import HistoryError
from warmstart.space import Categorical, Integer, Parameter, Value, same_choice


class _Absence(Enum):
    """An enum member is pickled and copied as itself, so ``is ABSENT`` always works."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absence.ABSENT
"""Stands in a column where a configuration does not hold the parameter; None is a value."""

Cell: TypeAlias = Value | _Absence
Indices: TypeAlias = npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice


class Kind(IntEnum):
    """The Python type of one cell. The numbers are part of the store's format."""

    ABSENT = 0
    NONE = 1
    BOOL = 2
    INT = 3
    FLOAT = 4
    TEXT = 5
    BIG_INT = 6  # an integer that a double can't hold exactly; its digits are among the texts


_KIND_OF_TYPE: Final = {
    _Absence: Kind.ABSENT,
    NoneType: Kind.NONE,
    bool: Kind.BOOL,
    int: Kind.INT,
    float: Kind.FLOAT,
    str: Kind.TEXT,
}
_LARGEST_EXACT_INT: Final = 2**53
_LONGEST_INT_BITS: Final = 14_000  # Python refuses to print integers of more than 4,300 digits


@dataclass(frozen=True, eq=False)
class Column:
    """The values of one hyperparameter, one a trial.

    Attributes:
        kinds: ``(n,)`` uint8, a ``Kind`` each.
        numbers: ``(n,)`` float64: booleans (0 or 1), integers and floats; NaN elsewhere.
        codes: ``(n,)`` int32: index into ``texts`` for text and big integers; -1 elsewhere.
        texts: The distinct texts.

    Example:
        >>> column = Column.from_values([True, 1, 1.0, "1", None, ABSENT])
        >>> list(column.values())
        [True, 1, 1.0, '1', None, ABSENT]
    """

    kinds: npt.NDArray[np.uint8]
    numbers: npt.NDArray[np.float64]
    codes: npt.NDArray[np.int32]
    texts: tuple[str, ...]

    @classmethod
    def from_values(cls, values: Sequence[Cell]) -> Column:
        """Build a column from plain values (see ``plain_value``) and ``ABSENT``."""
        n = len(values)
        cells = np.empty(n, object)
        cells[:] = values
        kinds = np.fromiter(map(_KIND_OF_TYPE.__getitem__, map(type, values)), np.uint8, n)
        integers = np.flatnonzero(kinds == Kind.INT)
        too_big = [abs(cell) > _LARGEST_EXACT_INT for cell in cells[integers].tolist()]
        kinds[integers[np.array(too_big, np.bool_)]] = Kind.BIG_INT
        numbers = np.full(n, np.nan)
        is_number = (kinds >= Kind.BOOL) & (kinds <= Kind.FLOAT)
        numbers[is_number] = cells[is_number].astype(np.float64)
        codes = np.full(n, -1, np.int32)
        index: dict[str, int] = {}
        is_text = kinds >= Kind.TEXT
        codes[is_text] = [
            index.setdefault(str(cell), len(index)) for cell in cells[is_text].tolist()
        ]
        return cls(kinds, numbers, codes, tuple(index))

    @classmethod
    def absent(cls, n: int) -> Column:
        """A column of ``n`` trials that do not hold the parameter."""
        return cls(
            uniform(Kind.ABSENT, n, np.uint8),
            uniform(np.nan, n, np.float64),
            uniform(-1, n, np.int32),
            (),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Column]) -> Column:
        """Join columns end to end."""
        index: dict[str, int] = {}
        codes = []
        for part in parts:
            # The last entry serves code -1.
            renumbered = [index.setdefault(text, len(index)) for text in part.texts] + [-1]
            codes.append(np.array(renumbered, np.int32)[part.codes])
        return cls(
            np.concatenate([part.kinds for part in parts]),
            np.concatenate([part.numbers for part in parts]),
            np.concatenate(codes),
            tuple(index),
        )

    def __len__(self) -> int:
        return len(self.kinds)

    def take(self, indices: Indices) -> Column:
        """The cells at ``indices``: a slice (a view), positions or a mask."""
        return Column(self.kinds[indices], self.numbers[indices], self.codes[indices], self.texts)

    def values(self) -> npt.NDArray[np.object_]:
        """``(n,)`` Python values of their own types; ``ABSENT`` where there is none."""
        out = np.empty(len(self), object)
        texts = np.array([*self.texts, None], object)
        for kind in np.unique(self.kinds):
            where = self.kinds == kind
            if kind == Kind.ABSENT:
                out[where] = ABSENT
            elif kind == Kind.NONE:
                out[where] = None
            elif kind == Kind.TEXT:
                out[where] = texts[self.codes[where]]
            elif kind == Kind.BIG_INT:
                out[where] = [int(text) for text in texts[self.codes[where]]]
            else:
                dtype = {Kind.BOOL: np.bool_, Kind.INT: np.int64, Kind.FLOAT: np.float64}[kind]
                out[where] = self.numbers[where].astype(dtype).astype(object)
        return out


def uniform(value: Any, n: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """``(n,)`` read-only array of one value that takes no memory per element."""
    return np.broadcast_to(np.array(value, dtype), (n,))


def plain_value(value: object, *, name: str) -> Value:
    """``value`` as a plain Python bool, int, float, str or None; NumPy's scalars converted.

    Raises:
        HistoryError: If it is anything else, is not valid Unicode, or has too many digits.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) is float or type(value) is bool:
        return value
    if isinstance(value, str):
        return valid_text(str.__str__(value), name)
    if isinstance(value, int):
        value = int(value)
        if value.bit_length() > _LONGEST_INT_BITS:
            raise HistoryError(
                f"An integer of {value.bit_length()} bits given for {name!r}; expected at most "
                f"{_LONGEST_INT_BITS}; store it as text."
            )
        return value
    if isinstance(value, float):
        return float(value)
    raise HistoryError(
        f"{str(value)[:80]!r} ({type(value).__name__}) given for {name!r}; expected a bool, int, "
        "float, str or None; store other values as text."
    )


def outside(column: Column, parameter: Parameter) -> npt.NDArray[np.bool_]:
    """``(n,)`` mask of the cells that ``parameter`` can't take; absent cells are never outside.

    Numbers may miss the bounds and the grid by rounding (one part in 10⁹); an integer may stand
    for a float, and a whole float for an integer.
    """
    if isinstance(parameter, Categorical):
        return _no_choice(column, parameter)
    slack = 1e-9 * max(abs(parameter.low), abs(parameter.high))
    # NaN fails every comparison, so cells without a number are not inside.
    inside = (column.numbers >= parameter.low - slack) & (column.numbers <= parameter.high + slack)
    inside &= column.kinds != Kind.BOOL
    if isinstance(parameter, Integer):
        inside &= column.numbers == np.round(column.numbers)
    if parameter.step is not None:
        steps = (column.numbers - parameter.low) / parameter.step
        inside &= np.abs(steps - np.round(steps)) <= 1e-9 * np.maximum(1.0, np.abs(steps))
    for i in np.flatnonzero(column.kinds == Kind.BIG_INT):
        inside[i] = parameter.low <= int(column.texts[column.codes[i]]) <= parameter.high
    bad: npt.NDArray[np.bool_] = (column.kinds != Kind.ABSENT) & ~inside
    return bad


def _no_choice(column: Column, parameter: Categorical) -> npt.NDArray[np.bool_]:
    bad = np.zeros(len(column), np.bool_)
    for kind in np.unique(column.kinds[column.kinds != Kind.ABSENT]):
        where = np.flatnonzero(column.kinds == kind)
        identity = (column.codes if kind >= Kind.TEXT else column.numbers)[where]
        _, first, group = np.unique(identity, return_index=True, return_inverse=True)
        distinct = column.take(where[first]).values()
        known = [same_choice(value, parameter.choices) for value in distinct]
        bad[where] = ~np.array(known)[group]
    return bad


def valid_text(text: str, name: str) -> str:
    """``text`` itself, if it can be written as UTF-8.

    Raises:
        HistoryError: If it holds half a surrogate pair.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise HistoryError(
            f"{text[:80]!r} given for {name!r}; expected valid Unicode text: {error.reason}."
        ) from error
    return text
