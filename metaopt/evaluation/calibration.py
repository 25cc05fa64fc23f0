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

    The rival is the same model with one variance for all runs and tasks. Another one is told the
    task's best loss and range, which the model has to guess: a normal distribution of the
    logarithmic regret with the same middle, and the mean squared error as its variance; where the
    model gives the best and the worst a probability of their own, its density is taken. These
    variances and the factor are for each family those that are best on the others.
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
    of_one_variance = np.array([row["log_scores_of_one_variance"] for row in rows])
    names = np.array(families)
    chosen = np.empty(len(rows), dtype=int)
    rival, told = np.empty((2, len(rows)))
    for family in set(families):
        own = names == family
        chosen[own] = scores[~own].mean(axis=0).argmax()
        variance = max(float(errors[~own].mean()), _SMALLEST_VARIANCE)
        told[own] = -0.5 * (np.log(2 * np.pi * variance) + errors[own] / variance)
        rival[own] = of_one_variance[own, of_one_variance[~own].mean(axis=0).argmax()]
    each = np.arange(len(rows))
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
            "coverage": {
                name: float(share)
                for name, share in zip(dict.fromkeys(families), of_family, strict=True)
            },
        },
        "log_score": float(scores[:, _AS_IT_IS].mean()),
        "log_score_of_constant_variance": float(rival.mean()),
        "gain": _beside(families, scores[:, _AS_IT_IS] - rival),
        "log_score_told_the_scale": float(told.mean()),
        "gain_over_told_the_scale": _beside(families, scores[:, _AS_IT_IS] - told),
        "excluded": float(np.mean([row["excluded"][_AS_IT_IS] for row in rows])),
        "rescaled": {
            "factor": FACTORS[int(scores.mean(axis=0).argmax())],
            "coverage": _by_level(covered[each, chosen].mean(axis=0)),
            "families": _within(rescaled),
            "log_score": float(scores[each, chosen].mean()),
        },
    }


def outside(coverage: Mapping[str, float]) -> dict[str, float]:
    """Of families' coverage by name, that which is not in ``FAMILY_RANGE``, the lowest first."""
    low, high = FAMILY_RANGE
    strayed = [(share, name) for name, share in coverage.items() if not low <= share <= high]
    return {name: share for share, name in sorted(strayed)}


def over_estimators(calibrations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Coverage of the 80 % interval over the estimators together, by budget and over all budgets.

    Args:
        calibrations: What ``calibration`` gives of each estimator.

    Returns:
        For each budget, and for ``"all"`` of them together, the mean over estimators, the lowest
        and the highest estimator, and the coverage of each family, a mean over estimators.
    """
    found: dict[str, Any] = {}
    for budget in (*map(str, BUDGETS), "all"):
        there = [
            [at for points, at in one.items() if budget in (points, "all")] for one in calibrations
        ]
        there = [ats for ats in there if ats]
        if not there:
            continue
        of_estimators = [float(np.mean([at["coverage"]["0.8"] for at in ats])) for ats in there]
        shares: dict[str, list[float]] = {}
        for at in (at for ats in there for at in ats):
            for family, share in at["families"]["coverage"].items():
                shares.setdefault(family, []).append(share)
        of_family = {family: float(np.mean(some)) for family, some in shares.items()}
        found[budget] = {
            "n_estimators": len(of_estimators),
            "coverage": float(np.mean(of_estimators)),
            "lowest": min(of_estimators),
            "highest": max(of_estimators),
            "families": {**_within(np.array(list(of_family.values()))), "coverage": of_family},
        }
    return found


def _beside(families: Sequence[str], gain: np.ndarray) -> dict[str, float]:
    low, high = bootstrap_interval(families, gain)
    return {"mean": float(gain.mean()), "low": float(low), "high": float(high)}


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
