"""One task judged: what a learned model says of its trials after it has seen some of them.

Support points are random trials of the task; what is predicted are others. Scores are those of
the logarithmic regret among all trials of the task, so that tasks can be averaged.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from metaopt.evaluation.options import BUDGETS, LEVELS
from warmstart.aligned import align_histories
from warmstart.artifact import Artifact
from warmstart.history import History
from warmstart.knowledge import Knowledge, Source
from warmstart.learning import AlignedHistory
from warmstart.posterior import (
    Candidates,
    Posterior,
    Trials,
    first_improvement,
    fit_own_lengthscales,
)
from warmstart.predictive import Prediction, after_trials, before_trials
from warmstart.prior_file import unpack_prior
from warmstart.regret import EPSILON, log_regret, regret
from warmstart.threads import one_thread

#: Trials of a task and split that are predicted at most.
MOST_PREDICTED: Final = 100
#: In nats; what a prediction all but excluded counts as this, and is counted.
LOWEST_LOG_SCORE: Final = -20.0
_FEWEST_PREDICTED: Final = 3
_FIRST_FIT: Final = 10  # trials from which on the sampler fits lengthscales of the task's own

#: The scores of one task after one number of support points.
Row = dict[str, Any]


@dataclass(frozen=True)
class Judging:
    """How tasks are judged.

    Attributes:
        n_splits: Random support sets of each task and budget.
        seed: Of the splits.
        transfer: Whether the source tasks are drawn on; if not, each task is on its own.
        exclude: The tasks that are not drawn on for a history, as ``WarmStartSampler``'s argument.
        budgets: Support points.
        factors: Of the standard deviation; scores of intervals are given for each.
        deviations: Log scores are given of the same predictions with each of these as the one
            standard deviation of all.
    """

    n_splits: int = 1
    seed: int = 0
    transfer: bool = True
    exclude: Callable[[History], Iterable[str]] = field(default=lambda history: ())
    budgets: Sequence[int] = BUDGETS
    factors: Sequence[float] = (1.0,)
    deviations: Sequence[float] = ()


def judge(
    artifact: Artifact, estimator: str, histories: Sequence[History], how: Judging
) -> list[Row]:
    """A row for each history and budget that leaves enough to predict.

    Args:
        artifact: What was learned.
        estimator: One that it knows.
        histories: To predict; of that estimator.
        how: To judge.
    """
    if not histories:
        return []
    prior = unpack_prior(artifact, estimator)
    rows = []
    with one_thread():
        _, _, aligned = align_histories(estimator, histories, space=prior.space)
        for history, known in zip(histories, aligned, strict=True):
            if not known.is_informative:
                continue
            knowledge = Knowledge(
                artifact=artifact,
                task=known.task.descriptor,
                metric=history.info.metric,
                exclude=how.exclude(history),
            )
            source = knowledge.source(estimator)
            if source is not None:
                rows += _judge_task(source, known, how)
    return rows


def _judge_task(source: Source, history: AlignedHistory, how: Judging) -> list[Row]:
    finished = np.isfinite(history.losses)
    losses = history.losses[finished]
    regrets = regret(losses)
    log_range = float(np.log(np.ptp(losses)))
    features = source.prior.encoding.features(history.coordinates[finished])
    everything = Candidates.foretold(source.prior, features, source.task_weights)
    rows = []
    for budget in how.budgets:
        scores = []
        for split in range(how.n_splits):
            rng = np.random.default_rng(
                [how.seed, split, zlib.crc32(history.task.id.encode()), budget]
            )
            order = rng.permutation(len(regrets))
            seen, left = order[:budget], order[budget : budget + MOST_PREDICTED]
            if len(left) < _FEWEST_PREDICTED:
                continue
            candidates = everything.these(left)
            trials = Trials(features[seen], everything.log_regrets[seen], losses[seen])
            prediction, picked = _predict(source, trials, candidates, transfer=how.transfer)
            if budget:
                expected = (prediction.middle() - losses.min()) / np.ptp(losses)
                score = _score(prediction, losses[left], expected, regrets[left], log_range, how)
            else:  # the prediction is one of regret
                expected = prediction.middle()
                score = _score(prediction, regrets[left], expected, regrets[left], 0.0, how)
            score["random"] = float(regrets[left].mean())
            score["picked"] = score["random"] if picked is None else float(regrets[left][picked])
            score["incumbent"] = float(regrets[seen].min()) if budget else None
            scores.append(score)
        if scores:
            told = {"task": history.task.id, "family": history.task.family, "budget": budget}
            rows.append({**told, **_averaged(scores)})
    return rows


def _predict(
    source: Source, trials: Trials, candidates: Candidates, *, transfer: bool
) -> tuple[Prediction, int | None]:
    """What is expected of the candidates, and the one that is recommended, if any is."""
    prior, weights = source.prior, source.task_weights
    if not len(trials.losses):
        prediction = before_trials(prior, candidates, transfer=transfer)
        if not transfer:
            return prediction, None
        first = first_improvement(candidates, trials.log_regrets, weights)
        return prediction, int(first.argmax())
    own = fit_own_lengthscales(prior, trials) if len(trials.losses) >= _FIRST_FIT else None
    posterior = Posterior(prior, weights, trials, own_lengthscales=own, alone=not transfer)
    prediction = after_trials(prior, posterior, candidates)
    return prediction, int(prediction.middle().argmin())


def _score(
    prediction: Prediction,
    observed: np.ndarray,
    expected: np.ndarray,
    regrets: np.ndarray,
    log_range: float,
    how: Judging,
) -> Row:
    """Scores of predictions; those of intervals by factor.

    Args:
        prediction: Of ``observed``.
        observed: ``(M,)``, in the unit of the prediction.
        expected: What was expected, as regret, ``(M,)``.
        regrets: What was observed, as regret, ``(M,)``.
        log_range: Logarithm of the regret of 1 in the unit of ``observed``.
        how: For the factors and deviations.
    """
    from scipy.stats import rankdata

    error = log_regret(regrets) - log_regret(np.clip(expected, 0.0, 1.0))
    # To the density of the logarithmic regret: d regret / d log regret = regret + eps.
    log_jacobian = log_range + np.log(regrets + EPSILON)

    def densities(prediction: Prediction) -> np.ndarray:
        return np.maximum(prediction.log_density(observed) + log_jacobian, LOWEST_LOG_SCORE)

    log_scores, covered, excluded = [], [], []
    for factor in how.factors:
        widened = prediction.widened(factor)
        density = densities(widened)
        excluded.append(float((density == LOWEST_LOG_SCORE).mean()))
        log_scores.append(float(density.mean()))
        covered.append([float(widened.covered(observed, level).mean()) for level in LEVELS])
    ranks = [rankdata(values) for values in (expected, regrets)]
    told_apart = all(np.ptp(rank) > 0 for rank in ranks)
    return {
        "n_predicted": len(regrets),
        "squared_error": float((error**2).mean()),
        "rank_correlation": float(np.corrcoef(*ranks)[0, 1]) if told_apart else 0.0,
        "log_scores": log_scores,
        "log_scores_of_one_variance": [
            float(densities(prediction.of_one_variance(deviation)).mean())
            for deviation in how.deviations
        ],
        "covered": covered,
        "excluded": excluded,
    }


def _averaged(scores: Sequence[Row]) -> Row:
    """The mean of each score over splits."""
    return {
        name: None
        if scores[0][name] is None
        else np.mean([score[name] for score in scores], axis=0).tolist()
        for name in scores[0]
    }
