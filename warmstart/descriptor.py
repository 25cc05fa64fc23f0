"""Task descriptors: what is known of a task's data before any trial."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, get_args

import numpy as np

from warmstart.errors import DescriptorError, WarmStartWarning
from warmstart.fingerprint import Fingerprint
from warmstart.metafeatures import COMPARABLE, complete, compute, to_vector
from warmstart.qualities import read_qualities
from warmstart.table import nominal_columns, open_table
from warmstart.target import Kind, read_target, refuse_missing


@dataclass(frozen=True, eq=False)
class TaskDescriptor:
    """Meta-features of a task's data; never rows, values, column names or hashes of them.

    Two descriptors are equal if kind, name and all meta-features are.

    Attributes:
        metafeatures: A value for each of ``metafeatures.METAFEATURES``, NaN where undefined or
            unknown. What is not given is derived or NaN.
        kind: ``"classification"``, ``"regression"``, or None if unknown.
        name: For messages; it plays no part in comparisons of data.
    """

    metafeatures: Mapping[str, float] = field(default_factory=dict)
    kind: Kind | None = None
    name: str = ""

    def __post_init__(self) -> None:
        values = complete(self.metafeatures)
        object.__setattr__(self, "metafeatures", MappingProxyType(values))

    @classmethod
    def from_openml_qualities(
        cls, qualities: Mapping[str, Any], *, name: str = ""
    ) -> TaskDescriptor:
        """Describe a task by what OpenML calls data qualities.

        Numbers may be text; missing, unknown and impossible values become NaN.

        Args:
            qualities: Values by name, as ``openml`` gives them.
            name: For messages.

        Raises:
            DescriptorError: If ``qualities`` is not a mapping.
        """
        values, kind = read_qualities(qualities)
        return cls(values, kind, name)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TaskDescriptor:
        """Restore a descriptor from ``to_json``'s output; unknown meta-features are left out.

        Raises:
            DescriptorError: If ``data`` is not such a description.
        """
        try:
            kind, name = data["kind"], data["name"]
            values = {str(key): float(value) for key, value in data["metafeatures"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DescriptorError(
                f"Not a task descriptor: {error!r} in {str(data)[:200]}."
            ) from error
        if (kind is not None and kind not in get_args(Kind)) or not isinstance(name, str):
            raise DescriptorError(
                f"Task descriptor of kind={kind!r}, name={name!r} given; expected "
                f"one of {get_args(Kind)} or None, and a string."
            )
        return cls(values, kind, name)

    def to_json(self) -> dict[str, Any]:
        """A JSON-serialisable description without the undefined values."""
        known = {name: v for name, v in self.metafeatures.items() if not math.isnan(v)}
        return {"kind": self.kind, "name": self.name, "metafeatures": known}

    def vector(self, names: Iterable[str] = COMPARABLE) -> np.ndarray:
        """Meta-features on scales for learning.

        Args:
            names: Which, in which order; by default all that agree between OpenML's qualities
                and data.

        Returns:
            ``(n_names,)``: ``log1p`` of counts and ratios, ``asinh`` of moments, shares and bits
            as they are; NaN where undefined.

        Raises:
            DescriptorError: If a name is not one of ``METAFEATURES``.
        """
        return to_vector(self.metafeatures, names)

    @property
    def fingerprint(self) -> Fingerprint:
        """What is compared to find look-alikes; hashable."""
        return Fingerprint.of(self.metafeatures)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TaskDescriptor):
            return NotImplemented
        return self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.kind, self.name, self.fingerprint))

    def __reduce__(self) -> tuple[Any, ...]:  # a read-only mapping can't be pickled
        return TaskDescriptor, (dict(self.metafeatures), self.kind, self.name)


def describe(
    X: Any,
    y: Any,
    *,
    kind: Kind | None = None,
    categorical: Iterable[Any] | None = None,
    name: str = "",
    seed: int = 0,
) -> TaskDescriptor:
    """Describe the data of a task, to find what was learned on data like it.

    Only ``X`` and ``y`` are read: give it the training split, and nothing of the test split can
    leak into what is proposed. The descriptor keeps summaries, never rows.

    Args:
        X: ``(n_rows, n_columns)``: a pandas DataFrame, numpy array, scipy sparse matrix or nested
            list. Numbers and times are numeric; booleans, categories, strings and mixed objects
            are nominal.
        y: ``(n_rows,)`` or one column: the target.
        kind: Of the task; None to infer it: strings, booleans, categories and few distinct
            integers are classes (see ``target.read_target``).
        categorical: Columns of numbers that are nominal: names, positions or one boolean a
            column.
        name: For messages.
        seed: Of the sample of rows on which entropies are computed where there are more than
            one million nominal values; all else is exact.

    Raises:
        DescriptorError: If ``X`` is not a table with rows and columns, or ``y`` does not fit it,
            or has missing or infinite values.

    Example:
        >>> task = describe([[1.0, "a"], [2.0, "b"], [4.0, "a"]], ["yes", "no", "yes"])
        >>> task.kind, task.metafeatures["NumberOfNumericFeatures"]
        ('classification', 1.0)
    """
    table = open_table(X)
    target = read_target(y, n_rows=table.shape[0], kind=kind)
    refuse_missing(target.missing)
    if np.ptp(target.values) == 0:
        warnings.warn(
            f"y has the same value in all {table.shape[0]} rows: there is nothing to learn from "
            "them, and no configuration is better than another. Is it the right column?",
            WarmStartWarning,
            stacklevel=2,
        )
    nominal = nominal_columns(table, categorical)
    values = compute(table, target, nominal=nominal, seed=seed)
    return TaskDescriptor(values, target.kind, name)
