"""The surrogate that the sampler uses now, on the pools that the learners are judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from metaopt.benchmarks.learners.searching import (
    N_TRIALS,
    cell_score,
    cells,
    rank_correlation,
    search,
)
from warmstart.aligned import align_histories
from warmstart.history import History
from warmstart.learning import AlignedHistory, learn_prior
from warmstart.posterior import (
    Candidates,
    Posterior,
    Trials,
    first_improvement,
    fit_own_lengthscales,
)
from warmstart.predictive import after_trials, before_trials
from warmstart.prior import Prior
from warmstart.regret import regret
from warmstart.threads import one_thread

_FIRST_FIT: Final = 10  # trials from which on lengthscales are fitted to the task's own,
_FIT_GROWTH: Final = 4 / 3  # and again whenever they have grown by this


@dataclass(frozen=True)
class Scores:
    """Of one task.

    Attributes:
        curve: Regret of the best run so far, ``(N_TRIALS,)``.
        rank_correlation: After each budget, ``(n_budgets,)``.
        cell_score: After each budget, ``(n_budgets,)``.
    """

    curve: np.ndarray
    rank_correlation: np.ndarray
    cell_score: np.ndarray


def current_scores(
    estimator: str,
    known: Sequence[History],
    unseen: Sequence[History],
    *,
    budgets: Sequence[int],
    n_splits: int,
    n_query: int = 50,
    seed: int = 0,
) -> list[Scores]:
    """Scores on unseen tasks of the surrogate that was learned from known ones.

    Args:
        estimator: Of all histories.
        known: To learn from.
        unseen: To search and predict.
        budgets: Runs seen before predicting.
        n_splits: Random sets of such runs.
        n_query: Runs to predict.
        seed: Of the learning and the splits.
    """
    with one_thread():
        _, space, aligned = align_histories(estimator, known)
        prior = learn_prior(estimator, space, aligned, seed=seed)
        _, _, targets = align_histories(estimator, unseen, space=space)
        return [
            _scores(_Pool(prior, target), budgets, n_splits, n_query, seed) for target in targets
        ]


class _Pool:
    """The runs of one task, as the surrogate sees them."""

    def __init__(self, prior: Prior, history: AlignedHistory) -> None:
        finished = np.isfinite(history.losses)
        self.prior = prior
        self.losses = history.losses[finished]
        self.features = prior.encoding.features(history.coordinates[finished])
        self.weights = prior.task_weights(history.task.descriptor)
        self.everything = Candidates.foretold(prior, self.features, self.weights)
        self._own: dict[int, np.ndarray | None] = {}

    def candidates(self, chosen: Sequence[int]) -> Candidates:
        return self.everything.these(np.asarray(chosen, dtype=int))

    def posterior(self, seen: Sequence[int]) -> Posterior:
        return Posterior(
            self.prior, self.weights, self._trials(seen), own_lengthscales=self._fitted(seen)
        )

    def _trials(self, seen: Sequence[int]) -> Trials:
        rows = list(seen)
        return Trials(self.features[rows], self.everything.log_regrets[rows], self.losses[rows])

    def _fitted(self, seen: Sequence[int]) -> np.ndarray | None:
        due = _FIRST_FIT
        if len(seen) < due:
            return None
        while int(np.ceil(due * _FIT_GROWTH)) <= len(seen):
            due = int(np.ceil(due * _FIT_GROWTH))
        key = hash(tuple(seen[:due]))
        if key not in self._own:
            self._own[key] = fit_own_lengthscales(self.prior, self._trials(seen[:due]))
        return self._own[key]


def _scores(pool: _Pool, budgets: Sequence[int], n_splits: int, n_query: int, seed: int) -> Scores:
    everything = pool.everything
    low, high = cells(pool.losses, pool.losses)
    regrets = regret(pool.losses)

    def choose(seen: Sequence[int]) -> np.ndarray:
        if not seen:
            return first_improvement(everything, everything.log_regrets[:0], pool.weights)
        return pool.posterior(seen).improvement_of(everything)

    ranks, scores = np.empty((2, len(budgets), n_splits))
    for b, budget in enumerate(budgets):
        for split in range(n_splits):
            order = np.random.default_rng([seed, budget, split]).permutation(len(pool.losses))
            n_seen = min(budget, len(order) - 1)
            seen, left = order[:n_seen], order[n_seen : n_seen + n_query]
            candidates = pool.candidates(left.tolist())
            ends = low[left], high[left]
            if n_seen:
                prediction = after_trials(pool.prior, pool.posterior(seen.tolist()), candidates)
            else:  # is one of regret
                prediction = before_trials(pool.prior, candidates)
                smallest, extent = pool.losses.min(), np.ptp(pool.losses)
                ends = (ends[0] - smallest) / extent, (ends[1] - smallest) / extent
            scores[b, split] = cell_score(*map(prediction.probability_below, ends))
            ranks[b, split] = rank_correlation(prediction.middle(), regrets[left])
    return Scores(search(regrets, choose)[:N_TRIALS], ranks.mean(axis=1), scores.mean(axis=1))
