"""Learning the prior of one estimator from histories.

The same code serves the shipped artifact and a user's own studies: it takes seconds, needs
neither torch nor a GPU, and is deterministic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from warmstart.encoding import Encoding
from warmstart.errors import HistoryError
from warmstart.kernels import matern52, squared_distances
from warmstart.lengthscales import fit_lengthscales
from warmstart.prior import Prior, SourceTask, descriptor_weights
from warmstart.regret import from_log_regret, log_regret, regret
from warmstart.space import SearchSpace

#: Meta-features by which tasks are compared: rows, columns and classes carry most of what
#: descriptors say about hyperparameters (Mantovani et al. 2019; checked on our own folds).
DESCRIPTOR_NAMES = ("NumberOfInstances", "NumberOfFeatures", "NumberOfClasses")

# A shorter history, or one that is flat, says nothing about where to look.
_FEWEST_TRIALS = 5
# Trials of one task in the fit of lengthscales, and tasks: more cost time and change little.
_MOST_TASKS_FOR_LENGTHSCALES = 100
_N_FOR_LENGTHSCALES = 80  # where there are as many tasks as that; more where there are fewer
# Best configurations that each task contributes.
_N_PROPOSALS = 3
# Trials of one task that say whether others foretell it.
_N_FOR_AGREEMENT = 100
_FEWEST_FAMILIES = 3
_BANDWIDTHS = (0.3, 0.5, 0.7, 1.0)
# By how much a bandwidth must beat having none.
_LEAST_GAIN = 0.02


@dataclass(frozen=True)
class AlignedHistory:
    """The aligned trials of one source task.

    Attributes:
        task: What is known of the task.
        coordinates: Of the trials, ``(n, d)``.
        losses: ``(n,)``; NaN where a trial failed.
    """

    task: SourceTask
    coordinates: np.ndarray
    losses: np.ndarray

    @property
    def is_informative(self) -> bool:
        """Whether enough trials finished, and not all alike."""
        finished = self.losses[np.isfinite(self.losses)]
        return len(finished) >= _FEWEST_TRIALS and bool(finished.max() > finished.min())


def learn_prior(
    estimator: str,
    space: SearchSpace,
    histories: Sequence[AlignedHistory],
    *,
    n_inducing: int = 400,
    most_trials: int = 2000,
    most_tasks: int = 128,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Prior:
    """Learn the prior of one estimator.

    Args:
        estimator: Canonical name.
        space: Canonical space of the coordinates.
        histories: One for each task; those that say nothing are left out.
        n_inducing: Number of inducing configurations at most.
        most_trials: Trials of a task beyond this are left out, at random.
        most_tasks: With more tasks, the most different ones are kept.
        seed: Of all random choices.
        progress: Called with the number of tasks done and their total.

    Raises:
        HistoryError: If no history says anything.
    """
    usable = [history for history in histories if history.is_informative]
    if not usable:
        raise HistoryError(
            f"{len(histories)} histories of {estimator} given, none with at least "
            f"{_FEWEST_TRIALS} finished trials of different losses; expected one or more."
        )
    rng = np.random.default_rng(seed)
    encoding = Encoding(space)
    targets = [log_regret(regret(history.losses)) for history in usable]
    lengthscales, noise = _shared_lengthscales(encoding, usable, targets, rng)

    best = [history.coordinates[_best(z)] for history, z in zip(usable, targets, strict=True)]
    proposals = np.concatenate(best)
    proposed_by = np.repeat(np.arange(len(usable)), [len(rows) for rows in best])
    distinct = np.unique(proposals, axis=0, return_index=True)[1]
    n_good = min(len(distinct), n_inducing // 2)
    good = proposals[rng.permutation(np.sort(distinct))[:n_good]]
    inducing = np.concatenate([good, encoding.sample(n_inducing - n_good, rng)])

    scale = lengthscales[encoding.column_of]
    Z = encoding.features(inducing) / scale
    values = np.empty((len(usable), len(Z)))
    variances = np.empty((len(usable), len(Z)))
    for t, (history, z) in enumerate(zip(usable, targets, strict=True)):
        chosen = rng.permutation(len(z))[: min(most_trials, _trials_each(len(usable)))]
        E = encoding.features(history.coordinates[chosen]) / scale
        values[t], variances[t] = _smooth(E, z[chosen], noise, Z)
        if progress is not None:
            progress(t + 1, len(usable))
    kept = _most_different(values, most_tasks)
    of_kept = np.isin(proposed_by, kept)
    prior = Prior(
        estimator=estimator,
        space=space,
        tasks=tuple(usable[t].task for t in kept),
        lengthscales=lengthscales,
        noise=noise,
        inducing=inducing,
        values=values[kept],
        variance=variances[kept].mean(axis=0),
        proposals=proposals[of_kept],
        proposed_by=np.searchsorted(kept, proposed_by[of_kept]),
        descriptor_names=DESCRIPTOR_NAMES,
    )
    with_agreement = replace(prior, agreement=_agreement(prior, usable, targets, kept, rng))
    return _with_bandwidth(with_agreement)


def extend_prior(
    prior: Prior, histories: Sequence[AlignedHistory], *, most_tasks: int = 128, seed: int = 0
) -> Prior:
    """The prior with more source tasks; what all tasks share stays as it was learned.

    Args:
        prior: Of the same estimator and canonical space as the histories.
        histories: One for each task; those that say nothing are left out.
        most_tasks: Of the histories, the most different ones are kept.
        seed: Of all random choices.
    """
    usable = [history for history in histories if history.is_informative]
    if not usable:
        return prior
    rng = np.random.default_rng(seed)
    Z = prior.scale(prior.encoding.features(prior.inducing))
    values = np.empty((len(usable), len(Z)))
    best = []
    for t, history in enumerate(usable):
        z = log_regret(regret(history.losses))
        best.append(history.coordinates[_best(z)])
        chosen = rng.permutation(len(z))[: _trials_each(len(usable))]
        E = prior.scale(prior.encoding.features(history.coordinates[chosen]))
        values[t], _ = _smooth(E, z[chosen], prior.noise, Z)
    kept = _most_different(values, most_tasks)
    first = len(prior.tasks)
    return replace(
        prior,
        tasks=(*prior.tasks, *(usable[t].task for t in kept)),
        values=np.concatenate([prior.values, values[kept]]),
        proposals=np.concatenate([prior.proposals, *(best[t] for t in kept)]),
        proposed_by=np.concatenate(
            [prior.proposed_by, *(np.full(len(best[t]), first + i) for i, t in enumerate(kept))]
        ),
    )


def _trials_each(n_tasks: int) -> int:
    """Trials of a task that are smoothed over: fewer of each where tasks are many."""
    return int(np.clip(200_000 // n_tasks, 100, 2000))


def _best(z: np.ndarray) -> np.ndarray:
    return np.argsort(z, kind="stable")[:_N_PROPOSALS]


def _shared_lengthscales(
    encoding: Encoding,
    histories: Sequence[AlignedHistory],
    targets: Sequence[np.ndarray],
    rng: np.random.Generator,
) -> tuple[np.ndarray, float]:
    tasks = []
    chosen_tasks = rng.permutation(len(histories))[:_MOST_TASKS_FOR_LENGTHSCALES]
    # As expensive for few tasks as for many: the cost is cubic in the trials of each.
    share = _MOST_TASKS_FOR_LENGTHSCALES / len(chosen_tasks)
    n_each = round(_N_FOR_LENGTHSCALES * share ** (1 / 3))
    for t in sorted(chosen_tasks):
        chosen = rng.permutation(len(targets[t]))[:n_each]
        z = targets[t][chosen]
        if np.ptp(z) > 0:
            features = encoding.features(histories[t].coordinates[chosen])
            tasks.append((features, (z - z.mean()) / z.std()))
    return fit_lengthscales(tasks, encoding.column_of)


def _smooth(
    E: np.ndarray, z: np.ndarray, noise: float, Z: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance at ``Z`` of a Gaussian process through the trials of one task."""
    from scipy.linalg import cholesky, solve_triangular

    K = matern52(squared_distances(E, E))
    K[np.diag_indices(len(K))] += noise
    L = cholesky(K, lower=True, check_finite=False)
    level = z.mean()
    sides = np.column_stack([z - level, matern52(squared_distances(E, Z))])
    whitened = solve_triangular(L, sides, lower=True, check_finite=False)
    told, across = whitened[:, 0], whitened[:, 1:]
    variance = z.var() * np.maximum(1.0 - np.einsum("nm,nm->m", across, across), 0.0)
    return across.T @ told + level, variance


def _most_different(values: np.ndarray, n: int) -> np.ndarray:
    """Indices of ``n`` rows, each far from those before it; sorted."""
    if len(values) <= n:
        return np.arange(len(values))
    chosen = [int(((values - values.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    distance = ((values - values[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < n:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((values - values[chosen[-1]]) ** 2).sum(axis=1))
    return np.sort(chosen)


def _agreement(
    prior: Prior,
    histories: Sequence[AlignedHistory],
    targets: Sequence[np.ndarray],
    kept: np.ndarray,
    rng: np.random.Generator,
) -> float:
    """How well the tasks of a prior foretell each other; see ``Prior``.

    Args:
        prior: Learned from some of the histories.
        histories: Of all tasks.
        targets: Their logarithmic regrets.
        kept: Indices of the histories that the prior was learned from.
        rng: Chooses trials.
    """
    families = np.array([task.family or task.id for task in prior.tasks])
    if len(set(families)) < _FEWEST_FAMILIES:
        return 1.0
    correlations = []
    for t in kept:
        family = histories[t].task.family or histories[t].task.id
        chosen = rng.permutation(len(targets[t]))[:_N_FOR_AGREEMENT]
        features = prior.scale(prior.encoding.features(histories[t].coordinates[chosen]))
        foretold = prior.log_regrets(features)[:, families != family].mean(axis=1)
        seen = targets[t][chosen]
        varies = np.ptp(seen) > 0 and np.ptp(foretold) > 0
        correlations.append(float(np.corrcoef(seen, foretold)[0, 1]) if varies else 0.0)
    return float(np.mean(correlations))


def _with_bandwidth(prior: Prior) -> Prior:
    """The prior with the bandwidth that would have served its own tasks best.

    For each family in turn, the first three configurations are chosen by the other families'
    tasks, weighted by their descriptors; the bandwidth of the lowest regret is kept, if it beats
    having none.
    """
    families = np.array([task.family or task.id for task in prior.tasks])
    rows = np.array(
        [
            np.full(len(DESCRIPTOR_NAMES), np.nan)
            if task.descriptor is None
            else task.descriptor.vector(DESCRIPTOR_NAMES)
            for task in prior.tasks
        ]
    )
    described = ~np.isnan(rows).any(axis=1)
    if len(set(families[described])) < 10:
        return prior
    regrets = from_log_regret(prior.values)
    scores = {}
    for bandwidth in (0.0, *_BANDWIDTHS):
        reached = []
        for t in np.flatnonzero(described):
            others = families != families[t]
            weights = np.full(others.sum(), 1.0 / others.sum())
            if bandwidth:
                near = descriptor_weights(rows[others], rows[t], bandwidth)
                if near is not None:
                    weights = 0.5 * weights + 0.5 * near
            first = greedy_portfolio(regrets[others].T, weights, 3)
            reached.append(np.minimum.accumulate(regrets[t][first]).mean())
        scores[bandwidth] = float(np.mean(reached))
    best = min(scores, key=lambda bandwidth: scores[bandwidth])
    helps = scores[best] < (1.0 - _LEAST_GAIN) * scores[0.0]
    return replace(prior, bandwidth=best if helps else 0.0)


def greedy_portfolio(regrets: np.ndarray, weights: np.ndarray, n: int) -> list[int]:
    """Candidates that together leave the lowest expected regret, chosen one after the other.

    Args:
        regrets: Of each candidate on each task, ``(M, T)``.
        weights: Of the tasks, ``(T,)``.
        n: How many to choose.

    Returns:
        Indices of ``n`` candidates, the best single one first.
    """
    reached = np.full(regrets.shape[1], np.inf)
    chosen = []
    for _ in range(n):
        index = int((np.minimum(reached, regrets) @ weights).argmin())
        chosen.append(index)
        reached = np.minimum(reached, regrets[index])
    return chosen
