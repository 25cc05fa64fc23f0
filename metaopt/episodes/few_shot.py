"""Few-shot classification of images: a task is a choice of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from metaopt.episodes.episode import Episode, Points


@dataclass(frozen=True)
class FewShotClasses:
    """Tasks that tell ``n_ways`` classes apart, drawn anew with random labels.

    Attributes:
        rows: The rows of each class, ``(n_of_class, n_features)``; best on the device to draw on.
        n_ways: Classes in a task.
        n_shots: Rows of each class in the support set.
        n_queries: Rows of each class in the query set.

    Raises:
        ValueError: If there are fewer classes, or rows of one, than a task needs.
    """

    rows: Sequence[Tensor]
    n_ways: int = 5
    n_shots: int = 1
    n_queries: int = 10

    def __post_init__(self) -> None:
        needed = self.n_shots + self.n_queries
        fewest = min((len(rows) for rows in self.rows), default=0)
        if len(self.rows) < self.n_ways or fewest < needed:
            raise ValueError(
                f"{len(self.rows)} classes of at least {fewest} rows given; "
                f"expected {self.n_ways} or more of {needed} or more."
            )

    @cached_property
    def _every(self) -> tuple[Tensor, Tensor]:
        """All rows, class after class, and the number of each class."""
        return torch.cat(list(self.rows)), torch.tensor([len(rows) for rows in self.rows])

    def sample(
        self, n_tasks: int, generator: torch.Generator, *, progress: float = 1.0
    ) -> Episode:
        """See ``TaskDistribution``."""
        device = generator.device
        every, sizes = (part.to(device) for part in self._every)
        starts = torch.cumsum(sizes, 0) - sizes

        def drawn(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, device=device)

        classes = drawn(n_tasks, len(sizes)).argsort(1)[:, : self.n_ways]
        n = self.n_shots + self.n_queries
        # Without replacement: the smallest of random keys, keys beyond a class's end are last.
        keys = drawn(n_tasks, self.n_ways, int(sizes.max()))
        beyond = torch.arange(keys.shape[2], device=device) >= sizes[classes][..., None]
        picked = (keys + beyond).argsort(2)[..., :n]
        x = every[starts[classes][..., None] + picked]  # (tasks, ways, n, features)
        y = torch.eye(self.n_ways, device=device)[None, :, None].expand(n_tasks, -1, n, -1)
        return Episode(
            _points(x[:, :, : self.n_shots], y[:, :, : self.n_shots]),
            _points(x[:, :, self.n_shots :], y[:, :, self.n_shots :]),
        )


def _points(x: Tensor, y: Tensor) -> Points:
    # Shots first, then classes: the first n_ways points are one of each class.
    x, y = (part.transpose(1, 2).flatten(1, 2) for part in (x, y))
    return Points(x, y, torch.ones(x.shape[:2], device=x.device))


def image_classes(
    images: Any, labels: Any, kinds: Sequence[tuple[int, float]], *, mirrored: bool = False
) -> list[Tensor]:
    """Classes of turned images, more of them than there are labels.

    Args:
        images: ``(n, height, width)``.
        labels: ``(n,)``.
        kinds: A label and an angle in degrees, counterclockwise, for each class.
        mirrored: Whether the mirror image of each class is another class.

    Returns:
        For each class ``(n_of_class, height * width)``.
    """
    images = torch.as_tensor(images, dtype=torch.float32)
    labels = torch.as_tensor(labels)
    classes = []
    for label, angle in kinds:
        turned = _turned(images[labels == label][:, None], angle)
        classes.append(turned.flatten(1))
        if mirrored:
            classes.append(turned.flip(3).flatten(1))
    return classes


def _turned(images: Tensor, angle: float) -> Tensor:
    radians = torch.deg2rad(torch.tensor(float(angle)))
    cos, sin = torch.cos(radians), torch.sin(radians)
    zero = torch.zeros(())
    turn = torch.stack([torch.stack([cos, -sin, zero]), torch.stack([sin, cos, zero])])
    grid = torch.nn.functional.affine_grid(
        turn.expand(len(images), 2, 3), list(images.shape), align_corners=False
    )
    return torch.nn.functional.grid_sample(images, grid, align_corners=False)
