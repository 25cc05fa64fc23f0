"""Few-shot classification of digits that were never seen in training.

Training has 0, 1, 2, 5, 6, 8 and 9, turned by multiples of 30 degrees, and mirrored: 168 classes.
Tests have 3, 4 and 7, turned by 45 degrees and right angles from there: 12 classes. 6 and 9,
which are each other's rotation, are on one side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor
from torch.func import vmap

from metaopt.benchmarks.learners.inputs import Inputs
from metaopt.benchmarks.learners.intervals import mean_and_interval
from metaopt.benchmarks.learners.training import Training, to_zero
from metaopt.episodes.episode import Episode
from metaopt.episodes.few_shot import FewShotClasses, image_classes
from metaopt.learners import (
    MAML,
    MLP,
    Learner,
    Prototypes,
    Reptile,
    Ridge,
    Theta,
    cross_entropy,
)
from metaopt.learners.losses import error_rate

TRAINING_KINDS: Final = tuple((d, a) for d in (0, 1, 2, 5, 6, 8, 9) for a in range(0, 360, 30))
TEST_KINDS: Final = tuple((d, a) for d in (3, 4, 7) for a in (45, 135, 225, 315))
N_WAYS: Final = 5
N_QUERIES: Final = 15
N_TEST_TASKS: Final = 600
SHOTS: Final = (1, 5)
_EMBEDDING: Final = MLP((64, 64, 64))
_CLASSIFIER: Final = MLP((64, 64, 64, N_WAYS))
_SCRATCH_RATES: Final = (0.03, 0.1, 0.3)
_SCRATCH_STEPS: Final = 100


@dataclass(frozen=True)
class DigitJob:
    """One meta-training on digits.

    Attributes:
        learner: With the settings of meta-training.
        n_test_steps: Gradient steps at test; None for a learner that takes none.
        n_steps: Outer steps.
        n_tasks: In a batch.
        settings: Of ``meta_fit``.
    """

    learner: Learner
    n_test_steps: int | None = None
    n_steps: int = 2000
    n_tasks: int = 16
    settings: tuple[tuple[str, Any], ...] = ()


DIGIT_JOBS: Final[Mapping[str, DigitJob]] = {
    "maml": DigitJob(MAML(_CLASSIFIER, cross_entropy, n_steps=3, step_size=0.3), n_test_steps=10),
    "reptile": DigitJob(
        Reptile(_CLASSIFIER, cross_entropy, step_size=0.1, minibatch=10, n_epochs=2),
        n_test_steps=50,
        n_tasks=8,
        settings=(("optimizer", partial(torch.optim.SGD, lr=1.0)), ("rate", to_zero)),
    ),
    "prototypes": DigitJob(Prototypes(_EMBEDDING)),
    "ridge head": DigitJob(Ridge(_EMBEDDING)),
}


def digit_tasks(
    inputs: Inputs,
    *,
    n_shots: int,
    test: bool,
    n_queries: int,
    device: str = "cpu",
) -> FewShotClasses:
    """Tasks of the training or the test classes."""
    kinds = TEST_KINDS if test else TRAINING_KINDS
    classes = image_classes(inputs["images"], inputs["labels"], kinds, mirrored=not test)
    rows = [rows.to(device) for rows in classes]
    return FewShotClasses(rows, N_WAYS, n_shots, n_queries)


def run_digit_job(
    job: DigitJob, inputs: Inputs, n_shots: int, training: Training
) -> dict[str, Any]:
    """Train, and give the accuracy on unseen classes.

    Reptile has no query in training: its tasks have 10 images of each class altogether, as the
    support and query of the others.
    """
    known = digit_tasks(
        inputs, n_shots=n_shots, test=False, n_queries=10 - n_shots, device=training.device
    )
    fit = training.fit(
        job.learner, known, n_steps=job.n_steps, n_tasks=job.n_tasks, **dict(job.settings)
    )
    learner = job.learner
    if job.n_test_steps is not None:
        learner = replace(learner, n_steps=job.n_test_steps)  # type: ignore[type-var]
    accuracies = _accuracies(learner, fit.theta, _test_episodes(inputs, n_shots))
    return {"n_steps": len(fit.losses), "n_skipped": fit.n_skipped, **_summary(accuracies)}


def run_references(inputs: Inputs, n_shots: int, *, seed: int) -> dict[str, Any]:
    """The same network from scratch, and the nearest neighbour on pixels, on the test tasks.

    The network's learning rate is the one that is best on tasks of training classes.
    """
    start = _CLASSIFIER.initial(torch.Generator().manual_seed(seed))
    known = digit_tasks(inputs, n_shots=n_shots, test=False, n_queries=N_QUERIES)
    training = known.sample(200, torch.Generator().manual_seed(seed))
    scratches = [
        MAML(_CLASSIFIER, cross_entropy, n_steps=_SCRATCH_STEPS, step_size=rate)
        for rate in _SCRATCH_RATES
    ]
    scratch = max(scratches, key=lambda s: float(_accuracies(s, start, training).mean()))
    test = _test_episodes(inputs, n_shots)
    return {
        "from scratch": _summary(_accuracies(scratch, start, test))
        | {"step_size": scratch.step_size},
        "nearest neighbour": _summary(_nearest_neighbour(test)),
    }


def _test_episodes(inputs: Inputs, n_shots: int) -> Episode:
    tasks = digit_tasks(inputs, n_shots=n_shots, test=True, n_queries=N_QUERIES)
    return tasks.sample(N_TEST_TASKS, torch.Generator().manual_seed(2**31 - 1))


def _accuracies(learner: Learner, theta: Theta, episodes: Episode) -> Tensor:
    """The share of each task's query that is classified rightly, ``(n_tasks,)``."""

    def wrong(episode: Episode) -> Tensor:
        return error_rate(learner.adapt(theta, episode.support)(episode.query.x), episode.query)

    with torch.no_grad():
        return 1 - vmap(wrong)(episodes)


def _nearest_neighbour(episodes: Episode) -> Tensor:
    nearest = torch.cdist(episodes.query.x, episodes.support.x).argmin(-1)
    given = episodes.support.y.argmax(-1).gather(1, nearest)
    return (given == episodes.query.y.argmax(-1)).float().mean(1)


def _summary(accuracies: Tensor) -> dict[str, Any]:
    mean, half = mean_and_interval(accuracies)
    return {"accuracy": mean, "half_interval": half, "n_tasks": len(accuracies)}
