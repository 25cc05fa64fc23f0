"""What the meta-learner would try, without a study."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution

from warmstart.alignment import align
from warmstart.artifact import Artifact
from warmstart.axes import Axes, Axis
from warmstart.catalogue import known_estimator
from warmstart.descriptor import TaskDescriptor, describe
from warmstart.distributions import external_value, parameter_of
from warmstart.errors import SearchSpaceError, UnknownEstimatorError
from warmstart.estimator import Estimator
from warmstart.knowledge import Histories, Knowledge, Source
from warmstart.matching import Match
from warmstart.proposals import Observations, Proposer, propose_batch
from warmstart.search_spaces import search_space

if TYPE_CHECKING:
    import pandas as pd


def suggest(
    estimator: object,
    X: Any = None,
    y: Any = None,
    *,
    n: int = 5,
    space: Mapping[str, BaseDistribution] | None = None,
    task: TaskDescriptor | None = None,
    metric: str | None = None,
    artifact: Artifact | str | os.PathLike[str] | None = None,
    exclude: str | Iterable[str] = (),
    histories: Histories | None = None,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Configurations to try first, the best guess first; together they cover what may be best.

    Args:
        estimator: A dotted name, a class or an instance.
        X: Data, as ``warmstart.describe`` takes it; without it, what is good on most data.
        y: Its target, of the kind that the estimator is for.
        n: How many.
        space: Optuna distributions by name, to choose from; by default the estimator's own
            hyperparameters on the ranges that were learned, by the names of its library.
        task: Descriptor of the data, in place of ``X`` and ``y``.
        metric: As in ``WarmStartSampler``, also for what follows.
        artifact: See ``metric``.
        exclude: See ``metric``.
        histories: See ``metric``.
        seed: Of the candidates.

    Raises:
        UnknownEstimatorError: If nothing is known of the estimator.
        ValueError: If ``n`` is below 1, or ``X`` is given with ``task`` or without ``y``.

    Example:
        >>> import warmstart
        >>> warmstart.suggest("sklearn.svm.SVC", n=1)[0]["kernel"]
        'rbf'
    """
    if n < 1:
        raise ValueError(f"n={n} given; expected at least 1.")
    if X is not None and (task is not None or y is None):
        raise ValueError("X given with task, or without y; expected X and y, or task alone.")
    if X is not None:
        known = known_estimator(estimator)
        task = describe(X, y, kind=None if known is None else known.kind)
    knowledge = Knowledge(
        artifact=artifact, histories=histories, task=task, metric=metric, exclude=exclude
    )
    name = knowledge.resolve(estimator)
    knowledge.warn_of_unknown_metric(stacklevel=2)
    source = knowledge.source(name)
    if source is None:
        raise UnknownEstimatorError(
            f"estimator={name!r} given, of which nothing is known, or all of it is excluded, or "
            f"its histories contradict each other; expected one of {knowledge.estimators()}."
        )
    axes = _canonical_axes(source) if space is None else _axes(source, space)
    proposer = Proposer(source.prior, axes, source.task_weights, seed=seed)
    d = len(source.prior.encoding.names)
    nothing = Observations(np.empty((0, d)), np.empty(0), np.empty((0, d)))
    suggested = [
        _values(axes, proposal.position, space)
        for proposal in propose_batch(proposer, nothing, n, seed=seed)
    ]
    return suggested if space is not None else [_together(source.estimator, v) for v in suggested]


def list_estimators(artifact: Artifact | str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """What an artifact knows, by default the shipped one.

    Estimators whose histories contradict each other are left out: nothing is proposed from them.

    Returns:
        A row for each estimator: ``estimator``, ``n_tasks``, ``n_trials``, ``metric``,
        ``benchmark_only`` (its histories are of a benchmark, not of a library of that name) and
        ``space`` (its hyperparameters with their ranges, as text).
    """
    import pandas as pd

    knowledge = Knowledge(artifact=artifact)
    rows = []
    for name in knowledge.estimators():
        source = knowledge.source(name)
        if source is None:
            continue
        rows.append(
            {
                "estimator": name,
                "n_tasks": len(source.prior.tasks),
                "n_trials": sum(task.n_trials for task in source.prior.tasks),
                "metric": ", ".join(sorted({task.metric for task in source.prior.tasks})),
                "benchmark_only": source.estimator.benchmark_only,
                "space": ", ".join(f"{n}: {p}" for n, p in source.prior.space.parameters.items()),
            }
        )
    columns = ["estimator", "n_tasks", "n_trials", "metric", "benchmark_only", "space"]
    return pd.DataFrame(rows, columns=columns)


def _canonical_axes(source: Source) -> Axes:
    """All that the estimator itself has; steps before it in a pipeline keep their defaults."""
    steps = {h.name for h in source.estimator.hyperparameters if h.component}
    axes = {}
    for name, parameter in source.prior.space.parameters.items():
        found = source.matcher.find(name, parameter, trust_prefix=True)
        if name not in steps and isinstance(found, Match):
            axes[name] = Axis(found, parameter, source.prior.encoding)
    defaults = align(
        {name: source.prior.space.parameters[name] for name in axes}, source.matcher
    ).missing
    return Axes(axes, source.prior.encoding, fixed=defaults)


def _axes(source: Source, space: Mapping[str, BaseDistribution]) -> Axes:
    parameters = {name: parameter_of(distribution) for name, distribution in space.items()}
    alignment = align(parameters, source.matcher)
    if not alignment.matched:
        raise UnknownEstimatorError(
            f"space with {sorted(space)} given; expected parameters of {source.estimator.name}: "
            f"{sorted(source.matcher.canonical)}."
        )
    axes = {
        match.canonical: Axis(match, parameters[name], source.prior.encoding)
        for name, match in alignment.matched.items()
    }
    return Axes(axes, source.prior.encoding, fixed=alignment.missing)


def _together(estimator: Estimator, values: dict[str, Any]) -> dict[str, Any]:
    """Values without those that the library refuses beside the others.

    As the shares of two penalties beside a solver that knows one: a history tells what was tried,
    not what can't be.
    """
    conditions = dict(estimator.space.conditions)
    with contextlib.suppress(SearchSpaceError, UnknownEstimatorError):
        conditions |= search_space(estimator.name).conditions
    refused = {
        name
        for name, condition in conditions.items()
        if condition.parameter in values
        and values[condition.parameter] not in set(condition.values)
    }
    return {name: value for name, value in values.items() if name not in refused}


def _values(
    axes: Axes, position: np.ndarray, space: Mapping[str, BaseDistribution] | None
) -> dict[str, Any]:
    """Values by name, without those that have no effect beside the others."""
    coordinates = axes.coordinates(position[None])[0]
    return {
        axis.name: value if space is None else external_value(space[axis.name], value)
        for axis, value in zip(axes.axes, axes.values(position).values(), strict=True)
        if not np.isnan(coordinates[axis.column])
    }
