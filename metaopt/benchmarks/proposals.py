"""Samplers that choose a whole configuration at the beginning of a trial."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from metaopt.benchmarks.unit_space import UnitSpace
from warmstart.space import Configuration


class ConfigurationSampler(BaseSampler):
    """Asks ``propose`` for a configuration once a trial; ``then`` gives what it leaves open.

    For one study in one thread, which is how a benchmark runs.

    Args:
        then: Sampler for trials and parameters without a proposal.
    """

    def __init__(self, then: BaseSampler) -> None:
        self._then = then
        self._proposal: Configuration | None = None

    @abstractmethod
    def propose(self, study: optuna.Study, trial: FrozenTrial) -> Configuration | None:
        """The configuration of this trial, or None to leave it to ``then``."""

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Choose this trial's configuration."""
        self._then.before_trial(study, trial)
        self._proposal = self.propose(study, trial)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """What ``then`` samples jointly; nothing in a trial with a proposal."""
        if self._proposal is not None:
            return {}
        return self._then.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """What ``then`` proposes jointly; nothing in a trial with a proposal."""
        if self._proposal is not None:
            return {}
        return self._then.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The proposal's value, or that of ``then``."""
        if self._proposal is not None and param_name in self._proposal:
            return self._proposal[param_name]
        return self._then.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Tell ``then``."""
        self._then.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Reseed ``then``."""
        self._then.reseed_rng()


class FixedStartSampler(ConfigurationSampler):
    """Tries given configurations first, as if they had been enqueued.

    Args:
        configurations: For the first trials, in this order.
        then: Sampler of the trials after them.
    """

    def __init__(self, configurations: Sequence[Configuration], then: BaseSampler) -> None:
        super().__init__(then)
        self._configurations = list(configurations)

    def propose(self, study: optuna.Study, trial: FrozenTrial) -> Configuration | None:
        """The configuration at this trial's number, if there is one."""
        if trial.number < len(self._configurations):
            return self._configurations[trial.number]
        return None


class FinishedTrials:
    """The complete trials of one study as arrays; each trial is read once.

    Args:
        space: The space of the study.
    """

    def __init__(self, space: UnitSpace) -> None:
        self._space = space
        self.units = np.empty((0, space.n_parameters))
        self.losses = np.empty(0)

    def update(self, study: optuna.Study) -> None:
        """Read the trials that are new."""
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        new = trials[len(self.losses) :]
        if new:
            self.units = np.concatenate([self.units, self._space.units([t.params for t in new])])
            self.losses = np.r_[self.losses, [t.value for t in new]]
