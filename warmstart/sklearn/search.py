"""``WarmStartSearchCV``: a search over hyperparameters that begins where others ended."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

import numpy as np
import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FixedTrial, Trial, TrialState
from sklearn.base import BaseEstimator, MetaEstimatorMixin, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils import check_random_state, get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter, process_routing
from sklearn.utils.validation import check_is_fitted

from warmstart.descriptor import TaskDescriptor, describe
from warmstart.errors import DescriptorError, WarmStartWarning
from warmstart.given_study import has_own_sampler
from warmstart.sampler import WarmStartSampler
from warmstart.sklearn.arguments import check_arguments
from warmstart.sklearn.candidates import ALONE, chosen, configured, read_candidates
from warmstart.sklearn.default_sampler import Start, warm_start
from warmstart.sklearn.delegation import DelegatesToBest
from warmstart.sklearn.early_stopping import tree_parameter
from warmstart.sklearn.failures import all_failed, warn_of_failures
from warmstart.sklearn.folds import Work
from warmstart.sklearn.limits import with_limits
from warmstart.sklearn.other_names import tells_other_names
from warmstart.sklearn.processes import Workers
from warmstart.sklearn.progress import ProgressBar, quiet
from warmstart.sklearn.records import Record, digest
from warmstart.sklearn.results import Row, best_row, cv_results
from warmstart.sklearn.routing import Routed, is_routing, routed, router
from warmstart.sklearn.running import Callback, Running
from warmstart.sklearn.scoring import Scoring, read_scoring
from warmstart.sklearn.spaces import seen_space, suggested, tuned_space
from warmstart.sklearn.tuned_space import TunedSpace
from warmstart.space import SearchSpace
from warmstart.target import refuse_incomplete

_KINDS: Final = {"classifier": "classification", "regressor": "regression"}
# Medians of few trials, or of one fold, say little.
_MEDIAN_PRUNER: Final = {"n_startup_trials": 5, "n_warmup_steps": 1}
_LARGEST_SEED: Final = 2**31 - 1


class WarmStartSearchCV(DelegatesToBest, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """Tunes an estimator by cross-validation; the first trials are what was good on such data.

    It is used like ``RandomizedSearchCV``. What is tuned may be left out: then it is inferred
    for every part of the estimator that is known, and what you set yourself to another value
    than the default stays as you set it. ``space_`` shows it, also before ``fit``. Where
    ``max_iter`` is tuned, trials with few iterations warn that they have not converged, and are
    judged by their scores; ``LogisticRegression(max_iter=5000)`` leaves it at that. Support
    vector machines without a limit stop after a million iterations, and say so: on columns of
    different scales they might go on for hours.

    Runs with ``random_state`` are repeatable, also with ``n_jobs``. Where the folds of one trial
    don't keep the processes busy (5 folds on 2), trials are proposed several at a time, which
    are others than one at a time: ``n_jobs`` then changes which trials there are. With
    ``pruning``, there are always as many at a time as processes. What is not repeatable:
    ``timeout``, other processes on the same study, and estimators or splitters with random
    numbers of their own.

    Args:
        estimator: What is tuned; or several to choose from, as a dict by name or a list.
        param_distributions: By the names of ``set_params``: distributions of Optuna or scipy, or
            lists. ``None`` infers them. Of several estimators, such a dict or ``None`` for each
            by its name. Or a function of an Optuna trial that returns parameters; of several
            estimators, with ``"estimator"`` and names as in ``best_params_``.
        n_trials: How many configurations to try; ``None`` for as many as ``timeout`` allows.
        timeout: Seconds after which no new trial begins.
        cv: As in scikit-learn's search classes. All trials have the same folds.
        scoring: Likewise: one score, or several.
        refit: Whether to fit the best configuration on all data. Of several scores, the name of
            the one that counts, a function of ``cv_results_`` that gives an index (trials are
            then proposed for the first score), or ``False``.
        n_jobs: Processes; each has one thread.
        random_state: Of the proposals.
        sampler: A sampler of Optuna, copied for each fit, or a function that makes one of the
            task's descriptor. ``None`` for ``WarmStartSampler``, or ``TPESampler`` where nothing
            is known of the estimator.
        pruning: Whether to stop trials after folds that are worse than those of others: ``True``
            for a median pruner, or a pruner of Optuna. Pruners get the mean of the folds so far,
            ``WilcoxonPruner`` each fold.
        early_stopping_rounds: For LightGBM and XGBoost, also at the end of a pipeline: boosting
            stops when the validation fold has not become better for so many trees. The number of
            trees is then found, not tuned: at most ``n_estimators`` where you set it, else 2,000;
            the best estimator gets the mean of its folds. Scores are a little optimistic, as
            the fold that stops is the one that scores.
        study: A study that maximizes, to be continued with its sampler and pruner; its trials
            must be of the same data. A ``TPESampler``, which Optuna gives to studies that are
            made or loaded without a sampler, makes room for a ``WarmStartSampler``, unless it is
            given as ``sampler``, too. ``None`` for a fresh study in each fit.
        callbacks: Functions of a study and a finished trial, as Optuna's.
        return_train_score: Whether ``cv_results_`` has scores on the training folds.
        error_score: Of a fold that fails, or ``"raise"``. A trial with NaN has failed.
        verbose: 1 for a progress bar, 2 for Optuna's log of each trial.

    Attributes:
        study_: The study; each trial's folds are in its user attribute ``"cross_validation"``.
        space_: The space that is tuned, a ``warmstart.space.SearchSpace``; also before ``fit``.
        cv_results_: As in scikit-learn's search classes, a row for each trial.
        best_index_: Of the best trial in ``cv_results_``.
        best_params_: Its parameters; of several estimators, with ``"estimator"``, and names that
            begin with the estimator's.
        best_score_: Its mean score.
        best_estimator_: Fitted on all data, if ``refit``.
        refit_time_: Seconds of that.
        n_splits_: How many folds there were.
        scorer_: The scorer, or a dict of them.
        multimetric_: Whether there are several scores.
        classes_: Of the best estimator; so are ``n_features_in_`` and ``feature_names_in_``.

    A fit that is interrupted (Ctrl-C) goes on with the best trial so far, and warns; the study
    is sound, and can be passed as ``study`` to continue.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.svm import SVC
        >>> X, y = load_iris(return_X_y=True)
        >>> search = WarmStartSearchCV(SVC(), n_trials=2, cv=3, random_state=0).fit(X, y)
        >>> bool(search.best_score_ > 0.9)
        True
    """

    @tells_other_names
    def __init__(
        self,
        estimator: Any,
        param_distributions: Any = None,
        *,
        n_trials: int | None = 20,
        timeout: float | None = None,
        cv: Any = None,
        scoring: Any = None,
        refit: Any = True,
        n_jobs: int | None = None,
        random_state: Any = None,
        sampler: BaseSampler | Callable[[TaskDescriptor | None], BaseSampler] | None = None,
        pruning: bool | BasePruner = False,
        early_stopping_rounds: int | None = None,
        study: Study | None = None,
        callbacks: Sequence[Callback] | None = None,
        return_train_score: bool = False,
        error_score: float | str = np.nan,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.param_distributions = param_distributions
        self.n_trials = n_trials
        self.timeout = timeout
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.sampler = sampler
        self.pruning = pruning
        self.early_stopping_rounds = early_stopping_rounds
        self.study = study
        self.callbacks = callbacks
        self.return_train_score = return_train_score
        self.error_score = error_score
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, **params: Any) -> WarmStartSearchCV:
        """Run the trials, and fit the best configuration on all data.

        Args:
            X: ``(n_rows, n_columns)``: arrays, data frames, sparse matrices, or whatever the
                estimator takes.
            y: ``(n_rows,)`` or ``(n_rows, n_outputs)``; ``None`` for estimators without target.
            **params: For the estimator's ``fit``, the scorer and the splitter (``groups``): what
                has a value for each row is cut with the folds. With metadata routing, to those
                who request it.

        Raises:
            ValueError: If an argument can't be used, a target is missing or infinite, no trial
                has a score, or ``study`` has trials of other data.
            SearchSpaceError: If the space can't be used, or an estimator lacks a parameter.
        """
        check_arguments(self)
        candidates = read_candidates(self.estimator)
        scoring = self._scoring(candidates)
        X, y = indexable(X, y)
        if y is None and get_tags(self).target_tags.required:
            raise ValueError(
                f"This {type(self).__name__} requires y to be passed, but the target y is None."
            )
        if y is not None and get_tags(self).estimator_type in _KINDS:
            refuse_incomplete(y)
        to = routed(self, candidates, scoring, params)
        splitter = check_cv(self.cv, y, classifier=is_classifier(self))
        splits = list(splitter.split(X, y, **to.split))
        if not splits:
            raise ValueError(f"cv={self.cv!r} given, which makes no folds; expected at least one.")
        task = self._describe(X, y)
        tuned = self._tuned_space(candidates, task)
        candidates = with_limits(candidates, self.param_distributions)
        data = digest(X, y, splits, self.scoring)
        work = Work(
            X,
            y,
            splits,
            scoring.scorer,
            score_names=scoring.names,
            fit_params=to.fit,
            score_params=to.score,
            early_stopping_rounds=self.early_stopping_rounds,
            return_train_score=self.return_train_score,
            error_score=self.error_score,
        )
        with contextlib.nullcontext() if self.verbose > 1 else quiet():
            study = self._study(candidates, tuned, task, scoring, data)
            self.study_ = study
            self._fitted_space = tuned
            self.n_splits_ = len(splits)
            self.scorer_ = scoring.fitted
            self._run(study, candidates, tuned, work, scoring, data)
        if self.refit:
            self._refit(candidates, X, y, to)
        return self

    def score(self, X: Any, y: Any = None, **params: Any) -> float:
        """The score of the best estimator, by ``scoring``; of several scores, by ``refit``'s.

        Args:
            X: Rows.
            y: Their target.
            **params: For the scorer, with metadata routing.
        """
        check_is_fitted(self, "best_estimator_")
        if params and not is_routing():
            raise ValueError(
                f"{sorted(params)} given to score; expected none, or scikit-learn's "
                "enable_metadata_routing=True."
            )
        asked = process_routing(self, "score", **params).scorer.score if params else {}
        scorer = self.scorer_[self.refit] if isinstance(self.scorer_, dict) else self.scorer_
        score = scorer(self.best_estimator_, X, y, **asked)
        value: float = score[self.refit] if isinstance(score, dict) else score
        return value

    @property
    def space_(self) -> SearchSpace:
        """The space that is tuned; before ``fit``, what is known of it without data."""
        if "study_" in vars(self) and self._fitted_space is None:
            return seen_space(self.study_)
        tuned = vars(self).get("_fitted_space")
        if tuned is None:
            tuned = self._tuned_space(read_candidates(self.estimator), None)
        if tuned is None:
            raise AttributeError("What a function tunes is known after fit: space_ is not yet.")
        space: SearchSpace = tuned.tuned
        return space

    def get_metadata_routing(self) -> MetadataRouter:
        """Who asks for metadata."""
        candidates = read_candidates(self.estimator)
        return router(self, candidates, self._scoring(candidates).scorer, self.cv)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        first = next(iter(read_candidates(self.estimator).values()))
        own = get_tags(first)
        tags.estimator_type = own.estimator_type
        tags.classifier_tags = deepcopy(own.classifier_tags)
        tags.regressor_tags = deepcopy(own.regressor_tags)
        tags.target_tags.required = own.target_tags.required
        tags.input_tags.pairwise = own.input_tags.pairwise
        tags.input_tags.sparse = own.input_tags.sparse
        return tags

    # How a fit is made.

    def _scoring(self, candidates: Mapping[str, Any]) -> Scoring:
        first = next(iter(candidates.values()))
        return read_scoring(first, self.scoring, self.refit, get_tags(first).estimator_type)

    def _describe(self, X: Any, y: Any) -> TaskDescriptor | None:
        """What is known of the data; ``None`` if they are no table with one target."""
        kind: Any = _KINDS.get(get_tags(self).estimator_type)
        if y is None or kind is None:
            return None
        try:
            return describe(X, y, kind=kind)
        except (DescriptorError, TypeError, ValueError):
            return None

    def _tuned_space(
        self, candidates: Mapping[str, Any], task: TaskDescriptor | None
    ) -> TunedSpace | None:
        return tuned_space(
            candidates,
            self.param_distributions,
            task=task,
            stops_early=self.early_stopping_rounds is not None,
        )

    def _study(
        self,
        candidates: Mapping[str, Any],
        tuned: TunedSpace | None,
        task: TaskDescriptor | None,
        scoring: Scoring,
        data: str,
    ) -> Study:
        start = self._start(candidates, tuned, task, scoring)
        if self.study is None:
            assert start is not None
            study = optuna.create_study(
                direction="maximize", sampler=start.sampler, pruner=self._pruner()
            )
        else:
            study = self.study
            _check_same_data(study, data)
            if start is not None:
                study.sampler = start.sampler
            if isinstance(self.pruning, BasePruner):
                study.pruner = self.pruning
        if start is not None and not study.get_trials(deepcopy=False):
            for usual in start.usual:
                study.enqueue_trial(dict(usual))
        return study

    def _start(
        self,
        candidates: Mapping[str, Any],
        tuned: TunedSpace | None,
        task: TaskDescriptor | None,
        scoring: Scoring,
    ) -> Start | None:
        """How the study starts; ``None`` to leave a given one as it is."""
        if isinstance(self.sampler, BaseSampler):
            return Start(deepcopy(self.sampler))
        if self.sampler is not None:
            return Start(self.sampler(task))
        if self.study is not None and has_own_sampler(self.study):
            return None
        start = warm_start(
            candidates,
            tuned,
            task=task,
            metric=scoring.known_as,
            n_trials=self.n_trials,
            seed=self._seed(),
        )
        is_warm = isinstance(start.sampler, WarmStartSampler)
        return start if is_warm or self.study is None else None

    def _seed(self) -> int | None:
        if self.random_state is None:
            return None
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(_LARGEST_SEED))

    def _pruner(self) -> BasePruner:
        if isinstance(self.pruning, BasePruner):
            return self.pruning
        return MedianPruner(**_MEDIAN_PRUNER) if self.pruning else NopPruner()

    def _run(
        self,
        study: Study,
        candidates: Mapping[str, Any],
        tuned: TunedSpace | None,
        work: Work,
        scoring: Scoring,
        data: str,
    ) -> None:
        """Run the trials, and keep what came of them."""

        def suggest(trial: Trial) -> Mapping[str, Any]:
            if tuned is None:
                return suggested(trial, self.param_distributions)
            return tuned.values(tuned.suggest(trial))

        callbacks = [self.callbacks] if callable(self.callbacks) else list(self.callbacks or ())
        interrupt = None
        with contextlib.ExitStack() as stack:
            if self.verbose > 0:
                callbacks.append(stack.enter_context(ProgressBar(self.n_trials)))
            running = Running(
                study,
                candidates,
                work,
                suggest=suggest,
                metric=scoring.metric,
                data=data,
                workers=stack.enter_context(Workers(self.n_jobs).open()),
                is_pruning=self.pruning is not False,
                callbacks=callbacks,
            )
            try:
                running.run(self.n_trials, self.timeout)
            except KeyboardInterrupt as error:
                interrupt = error
        rows = self._rows(study, tuned, data)
        if not any(row.is_complete for row in rows):
            if interrupt is not None:
                raise interrupt
            raise all_failed(running.n_fits, running.fit_errors, running.score_errors)
        warn_of_failures(
            running.n_fits, running.fit_errors, running.score_errors, self.error_score
        )
        if interrupt is not None:
            n_complete = sum(row.is_complete for row in rows)
            warnings.warn(
                f"Interrupted: the best of {n_complete} finished trials is used. Pass "
                "study=search.study_ to go on.",
                WarmStartWarning,
                stacklevel=3,
            )
        self._keep(rows, candidates, scoring)

    def _rows(self, study: Study, tuned: TunedSpace | None, data: str) -> list[Row]:
        rows = []
        for trial in study.get_trials(deepcopy=False):
            record = Record.read(trial.user_attrs)
            if record is None or record.data != data:
                continue
            if tuned is None:
                with contextlib.suppress(optuna.TrialPruned):
                    again = FixedTrial(trial.params, number=trial.number)
                    params = suggested(again, self.param_distributions)
                    rows.append(
                        Row(trial.number, params, record, trial.state == TrialState.COMPLETE)
                    )
            else:
                params = tuned.values(trial.params)
                rows.append(Row(trial.number, params, record, trial.state == TrialState.COMPLETE))
        return rows

    def _keep(self, rows: list[Row], candidates: Mapping[str, Any], scoring: Scoring) -> None:
        names = list(next(row for row in rows if row.is_complete).record.scores)
        self.multimetric_ = bool(scoring.by_name) or names != ["score"]
        self.cv_results_ = cv_results(rows, self.n_splits_, names)
        if self.multimetric_ and not self.refit:
            return
        metric = scoring.metric or names[0]
        self.best_index_ = best_row(self.cv_results_, metric, self.refit)
        row = rows[self.best_index_]
        self.best_params_ = {**row.params, **_found_trees(candidates, row)}
        if not callable(self.refit):
            self.best_score_ = float(self.cv_results_[f"mean_test_{metric}"][self.best_index_])

    def _refit(self, candidates: Mapping[str, Any], X: Any, y: Any, to: Routed) -> None:
        best = configured(candidates, self.best_params_)
        params = to.fit[chosen(self.best_params_) if ALONE not in candidates else ALONE]
        started = time.perf_counter()
        if y is None:
            best.fit(X, **params)
        else:
            best.fit(X, y, **params)
        self.refit_time_ = time.perf_counter() - started
        self.best_estimator_ = best
        if hasattr(best, "feature_names_in_"):
            self.feature_names_in_ = best.feature_names_in_


def _found_trees(candidates: Mapping[str, Any], row: Row) -> dict[str, int]:
    """The number of trees that early stopping found, by the name of the parameter."""
    if not row.record.n_trees:
        return {}
    branch = ALONE if ALONE in candidates else chosen(row.params)
    name = tree_parameter(candidates[branch])
    assert name is not None
    full = name if branch == ALONE else f"{branch}__{name}"
    return {full: max(1, round(float(np.mean(row.record.n_trees))))}


def _check_same_data(study: Study, data: str) -> None:
    """Refuse trials of other data: what they say of this data's test rows would leak."""
    records = [Record.read(trial.user_attrs) for trial in study.get_trials(deepcopy=False)]
    n_other = sum(record is not None and record.data != data for record in records)
    if n_other:
        raise ValueError(
            f"study with {n_other} trials on other data, folds or scoring given; expected a study "
            "for each, or study=None for a fresh one in each fit. To learn from other data, pass "
            "a sampler with histories: WarmStartSampler(histories=…)."
        )
