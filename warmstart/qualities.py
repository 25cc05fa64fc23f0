"""OpenML's data qualities, read as meta-features.

Quirks that stored qualities have, and what is made of them:

- Shares are stored as fractions or as percentages, even within one data set: they are not read,
  but derived from the counts, as are all ratios.
- Older engines left the target out of ``NumberOfSymbolicFeatures``, and none count columns of
  free text: it becomes the number of columns that are not numeric.
- "Undefined" is a missing key, an empty value, NaN or -1.
- The moments of numeric columns are not read: an engine of the past mixed the columns of the
  data sets that it processed one after another, and nothing tells its values from right ones.
- A ``MinorityClassSize`` of 0 is that of a declared class without rows: unknown here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from warmstart.errors import DescriptorError
from warmstart.metafeatures import COMPARABLE
from warmstart.target import Kind

_AT_LEAST_ONE = (
    "NumberOfInstances",
    "NumberOfFeatures",
    "MajorityClassSize",
    "MinorityClassSize",
)


def read_qualities(qualities: Mapping[str, Any]) -> tuple[dict[str, float], Kind | None]:
    """Meta-features and the kind of task, from OpenML's data qualities.

    Args:
        qualities: Numbers, text of numbers, or None, by OpenML's names. Others are left out.

    Returns:
        The known values by name, and the kind: None where the number of classes is unknown.

    Raises:
        DescriptorError: If ``qualities`` is not a mapping.
    """
    if not isinstance(qualities, Mapping):
        raise DescriptorError(
            f"Qualities of type {type(qualities).__name__} given; expected a dict of OpenML's "
            "data qualities."
        )
    values = {}
    for name in COMPARABLE:
        value = _number(qualities.get(name))
        if value >= (1 if name in _AT_LEAST_ONE else 0):  # false for NaN
            values[name] = value

    n_columns, n_numeric = (
        values.get(name) for name in ("NumberOfFeatures", "NumberOfNumericFeatures")
    )
    if n_columns is not None and n_numeric is not None and n_numeric <= n_columns:
        values["NumberOfSymbolicFeatures"] = n_columns - n_numeric

    n_classes = values.get("NumberOfClasses")
    if n_classes is None:
        return values, "classification" if "MajorityClassSize" in values else None
    return values, "classification" if n_classes >= 1 else "regression"


def _number(value: object) -> float:
    """The value as a finite float, or NaN."""
    try:
        number = float(value)  # type: ignore[arg-type]  # whatever a server sent
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan
