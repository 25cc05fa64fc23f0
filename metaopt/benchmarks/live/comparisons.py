"""What the product is worth on real fits, beside one other method at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from metaopt.benchmarks import statistics
from metaopt.benchmarks.live.curves import LiveCurves, common

Figures = dict[str, Any]


def compare_tests(pairs: Sequence[tuple[LiveCurves, LiveCurves]], *, trial: int) -> Figures:
    """Two methods on the test split after as many trials.

    Args:
        pairs: Of each estimator, the product's curves and the other's.
        trial: From 1.

    Returns:
        ``n_data`` and ``n_families``; ``won``, the share of data sets where the product's loss is
        lower, ties half; ``difference``, of the mean loss, above 0 where the product's is lower,
        with its 95 % interval over families; ``effect``, the same in standard deviations over
        data sets; ``p_value`` of the signed-rank test over families; ``rank`` and ``other_rank``.
    """
    families: list[str] = []
    found: list[np.ndarray] = []
    for product, other in pairs:
        data = common([product, other])
        families += product.at(data).families
        found.append(other.at(data).test[:, trial - 1] - product.at(data).test[:, trial - 1])
    away = np.concatenate(found) if found else np.empty(0)
    if not len(away):
        return {"n_data": 0}
    won, lost = away > statistics.TOLERANCE, away < -statistics.TOLERANCE
    share = float(won.mean() + 0.5 * (~won & ~lost).mean())
    by_family = statistics.averaged_by(families, away)
    low, high = statistics.bootstrap_interval(families, away)
    spread = float(away.std(ddof=1)) if len(away) > 1 else 0.0
    return {
        "n_data": len(away),
        "n_families": len(by_family),
        "won": share,
        "difference": float(away.mean()),
        "low": float(low),
        "high": float(high),
        "effect": float(away.mean()) / spread if spread > 0 else None,
        "p_value": statistics.paired_p_value(by_family),
        "rank": 2.0 - share,
        "other_rank": 1.0 + share,
    }


def compare_search(product: LiveCurves, reference: LiveCurves) -> Figures:
    """How soon the product is as good as the reference at its end, and whether it ends worse.

    Returns:
        ``trials``: the first at which its mean regret is as low as the reference's last, and
        ``reference_trials`` of the reference itself; ``time``: likewise in time, as a share of the
        reference's; ``median_trials`` and ``median_time`` of the data sets one by one;
        ``difference`` of the last regrets, below 0 where the product's is lower, with its 95 %
        interval over families; ``worse``: the share of data sets where it ends worse by more than
        a standard error over folds. None stands for "never".
    """
    data = common([product, reference])
    if not data:
        return {"n_data": 0}
    product, reference = product.at(data), reference.at(data)
    target = reference.regret[:, -1]
    away = product.regret[:, -1] - target
    low, high = statistics.bootstrap_interval(product.families, away)
    trials = _first(product.regret.mean(axis=0), target.mean())
    own_trials = _first(reference.regret.mean(axis=0), target.mean())
    time = _first(product.regret_by_share.mean(axis=0), target.mean())
    own_time = _first(reference.regret_by_share.mean(axis=0), target.mean())
    each = zip(product.regret, target, strict=True)
    each_time = zip(product.regret_by_share, reference.regret_by_share, target, strict=True)
    return {
        "n_data": len(data),
        "trials": _known(trials),
        "reference_trials": _known(own_trials),
        "time": _known(time / own_time),
        "median_trials": _known(float(np.median([_first(curve, at) for curve, at in each]))),
        "median_time": _known(
            float(np.median([_first(ours, at) / _first(own, at) for ours, own, at in each_time]))
        ),
        "difference": float(away.mean()),
        "low": float(low),
        "high": float(high),
        "worse": float((away > reference.standard_error + statistics.TOLERANCE).mean()),
        "seconds": float(product.seconds.mean() / reference.seconds.mean()),
    }


def over_estimators(found: Mapping[str, Figures]) -> Figures:
    """Searches of all estimators together: geometric means, and means over data sets."""
    entries = [figures for figures in found.values() if figures["n_data"]]
    if not entries:
        return {"n_data": 0}
    n = np.array([figures["n_data"] for figures in entries])
    together: Figures = {"n_data": int(n.sum())}
    for name in ("trials", "time"):
        values = [figures[name] for figures in entries]
        together[name] = None if None in values else statistics.geometric_mean(values)
    for name in ("difference", "worse"):
        together[name] = float(np.average([figures[name] for figures in entries], weights=n))
    return together


def _first(curve: np.ndarray, target: float) -> float:
    return statistics.trials_to_match(curve, target)


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
