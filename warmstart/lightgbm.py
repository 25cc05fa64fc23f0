"""Tuning LightGBM's own training API: a parameter dict and a ``Dataset``, as its users have them.

The number of rounds is found by early stopping, all else by a study.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import optuna
from optuna.samplers import BaseSampler

from warmstart.descriptor import TaskDescriptor, describe
from warmstart.errors import DescriptorError, MissingDependencyError, SearchSpaceError
from warmstart.given_study import has_own_sampler
from warmstart.lightgbm_params import (
    CLASSIFIER,
    PATIENCE,
    ROUNDS,
    VERBOSITY,
    as_said,
    estimator_of,
    fixed,
    given,
    suggest_params,
    tuned,
    without,
)
from warmstart.metrics import known_metric
from warmstart.sampler import WarmStartSampler
from warmstart.space import from_unit
from warmstart.target import Kind, refuse_incomplete

__all__ = ["TunedLightGBM", "describe_dataset", "suggest_params", "tune"]

_ATTRIBUTE: Final = "lightgbm"  # of a trial: the rounds that were best, and what was fixed
_QUIET: Final = {"verbosity": -1}
_METRICS: Final = {"binary_error": "accuracy", "multi_error": "accuracy", "auc_mu": "roc_auc"}


@dataclass(frozen=True)
class TunedLightGBM:
    """What was found.

    Attributes:
        best_params: For ``lightgbm.train``: what was given, and what was tuned beside it.
        best_iteration: The number of rounds that was best with these.
        best_score: By ``metric``, on the validation folds or the last validation set.
        metric: LightGBM's name of it.
        study: All trials.
    """

    best_params: dict[str, Any]
    best_iteration: int
    best_score: float
    metric: str
    study: optuna.Study


def tune(
    params: Mapping[str, Any],
    train_set: Any,
    num_boost_round: int = 1000,
    *,
    valid_sets: Sequence[Any] | None = None,
    folds: Any = None,
    nfold: int = 5,
    stratified: bool | None = None,
    shuffle: bool = True,
    feval: Any = None,
    early_stopping_rounds: int | None = 50,
    n_trials: int | None = 30,
    timeout: float | None = None,
    task: TaskDescriptor | None = None,
    sampler: BaseSampler | None = None,
    study: optuna.Study | None = None,
    callbacks: Iterable[Callable[[optuna.Study, optuna.trial.FrozenTrial], None]] = (),
    seed: int = 0,
    show_progress_bar: bool = False,
) -> TunedLightGBM:
    """Tune what a parameter dict leaves open, by ``lightgbm.cv`` or on a validation set.

    Arguments that ``lightgbm.cv`` has, too, mean the same. The first metric counts. A trial whose
    parameters LightGBM refuses has failed, and the others go on.

    Args:
        params: For ``lightgbm.train``, under any of LightGBM's names; what is in it is not tuned,
            unless it is one of Optuna's distributions. See ``suggest_params``.
        train_set: A ``lightgbm.Dataset``; its weights, groups and categorical columns are used.
        num_boost_round: The most rounds.
        valid_sets: Where given, models are fitted to ``train_set`` and judged on the last of
            these, without cross-validation.
        folds: Splitter or pairs of positions; in place of ``nfold``.
        nfold: Folds.
        stratified: By class; None: for classification.
        shuffle: Whether rows are shuffled before they are split.
        feval: A metric of your own, or several.
        early_stopping_rounds: Rounds to wait for a better score; None: all rounds are taken.
            ``params`` may say it as well.
        n_trials: Of the study; None: until ``timeout``.
        timeout: Seconds after which no trial is begun.
        task: Descriptor of the data; None: that of ``describe_dataset``.
        sampler: None for a ``WarmStartSampler``.
        study: To go on with, of the same ``params`` and with its own sampler. A ``TPESampler``,
            which Optuna gives to studies that are made or loaded without a sampler, makes room
            for a ``WarmStartSampler``, unless it is given as ``sampler``, too.
        callbacks: Of the study.
        seed: Of folds and sampler.
        show_progress_bar: Of trials.

    Raises:
        ValueError: If nothing is evaluated, a label is NaN or infinite (which LightGBM takes for
            another number), or the study has another direction than the metric, or trials of
            something else or other ``params``.
        SearchSpaceError: If one parameter is given under two names, or rounds as a distribution.
        MissingDependencyError: If LightGBM is not installed.
        lightgbm.basic.LightGBMError: If it refuses the data or ``params`` themselves.

    Example:
        >>> import lightgbm, sklearn.datasets
        >>> X, y = sklearn.datasets.load_breast_cancer(return_X_y=True)
        >>> params = {"objective": "binary", "metric": "auc", "eta": 0.1, "num_threads": 1}
        >>> tuned = tune(params, lightgbm.Dataset(X, y), 20, nfold=2, n_trials=1)
        >>> tuned.best_params["eta"], tuned.metric, tuned.best_score > 0.9
        (0.1, 'auc', True)
    """
    searched = [name for name in (*ROUNDS, *PATIENCE) if name in set(params) - set(fixed(params))]
    if searched:
        raise SearchSpaceError(
            f"Distributions of {searched} given; expected none: early stopping finds the rounds."
        )
    if folds is not None and not hasattr(folds, "split"):
        folds = list(folds)  # each trial needs them
    lightgbm = _lightgbm()
    if train_set.label is not None:
        refuse_incomplete(train_set.label)
    task = describe_dataset(train_set, params) if task is None else task
    rounds = given(params, ROUNDS)
    patience = given(params, PATIENCE)
    trainer = _Trainer(
        # What a leaf must hold is tuned, so no column may be dropped for it beforehand.
        {"feature_pre_filter": False, **without(params, (*ROUNDS, *PATIENCE))},
        train_set,
        most_rounds=num_boost_round if rounds is None else int(rounds),
        patience=early_stopping_rounds if patience is None else int(patience) or None,
        valid_sets=None if valid_sets is None else list(valid_sets),
        splitting={
            "folds": folds,
            "nfold": nfold,
            "stratified": estimator_of(params) == CLASSIFIER if stratified is None else stratified,
            "shuffle": shuffle,
            "seed": seed,
        },
        feval=feval,
    )
    # One round in the middle of all ranges tells the metric, and what LightGBM can't take at all.
    middle = {name: from_unit(p, 0.5) for name, p in tuned(trainer.params, task=task).items()}
    scores = trainer.run({**fixed(trainer.params), **middle}, n_rounds=1)
    said = as_said(trainer.params)
    if sampler is None and (study is None or not has_own_sampler(study)):
        sampler = _sampler(params, task, scores.metric, seed)
    if study is None:
        study = optuna.create_study(direction=scores.direction, sampler=sampler)
    else:
        _check(study, scores, said)
        study.sampler = sampler or study.sampler

    def objective(trial: optuna.Trial) -> float:
        chosen = suggest_params(trial, trainer.params, task=task)
        found = trainer.run(chosen)
        trial.set_user_attr(_ATTRIBUTE, {"rounds": found.rounds, "fixed": said})
        return found.best

    study.optimize(
        objective,
        n_trials,
        timeout,
        catch=(lightgbm.basic.LightGBMError,),
        callbacks=list(callbacks),
        show_progress_bar=show_progress_bar,
    )
    best = study.best_trial
    return TunedLightGBM(
        best_params={**best.params, **fixed(trainer.params)},
        best_iteration=best.user_attrs[_ATTRIBUTE]["rounds"],
        best_score=study.best_value,
        metric=scores.metric,
        study=study,
    )


def describe_dataset(train_set: Any, params: Mapping[str, Any]) -> TaskDescriptor | None:
    """Describe the data of a ``lightgbm.Dataset``, to find what was learned on data like it.

    Args:
        train_set: Before it is constructed, or with ``free_raw_data=False``.
        params: Its objective says whether the labels are classes.

    Returns:
        None where the ``Dataset`` no longer has its data, or they are no table.
    """
    X, y = train_set.data, train_set.label
    categorical = train_set.categorical_feature
    if X is None or y is None:
        return None
    kind: Kind = "classification" if estimator_of(params) == CLASSIFIER else "regression"
    try:
        return describe(
            X, y, kind=kind, categorical=None if categorical == "auto" else categorical
        )
    except DescriptorError:
        return None


@dataclass(eq=False)  # LightGBM keeps callbacks in a set
class _Scores:
    """What LightGBM tells after each round; only the first metric of the last set is kept."""

    metric: str = ""
    direction: Literal["minimize", "maximize"] = "minimize"
    patience: int | None = None
    values: list[float] = field(default_factory=list)

    def __call__(self, environment: Any) -> None:
        listed = environment.evaluation_result_list or []
        if listed:
            last = listed[-1][0]
            _, metric, value, is_higher_better, *_ = next(e for e in listed if e[0] == last)
            self.metric = metric.rpartition(" ")[2]
            self.direction = "maximize" if is_higher_better else "minimize"
            self.values.append(float(value))

    @property
    def rounds(self) -> int:
        """The number of rounds with the best score; all of them without early stopping."""
        if self.patience is None:
            return len(self.values)
        sign = -1.0 if self.direction == "maximize" else 1.0
        losses = [math.inf if math.isnan(value) else sign * value for value in self.values]
        return losses.index(min(losses)) + 1

    @property
    def best(self) -> float:
        """The score after as many rounds."""
        return self.values[self.rounds - 1]


class _Trainer:
    """Fits and judges parameters in the way that the user asked for."""

    def __init__(
        self,
        params: dict[str, Any],
        train_set: Any,
        *,
        most_rounds: int,
        patience: int | None,
        valid_sets: list[Any] | None,
        splitting: dict[str, Any],
        feval: Any,
    ) -> None:
        self.params = params if given(params, VERBOSITY) is not None else params | _QUIET
        self._train_set = train_set
        self._most_rounds = most_rounds
        self._patience = patience
        self._valid_sets = valid_sets
        self._splitting = splitting
        self._feval = feval

    def run(self, params: Mapping[str, Any], *, n_rounds: int | None = None) -> _Scores:
        """The scores of a model with these parameters, round by round."""
        lightgbm = _lightgbm()
        scores = _Scores(patience=self._patience)
        callbacks: list[Any] = [scores]
        if self._patience is not None:
            callbacks.append(
                lightgbm.early_stopping(self._patience, first_metric_only=True, verbose=False)
            )
        common = {
            "num_boost_round": n_rounds or self._most_rounds,
            "feval": self._feval,
            "callbacks": callbacks,
        }
        if self._valid_sets is None:
            with warnings.catch_warnings():
                # LightGBM hands its groups, or zeros, to any splitter of scikit-learn's.
                warnings.filterwarnings("ignore", "The groups parameter is ignored", UserWarning)
                lightgbm.cv(dict(params), self._train_set, **self._splitting, **common)
        else:
            lightgbm.train(dict(params), self._train_set, valid_sets=self._valid_sets, **common)
        if not scores.values:
            raise ValueError(
                "LightGBM evaluated nothing; expected a metric in params, and a validation set "
                "other than the training set."
            )
        return scores


def _check(study: optuna.Study, scores: _Scores, said: Mapping[str, str | float]) -> None:
    direction = study.direction.name.lower()
    if direction != scores.direction:
        raise ValueError(
            f"A study that is to {direction} given; expected one to {scores.direction}, as "
            f"{scores.metric} asks for."
        )
    done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if any(_ATTRIBUTE not in trial.user_attrs for trial in done):
        raise ValueError(
            f"Study {study.study_name!r} given, which has trials of something else; expected a "
            "new one, or one of tune."
        )
    for trial in done:
        before = trial.user_attrs[_ATTRIBUTE].get("fixed", said)
        other = sorted(n for n in {*before, *said} if before.get(n) != said.get(n))
        if other:
            raise ValueError(
                f"Study {study.study_name!r} given, whose trial {trial.number} had other values "
                f"of {other}; expected the same params: its best trial would not be of these."
            )


def _sampler(
    params: Mapping[str, Any], task: TaskDescriptor | None, metric: str, seed: int
) -> BaseSampler:
    return WarmStartSampler(
        estimator=estimator_of(params),
        task=task,
        metric=known_metric(_METRICS.get(metric, metric)),
        seed=seed,
    )


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise MissingDependencyError(
            'LightGBM is not installed: pip install "warmstart[lightgbm]"'
        ) from error
    return lightgbm
