"""The trials of an Optuna study as plain records: losses to minimise, whatever the study's are.

Optuna's states, directions, constraints and intermediate values are read here and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import PartialFixedSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from warmstart.constraints import constraint_violation

# Beyond this many running trials, the oldest are taken as abandoned.
_MOST_PENDING = 64


@dataclass(frozen=True)
class StudyTrial:
    """One trial of a study.

    Attributes:
        number: As in the study.
        params: The values suggested so far.
        distributions: Where they came from.
        loss: ``None`` while it runs; infinite if it failed.
        is_final: Whether the loss is that of a complete trial, not of a pruned or failed one.
        user_attrs: As in the study.
        is_enqueued: Whether ``study.enqueue_trial`` gave it values, all or some.
    """

    number: int
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    loss: float | None
    is_final: bool
    user_attrs: Mapping[str, Any]
    is_enqueued: bool = False


class TrialReader:
    """Reads a study's trials again and again; a finished trial is read once.

    Args:
        only: A parameter and a value: trials that don't have it are passed over.

    Attributes:
        distributions: What each parameter was suggested from by name, in the trial of the
            largest number.
        is_constrained: Whether a trial said how far it is from its constraints.
    """

    def __init__(self, only: tuple[str, Any] | None = None) -> None:
        self._only = only
        self.distributions: dict[str, BaseDistribution] = {}
        self.is_constrained = False
        self._told_by: dict[str, int] = {}
        self._finished: dict[int, StudyTrial] = {}
        self._violations: dict[int, float] = {}

    def read(
        self,
        study: Study,
        *,
        before: int | None = None,
        stored: Sequence[FrozenTrial] | None = None,
    ) -> list[StudyTrial]:
        """The finished and the running trials of a single-objective study, by number.

        All of them, also where a pruner shows samplers a part: what was tried was tried.

        A trial that violates constraints is as bad as a failed one. While none is feasible, the
        total violation is the loss instead, and what has none counts as failed. A pruned trial
        has its last intermediate value, but is never better than the median of the complete
        trials.

        Args:
            study: With one objective.
            before: A running trial to leave out: the one that is being suggested.
            stored: What ``stored_trials`` gave just now, for several readers; ``None`` to ask
                the storage.
        """
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        read: list[StudyTrial] = []
        running: list[StudyTrial] = []
        for trial in stored_trials(study) if stored is None else stored:
            if trial.number in self._finished:
                read.append(self._finished[trial.number])
            elif (
                trial.number == before
                or trial.state == TrialState.WAITING
                or (self._only is not None and not _has(trial, *self._only))
            ):
                continue
            else:
                self._remember_distributions(trial)
                own = _read(trial, sign)
                read.append(own)
                if trial.state == TrialState.RUNNING:
                    running.append(own)
                    continue
                self._finished[trial.number] = own
                violation = constraint_violation(trial)
                self.is_constrained |= violation is not None
                if violation is not None or trial.state == TrialState.COMPLETE:
                    self._violations[trial.number] = violation or 0.0
        abandoned = {trial.number for trial in running[:-_MOST_PENDING]}
        if abandoned:
            read = [trial for trial in read if trial.number not in abandoned]
        return self._judged(read)

    def _remember_distributions(self, trial: FrozenTrial) -> None:
        """By number, not by time, so that all processes agree on ranges that change."""
        for name, distribution in trial.distributions.items():
            if trial.number >= self._told_by.get(name, -1):
                self.distributions[name] = distribution
                self._told_by[name] = trial.number

    def _judged(self, trials: list[StudyTrial]) -> list[StudyTrial]:
        """With the losses that violated constraints and pruning leave."""
        numbers = {t.number for t in trials if t.number in self._violations}
        infeasible = {number for number in numbers if self._violations[number] > 0}
        if infeasible:
            nothing_feasible = len(infeasible) == len(numbers)
            bad = {number: self._violations[number] for number in infeasible}
            trials = [
                replace(
                    t,
                    loss=bad.get(t.number, math.inf) if nothing_feasible else math.inf,
                    is_final=False,
                )
                if t.loss is not None and (t.number in infeasible or nothing_feasible)
                else t
                for t in trials
            ]
        if all(t.is_final or t.loss is None or math.isinf(t.loss) for t in trials):
            return trials
        complete = [t.loss for t in trials if t.is_final and t.loss is not None]
        median = float(np.median(complete)) if complete else -math.inf
        return [
            replace(t, loss=max(t.loss, median), is_final=False)
            if t.loss is not None and not t.is_final and math.isfinite(t.loss)
            else t
            for t in trials
        ]


def _has(trial: FrozenTrial, name: str, value: object) -> bool:
    return name in trial.params and trial.params[name] == value


def enqueued_params(trial: FrozenTrial) -> dict[str, Any]:
    """Values that ``study.enqueue_trial`` gave a trial; none if it was not enqueued."""
    return dict(trial.system_attrs.get("fixed_params", {}))


def fixed_params(study: Study, trial: FrozenTrial) -> dict[str, Any]:
    """Values that a trial will have: enqueued ones, and those of a ``PartialFixedSampler``."""
    # What a HyperbandPruner shows of a study has no sampler.
    sampler = getattr(study, "sampler", None)
    partly = sampler._fixed_params if isinstance(sampler, PartialFixedSampler) else {}
    return {**partly, **enqueued_params(trial)}


def stored_trials(study: Study) -> list[FrozenTrial]:
    """All trials that the storage has now, also where a pruner shows samplers a part."""
    return study._storage.get_all_trials(study._study_id, deepcopy=False)


def study_trials(study: Study, *, before: int | None = None) -> list[StudyTrial]:
    """The trials of a study, as ``TrialReader`` gives them."""
    return TrialReader().read(study, before=before)


def finite_losses(trials: Sequence[StudyTrial]) -> np.ndarray:
    """The losses of finished trials, ``(n,)``; what is infinite becomes the worst finite one.

    Minus infinity becomes the best. Empty if no loss is finite.
    """
    losses = np.array([math.inf if t.loss is None else t.loss for t in trials])
    finite = losses[np.isfinite(losses)]
    if not len(finite):
        return np.empty(0)
    return np.clip(losses, finite.min(), finite.max())


def _read(trial: FrozenTrial, sign: float) -> StudyTrial:
    loss: float | None = math.inf
    if trial.state == TrialState.RUNNING:
        loss = None
    elif trial.state == TrialState.COMPLETE and trial.value is not None:
        loss = sign * trial.value
    elif trial.state == TrialState.PRUNED and trial.intermediate_values:
        loss = sign * trial.intermediate_values[max(trial.intermediate_values)]
    if loss is not None and math.isnan(loss):
        loss = math.inf
    return StudyTrial(
        number=trial.number,
        params=trial.params,
        distributions=trial.distributions,
        loss=loss,
        is_final=trial.state == TrialState.COMPLETE,
        user_attrs=trial.user_attrs,
        is_enqueued=bool(enqueued_params(trial)),
    )
