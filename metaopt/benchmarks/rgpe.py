"""RGPE: Gaussian processes of the training tasks, weighted by how well they rank the trials.

Source: Feurer, Letham, Bakshy 2018, Scalable meta-learning for Bayesian optimization using
ranking-weighted Gaussian process ensembles. Departures, all of them to its advantage or for
speed: the first trials are the greedy portfolio's; improvement is counted from the best mean of
the ensemble at a trial, as in noisy expected improvement, because the scales of the sources
differ; after ``N_TRIALS_EACH`` trials the weights are found anew only every fifth trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import optuna
from optuna.trial import FrozenTrial

from metaopt.benchmarks.acquisition import maximise
from metaopt.benchmarks.gp import (
    GaussianProcess,
    fit,
    log_expected_improvement,
    standardised,
)
from metaopt.benchmarks.portfolio import (
    can_be_learned_from,
    finished,
    greedy_portfolio,
    space_of,
)
from metaopt.benchmarks.proposals import ConfigurationSampler, FinishedTrials
from metaopt.benchmarks.unit_space import UnitSpace
from warmstart.history import History
from warmstart.space import Configuration, SearchSpace

N_DRAWS = 64
N_CANDIDATES = 1000
N_BEST_OF_EACH = 5
N_TRIALS_EACH = 30
MIN_TRIALS_TO_WEIGH = 3


@dataclass(frozen=True)
class SourceModels:
    """What RGPE learns from the training tasks of one source.

    Attributes:
        space: The search space.
        processes: One Gaussian process for each training task.
        candidates: ``(n, d)`` units: random ones and the best of each training task.
        portfolio: The first configurations of every study.
    """

    space: SearchSpace
    processes: Sequence[GaussianProcess]
    candidates: np.ndarray
    portfolio: Sequence[Configuration]

    @cached_property
    def predictions(self) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances at the candidates, each ``(n_tasks, n)``; computed once."""
        columns = UnitSpace(self.space).columns(self.candidates)
        pairs = [process.predict(columns) for process in self.processes]
        empty = np.empty((0, len(columns)))
        return (
            np.stack([mean for mean, _ in pairs]) if pairs else empty,
            np.stack([variance for _, variance in pairs]) if pairs else empty,
        )


def train_source_models(
    histories: Sequence[History], *, n_trials: int, n_start: int, seed: int = 0
) -> SourceModels:
    """Fit a Gaussian process to each training task.

    Args:
        histories: Of the training tasks.
        n_trials: Drawn from each history at random, at most.
        n_start: Configurations of the greedy portfolio to begin with.
        seed: Of what is drawn.
    """
    search_space = space_of(histories)
    space = UnitSpace(search_space)
    rng = np.random.default_rng(seed)
    processes, best = [], []
    for history in histories:
        configurations, losses = finished(history)
        if not can_be_learned_from(losses):
            continue
        units = space.units(configurations)
        best.append(units[np.argsort(losses, kind="stable")[:N_BEST_OF_EACH]])
        drawn = np.sort(rng.permutation(len(losses))[:n_trials])
        if np.ptp(losses[drawn]) > 0:
            columns = space.columns(units[drawn])
            processes.append(fit(columns, standardised(losses[drawn]), space.groups))
    return SourceModels(
        space=search_space,
        processes=processes,
        candidates=np.concatenate([space.sample(N_CANDIDATES, rng), *best]),
        portfolio=greedy_portfolio(histories, size=n_start),
    )


class TargetModel:
    """The Gaussian process of the study itself, refitted after each trial.

    Args:
        space: The search space.
    """

    def __init__(self, space: UnitSpace) -> None:
        self._space = space
        self._last: GaussianProcess | None = None

    def fit(self, trials: FinishedTrials) -> GaussianProcess:
        """Fit to all trials, beginning with what was found with one less."""
        n = len(trials.losses)
        self._last = fit(
            self._space.columns(trials.units),
            standardised(trials.losses),
            self._space.groups,
            start=None if self._last is None else self._last.hyperparameters,
            from_prior=n <= N_TRIALS_EACH or n % 5 == 0,
        )
        return self._last


class GaussianProcessSampler(ConfigurationSampler):
    """RGPE's own Gaussian process without sources, to be compared with Optuna's.

    Args:
        space: The search space of the study.
        n_start: Random trials to begin with, as many as Optuna's ``GPSampler`` has.
        seed: Of everything.
    """

    def __init__(self, space: SearchSpace, *, n_start: int = 10, seed: int = 0) -> None:
        super().__init__(optuna.samplers.RandomSampler(seed=seed))
        self._space = UnitSpace(space)
        self._n_start = n_start
        self._rng = np.random.default_rng(seed)
        self._trials = FinishedTrials(self._space)
        self._target = TargetModel(self._space)

    def propose(self, study: optuna.Study, trial: FrozenTrial) -> Configuration | None:
        """Where improvement is expected most."""
        if trial.number < self._n_start:
            return None
        self._trials.update(study)
        process = self._target.fit(self._trials)
        incumbent = float(process.targets.min())

        def acquisition(units: np.ndarray) -> np.ndarray:
            mean, variance = process.predict(self._space.columns(units))
            return log_expected_improvement(mean, variance, incumbent)

        units = self._space.sample(2 * N_CANDIDATES, self._rng)
        found = maximise(
            acquisition,
            self._space,
            units=np.concatenate([units, self._trials.units]),
            values=np.r_[acquisition(units), np.full(len(self._trials.units), -np.inf)],
            seen=self._trials.units,
            rng=self._rng,
        )
        return self._space.configuration(found)


class RankingWeightedSampler(ConfigurationSampler):
    """Begins with a portfolio and goes on with the ranking-weighted ensemble.

    Args:
        models: Of the training tasks; shared by studies.
        seed: Of everything.
    """

    def __init__(self, models: SourceModels, *, seed: int = 0) -> None:
        super().__init__(optuna.samplers.RandomSampler(seed=seed))
        self._models = models
        self._space = UnitSpace(models.space)
        self._rng = np.random.default_rng(seed)
        self._trials = FinishedTrials(self._space)
        self._target = TargetModel(self._space)
        self._means = np.empty((len(models.processes), 0))
        self._rows: list[np.ndarray] = [np.empty((0, 0)) for _ in models.processes]
        self._weights = np.empty(0)
        self._draws = np.random.default_rng(seed + 1)

    def propose(self, study: optuna.Study, trial: FrozenTrial) -> Configuration | None:
        """The portfolio's configuration at this trial's number, then the ensemble's choice.

        None, which is random, if there is neither portfolio nor finished trial.
        """
        if trial.number < len(self._models.portfolio):
            return self._models.portfolio[trial.number]
        self._read(study)
        if not len(self._trials.losses):
            return None
        process = self._target.fit(self._trials) if len(self._trials.losses) > 1 else None
        self._weigh(process)
        mean, _ = self._ensemble(process, self._trials.units)
        incumbent = float(mean.min())

        def acquisition(units: np.ndarray) -> np.ndarray:
            return log_expected_improvement(*self._ensemble(process, units), incumbent)

        candidates = self._models.candidates
        values = log_expected_improvement(*self._at_candidates(process), incumbent)
        found = maximise(
            acquisition,
            self._space,
            units=candidates,
            values=values,
            seen=self._trials.units,
            rng=self._rng,
        )
        return self._space.configuration(found)

    def _read(self, study: optuna.Study) -> None:
        """Read new trials, and predict them by the source processes."""
        n = len(self._trials.losses)
        self._trials.update(study)
        columns = self._space.columns(self._trials.units[n:])
        means = []
        for i, process in enumerate(self._models.processes):
            mean, rows = process.project(columns)
            means.append(mean)
            self._rows[i] = rows if n == 0 else np.concatenate([self._rows[i], rows])
        if means:
            self._means = np.concatenate([self._means, np.stack(means)], axis=1)

    def _weigh(self, process: GaussianProcess | None) -> None:
        """Weights ``(n_sources + 1,)``; the target's is the last."""
        n, n_sources = len(self._trials.losses), len(self._models.processes)
        if n_sources == 0 or process is None or n < MIN_TRIALS_TO_WEIGH:
            share = 0.0 if n_sources and process is None else 1.0 / (n_sources + 1)
            self._weights = np.r_[np.full(n_sources, (1.0 - share) / max(n_sources, 1)), share]
            return
        if n > N_TRIALS_EACH and n % 5 and len(self._weights):
            return
        columns = self._space.columns(self._trials.units)
        draws = np.empty((n_sources + 1, N_DRAWS, n))
        for i, source in enumerate(self._models.processes):
            covariance = source.prior_covariance(columns) - self._rows[i] @ self._rows[i].T
            covariance[np.diag_indices(n)] += 1e-6
            factor = np.linalg.cholesky(covariance)
            normal = self._draws.standard_normal((N_DRAWS, n))
            draws[i] = self._means[i] + normal @ factor.T
        mean, variance = process.leave_one_out()
        draws[-1] = mean + np.sqrt(variance) * self._draws.standard_normal((N_DRAWS, n))
        self._weights = weights_of(misrankings(draws, self._trials.losses))

    def _ensemble(
        self, process: GaussianProcess | None, units: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the ensemble at units ``(n, d)``, each ``(n,)``."""
        columns = self._space.columns(units)
        members = [*self._models.processes, process]
        mean, variance = np.zeros(len(units)), np.zeros(len(units))
        for weight, member in zip(self._weights, members, strict=True):
            if weight > 0 and member is not None:
                one_mean, one_variance = member.predict(columns)
                mean += weight * one_mean
                variance += weight**2 * one_variance
        return mean, np.maximum(variance, 1e-12)

    def _at_candidates(self, process: GaussianProcess | None) -> tuple[np.ndarray, np.ndarray]:
        """As ``_ensemble`` at the candidates, where the sources' predictions are known."""
        means, variances = self._models.predictions
        weights = self._weights[:-1]
        mean, variance = weights @ means, weights**2 @ variances
        if process is not None and self._weights[-1] > 0:
            one_mean, one_variance = process.predict(self._space.columns(self._models.candidates))
            mean = mean + self._weights[-1] * one_mean
            variance = variance + self._weights[-1] ** 2 * one_variance
        return mean, np.maximum(variance, 1e-12)


def misrankings(draws: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """How many pairs of trials each draw puts in the wrong order.

    Args:
        draws: ``(n_models, n_draws, n)``.
        losses: ``(n,)``.

    Returns:
        ``(n_models, n_draws)``.
    """
    first, second = np.triu_indices(len(losses), k=1)
    truly = losses[first] < losses[second]
    out = np.empty(draws.shape[:2])
    for i, draw in enumerate(draws):
        out[i] = ((draw[:, first] < draw[:, second]) != truly).sum(axis=1)
    return out


def weights_of(misranked: np.ndarray) -> np.ndarray:
    """The share of draws in which each model misranks least; the target is the last.

    A source is left out if its median is above the target's 95th percentile (so that many bad
    sources do not drown the target). Of models at par the target wins, otherwise they share.

    Args:
        misranked: ``(n_models, n_draws)``.

    Returns:
        ``(n_models,)``, summing to 1.
    """
    counted = misranked.astype(float)
    too_bad = np.median(misranked, axis=1) > np.quantile(misranked[-1], 0.95)
    counted[too_bad] = np.inf
    least = counted == counted.min(axis=0)
    least[:-1, least[-1]] = False
    return np.asarray((least / least.sum(axis=0)).mean(axis=1))
