"""From rows of scores to the figures of a report.

Every mean is one over tasks; its 95 % interval is a bootstrap over families. Scores at one budget
are of those tasks only that have trials enough.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from metaopt.benchmarks.statistics import bootstrap_interval
from metaopt.evaluation.calibration import calibration
from metaopt.evaluation.options import BUDGETS, FACTORS, EvaluationOptions
from metaopt.evaluation.subjects import Subject

_SCORES: Final = ("squared_error", "rank_correlation", "picked", "random", "incumbent")
_AS_IT_IS: Final = FACTORS.index(1.0)


def summarise(
    pieces: Sequence[Mapping[str, Any]], options: EvaluationOptions, subject: Subject
) -> dict[str, Any]:
    """The figures of one estimator.

    Args:
        pieces: The results of its experiments on each fold.
        options: Of the evaluation.
        subject: The estimator and its histories.
    """
    judged = subject.judged
    experiments: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    facts: dict[str, list[Mapping[str, Any]]] = {}
    seconds: dict[str, float] = {}
    for piece in pieces:
        arms = experiments.setdefault(piece["experiment"], {})
        for arm, rows in piece["arms"].items():
            arms.setdefault(arm, []).extend(rows)
        facts.setdefault(piece["experiment"], []).append({"fold": piece["fold"], **piece["facts"]})
        seconds[piece["experiment"]] = seconds.get(piece["experiment"], 0.0) + piece["seconds"]
    _on_folds_of_others(experiments, pieces)
    rows = experiments.get("held out", {}).get("transfer", [])
    return {
        "metric": subject.metric,
        "n_tasks": len(judged),
        "n_families": len(subject.families),
        "n_trials": sum(len(history) for history in judged),
        "trials_each": float(np.median([len(history) for history in judged])),
        "experiments": {
            name: {arm: curve(rows) for arm, rows in arms.items() if rows}
            for name, arms in experiments.items()
        },
        "calibration": calibration(rows),
        "facts": facts,
        "cost": _cost(facts.get("held out", []), rows, seconds, options),
    }


def curve(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means by budget, over the tasks of one arm."""
    by_budget = {}
    for budget in BUDGETS:
        of_budget = [row for row in rows if row["budget"] == budget]
        if not of_budget:
            continue
        families = [row["family"] for row in of_budget]
        figures: dict[str, Any] = {
            "n_tasks": len(of_budget),
            "n_families": len(set(families)),
            "log_score": _mean(families, [_log_score(row) for row in of_budget]),
        }
        for name in _SCORES:
            values = [row[name] for row in of_budget]
            if None not in values:
                figures[name] = _mean(families, values)
        by_budget[str(budget)] = figures
    return by_budget


def _mean(families: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    array = np.array(values, dtype=float)
    low, high = bootstrap_interval(families, array)
    return {"mean": float(array.mean()), "low": float(low), "high": float(high)}


def _log_score(row: Mapping[str, Any]) -> float:
    scores = row["log_scores"]
    return float(scores[_AS_IT_IS] if len(scores) > 1 else scores[0])


def _on_folds_of_others(
    experiments: dict[str, dict[str, list[Mapping[str, Any]]]],
    pieces: Sequence[Mapping[str, Any]],
) -> None:
    """Beside experiments that ran on some folds, what all histories gave on the same folds."""
    held_out = {p["fold"]: p["arms"] for p in pieces if p["experiment"] == "held out"}
    beside = {"transfer": "all", "no transfer": "no transfer"}
    for name in ("number of tasks", "number of trials", "interference", "probes"):
        called = beside | ({"trained on": "all, trained on"} if name == "number of tasks" else {})
        folds = [p["fold"] for p in pieces if p["experiment"] == name and p["arms"]]
        for arm, as_arm in called.items():
            rows = [row for fold in folds for row in held_out.get(fold, {}).get(arm, [])]
            if rows:
                experiments[name][as_arm] = rows


def _cost(
    facts: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    seconds: Mapping[str, float],
    options: EvaluationOptions,
) -> dict[str, Any]:
    learned = [fact["seconds_to_learn"] for fact in facts if "seconds_to_learn" in fact]
    judged = sum(fact.get("seconds_to_judge", 0.0) for fact in facts)
    n_predicted = sum(row["n_predicted"] for row in rows) * options.n_splits
    return {
        "seconds_to_learn": float(np.mean(learned)) if learned else None,
        "milliseconds_a_prediction": 1000.0 * judged / n_predicted if n_predicted else None,
        "seconds": dict(seconds),
    }
