"""Meta-training: from histories to an artifact, deterministic, in minutes, without torch."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from metaopt.training.aligning import aligned_for_learning
from metaopt.training.calibrating import learn_calibration
from metaopt.training.card import Base, Learned, make_card
from metaopt.training.extending import Extension, extended
from metaopt.training.progress import Report, progress_shown
from metaopt.training.selection import (
    Histories,
    LeftOut,
    by_metric,
    canonical_name,
    named_canonically,
    one_for_each_task,
    read_histories,
    without,
)
from warmstart.aligned import by_estimator
from warmstart.artifact import read_artifact, write_artifact
from warmstart.errors import ArtifactError, HistoryError
from warmstart.history import History
from warmstart.learning import learn_prior
from warmstart.prior import Prior
from warmstart.prior_file import estimators_in, pack_priors, unpack_prior, unpack_standings
from warmstart.standings import Standings, learn_standings
from warmstart.threads import one_thread

#: What ``learn_prior`` is called with; the card says it.
SETTINGS: Final = {"n_inducing": 400, "most_trials": 2000, "most_tasks": 512}


@dataclass(frozen=True)
class TrainingReport:
    """What a training did.

    Attributes:
        priors: What was learned, by the estimator's canonical name.
        card: As in the artifact.
        n_histories: How many were given.
        n_excluded: How many of them ``exclude`` named, or are of estimators not asked for.
        left_out: Those of the others that were not learned from, and why.
        extensions: By the names of estimators that something was added to, what it was.
        path: Where the artifact is; ``None`` if none was asked for.
        digest: Of the artifact; empty if there is none.
        n_bytes: Its size.
    """

    priors: Mapping[str, Prior]
    card: Mapping[str, Any]
    n_histories: int
    n_excluded: int
    left_out: tuple[LeftOut, ...]
    extensions: Mapping[str, Extension] = field(default_factory=dict)
    path: Path | None = None
    digest: str = ""
    n_bytes: int = 0


def meta_train(
    histories: Histories,
    artifact: str | os.PathLike[str] | None = None,
    *,
    estimators: Collection[str] | None = None,
    exclude: Collection[str] = (),
    fewest_tasks: int = 1,
    seed: int = 0,
    base: str | os.PathLike[str] | None = None,
    card: Mapping[str, Any] | None = None,
    progress: bool | Report | None = None,
) -> TrainingReport:
    """Learn from histories, and write an artifact that ``WarmStartSampler(artifact=…)`` reads.

    Each estimator is learned on its own, from one history for each source, task and metric; a
    metric is also one of the measures of the trials that ``warmstart.metrics`` names. The
    same histories with the same seed make the same bytes on the same kind of processor, in
    whatever order they are given. What is broken, or says nothing, is left out and reported.

    With ``base``, the histories are added to what an artifact knows already: what the tasks of
    an estimator share and how estimators compare stay as they were learned, a task that it has
    is replaced by a longer history only, and all else in it stays. What that does to its old
    tasks is in the report.

    Args:
        histories: A ``HistoryStore``, the path of one, or ``History`` objects.
        artifact: Where to write; what was there stays until all is done. None: nowhere.
        estimators: Names of those to learn; None: all.
        exclude: Tasks to leave out, by id, name, data set or family.
        fewest_tasks: An estimator with fewer tasks to learn from is left out.
        seed: Of all random choices.
        base: An artifact to add to; None: start anew.
        card: What else the artifact's card should say: JSON values, by name.
        progress: True: a bar on a terminal, plain lines elsewhere, on standard error; or a
            callback, called with what is being done, how many tasks are done, and of how many.

    Raises:
        HistoryError: If nothing is left to learn from, of one of ``estimators`` or at all;
            ``exclude`` names what is not there, or what ``base`` was learned from; or there is
            no store at a path.
        ArtifactError: If the artifact can't be written, or ``base`` is no artifact that can be
            added to, or the same file.

    Example:
        >>> from warmstart.history import History, TaskInfo, Trial
        >>> def history(task, best):
        ...     info = TaskInfo("my.model", task, "accuracy", "own")
        ...     trials = [Trial({"rate": x / 9}, (x / 9 - best) ** 2) for x in range(10)]
        ...     return History.from_trials(info, trials)
        >>> report = meta_train([history("a", 0.3), history("b", 0.4)])
        >>> report.card["estimators"]["my.model"]["n_tasks"]
        2
    """
    path = None if artifact is None else _writable(artifact)
    known = Base() if base is None else _read_base(Path(base), path)
    given = named_canonically(read_histories(histories))
    if isinstance(estimators, str) or isinstance(exclude, str):
        raise HistoryError("A text given for estimators or exclude; expected a list of names.")
    _refuse_known(exclude, known)
    kept = without(given, exclude)
    wanted = None if estimators is None else sorted({canonical_name(e) for e in estimators})
    if wanted is not None:
        kept = [history for history in kept if history.info.estimator in wanted]
    groups = by_estimator(kept)
    left_out: list[LeftOut] = []
    learned: dict[str, Learned] = {}
    compared: list[History] = []
    with progress_shown(progress) as report, one_thread():
        for name in sorted(groups):
            chosen, others = one_for_each_task(by_metric(groups[name]))
            left_out += others
            compared += chosen
            if name in known.priors:
                addition = extended(
                    known.priors[name], chosen, most_tasks=SETTINGS["most_tasks"], seed=seed
                )
                left_out += addition.left_out
                if addition.added:
                    learned[name] = Learned(addition.prior, addition.added, addition)
                    report(f"adding to {name}", len(addition.added), len(addition.added))
                continue
            space, aligned, others = aligned_for_learning(name, chosen)
            left_out += others
            n_tasks = len({(one.task.source, one.task.id) for one in aligned})
            if space is not None and n_tasks < fewest_tasks:
                reason = f"{n_tasks} tasks of its estimator, fewer than the {fewest_tasks} asked"
                left_out += [LeftOut(history.info.key, reason) for history in chosen]
                continue
            if space is not None:
                prior = learn_prior(
                    name,
                    space,
                    aligned,
                    seed=seed,
                    progress=partial(report, f"learning {name}"),
                    **SETTINGS,
                )
                calibration = learn_calibration(prior, aligned, seed=seed)
                learned[name] = Learned(replace(prior, calibration=calibration), aligned)
        missing = [name for name in wanted or () if name not in learned]
        if missing or not learned:
            raise HistoryError(_nothing_left(missing, given, len(given) - len(kept), left_out))
        made = make_card(
            learned,
            left_out=left_out,
            excluded=list(exclude),
            settings={**SETTINGS, "seed": seed},
            base=known,
            extra=card,
        )
    priors = {**known.priors, **{name: one.prior for name, one in learned.items()}}
    priors = dict(sorted(priors.items()))
    digest, n_bytes = "", 0
    if path is not None:
        standings = _standings(compared) if base is None else known.standings
        digest = write_artifact(path, *pack_priors(priors, made, standings))
        n_bytes = path.stat().st_size
    return TrainingReport(
        priors=priors,
        card=made,
        n_histories=len(given),
        n_excluded=len(given) - len(kept),
        left_out=tuple(sorted(left_out)),
        extensions={n: one.extension for n, one in learned.items() if one.extension is not None},
        path=path,
        digest=digest,
        n_bytes=n_bytes,
    )


def _read_base(path: Path, out: Path | None) -> Base:
    """The artifact to add to.

    Raises:
        ArtifactError: If it is none, or is what will be written.
    """
    artifact = read_artifact(path)
    if out is not None and out.exists() and out.samefile(path):
        raise ArtifactError(
            f"artifact={str(out)!r} given, the artifact that is added to; expected another path, "
            "so that it stays until the new one has been judged."
        )
    priors = {name: unpack_prior(artifact, name) for name in estimators_in(artifact)}
    return Base(
        priors, artifact.description.get("card", {}), artifact.digest, unpack_standings(artifact)
    )


def _refuse_known(exclude: Collection[str], base: Base) -> None:
    """What an artifact has learned from can't be left out of it any more.

    Raises:
        HistoryError: If a name is of one of its tasks.
    """
    tasks = [task for prior in base.priors.values() for task in prior.tasks]
    learned = sorted(
        set(exclude) & {n for t in tasks for n in (t.id, t.name, t.dataset, t.family)}
    )
    if learned:
        raise HistoryError(
            f"exclude={learned} given with an artifact to add to, which was learned from them; "
            "expected names of the added histories alone. Train anew to leave them out."
        )


def _standings(histories: Sequence[History]) -> dict[str, Standings]:
    """How estimators compare, by each metric that several were judged by on enough tasks."""
    known = {
        metric: learn_standings([h for h in histories if h.info.metric == metric])
        for metric in sorted({h.info.metric for h in histories})
    }
    return {metric: standings for metric, standings in known.items() if standings is not None}


def _writable(artifact: str | os.PathLike[str]) -> Path:
    """The path, once it is clear that minutes of training can end in a file there."""
    path = Path(artifact)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ArtifactError(
            f"artifact={str(path)!r} given; expected a file in a directory that is there."
        )
    return path


def _nothing_left(
    missing: Sequence[str],
    given: Sequence[History],
    n_excluded: int,
    left_out: Sequence[LeftOut],
) -> str:
    of = f" of {missing}" if missing else ""
    tasks: dict[str, list[str]] = {}
    for one in left_out:
        tasks.setdefault(one.reason, []).append(one.key.task)
    why = "".join(
        f"; such as {named[0]}: {reason} ({len(named)} of them)" for reason, named in tasks.items()
    )
    return (
        f"{len(given)} histories given, of which {n_excluded} are excluded or of other "
        f"estimators and {len(left_out)} not usable{why}; expected at least one{of} to learn "
        f"from, where the estimators are {sorted({h.info.estimator for h in given})}."
    )
