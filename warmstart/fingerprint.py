"""Fingerprints: the part of a descriptor by which look-alikes of a data set are found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_QUARTILES = ("Quartile1", "Quartile2", "Quartile3")
_SIGNIFICANT_DIGITS = 6
# Sums in another order of rows or columns differ in the last digits.


@dataclass(frozen=True)
class Fingerprint:
    """Sizes and summaries of a data set; None where unknown or undefined. Hashable.

    Attributes:
        n_rows: Rows.
        n_columns: Features, without the target.
        n_numeric: Numeric features.
        n_nominal: Nominal features.
        n_classes: 0 for regression.
        majority: Rows of the largest class.
        minority: Rows of the smallest class.
        n_missing: Missing values.
        means: Quartiles of the means of the numeric columns.
        stds: Quartiles of their standard deviations.
        entropies: Quartiles of the entropies of the nominal features, in bits.
        target: Skewness, kurtosis and distinct values of a numeric target.
    """

    n_rows: int | None
    n_columns: int | None
    n_numeric: int | None
    n_nominal: int | None
    n_classes: int | None
    majority: int | None
    minority: int | None
    n_missing: int | None
    means: tuple[float, ...] | None
    stds: tuple[float, ...] | None
    entropies: tuple[float, ...] | None
    target: tuple[float, ...] | None

    @classmethod
    def of(cls, metafeatures: Mapping[str, float]) -> Fingerprint:
        """The fingerprint of data with these meta-features."""

        def count(name: str) -> int | None:
            value = metafeatures.get(name, math.nan)
            return None if math.isnan(value) else round(value)

        def known(names: Sequence[str]) -> tuple[float, ...] | None:
            values = [metafeatures.get(name, math.nan) for name in names]
            if any(map(math.isnan, values)):
                return None
            return tuple(float(f"{value:.{_SIGNIFICANT_DIGITS}g}") for value in values)

        n_all, n_numeric, n_nominal, n_classes = map(
            count,
            (
                "NumberOfFeatures",
                "NumberOfNumericFeatures",
                "NumberOfSymbolicFeatures",
                "NumberOfClasses",
            ),
        )
        # OpenML counts the target.
        if n_numeric is not None and n_classes == 0:
            n_numeric -= 1
        if n_nominal is not None and n_classes is not None and n_classes > 0:
            n_nominal -= 1
        return cls(
            n_rows=count("NumberOfInstances"),
            n_columns=None if n_all is None else n_all - 1,
            n_numeric=n_numeric,
            n_nominal=n_nominal,
            n_classes=n_classes,
            majority=count("MajorityClassSize"),
            minority=count("MinorityClassSize"),
            n_missing=count("NumberOfMissingValues"),
            means=known([f"{q}MeansOfNumericAtts" for q in _QUARTILES]),
            stds=known([f"{q}StdDevOfNumericAtts" for q in _QUARTILES]),
            entropies=known([f"{q}AttributeEntropy" for q in _QUARTILES]),
            target=known(["TargetSkewness", "TargetKurtosis", "TargetDistinctValues"]),
        )
