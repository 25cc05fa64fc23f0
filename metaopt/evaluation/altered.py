"""Histories of which something was taken, to see what a model lives on."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from warmstart.aligned import align_histories
from warmstart.encoding import Encoding
from warmstart.history import History


def with_permuted_descriptors(histories: Sequence[History], *, seed: int) -> list[History]:
    """Each task with the descriptor of another one; no task keeps its own if there are two."""
    known: dict[str, Any] = {}
    for history in histories:
        known.setdefault(history.info.task, history.info.descriptor)
    names = sorted(known)
    order = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    # Each takes that of its neighbour in one circle through all.
    given = {name: known[other] for name, other in zip(order, order[1:] + order[:1], strict=True)}
    return [
        replace(history, info=replace(history.info, descriptor=given[history.info.task]))
        for history in histories
    ]


def shortened(histories: Sequence[History], n_trials: int, *, seed: int) -> list[History]:
    """The histories with at most so many of their trials, drawn at random."""
    return [
        history.subset(np.sort(_rng(history, seed).permutation(len(history))[:n_trials]))
        for history in histories
    ]


def half_evenly(estimator: str, histories: Sequence[History], *, seed: int) -> list[History]:
    """Half of each history's trials, chosen so that their configurations lie evenly.

    They are chosen one after the other, each the farthest from those before it, so that where
    others have searched most weighs no more than where they have not.
    """
    _, space, aligned = align_histories(estimator, histories)
    encoding = Encoding(space)
    halves = []
    for history, known in zip(histories, aligned, strict=True):
        features = encoding.features(known.coordinates)
        chosen = [int(_rng(history, seed).integers(len(history)))]
        distance = ((features - features[chosen[0]]) ** 2).sum(axis=1)
        while len(chosen) < len(history) // 2:
            chosen.append(int(distance.argmax()))
            distance = np.minimum(distance, ((features - features[chosen[-1]]) ** 2).sum(axis=1))
        halves.append(history.subset(sorted(chosen)))
    return halves


def half_at_random(histories: Sequence[History], *, seed: int) -> list[History]:
    """Half of each history's trials, drawn at random."""
    return [
        half
        for history in histories
        for half in shortened([history], max(len(history) // 2, 1), seed=seed)
    ]


def _rng(history: History, seed: int) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(history.info.task.encode())])
