"""What is known about an estimator: its hyperparameters, and the words users call it by.

The values of a hyperparameter are meant as its library reads them ("native units"). Where a
library also takes other values for a number (``max_features="sqrt"``, ``max_depth=None``), these
are ``special`` values and stand for a number, some of which depend on the size of the task.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from warmstart.space import Condition, Parameter, SearchSpace, Value


class Unknown(enum.Enum):
    """The type of ``UNKNOWN``: a value that has no counterpart on the other side."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


@dataclass(frozen=True)
class TaskSize:
    """Rows and columns of a task, for values that count in them; ``None`` if not known.

    Where they are not known, the medians over the OpenML tasks of the 2018 scikit-learn runs
    stand in: 37 columns, 2,500 rows.
    """

    n_features: int | None = None
    n_samples: int | None = None

    @property
    def features(self) -> int:
        """The number of columns, or its stand-in; at least 1."""
        return max(1, 37 if self.n_features is None else self.n_features)

    @property
    def samples(self) -> int:
        """The number of rows, or its stand-in; at least 1."""
        return max(1, 2500 if self.n_samples is None else self.n_samples)


SpecialNumber: TypeAlias = float | Callable[[TaskSize], float]


@dataclass(frozen=True)
class Hyperparameter:
    """One hyperparameter of an estimator.

    Attributes:
        name: As the library calls it; the canonical name.
        parameter: A wide natural range, on its natural scale.
        default: The library's default, as the library writes it; ``UNKNOWN`` where there is none.
        aliases: Other names for it; case and separators don't matter.
        condition: When it has an effect.
        value_aliases: Categories by other names, as ``{"polynomial": "poly"}``; case and
            separators don't matter.
        special: Values of a numeric hyperparameter that are not meant as numbers.
        counted_in: ``"n_features"`` or ``"n_samples"`` where the library takes both a count and
            a fraction of that; the natural range says which of the two is canonical.
        component: Empty for the estimator itself, else the step of a pipeline that is meant.
        within: Words that may stand before the name without pointing to another estimator.
    """

    name: str
    parameter: Parameter
    default: Value | Unknown
    aliases: tuple[str, ...] = ()
    condition: Condition | None = None
    value_aliases: Mapping[str, Value] = field(default_factory=dict)
    special: Mapping[Value, SpecialNumber] = field(default_factory=dict)
    counted_in: str = ""
    component: str = ""
    within: tuple[str, ...] = ()


@dataclass(frozen=True)
class Estimator:
    """One estimator that this package knows.

    Attributes:
        name: Canonical dotted name, as ``"sklearn.svm.SVC"``.
        hyperparameters: What can be tuned, without names that occur twice.
        family: ``"classifier"`` or ``"regressor"``.
        group: Estimators of one group share most hyperparameters and are told apart by more
            than names.
        tags: Words in a parameter's name that point to this estimator, as ``"svc"``.
        aliases: Other names of the estimator itself.
        benchmark_only: Never inferred from names; used only where asked for by name.
    """

    name: str
    hyperparameters: tuple[Hyperparameter, ...]
    family: str
    group: str
    tags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    benchmark_only: bool = False

    @property
    def kind(self) -> Literal["classification", "regression"]:
        """Of the tasks that it is for."""
        return "classification" if self.family == "classifier" else "regression"

    @property
    def class_name(self) -> str:
        """The last part of the dotted name."""
        return self.name.rpartition(".")[2]

    @property
    def space(self) -> SearchSpace:
        """All hyperparameters on their natural ranges, with their conditions."""
        return SearchSpace(
            {h.name: h.parameter for h in self.hyperparameters},
            {h.name: h.condition for h in self.hyperparameters if h.condition is not None},
        )


def uncatalogued(name: str, space: SearchSpace) -> Estimator:
    """An estimator that is known only by a name and by the space it was tuned on.

    Its parameters go by their own names, by those without the prefix that all of them share, and
    by what follows the last pipeline step where that is unique.
    """
    shared = _shared_prefix(list(space.parameters))
    last = {full: full.replace(".", "__").rpartition("__")[2] for full in space.parameters}
    hyperparameters = []
    for full, parameter in space.parameters.items():
        aliases = {full[len(shared) :]}
        if list(last.values()).count(last[full]) == 1:
            aliases.add(last[full])
        hyperparameters.append(
            Hyperparameter(
                full,
                parameter,
                UNKNOWN,
                aliases=tuple(sorted(aliases - {full, ""})),
                condition=space.conditions.get(full),
                within=tuple(_words(full)),
            )
        )
    return Estimator(
        name=name,
        hyperparameters=tuple(hyperparameters),
        family="",
        group=name,
        tags=(name.rpartition(".")[2], *_words(shared)),
    )


def _words(name: str) -> list[str]:
    return "".join(c if c.isalnum() else " " for c in name.lower()).split()


def _shared_prefix(names: list[str]) -> str:
    """The longest prefix of all names that ends with a separator; empty for a single name."""
    if len(names) < 2:
        return ""
    # What the first and the last in order share, all share.
    first, last = min(names), max(names)
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    while shared and first[shared - 1].isalnum():
        shared -= 1
    return first[:shared]


def square_root_of_features(size: TaskSize) -> float:
    """``max_features="sqrt"`` as a fraction, rounded as scikit-learn does."""
    return max(1, math.isqrt(size.features)) / size.features


def log2_of_features(size: TaskSize) -> float:
    """``max_features="log2"`` as a fraction, rounded as scikit-learn does."""
    return max(1, int(math.log2(size.features))) / size.features


def one_over_features(size: TaskSize) -> float:
    """``gamma="auto"``, and ``gamma="scale"`` where the features have variance 1."""
    return 1.0 / size.features


def automatic_batch(size: TaskSize) -> float:
    """``batch_size="auto"`` of scikit-learn's multilayer perceptrons."""
    return float(min(200, size.samples))
