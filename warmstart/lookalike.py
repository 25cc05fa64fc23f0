"""Look-alikes: whether two tasks seem to be made of the same data.

The rules compare sizes and summaries only, because of most training tasks no more is known. They
lean to the careful side: leaving out an unrelated training task costs next to nothing, while a
training task that is the user's own data flatters every result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from warmstart.descriptor import TaskDescriptor
from warmstart.fingerprint import Fingerprint

Level = Literal["same data", "same family"]

SIZE_TOLERANCE = 0.01
"""Copies of a data set differ by a few rows (duplicates or incomplete rows left out)."""

COLUMN_TOLERANCE = 1
"""Copies differ by a column that identifies the row, kept in one and dropped in the other."""

WIDE = 20
"""From so many columns on an equal number is no accident: data with fewer share theirs with
many others."""

LONG = 5000
"""From so many rows on class shares are precise enough to tell data of equal width apart."""

MIN_TRAINING_SHARE = 0.5
"""Share of rows that a training split has at least; with fewer, narrow data are not compared."""

MIN_SAMPLE_SHARE = 0.05
"""The same for wide data: they are often cut down to a few thousand rows."""

TYPE_TOLERANCE = 0.1
"""Share of the columns that may be numeric in one copy and nominal in the other."""

SAMPLING_ERRORS = 3.5
"""By how many standard errors the shares of the extreme classes in a random sample may be off."""

MOMENT_TOLERANCE = 0.2
"""Share of itself (for means also of the upper quartile of spreads) by which a quartile of column
moments may differ between samples of the same data."""

LEFT_OUT = 0.05
"""Share of rows that may be gone with rare classes, where the largest class is untouched."""

ENTROPY_TOLERANCE = 0.15
"""Bits by which a quartile of column entropies may differ; OpenML counts a missing value as one
of the others, and rare values are missing from samples."""


@dataclass(frozen=True)
class LookAlike:
    """How alike two tasks are, and the evidence in words."""

    level: Level
    reason: str


def look_alike(a: TaskDescriptor, b: TaskDescriptor) -> LookAlike | None:
    """Whether two tasks seem to be made of the same data; the order makes no difference.

    Classification tasks:

    - *same data*: equal number of classes; rows and sizes of the largest and smallest class
      agree within 1 % (or one row), columns within one;
    - *same family, other columns*: rows, number of classes and both sizes are equal, and the
      classes are more than two or of different size;
    - *same family, rare classes left out*: columns and largest class are equal, rows within 5 %;
    - *same family, a sample*: the smaller has half the rows of the larger (a twentieth from 20
      columns on, or if column moments or entropies agree), class shares such as a random sample
      has, and the same columns (within one from 20 columns or 5,000 rows on), of which a tenth
      may be of another type.

    Regression tasks:

    - *same data*: rows within 1 %, columns within one, and the shape of the target agrees;
    - *same family, other columns*: rows within 1 %, and the shape of the target agrees;
    - *same family, a sample*: as above, with column moments that agree;
    - *same family* where OpenML's qualities on one side tell no more: rows, columns and numeric
      columns are equal.

    Any two tasks that were both described from their data:

    - *same family, other target*: rows within 1 %, columns, and column moments agree.
    - One whose column moments or entropies disagree is no sample of the other.

    Returns:
        The closest level found, or None.
    """
    x, y = a.fingerprint, b.fingerprint
    if x.n_rows is None or y.n_rows is None or x.n_columns is None or y.n_columns is None:
        return None
    if x.n_classes is None or y.n_classes is None:
        return None
    if x.n_classes > 0 and y.n_classes > 0:
        found = _compare_classes(x, y)
    elif x.n_classes == y.n_classes:
        found = _compare_numeric_targets(x, y)
    else:
        found = None
    if found is not None:
        return found
    if _same_size(x, y) and _columns_differ_by(x, y) == 0 and _columns_agree(x, y) is True:
        return LookAlike("same family", f"the same {_shape(x)} with another target")
    if x.n_classes == y.n_classes and _is_sample(x, y):
        small, large = sorted((x, y), key=_rows)
        return LookAlike(
            "same family",
            f"{small.n_rows} rows that could be a sample of {large.n_rows}: {small.n_columns} "
            f"columns, and {'class shares' if x.n_classes else 'column moments'} that agree",
        )
    return None


def _compare_classes(x: Fingerprint, y: Fingerprint) -> LookAlike | None:
    largest = x.majority is not None and x.majority == y.majority
    smallest = x.minority is not None and x.minority == y.minority
    if x.n_classes != y.n_classes:
        left_out = abs(_rows(x) - _rows(y)) <= LEFT_OUT * max(_rows(x), _rows(y))
        if left_out and largest and _columns_differ_by(x, y) == 0:
            return LookAlike(
                "same family",
                f"the same {x.n_columns} columns and largest class of {x.majority} rows, with "
                f"{x.n_classes} or {y.n_classes} classes",
            )
        return None
    if not (
        _same_size(x, y) and _close(x.majority, y.majority) and _close(x.minority, y.minority)
    ):
        return None
    classes = f"{x.n_classes} classes of {x.minority} to {x.majority} rows"
    if _columns_differ_by(x, y) <= COLUMN_TOLERANCE:
        return LookAlike("same data", f"the same {_shape(x)} and {classes}")
    telling = x.n_classes != 2 or not _close(x.majority, x.minority)
    if telling and largest and smallest and _rows(x) == _rows(y):
        return LookAlike(
            "same family", f"the same {x.n_rows} rows and {classes} with other columns"
        )
    return None


def _compare_numeric_targets(x: Fingerprint, y: Fingerprint) -> LookAlike | None:
    if not _same_size(x, y):
        return None
    if x.target is not None and y.target is not None:
        if not all(
            math.isclose(left, right, rel_tol=SIZE_TOLERANCE, abs_tol=SIZE_TOLERANCE)
            for left, right in zip(x.target, y.target, strict=True)
        ):
            return None
        if _columns_differ_by(x, y) <= COLUMN_TOLERANCE:
            return LookAlike("same data", f"the same {_shape(x)} and target")
        return LookAlike("same family", f"the same {x.n_rows} rows and target, other columns")
    if (x.n_rows, x.n_columns, x.n_numeric) == (y.n_rows, y.n_columns, y.n_numeric):
        return LookAlike("same family", f"the same {_shape(x)}; no more is known")
    return None


def _is_sample(x: Fingerprint, y: Fingerprint) -> bool:
    """Whether the smaller one could be a random sample of the rows of the larger one."""
    small, large = sorted((x, y), key=_rows)
    n_small, n_large = _rows(small), _rows(large)
    agree = _columns_agree(x, y)
    if agree is False or (x.n_classes == 0 and agree is None):
        return False
    wide = min(x.n_columns or 0, y.n_columns or 0) >= WIDE
    least = MIN_SAMPLE_SHARE if wide or agree else MIN_TRAINING_SHARE
    if n_small < least * n_large:
        return False
    if _columns_differ_by(x, y) > (COLUMN_TOLERANCE if wide or n_small >= LONG else 0):
        return False
    if x.n_numeric is None or y.n_numeric is None:
        return False
    if abs(x.n_numeric - y.n_numeric) > TYPE_TOLERANCE * (x.n_columns or 0):
        return False
    if x.n_classes == 0:
        return True
    for of_small, of_large in ((small.majority, large.majority), (small.minority, large.minority)):
        if of_small is None or of_large is None:
            return False
        share = of_large / n_large
        # The hypergeometric distribution's; plus one row, by which a stratified split is off.
        error = math.sqrt(share * (1 - share) / n_small * (1 - n_small / n_large))
        if abs(of_small / n_small - share) > SAMPLING_ERRORS * error + 1 / n_small:
            return False
    return True


def _columns_agree(x: Fingerprint, y: Fingerprint) -> bool | None:
    """Whether the column summaries known of both agree; None if none is known of both.

    Quartiles over different numbers of columns say nothing of each other.
    """
    verdicts = []
    same_numeric, same_nominal = x.n_numeric == y.n_numeric, x.n_nominal == y.n_nominal
    if same_numeric and x.means and y.means and x.stds and y.stds:
        spread = MOMENT_TOLERANCE * max(x.stds[-1], y.stds[-1])
        verdicts += [
            math.isclose(left, right, rel_tol=MOMENT_TOLERANCE, abs_tol=spread)
            for left, right in zip(x.means, y.means, strict=True)
        ]
        verdicts += [
            math.isclose(left, right, rel_tol=MOMENT_TOLERANCE)
            for left, right in zip(x.stds, y.stds, strict=True)
        ]
    if same_nominal and x.entropies and y.entropies:
        verdicts += [
            math.isclose(left, right, abs_tol=ENTROPY_TOLERANCE)
            for left, right in zip(x.entropies, y.entropies, strict=True)
        ]
    return all(verdicts) if verdicts else None


def _close(left: int | None, right: int | None) -> bool:
    """Equal within 1 % or one row."""
    if left is None or right is None:
        return False
    return abs(left - right) <= max(SIZE_TOLERANCE * max(left, right), 1)


def _same_size(x: Fingerprint, y: Fingerprint) -> bool:
    return _close(x.n_rows, y.n_rows)


def _columns_differ_by(x: Fingerprint, y: Fingerprint) -> int:
    return abs((x.n_columns or 0) - (y.n_columns or 0))


def _rows(fingerprint: Fingerprint) -> int:
    return fingerprint.n_rows or 0


def _shape(fingerprint: Fingerprint) -> str:
    return f"{fingerprint.n_rows} rows and {fingerprint.n_columns} columns"
