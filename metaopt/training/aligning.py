"""Histories on the canonical space of their estimator, those that say nothing there left out."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import numpy as np

from metaopt.training.selection import LeftOut, in_own_order
from warmstart.aligned import align_histories
from warmstart.errors import HistoryError
from warmstart.history import History
from warmstart.learning import AlignedHistory
from warmstart.space import SearchSpace


def aligned_for_learning(
    name: str, histories: Sequence[History], *, space: SearchSpace | None = None
) -> tuple[SearchSpace | None, list[AlignedHistory], list[LeftOut]]:
    """The space and the histories in it that tell configurations apart; no space if none do.

    What is learned draws tasks and trials by their place. So histories are sorted by their keys
    here, and trials by what they are, whoever calls this and in whatever order they come.

    Args:
        name: Of the estimator.
        histories: Of it.
        space: The canonical space, where it is given, as that of an artifact.

    Returns:
        The space, the histories on it, and those that vary nothing in it.
    """
    if not histories:
        return None, [], []
    ordered = sorted(map(in_own_order, histories), key=attrgetter("info.key"))
    try:
        _, space, aligned = align_histories(name, ordered, space=space)
    except HistoryError as error:
        return None, [], [LeftOut(history.info.key, str(error)) for history in ordered]
    told_apart = [_varies(history.coordinates) for history in aligned]
    left_out = [
        LeftOut(history.info.key, f"nothing that it varies is a hyperparameter of {name}")
        for history, varies in zip(ordered, told_apart, strict=True)
        if not varies
    ]
    kept = [history for history, varies in zip(aligned, told_apart, strict=True) if varies]
    return (space if kept else None), kept, left_out


def _varies(coordinates: np.ndarray) -> bool:
    return bool((~np.isclose(coordinates, coordinates[:1], equal_nan=True)).any())
