"""One method on one task: its trials, their times, and what they are worth on the test split."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from metaopt.benchmarks.live.tasks import LiveTask
from metaopt.benchmarks.runs import suggest_configuration
from metaopt.collect.evaluation import Outcome, evaluate
from metaopt.collect.measures import loss_of
from metaopt.collect.preparation import preparation_of, prepared_folds
from metaopt.collect.sandbox import Limits, Split, own_sandbox
from warmstart.catalogue import resolve_estimator
from warmstart.descriptor import describe
from warmstart.provenance import META_LEARNER, read_provenance
from warmstart.sampler import WarmStartSampler
from warmstart.space import Value

# Rows differ by seed, and so do the folds; one process serves all of them.
_FOLDS_SEED = 0


@dataclass(frozen=True)
class Setting:
    """What is tuned, and how it is scored.

    Attributes:
        task: The rows.
        estimator: Canonical name.
        n_folds: Of the cross-validation.
        max_trees: See ``LiveOptions``.
        fit_seconds: See ``LiveOptions``.
        n_trials: Of a study.
        seed: Of the sampler.
    """

    task: LiveTask
    estimator: str
    n_folds: int
    max_trees: int | None
    fit_seconds: float
    n_trials: int
    seed: int

    def cross_validate(self, configuration: Mapping[str, Value]) -> Outcome:
        """The score of a configuration; a fit that takes too long is killed, and fails."""
        sandbox = own_sandbox(Limits(self.fit_seconds), Split(self.n_folds, _FOLDS_SEED))
        return sandbox.evaluate(self.task.search, self.estimator, configuration)

    def cross_validate_unlimited(self, configuration: Mapping[str, Value]) -> Outcome:
        """The same, however long it takes."""
        search = self.task.search
        preparation = preparation_of(resolve_estimator(self.estimator))
        folds = prepared_folds(search, preparation, n_folds=self.n_folds, seed=_FOLDS_SEED)
        return evaluate(
            self.estimator, configuration, folds, kind=search.kind, n_classes=search.n_classes
        )

    def test(self, configuration: Mapping[str, Value]) -> float:
        """The loss on the test split after a fit to all rows to tune on; NaN if that fails."""
        search = self.task.search
        outcome = evaluate(
            self.estimator,
            configuration,
            [self.task.test_fold(self.estimator)],
            kind=search.kind,
            n_classes=search.n_classes,
        )
        return outcome.loss / self.task.scale

    def loss(self, predictions: np.ndarray, y: np.ndarray) -> float:
        """The loss of predicted class codes or values, as ``test`` has it."""
        if self.task.search.kind == "classification":
            return loss_of("classification", {"accuracy": float((predictions == y).mean())})
        return float(np.mean((predictions - y) ** 2) ** 0.5) / self.task.scale


@dataclass
class Trials:
    """What a method tried, in order.

    Attributes:
        losses: Of the cross-validation; NaN where it failed.
        errors: Standard errors of these over the folds; NaN where unknown.
        seconds: Processor time up to the end of each, what the method itself took included.
        tests: Loss on the test split of the best trial up to each one; NaN before the first that
            finished.
        proposed: Whether the meta-learner proposed it; None where it is not said.
    """

    losses: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    tests: list[float] = field(default_factory=list)
    proposed: list[bool | None] = field(default_factory=list)

    def add(
        self,
        loss: float,
        *,
        seconds: float,
        test: Callable[[], float],
        error: float = float("nan"),
        proposed: bool | None = None,
    ) -> None:
        """Add a trial.

        Args:
            loss: NaN if it failed.
            seconds: Of this trial alone.
            test: Gives its loss on the test split; called where it is the best so far.
            error: Standard error of the loss.
            proposed: Whether the meta-learner proposed it.
        """
        best = min((known for known in self.losses if known == known), default=float("inf"))
        before = self.tests[-1] if self.tests else float("nan")
        self.tests.append(test() if loss < best else before)
        self.losses.append(loss)
        self.errors.append(error)
        self.seconds.append(seconds + (self.seconds[-1] if self.seconds else 0.0))
        self.proposed.append(proposed)


def warm_start_sampler(setting: Setting, artifact: Path | None) -> BaseSampler:
    """The product, made as its users make it: that includes describing the data."""
    search = setting.task.search
    task = describe(search.X, search.y, kind=search.kind, categorical=list(search.categorical))
    return WarmStartSampler(
        estimator=setting.estimator,
        task=task,
        metric=setting.task.metric,
        artifact=artifact,
        seed=setting.seed,
    )


def run_sampler(setting: Setting, make: Callable[[], BaseSampler]) -> Trials:
    """A study with a sampler; what making the sampler takes counts for the first trial."""
    trials = Trials()
    space = setting.task.space(setting.estimator, max_trees=setting.max_trees)
    started = time.process_time()
    study = optuna.create_study(direction="minimize", sampler=make())
    for _ in range(setting.n_trials):
        trial = study.ask()
        configuration = suggest_configuration(trial, space)
        spent = time.process_time() - started
        outcome = setting.cross_validate(configuration)
        started = time.process_time()
        if outcome.state == "complete":
            told = study.tell(trial, outcome.loss)
        else:
            told = study.tell(trial, state=TrialState.FAIL)
        spent += time.process_time() - started
        said = read_provenance(told.user_attrs)
        by_meta_learner = None if said is None else said.by == META_LEARNER
        _add(trials, setting, configuration, outcome, spent, by_meta_learner)
        started = time.process_time()
    return trials


def run_configurations(
    setting: Setting, propose: Callable[[], Sequence[Mapping[str, Any]]]
) -> Trials:
    """Given configurations, however long they take."""
    trials = Trials()
    started = time.process_time()
    proposed = propose()
    spent = time.process_time() - started
    for configuration in proposed:
        outcome = setting.cross_validate_unlimited(configuration)
        _add(trials, setting, configuration, outcome, spent, None)
        spent = 0.0
    return trials


def _add(
    trials: Trials,
    setting: Setting,
    configuration: Mapping[str, Any],
    outcome: Outcome,
    spent: float,
    proposed: bool | None,
) -> None:
    trials.add(
        outcome.loss,
        seconds=spent + outcome.seconds,
        test=lambda: setting.test(configuration),
        error=outcome.measures.get("loss_standard_error", float("nan")),
        proposed=proposed,
    )
