"""Whether what is predicted happens as often as it is said, and what would mend it.

Rows are those of ``judging``, with scores of intervals for each of ``FACTORS``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from metaopt.benchmarks.statistics import averaged_by, bootstrap_interval
from metaopt.evaluation.options import BUDGETS, FACTORS, LEVELS

#: Within which the coverage of a family's 80 % interval should lie.
FAMILY_RANGE: Final = (0.65, 0.92)
_OF_FAMILIES: Final = LEVELS.index(0.8)
_AS_IT_IS: Final = FACTORS.index(1.0)
_FEWEST_FAMILIES: Final = 2
_SMALLEST_VARIANCE: Final = 1e-9


def calibration(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By budget: coverage, log scores, and what a factor of the deviation would make of them.

    The rival is a normal distribution with the same middle and one variance for all, which is
    the mean squared error on the tasks of other families. The factor, too, is for each family
    the one of the best log score on the others.
    """
    by_budget = {}
    for budget in BUDGETS:
        of_budget = [row for row in rows if row["budget"] == budget]
        families = [row["family"] for row in of_budget]
        if len(set(families)) >= _FEWEST_FAMILIES:
            by_budget[str(budget)] = _at_one_budget(of_budget, families)
    return by_budget


def _at_one_budget(rows: Sequence[Mapping[str, Any]], families: Sequence[str]) -> dict[str, Any]:
    covered = np.array([row["covered"] for row in rows])  # (n, factors, levels)
    scores = np.array([row["log_scores"] for row in rows])  # (n, factors)
    errors = np.array([row["squared_error"] for row in rows])
    names = np.array(families)
    chosen = np.empty(len(rows), dtype=int)
    rival = np.empty(len(rows))
    for family in set(families):
        own = names == family
        chosen[own] = scores[~own].mean(axis=0).argmax()
        variance = max(float(errors[~own].mean()), _SMALLEST_VARIANCE)
        rival[own] = -0.5 * (np.log(2 * np.pi * variance) + errors[own] / variance)
    each = np.arange(len(rows))
    gain = scores[:, _AS_IT_IS] - rival
    low, high = bootstrap_interval(families, gain)
    of_family = averaged_by(families, covered[:, _AS_IT_IS, _OF_FAMILIES])
    rescaled = averaged_by(families, covered[each, chosen, _OF_FAMILIES])
    return {
        "n_tasks": len(rows),
        "n_families": len(of_family),
        "coverage": _by_level(covered[:, _AS_IT_IS].mean(axis=0)),
        "families": {
            **_within(of_family),
            "spread": float(of_family.std()),
            "spread_by_chance": _spread_by_chance(rows, families, float(of_family.mean())),
            "outside": {
                name: float(share)
                for name, share in zip(dict.fromkeys(families), of_family, strict=True)
                if not FAMILY_RANGE[0] <= share <= FAMILY_RANGE[1]
            },
        },
        "log_score": float(scores[:, _AS_IT_IS].mean()),
        "log_score_of_constant_variance": float(rival.mean()),
        "gain": {"mean": float(gain.mean()), "low": float(low), "high": float(high)},
        "excluded": float(np.mean([row["excluded"][_AS_IT_IS] for row in rows])),
        "rescaled": {
            "factor": FACTORS[int(scores.mean(axis=0).argmax())],
            "coverage": _by_level(covered[each, chosen].mean(axis=0)),
            "families": _within(rescaled),
            "log_score": float(scores[each, chosen].mean()),
        },
    }


def _by_level(shares: np.ndarray) -> dict[str, float]:
    return {f"{level:g}": float(share) for level, share in zip(LEVELS, shares, strict=True)}


def _spread_by_chance(
    rows: Sequence[Mapping[str, Any]], families: Sequence[str], share: float
) -> float:
    """The deviation that families' coverage would have if runs were covered independently.

    A family's coverage is the mean of its tasks', so that a task with few runs adds most to it.
    """
    variances = share * (1 - share) / np.array([row["n_predicted"] for row in rows])
    n_tasks = np.array(list(Counter(families).values()))
    return float(np.sqrt(np.mean(averaged_by(families, variances) / n_tasks)))


def _within(coverage: np.ndarray) -> dict[str, float]:
    """Of families' coverage of the 80 % interval, how much lies where it should."""
    low, high = FAMILY_RANGE
    return {
        "below": float((coverage < low).mean()),
        "within": float(((coverage >= low) & (coverage <= high)).mean()),
        "above": float((coverage > high).mean()),
        "lowest": float(coverage.min()),
        "highest": float(coverage.max()),
    }
