"""Where the configurations of a study came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial

from warmstart.provenance import META_LEARNER, THEN, Provenance, read_provenance
from warmstart.sampler import WarmStartSampler
from warmstart.study_trials import enqueued_params

if TYPE_CHECKING:
    import pandas as pd

ENQUEUED: Final = "enqueued"


def explain(study: Study) -> pd.DataFrame:
    """Where each trial's configuration came from.

    Args:
        study: Any study; trials of other samplers count as proposed by ``"then"``.

    Returns:
        A row for each trial: ``number``, ``state``, ``value``, ``by`` (``"meta-learner"``,
        ``"then"``, ``"tpe"`` for a trial that was left to that, as ``warmstart.delegation``
        says, or ``"enqueued"`` for one that ``study.enqueue_trial`` gave all values),
        ``estimator``, ``portfolio`` (what the source tasks' portfolio had to say in the choice,
        0 to 1), ``transfer`` (what the source tasks had to say in the model of the trials, 0 to
        1: the rest is the study's own evidence), ``tasks`` (the source tasks that counted most,
        with their weights) and ``artifact`` (digits of its digest).

        ``attrs`` has ``meta_learner_share`` (of the trials), ``similar`` and ``excluded``
        (training tasks, eight of each at most, by name), ``n_excluded``, and, if the study has
        its ``WarmStartSampler``, ``matched`` and ``unmatched``: what each parameter stands for,
        or why for nothing.
    """
    import pandas as pd

    said = [
        (trial, read_provenance(trial.user_attrs)) for trial in study.get_trials(deepcopy=False)
    ]
    rows = []
    similar: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    n_excluded = 0
    single = len(study.directions) == 1
    for trial, source in said:
        by = _by(trial, source)
        source = source if by == META_LEARNER else None
        rows.append(
            {
                "number": trial.number,
                "state": trial.state.name,
                "value": trial.value if single else None,
                "by": by,
                "estimator": source.estimator if source else "",
                "portfolio": source.portfolio if source else np.nan,
                "transfer": source.transfer if source else np.nan,
                "tasks": dict(source.tasks) if source else {},
                "artifact": source.artifact if source else "",
            }
        )
        if source is not None:
            similar, excluded = source.similar, source.excluded
            n_excluded = source.n_excluded
    columns = (
        "number",
        "state",
        "value",
        "by",
        "estimator",
        "portfolio",
        "transfer",
        "tasks",
        "artifact",
    )
    frame = pd.DataFrame(rows, columns=list(columns))
    frame.attrs["meta_learner_share"] = (
        float((frame["by"] == META_LEARNER).mean()) if rows else 0.0
    )
    frame.attrs["similar"] = list(similar)
    frame.attrs["excluded"] = list(excluded)
    frame.attrs["n_excluded"] = n_excluded
    if isinstance(study.sampler, WarmStartSampler) and single:
        alignment = study.sampler.alignment(study)
        if alignment is not None:
            frame.attrs["matched"] = {
                name: f"{match.canonical}: {match.note}"
                for name, match in alignment.matched.items()
            }
            frame.attrs["unmatched"] = dict(alignment.unmatched)
    return frame


def _by(trial: FrozenTrial, said: Provenance | None) -> str:
    if said is not None:
        return said.by
    enqueued = enqueued_params(trial)
    return ENQUEUED if enqueued and enqueued.keys() >= trial.params.keys() else THEN
