"""A source of synthetic tasks whose optima lie close together, for tests of the benchmark."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from metaopt.benchmarks.problems import Problem
from metaopt.benchmarks.sources import digest_of_history
from warmstart.history import History, TaskInfo, Trial
from warmstart.space import Categorical, Condition, Configuration, Float, Integer, SearchSpace

SPACE = SearchSpace(
    {
        "kind": Categorical(("wide", "narrow")),
        "x": Float(0.0, 1.0),
        "rate": Float(1e-3, 1.0, log=True),
        "depth": Integer(1, 9),
    },
    {"depth": Condition("kind", ("narrow",))},
)


def loss_of(configurations: Sequence[Configuration], *, task: str) -> np.ndarray:
    """A bowl whose bottom moves a little from task to task; ``narrow`` trees of depth 4 win."""
    rng = np.random.default_rng(zlib.crc32(task.encode()))
    x, rate = 0.7 + 0.05 * rng.standard_normal(), -1.5 + 0.1 * rng.standard_normal()
    out = [
        3.0 * (c["x"] - x) ** 2
        + 0.5 * (np.log10(c["rate"]) - rate) ** 2
        + (0.02 * (c["depth"] - 4) ** 2 if "depth" in c else 0.3)
        for c in configurations
    ]
    return np.array(out, dtype=float)


@dataclass(frozen=True)
class BowlSource:
    """``n_tasks`` bowls, two of a family.

    Attributes:
        name: Of the source.
        n_tasks: How many.
        n_trials: In each history.
    """

    name: str = "bowls"
    n_tasks: int = 12
    n_trials: int = 60

    def families(self) -> Mapping[str, str]:
        return {f"bowl-{i}": f"pair-{i // 2}" for i in range(self.n_tasks)}

    def histories(self) -> list[History]:
        histories = []
        for task, family in self.families().items():
            rng = np.random.default_rng(zlib.crc32(task.encode()) + 1)
            configurations = SPACE.sample(self.n_trials, rng)
            losses = loss_of(configurations, task=task)
            info = TaskInfo("bowl", task, "loss", "synthetic", family=family, space=SPACE)
            trials = [Trial(c, float(v)) for c, v in zip(configurations, losses, strict=True)]
            histories.append(History.from_trials(info, trials))
        return histories

    def problems(self, tasks: Collection[str]) -> list[Problem]:
        reference = SPACE.sample(500, np.random.default_rng(0))
        families = self.families()
        problems = []
        for task in tasks:
            losses = partial(loss_of, task=task)
            known = losses(reference)
            problems.append(
                Problem(
                    source="synthetic/bowls",
                    task=task,
                    family=families[task],
                    estimator="bowl",
                    space=SPACE,
                    losses=losses,
                    best=float(known.min()),
                    worst=float(known.max()),
                )
            )
        return problems

    def digests(self) -> Mapping[str, str]:
        return {h.info.task: digest_of_history(h) for h in self.histories()}
