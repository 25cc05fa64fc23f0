"""A family of tasks with nearby optima on a small mixed space, and a user's axes on it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from warmstart.axes import Axes, Axis
from warmstart.encoding import Encoding
from warmstart.estimator import uncatalogued
from warmstart.learning import AlignedHistory, learn_prior
from warmstart.matching import Matcher
from warmstart.prior import Prior, SourceTask
from warmstart.proposals import Observations, Proposal, Proposer
from warmstart.space import (
    Categorical,
    Condition,
    Float,
    Integer,
    Parameter,
    SearchSpace,
    Value,
)

SPACE = SearchSpace(
    {
        "rate": Float(1e-4, 1.0, log=True),
        "depth": Integer(1, 16),
        "kind": Categorical(("plain", "wide")),
        "width": Float(1e-2, 10.0, log=True),
    },
    {"width": Condition("kind", ("wide",))},
)
ENCODING = Encoding(SPACE)


@dataclass(frozen=True)
class Task:
    """A bowl around ``centre`` (of rate, depth and width); a plain kind costs ``plain`` more."""

    centre: tuple[float, float, float]
    plain: float = 0.4
    scale: float = 1.0
    offset: float = 0.0

    def losses(self, coordinates: np.ndarray) -> np.ndarray:
        rate, depth, kind, width = coordinates.T
        x, y, z = self.centre
        bowl = 3.0 * (rate - x) ** 2 + (depth - y) ** 2
        bowl += np.where(kind == 1, 2.0 * (np.nan_to_num(width, nan=0.5) - z) ** 2, self.plain)
        return self.offset + self.scale * bowl


def family(n: int, *, seed: int = 0) -> list[Task]:
    """Tasks of other scales, whose optima lie near to each other and far from the middle."""
    rng = np.random.default_rng(seed)
    return [
        Task(
            centre=tuple(np.array([0.8, 0.25, 0.75]) + rng.normal(0, 0.06, 3)),
            scale=float(10.0 ** rng.uniform(-2, 2)),
            offset=float(rng.normal(0, 10)),
        )
        for _ in range(n)
    ]


def history(
    task: Task, name: str, *, n: int = 60, seed: int = 0, shuffled: bool = False
) -> AlignedHistory:
    rng = np.random.default_rng(seed)
    coordinates = ENCODING.sample(n, rng)
    losses = task.losses(coordinates)
    if shuffled:
        losses = rng.permutation(losses)
    return AlignedHistory(SourceTask(name, family=name, n_trials=n), coordinates, losses)


def histories(n: int = 8, *, shuffled: bool = False) -> list[AlignedHistory]:
    return [
        history(task, f"task-{i}", seed=i, shuffled=shuffled) for i, task in enumerate(family(n))
    ]


@functools.cache
def learned(*, n: int = 8, shuffled: bool = False) -> Prior:
    """A prior of the family, kept: tests that share it must not change it."""
    return learn_prior("bowl", SPACE, histories(n, shuffled=shuffled), n_inducing=120)


def alike(prior: Prior) -> np.ndarray:
    return prior.task_weights(None)


def axes(
    parameters: Mapping[str, Parameter] = SPACE.parameters,
    *,
    space: SearchSpace = SPACE,
    fixed: Mapping[str, Value] | None = None,
) -> Axes:
    """The axes of a user's parameters, named as in the canonical space or as those allow."""
    matcher = Matcher(uncatalogued("bowl", space))
    encoding = Encoding(space)
    by_name = {}
    for name, parameter in parameters.items():
        match = matcher.match(name, parameter)
        assert match is not None, name
        by_name[match.canonical] = Axis(match, parameter, encoding)
    return Axes(by_name, encoding, fixed=fixed or {})


def observed(
    coordinates: np.ndarray | Sequence[np.ndarray],
    losses: np.ndarray | Sequence[float],
    *,
    pending: np.ndarray | None = None,
) -> Observations:
    d = len(ENCODING.names)
    return Observations(
        np.asarray(coordinates, dtype=float).reshape(-1, d),
        np.asarray(losses, dtype=float),
        np.empty((0, d)) if pending is None else pending,
    )


def run(
    proposer: Proposer, losses: Callable[[np.ndarray], np.ndarray], n: int, *, seed: int = 0
) -> tuple[list[Proposal], np.ndarray]:
    """Propose, measure and tell, ``n`` times."""
    proposals: list[Proposal] = []
    seen: list[float] = []
    for number in range(n):
        so_far = observed([p.coordinates for p in proposals], seen)
        proposals.append(proposer.propose(so_far, np.random.default_rng((seed, number))))
        seen.append(float(losses(proposals[-1].coordinates[None])[0]))
    return proposals, np.array(seen)
