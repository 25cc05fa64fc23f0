"""Alignment of a user's parameters, all those known so far, to an estimator's hyperparameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from warmstart.estimator import UNKNOWN, TaskSize, Unknown
from warmstart.matching import Match, Matcher, Unmatched
from warmstart.names import Distance
from warmstart.space import Categorical, Float, Integer, Parameter, Value
from warmstart.values import Canonical

__all__ = ["UNKNOWN", "Alignment", "Match", "Matcher", "TaskSize", "Unmatched", "align"]


@dataclass(frozen=True)
class Alignment:
    """Which parameters stand for which hyperparameters.

    Attributes:
        matched: By the user's name, in the order of the canonical space; one at most for each
            hyperparameter.
        unmatched: By the user's name, the reason.
        missing: By canonical name, the value of each hyperparameter that the user does not tune:
            the fixed one, else the library's default, as near as the canonical range allows;
            ``UNKNOWN`` where there is none.
        ambiguous: By canonical name, the parameters that might stand for it where there are
            several; the first is the matched one.
    """

    matched: Mapping[str, Match]
    unmatched: Mapping[str, str]
    missing: Mapping[str, Value | Unknown]
    ambiguous: Mapping[str, tuple[str, ...]]


def merged(alignments: Sequence[Alignment], *, said: Mapping[str, str]) -> Alignment:
    """Several as one: what stands for something in any of them is matched.

    Args:
        alignments: Of the branches of one study.
        said: Of some parameters, why they stand for nothing.
    """
    matched = {name: match for a in alignments for name, match in a.matched.items()}
    return Alignment(
        matched=matched,
        unmatched={
            name: reason
            for a in alignments
            for name, reason in a.unmatched.items()
            if name not in matched
        }
        | dict(said),
        missing={name: value for a in alignments for name, value in a.missing.items()},
        ambiguous={name: names for a in alignments for name, names in a.ambiguous.items()},
    )


def align(
    parameters: Mapping[str, Parameter],
    matcher: Matcher,
    *,
    fixed: Mapping[str, Value] | None = None,
) -> Alignment:
    """Align all parameters that are known of a study.

    Of several parameters that could stand for one hyperparameter, the closest name does; among
    equally close ones the first in the alphabet. The order of ``parameters`` has no influence.

    Args:
        parameters: By the user's names.
        matcher: Of the estimator.
        fixed: Values that the user sets but does not tune, by the user's names; names that
            match nothing are ignored.
    """
    found = {name: matcher.find(name, parameter) for name, parameter in parameters.items()}
    found |= _with_trusted_prefixes(found, parameters, matcher)

    rivals: dict[str, list[Match]] = {name: [] for name in matcher.canonical}
    unmatched = {}
    for name, outcome in found.items():
        if isinstance(outcome, Match):
            rivals[outcome.canonical].append(outcome)
        else:
            unmatched[name] = outcome.reason
    matched = {}
    ambiguous = {}
    for canonical, matches in rivals.items():
        matches.sort(key=lambda match: (match.distance, match.user))
        if matches:
            matched[matches[0].user] = matches[0]
        if len(matches) > 1:
            ambiguous[canonical] = tuple(match.user for match in matches)
        for loser in matches[1:]:
            unmatched[loser.user] = f"{matches[0].user!r} is closer to {canonical}"
    tuned = {match.canonical for match in matched.values()}
    return Alignment(
        matched=matched,
        unmatched={name: unmatched[name] for name in sorted(unmatched)},
        missing=_missing(matcher, tuned, fixed or {}),
        ambiguous=ambiguous,
    )


def _with_trusted_prefixes(
    found: Mapping[str, Match | Unmatched],
    parameters: Mapping[str, Parameter],
    matcher: Matcher,
) -> dict[str, Match | Unmatched]:
    """Matches behind an unknown prefix that several hyperparameters share.

    One ``m1_C`` may be anything; ``m1_C`` and ``m1_gamma`` together are a support vector machine,
    unless the study has another C or gamma.
    """
    tuned = {match.canonical for match in found.values() if isinstance(match, Match)}
    by_prefix: dict[str, dict[str, Match]] = {}
    for name, outcome in found.items():
        if isinstance(outcome, Unmatched) and outcome.doubtful_prefix:
            trusted = matcher.find(name, parameters[name], trust_prefix=True)
            if isinstance(trusted, Match):
                by_prefix.setdefault(outcome.doubtful_prefix, {})[name] = trusted
    adopted: dict[str, Match | Unmatched] = {}
    for prefix in sorted(by_prefix):
        meant = {match.canonical for match in by_prefix[prefix].values()}
        if len(meant) > 1 and not meant & tuned:
            adopted |= by_prefix[prefix]
            tuned |= meant
    return adopted


def _missing(
    matcher: Matcher, tuned: set[str], fixed: Mapping[str, Value]
) -> dict[str, Value | Unknown]:
    values: dict[str, Value | Unknown] = {}
    closest: dict[str, tuple[Distance, str]] = {}
    for name, given in fixed.items():
        for reading in matcher.readings(name)[0]:
            meant = reading.hyperparameter.name
            canonical = matcher.canonical.get(meant)
            value = UNKNOWN if canonical is None else canonical.value(given)
            if canonical is None or value is UNKNOWN or reading.units or reading.doubtful_prefix:
                continue
            distance = (reading.distance, name)
            if meant not in closest or distance < closest[meant]:
                values[meant], closest[meant] = _clipped(canonical, value), distance
            break
    return {
        name: values[name] if name in values else _default(canonical)
        for name, canonical in matcher.canonical.items()
        if name not in tuned
    }


def _default(canonical: Canonical) -> Value | Unknown:
    default = canonical.hyperparameter.default
    if default is UNKNOWN:
        return UNKNOWN
    return _clipped(canonical, canonical.value(default))


def _clipped(canonical: Canonical, value: Value | Unknown) -> Value | Unknown:
    """``value``, or the nearest that was learned about."""
    parameter = canonical.parameter
    if isinstance(parameter, Categorical) or not isinstance(value, int | float):
        return value
    kind = int if isinstance(parameter, Integer) else float
    assert isinstance(parameter, Float | Integer)
    return kind(min(max(value, parameter.low), parameter.high))
