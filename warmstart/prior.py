"""What the histories of one estimator say before the first trial of a new task.

For each source task, a smooth function of the configuration: its logarithmic regret. It is kept
as values at inducing configurations, between which a Gaussian process interpolates; so it can be
asked for any configuration of any user's space.

Notation:
    T: number of source tasks. m: number of inducing configurations.
    d, D: see ``warmstart.encoding``. Features here are scaled: divided by the lengthscales.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from warmstart.calibration import Calibration
from warmstart.descriptor import TaskDescriptor
from warmstart.encoding import Encoding
from warmstart.kernels import matern52, squared_distances
from warmstart.space import SearchSpace

# Half of the prior weight stays with all tasks alike: descriptors can mislead.
_SHARE_BY_DESCRIPTOR = 0.5
# Interpolation at least this noisy: neighbouring inducing configurations may disagree a little.
_LEAST_NOISE = 0.01
# Source tasks that agree so much with each other are fully trusted.
_FULL_AGREEMENT = 0.4


@dataclass(frozen=True)
class SourceTask:
    """One task that a prior was learned from.

    Attributes:
        id: As in the history, e.g. ``"openml-task-3"``.
        name: Of the data set, if known.
        dataset: Id of the data set, e.g. ``"openml-dataset-3"``.
        family: Data sets of one family are as good as copies of each other.
        source: Origin of the history.
        metric: What was measured.
        licence: Of the data set or the runs.
        n_trials: Length of the history.
        descriptor: Of the data set, if known.
    """

    id: str
    name: str = ""
    dataset: str = ""
    family: str = ""
    source: str = ""
    metric: str = ""
    licence: str = ""
    n_trials: int = 0
    descriptor: TaskDescriptor | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON-serialisable description; ``from_json`` restores it."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        data["descriptor"] = None if self.descriptor is None else self.descriptor.to_json()
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SourceTask:
        """Restore from ``to_json``'s output."""
        descriptor = data["descriptor"]
        parsed = None if descriptor is None else TaskDescriptor.from_json(descriptor)
        return cls(**{**data, "descriptor": parsed})


@dataclass(frozen=True)
class Prior:
    """The knowledge of one estimator, learned from the histories of ``T`` tasks.

    Attributes:
        estimator: Canonical name.
        space: The canonical space, with the ranges that the histories cover.
        tasks: The source tasks, ``T``.
        lengthscales: One a hyperparameter, ``(d,)``.
        noise: Noise variance relative to the variance of a task's logarithmic regret.
        inducing: Coordinates of the inducing configurations, ``(m, d)``.
        values: Logarithmic regret of each task there, ``(T, m)``.
        variance: How uncertain these are, as a variance, the mean over the tasks, ``(m,)``.
        proposals: Coordinates of configurations that were good somewhere, ``(k, d)``.
        proposed_by: The task that each of these comes from, ``(k,)`` indices.
        descriptor_names: The meta-features by which tasks are compared.
        bandwidth: How near tasks must be to count, in standard deviations of the meta-features;
            0 where descriptors did not help.
        agreement: How well the tasks foretell each other: the correlation of a task's own
            trials with the mean of the other families' tasks, on average; 0 among histories
            that are noise. 1 where there are too few tasks to say.
        calibration: How predictions are put right; ``None`` where that was not learned.
    """

    estimator: str
    space: SearchSpace
    tasks: tuple[SourceTask, ...]
    lengthscales: np.ndarray
    noise: float
    inducing: np.ndarray
    values: np.ndarray
    variance: np.ndarray
    proposals: np.ndarray
    proposed_by: np.ndarray
    descriptor_names: tuple[str, ...] = ()
    bandwidth: float = 0.0
    agreement: float = 1.0
    calibration: Calibration | None = None

    @cached_property
    def encoding(self) -> Encoding:
        """Of the canonical space."""
        return Encoding(self.space)

    @cached_property
    def _inducing_features(self) -> np.ndarray:
        return self.scale(self.encoding.features(self.inducing))

    @cached_property
    def _levels(self) -> np.ndarray:
        return np.asarray(self.values.mean(axis=1))

    @cached_property
    def _weights(self) -> np.ndarray:
        """What the kernel to each inducing configuration is multiplied with, ``(m, T + 1)``.

        The last column gives the variance.
        """
        K = matern52(squared_distances(self._inducing_features, self._inducing_features))
        K[np.diag_indices(len(K))] += max(self.noise, _LEAST_NOISE)
        values = (self.values - self._levels[:, None]).T
        return np.linalg.solve(K, np.column_stack([values, self.variance - self.variance.mean()]))

    @cached_property
    def _descriptors(self) -> np.ndarray:
        """Meta-features of the tasks, ``(T, f)``, NaN where not known."""
        rows = [
            np.full(len(self.descriptor_names), np.nan)
            if task.descriptor is None
            else task.descriptor.vector(self.descriptor_names)
            for task in self.tasks
        ]
        return np.array(rows).reshape(len(self.tasks), len(self.descriptor_names))

    @property
    def trust(self) -> float:
        """How much source tasks are believed before the first trial, 0 to 1."""
        return float(np.clip(self.agreement / _FULL_AGREEMENT, 0.0, 1.0) ** 2)

    def scale(self, features: np.ndarray) -> np.ndarray:
        """Features ``(n, D)`` in units of the lengthscales."""
        return features / self.lengthscales[self.encoding.column_of]

    def log_regrets(self, features: np.ndarray) -> np.ndarray:
        """Logarithmic regret ``(n, T)`` of the source tasks at scaled features ``(n, D)``."""
        return self.foretell(features)[0]

    def foretell(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What source tasks say of configurations.

        Args:
            features: Scaled, ``(n, D)``.

        Returns:
            The logarithmic regret of each task ``(n, T)``, and how uncertain it is, as a variance
            ``(n,)``.
        """
        K = matern52(squared_distances(features, self._inducing_features))
        told = K @ self._weights
        variance = told[:, -1] + self.variance.mean()
        return told[:, :-1] + self._levels, np.maximum(variance, 0.0)

    def task_weights(self, descriptor: TaskDescriptor | None) -> np.ndarray:
        """How much each source task counts for a task that looks like this, ``(T,)``, sum 1."""
        n_tasks = len(self.tasks)
        alike = np.full(n_tasks, 1.0 / max(n_tasks, 1))
        if descriptor is None or not self.bandwidth or not n_tasks:
            return alike
        near = descriptor_weights(
            self._descriptors, descriptor.vector(self.descriptor_names), self.bandwidth
        )
        if near is None:
            return alike
        return (1.0 - _SHARE_BY_DESCRIPTOR) * alike + _SHARE_BY_DESCRIPTOR * near

    def without(self, excluded: Collection[int]) -> Prior:
        """The prior without the own contribution of some tasks, given by their indices.

        Lengthscales and noise keep their trace, as all that is shared.
        """
        kept = [t for t in range(len(self.tasks)) if t not in set(excluded)]
        of_kept = np.isin(self.proposed_by, kept)
        renumbered = np.cumsum(np.isin(np.arange(len(self.tasks)), kept)) - 1
        return replace(
            self,
            tasks=tuple(self.tasks[t] for t in kept),
            values=self.values[kept],
            proposals=self.proposals[of_kept],
            proposed_by=renumbered[self.proposed_by[of_kept]],
        )


def descriptor_weights(
    known: np.ndarray, target: np.ndarray, bandwidth: float
) -> np.ndarray | None:
    """Gaussian weights ``(T,)`` of tasks by their distance to a target in meta-features.

    Args:
        known: Meta-features of the tasks, ``(T, f)``; a row with NaN gets no weight.
        target: Of the target, ``(f,)``.
        bandwidth: In standard deviations of each meta-feature, per meta-feature.

    Returns:
        Weights of sum 1; ``None`` if nothing can be compared.
    """
    complete = ~np.isnan(known).any(axis=1)
    if not complete.any() or np.isnan(target).any():
        return None
    spread = np.maximum(known[complete].std(axis=0), 1e-9)
    squared = (((known - target) / spread) ** 2).mean(axis=1)
    # Relative to the nearest task, so that a far-off target still finds one.
    weights = np.zeros(len(known))
    exponent = squared[complete] / (2.0 * bandwidth**2)
    weights[complete] = np.exp(-(exponent - exponent.min()))
    return weights / weights.sum()


def nearest_tasks(prior: Prior, weights: Sequence[float] | np.ndarray, n: int) -> list[SourceTask]:
    """The ``n`` source tasks of largest weight, largest first."""
    order = np.argsort(-np.asarray(weights), kind="stable")[:n]
    return [prior.tasks[int(t)] for t in order]
