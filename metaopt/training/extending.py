"""New histories added to what was learned before, without the old ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metaopt.training.aligning import aligned_for_learning
from metaopt.training.selection import LeftOut
from warmstart.history import History
from warmstart.learning import AlignedHistory, extend_prior
from warmstart.prior import Prior
from warmstart.regret import from_log_regret

KNOWN = "the artifact has it already, with as many trials or more"
# With fewer other tasks of the same metric, those of all metrics are drawn on.
_FEWEST_OF_METRIC = 10


@dataclass(frozen=True)
class Extension:
    """A prior and what was added to it.

    Attributes:
        prior: With the new tasks; what all tasks share is as it was.
        added: The histories that were added, on the prior's space.
        n_replaced: How many of them stand in place of shorter ones of the same task.
        left_out: Histories that were not added.
        old_before: Regret of the first pick on the old tasks, before; see ``first_pick_on``.
        old_after: The same with the new tasks.
    """

    prior: Prior
    added: Sequence[AlignedHistory]
    n_replaced: int
    left_out: Sequence[LeftOut]
    old_before: float
    old_after: float


def extended(
    prior: Prior, histories: Sequence[History], *, most_tasks: int, seed: int
) -> Extension:
    """Add histories to a prior; those that it has already are left out, shorter ones replaced.

    Args:
        prior: Of the histories' estimator.
        histories: Chosen as training chooses them.
        most_tasks: Of the new ones, so many at most are kept, the most different ones.
        seed: Of all random choices.
    """
    old = {(t.source, t.id, t.metric): i for i, t in enumerate(prior.tasks)}
    left_out, new, shorter = [], [], {}
    for history in histories:
        index = old.get((history.info.source, history.info.task, history.info.metric))
        if index is not None and len(history) <= prior.tasks[index].n_trials:
            left_out.append(LeftOut(history.info.key, KNOWN))
            continue
        new.append(history)
        if index is not None:
            shorter[history.info.key] = index
    _, aligned, others = aligned_for_learning(prior.estimator, new, space=prior.space)
    left_out += others
    unusable = {one.key for one in others}
    replaced = [index for key, index in shorter.items() if key not in unusable]
    kept = prior.without(replaced) if replaced else prior
    longer = extend_prior(kept, aligned, most_tasks=most_tasks, seed=seed) if aligned else kept
    is_old = range(len(kept.tasks))
    return Extension(
        prior=longer,
        added=aligned,
        n_replaced=len(replaced),
        left_out=left_out,
        old_before=first_pick_on(kept, is_old),
        old_after=first_pick_on(longer, is_old),
    )


def first_pick_on(prior: Prior, tasks: Sequence[int]) -> float:
    """Mean regret of the first pick on some of a prior's own tasks, if they were strangers.

    The pick is one of the inducing configurations, the best by the tasks of other families; its
    regret is what the prior itself says of the task. No trials are needed for that.

    Args:
        prior: Of one estimator.
        tasks: Indices of the tasks to be judged.

    Returns:
        The mean; NaN if no task has another family beside it.
    """
    regrets = from_log_regret(prior.values)
    families = np.array([task.family or task.id for task in prior.tasks])
    metrics = np.array([task.metric for task in prior.tasks])
    reached = []
    for t in tasks:
        others = families != families[t]
        if (others & (metrics == metrics[t])).sum() >= _FEWEST_OF_METRIC:
            others &= metrics == metrics[t]
        if not others.any():
            continue
        strangers = prior.without(np.flatnonzero(~others).tolist())
        weights = strangers.task_weights(prior.tasks[t].descriptor)
        first = int((weights @ regrets[others]).argmin())
        reached.append(regrets[t][first])
    return float(np.mean(reached)) if reached else float("nan")
