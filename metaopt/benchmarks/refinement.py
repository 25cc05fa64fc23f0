"""Histories of surrogates that are dense where it matters: random, then near the best so far.

Real collections look like this, because people and tuners return to what works. Of a thousand
random configurations hardly one lies near an optimum, so what is learned from them alone is
blurred there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from metaopt.benchmarks.surrogates import SurrogateTask, surrogate_tasks
from warmstart.encoding import Encoding
from warmstart.history import History
from warmstart.space import Configuration, SearchSpace

# Standard deviations of a step on the unit scale: from fine tuning to another region.
_SHORTEST_STEP: Final = 0.005
_LONGEST_STEP: Final = 0.2
# Of a neighbour's parameters, the share that moves, and at least how many are expected to.
_MOVED_SHARE: Final = 0.3
_MOVED_PARAMETERS: Final = 1.5
_REDRAWN_SHARE: Final = 0.1


def surrogate_training_histories(
    data: Path,
    source: str,
    *,
    n_random: int = 1000,
    n_local: int = 500,
    n_rounds: int = 2,
    n_best: int = 50,
    seed: int = 0,
) -> list[History]:
    """Histories of a surrogate's instances: random configurations, then rounds of neighbours.

    The random ones are those of ``surrogate_histories``, and come first.

    Args:
        data: Data directory.
        source: A key of ``SCENARIOS``.
        n_random: Random configurations of each instance.
        n_local: Neighbours in a round.
        n_rounds: How many.
        n_best: The neighbours of a round are those of as many best configurations so far.
        seed: Of the neighbours.
    """
    return [
        _refined(task, n_random, n_local, n_rounds, n_best, seed)
        for task in surrogate_tasks(data, source)
    ]


def _refined(
    task: SurrogateTask, n_random: int, n_local: int, n_rounds: int, n_best: int, seed: int
) -> History:
    assert task.info.space is not None
    rng = np.random.default_rng(task.seed)
    configurations: list[Configuration] = [*task.info.space.sample(n_random, rng)]
    losses = task.losses(configurations)
    rng = np.random.default_rng((task.seed, seed))
    for _ in range(n_rounds):
        best = np.argsort(losses, kind="stable")[:n_best]
        near = neighbours(task.info.space, [configurations[i] for i in best], n_local, rng)
        configurations += near
        losses = np.concatenate([losses, task.losses(near)])
    return task.history(configurations, losses)


def neighbours(
    space: SearchSpace, configurations: Sequence[Configuration], n: int, rng: np.random.Generator
) -> list[Configuration]:
    """``n`` configurations, each near one of those given, in turn.

    A few numbers move by normal steps on their own scale, of a length drawn for each neighbour;
    now and then a category is drawn anew. What becomes active by that is drawn at random.
    """
    encoding = Encoding(space)
    d = len(encoding.names)
    start = encoding.coordinates(configurations)[np.arange(n) % len(configurations)]
    fresh = rng.random((n, d))
    categorical = encoding.n_choices > 0
    fresh[:, categorical] = np.floor(fresh[:, categorical] * encoding.n_choices[categorical])
    lengths = np.exp(rng.uniform(np.log(_SHORTEST_STEP), np.log(_LONGEST_STEP), (n, 1)))
    moves = rng.random((n, d)) < max(_MOVED_SHARE, _MOVED_PARAMETERS / d)
    moved = np.clip(start + moves * lengths * rng.normal(size=(n, d)), 0.0, 1.0)
    redrawn = rng.random((n, d)) < _REDRAWN_SHARE
    rows = np.where(categorical, np.where(redrawn, fresh, start), moved)
    rows = encoding.settle(np.where(np.isnan(rows), fresh, rows))
    return [encoding.configuration(row) for row in rows]
