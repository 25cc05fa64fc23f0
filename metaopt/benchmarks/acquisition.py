"""Finding where an acquisition function is highest: candidates first, then their surroundings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from metaopt.benchmarks.unit_space import UnitSpace

Acquisition = Callable[[np.ndarray], np.ndarray]

N_STARTS = 8
N_NEIGHBOURS = 12
N_ROUNDS = 12
_FIRST_SCALE = 0.2
_SHRINKAGE = 0.62


def maximise(
    acquisition: Acquisition,
    space: UnitSpace,
    *,
    units: np.ndarray,
    values: np.ndarray,
    seen: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Improve the best candidates by random moves that become smaller and smaller.

    Args:
        acquisition: Maps units ``(n, d)`` to values ``(n,)``.
        space: The search space.
        units: ``(n, d)`` candidates.
        values: ``(n,)`` their acquisition.
        seen: ``(n_trials, d)`` what has been tried: never returned, unless all else has been.
        rng: Source of randomness.

    Returns:
        ``(d,)`` units of the best that was found.
    """
    values = np.where(is_among(units, seen), -np.inf, values)
    starts = np.argsort(-values, kind="stable")[:N_STARTS]
    best_units, best_values = units[starts].copy(), values[starts].copy()
    at = np.arange(len(starts))
    scale = _FIRST_SCALE
    for _ in range(N_ROUNDS):
        moved = space.perturbed(np.repeat(best_units, N_NEIGHBOURS, axis=0), scale=scale, rng=rng)
        moved_values = np.where(is_among(moved, seen), -np.inf, acquisition(moved))
        moved_values = moved_values.reshape(len(starts), N_NEIGHBOURS)
        pick = moved_values.argmax(axis=1)
        better = moved_values[at, pick] > best_values
        best_values[better] = moved_values[at, pick][better]
        best_units[better] = moved.reshape(len(starts), N_NEIGHBOURS, -1)[at, pick][better]
        scale *= _SHRINKAGE
    return np.asarray(best_units[int(best_values.argmax())])


def is_among(units: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Whether each row of ``(n, d)`` is one of ``(m, d)``, inactive parameters being equal."""
    if not len(seen):
        return np.zeros(len(units), dtype=bool)
    filled, others = np.nan_to_num(units, nan=-1.0), np.nan_to_num(seen, nan=-1.0)
    away = np.abs(filled[:, None, :] - others[None, :, :]).max(axis=2)
    return np.asarray((away < 1e-9).any(axis=1))
