"""Which configurations of an estimator are run on a data set, and under which run ids."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from metaopt.collect.data_set import DataSet
from metaopt.collect.preparation import n_prepared_columns, preparation_of
from warmstart.artifact import Artifact
from warmstart.catalogue import resolve_estimator
from warmstart.descriptor import TaskDescriptor
from warmstart.errors import UnknownEstimatorError
from warmstart.estimator import UNKNOWN, Estimator, TaskSize
from warmstart.knowledge import SIMILAR
from warmstart.search_spaces import (
    default_configuration,
    search_space,
    space_filling,
    without_fixed,
)
from warmstart.space import (
    Categorical,
    Float,
    Integer,
    Parameter,
    SearchSpace,
    Value,
    same_choice,
    snap,
)
from warmstart.values import Canonical

#: Marks of the trials that are not space-filling.
DEFAULT: Final = "default"
PROPOSED: Final = "warmstart"
VARIED: Final = "variation"
_TREE_GROUPS: Final = frozenset(
    ("forest", "ada_boost", "gradient_boosting", "hist_gradient_boosting", "lightgbm", "xgboost")
)
_N_TREES: Final = ("n_estimators", "max_iter")
# A variation changes so many hyperparameters at most.
_MOST_CHANGED: Final = 3
_DIGITS: Final = 6
_DIGEST_LENGTH: Final = 8


@dataclass(frozen=True)
class Candidate:
    """One configuration to run.

    Attributes:
        index: Its name within a task and estimator: a number, or that of a variation or proposal.
        configuration: As it is recorded, in numbers and categories of the space.
        native: As the library takes it.
        proposed_by: See ``warmstart.trial.Trial``.
    """

    index: str
    configuration: Mapping[str, Value]
    native: Mapping[str, Value]
    proposed_by: str = ""


def collected_space(estimator: str, task: TaskDescriptor, *, max_trees: int | None) -> SearchSpace:
    """The space that configurations are drawn from: what people tune, with fewer trees.

    Args:
        estimator: Canonical name.
        task: The data set's descriptor.
        max_trees: The most trees or rounds of boosting; None for no limit beyond the space's.
    """
    space = search_space(estimator, task=task)
    if max_trees is None or resolve_estimator(estimator).group not in _TREE_GROUPS:
        return space
    parameters = dict(space.parameters)
    for name in _N_TREES:
        known = parameters.get(name)
        if isinstance(known, Integer):
            parameters[name] = Integer(known.low, min(known.high, max_trees), known.log)
    return SearchSpace(parameters, space.conditions)


@dataclass(frozen=True, eq=False)
class Proposals:
    """The sampler's own proposals, to be run beside the design.

    They draw on data unlike those that they are run on: else a run on data that the artifact was
    trained on would flatter whoever is judged by it.

    Attributes:
        n: How many on each data set.
        artifact: What the sampler knows.
    """

    n: int
    artifact: Artifact

    @property
    def indices(self) -> list[str]:
        """Their names within a task and estimator: another artifact proposes something else."""
        return [f"{PROPOSED}-{self._digest}-unlike-{i}" for i in range(self.n)]

    @property
    def provenance(self) -> dict[str, str]:
        """Where they are from: of which artifact, and what of it was left out."""
        return {"artifact": self._digest, "exclude": SIMILAR}

    @property
    def _digest(self) -> str:
        return self.artifact.digest[:_DIGEST_LENGTH]


def candidate_indices(
    n: int, proposals: Proposals | None = None, *, variations: int = 0
) -> list[str]:
    """The indices of ``n`` candidates, and of variations and proposals beside them."""
    varied = [f"{VARIED}-{i}" for i in range(variations)]
    return [*map(str, range(n)), *varied, *(proposals.indices if proposals else ())]


def candidates(
    data: DataSet,
    estimator: str,
    space: SearchSpace,
    *,
    n: int,
    n_folds: int,
    variations: int = 0,
    proposals: Proposals | None = None,
    task: TaskDescriptor,
    seed: int = 0,
) -> tuple[SearchSpace, list[Candidate]]:
    """The defaults, a design that fills the space, variations of the defaults, and proposals.

    A variation has drawn values of one to three hyperparameters, and of those under which these
    have an effect: what is hardly better than the defaults is found among these. Proposals are the
    sampler's own. Design and variations are others for each data set, so that together they cover
    more; the same arguments give the same, and fewer are the first of more.

    Returns:
        The space, widened to what the defaults mean on these data, and the candidates.
    """
    known = resolve_estimator(estimator)
    native = default_configuration(known, space)
    size = TaskSize(
        n_prepared_columns(data, preparation_of(known)), data.n_rows - data.n_rows // n_folds
    )
    meant = {name: _meaning(known, name, value, size) for name, value in native.items()}
    own_seed = zlib.crc32(f"{seed}:{data.name}:{estimator}".encode())
    design = [_rounded(c) for c in space_filling(space, max(n - 1, 0), seed=own_seed)]
    listed = [Candidate("0", meant, native, DEFAULT)]
    listed += [Candidate(str(i), c, c) for i, c in enumerate(design, start=1)]
    varied = _varied(known, space, size, variations, own_seed)
    proposed = _proposed(known, space, task, proposals, size) if proposals else []
    return _widened(space, meant), listed[:n] + varied + proposed


def _varied(
    estimator: Estimator, space: SearchSpace, size: TaskSize, n: int, seed: int
) -> list[Candidate]:
    varied = []
    for i in range(n):
        rng = np.random.default_rng((seed, i))
        drawn = space.sample(1, rng)[0]
        changed = set(rng.permutation(list(drawn))[: rng.integers(1, _MOST_CHANGED + 1)])
        # What has an effect only under another's value brings that one along.
        changed |= {space.conditions[c].parameter for c in changed if c in space.conditions}
        fixed = {name: value for name, value in drawn.items() if name in changed}
        varied.append(_around(estimator, space, size, fixed, f"{VARIED}-{i}", VARIED))
    return varied


def _around(
    estimator: Estimator,
    space: SearchSpace,
    size: TaskSize,
    fixed: Mapping[str, Value],
    index: str,
    proposed_by: str,
) -> Candidate:
    """A candidate with some values fixed, and all others at their defaults."""
    free = default_configuration(estimator, without_fixed(space, fixed))
    meant = {name: _meaning(estimator, name, value, size) for name, value in free.items()}
    both = _rounded({**fixed, **meant}), {**_rounded(fixed), **free}
    recorded, native = (
        {name: values[name] for name in space.parameters if name in values} for values in both
    )
    return Candidate(index, recorded, native, proposed_by)


def _meaning(estimator: Estimator, name: str, value: Value, size: TaskSize) -> Value:
    """The number or category that a default stands for on data of this size."""
    known = next(h for h in estimator.hyperparameters if h.name == name)
    meant = Canonical(known, known.parameter, size).value(value)
    assert meant is not UNKNOWN, f"{estimator.name} has a default of {name} that means nothing"
    return float(f"{meant:.{_DIGITS}g}") if isinstance(meant, float) else meant


def _widened(space: SearchSpace, configuration: Mapping[str, Value]) -> SearchSpace:
    """The space with ranges and choices that reach the values of a configuration."""
    parameters: dict[str, Parameter] = dict(space.parameters)
    for name, value in configuration.items():
        known = parameters[name]
        if isinstance(known, Categorical):
            if not same_choice(value, known.choices):
                parameters[name] = Categorical((*known.choices, value))
        elif isinstance(value, int | float):
            low, high = min(known.low, value), max(known.high, value)
            if isinstance(known, Integer):
                parameters[name] = Integer(int(low), int(high), known.log, known.step)
            else:
                parameters[name] = Float(low, high, known.log, known.step)
    return SearchSpace(parameters, space.conditions)


def _rounded(configuration: Mapping[str, Value]) -> dict[str, Value]:
    """Six digits say all that matters of a draw, and take half the space."""
    return {
        name: float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
        for name, value in configuration.items()
    }


def _proposed(
    estimator: Estimator,
    space: SearchSpace,
    task: TaskDescriptor,
    proposals: Proposals,
    size: TaskSize,
) -> list[Candidate]:
    """What the sampler would try first, brought into the space; none if it knows nothing.

    What it says nothing of stays at its default.
    """
    from warmstart.suggestion import suggest

    try:
        suggested = suggest(
            estimator.name,
            task=task,
            n=proposals.n,
            artifact=proposals.artifact,
            exclude=SIMILAR,
        )
    except UnknownEstimatorError:
        return []
    proposed = []
    for index, said in zip(proposals.indices, suggested, strict=True):
        fixed = {
            name: _inside(space.parameters[name], value)
            for name, value in said.items()
            if name in space.parameters
        }
        proposed.append(_around(estimator, space, size, fixed, index, PROPOSED))
    return proposed


def _inside(parameter: Parameter, value: Value) -> Value:
    if isinstance(parameter, Categorical):
        return value if same_choice(value, parameter.choices) else parameter.choices[0]
    assert isinstance(value, int | float)
    return snap(parameter, value)
