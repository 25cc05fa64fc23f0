"""Meta-features: what they are, how they follow from a data set, and how they are made vectors.

Names and definitions are those of OpenML's data qualities, as its evaluation engine computes
them, so that histories and new data meet in one space. Shares are fractions of 1 here (OpenML
has stored both fractions and percentages) and follow from the counts. What is undefined is NaN.

Two kinds of OpenML's qualities are left out. Those that depend on the order of the rows or that
need models to be trained (``AutoCorrelation``, landmarkers) carry no more than the sizes do.
Those that changed their definition between OpenML's versions (``*NominalAttDistinctValues``,
which counts the target in some, and ``*Cardinality*``) can't be compared.

One difference stays: OpenML takes for binary the columns that declare two values, of which the
data may show fewer; only a pandas categorical declares its values here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from warmstart.errors import DescriptorError
from warmstart.moments import moments
from warmstart.table import NominalColumn, Table
from warmstart.target import Target

Group = Literal["simple", "statistical", "information-theoretic", "target"]
Transform = Literal["identity", "log1p", "asinh"]


@dataclass(frozen=True)
class MetaFeature:
    """One meta-feature.

    Attributes:
        name: OpenML's name of the quality; ``Target…`` are our own.
        group: What kind of property it is.
        definition: One sentence.
        transform: How ``to_vector`` maps it to a scale on which differences mean something.
        comparable: Whether OpenML's stored value agrees with the one computed from the data.
            The others are known only of tasks that are described from their data.
    """

    name: str
    group: Group
    definition: str
    transform: Transform
    comparable: bool = True


_SUMMARIES = {
    "Mean": "Mean",
    "Min": "Smallest",
    "Quartile1": "First quartile",
    "Quartile2": "Median",
    "Quartile3": "Third quartile",
    "Max": "Largest",
}
_INFORMATION = {
    "AttributeEntropy": "entropy of the nominal features, in bits",
    "MutualInformation": "mutual information of a nominal feature with the target, in bits",
}
_MOMENTS = {
    "Means": "mean of the numeric features",
    "StdDev": "standard deviation of the numeric features",
    "Skewness": "skewness of the numeric features",
    "Kurtosis": "excess kurtosis of the numeric features",
}

METAFEATURES: tuple[MetaFeature, ...] = (
    MetaFeature("NumberOfInstances", "simple", "Rows.", "log1p"),
    MetaFeature("NumberOfFeatures", "simple", "Columns, the target included.", "log1p"),
    MetaFeature("Dimensionality", "simple", "Columns per row.", "log1p"),
    MetaFeature("NumberOfClasses", "simple", "Classes; 0 for regression.", "log1p"),
    MetaFeature("MajorityClassSize", "simple", "Rows of the largest class.", "log1p"),
    MetaFeature("MinorityClassSize", "simple", "Rows of the smallest class.", "log1p"),
    MetaFeature("MajorityClassPercentage", "simple", "Share of the largest class.", "identity"),
    MetaFeature("MinorityClassPercentage", "simple", "Share of the smallest class.", "identity"),
    MetaFeature(
        "NumberOfNumericFeatures", "simple", "Numeric columns, with a numeric target.", "log1p"
    ),
    MetaFeature(
        "NumberOfSymbolicFeatures", "simple", "Nominal columns, with a nominal target.", "log1p"
    ),
    MetaFeature(
        "NumberOfBinaryFeatures", "simple", "Nominal columns (or target) of two values.", "log1p"
    ),
    MetaFeature("PercentageOfNumericFeatures", "simple", "Share of numeric columns.", "identity"),
    MetaFeature("PercentageOfSymbolicFeatures", "simple", "Share of nominal columns.", "identity"),
    MetaFeature("PercentageOfBinaryFeatures", "simple", "Share of binary columns.", "identity"),
    MetaFeature("NumberOfMissingValues", "simple", "Missing values.", "log1p"),
    MetaFeature(
        "NumberOfInstancesWithMissingValues", "simple", "Rows with a missing value.", "log1p"
    ),
    MetaFeature("PercentageOfMissingValues", "simple", "Share of missing values.", "identity"),
    MetaFeature(
        "PercentageOfInstancesWithMissingValues",
        "simple",
        "Share of rows with a missing value.",
        "identity",
    ),
    MetaFeature(
        "ClassEntropy", "information-theoretic", "Entropy of the class, in bits.", "identity"
    ),
    *(
        MetaFeature(summary + what, "information-theoretic", f"{word} {definition}.", "identity")
        for what, definition in _INFORMATION.items()
        for summary, word in _SUMMARIES.items()
    ),
    MetaFeature(
        "EquivalentNumberOfAtts",
        "information-theoretic",
        "ClassEntropy / MeanMutualInformation.",
        "log1p",
    ),
    MetaFeature(
        "MeanNoiseToSignalRatio",
        "information-theoretic",
        "(MeanAttributeEntropy - MeanMutualInformation) / MeanMutualInformation.",
        "log1p",
    ),
    # Not comparable: an engine of OpenML's past mixed the columns of the data sets that it
    # processed one after another; of the stored moments that could be checked half are wrong.
    # A numeric target, which OpenML counts in, is left out here: other targets of the same
    # columns leave them as they are.
    *(
        MetaFeature(
            f"{summary}{what}OfNumericAtts",
            "statistical",
            f"{word} {definition}.",
            "asinh",
            comparable=False,
        )
        for what, definition in _MOMENTS.items()
        for summary, word in _SUMMARIES.items()
    ),
    MetaFeature("TargetSkewness", "target", "Of a numeric target.", "asinh", comparable=False),
    MetaFeature("TargetKurtosis", "target", "Of a numeric target.", "asinh", comparable=False),
    MetaFeature(
        "TargetDistinctValues", "target", "Of a numeric target.", "log1p", comparable=False
    ),
)
"""All meta-features, in a fixed order."""

BY_NAME: Mapping[str, MetaFeature] = {feature.name: feature for feature in METAFEATURES}
"""The same, by name."""

COMPARABLE: tuple[str, ...] = tuple(f.name for f in METAFEATURES if f.comparable)
"""Names of those that are the same from OpenML's qualities and from data."""

_MAX_NOMINAL_CELLS = 1_000_000
# Entropies are computed on so many cells at most, on a sample of rows: a third of a second for
# strings in an object array. Below it they are exact.

_DIGITS_OF_INFORMATION = 12
# Sums over a million rows are wrong from about here on.


def compute(
    table: Table, target: Target, *, nominal: Sequence[bool], seed: int
) -> dict[str, float]:
    """All meta-features of a data set.

    Counts and moments are exact. Entropies and mutual information come from a sample of the
    rows where there are more than one million nominal values.

    Args:
        table: The features.
        target: The target, as long as the table.
        nominal: ``(n_columns,)`` which columns are nominal.
        seed: Of the sample.

    Returns:
        A value for each name in ``METAFEATURES``.
    """
    n_rows, n_columns = table.shape
    numeric_positions = [i for i in range(n_columns) if not nominal[i]]
    nominal_positions = [i for i in range(n_columns) if nominal[i]]
    incomplete = np.zeros(n_rows, dtype=bool)
    n_missing = 0

    parts = []
    for values in table.numeric_blocks(numeric_positions):
        n_missing += _note_missing(values, incomplete)
        parts.append(moments(values))
    column_moments = np.concatenate(parts) if parts else np.empty((0, 4))

    rows = _sample_rows(n_rows, len(nominal_positions), seed)
    classes = target.values if rows is None else target.values[rows]
    n_binary = int(target.kind == "classification" and target.n_classes == 2)
    entropies, information = [], []
    for position in nominal_positions:
        column = table.nominal(position, rows)
        n_missing += int(column.missing.sum())
        incomplete |= column.missing
        n_binary += column.n_values == 2
        if target.kind == "classification":
            entropy, mutual = _entropy_and_information(column, classes)
            entropies.append(entropy)
            information.append(mutual)

    is_regression = target.kind == "regression"
    found = {
        "NumberOfInstances": float(n_rows),
        "NumberOfFeatures": float(n_columns + 1),
        "NumberOfNumericFeatures": float(len(numeric_positions) + is_regression),
        "NumberOfSymbolicFeatures": float(len(nominal_positions) + (not is_regression)),
        "NumberOfBinaryFeatures": float(n_binary),
        "NumberOfMissingValues": float(n_missing),
        "NumberOfInstancesWithMissingValues": float(incomplete.sum()),
        **_of_target(target),
        **_summarise(entropies, "AttributeEntropy"),
        **_summarise(information, "MutualInformation"),
    }
    for what, values in zip(_MOMENTS, column_moments.T, strict=True):
        found |= _summarise(values, f"{what}OfNumericAtts")
    return complete(found)


def complete(found: Mapping[str, float]) -> dict[str, float]:
    """All meta-features: those found, those that follow from them, and NaN for the rest."""
    values = {feature.name: math.nan for feature in METAFEATURES}
    values |= {name: value for name, value in found.items() if name in values}

    def share(part: str, *whole: str) -> float:
        size = math.prod(values[name] for name in whole)
        return values[part] / size if size > 0 else math.nan

    values["Dimensionality"] = share("NumberOfFeatures", "NumberOfInstances")
    for size in ("Majority", "Minority"):
        values[f"{size}ClassPercentage"] = share(f"{size}ClassSize", "NumberOfInstances")
    for kind in ("Numeric", "Symbolic", "Binary"):
        values[f"PercentageOf{kind}Features"] = share(
            f"NumberOf{kind}Features", "NumberOfFeatures"
        )
    values["PercentageOfMissingValues"] = share(
        "NumberOfMissingValues", "NumberOfInstances", "NumberOfFeatures"
    )
    values["PercentageOfInstancesWithMissingValues"] = share(
        "NumberOfInstancesWithMissingValues", "NumberOfInstances"
    )
    values["EquivalentNumberOfAtts"] = share("ClassEntropy", "MeanMutualInformation")
    values["MeanNoiseToSignalRatio"] = share("MeanAttributeEntropy", "MeanMutualInformation") - 1
    return values


def to_vector(metafeatures: Mapping[str, float], names: Iterable[str]) -> np.ndarray:
    """Meta-features on scales for learning: ``log1p`` of counts and ratios, ``asinh`` of moments.

    Args:
        metafeatures: Values by name.
        names: Which, in which order.

    Returns:
        ``(n_names,)`` finite floats, NaN where the value is undefined.

    Raises:
        DescriptorError: If a name is not one of ``METAFEATURES``.
    """
    functions = {"identity": float, "log1p": math.log1p, "asinh": math.asinh}
    vector = []
    for name in names:
        feature = BY_NAME.get(name)
        if feature is None:
            raise DescriptorError(
                f"Meta-feature {name!r} given; expected one of {sorted(BY_NAME)}."
            )
        value = metafeatures.get(name, math.nan)
        if feature.transform == "log1p":
            value = max(value, 0.0) if not math.isnan(value) else value
        vector.append(functions[feature.transform](value))
    return np.array(vector, dtype=np.float64)


def _note_missing(values: Any, incomplete: np.ndarray) -> int:
    """Mark the rows with NaN in ``incomplete`` and return the number of NaN."""
    if isinstance(values, np.ndarray):
        missing = np.isnan(values)
        incomplete |= missing.any(axis=1)
        return int(missing.sum())
    entries = np.flatnonzero(np.isnan(np.asarray(values.data, dtype=np.float64)))
    incomplete[np.searchsorted(values.indptr, entries, side="right") - 1] = True
    return int(entries.size)


def _sample_rows(n_rows: int, n_nominal: int, seed: int) -> np.ndarray | None:
    """Rows on which entropies are computed; None for all."""
    n_sampled = _MAX_NOMINAL_CELLS // max(n_nominal, 1)
    if n_rows <= n_sampled:
        return None
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(n_rows, size=max(n_sampled, 1), replace=False))


def _entropy_and_information(column: NominalColumn, classes: np.ndarray) -> tuple[float, float]:
    """Entropy of a column and its mutual information with the class, in bits."""
    n_classes = int(classes.max()) + 1
    joint = column.codes * n_classes + classes
    of_column = _entropy(np.bincount(column.codes))
    of_joint = _entropy(_counts(joint))
    mutual = _entropy(np.bincount(classes)) + of_column - of_joint
    # Rounded, as OpenML does, so that independence gives 0 and no quotient of rounding errors.
    return of_column, max(round(mutual, _DIGITS_OF_INFORMATION), 0.0)


def _counts(codes: np.ndarray) -> np.ndarray:
    """How often each code occurs; codes may be much larger than their number."""
    if int(codes.max()) <= 4 * codes.size + 1000:
        return np.bincount(codes)
    return np.unique(codes, return_counts=True)[1]


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-np.sum(shares * np.log2(shares))) + 0.0  # not -0.0


def _of_target(target: Target) -> dict[str, float]:
    if target.kind == "classification":
        counts = np.bincount(target.values)
        return {
            "NumberOfClasses": float(target.n_classes),
            "MajorityClassSize": float(counts.max()),
            "MinorityClassSize": float(counts.min()),
            "ClassEntropy": _entropy(counts),
        }
    _, _, skewness, kurtosis = moments(target.values.reshape(-1, 1))[0]
    return {
        "NumberOfClasses": 0.0,
        "TargetSkewness": float(skewness),
        "TargetKurtosis": float(kurtosis),
        "TargetDistinctValues": float(np.unique(target.values).size),
    }


def _summarise(values: Sequence[float] | np.ndarray, what: str) -> dict[str, float]:
    """Mean, quartiles and extremes of the defined values; nothing if none is defined."""
    array = np.asarray(values, dtype=np.float64)
    array = array[np.isfinite(array)]
    if array.size == 0:
        return {}
    # OpenML's engine places quartiles at p(n + 1), which numpy calls "weibull".
    low, median, high = np.percentile(array, (25, 50, 75), method="weibull")
    with np.errstate(over="ignore"):
        mean = float(array.mean())
    summary = {
        "Mean": mean,
        "Min": float(array.min()),
        "Quartile1": float(low),
        "Quartile2": float(median),
        "Quartile3": float(high),
        "Max": float(array.max()),
    }
    return {name + what: value for name, value in summary.items() if math.isfinite(value)}
