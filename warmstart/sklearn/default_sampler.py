"""The sampler of a search whose user gave none: what is known of the estimator proposes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.samplers import BaseSampler, TPESampler

from warmstart.alignment import align
from warmstart.descriptor import TaskDescriptor
from warmstart.knowledge import Knowledge
from warmstart.metrics import known_metric
from warmstart.sampler import WarmStartSampler
from warmstart.sklearn.candidates import ALONE
from warmstart.sklearn.inferred_space import known_parts
from warmstart.sklearn.tuned_space import TunedSpace

# Trials that keep as they were given what nothing is known of, so that what is known is judged
# by itself first.
_MOST_USUAL = 5
_USUAL_SHARE = 0.25


@dataclass(frozen=True)
class Start:
    """How a study starts.

    Attributes:
        sampler: Proposes.
        usual: For each of the first trials, what it keeps as the user gave it.
    """

    sampler: BaseSampler
    usual: tuple[Mapping[str, Any], ...] = ()


def warm_start(
    candidates: Mapping[str, Any],
    tuned: TunedSpace | None,
    *,
    task: TaskDescriptor | None,
    metric: str | None,
    n_trials: int | None,
    seed: int | None,
) -> Start:
    """A sampler that knows the estimator, if something is known of it, else Optuna's own.

    Args:
        candidates: The estimators by name.
        tuned: What is tuned of them; ``None`` if a function says so, trial by trial.
        task: What is known of the data.
        metric: What trials are judged by; one that nothing is known of counts as ``None``.
        n_trials: How many there will be, if that is known.
        seed: Of all proposals.
    """
    metric = known_metric(metric)
    knowledge = Knowledge(task=task, metric=metric)
    if ALONE not in candidates:
        known = {name: _known(candidate, knowledge) for name, candidate in candidates.items()}
        return Start(WarmStartSampler(estimator=known, task=task, metric=metric, seed=seed))
    for estimator in known_parts(candidates[ALONE]).values():
        source = knowledge.source(estimator.name)
        if source is not None:
            sampler = WarmStartSampler(
                estimator=estimator.name, task=task, metric=metric, seed=seed
            )
            if tuned is None:
                return Start(sampler)
            matched = align(tuned.space.parameters, source.matcher).matched
            unknown = {name: v for name, v in tuned.usual.items() if name not in matched}
            return Start(sampler, _first(unknown, n_trials))
    usual = (tuned.usual,) if tuned is not None and tuned.usual else ()
    return Start(TPESampler(seed=seed), usual)


def _known(candidate: Any, knowledge: Knowledge) -> str | None:
    """The first part of an estimator that something is known of."""
    names = [estimator.name for estimator in known_parts(candidate).values()]
    return next((name for name in names if knowledge.source(name) is not None), None)


def _first(usual: Mapping[str, Any], n_trials: int | None) -> tuple[Mapping[str, Any], ...]:
    if not usual:
        return ()
    share = _MOST_USUAL if n_trials is None else max(1, int(_USUAL_SHARE * n_trials))
    return (usual,) * min(_MOST_USUAL, share)
