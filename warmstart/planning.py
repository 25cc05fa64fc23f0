"""Planning a trial: a whole configuration, chosen when the first of its values is asked for.

A study does not declare its space. What it tunes is known from its earlier trials; before there
are any, hyperparameters that were not asked for yet are taken to be tuned on the range that was
learned. When one turns out to be tuned on another range, or not to be what the plan took it for,
the rest is planned anew around the values that were already given.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from warmstart.alignment import Alignment, align
from warmstart.axes import Axes, Axis
from warmstart.choices import plain_choice
from warmstart.distributions import external_value, parameter_of
from warmstart.estimator import UNKNOWN, Unknown
from warmstart.knowledge import Source
from warmstart.matching import Match, Unmatched
from warmstart.proposals import Observations, Proposal, Proposer
from warmstart.provenance import read_provenance, unpack_coordinates
from warmstart.space import Parameter, Value
from warmstart.study_trials import StudyTrial, finite_losses

# Spaces whose axes and candidates are kept: a study has one, or a few that alternate.
_MOST_KEPT: Final = 4
# Rows of coordinates nearer than this are the same configuration.
_SAME: Final = 1e-5
# A planned number may be moved so far to where the user's parameter can be, as a grid needs.
_NEAR_ENOUGH: Final = 0.03
# By so much the draw widens for each configuration that another worker has taken.
_MORE_WHERE_TAKEN: Final = 3

Distributions = Mapping[str, BaseDistribution]


@dataclass(frozen=True)
class Plan:
    """A configuration for one trial.

    Attributes:
        values: By the user's names, as the distributions have them.
        distributions: What the values were chosen from.
        row: Canonical coordinates of all, ``(d,)``.
        stand_ins: Canonical names that were planned, but may not be tuned.
        proposal: Why it was chosen.
    """

    values: Mapping[str, Any]
    distributions: Distributions
    row: np.ndarray
    stand_ins: frozenset[str]
    proposal: Proposal

    def serves(self, given: Mapping[str, Any], asked: Distributions) -> bool:
        """Whether it has the asked values, and those that the trial was given are as planned."""
        return self.fits(given) and all(
            self.distributions.get(name) == distribution for name, distribution in asked.items()
        )

    def fits(self, given: Mapping[str, Any]) -> bool:
        """Whether values that the trial was given are as planned, where they were planned."""
        return all(
            type(self.values[name]) is type(value) and self.values[name] == value
            for name, value in given.items()
            if name in self.values
        )


@dataclass(frozen=True)
class Space:
    """What a study is known to tune, on the axes of one estimator.

    Attributes:
        distributions: By the user's names.
        alignment: Of all of them.
        stand_ins: Canonical names that the user may tune, but was not seen to.
        axes: Those of the matched and those of the stand-ins.
        proposer: On these axes.
        around: Others, of trials of which some values are set: a constant is in all of them.
    """

    distributions: Distributions
    alignment: Alignment
    stand_ins: frozenset[str]
    axes: Axes
    proposer: Proposer
    around: OrderedDict[Hashable, Proposer] = field(default_factory=OrderedDict)


class Planner:
    """Plans the trials of one study with one source.

    Args:
        source: What is known of the estimator.
        seed: Of the random candidates.
    """

    def __init__(self, source: Source, *, seed: int) -> None:
        self.source = source
        self._seed = seed
        self._prior = source.prior
        self._encoding = source.prior.encoding
        self._alignments: OrderedDict[Hashable, Alignment] = OrderedDict()
        self._spaces: OrderedDict[Hashable, Space] = OrderedDict()
        self._rows: dict[int, np.ndarray] = {}
        self._rows_of: Hashable = None
        self._last_key: tuple[Distributions, Hashable] = ({}, ())

    def alignment(
        self, distributions: Distributions, fixed: Mapping[str, Any] | None = None
    ) -> Alignment:
        """How a user's parameters stand for hyperparameters.

        Args:
            distributions: By the user's names.
            fixed: Values that are set but not tuned.
        """
        plain = {name: plain_choice(value) for name, value in (fixed or {}).items()}
        key = (self._key(distributions), tuple(sorted((n, repr(v)) for n, v in plain.items())))
        if key not in self._alignments:
            parameters = {name: parameter_of(d) for name, d in distributions.items()}
            alignment = align(parameters, self.source.matcher, fixed=plain)
            _keep(self._alignments, key, alignment)
        return self._alignments[key]

    def plan(
        self,
        distributions: Distributions,
        trials: Sequence[StudyTrial],
        *,
        given: Mapping[str, Any],
        fixed: Mapping[str, Any],
        rng: np.random.Generator,
        avoid: Sequence[np.ndarray] = (),
    ) -> Plan:
        """Choose all values of a trial.

        With rows to avoid, the choice is drawn from several of the best: whoever chose the same
        at the same time then chooses another.

        Args:
            distributions: What the study is known to tune.
            trials: Its other trials.
            given: Values that this trial already has, by the user's names.
            fixed: Values that it will have.
            rng: Of the local search.
            avoid: Rows of coordinates that are taken by others.
        """
        set_values = {**fixed, **given}
        untuned = {n: v for n, v in set_values.items() if n not in distributions}
        space = self._space(distributions, trials, untuned)
        around = self._around(space, set_values)
        proposer = space.proposer
        if around:
            key = tuple(sorted(around.items()))
            if key not in space.around:
                _keep(space.around, key, self._proposer(space.axes, space.alignment, around))
            space.around.move_to_end(key)
            proposer = space.around[key]
        observations = self._observations(space, trials, avoid)
        proposal = proposer.propose(observations, rng, among=1 + _MORE_WHERE_TAKEN * len(avoid))
        values = {
            name: external_value(distributions[name], value)
            for name, value in space.axes.values(proposal.position).items()
            if name in space.alignment.matched
        }
        # As they were set: the way over positions loses digits, types and what lies outside.
        values |= {name: set_values[name] for name in values if name in set_values}
        return Plan(
            values=values,
            distributions={name: distributions[name] for name in values},
            row=proposal.coordinates,
            stand_ins=space.stand_ins,
            proposal=proposal,
        )

    def extend(self, plan: Plan, distributions: Distributions, name: str) -> Plan | None:
        """The plan with the value of one more parameter, if the one planned for it can be had.

        Args:
            plan: Made when it was not known that ``name`` is tuned.
            distributions: Of the plan's values and of ``name``.
            name: A parameter.
        """
        match = self.alignment(distributions).matched.get(name)
        if match is None or match.canonical not in plan.stand_ins:
            return None
        axis = Axis(match, parameter_of(distributions[name]), self._encoding)
        planned = plan.row[axis.column]
        position = float(axis.nearest(np.array([planned]))[0])
        reached = axis.coordinates(np.array([position]))[0]
        if not np.isnan(planned) and not abs(reached - planned) <= _NEAR_ENOUGH * axis.is_numeric:
            return None
        row = plan.row.copy()
        row[axis.column] = reached if not np.isnan(planned) else np.nan
        value = external_value(distributions[name], axis.value(position))
        return replace(
            plan,
            values={**plan.values, name: value},
            distributions={**plan.distributions, name: distributions[name]},
            row=row,
            stand_ins=plan.stand_ins - {match.canonical},
        )

    def planned_rows(self, trials: Iterable[StudyTrial]) -> list[np.ndarray]:
        """The coordinates ``(d,)`` of those trials that say where they were planned."""
        rows = map(self._planned_row, trials)
        return [row for row in rows if row is not None]

    def like(self, plan: Plan, rows: Iterable[np.ndarray]) -> list[np.ndarray]:
        """Those of the rows ``(d,)`` that have the plan's values on all that the user tunes."""
        matched = self.alignment(plan.distributions).matched
        columns = [self._encoding.names.index(match.canonical) for match in matched.values()]
        if not columns:
            return []
        own = np.nan_to_num(plan.row[columns], nan=-9.0)
        return [
            row
            for row in rows
            if np.abs(np.nan_to_num(row[columns], nan=-9.0) - own).max() < _SAME
        ]

    def _planned_row(self, trial: StudyTrial) -> np.ndarray | None:
        """The coordinates that a trial says it was planned at, if this planner can read them."""
        said = read_provenance(trial.user_attrs)
        if said is None or said.estimator != self._prior.estimator:
            return None
        row = unpack_coordinates(said.coordinates)
        return row if len(row) == len(self._encoding.names) else None

    def _key(self, distributions: Distributions) -> Hashable:
        """What tells spaces apart; the last one is kept, as each is asked for several times."""
        last, key = self._last_key
        if len(last) != len(distributions) or any(
            last.get(name) is not distribution for name, distribution in distributions.items()
        ):
            key = tuple((name, repr(distributions[name])) for name in sorted(distributions))
            self._last_key = dict(distributions), key
        return key

    def _space(
        self,
        distributions: Distributions,
        trials: Sequence[StudyTrial],
        untuned: Mapping[str, Any],
    ) -> Space:
        alignment = self.alignment(distributions, untuned)
        stand_ins = self._stand_ins(alignment, trials, untuned)
        key = (self._key(distributions), stand_ins, tuple(sorted(map(repr, untuned.items()))))
        if key not in self._spaces:
            axes = self._axes(distributions, alignment, stand_ins)
            proposer = self._proposer(axes, alignment, {})
            space = Space(distributions, alignment, stand_ins, axes, proposer)
            _keep(self._spaces, key, space)
        self._spaces.move_to_end(key)
        return self._spaces[key]

    def _proposer(
        self, axes: Axes, alignment: Alignment, around: Mapping[int, tuple[float, float]]
    ) -> Proposer:
        return Proposer(
            self._prior,
            axes,
            self.source.task_weights,
            seed=self._seed,
            fixed=around,
            told_apart_by=[
                self._encoding.names.index(match.canonical) for match in alignment.matched.values()
            ],
        )

    def _stand_ins(
        self,
        alignment: Alignment,
        trials: Sequence[StudyTrial],
        untuned: Mapping[str, Any],
    ) -> frozenset[str]:
        """Hyperparameters that may be tuned: in no trial with a loss were they active, yet absent.

        A trial that failed may have failed before it asked for them.
        """
        tuned = {match.canonical: name for name, match in alignment.matched.items()}
        undecided = {name for name in self._encoding.names if name not in tuned}
        undecided -= {self._canonical_name(name, value) for name, value in untuned.items()}
        for trial in trials:
            if not undecided:
                break
            if trial.loss is not None and math.isfinite(trial.loss):
                undecided -= self._active(trial, tuned) & undecided
        return frozenset(undecided)

    def _canonical_name(self, name: str, value: Any) -> str:
        readings, _ = self.source.matcher.readings(name)
        return readings[0].hyperparameter.name if readings else ""

    def _active(self, trial: StudyTrial, tuned: Mapping[str, str]) -> set[str]:
        """Hyperparameters that had an effect in a trial, as far as its parameters say."""
        inactive = set()
        for name in self._encoding.names:
            for parent, _ in self._encoding.parents(name):
                own = tuned.get(parent)
                if own is not None and own in trial.params:
                    condition = self._prior.space.conditions[name]
                    value = self._canonical_value(own, trial)
                    if parent == condition.parameter and value not in condition.values:
                        inactive.add(name)
                if parent in inactive:
                    inactive.add(name)
        return set(self._encoding.names) - inactive

    def _canonical_value(self, name: str, trial: StudyTrial) -> Value | Unknown:
        match = self._match(name, trial.distributions[name])
        return UNKNOWN if match is None else match.to_canonical(plain_choice(trial.params[name]))

    def _match(self, name: str, distribution: BaseDistribution) -> Match | None:
        found = self.source.matcher.find(name, parameter_of(distribution), trust_prefix=True)
        return None if isinstance(found, Unmatched) else found

    def _axes(
        self, distributions: Distributions, alignment: Alignment, stand_ins: frozenset[str]
    ) -> Axes:
        axes = {
            match.canonical: Axis(match, parameter_of(distributions[name]), self._encoding)
            for name, match in alignment.matched.items()
        }
        for name in stand_ins:
            parameter: Parameter = self._prior.space.parameters[name]
            found = self.source.matcher.find(name, parameter, trust_prefix=True)
            if isinstance(found, Match) and found.canonical not in axes:
                axes[found.canonical] = Axis(found, parameter, self._encoding)
        return Axes(axes, self._encoding, fixed=alignment.missing)

    def _around(self, space: Space, values: Mapping[str, Any]) -> dict[int, tuple[float, float]]:
        """Positions and coordinates, by index of the axis, of values that are set."""
        around = {}
        for k, axis in enumerate(space.axes.axes):
            if axis.name not in space.alignment.matched or axis.name not in values:
                continue
            value = plain_choice(values[axis.name])
            coordinate = axis.coordinate(value)
            position = axis.position(value)
            if position is None:
                position = float(axis.nearest(np.array([coordinate]))[0])
            around[k] = (position, coordinate)
        return around

    def _observations(
        self, space: Space, trials: Sequence[StudyTrial], avoid: Sequence[np.ndarray]
    ) -> Observations:
        finished = [t for t in trials if t.loss is not None]
        running = [t for t in trials if t.loss is None]
        losses = finite_losses(finished)
        if not len(losses):  # All failed: nothing to learn from but where not to go.
            running, finished = [*finished, *running], []
        rows = self._decoded(space, finished)
        pending = [*(self._pending_row(space, trial) for trial in running), *avoid]
        d = len(self._encoding.names)
        return Observations(
            rows,
            losses,
            np.array(pending).reshape(len(pending), d),
            self._not_asked(space, finished),
        )

    def _not_asked(self, space: Space, trials: Sequence[StudyTrial]) -> np.ndarray | None:
        """Which hyperparameters the program does not ask for where a trial is, ``(n, d)``.

        Those that a complete trial lacks, and with it all that made the same choices. None: none.
        """
        matched = space.alignment.matched
        choices = [
            frozenset(
                (name, repr(value))
                for name, value in trial.params.items()
                if name in matched
                and isinstance(trial.distributions[name], CategoricalDistribution)
            )
            for trial in trials
        ]
        branches = {
            own for own, trial in zip(choices, trials, strict=True) if own and trial.is_final
        }
        lacking = np.zeros((len(trials), len(self._encoding.names)), dtype=bool)
        for name, match in matched.items():
            having = {
                own for own, trial in zip(choices, trials, strict=True) if name in trial.params
            }
            if not having or len(having) == len(set(choices)):
                continue
            without = {own for own in branches if not any(own <= other for other in having)}
            column = self._encoding.names.index(match.canonical)
            lacking[:, column] = [
                trial.is_final and own in without
                for own, trial in zip(choices, trials, strict=True)
            ]
        return lacking if lacking.any() else None

    def _decoded(self, space: Space, trials: Sequence[StudyTrial]) -> np.ndarray:
        """Coordinates of finished trials, ``(n, d)``; each is decoded once."""
        base = space.axes.base.tobytes()
        key = (self._key(space.distributions), base)
        if key != self._rows_of:
            self._rows, self._rows_of = {}, key
        new = [trial for trial in trials if trial.number not in self._rows]
        if new:
            rows = self._encoding.settle(np.array([self._row(space, trial) for trial in new]))
            self._rows.update((trial.number, row) for trial, row in zip(new, rows, strict=True))
        d = len(self._encoding.names)
        return np.array([self._rows[t.number] for t in trials]).reshape(len(trials), d)

    def _row(self, space: Space, trial: StudyTrial) -> np.ndarray:
        row = space.axes.base.copy()
        for name, value in trial.params.items():
            match = space.alignment.matched.get(name)
            if match is None:
                continue
            if trial.distributions[name] != space.distributions[name]:
                match = self._match(name, trial.distributions[name])
            if match is None:
                continue
            canonical = match.to_canonical(plain_choice(value))
            if canonical is not UNKNOWN:
                j = self._encoding.names.index(match.canonical)
                row[j] = self._encoding.coordinate(match.canonical, canonical)
        return row

    def _pending_row(self, space: Space, trial: StudyTrial) -> np.ndarray:
        """Where a running trial will be: what it has, and what is planned of the rest."""
        row = self._encoding.settle(self._row(space, trial)[None])[0]
        planned = self._planned_row(trial)
        if planned is None:
            return row
        given = [
            self._encoding.names.index(space.alignment.matched[name].canonical)
            for name in trial.params
            if name in space.alignment.matched
        ]
        planned[given] = row[given]
        return planned


def _keep(kept: OrderedDict[Hashable, Any], key: Hashable, value: Any) -> None:
    kept[key] = value
    if len(kept) > _MOST_KEPT:
        kept.popitem(last=False)
