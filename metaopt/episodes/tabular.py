"""Few-shot problems from tables: a task is a data set seen through some of its columns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metaopt.episodes.episode import Episode, Points


@dataclass(frozen=True)
class TableTask:
    """Two classes of one data set, told apart by a few of its columns, drawn anew each time.

    Columns are standardised over the episode's own rows, so that data sets of any unit and
    number of columns are tasks of one space.

    Attributes:
        name: Of the data set.
        family: Data sets that share rows are one family.
        x: ``(n, n_columns)``, finite.
        y: ``(n,)`` class of each row, an integer from 0.
        n_features: Columns of an episode; drawn with replacement if the table has fewer.
        n_support: Rows to adapt to.
        n_query: Rows to be judged on.

    Raises:
        ValueError: If the table has fewer than two classes, or rows than an episode needs.
    """

    name: str
    family: str
    x: Tensor
    y: Tensor
    n_features: int = 4
    n_support: int = 10
    n_query: int = 20

    def __post_init__(self) -> None:
        sizes = torch.bincount(self.y)
        sizes = sizes[sizes > 0].sort(descending=True).values
        needed = self.n_support + self.n_query
        if len(sizes) < 2 or int(sizes[-2:].sum()) < needed:
            raise ValueError(
                f"{self.name!r} with classes of {sizes.tolist()} rows given; "
                f"expected two classes or more, any two of them with {needed} rows."
            )

    def episode(self, generator: torch.Generator) -> Episode:
        """See ``Task``."""

        def order(n: int) -> Tensor:
            return torch.randperm(n, generator=generator)

        classes = torch.bincount(self.y).nonzero()[:, 0]
        pair = classes[order(len(classes))[:2]]
        rows = torch.isin(self.y, pair).nonzero()[:, 0]
        rows = rows[order(len(rows))[: self.n_support + self.n_query]]
        n_columns = self.x.shape[1]
        if n_columns >= self.n_features:
            columns = order(n_columns)[: self.n_features]
        else:
            columns = torch.randint(n_columns, (self.n_features,), generator=generator)
        x = self.x[rows][:, columns]
        spread = x.std(0)
        is_constant = spread <= 1e-6 * x.abs().amax(0)
        x = torch.where(is_constant, 0.0, (x - x.mean(0)) / torch.where(is_constant, 1.0, spread))
        y = (self.y[rows][:, None] == pair).to(x.dtype)
        s = self.n_support
        return Episode(Points.of(x[:s], y[:s]), Points.of(x[s:], y[s:]))
