"""What a store of histories holds, counted by estimator, data set and family."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from warmstart.history import History


def summarise(histories: Iterable[History]) -> dict[str, dict[str, Any]]:
    """Counts for each estimator, sorted by name.

    Returns:
        By estimator: ``n_trials``, ``n_data_sets``, ``n_families``, ``fewest_trials`` and
        ``median_trials`` of a data set, trials by state (``n_complete``, ``n_pruned``,
        ``n_failed``), trials by who proposed them (``n_default``, ``n_space_filling``,
        ``n_variation``, ``n_warmstart``), and ``families``, the number of data sets in each.
    """
    grouped: dict[str, list[History]] = {}
    for history in histories:
        grouped.setdefault(history.info.estimator, []).append(history)
    return {name: _counts(grouped[name]) for name in sorted(grouped)}


def _counts(histories: list[History]) -> dict[str, Any]:
    sizes = [len(history) for history in histories]
    states = np.concatenate([history.states for history in histories])
    proposers = np.concatenate([history.proposed_by for history in histories])
    data_sets = {h.info.dataset or h.info.task: h.info.family or h.info.task for h in histories}
    families = sorted(data_sets.values())
    return {
        "n_trials": sum(sizes),
        "n_data_sets": len(data_sets),
        "n_families": len(set(families)),
        "fewest_trials": min(sizes),
        "median_trials": float(np.median(sizes)),
        **{
            f"n_{state}": int((states == state).sum())
            for state in ("complete", "pruned", "failed")
        },
        "n_default": int((proposers == "default").sum()),
        "n_space_filling": int((proposers == "").sum()),
        "n_variation": int((proposers == "variation").sum()),
        "n_warmstart": int((proposers == "warmstart").sum()),
        "families": {family: families.count(family) for family in dict.fromkeys(families)},
    }
