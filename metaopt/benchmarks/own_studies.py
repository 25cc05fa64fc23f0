"""A user's own few studies as sources: made of recorded runs, and the two ways to use them.

Five studies of 50 trials stand for what somebody has who tuned the same estimator on five other
data sets. ``CmaEsSampler(source_trials=...)`` and ``WarmStartSampler(histories=...)`` are given
the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from metaopt.benchmarks.problems import Problem, UnitEncoder
from metaopt.benchmarks.runs import suggest_configuration
from warmstart.history import History
from warmstart.regret import regret
from warmstart.sampler import WarmStartSampler
from warmstart.space import Categorical, Condition, Float, Parameter, SearchSpace

# Neither an artifact nor the catalogue knows estimators that are called so.
_OWNER: Final = "my."
_STEP: Final = "model__"
# So many different losses make a study worth learning from.
_FEWEST_LOSSES: Final = 5


def own_studies(
    histories: Sequence[History], *, n_studies: int, n_trials: int, seed: int = 0
) -> list[History]:
    """Studies that somebody could have run on some of the tasks, each of another family.

    TPE tunes each task; every configuration it asks for is replaced by the nearest recorded run
    that is still free. So each trial is a run that took place, with the loss it had.

    Args:
        histories: Recorded runs, with their spaces; those of nearly constant loss are passed
            over, those of fewer runs than a study has trials are taken when others are short.
        n_studies: How many.
        n_trials: Of each, if there are as many runs.
        seed: Of the choice of tasks, and of TPE.

    Raises:
        ValueError: If there are fewer families than studies, or a chosen history has no space.
    """
    order = np.random.default_rng(seed).permutation(len(histories))
    shuffled = [histories[i].subset(np.isfinite(histories[i].losses)) for i in order]
    varied = [history for history in shuffled if len(np.unique(history.losses)) >= _FEWEST_LOSSES]
    chosen: dict[str, History] = {}
    for history in sorted(varied, key=lambda history: -min(len(history), n_trials)):
        chosen.setdefault(history.info.family or history.info.task, history)
    if len(chosen) < n_studies:
        raise ValueError(
            f"Histories of {len(chosen)} families with at least {_FEWEST_LOSSES} different "
            f"losses given; expected at least {n_studies}."
        )
    return [_studied(history, n_trials, seed) for history in list(chosen.values())[:n_studies]]


def _studied(history: History, n_trials: int, seed: int) -> History:
    space = history.info.space
    if space is None:
        raise ValueError(
            f"A history of {history.info.task!r} without a space given; expected one."
        )
    encoder = UnitEncoder(space)
    rows = encoder(history.configurations())
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    taken: list[int] = []
    for _ in range(min(n_trials, len(history))):
        trial = study.ask()
        asked = encoder([suggest_configuration(trial, space)])
        distance = ((rows - asked) ** 2).sum(axis=1)
        distance[taken] = np.inf
        taken.append(int(distance.argmin()))
        study.tell(trial, float(history.losses[taken[-1]]))
    return history.subset(taken)


def warmstart_of_own(studies: Sequence[History], problem: Problem, seed: int) -> BaseSampler:
    """``WarmStartSampler`` that knows nothing but these studies.

    They are given under a name of the user's own, their parameters as those of a pipeline's
    step, so neither the artifact nor the catalogue has anything to say of them.
    """
    return WarmStartSampler(
        estimator=_OWNER + problem.estimator,
        histories=[_renamed(study, _OWNER + problem.estimator) for study in studies],
        seed=seed,
    )


def _renamed(history: History, estimator: str) -> History:
    space = history.info.space
    assert space is not None
    renamed = SearchSpace(
        {_STEP + name: parameter for name, parameter in space.parameters.items()},
        {
            _STEP + name: Condition(_STEP + condition.parameter, condition.values)
            for name, condition in space.conditions.items()
        },
    )
    return replace(
        history,
        info=replace(history.info, estimator=estimator, space=renamed),
        columns={_STEP + name: column for name, column in history.columns.items()},
    )


def cma_of_own(studies: Sequence[History], problem: Problem, seed: int) -> BaseSampler:
    """``CmaEsSampler`` that starts from these studies.

    It takes losses of all sources for those of one task, so each study's are put on a scale from
    0, its best, to 1, its worst. Of categorical and conditional parameters it knows nothing: TPE
    samples them independently, and the sources are given without them.
    """
    return _WarmCmaEsSampler(problem.space, studies, seed=seed)


class _WarmCmaEsSampler(optuna.samplers.CmaEsSampler):
    """Optuna's, kept to the numbers that every trial has.

    By itself it takes the numbers that all trials so far happen to have, and refuses the sources
    when these are others than theirs.
    """

    def __init__(self, space: SearchSpace, studies: Sequence[History], *, seed: int) -> None:
        self._numbers = {
            name: _distribution(parameter)
            for name, parameter in space.parameters.items()
            if not isinstance(parameter, Categorical) and name not in space.conditions
        }
        super().__init__(
            source_trials=_source_trials(studies, self._numbers),
            independent_sampler=optuna.samplers.TPESampler(seed=seed),
            warn_independent_sampling=False,
            seed=seed,
        )

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The unconditional numbers, once a trial has finished."""
        space = super().infer_relative_search_space(study, trial)
        return {name: d for name, d in space.items() if name in self._numbers}


def _source_trials(
    studies: Sequence[History], numbers: dict[str, BaseDistribution]
) -> list[FrozenTrial]:
    trials = []
    for study in studies:
        for configuration, loss in zip(study.configurations(), regret(study.losses), strict=True):
            values: dict[str, Any] = {name: configuration[name] for name in numbers}
            trials.append(
                optuna.create_trial(params=values, distributions=numbers, value=float(loss))
            )
    return trials


def _distribution(parameter: Parameter) -> BaseDistribution:
    assert not isinstance(parameter, Categorical)
    kind: Any = (
        optuna.distributions.FloatDistribution
        if isinstance(parameter, Float)
        else optuna.distributions.IntDistribution
    )
    distribution: BaseDistribution = kind(
        parameter.low, parameter.high, log=parameter.log, step=parameter.step
    )
    return distribution
