"""Histories on the canonical space of their estimator, those that say nothing there left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metaopt.training.selection import LeftOut
from warmstart.aligned import align_histories
from warmstart.errors import HistoryError
from warmstart.history import History
from warmstart.learning import AlignedHistory
from warmstart.space import SearchSpace


def aligned_for_learning(
    name: str, histories: Sequence[History], *, space: SearchSpace | None = None
) -> tuple[SearchSpace | None, list[AlignedHistory], list[LeftOut]]:
    """The space and the histories in it that tell configurations apart; no space if none do.

    Args:
        name: Of the estimator.
        histories: Of it.
        space: The canonical space, where it is given, as that of an artifact.

    Returns:
        The space, the histories on it, and those that vary nothing in it.
    """
    if not histories:
        return None, [], []
    try:
        _, space, aligned = align_histories(name, histories, space=space)
    except HistoryError as error:
        return None, [], [LeftOut(history.info.key, str(error)) for history in histories]
    told_apart = [_varies(history.coordinates) for history in aligned]
    left_out = [
        LeftOut(history.info.key, f"nothing that it varies is a hyperparameter of {name}")
        for history, varies in zip(histories, told_apart, strict=True)
        if not varies
    ]
    kept = [history for history, varies in zip(aligned, told_apart, strict=True) if varies]
    return (space if kept else None), kept, left_out


def _varies(coordinates: np.ndarray) -> bool:
    return bool((~np.isclose(coordinates, coordinates[:1], equal_nan=True)).any())
