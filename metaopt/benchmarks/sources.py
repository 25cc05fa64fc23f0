"""The six sources of problems: OpenML tables (as pools and as forests) and YAHPO surrogates.

They are read from a data directory (``openml_runs/`` and ``surrogates/`` in it), which is not
part of the project.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from metaopt.benchmarks.data_directory import data_directory
from metaopt.benchmarks.families import family_of
from metaopt.benchmarks.problems import Problem
from metaopt.benchmarks.refinement import surrogate_training_histories
from metaopt.benchmarks.surrogates import (
    N_REFERENCE,
    SCENARIOS,
    Scenario,
    Surrogate,
    surrogate_families,
    surrogate_histories,
    surrogate_problems,
)
from metaopt.benchmarks.tables import (
    TABLES,
    Table,
    table_families,
    table_histories,
    table_problems,
    table_runs,
)
from warmstart.history import History

__all__ = [
    "N_REFERENCE",
    "POOLS",
    "SCENARIOS",
    "SOURCES",
    "TABLES",
    "Problem",
    "RecordedSource",
    "Scenario",
    "Source",
    "Surrogate",
    "Table",
    "data_directory",
    "digest_of_history",
    "family_of",
    "problems",
    "source_histories",
    "surrogate_problems",
    "table_problems",
    "table_runs",
]

SOURCES: Final = ("random_forest", "adaboost", "svc", "xgboost", "rpart", "lcbench")
POOLS: Final = tuple(f"{source}/pool" for source in SOURCES if source in TABLES)
_IDENTIFYING_TRIALS: Final = 100  # a surrogate that answers so many alike is the same one


def problems(
    data: Path, source: str, *, pool: bool = False, tasks: Collection[str] | None = None
) -> list[Problem]:
    """The problems of one of ``SOURCES``; ``pool`` only matters for tables.

    Args:
        data: Data directory.
        source: One of ``SOURCES``.
        pool: Whether a table answers with its nearest run, or with a forest fitted to it.
        tasks: Which tasks; all by default.
    """
    if source in TABLES:
        return list(table_problems(data, source, pool=pool, tasks=tasks))
    return list(surrogate_problems(data, source, tasks=tasks))


def source_histories(data: Path, source: str, *, n_configurations: int = 1000) -> list[History]:
    """The histories of one of ``SOURCES``, to train on.

    Args:
        data: Data directory.
        source: One of ``SOURCES``.
        n_configurations: Random configurations for each instance of a surrogate; a table gives
            all its recorded runs. As many neighbours of the best follow, as in the histories
            that artifacts are trained on.
    """
    if source in TABLES:
        return table_histories(data, source)
    return surrogate_training_histories(
        data,
        source,
        n_random=n_configurations,
        n_local=n_configurations // 2,
        n_best=max(n_configurations // 20, 1),
    )


class Source(Protocol):
    """What a benchmark needs of a source; must be hashable, and picklable for several jobs."""

    def __hash__(self) -> int:
        """Sources that are equal give the same."""
        ...

    @property
    def name(self) -> str:
        """Unique in a benchmark."""
        ...

    def families(self) -> Mapping[str, str]:
        """The family of each task to be tuned."""
        ...

    def histories(self) -> list[History]:
        """What to train on: at least one history for most tasks."""
        ...

    def problems(self, tasks: Collection[str]) -> list[Problem]:
        """The problems of some tasks."""
        ...

    def digests(self) -> Mapping[str, str]:
        """For each task a text that changes when its losses do."""
        ...


@dataclass(frozen=True)
class RecordedSource:
    """One of ``SOURCES`` or ``POOLS`` in a data directory.

    Attributes:
        name: One of them.
        data: Data directory.
        n_configurations: As in ``source_histories``.
    """

    name: str
    data: Path
    n_configurations: int = 1000

    def __post_init__(self) -> None:
        if self.name not in (*SOURCES, *POOLS):
            raise ValueError(f"Source {self.name!r} given; expected one of {[*SOURCES, *POOLS]}.")

    @property
    def _table_or_scenario(self) -> str:
        return self.name.removesuffix("/pool")

    def families(self) -> Mapping[str, str]:
        """The family of each task that is a problem."""
        source = self._table_or_scenario
        read = table_families if source in TABLES else surrogate_families
        return read(self.data, source)

    def histories(self) -> list[History]:
        """All histories, also those of tasks that are no problem."""
        return source_histories(
            self.data, self._table_or_scenario, n_configurations=self.n_configurations
        )

    def problems(self, tasks: Collection[str]) -> list[Problem]:
        """The problems of some tasks."""
        pool = self.name.endswith("/pool")
        return problems(self.data, self._table_or_scenario, pool=pool, tasks=tasks)

    def digests(self) -> Mapping[str, str]:
        """For each task a digest of its recorded runs, or of a surrogate's first answers."""
        source = self._table_or_scenario
        if source in TABLES:
            histories = table_histories(self.data, source)
        else:
            histories = surrogate_histories(
                self.data, source, n_configurations=_IDENTIFYING_TRIALS
            )
        return {history.info.task: digest_of_history(history) for history in histories}


def digest_of_history(history: History) -> str:
    """A digest of everything that can be learned from a history."""
    digest = hashlib.sha256()
    info = history.info
    for text in (info.estimator, info.task, info.metric, info.family, str(info.descriptor)):
        digest.update(text.encode() + b"\0")
    digest.update(history.losses.tobytes())
    for name, column in sorted(history.columns.items()):
        digest.update(name.encode() + b"\0" + column.kinds.tobytes())
        digest.update(column.numbers.tobytes() + column.codes.tobytes())
        digest.update("\0".join(column.texts).encode())
    return digest.hexdigest()
