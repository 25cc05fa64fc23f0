"""Which estimator a study tunes, from the names and the ranges of its parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping

from warmstart.catalogue import ESTIMATORS
from warmstart.estimator import Estimator
from warmstart.matching import Match, Matcher
from warmstart.space import Parameter

# A documented alias is less often written than the name itself.
_ALIAS_WEIGHT = 0.7
# What a parameter that no estimator knows counts against all.
_UNKNOWN_WEIGHT = 1.0
# What the estimator has to reach, and its lead over the next kind.
_LEAST_SCORE = 0.5
_LEAST_LEAD = 0.1
# A study that has so much of other estimators chooses between several.
_MOST_ELSEWHERE = 0.2


def infer_estimator(
    parameters: Mapping[str, Parameter], *, family: str | None = None
) -> tuple[Estimator, float] | None:
    """The estimator that parameters belong to, and the share of the evidence that says so.

    Names that few estimators have count most, and prefixes that name one. The classifier and the
    regressor of one kind are often alike in all names, and so are the two kinds of forests: then
    the first in the catalogue is taken, the classifier and the random forest.

    Args:
        parameters: By the user's names.
        family: ``"classifier"`` or ``"regressor"``, where only one of them can be.

    Returns:
        The estimator and a score of at least 0.5, 1 where nothing speaks for another one;
        ``None`` if no estimator fits, or estimators of several kinds do.
    """
    candidates = [e for e in ESTIMATORS if family is None or e.family == family]
    evidence = _evidence(candidates, parameters)
    most = {name: max((e.get(name, 0.0) for e in evidence), default=0.0) for name in parameters}
    total = sum(weight or _UNKNOWN_WEIGHT for weight in most.values())
    scores = [sum(e.values()) / total if total else 0.0 for e in evidence]

    best = max(scores, default=0.0)
    ranked = list(zip(candidates, scores, evidence, strict=True))
    near = {estimator.group for estimator, score, _ in ranked if score > best - _LEAST_LEAD}
    if best < _LEAST_SCORE or len(near) > 1:
        return None
    chosen, _, spoken = next(entry for entry in ranked if entry[1] > best - 1e-9)
    elsewhere = sum(weight for name, weight in most.items() if name not in spoken)
    if chosen.benchmark_only or elsewhere > _MOST_ELSEWHERE * total:
        return None
    if len(spoken) == 1 and len(next(iter(spoken))) == 1:
        return None  # a single letter may mean anything
    return chosen, best


def _evidence(
    candidates: list[Estimator], parameters: Mapping[str, Parameter]
) -> list[dict[str, float]]:
    """For each candidate, how much each parameter speaks for it."""
    matches = [_matches(estimator, parameters) for estimator in candidates]
    n_groups = len({estimator.group for estimator in candidates})
    evidence: list[dict[str, float]] = [{} for _ in candidates]
    for name in parameters:
        # "estimator__max_depth" is a name of AdaBoost's; others only know it behind a prefix.
        fewest = min((m[name].distance.words for m in matches if name in m), default=0)
        speaking = [
            i for i, m in enumerate(matches) if name in m and m[name].distance.words == fewest
        ]
        groups = {candidates[i].group for i in speaking}
        for i in speaking:
            rarity = math.log((n_groups + 1) / len(groups))
            is_alias = matches[i][name].distance.is_alias
            evidence[i][name] = rarity * (_ALIAS_WEIGHT if is_alias else 1.0)
    return evidence


def _matches(estimator: Estimator, parameters: Mapping[str, Parameter]) -> dict[str, Match]:
    matcher = Matcher(estimator)
    found = {name: matcher.match(name, parameter) for name, parameter in parameters.items()}
    return {name: match for name, match in found.items() if match is not None}
