"""The experiments of an evaluation: from what to learn, what to predict.

Each is a function of one estimator and one fold of families; it gives *arms*, which are rows of
scores, by name. What is judged was never learned from, unless an arm's name says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from metaopt.evaluation.altered import (
    half_at_random,
    half_evenly,
    shortened,
    with_permuted_descriptors,
)
from metaopt.evaluation.judging import Judging, Row, judge
from metaopt.evaluation.learned import comparing_by, learn
from metaopt.evaluation.options import DEVIATIONS, FACTORS, EvaluationOptions
from metaopt.evaluation.subjects import Subject, split
from metaopt.training.extending import extended
from metaopt.training.figures import in_memory
from metaopt.training.trainer import SETTINGS
from warmstart.artifact import Artifact
from warmstart.history import History
from warmstart.prior_file import estimators_in, unpack_prior

#: Rows by the name of the arm.
Arms = dict[str, list[Row]]

_ROWS_AND_COLUMNS: Final = ("NumberOfInstances", "NumberOfFeatures")
_FEWEST_TASKS: Final = 3  # to learn from
_FEWEST_DESCRIBED: Final = 12


@dataclass
class Workshop:
    """One estimator on one fold, and what was learned there already.

    Attributes:
        subject: The estimator and its histories.
        fold: That is judged.
        options: Of the evaluation.
        artifact: That is evaluated.
        facts: What else should be reported, by name.
    """

    subject: Subject
    fold: int
    options: EvaluationOptions
    artifact: Artifact
    facts: dict[str, Any] = field(default_factory=dict)
    _learned: Artifact | None = None

    @property
    def training(self) -> list[History]:
        """All histories of the other folds."""
        return split(self.subject.histories, fold=self.fold, n_folds=self.options.n_folds)[0]

    @property
    def held_out(self) -> list[History]:
        """The histories of this fold that are predicted."""
        inside = split(self.subject.judged, fold=self.fold, n_folds=self.options.n_folds)[1]
        return self.some(inside)

    @property
    def learned(self) -> Artifact | None:
        """What the other folds teach, as training would write it; learned once."""
        if self._learned is None:
            self._learned = self.learn(self.training)
        return self._learned

    def learn(self, histories: Sequence[History]) -> Artifact | None:
        """What some histories teach; ``None`` if they are too few."""
        if len({history.info.task for history in histories}) < _FEWEST_TASKS:
            return None
        return learn(self.subject.estimator, histories, seed=self.options.seed)

    def judge(
        self, artifact: Artifact | None, histories: Sequence[History], **how: Any
    ) -> list[Row]:
        """Rows for each history; none if nothing was learned."""
        if artifact is None:
            return []
        judging = Judging(n_splits=self.options.n_splits, seed=self.options.seed, **how)
        return judge(artifact, self.subject.estimator, histories, judging)

    def some(self, histories: Sequence[History]) -> list[History]:
        """As many of the histories as are judged at most, drawn at random."""
        order = self.rng().permutation(len(histories))[: self.options.most_tasks]
        return [histories[i] for i in np.sort(order)]

    def rng(self) -> np.random.Generator:
        """The same at each call."""
        return np.random.default_rng([self.options.seed, self.fold])

    def of_families(self, histories: Sequence[History], families: Sequence[str]) -> list[History]:
        """The histories on data sets of these families."""
        chosen = set(families)
        return [history for history in histories if history.info.family in chosen]

    def in_random_order(self, histories: Sequence[History]) -> list[str]:
        """The families of some histories, in random order."""
        families = sorted({history.info.family for history in histories})
        return [families[i] for i in self.rng().permutation(len(families))]

    def judged_among(self, histories: Sequence[History]) -> list[History]:
        """Of histories to learn from, those that are predicted, as many as at most."""
        return self.some([h for h in histories if h.info.metric == self.subject.metric])


def own_tasks(shop: Workshop) -> Arms:
    """The artifact itself on tasks that it was trained on, with and without their own share."""
    name = shop.subject.estimator
    if name not in estimators_in(shop.artifact):
        return {}
    tasks = unpack_prior(shop.artifact, name).tasks
    known = {(task.source, task.id) for task in tasks}
    names = {name for task in tasks for name in (task.id, task.family)}
    old = shop.some([h for h in shop.subject.judged if (h.info.source, h.info.task) in known])
    shop.facts["n_tasks_of_artifact"] = len(known)

    def own(history: History) -> set[str]:
        return {history.info.task, history.info.family} & names

    return {
        "trained on": shop.judge(shop.artifact, old),
        "own family excluded": shop.judge(shop.artifact, old, exclude=own),
        "no transfer": shop.judge(shop.artifact, old, transfer=False),
    }


def held_out(shop: Workshop) -> Arms:
    """What the other folds teach, on this one; and on tasks that it was taught with."""
    started = time.perf_counter()
    learned = shop.learned
    shop.facts["seconds_to_learn"] = time.perf_counter() - started
    if learned is None:
        return {}
    prior = unpack_prior(learned, shop.subject.estimator)
    shop.facts |= {
        "agreement": prior.agreement,
        "bandwidth": prior.bandwidth,
        "n_tasks": len({(task.source, task.id) for task in prior.tasks}),
    }
    started = time.perf_counter()
    arms = {"transfer": shop.judge(learned, shop.held_out, factors=FACTORS, deviations=DEVIATIONS)}
    shop.facts["seconds_to_judge"] = time.perf_counter() - started
    arms["no transfer"] = shop.judge(learned, shop.held_out, transfer=False)
    arms["trained on"] = shop.judge(learned, shop.judged_among(shop.training))
    return arms


def number_of_tasks(shop: Workshop) -> Arms:
    """What so many tasks teach, on others and on themselves."""
    arms: Arms = {}
    families = shop.in_random_order(shop.training)
    for size in shop.options.sizes:
        if size >= len(families):
            break
        few = shop.of_families(shop.training, families[:size])
        learned = shop.learn(few)
        arms[f"{size} families"] = shop.judge(learned, shop.held_out)
        arms[f"{size} families, trained on"] = shop.judge(learned, shop.judged_among(few))
    return arms


def number_of_trials(shop: Workshop) -> Arms:
    """What so many trials of each task teach."""
    if not shop.training:
        return {}
    usual = float(np.median([len(history) for history in shop.training]))
    arms: Arms = {}
    for length in shop.options.lengths:
        if length < usual:
            short = shortened(shop.training, length, seed=shop.options.seed)
            arms[f"{length} trials"] = shop.judge(shop.learn(short), shop.held_out)
    return arms


def probes(shop: Workshop) -> Arms:
    """What is left where a shortcut is barred."""
    subject, seed = shop.subject, shop.options.seed
    arms: Arms = {}
    learned = shop.learned
    if learned is not None:
        by_size = comparing_by(learned, _ROWS_AND_COLUMNS)
        arms["only rows and columns known"] = shop.judge(by_size, shop.held_out)

    def with_histories(changed: Sequence[History], name: str) -> None:
        altered = Subject(subject.estimator, tuple(changed), subject.metric)
        other = Workshop(altered, shop.fold, shop.options, shop.artifact)
        arms[name] = other.judge(other.learned, other.held_out)
        arms[f"{name}, no transfer"] = other.judge(other.learned, other.held_out, transfer=False)

    with_histories(with_permuted_descriptors(subject.histories, seed=seed), "descriptors permuted")
    with_histories(half_at_random(subject.histories, seed=seed), "half of the runs, at random")
    with_histories(
        half_evenly(subject.estimator, subject.histories, seed=seed), "half of the runs, evenly"
    )
    return arms


def interference(shop: Workshop) -> Arms:
    """What the histories of another source or metric add to those of the judged kind."""
    kinds: dict[tuple[str, str], list[History]] = {}
    for history in shop.training:
        kinds.setdefault((history.info.source, history.info.metric), []).append(history)
    own = [
        history
        for (_, metric), group in kinds.items()
        if metric == shop.subject.metric
        for history in group
    ]
    shop.facts["added"] = sorted(
        f"{source}, {metric}" for source, metric in kinds if metric != shop.subject.metric
    )
    arms = {}
    if shop.facts["added"]:
        arms["own metric only"] = shop.judge(shop.learn(own), shop.held_out)
    sources = sorted({source for source, _ in kinds})
    for source in sources if len(sources) > 1 else ():
        of_source = [h for h in shop.training if h.info.source == source]
        judged = [h for h in shop.held_out if h.info.source == source]
        arms[f"{source} only"] = shop.judge(shop.learn(of_source), judged)
        arms[f"{source} and others"] = shop.judge(shop.learned, judged)
    return arms


def larger_tasks(shop: Workshop) -> Arms:
    """What small data sets teach of large ones, beside what as many of any size teach."""
    sizes: dict[str, float] = {}
    for history in shop.subject.judged:
        described = (history.info.descriptor or {}).get("metafeatures", {})
        rows, columns = (described.get(name, np.nan) for name in _ROWS_AND_COLUMNS)
        if np.isfinite(rows * columns):
            family = history.info.family
            sizes[family] = max(sizes.get(family, 0.0), rows * columns)
    shop.facts["n_families_described"] = len(sizes)
    if len(sizes) < _FEWEST_DESCRIBED:
        return {}
    ordered = sorted(sizes, key=lambda family: (sizes[family], family))
    small, large = ordered[: len(ordered) // 2], ordered[len(ordered) // 2 :]
    shuffled = [large[i] for i in shop.rng().permutation(len(large))]
    judged, others = shuffled[: len(large) // 2], shuffled[len(large) // 2 :]
    mixed = sorted([*small, *others])
    any_size = [mixed[i] for i in shop.rng().permutation(len(mixed))[: len(small)]]
    targets = shop.some(shop.of_families(shop.subject.judged, judged))
    histories = shop.subject.histories
    return {
        "learned from small ones": shop.judge(
            shop.learn(shop.of_families(histories, small)), targets
        ),
        "learned from any": shop.judge(shop.learn(shop.of_families(histories, any_size)), targets),
    }


def lifelong(shop: Workshop) -> Arms:
    """Half of the families first, the others added later; beside learning all at once."""
    name = shop.subject.estimator
    families = shop.in_random_order(shop.training)
    first, later = (
        shop.of_families(shop.training, half)
        for half in (families[: len(families) // 2], families[len(families) // 2 :])
    )
    before = shop.learn(first)
    if before is None:
        return {}
    prior = unpack_prior(before, name)
    addition = extended(prior, later, most_tasks=SETTINGS["most_tasks"], seed=shop.options.seed)
    old = shop.judged_among(first)
    arms: Arms = {}
    for stage, artifact in (
        ("before", before),
        ("added", in_memory(addition.prior)),
        ("all at once", shop.learned),
    ):
        arms[f"{stage}, old tasks"] = shop.judge(
            artifact, old, exclude=lambda history: {history.info.family}
        )
        arms[f"{stage}, new tasks"] = shop.judge(artifact, shop.held_out)
    return arms


@dataclass(frozen=True)
class Experiment:
    """One experiment.

    Attributes:
        run: Gives the arms.
        n_folds: On how many folds it is run.
    """

    run: Callable[[Workshop], Arms]
    n_folds: Callable[[EvaluationOptions], int]


def _once(options: EvaluationOptions) -> int:
    return 1


def _judged(options: EvaluationOptions) -> int:
    return min(options.n_folds_judged, options.n_folds)


def _varied(options: EvaluationOptions) -> int:
    return min(options.n_folds_varied, options.n_folds)


EXPERIMENTS: Final[Mapping[str, Experiment]] = {
    "own tasks": Experiment(own_tasks, _once),
    "held out": Experiment(held_out, _judged),
    "number of tasks": Experiment(number_of_tasks, _varied),
    "number of trials": Experiment(number_of_trials, _varied),
    "larger tasks": Experiment(larger_tasks, _once),
    "interference": Experiment(interference, _varied),
    "probes": Experiment(probes, _varied),
    "lifelong": Experiment(lifelong, _varied),
}
