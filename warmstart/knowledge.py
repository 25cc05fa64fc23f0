"""What is known before the first trial: an artifact, and histories of the user's own."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Final, TypeAlias

import numpy as np

from warmstart.aligned import align_histories, by_estimator
from warmstart.alignment import align
from warmstart.artifact import Artifact, read_artifact
from warmstart.catalogue import ESTIMATORS, estimator_name, resolve_estimator
from warmstart.descriptor import TaskDescriptor
from warmstart.errors import HistoryError, UnknownEstimatorError, WarmStartWarning
from warmstart.estimator import Estimator, TaskSize, uncatalogued
from warmstart.history import History
from warmstart.inference import infer_estimator
from warmstart.learning import extend_prior, learn_prior
from warmstart.lookalike import LookAlike, look_alike
from warmstart.matching import Matcher
from warmstart.metrics import HIGHER_IS_BETTER, UNSAID, known_metric, metric_name
from warmstart.prior import Prior, SourceTask
from warmstart.prior_file import estimators_in, unpack_prior, unpack_standings
from warmstart.space import Parameter
from warmstart.store import HistoryStore
from warmstart.threads import one_thread

Histories: TypeAlias = HistoryStore | str | os.PathLike[str] | Sequence[History]

#: In ``exclude``: the training tasks whose data look like the task's.
SIMILAR: Final = "similar"

# Source tasks that don't foretell each other can't foretell a new one.
_LEAST_AGREEMENT = 0.05
# With so many source tasks of the asked metric, those of others are left out.
_FEWEST_OF_METRIC = 10
# The weight of the user's own studies beside an artifact's tasks.
_OWN_SHARE = 0.5
# Of the parameters, what one of the user's own estimators must have to be inferred from them.
_LEAST_MATCHED = 0.75


def shipped_artifact() -> Path:
    """Where the artifact lies that comes with the package."""
    return Path(__file__).parent / "artifacts" / "openml.safetensors"


@dataclass(frozen=True)
class Source:
    """What is known of one estimator, for one task.

    Attributes:
        estimator: What it is.
        prior: Of the tasks that may be drawn on.
        task_weights: How much each of them counts before the first trial, ``(T,)``, sum 1.
        matcher: Of parameters to the hyperparameters that something was learned of.
        similar: Training tasks whose data look like the task's, excluded or not, and why.
        excluded: Training tasks that are not drawn on.
    """

    estimator: Estimator
    prior: Prior
    task_weights: np.ndarray
    matcher: Matcher
    similar: tuple[tuple[SourceTask, LookAlike], ...]
    excluded: tuple[SourceTask, ...]


class Knowledge:
    """What an artifact and a user's histories know, for one task.

    Args:
        artifact: An artifact or the path of one; ``None`` for the shipped one.
        histories: The user's own: a store, a path to one, or histories.
        task: Of the new task's data.
        metric: What the new task is judged by, such as ``"accuracy"`` or ``"neg_log_loss"``.
        exclude: Training tasks not to draw on: by id, by name, by data set or by family, or
            ``"similar"``.

    Raises:
        ArtifactError: If there is no artifact at the path, or it is damaged or foreign.
        HistoryError: If there is no store at a path.
        ValueError: If ``exclude`` names a task that is in none of the sources, or asks for
            similar ones without a task.

    Attributes:
        digest: Of the artifact.
    """

    def __init__(
        self,
        *,
        artifact: Artifact | str | os.PathLike[str] | None = None,
        histories: Histories | None = None,
        task: TaskDescriptor | None = None,
        metric: str | None = None,
        exclude: str | Iterable[str] = (),
    ) -> None:
        _check("task", task, TaskDescriptor, "what warmstart.describe returns")
        _check("metric", metric, str, "a name")
        _check("artifact", artifact, Artifact | str | os.PathLike, "an artifact or its path")
        _check("exclude", exclude, Iterable, "a name or names")
        self._task = task
        self._metric = metric
        if not isinstance(artifact, Artifact):
            artifact = read_artifact(shipped_artifact() if artifact is None else artifact)
        self._artifact = artifact
        self.digest = self._artifact.digest
        self._in_artifact = estimators_in(self._artifact)
        self._standings = unpack_standings(self._artifact)
        self._own = by_estimator(_read(histories))
        self._given_histories = histories is not None
        self._exclude = frozenset([exclude] if isinstance(exclude, str) else exclude)
        self._sources: dict[str, Source | None] = {}
        self._check_exclude()

    def estimators(self) -> list[str]:
        """Names of all estimators that something is known of."""
        return [*self._in_artifact, *(name for name in self._own if name not in self._in_artifact)]

    def resolve(self, asked: object) -> str:
        """The name of the estimator that a user means.

        Raises:
            UnknownEstimatorError: If it is neither in the catalogue nor in the user's histories,
                and these were not given.
        """
        if isinstance(asked, str) and asked in self.estimators():
            return asked
        try:
            return resolve_estimator(asked).name
        except UnknownEstimatorError:
            name = estimator_name(asked)
            if name in self.estimators() or self._given_histories:
                return name  # with histories of other estimators it is this one's first study
            raise

    def warn_of_unknown_metric(self, *, stacklevel: int) -> None:
        """Warn if nothing was judged by the asked metric, which then counts as any.

        Args:
            stacklevel: Of the warning, as where this is called it would be 1.
        """
        if self._metric in (None, UNSAID) or known_metric(self._metric) is not None:
            return
        own = {h.info.metric for histories in self._own.values() for h in histories}
        learned = {
            t.metric for e in self._in_artifact for t in unpack_prior(self._artifact, e).tasks
        }
        known = list(
            dict.fromkeys(
                [*HIGHER_IS_BETTER, *sorted(map(metric_name, (own | learned) - {UNSAID}))]
            )
        )
        if self._metric not in known:
            warnings.warn(
                f"metric={self._metric!r} given, by which nothing that is known was judged: "
                f"histories of any metric are drawn on, as with metric=None. Known are {known}, "
                "also by the names that scikit-learn and LightGBM have for them.",
                WarmStartWarning,
                stacklevel=stacklevel + 1,
            )

    @property
    def kind(self) -> str | None:
        """Of the task: ``"classification"``, ``"regression"`` or not known."""
        return None if self._task is None else self._task.kind

    def infer(self, parameters: Mapping[str, Parameter]) -> str | None:
        """The estimator that parameters belong to, the user's own first; ``None`` if unclear."""
        best, share = None, 0.0
        catalogued = {estimator.name for estimator in ESTIMATORS}
        for name in self.estimators():
            if name not in self._own and name in catalogued:
                continue
            source = self.source(name)
            if source is None:
                continue
            matched = len(align(parameters, source.matcher).matched)
            reached = matched / max(len(parameters), 1)
            if reached >= max(_LEAST_MATCHED, share + 1e-9):
                best, share = name, reached
        if best is not None:
            return best
        family = {"classification": "classifier", "regression": "regressor"}.get(self.kind or "")
        inferred = infer_estimator(parameters, family=family)
        return None if inferred is None else inferred[0].name

    def source(self, name: str) -> Source | None:
        """What is known of an estimator; ``None`` if that is nothing, or nothing but noise."""
        if name not in self._sources:
            self._sources[name] = self._make_source(name)
        return self._sources[name]

    def standings(self, estimators: Sequence[str | None]) -> tuple[np.ndarray, np.ndarray] | None:
        """How estimators stood against each other on the tasks that may be drawn on.

        Args:
            estimators: Canonical names; ``None`` where it is not known.

        Returns:
            Their standings ``(T, B)``, by the asked metric if there are enough of that, and the
            tasks' weights ``(T,)``; ``None`` if too little is known.
        """
        left_out: set[tuple[str, str]] = set()
        for name in set(estimators) & set(self._in_artifact) if self._exclude else ():
            prior = unpack_prior(self._artifact, str(name))
            for t in self._excluded(prior, self._similar(prior)):
                left_out.add((prior.tasks[t].source, prior.tasks[t].id))
        asked = metric_name(self._metric or "")
        for metric in sorted(HIGHER_IS_BETTER, key=lambda metric: metric != asked):
            known = self._standings.get(metric)
            shared = None if known is None else known.of(estimators, without=left_out)
            if shared is not None:
                return shared.values, shared.task_weights(self._task)
        return None

    def _make_source(self, name: str) -> Source | None:
        prior = unpack_prior(self._artifact, name) if name in self._in_artifact else None
        n_shipped = 0 if prior is None else len(prior.tasks)
        own = self._own.get(name, [])
        if own:
            try:
                with one_thread():
                    prior = _with_own(name, own, prior)
            except HistoryError:
                own = []  # they say nothing, as those of a study that just began
        if prior is None or prior.agreement < _LEAST_AGREEMENT:
            return None
        known = next((e for e in ESTIMATORS if e.name == name), None)
        estimator = known or uncatalogued(name, prior.space)
        similar = self._similar(prior)
        excluded = self._excluded(prior, similar)
        other_metric = self._of_other_metrics(prior)
        is_own = np.arange(len(prior.tasks)) >= n_shipped
        left_out = sorted({*excluded, *other_metric})
        if len(left_out) == len(prior.tasks):
            return None
        kept = prior.without(left_out) if left_out else prior
        weights = kept.task_weights(self._task)
        return Source(
            estimator=estimator,
            prior=kept,
            task_weights=_shared(weights, np.delete(is_own, left_out)),
            matcher=Matcher(estimator, space=kept.space, size=_size(self._task)),
            similar=tuple(found for t, found in similar.items() if t not in other_metric),
            excluded=tuple(prior.tasks[t] for t in excluded if t not in other_metric),
        )

    def _similar(self, prior: Prior) -> dict[int, tuple[SourceTask, LookAlike]]:
        if self._task is None:
            return {}
        found = {}
        for t, task in enumerate(prior.tasks):
            alike = task.descriptor and look_alike(self._task, task.descriptor)
            if alike:
                found[t] = task, alike
        return found

    def _excluded(
        self, prior: Prior, similar: Mapping[int, tuple[SourceTask, LookAlike]]
    ) -> list[int]:
        named = {t for t, task in enumerate(prior.tasks) if _names(task) & self._exclude}
        if SIMILAR in self._exclude:
            families = {task.family for task, _ in similar.values()} - {""}
            named |= {
                t for t, task in enumerate(prior.tasks) if t in similar or task.family in families
            }
        return sorted(named)

    def _of_other_metrics(self, prior: Prior) -> list[int]:
        """Tasks judged by another metric, where there are enough of the asked one.

        No task counts twice: of one that was judged by several metrics, the asked one stays, or
        the one that most tasks were judged by.
        """
        metrics = [metric_name(task.metric) for task in prior.tasks]
        known = Counter(metric for metric in metrics if metric != UNSAID)
        asked = metric_name(self._metric or "")
        is_asked = asked in known
        if not is_asked and known:
            usual = list(HIGHER_IS_BETTER)
            asked = max(known, key=lambda m: (known[m], -usual.index(m) if m in usual else -99))
        if is_asked and known[asked] >= _FEWEST_OF_METRIC:
            return [t for t, metric in enumerate(metrics) if metric not in (asked, UNSAID)]
        judged = [(task.source, task.id) for task in prior.tasks]
        kept: dict[tuple[str, str], int] = {}
        for t in sorted(range(len(metrics)), key=lambda t: (metrics[t] != asked, t)):
            kept.setdefault(judged[t], t)
        return sorted(set(range(len(metrics))) - set(kept.values()))

    def _check_exclude(self) -> None:
        if SIMILAR in self._exclude and self._task is None:
            raise ValueError(
                "exclude='similar' given without a task to compare; pass "
                "task=warmstart.describe(X, y)."
            )
        asked = self._exclude - {SIMILAR}
        if not asked:
            return
        known: set[str] = set()
        for name in self._in_artifact:
            for task in unpack_prior(self._artifact, name).tasks:
                known |= _names(task)
        for history in (h for histories in self._own.values() for h in histories):
            info = history.info
            known |= {info.task, info.name, info.dataset, info.family}
        unknown = sorted(asked - known)
        if unknown:
            raise ValueError(
                f"exclude={unknown} given; expected ids, names, data sets or families of "
                "training tasks, as 'metaopt info' lists them, or 'similar'."
            )


def _check(name: str, given: object, kind: type | UnionType, expected: str) -> None:
    if given is not None and not isinstance(given, kind):
        raise TypeError(
            f"{name} of type {type(given).__name__} given; expected {expected}, or None."
        )


def _read(histories: Histories | None) -> Sequence[History]:
    _check(
        "histories",
        histories,
        HistoryStore | str | os.PathLike | Iterable,
        "a HistoryStore, its path or histories",
    )
    if histories is None:
        return []
    if isinstance(histories, str | os.PathLike):
        histories = HistoryStore(histories, create=False)
    if isinstance(histories, HistoryStore):
        return histories.histories()
    given = list(histories)
    for history in given:
        if not isinstance(history, History):
            raise TypeError(f"histories with {history!r} given; expected each to be a History.")
    return given


def _with_own(name: str, own: Sequence[History], prior: Prior | None) -> Prior:
    if prior is None:
        _, space, aligned = align_histories(name, own)
        return learn_prior(name, space, aligned)
    return extend_prior(prior, align_histories(name, own, space=prior.space)[2])


def _shared(weights: np.ndarray, is_own: np.ndarray) -> np.ndarray:
    """The weights with the user's own tasks at their share, where there are others."""
    if is_own.all() or not is_own.any():
        return weights
    own = weights * is_own / weights[is_own].sum()
    shipped = weights * ~is_own / weights[~is_own].sum()
    return _OWN_SHARE * own + (1.0 - _OWN_SHARE) * shipped


def _names(task: SourceTask) -> set[str]:
    return {task.id, task.name, task.dataset, task.family} - {""}


def _size(task: TaskDescriptor | None) -> TaskSize:
    if task is None:
        return TaskSize()
    columns, rows = (task.metafeatures[n] for n in ("NumberOfFeatures", "NumberOfInstances"))
    columns -= 1  # OpenML counts the target
    return TaskSize(*(int(n) if np.isfinite(n) and n >= 1 else None for n in (columns, rows)))
