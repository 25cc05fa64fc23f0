"""What a prior is worth on a task, its family's own contribution left out: for the card.

Cheaper than ``metaopt evaluate``, and a little kinder: lengthscales were learned with the task.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from metaopt.training.selection import usual_metric
from warmstart.alignment import align
from warmstart.artifact import Artifact
from warmstart.estimator import UNKNOWN
from warmstart.knowledge import Knowledge, Source
from warmstart.learning import AlignedHistory
from warmstart.posterior import Candidates, first_improvement
from warmstart.prior import Prior
from warmstart.prior_file import pack_priors
from warmstart.regret import regret

WHAT: Final = (
    "Mean regret, among a training task's recorded runs, of the run that would be proposed first "
    "if nothing of its family had been learned from (lengthscales and noise aside); of one drawn "
    "at random from all its runs, proposed ones too; and of the run nearest to the library's "
    "default. 'metaopt evaluate' learns anew for each fold of families."
)
_DIGITS: Final = 4
_FEWEST_FAMILIES: Final = 3


@dataclass(frozen=True)
class FirstPick:
    """Regrets of one task's recorded runs.

    Attributes:
        picked: Of the run that would be proposed first.
        random: The mean of all.
        default: Of the run nearest to the library's default; None if there is none.
    """

    picked: float
    random: float
    default: float | None


def in_memory(prior: Prior) -> Artifact:
    """An artifact with one prior, rounded as a file would round it."""
    tensors, description = pack_priors({prior.estimator: prior}, {})
    return Artifact(json.loads(json.dumps(description)), tensors, digest="")


def held_out_figures(prior: Prior, histories: Sequence[AlignedHistory]) -> dict[str, Any] | None:
    """The figures that the card states; ``None`` with too few families to leave one out.

    Args:
        prior: Of one estimator.
        histories: On its space, of tasks that it was learned from.
    """
    usual = usual_metric(history.task.metric for history in histories)
    judged = [h for h in histories if h.task.metric == usual and h.is_informative]
    families = {history.task.family for history in judged}
    if len(families) < _FEWEST_FAMILIES:
        return None
    picks = list(_first_picks(in_memory(prior), prior.estimator, judged))
    if not picks:
        return None
    beside_default = [pick for pick in picks if pick.default is not None]
    figures: dict[str, Any] = {
        "metric": usual,
        "n_tasks": len(picks),
        "n_families": len(families),
        "first_pick": _mean([pick.picked for pick in picks]),
        "random": _mean([pick.random for pick in picks]),
    }
    if beside_default:
        figures["default"] = _mean([pick.default or 0.0 for pick in beside_default])
        figures["n_tasks_with_default"] = len(beside_default)
    return figures


def _first_picks(
    artifact: Artifact, estimator: str, histories: Sequence[AlignedHistory]
) -> Iterator[FirstPick]:
    for history in histories:
        knowledge = Knowledge(
            artifact=artifact,
            task=history.task.descriptor,
            metric=history.task.metric,
            exclude={history.task.family},
        )
        source = knowledge.source(estimator)
        if source is not None:
            yield _first_pick(source, history)


def _first_pick(source: Source, history: AlignedHistory) -> FirstPick:
    prior = source.prior
    finished = np.isfinite(history.losses)
    regrets = regret(history.losses[finished])
    features = prior.encoding.features(history.coordinates[finished])
    candidates = Candidates.foretold(prior, features, source.task_weights)
    nothing_tried = np.empty((0, len(prior.tasks)))
    first = int(first_improvement(candidates, nothing_tried, source.task_weights).argmax())
    default = _default(source)
    nearest = None
    if default is not None:
        away = prior.scale(features) - prior.scale(prior.encoding.features(default))
        nearest = int((away**2).sum(axis=1).argmin())
    return FirstPick(
        picked=float(regrets[first]),
        random=float(regrets.mean()),
        default=None if nearest is None else float(regrets[nearest]),
    )


def _default(source: Source) -> np.ndarray | None:
    """Coordinates ``(1, d)`` of the library's default; ``None`` if it has none."""
    encoding = source.prior.encoding
    values = align({}, source.matcher).missing
    row = np.full((1, len(encoding.names)), np.nan)
    for j, name in enumerate(encoding.names):
        value = values.get(name, UNKNOWN)
        if value is UNKNOWN:
            return None
        row[0, j] = encoding.coordinate(name, value)
    return encoding.settle(row)


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), _DIGITS)
