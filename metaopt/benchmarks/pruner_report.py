"""What a comparison of pruners found: regrets and epochs beside those of ``MedianPruner``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from metaopt.benchmarks.pruners import PRUNERS, REFERENCE, StudyResult
from metaopt.benchmarks.statistics import bootstrap_interval, paired_p_value

_SHARES: Final = np.arange(1, 201) / 100  # of the reference's epochs

_ROUNDING: Final = 1e-12


def summary(results: Sequence[StudyResult], sampler: str) -> list[dict[str, Any]]:
    """For each pruner means over tasks, beside those of the reference's studies.

    The 95 % intervals are of differences and ratios paired by task, families drawn anew. "To
    theirs" is the share of the reference's epochs at which its final regret was reached.
    """
    of = {
        name: _by_task([r for r in results if r.sampler == sampler and r.pruner == name])
        for name in PRUNERS
    }
    reference = of.get(REFERENCE, {})
    rows = []
    for name, studies in of.items():
        tasks = sorted(set(studies) & set(reference))
        if not tasks:
            continue
        families = [studies[task][0].family for task in tasks]
        spent = np.array([np.mean([r.epochs[-1] for r in studies[t]]) for t in tasks])
        regret = np.array([np.mean([r.regrets[-1] for r in studies[t]]) for t in tasks])
        their_spent = np.array([np.mean([r.epochs[-1] for r in reference[t]]) for t in tasks])
        their_regret = np.array([np.mean([r.regrets[-1] for r in reference[t]]) for t in tasks])
        half = 0.5 * their_spent
        at_half = np.array(
            [
                np.mean([r.regret_at(n) for r in studies[t]])
                for t, n in zip(tasks, half, strict=True)
            ]
        )
        rows.append(
            {
                "pruner": name,
                "n_tasks": len(tasks),
                "n_studies": sum(len(studies[task]) for task in tasks),
                "epochs": float(spent.mean()),
                "share_of_epochs": float(spent.mean() / their_spent.mean()),
                "share_interval": _ratio_interval(families, spent, their_spent),
                "regret": float(regret.mean()),
                "difference": float((regret - their_regret).mean()),
                "difference_interval": _interval(families, regret - their_regret),
                "p_value": paired_p_value(regret - their_regret),
                "share_to_their_regret": _share_to_reach(studies, reference, tasks),
                "regret_at_half": float(at_half.mean()),
                "difference_at_half_interval": _interval(families, at_half - their_regret),
            }
        )
    return rows


def _share_to_reach(
    studies: Mapping[str, Sequence[StudyResult]],
    reference: Mapping[str, Sequence[StudyResult]],
    tasks: Sequence[str],
) -> float | None:
    """The share of the reference's epochs after which the mean regret is as low as its final one.

    Args:
        studies: Of each task; those with the seed of one of the reference count.
        reference: Likewise.
        tasks: That both have.

    Returns:
        In hundredths; None if it never is.
    """
    pairs = [
        [(ours, theirs) for ours in studies[task] for theirs in reference[task]] for task in tasks
    ]
    pairs = [[(a, b) for a, b in of_task if a.seed == b.seed] for of_task in pairs]
    pairs = [of_task for of_task in pairs if of_task]
    if not pairs:
        return None
    wanted = np.mean([np.mean([b.regrets[-1] for _, b in of_task]) for of_task in pairs])
    for share in _SHARES:
        reached = [
            np.mean([a.regret_at(share * b.epochs[-1]) for a, b in of_task]) for of_task in pairs
        ]
        if np.mean(reached) <= wanted + _ROUNDING:
            return float(share)
    return None


def _by_task(results: Sequence[StudyResult]) -> dict[str, list[StudyResult]]:
    grouped: dict[str, list[StudyResult]] = {}
    for result in results:
        grouped.setdefault(result.task, []).append(result)
    return grouped


def _interval(families: Sequence[str], values: np.ndarray) -> tuple[float, float]:
    low, high = bootstrap_interval(families, values)
    return float(low), float(high)


def _ratio_interval(
    families: Sequence[str], ours: np.ndarray, theirs: np.ndarray
) -> tuple[float, float]:
    return _interval(families, ours / theirs.mean())


def as_text(rows: Sequence[Mapping[str, Any]], sampler: str) -> str:
    """A table for people."""
    lines = [
        f"sampler {sampler}: {rows[0]['n_tasks']} tasks; all beside {REFERENCE}, "
        "95 % intervals paired by task"
        if rows
        else f"sampler {sampler}: nothing to compare",
        f"{'pruner':<11}{'studies':>8}{'epochs':>8}{'share':>18}{'regret':>8}"
        f"{'difference':>24}{'at half':>9}{'difference':>18}{'to theirs':>11}",
    ]
    for row in rows:
        low, high = row["difference_interval"]
        from_, to = row["share_interval"]
        half_low, half_high = row["difference_at_half_interval"]
        to_theirs = row["share_to_their_regret"]
        lines.append(
            f"{row['pruner']:<11}{row['n_studies']:>8}{row['epochs']:>8.0f}"
            f"{row['share_of_epochs']:>6.2f} [{from_:.2f}, {to:.2f}]"
            f"{row['regret']:>8.4f}{row['difference']:>+9.4f} [{low:+.3f}, {high:+.3f}]"
            f"{row['regret_at_half']:>9.4f} [{half_low:+.3f}, {half_high:+.3f}]"
            f"{'never' if to_theirs is None else f'{to_theirs:.2f}':>11}"
        )
    return "\n".join(lines)
