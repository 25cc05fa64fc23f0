"""Priors in an artifact: which tensors and which part of the description are whose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from warmstart.artifact import Artifact
from warmstart.calibration import Calibration
from warmstart.descriptor import TaskDescriptor
from warmstart.errors import ArtifactError, WarmStartError
from warmstart.posterior import GRID_SHAPE
from warmstart.prior import Prior, SourceTask
from warmstart.space import SearchSpace
from warmstart.standings import Standings

KIND = "priors"
# What each task has of its own; all else is of its data, which is listed once.
_OWN = ("metric", "n_trials")
_STANDINGS = "standings"

# Values are good to about 0.001, far below the noise of any history.
_PRECISION = {
    "lengthscales": np.float32,
    "inducing": np.float32,
    "values": np.float16,
    "variance": np.float16,
    "proposals": np.float32,
    "proposed_by": np.int32,
}


def pack_priors(
    priors: Mapping[str, Prior],
    card: Mapping[str, Any],
    standings: Mapping[str, Standings] | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and description of an artifact that holds these priors.

    Args:
        priors: By the estimator's canonical name.
        card: What users should know: how it was made, licences, figures, limits.
        standings: Of the estimators against each other, by metric.
    """
    standings = standings or {}
    tensors = {
        f"{name}/{field}": getattr(prior, field).astype(dtype)
        for name, prior in priors.items()
        for field, dtype in _PRECISION.items()
    }
    descriptors, data_sets = _Numbered(), _Numbered()
    estimators = {
        name: {
            "space": prior.space.to_json(),
            "columns": list(prior.encoding.names),  # of coordinates; JSON objects have no order
            "noise": prior.noise,
            "bandwidth": prior.bandwidth,
            "agreement": prior.agreement,
            "descriptor_names": list(prior.descriptor_names),
            "tasks": _tasks_to_json(prior.tasks, data_sets, descriptors),
            "calibration": None if prior.calibration is None else prior.calibration.to_json(),
        }
        for name, prior in priors.items()
    }
    for metric, known in standings.items():
        tensors[f"{_STANDINGS}/{metric}/values"] = known.values.astype(np.float16)
        tensors[f"{_STANDINGS}/{metric}/descriptors"] = known.descriptors.astype(np.float32)
    described = {
        metric: {
            "estimators": list(known.estimators),
            "tasks": [list(task) for task in known.tasks],
            "families": list(known.families),
            "bandwidth": known.bandwidth,
        }
        for metric, known in standings.items()
    }
    return tensors, {
        "kind": KIND,
        "card": dict(card),
        "estimators": estimators,
        "data_sets": data_sets.listed,
        "descriptors": descriptors.listed,
        "standings": described,
    }


def estimators_in(artifact: Artifact) -> list[str]:
    """Canonical names of the estimators whose priors an artifact holds.

    Raises:
        ArtifactError: If it holds something else.
    """
    if artifact.description.get("kind") != KIND:
        raise ArtifactError(
            f"An artifact of kind {artifact.description.get('kind')!r} given; expected {KIND!r}, "
            "as 'metaopt train' writes it."
        )
    try:
        return list(artifact.description["estimators"])
    except (KeyError, TypeError) as error:
        raise ArtifactError(
            f"The artifact lists no estimators ({error!r}); make it anew with 'metaopt train'."
        ) from error


def unpack_prior(artifact: Artifact, estimator: str) -> Prior:
    """The prior of one of ``estimators_in(artifact)``.

    Raises:
        ArtifactError: If it is not complete.
    """
    try:
        data = artifact.description["estimators"][estimator]
        tensors = {
            field: np.asarray(artifact.tensors[f"{estimator}/{field}"], dtype=float)
            for field in _PRECISION
            if field != "variance"
        }
        # Earlier artifacts don't say how uncertain they are.
        variance = artifact.tensors.get(
            f"{estimator}/variance", np.zeros(len(tensors["inducing"]))
        )
        prior = Prior(
            estimator=estimator,
            space=_ordered(SearchSpace.from_json(data["space"]), data["columns"]),
            tasks=_tasks_from_json(data["tasks"], artifact.description),
            lengthscales=tensors["lengthscales"],
            noise=float(data["noise"]),
            inducing=tensors["inducing"],
            values=tensors["values"],
            variance=np.asarray(variance, dtype=float),
            proposals=tensors["proposals"],
            proposed_by=tensors["proposed_by"].astype(int),
            descriptor_names=tuple(data["descriptor_names"]),
            bandwidth=float(data["bandwidth"]),
            agreement=float(data["agreement"]),
            calibration=_calibration(data.get("calibration")),  # not in earlier artifacts
        )
        _check_shapes(prior)
        _check_values(prior)
    except (IndexError, KeyError, TypeError, ValueError, WarmStartError) as error:
        raise ArtifactError(
            f"The artifact's prior of {estimator} is not complete ({error}); "
            "make the artifact anew with 'metaopt train'."
        ) from error
    return prior


def unpack_standings(artifact: Artifact) -> dict[str, Standings]:
    """The standings of an artifact's estimators against each other, by metric.

    Empty for artifacts that were made before there were any.

    Raises:
        ArtifactError: If they are not complete.
    """
    try:
        found = {}
        for metric, data in artifact.description.get("standings", {}).items():
            values, descriptors = (
                np.asarray(artifact.tensors[f"{_STANDINGS}/{metric}/{field}"], dtype=float)
                for field in ("values", "descriptors")
            )
            found[metric] = known = Standings(
                estimators=tuple(data["estimators"]),
                tasks=tuple((str(source), str(task)) for source, task in data["tasks"]),
                families=tuple(data["families"]),
                values=values,
                descriptors=descriptors,
                bandwidth=float(data["bandwidth"]),
            )
            n_tasks = len(known.tasks)
            if values.shape != (n_tasks, len(known.estimators)) or len(descriptors) != n_tasks:
                raise ValueError(f"standings of the shape {values.shape} by {metric}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"The artifact's standings of estimators are not complete ({error}); "
            "make the artifact anew with 'metaopt train'."
        ) from error
    return found


class _Numbered:
    """Things by number: each is kept once, however many estimators it is of."""

    def __init__(self) -> None:
        self.listed: list[Any] = []
        self._numbers: dict[str, int] = {}

    def number(self, thing: Any) -> int | None:
        """The number of one, new or known; ``None`` for none."""
        if thing is None:
            return None
        key = repr(thing)
        if key not in self._numbers:
            self._numbers[key] = len(self.listed)
            self.listed.append(thing)
        return self._numbers[key]


def _tasks_to_json(
    tasks: Sequence[SourceTask], data_sets: _Numbered, descriptors: _Numbered
) -> list[list[Any]]:
    """For each task what it shares with others, by number, and what is its own, ``_OWN``."""
    listed = []
    for task in tasks:
        said = task.to_json()
        own = [said.pop(name) for name in _OWN]
        shared = {**said, "descriptor": descriptors.number(said["descriptor"])}
        listed.append([data_sets.number(shared), *own])
    return listed


def _tasks_from_json(
    data: Sequence[Any], description: Mapping[str, Any]
) -> tuple[SourceTask, ...]:
    """The tasks.

    Args:
        data: As in the artifact: a mapping for each in earlier ones.
        description: Of the artifact. In the earliest ones it has no descriptors: the first task
            of several on the same data brings it, and the others have the number of the first.
    """
    descriptors = description.get("descriptors")
    tasks: list[SourceTask] = []
    for item in data:
        if isinstance(item, Mapping):
            task = item
        else:
            number, *own = item
            task = {
                **description["data_sets"][_index(number)],
                **dict(zip(_OWN, own, strict=True)),
            }
        number = task["descriptor"]
        if not isinstance(number, int):
            tasks.append(SourceTask.from_json(task))
        elif descriptors is not None:
            tasks.append(SourceTask.from_json({**task, "descriptor": descriptors[number]}))
        else:
            known = SourceTask.from_json({**task, "descriptor": None})
            tasks.append(replace(known, descriptor=tasks[number].descriptor))
    return tuple(tasks)


def _calibration(data: Mapping[str, Any] | None) -> Calibration | None:
    if data is None:
        return None
    calibration = Calibration.from_json(data)
    grid = (calibration.best.shape[1], calibration.extent.shape[1])
    if grid != GRID_SHAPE:
        raise ValueError(f"a calibration on a grid of {grid}, expected {GRID_SHAPE}")
    return calibration


def _index(number: object) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(f"a data set of number {number!r}")
    return number


def _ordered(space: SearchSpace, columns: Sequence[str]) -> SearchSpace:
    if sorted(columns) != sorted(space.parameters):
        raise ArtifactError(f"columns {columns}, expected {sorted(space.parameters)}")
    return SearchSpace({name: space.parameters[name] for name in columns}, space.conditions)


def _check_shapes(prior: Prior) -> None:
    n_tasks, d = len(prior.tasks), len(prior.space.parameters)
    m, k = len(prior.inducing), len(prior.proposals)
    shapes = {
        "lengthscales": (prior.lengthscales.shape, (d,)),
        "inducing": (prior.inducing.shape, (m, d)),
        "values": (prior.values.shape, (n_tasks, m)),
        "variance": (prior.variance.shape, (m,)),
        "proposals": (prior.proposals.shape, (k, d)),
        "proposed_by": (prior.proposed_by.shape, (k,)),
    }
    for name, (given, expected) in shapes.items():
        if given != expected:
            raise ArtifactError(f"{name} of shape {given}, expected {expected}")


def _check_values(prior: Prior) -> None:
    TaskDescriptor({}).vector(prior.descriptor_names)  # names all that are not known
    among_tasks = (prior.proposed_by >= 0) & (prior.proposed_by < len(prior.tasks))
    rules = {
        "positive lengthscales": np.isfinite(prior.lengthscales) & (prior.lengthscales > 0),
        "finite values": np.isfinite(prior.values),
        "variances of 0 or more": np.isfinite(prior.variance) & (prior.variance >= 0),
        "inducing configurations without infinity": ~np.isinf(prior.inducing),
        "proposals without infinity": ~np.isinf(prior.proposals),
        "proposed_by among the tasks": among_tasks,
        "a noise of 0 or more": np.isfinite(prior.noise) and prior.noise >= 0,
        "a bandwidth of 0 or more": np.isfinite(prior.bandwidth) and prior.bandwidth >= 0,
    }
    for expected, holds in rules.items():
        if not np.all(holds):
            raise ArtifactError(f"expected {expected}")
