"""Sources that mislead: histories corrupted before training, and targets turned upside down."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

import numpy as np

from metaopt.benchmarks.problems import Problem
from warmstart.history import History
from warmstart.space import Configuration

Corruption = Literal["shuffled", "inverted", "half_shuffled", "half_inverted"]


@dataclass(frozen=True)
class Variant:
    """A way to run the benchmark.

    Attributes:
        corruption: What is done to all histories before training.
        inverted_target: Whether the tasks to be tuned have their losses negated.
    """

    corruption: Corruption | None = None
    inverted_target: bool = False


HONEST: Final = "honest"
VARIANTS: Final[Mapping[str, Variant]] = {
    HONEST: Variant(),
    **{kind: Variant(corruption=kind) for kind in get_args(Corruption)},
    "inverted_target": Variant(inverted_target=True),
}


def corrupt(histories: Sequence[History], kind: Corruption, seed: int) -> list[History]:
    """Histories whose losses mislead, with nothing that tells.

    Args:
        histories: Any; they are left as they are.
        kind: ``"shuffled"``: the losses of each task are permuted among its trials.
            ``"inverted"``: the best loss becomes the worst and so on. With ``"half_"`` this is
            done to half of the tasks, drawn at random.
        seed: Of what is drawn; what happens to a task does not depend on the others, except
            for the half.

    Returns:
        As many histories, in the same order.

    Raises:
        ValueError: If ``kind`` is unknown.
    """
    if kind not in get_args(Corruption):
        raise ValueError(f"kind={kind!r} given; expected one of {list(get_args(Corruption))}.")
    chosen = np.ones(len(histories), dtype=bool)
    if kind.startswith("half_"):
        drawn = np.random.default_rng(seed).permutation(len(histories))
        chosen[drawn[len(histories) // 2 :]] = False
    change = _shuffled if kind.endswith("shuffled") else _inverted
    return [
        change(history, seed) if hit else history
        for history, hit in zip(histories, chosen, strict=True)
    ]


def _shuffled(history: History, seed: int) -> History:
    rng = np.random.default_rng([seed, zlib.crc32(history.info.task.encode())])
    known = np.flatnonzero(~np.isnan(history.losses))
    losses = history.losses.copy()
    losses[known] = losses[rng.permutation(known)]
    return replace(history, losses=losses)


def _inverted(history: History, seed: int) -> History:
    if np.isnan(history.losses).all():
        return history
    turned = np.nanmin(history.losses) + np.nanmax(history.losses) - history.losses
    return replace(history, losses=turned)


def with_inverted_losses(problem: Problem) -> Problem:
    """The problem of finding what was worst; regret is measured between the same references."""

    def losses(configurations: Sequence[Configuration]) -> np.ndarray:
        return -problem.losses(configurations)

    return replace(problem, losses=losses, best=-problem.worst, worst=-problem.best)
