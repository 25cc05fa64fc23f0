"""A vector for each task: tasks whose hyperparameters behave alike lie close together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from metaopt.training.selection import Histories, read_histories
from warmstart.errors import HistoryError
from warmstart.history import History

if TYPE_CHECKING:
    from metaopt.episodes.histories import HistoryTask

N_STEPS: Final = 1000
_N_TASKS: Final = 16  # in a batch


@dataclass(frozen=True, eq=False)
class TaskEmbedding:
    """Tasks as points.

    Attributes:
        tasks: Names, such as ``"openml-task-3"``.
        vectors: ``(n_tasks, n_dimensions)``, of mean 0, mean squared length 1 for each estimator.
    """

    tasks: tuple[str, ...]
    vectors: np.ndarray

    def __getitem__(self, task: str) -> np.ndarray:
        """The vector of one task, ``(n_dimensions,)``."""
        return np.asarray(self.vectors[self._index(task)])

    def nearest(self, task: str, n: int = 5) -> list[tuple[str, float]]:
        """The ``n`` tasks that lie nearest to one, with their distances."""
        index = self._index(task)
        distances = np.linalg.norm(self.vectors - self.vectors[index], axis=1)
        order = [int(i) for i in np.argsort(distances, kind="stable") if i != index]
        return [(self.tasks[i], float(distances[i])) for i in order[:n]]

    def plane(self) -> np.ndarray:
        """The two directions in which tasks differ most, ``(n_tasks, 2)``: a map of them."""
        centred = self.vectors - self.vectors.mean(axis=0)
        _, _, directions = np.linalg.svd(centred, full_matrices=False)
        # Of the two signs of a direction, the one whose largest part is positive.
        two = directions[:2]
        largest = np.take_along_axis(two, np.abs(two).argmax(1)[:, None], axis=1)
        return np.asarray(centred @ (two * np.sign(largest)).T)

    def draw(self, path: Path, colours: Mapping[str, float | str], *, label: str) -> None:
        """Draw the map of tasks.

        Args:
            path: Of the picture, such as ``"map.png"``.
            colours: For each task a number, such as the logarithm of its best learning rate, or
                a word, such as its best estimator; a task without one is grey.
            label: What the colours are.
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 5), layout="constrained")
        axes = figure.subplots()
        x, y = self.plane().T
        axes.scatter(x, y, color="lightgrey", s=12)
        words = sorted({colour for colour in colours.values() if isinstance(colour, str)})
        for word in words:
            rows = [i for i, task in enumerate(self.tasks) if colours.get(task) == word]
            axes.scatter(x[rows], y[rows], label=word)
        if words:
            axes.legend(title=label)
        numbers = {i: colours[task] for i, task in enumerate(self.tasks) if task in colours}
        if numbers and not words:
            rows = list(numbers)
            dots = axes.scatter(x[rows], y[rows], c=[float(n) for n in numbers.values()])
            figure.colorbar(dots, label=label)
        axes.set(xticks=[], yticks=[], title=f"{len(self.tasks)} tasks")
        figure.savefig(path)

    def _index(self, task: str) -> int:
        if task not in self.tasks:
            raise ValueError(
                f"Task {task!r} given; expected one of {len(self.tasks)}, such as "
                f"{', '.join(self.tasks[:3])}."
            )
        return self.tasks.index(task)


def embed(
    histories: Histories,
    *,
    n_dimensions: int = 8,
    n_steps: int = N_STEPS,
    seed: int = 0,
    device: str = "cpu",
) -> TaskEmbedding:
    """Learn a vector for each task from nothing but its trials.

    For each estimator a learner is meta-trained to predict trials from others of the same task,
    through a few numbers that it may remember of them: these are the vector. Neither names nor
    families nor descriptors are looked at. A task's vector has a part for each estimator, 0 (the
    mean) where it has no history.

    Args:
        histories: A store, its path, or histories; of any estimators.
        n_dimensions: For each estimator.
        n_steps: Of meta-training.
        seed: Of all random choices.
        device: Where to train.

    Raises:
        HistoryError: If there is no store at a path, or no estimator has histories of two tasks
            that can be learned from.
    """
    from metaopt.episodes.histories import history_tasks

    histories = read_histories(histories)
    by_estimator: dict[str, list[History]] = defaultdict(list)
    for history in histories:
        by_estimator[history.info.estimator].append(history)
    known: dict[str, list[HistoryTask]] = {}
    for estimator, of_estimator in sorted(by_estimator.items()):
        by_name = {task.name: task for task in history_tasks(of_estimator)}
        if len(by_name) > 1:
            known[estimator] = [task for _, task in sorted(by_name.items())]
    if not known:
        raise HistoryError(
            f"{len(histories)} histories of {len(by_estimator)} estimators given; expected one "
            "estimator with at least two tasks whose trials differ."
        )
    names = tuple(sorted({task.name for tasks in known.values() for task in tasks}))
    parts = []
    for tasks in known.values():
        part = np.zeros((len(names), n_dimensions))
        rows = [names.index(task.name) for task in tasks]
        part[rows] = task_vectors(
            tasks, n_dimensions=n_dimensions, n_steps=n_steps, seed=seed, device=device
        )
        parts.append(part)
    return TaskEmbedding(names, np.concatenate(parts, axis=1))


def task_vectors(
    tasks: Sequence[HistoryTask],
    *,
    n_dimensions: int = 8,
    n_steps: int = N_STEPS,
    seed: int = 0,
    device: str = "cpu",
) -> np.ndarray:
    """The vectors of the tasks of one estimator, ``(n_tasks, n_dimensions)``; see ``embed``."""
    import torch

    from metaopt.episodes import Points, TaskSet
    from metaopt.learners import NeighbourTasks, meta_fit

    learner = NeighbourTasks(tasks[0].x.shape[1], n_dimensions=n_dimensions)
    fit = meta_fit(
        learner,
        # Each its own family: what belongs together is to be found, not told.
        TaskSet([replace(task, family=task.name) for task in tasks]),
        n_steps=n_steps,
        n_tasks=_N_TASKS,
        seed=seed,
        device=device,
        rate=lambda progress: 1.0 - progress,
    )
    with torch.no_grad():
        places = [learner.embed(fit.theta, Points.of(task.x, task.y).to(device)) for task in tasks]
    vectors = torch.stack(places).cpu().double().numpy()
    vectors -= vectors.mean(axis=0)
    return np.asarray(vectors / np.sqrt((vectors**2).sum(axis=1).mean()))
