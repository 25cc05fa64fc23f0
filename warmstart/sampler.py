"""The sampler: Optuna's contract on one side, planned configurations on the other."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from warmstart.alignment import Alignment, merged
from warmstart.artifact import Artifact
from warmstart.branches import Branches, choose_branch, find_branches
from warmstart.catalogue import known_estimator
from warmstart.delegation import has_room, is_delegated, memoryless_tpe
from warmstart.descriptor import TaskDescriptor
from warmstart.distributions import parameter_of
from warmstart.errors import SearchSpaceError, WarmStartWarning
from warmstart.knowledge import Histories, Knowledge, Source
from warmstart.planning import Plan, Planner
from warmstart.prior import SourceTask
from warmstart.provenance import (
    ATTRIBUTE,
    DELEGATE,
    META_LEARNER,
    Provenance,
    pack_coordinates,
    read_provenance,
)
from warmstart.space import Parameter
from warmstart.study_memory import StudyMemory
from warmstart.study_trials import StudyTrial, fixed_params, stored_trials
from warmstart.threads import one_thread

_logger = optuna.logging.get_logger("optuna.warmstart")

# Studies that one sampler keeps computations of.
_MOST_STUDIES: Final = 4
# How often a worker gives way to others that chose the same configuration.
_MOST_RETREATS: Final = 8
_DIGEST_DIGITS: Final = 12
# Optuna's samplers take no larger ones.
_LARGEST_SEED: Final = 2**32 - 1
# Apart from what configurations are drawn with.
_BRANCH_STREAM: Final = 2**20


class WarmStartSampler(BaseSampler):
    """Proposes hyperparameters that were good on data sets like yours, from the first trial on.

    It knows histories of the estimator on other data sets. From them, from what is known of
    yours, and from the trials so far it predicts how good each configuration will be; how much
    the other data sets have to say is decided by how well they explain the trials. Parameters
    that nothing is known of are left to ``then``; so is every study with several objectives, and
    every study of an estimator that nothing is known of. From the twelfth trial on Optuna's TPE
    has every fourth, and every second where the trials speak against the sources: it finds what
    they miss (see ``warmstart.delegation``).

    A trial's whole configuration is chosen when its first value is asked for, and written to the
    trial's user attribute ``"warmstart"`` before it is served: workers on one storage don't
    choose the same. Nothing else is kept, so a study can be resumed by any process. Constraints,
    pruned and failed trials are taken into account as ``warmstart.study_trials`` says.

    Args:
        estimator: What is tuned: a dotted name such as ``"sklearn.svm.SVC"``, a class or an
            instance. ``None`` infers it from the names of the parameters, and logs it. For a
            study that chooses between estimators by a categorical parameter, a dict of what each
            of its choices stands for; without it, choices such as ``"SVC"`` or ``"lgbm"`` tell.
        task: What is known of the data, from ``warmstart.describe(X, y)``.
        metric: What the objective measures, such as ``"accuracy"``; ``None`` for anything. One
            that nothing is known of warns, and counts as ``None``.
        then: Sampler for all that nothing is known of; ``TPESampler(seed=seed)`` by default.
        artifact: An artifact, or the path of one, in place of the shipped one.
        exclude: Training tasks not to draw on: ids, names, data sets or families; ``"similar"``
            for those whose data look like ``task``.
        histories: Studies of your own to learn from: a ``HistoryStore``, its path, or histories.
        seed: Of all random choices; ``None`` draws one.

    Raises:
        UnknownEstimatorError: If the catalogue has no such estimator, and no histories are given.
        ArtifactError: If the artifact can't be used.
        HistoryError: If there is no store at a path.
        TypeError: If an argument is of another type.
        ValueError: If ``exclude`` names what does not exist, or ``seed`` is no seed.

    Example:
        >>> import optuna, warmstart
        >>> sampler = warmstart.WarmStartSampler(estimator="sklearn.svm.SVC", seed=0)
        >>> study = optuna.create_study(direction="maximize", sampler=sampler)
    """

    def __init__(
        self,
        *,
        estimator: object = None,
        task: TaskDescriptor | None = None,
        metric: str | None = None,
        then: BaseSampler | None = None,
        artifact: Artifact | str | os.PathLike[str] | None = None,
        exclude: str | Iterable[str] = (),
        histories: Histories | None = None,
        seed: int | None = None,
    ) -> None:
        if then is not None and not isinstance(then, BaseSampler):
            raise TypeError(
                f"then of type {type(then).__name__} given; expected a sampler of Optuna or None."
            )
        if seed is None:
            self._seed = int(np.random.SeedSequence().generate_state(1)[0])
        else:
            self._seed = _checked_seed(seed)
        self._knowledge = Knowledge(
            artifact=artifact, histories=histories, task=task, metric=metric, exclude=exclude
        )
        self._estimator: str | None = None
        self._choices: dict[object, str | None] | None = None
        if isinstance(estimator, Mapping):
            self._choices = {
                choice: None if meant is None else self._knowledge.resolve(meant)
                for choice, meant in estimator.items()
            }
        elif estimator is not None:
            self._estimator = self._knowledge.resolve(estimator)
        self._is_then_given = then is not None
        self._then = TPESampler(seed=seed) if then is None else then
        self._start_empty()
        self._knowledge.warn_of_unknown_metric(stacklevel=2)
        for name in self._given():
            self._warn_of_another_kind(name)
        if self._estimator is not None and self._knowledge.source(self._estimator) is None:
            warnings.warn(
                f"Nothing is known of {self._estimator}, or all of it is excluded, or its "
                f"histories contradict each other: {type(self._then).__name__} samples alone. "
                "Known are "
                f"{self._knowledge.estimators()}.",
                WarmStartWarning,
                stacklevel=2,
            )

    def _start_empty(self) -> None:
        self._lock = threading.RLock()
        self._studies: OrderedDict[tuple[int, int], StudyMemory] = OrderedDict()
        self._warned: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        kept = dict(self.__dict__)
        for name in ("_lock", "_studies", "_warned"):
            del kept[name]
        return kept

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start_empty()

    def __repr__(self) -> str:
        return (
            f"WarmStartSampler(estimator={self._choices or self._estimator!r}, "
            f"then={type(self._then).__name__}, seed={self._seed})"
        )

    def excluded_tasks(self, estimator: object = None) -> list[SourceTask]:
        """The training tasks of an estimator that are not drawn on, as ``exclude`` asks.

        Args:
            estimator: By default the one that was given to the sampler, or all that were.
        """
        listed = [task for source in self._sources_of(estimator) for task in source.excluded]
        return list({(task.source, task.id, task.metric): task for task in listed}.values())

    def similar_tasks(self, estimator: object = None) -> list[tuple[SourceTask, str]]:
        """The training tasks whose data look like the task's, excluded or not, and why.

        Args:
            estimator: By default the one that was given to the sampler, or all that were.
        """
        listed = [pair for source in self._sources_of(estimator) for pair in source.similar]
        return list(
            {(t.source, t.id, t.metric): (t, alike.reason) for t, alike in listed}.values()
        )

    def alignment(self, study: Study) -> Alignment | None:
        """How a study's parameters stand for hyperparameters; ``None`` if nothing is known.

        Of a study that chooses between estimators, those of all branches together.
        """
        with self._lock:
            kept = self._study(study)
            stored = stored_trials(study)
            kept.trials.read(study, stored=stored)
            branches = self._branches(kept, {})
            found = []
            for own in kept.parts(branches):
                own.trials.read(study, stored=stored)
                planner = self._planner(own, own.trials.distributions)
                if planner is not None:
                    found.append(planner.alignment(own.trials.distributions))
            if not found:
                return None
            said = {} if branches is None else {branches.parameter: "chooses between estimators"}
            return merged(found, said=said)

    def _given(self) -> list[str]:
        """The estimators that were given to the sampler."""
        given = [self._estimator, *(self._choices or {}).values()]
        return [name for name in dict.fromkeys(given) if name is not None]

    def _sources_of(self, estimator: object) -> list[Source]:
        names = self._given() if estimator is None else [self._knowledge.resolve(estimator)]
        found = [self._knowledge.source(name) for name in names]
        return [source for source in found if source is not None]

    # What Optuna calls.

    def reseed_rng(self) -> None:
        """Reseed ``then``; all else depends on the seed and on trial numbers alone."""
        self._then.reseed_rng()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Let ``then`` prepare."""
        self._then.before_trial(study, trial)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Let ``then`` finish, and forget the trial's plan."""
        self._then.after_trial(study, trial, state, values)
        with self._lock:
            kept = self._study(study)
            kept.delegated.pop(trial.number, None)
            for own in kept.parts(kept.branches):
                own.plans.pop(trial.number, None)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """What ``then`` samples jointly, without the parameters that something is known of."""
        if len(study.directions) > 1:
            return self._then.infer_relative_search_space(study, trial)
        with self._lock:
            kept = self._study(study)
            stored = stored_trials(study)
            kept.read(study, trial, stored)
            matched = set()
            branches = self._branches(kept, {})
            for own in kept.parts(branches):
                own.read(study, trial, stored)
                planner = self._planner(own, own.trials.distributions)
                if planner is not None:
                    matched |= set(planner.alignment(own.trials.distributions).matched)
            if branches is not None and matched:
                matched.add(branches.parameter)
            is_all = bool(matched) and all(name in matched for name in kept.trials.distributions)
            if is_all and not self._is_then_given:
                return {}  # as what is left to ``then`` would be
        space = self._then.infer_relative_search_space(study, trial)
        return {name: d for name, d in space.items() if name not in matched}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values of a space: those that something is known of, the rest by ``then``."""
        values: dict[str, Any] = {}
        if search_space and len(study.directions) == 1:
            with self._lock:
                values = self._planned(study, trial, search_space)
        rest = {name: d for name, d in search_space.items() if name not in values}
        if rest or not search_space:
            values |= self._then.sample_relative(study, trial, rest)
        return values

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """One value: of the trial's plan, or by ``then``."""
        if len(study.directions) == 1:
            with self._lock:
                values = self._planned(study, trial, {param_name: param_distribution})
            if param_name in values:
                return values[param_name]
        else:
            self._log_once(
                f"A study of {len(study.directions)} objectives: "
                f"{type(self._then).__name__} samples alone."
            )
        return self._then.sample_independent(study, trial, param_name, param_distribution)

    # How a trial is planned.

    def _planned(
        self, study: Study, trial: FrozenTrial, asked: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Values for those of the asked parameters that something is known of."""
        kept = whole = self._study(study)
        branches = self._branches(kept, {**trial.distributions, **asked})
        if branches is not None:
            if branches.parameter in asked:
                return self._chosen(study, trial, kept, branches)
            if branches.parameter not in trial.params:
                self._log_once(
                    f"{sorted(asked)} asked for before {branches.parameter!r}, which chooses "
                    f"between estimators: {type(self._then).__name__} samples them."
                )
                return {}
            kept = kept.part(branches, trial.params[branches.parameter])
        plan = kept.plans.get(trial.number)
        is_delegated = whole.delegated.get(trial.number, False)
        if not is_delegated and (plan is None or not plan.serves(trial.params, asked)):
            try:
                plan = self._new_plan(study, trial, whole, kept, asked, plan)
            except (SearchSpaceError, np.linalg.LinAlgError) as error:
                self._warn_once(
                    f"{type(self._then).__name__} samples where planning fails: {error}"
                )
                plan = None
            is_delegated = whole.delegated.get(trial.number, False)
            if plan is not None:
                kept.plans[trial.number] = plan
        if is_delegated:
            return self._by_tpe(study, trial, kept, asked)
        if plan is None:
            return {}
        return {name: plan.values[name] for name in asked if name in plan.values}

    def _branches(
        self, kept: StudyMemory, known: Mapping[str, BaseDistribution]
    ) -> Branches | None:
        """The parameter by which a study chooses between estimators."""
        if self._estimator is not None:
            return None
        distributions = {**kept.trials.distributions, **known}
        names = frozenset(distributions)
        if names != kept.branches_from:
            kept.branches = find_branches(
                distributions, estimators=self._choices, kind=self._knowledge.kind
            )
            kept.branches_from = names
            if kept.branches is None and self._choices is not None and kept.trials.distributions:
                self._warn_once(
                    f"estimator={self._choices} given, but no parameter has all of these as its "
                    f"choices: {type(self._then).__name__} samples alone."
                )
        return kept.branches

    def _chosen(
        self, study: Study, trial: FrozenTrial, kept: StudyMemory, branches: Branches
    ) -> dict[str, Any]:
        """The choice of an estimator, if it is known how they stand; else none."""
        choices = list(branches.estimators)
        known = self._knowledge.standings(list(branches.estimators.values()))
        self._log_once(
            f"{branches.parameter!r} chooses between {branches.estimators}; "
            + (
                f"{type(self._then).__name__} decides, as nothing is known of how they compare."
                if known is None
                else f"they were compared on {_counted(len(known[1]), 'source task')}."
            )
        )
        if known is None:
            return {}
        losses, n_running = branches.seen(kept.read(study, trial))
        rng = np.random.default_rng([self._seed, trial.number, _BRANCH_STREAM])
        return {branches.parameter: choices[choose_branch(*known, losses, n_running, rng)]}

    def _new_plan(
        self,
        study: Study,
        trial: FrozenTrial,
        whole: StudyMemory,
        kept: StudyMemory,
        asked: Mapping[str, BaseDistribution],
        earlier: Plan | None,
    ) -> Plan | None:
        trials = kept.read(study, trial)
        known = {**kept.trials.distributions, **trial.distributions, **asked}
        planner = self._planner(kept, known)
        if planner is None and self._estimator is None and any(t.loss is not None for t in trials):
            self._log_once(
                f"{sorted(known)} are of no estimator that something is known of: "
                f"{type(self._then).__name__} samples alone. Pass estimator= if they are."
            )
        if planner is None:
            return None
        matched = planner.alignment(known).matched
        if not set(asked) & set(matched):
            return None
        self._report(kept, planner, known, trials)
        fixed = fixed_params(study, trial)
        if trial.number not in whole.delegated:
            said = _said(study, trial) if set(trial.params) & set(matched) else None
            whole.delegated[trial.number] = (
                self._delegates(study, trial, whole, kept, known, trials, fixed)
                if said is None
                else said.by == DELEGATE
            )
        if whole.delegated[trial.number]:
            return None
        plan = None
        if earlier is not None and len(asked) == 1 and earlier.fits(trial.params):
            own = {**earlier.distributions, **asked}
            plan = planner.extend(earlier, own, next(iter(asked)))
        running = planner.planned_rows(t for t in trials if t.loss is None)
        taken: list[np.ndarray] = []
        for attempt in range(_MOST_RETREATS):
            is_new = plan is None
            if plan is None:
                rng = np.random.default_rng([self._seed, trial.number, len(trial.params), attempt])
                with one_thread():
                    plan = planner.plan(
                        known, trials, given=trial.params, fixed=fixed, rng=rng, avoid=taken
                    )
            self._publish(study, trial, planner, plan)
            # Whoever writes last sees the others' plans, so of two that are alike one gives way.
            finished = {t.number for t in trials if t.loss is not None}
            others = [t for t in kept.read(study, trial) if t.number not in finished]
            now_taken = planner.like(plan, planner.planned_rows(others))
            # A new plan avoids what it knows to be taken, unless there is nothing else.
            if not now_taken or (is_new and planner.like(plan, [*running, *taken])):
                break
            taken += now_taken
            if attempt + 1 < _MOST_RETREATS:
                plan = None
        return plan

    def _delegates(
        self,
        study: Study,
        trial: FrozenTrial,
        whole: StudyMemory,
        kept: StudyMemory,
        known: Mapping[str, BaseDistribution],
        trials: Sequence[StudyTrial],
        fixed: Mapping[str, Any],
    ) -> bool:
        """Whether a trial is left to TPE; if so, it says so.

        Not where there are constraints, which that knows nothing of, where values are fixed, to
        plan around, or where the space is so small that it would repeat what was tried.
        """
        is_constrained = whole.trials.is_constrained or kept.trials.is_constrained
        if is_constrained or fixed or not has_room(known, len(trials)):
            return False
        if not is_delegated(trial.number, trials):
            return False
        said = Provenance(by=DELEGATE).to_json()
        study._storage.set_trial_user_attr(trial._trial_id, ATTRIBUTE, said)
        return True

    def _by_tpe(
        self,
        study: Study,
        trial: FrozenTrial,
        kept: StudyMemory,
        asked: Mapping[str, BaseDistribution],
    ) -> dict[str, Any]:
        """TPE's values for those of the asked parameters that something is known of."""
        known = {**kept.trials.distributions, **trial.distributions, **asked}
        planner = self._planner(kept, known)
        matched = {} if planner is None else planner.alignment(known).matched
        return {
            name: memoryless_tpe(self._seed, trial.number, name).sample_independent(
                study, trial, name, distribution
            )
            for name, distribution in asked.items()
            if name in matched
        }

    def _publish(self, study: Study, trial: FrozenTrial, planner: Planner, plan: Plan) -> None:
        source, proposal = planner.source, plan.proposal
        provenance = Provenance(
            by=META_LEARNER,
            estimator=source.estimator.name,
            artifact=self._knowledge.digest[:_DIGEST_DIGITS],
            coordinates=pack_coordinates(plan.row),
            portfolio=round(proposal.portfolio_share, 3),
            transfer=round(proposal.transfer_share, 3),
            tasks=proposal.tasks,
            similar=tuple(task.name or task.id for task, _ in source.similar),
            excluded=tuple(task.name or task.id for task in source.excluded),
            n_excluded=len(source.excluded),
        )
        study._storage.set_trial_user_attr(trial._trial_id, ATTRIBUTE, provenance.to_json())

    def _planner(self, kept: StudyMemory, known: Mapping[str, BaseDistribution]) -> Planner | None:
        """The planner of the estimator that a study tunes; ``None`` if nothing is known of it."""
        name = kept.estimator if kept.is_part else self._estimator
        if name is None and not kept.is_part:
            names = frozenset(known)
            if names != kept.inferred_from:
                parameters = _parameters(known)
                kept.inferred = self._knowledge.infer(parameters) if parameters else None
                kept.inferred_from = names
            name = kept.inferred
        if name is None:
            return None
        if kept.planner is None or kept.planner.source.prior.estimator != name:
            source = self._knowledge.source(name)
            if source is None:
                return None
            kept.planner = Planner(source, seed=self._seed)
            kept.plans.clear()
        return kept.planner

    def _study(self, study: Study) -> StudyMemory:
        """What is kept of a study; nothing of it is needed, all of it saves time."""
        storage = study._storage
        key = (id(storage), study._study_id)
        kept = self._studies.get(key)
        if kept is None or kept.storage() is not storage:
            kept = StudyMemory(weakref.ref(storage))
            self._studies[key] = kept
            if len(self._studies) > _MOST_STUDIES:
                self._studies.popitem(last=False)
        self._studies.move_to_end(key)
        return kept

    # What it tells the user.

    def _report(
        self,
        kept: StudyMemory,
        planner: Planner,
        known: Mapping[str, BaseDistribution],
        trials: Sequence[StudyTrial],
    ) -> None:
        source = planner.source
        alignment = planner.alignment(known)
        if not kept.is_reported:
            kept.is_reported = True
            how = "inferred from parameter names"
            if self._estimator is not None or kept.is_part:
                how = "of one branch" if kept.is_part else "given"
            _logger.info(
                f"{source.estimator.name} ({how}): "
                f"{_counted(len(source.prior.tasks), 'source task')}, "
                f"{len(source.excluded)} excluded."
            )
            if source.similar:
                alike = "; ".join(f"{t.name or t.id} ({a.reason})" for t, a in source.similar[:5])
                n_excluded = sum(task in source.excluded for task, _ in source.similar)
                tasks = _counted(len(source.similar), "training task")
                _logger.info(
                    f"This data looks like that of {tasks} ({n_excluded} excluded): {alike}."
                )
            self._warn_of_another_artifact(trials)
        for name in sorted(set(known) - kept.reported_names):
            kept.reported_names.add(name)
            match = alignment.matched.get(name)
            said = f"stands for {match.canonical}" if match else alignment.unmatched.get(name, "")
            _logger.debug(f"{name!r}: {said}.")

    def _warn_of_another_artifact(self, trials: Sequence[StudyTrial]) -> None:
        own = self._knowledge.digest[:_DIGEST_DIGITS]
        for trial in trials:
            said = read_provenance(trial.user_attrs)
            if said is not None and said.artifact and said.artifact != own:
                self._warn_once(
                    f"This study began with artifact {said.artifact}, and goes on with {own}: "
                    "its first trials may have been chosen otherwise."
                )
                return

    def _warn_of_another_kind(self, name: str) -> None:
        known, kind = known_estimator(name), self._knowledge.kind
        if known is not None and kind not in (None, known.kind):
            warnings.warn(
                f"estimator={name!r} and a task that is a {kind} given: sources are compared with "
                f"the wrong kind of data. If it is a {known.kind}, pass "
                f"task=warmstart.describe(X, y, kind={known.kind!r}).",
                WarmStartWarning,
                stacklevel=3,
            )

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(message, WarmStartWarning, stacklevel=2)

    def _log_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            _logger.info(message)


def _said(study: Study, trial: FrozenTrial) -> Provenance | None:
    """What a running trial says in the storage, which the trial that Optuna shows may lack."""
    return read_provenance(study._storage.get_trial(trial._trial_id).user_attrs)


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _checked_seed(seed: object) -> int:
    is_whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not is_whole or not 0 <= int(seed) <= _LARGEST_SEED:  # type: ignore[call-overload]
        raise ValueError(
            f"seed={seed!r} given; expected an integer from 0 to {_LARGEST_SEED}, or None."
        )
    return int(seed)  # type: ignore[call-overload]


def _parameters(known: Mapping[str, BaseDistribution]) -> dict[str, Parameter]:
    return {name: parameter_of(distribution) for name, distribution in known.items()}
