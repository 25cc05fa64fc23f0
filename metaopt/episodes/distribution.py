"""Where episodes come from: distributions over tasks, sets of tasks, curricula, splits."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch

from metaopt.episodes.episode import Episode, collate


class TaskDistribution(Protocol):
    """Draws batches of tasks."""

    def sample(
        self, n_tasks: int, generator: torch.Generator, *, progress: float = 1.0
    ) -> Episode:
        """A batch of ``n_tasks`` episodes on the generator's device.

        Args:
            n_tasks: How many.
            generator: All randomness comes from it.
            progress: How far training has come, from 0 to 1; only a curriculum minds.
        """
        ...


class Task(Protocol):
    """One task that episodes can be drawn from again and again."""

    @property
    def name(self) -> str:
        """Unique among the tasks."""
        ...

    @property
    def family(self) -> str:
        """Tasks of one family stay on one side of every split."""
        ...

    def episode(self, generator: torch.Generator) -> Episode:
        """One split of the task into support and query, on the CPU.

        Args:
            generator: On the CPU; all randomness comes from it.
        """
        ...


@dataclass(frozen=True)
class TaskSet:
    """A finite number of tasks; each family is drawn equally often, however many tasks it has.

    Raises:
        ValueError: If there is none.
    """

    tasks: Sequence[Task]

    def __post_init__(self) -> None:
        if not self.tasks:
            raise ValueError("No task given; expected at least one.")

    def sample(
        self, n_tasks: int, generator: torch.Generator, *, progress: float = 1.0
    ) -> Episode:
        """See ``TaskDistribution``."""
        # Episodes are cut from arrays on the CPU; a seed from the generator keeps them its own.
        seed = torch.randint(2**62, (1,), generator=generator, device=generator.device)
        local = torch.Generator().manual_seed(int(seed))
        sizes = Counter(task.family for task in self.tasks)
        share = torch.tensor([1.0 / sizes[task.family] for task in self.tasks])
        chosen = torch.multinomial(share, n_tasks, replacement=True, generator=local)
        return collate([self.tasks[int(i)].episode(local) for i in chosen]).to(generator.device)


@dataclass(frozen=True)
class Curriculum:
    """Distributions one after another, easy ones first.

    Args:
        stages: Each with the progress, from 0 to 1, at which it begins; the first at 0.

    Raises:
        ValueError: If the stages don't begin at 0 or are out of order.
    """

    stages: Sequence[tuple[float, TaskDistribution]]

    def __post_init__(self) -> None:
        starts = [start for start, _ in self.stages]
        if not starts or starts[0] != 0 or starts != sorted(starts):
            raise ValueError(
                f"Stages that begin at {starts} given; expected rising numbers from 0."
            )

    def sample(
        self, n_tasks: int, generator: torch.Generator, *, progress: float = 1.0
    ) -> Episode:
        """See ``TaskDistribution``."""
        begun = [stage for start, stage in self.stages if start <= progress]
        return begun[-1].sample(n_tasks, generator, progress=progress)


AnyTask = TypeVar("AnyTask", bound=Task)


def by_family(
    tasks: Sequence[AnyTask], *, fold: int, n_folds: int = 5
) -> tuple[list[AnyTask], list[AnyTask]]:
    """Tasks to train on and tasks to test on; a family is never on both sides.

    The fold depends on nothing but the family's name, so that a task more or less moves no
    other.

    Raises:
        ValueError: If ``fold`` is not one of ``n_folds``.
    """
    if not 0 <= fold < n_folds:
        raise ValueError(f"Fold {fold} given; expected 0 to {n_folds - 1}.")
    sides: tuple[list[AnyTask], list[AnyTask]] = ([], [])
    for task in tasks:
        sides[zlib.crc32(f"fold:{task.family}".encode()) % n_folds == fold].append(task)
    return sides
