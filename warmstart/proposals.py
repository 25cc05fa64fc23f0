"""Choosing the next configuration of a user's space.

Notation: see ``warmstart.axes`` for positions and coordinates, ``warmstart.posterior`` for E.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from warmstart.axes import Axes
from warmstart.posterior import (
    Candidates,
    Posterior,
    Trials,
    first_improvement,
    fit_own_lengthscales,
)
from warmstart.prior import Prior, nearest_tasks

_N_RANDOM = 200
_N_AROUND = 5  # best trials that are searched around,
_N_NEIGHBOURS = 20  # by so many neighbours each;
_N_JUDGED = 100  # candidates that are the best at a glance,
_N_REFINED = 4  # of which the best are refined,
_N_REFINEMENTS = 12  # by so many neighbours each
_WIDE_STEPS = np.geomspace(0.005, 0.2, 8)
_NARROW_STEPS = np.geomspace(0.003, 0.1, 8)
# Two configurations whose features are all nearer than this are the same.
_SAME = 1e-5
_KEY_DIGITS = 5
# More trials than this are thinned out: the best, the latest and a sample of the rest stay.
_MOST_TRIALS = 150
# The new task's lengthscales are fitted anew whenever trials have grown by a third.
_FIRST_FIT = 10
# Where all that the source tasks praise is bad, only a trial that they had no say in can tell.
_PROBE_AFTER = 5
_N_PROBED = 64  # until one is found that was not tried
_FIT_GROWTH = 4 / 3


@dataclass(frozen=True)
class Observations:
    """The trials of a study on a user's axes, in the order of their numbers.

    Attributes:
        coordinates: Of finished trials, ``(n, d)``.
        losses: Of finished trials, ``(n,)``, finite.
        pending: Coordinates of trials that run, ``(r, d)``.
        not_asked: Which of the coordinates of finished trials the user's program did not ask for,
            though it does in others, ``(n, d)``: whatever is proposed for them, it would be the
            same trial. None: none.
    """

    coordinates: np.ndarray
    losses: np.ndarray
    pending: np.ndarray
    not_asked: np.ndarray | None = None


@dataclass(frozen=True)
class Proposal:
    """A chosen configuration and why.

    Attributes:
        position: On the user's axes, ``(p,)``.
        coordinates: Canonical, ``(d,)``.
        portfolio_share: What the source tasks' portfolio had to say in the choice, 0 to 1.
        transfer_share: What the source tasks had to say in the rest, 0 to 1.
        tasks: Ids of the source tasks that counted most, with their weights.
    """

    position: np.ndarray
    coordinates: np.ndarray
    portfolio_share: float
    transfer_share: float
    tasks: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class _Candidates:
    positions: np.ndarray
    coordinates: np.ndarray
    rows: Candidates

    def these(self, chosen: np.ndarray) -> _Candidates:
        return _Candidates(
            self.positions[chosen], self.coordinates[chosen], self.rows.these(chosen)
        )

    def and_these(self, other: _Candidates) -> _Candidates:
        return _Candidates(
            np.concatenate([self.positions, other.positions]),
            np.concatenate([self.coordinates, other.coordinates]),
            self.rows.and_these(other.rows),
        )


class Proposer:
    """Proposes configurations on one set of axes.

    What does not depend on the trials is computed once; all else is computed from the trials
    given, so that two proposers give the same answers.

    Args:
        prior: Of the estimator.
        axes: The user's space.
        task_weights: Prior weight of each source task, ``(T,)``.
        seed: Of the random candidates.
        fixed: Positions, by index of the axis, that may not be chosen freely; for a value that
            the axis lacks, its coordinate is given too.
        told_apart_by: Columns of coordinates; configurations that are alike in them are the
            same. All by default.
    """

    def __init__(
        self,
        prior: Prior,
        axes: Axes,
        task_weights: np.ndarray,
        *,
        seed: int,
        fixed: Mapping[int, tuple[float, float]] | None = None,
        told_apart_by: Sequence[int] | None = None,
    ) -> None:
        self._prior = prior
        self._axes = axes
        self._weights = task_weights
        self._fixed = dict(fixed or {})
        columns = prior.encoding.column_of
        self._compared = np.flatnonzero(
            np.isin(columns, columns if told_apart_by is None else told_apart_by)
        )
        rng = np.random.default_rng(seed)
        known = np.concatenate([prior.proposals, prior.inducing])
        positions = np.concatenate([axes.nearest(known), axes.draw(_N_RANDOM, rng)])
        self._static = self._distinct(self._candidates(positions))
        self._own_lengthscales: dict[int, tuple[np.ndarray, np.ndarray | None]] = {}

    def propose(
        self, observations: Observations, rng: np.random.Generator, *, among: int = 1
    ) -> Proposal:
        """Choose the next configuration.

        The sixth trial is drawn at random, whatever the source tasks say.

        Args:
            observations: The trials so far.
            rng: Of the local search; one of its own for each trial.
            among: Draw from so many of the best, so that workers who choose at once differ.
        """
        taken = self._taken(observations)
        if not len(observations.losses):
            running = self._log_regrets(self._features(observations.pending))
            scores = first_improvement(self._static.rows, running, self._weights)
            best = self._best(self._static, scores, taken, rng, among)
            return self._proposal(self._static, best, 1.0, 1.0, self._weights)
        if len(observations.losses) == _PROBE_AFTER:
            drawn = self._candidates(self._axes.draw(_N_PROBED, rng))
            first_free = self._best(drawn, np.zeros(_N_PROBED), taken, rng, among=1)
            return self._proposal(drawn, first_free, 0.0, 0.0, self._weights)
        trials = self._trials(observations)
        posterior = Posterior(
            self._prior,
            self._weights,
            trials,
            own_lengthscales=self._lengthscales(observations),
        )
        candidates = self._worth_judging(posterior, observations, taken, rng)
        scores = posterior.improvement_of(candidates.rows)
        top = np.argsort(-scores, kind="stable")[:_N_REFINED]
        refined = self._neighbours(candidates.positions[top], _N_REFINEMENTS, _NARROW_STEPS, rng)
        scores = np.concatenate([scores, posterior.improvement_of(refined.rows)])
        candidates = candidates.and_these(refined)
        best = self._best(candidates, scores, taken, rng, among)
        if not self._is_free(candidates.rows.features[best], taken):
            drawn = self._candidates(self._axes.draw(_N_PROBED, rng))
            first_free = self._best(drawn, np.zeros(_N_PROBED), taken, rng, among=1)
            if self._is_free(drawn.rows.features[first_free], taken):
                return self._proposal(drawn, first_free, 0.0, 0.0, self._weights)
            best = int(np.argmax(scores))
        return self._proposal(
            candidates,
            best,
            posterior.portfolio_share,
            posterior.transfer_share,
            posterior.task_weights,
        )

    def _worth_judging(
        self,
        posterior: Posterior,
        observations: Observations,
        taken: np.ndarray,
        rng: np.random.Generator,
    ) -> _Candidates:
        """The best of all candidates, at a glance; what was tried comes last."""
        best_trials = np.argsort(observations.losses, kind="stable")[:_N_AROUND]
        around = self._axes.nearest(observations.coordinates[best_trials])
        near = self._neighbours(around, _N_NEIGHBOURS, _WIDE_STEPS, rng)
        parts = (self._static, near)
        scores = [posterior.improvement_of(part.rows, at_a_glance=True) for part in parts]
        # They are all around the same few, which have better prospects than what is new.
        for part, of_part in zip(parts, scores, strict=True):
            of_part[self._are_tried(part.rows.features, taken)] = -np.inf
        n_static = len(scores[0])
        if n_static + len(scores[1]) <= _N_JUDGED:
            return self._static.and_these(near)
        kept = np.argsort(-np.concatenate(scores), kind="stable")[:_N_JUDGED]
        of_static = self._static.these(kept[kept < n_static])
        return of_static.and_these(near.these(kept[kept >= n_static] - n_static))

    def _proposal(
        self,
        candidates: _Candidates,
        index: int,
        portfolio_share: float,
        transfer_share: float,
        task_weights: np.ndarray,
    ) -> Proposal:
        tasks = nearest_tasks(self._prior, task_weights, 3)
        largest = np.sort(task_weights)[::-1][:3]
        return Proposal(
            position=candidates.positions[index],
            coordinates=candidates.coordinates[index],
            portfolio_share=portfolio_share,
            transfer_share=transfer_share,
            tasks=tuple(
                (task.id, round(float(weight), 4))
                for task, weight in zip(tasks, largest, strict=True)
            ),
        )

    def _trials(self, observations: Observations) -> Trials:
        kept = _thinned(observations.losses)
        finished = observations.coordinates[kept]
        features = self._features(np.concatenate([finished, observations.pending]))
        return Trials(features, self._log_regrets(features), observations.losses[kept])

    def _lengthscales(self, observations: Observations) -> np.ndarray | None:
        """Those fitted to the first trials, as many as the last time that a fit was due."""
        due = _FIRST_FIT
        if len(observations.losses) < due:
            return None
        while (next_due := int(np.ceil(due * _FIT_GROWTH))) <= len(observations.losses):
            due = next_due
        losses = observations.losses[:due]
        known = self._own_lengthscales.get(due)
        if known is not None and np.array_equal(known[0], losses):
            return known[1]
        none_pending = observations.pending[:0]
        trials = self._trials(Observations(observations.coordinates[:due], losses, none_pending))
        fitted = fit_own_lengthscales(self._prior, trials)
        self._own_lengthscales = {due: (losses, fitted)}
        return fitted

    def _keys(self, features: np.ndarray) -> np.ndarray:
        """A key for each row, the same for the same configuration, ``(n,)``."""
        rounded = np.ascontiguousarray(np.round(features[:, self._compared], _KEY_DIGITS) + 0.0)
        return rounded.view(np.dtype((np.void, rounded.strides[0] or 8)))[:, 0]

    def _features(self, coordinates: np.ndarray) -> np.ndarray:
        return self._prior.encoding.features(coordinates)

    def _log_regrets(self, features: np.ndarray) -> np.ndarray:
        return self._prior.log_regrets(self._prior.scale(features))

    def _candidates(self, positions: np.ndarray) -> _Candidates:
        positions = positions.copy()
        for k, (position, _) in self._fixed.items():
            positions[:, k] = position
        coordinates = self._axes.coordinates(positions)
        for k, (_, coordinate) in self._fixed.items():
            coordinates[:, self._axes.axes[k].column] = coordinate
        features = self._features(self._prior.encoding.settle(coordinates))
        rows = Candidates.foretold(self._prior, features, self._weights)
        return _Candidates(positions, coordinates, rows)

    def _distinct(self, candidates: _Candidates) -> _Candidates:
        rows = np.nan_to_num(np.round(candidates.coordinates, 6), nan=-9.0)
        first = np.sort(np.unique(rows, axis=0, return_index=True)[1])
        return candidates.these(first)

    def _neighbours(
        self, positions: np.ndarray, n_each: int, scales: np.ndarray, rng: np.random.Generator
    ) -> _Candidates:
        repeated = np.repeat(positions, n_each, axis=0)
        steps = np.resize(scales, len(repeated))
        return self._candidates(self._axes.neighbours(repeated, steps, rng))

    def _best(
        self,
        candidates: _Candidates,
        scores: np.ndarray,
        taken: np.ndarray,
        rng: np.random.Generator,
        among: int,
    ) -> int:
        """The best candidate that is not taken, or one ``among`` these; the best if all are.

        Args:
            candidates: What to choose from, ``M`` of them.
            scores: The higher the better, ``(M,)``.
            taken: From ``_taken``.
            rng: Draws if there is something to draw.
            among: How many to draw from.
        """
        order = np.argsort(-scores, kind="stable")
        free: list[int] = []
        for index in order:
            if self._is_free(candidates.rows.features[index], taken):
                free.append(int(index))
                if len(free) == among:
                    break
        if not free:
            return int(order[0])
        return free[int(rng.integers(len(free)))] if among > 1 else free[0]

    def _taken(self, observations: Observations) -> np.ndarray:
        """Features of what was tried or runs now, ``(n, D)``; NaN where values don't matter."""
        finished = self._features(observations.coordinates)
        if observations.not_asked is not None:
            finished[observations.not_asked[:, self._prior.encoding.column_of]] = np.nan
        return np.concatenate([finished, self._features(observations.pending)])

    def _are_tried(self, features: np.ndarray, taken: np.ndarray) -> np.ndarray:
        """Which of the rows ``(M, D)`` are taken, ``(M,)`` bool."""
        does_not_matter = np.isnan(taken)
        tried = np.zeros(len(features), dtype=bool)
        for pattern in np.unique(does_not_matter, axis=0):
            alike = taken[(does_not_matter == pattern).all(axis=1)]
            own, theirs = (self._keys(np.where(pattern, 0.0, x)) for x in (features, alike))
            tried |= np.isin(own, theirs)
        return tried

    def _is_free(self, features: np.ndarray, taken: np.ndarray) -> bool:
        """Whether a configuration, of features ``(D,)``, was not tried and does not run."""
        apart = np.abs(features - taken)[:, self._compared] > _SAME
        return bool(apart.any(axis=1).all())


def _thinned(losses: np.ndarray) -> np.ndarray:
    """Indices of the trials that are modelled, in order."""
    n = len(losses)
    if n <= _MOST_TRIALS:
        return np.arange(n)
    best = np.argsort(losses, kind="stable")[: _MOST_TRIALS // 2]
    latest = np.arange(n - _MOST_TRIALS // 4, n)
    rest = np.setdiff1d(np.arange(n), np.concatenate([best, latest]))
    n_more = _MOST_TRIALS - len(np.union1d(best, latest))
    spread = rest[np.linspace(0, len(rest) - 1, n_more).astype(int)]
    return np.union1d(np.union1d(best, latest), spread)


def propose_batch(
    proposer: Proposer, observations: Observations, n: int, *, seed: int
) -> Sequence[Proposal]:
    """Choose ``n`` configurations at once, each knowing of those before it."""
    proposals: list[Proposal] = []
    for i in range(n):
        pending = [observations.pending, *(p.coordinates[None] for p in proposals)]
        so_far = replace(observations, pending=np.concatenate(pending))
        proposals.append(proposer.propose(so_far, np.random.default_rng((seed, i))))
    return proposals
