"""Histories of one estimator on one canonical space, whatever their parameters were called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from warmstart.alignment import Alignment, align
from warmstart.catalogue import ESTIMATORS
from warmstart.column import ABSENT, Column, Kind
from warmstart.descriptor import TaskDescriptor
from warmstart.encoding import Encoding
from warmstart.errors import DescriptorError, HistoryError
from warmstart.estimator import UNKNOWN, Estimator, uncatalogued
from warmstart.history import History
from warmstart.learning import AlignedHistory
from warmstart.matching import Match, Matcher
from warmstart.prior import SourceTask
from warmstart.space import (
    Categorical,
    Condition,
    Float,
    Integer,
    Parameter,
    SearchSpace,
    Value,
    same_choice,
)

# Text and truth values that a column may hold beside numbers still count as choices.
_MOST_CHOICES = 64


def align_histories(
    name: str, histories: Sequence[History], *, space: SearchSpace | None = None
) -> tuple[Estimator, SearchSpace, list[AlignedHistory]]:
    """Bring histories of one estimator onto one canonical space.

    An estimator of the catalogue brings its canonical names; the space is what the histories
    cover of it. Of any other, the canonical space is the union of the histories' own spaces,
    where parameters that were renamed or re-ranged between them are one.

    Args:
        name: The estimator's name.
        histories: At least one.
        space: The canonical space, where it is given, as that of an artifact.

    Raises:
        HistoryError: If they have no hyperparameter in common with the estimator.
    """
    spaces = [_space_of(history) for history in histories]
    known = next((estimator for estimator in ESTIMATORS if estimator.name == name), None)
    estimator = known or uncatalogued(name, space or _union(name, spaces))
    matcher = Matcher(estimator, space=space)
    alignments = [align(own.parameters, matcher) for own in spaces]
    if space is None:
        space = _covered_space(estimator, matcher, histories, spaces, alignments)
    if not space.parameters:
        raise HistoryError(
            f"{len(histories)} histories of {name} given, tuning "
            f"{sorted({p for s in spaces for p in s.parameters})}; "
            "expected hyperparameters of it that take more than one value."
        )
    encoding = Encoding(space)
    aligned = [
        _aligned(history, alignment, encoding)
        for history, alignment in zip(histories, alignments, strict=True)
    ]
    return estimator, space, aligned


def source_task(history: History) -> SourceTask:
    """What a prior remembers of where a history comes from."""
    info = history.info
    try:
        descriptor = None if info.descriptor is None else TaskDescriptor.from_json(info.descriptor)
    except DescriptorError:
        descriptor = None  # written by another version; the trials are as good without it
    return SourceTask(
        id=info.task,
        name=info.name,
        dataset=info.dataset,
        family=info.family,
        source=info.source,
        metric=info.metric,
        licence=info.licence,
        n_trials=len(history),
        descriptor=descriptor,
    )


def _space_of(history: History) -> SearchSpace:
    """The space of a history, from what it holds where it is not said."""
    if history.info.space is not None:
        return history.info.space
    parameters: dict[str, Parameter] = {}
    for name, column in history.columns.items():
        parameter = _parameter_of(column)
        if parameter is not None:
            parameters[name] = parameter
    return SearchSpace(parameters)


def _parameter_of(column: Column) -> Parameter | None:
    """A parameter that holds all values of a column; ``None`` if none can be told."""
    present = column.kinds != Kind.ABSENT
    if not present.any():
        return None
    if np.isin(column.kinds[present], (Kind.INT, Kind.FLOAT)).all():
        numbers = column.numbers[present]
        numbers = numbers[np.isfinite(numbers)]
        if not len(numbers):
            return None
        low, high = float(numbers.min()), float(numbers.max())
        if (column.kinds[present] == Kind.INT).all():
            return Integer(int(low), int(high))
        return Float(low, high)
    choices: list[Value] = []
    for value in column.values():
        if value is not ABSENT and not same_choice(value, tuple(choices)):
            choices.append(value)
            if len(choices) > _MOST_CHOICES:
                return None
    return Categorical(tuple(choices))


def _union(name: str, spaces: Sequence[SearchSpace]) -> SearchSpace:
    """One space with a parameter for each that is tuned, renamed ones taken together.

    The names are those of the history that tunes most, and among equals of the one with the
    longest: ``rate`` is taken for ``net__rate``, but not the other way round.
    """

    def rank(i: int) -> tuple[int, int, list[str]]:
        names = sorted(spaces[i].parameters)
        return -len(names), -sum(map(len, names)), names

    order = sorted(range(len(spaces)), key=rank)
    union = spaces[order[0]]
    done = [union]
    for i in order[1:]:
        if spaces[i] in done:
            continue
        done.append(spaces[i])
        alignment = align(spaces[i].parameters, Matcher(uncatalogued(name, union)))
        parameters = dict(union.parameters)
        for own, parameter in spaces[i].parameters.items():
            match = alignment.matched.get(own)
            if match is not None:
                at = match.canonical
                parameters[at] = _wider(parameters[at], parameter, match)
            elif own not in parameters:
                parameters[own] = parameter
        union = SearchSpace(parameters, union.conditions)
    return union


def _wider(known: Parameter, other: Parameter, match: Match) -> Parameter:
    """``known``, widened by the values of ``other``, which stands for the same."""
    if isinstance(known, Categorical):
        values = other.choices if isinstance(other, Categorical) else ()
        choices = list(known.choices)
        for value in values:
            canonical = match.to_canonical(value)
            new = value if canonical is UNKNOWN else canonical
            if not same_choice(new, tuple(choices)):
                choices.append(new)
        return Categorical(tuple(choices))
    ends = _ends(other, match)
    if not ends:
        return known
    low, high = min(known.low, *ends), max(known.high, *ends)
    log = known.log and low > 0
    if isinstance(known, Integer) and not isinstance(other, Float):
        return Integer(int(low), int(high), log)
    return Float(float(low), float(high), log)


def _ends(parameter: Parameter, match: Match) -> list[float]:
    """The canonical numbers at the ends of a parameter's range, or of its choices."""
    given = (
        parameter.choices
        if isinstance(parameter, Categorical)
        else (parameter.low, parameter.high)
    )
    ends = [match.to_canonical(value) for value in given]
    return [
        float(end) for end in ends if isinstance(end, int | float) and not isinstance(end, bool)
    ]


def _covered_space(
    estimator: Estimator,
    matcher: Matcher,
    histories: Sequence[History],
    spaces: Sequence[SearchSpace],
    alignments: Sequence[Alignment],
) -> SearchSpace:
    """The part of the canonical space in which the histories vary."""
    ends: dict[str, list[float]] = {}
    choices: dict[str, list[Value]] = {}
    for history, space, alignment in zip(histories, spaces, alignments, strict=True):
        for own, match in alignment.matched.items():
            if own not in history.columns:
                continue
            canonical = matcher.canonical[match.canonical].parameter
            parameter = space.parameters[own]
            if isinstance(canonical, Categorical):
                seen = choices.setdefault(match.canonical, [])
                given = parameter.choices if isinstance(parameter, Categorical) else (0, 1)
                for value in map(match.to_canonical, given):
                    if value is not UNKNOWN and not same_choice(value, tuple(seen)):
                        seen.append(value)
            else:
                ends.setdefault(match.canonical, []).extend(_ends(parameter, match))
    parameters: dict[str, Parameter] = {}
    for name, canonical in estimator.space.parameters.items():
        if isinstance(canonical, Categorical):
            seen = choices.get(name, [])
            kept = tuple(c for c in canonical.choices if same_choice(c, tuple(seen)))
            if len(kept) > 1:
                parameters[name] = Categorical(kept)
        elif ends.get(name) and min(ends[name]) < max(ends[name]):
            low, high = min(ends[name]), max(ends[name])
            log = canonical.log and low > 0
            parameters[name] = (
                Integer(int(low), int(high), log)
                if isinstance(canonical, Integer)
                else Float(low, high, log)
            )
    conditions = {}
    for name, condition in estimator.space.conditions.items():
        parent = parameters.get(condition.parameter)
        if name in parameters and isinstance(parent, Categorical):
            values = tuple(v for v in condition.values if same_choice(v, parent.choices))
            conditions[name] = Condition(condition.parameter, values)
    return SearchSpace(parameters, conditions)


def _aligned(history: History, alignment: Alignment, encoding: Encoding) -> AlignedHistory:
    n = len(history)
    coordinates = np.full((n, len(encoding.names)), np.nan)
    for name, default in alignment.missing.items():
        # What a history did not tune was at its default there.
        if name in encoding.names and default is not UNKNOWN:
            j = encoding.names.index(name)
            coordinates[:, j] = encoding.coordinate(name, default)
    for own, match in alignment.matched.items():
        if own in history.columns and match.canonical in encoding.names:
            j = encoding.names.index(match.canonical)
            coordinates[:, j] = _column(history.columns[own], match, encoding)
    return AlignedHistory(source_task(history), encoding.settle(coordinates), history.losses)


def _column(column: Column, match: Match, encoding: Encoding) -> np.ndarray:
    """The coordinates of one column of values, ``(n,)``; NaN where absent or unknown."""
    known: dict[tuple[type, object], float] = {}
    coordinates = np.full(len(column.kinds), np.nan)
    for i, value in enumerate(column.values()):
        if value is ABSENT:
            continue
        key = (type(value), value)
        if key not in known:
            canonical = match.to_canonical(value)
            known[key] = (
                np.nan if canonical is UNKNOWN else encoding.coordinate(match.canonical, canonical)
            )
        coordinates[i] = known[key]
    return coordinates


def by_estimator(histories: Sequence[History]) -> Mapping[str, list[History]]:
    """Histories grouped by the estimator that they say they are of."""
    groups: dict[str, list[History]] = {}
    for history in histories:
        groups.setdefault(history.info.estimator, []).append(history)
    return groups
