"""Running the trials of a search: proposed in small groups, fitted fold by fold, told in order.

Nothing depends on which worker is faster: what is proposed, reported and pruned is decided in the
order of trials and folds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
from optuna.pruners import WilcoxonPruner
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from warmstart.sklearn.candidates import chosen, configured
from warmstart.sklearn.early_stopping import with_most_trees
from warmstart.sklearn.folds import FoldResult, Work, fit_fold
from warmstart.sklearn.processes import Task, Workers, trials_at_a_time, with_one_thread
from warmstart.sklearn.records import ATTRIBUTE, Record

Callback = Callable[[Study, FrozenTrial], None]


@dataclass
class _TrialRun:
    """A trial while it runs."""

    trial: Trial
    params: Mapping[str, Any] = field(default_factory=dict)
    folds: list[FoldResult] = field(default_factory=list)
    is_pruned: bool = False


class Running:
    """Runs trials of one search.

    Args:
        study: They are trials of it.
        candidates: The estimators by name.
        work: What their fits have in common.
        suggest: The parameters of a trial, as ``set_params`` takes them.
        metric: The name of the score that counts; ``None`` for the first there is.
        data: Digest that goes into the records.
        workers: Open ones.
        is_pruning: Whether the study's pruner is asked after each fold.
        callbacks: Called after each trial.

    Attributes:
        fit_errors: Tracebacks of fits that failed.
        score_errors: Tracebacks of scores that failed.
        n_fits: How many fits there were.
    """

    def __init__(
        self,
        study: Study,
        candidates: Mapping[str, Any],
        work: Work,
        *,
        suggest: Callable[[Trial], Mapping[str, Any]],
        metric: str | None,
        data: str,
        workers: Workers,
        is_pruning: bool,
        callbacks: Sequence[Callback],
    ) -> None:
        self._study = study
        self._candidates = candidates
        self._work = work
        self._suggest = suggest
        self._metric = metric
        self._data = data
        self._workers = workers
        self._is_pruning = is_pruning
        self._callbacks = callbacks
        self._n_left: float = math.inf
        self.fit_errors: list[str] = []
        self.score_errors: list[str] = []
        self.n_fits = 0

    @property
    def n_at_a_time(self) -> int:
        """How many trials are proposed at a time."""
        if self._is_pruning:
            return self._workers.n_workers
        return trials_at_a_time(self._workers.n_workers, len(self._work.splits))

    def run(self, n_trials: int | None, timeout_seconds: float | None) -> None:
        """Run trials until there are so many, or no time is left, or a callback stops the study.

        Raises:
            KeyboardInterrupt: As it comes; no trial is left running.
        """
        self._n_left = math.inf if n_trials is None else n_trials
        self._study.optimize(
            self._objective,
            n_trials=None if n_trials is None else math.ceil(n_trials / self.n_at_a_time),
            timeout=timeout_seconds,
            callbacks=list(self._callbacks),
        )

    def _objective(self, trial: Trial) -> float:
        """The value of one trial, and of those that are proposed with it."""
        n_beside = int(min(self.n_at_a_time, self._n_left)) - 1
        self._n_left -= n_beside + 1
        group = [_TrialRun(trial)]
        untold: list[Trial] = []
        try:
            for _ in range(n_beside):
                group.append(_TrialRun(self._study.ask()))
                untold.append(group[-1].trial)
            for run in group:
                self._propose(run)
            self._fit(group)
            for run in group:
                record = Record.of(self._data, run.folds)
                run.trial.set_user_attr(ATTRIBUTE, record.to_json())
            for run in group[1:]:
                untold.remove(run.trial)
                self._tell(run)
        except BaseException:
            for beside in untold:
                self._study.tell(beside, state=TrialState.FAIL)
            raise
        if group[0].is_pruned:
            raise optuna.TrialPruned
        return self._value(group[0].folds)

    def _propose(self, run: _TrialRun) -> None:
        try:
            run.params = self._suggest(run.trial)
        except optuna.TrialPruned:
            run.is_pruned = True

    def _fit(self, group: Sequence[_TrialRun]) -> None:
        """Fit all folds of all trials; if trials are pruned, as few at a time as keep busy."""
        n_folds = len(self._work.splits)
        while open_runs := [
            run for run in group if not run.is_pruned and len(run.folds) < n_folds
        ]:
            n_next = n_folds
            if self._is_pruning:
                n_next = math.ceil(self._workers.n_workers / len(open_runs))
            tasks: list[Task] = []
            owners: list[_TrialRun] = []
            for run in open_runs:
                for fold in range(len(run.folds), min(n_folds, len(run.folds) + n_next)):
                    tasks.append(self._task(run.params, fold))
                    owners.append(run)
            for run, result in zip(owners, self._workers.run(tasks), strict=True):
                self._take(run, result)

    def _task(self, params: Mapping[str, Any], fold: int) -> Task:
        estimator = configured(self._candidates, params)
        if self._work.early_stopping_rounds is not None:
            estimator = with_most_trees(estimator)
        if self._workers.n_workers > 1:
            estimator = with_one_thread(estimator)
        return fit_fold, (self._work, estimator, chosen(params), fold)

    def _take(self, run: _TrialRun, result: FoldResult) -> None:
        self.n_fits += 1
        if result.fit_error:
            self.fit_errors.append(result.fit_error)
        if result.score_error:
            self.score_errors.append(result.score_error)
        if run.is_pruned:
            return
        run.folds.append(result)
        if self._is_pruning:
            # A rank test over folds wants the folds, other pruners what is known of the mean.
            is_paired = isinstance(self._study.pruner, WilcoxonPruner)
            value = self._value(run.folds[-1:] if is_paired else run.folds)
            if not math.isnan(value):
                run.trial.report(value, len(run.folds) - 1)
                is_last = len(run.folds) == len(self._work.splits)
                run.is_pruned = not is_last and run.trial.should_prune()

    def _tell(self, run: _TrialRun) -> None:
        value = self._value(run.folds)
        if run.is_pruned:
            told = self._study.tell(run.trial, state=TrialState.PRUNED)
        elif math.isnan(value):
            told = self._study.tell(run.trial, state=TrialState.FAIL)
        else:
            told = self._study.tell(run.trial, value)
        for callback in self._callbacks:
            callback(self._study, told)

    def _value(self, folds: Sequence[FoldResult]) -> float:
        """The mean of the score that counts; NaN if a fold has none."""
        means = [self._score(fold) for fold in folds]
        return float(np.mean(means)) if means else math.nan

    def _score(self, fold: FoldResult) -> float:
        if not fold.scores:
            return math.nan
        if self._metric is None:
            return next(iter(fold.scores.values()))
        if self._metric not in fold.scores:
            raise ValueError(
                f"refit={self._metric!r} given; expected one of the scores {sorted(fold.scores)}."
            )
        return fold.scores[self._metric]
