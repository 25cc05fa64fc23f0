"""The pruner: Optuna's contract on one side, a learned rule for learning curves on the other."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import optuna
from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from warmstart.artifact import Artifact, read_artifact
from warmstart.curve_model import CurveModel, shipped_curve_model, unpack_curve_model
from warmstart.curves import Curve, StudyCurves

_logger = optuna.logging.get_logger("optuna.warmstart")

# Curves that others are measured against: the best finished ones, the latest stopped ones.
_MOST_FINISHED: Final = 50
_MOST_STOPPED: Final = 100
# For each trial in a row that was stopped, thresholds fall by so much (log odds): where all are
# stopped, the incumbent may be a bad one that others merely begin worse than.
_LENIENCY: Final = 0.045


class WarmStartPruner(BasePruner):
    """Stops trials whose learning curves say that they will not become the best.

    It has learned from learning curves of networks on other data sets how curves go on: which end
    below the best finished one, and when waiting for that is worth its steps. It sees ratios of
    reported values only, so the unit and direction of the objective and the number of steps don't
    matter. Whatever the finished trials of the study last reported counts as their end.

    Before ``n_startup_trials`` trials have finished, none is stopped, nor is a trial whose last
    value is better than the best finished one's. Where a curve is like
    nothing that it learned from, and in studies whose finished curves it would have stopped
    wrongly, it does as ``MedianPruner`` does: it stops a trial whose best value so far is worse
    than the median of the finished ones. A trial that reported nothing but NaN or infinity is
    stopped. Like all of Optuna's pruners it has nothing to say about several objectives:
    ``trial.should_prune`` raises ``NotImplementedError`` there.

    All that it knows of a study it reads from the study, so workers may share one and it may be
    resumed.

    Args:
        n_startup_trials: Trials that finish before any is stopped.
        n_warmup_steps: Steps of each trial during which it is not stopped.
        interval_steps: Steps between two looks at a trial, counted from the warm-up.
        artifact: An artifact, or the path of one, in place of the shipped one.

    Raises:
        ArtifactError: If the artifact can't be used.
        ValueError: If a number is too small.

    Example:
        >>> import optuna, warmstart
        >>> study = optuna.create_study(pruner=warmstart.WarmStartPruner())
    """

    def __init__(
        self,
        *,
        n_startup_trials: int = 1,
        n_warmup_steps: int = 0,
        interval_steps: int = 1,
        artifact: Artifact | str | os.PathLike[str] | None = None,
    ) -> None:
        for name, value, least in (
            ("n_startup_trials", n_startup_trials, 1),
            ("n_warmup_steps", n_warmup_steps, 0),
            ("interval_steps", interval_steps, 1),
        ):
            if value < least:
                raise ValueError(f"{name}={value} given; expected at least {least}.")
        self._n_startup_trials = n_startup_trials
        self._n_warmup_steps = n_warmup_steps
        self._interval_steps = interval_steps
        self._model = _model_of(artifact)
        self._judged: tuple[tuple[object, ...], bool] = ((), False)

    def __repr__(self) -> str:
        return (
            f"WarmStartPruner(n_startup_trials={self._n_startup_trials}, "
            f"n_warmup_steps={self._n_warmup_steps}, interval_steps={self._interval_steps})"
        )

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether to stop a trial after what it has reported."""
        if not self._looks_at(trial.intermediate_values):
            return False
        sign = 1.0 if study.direction == StudyDirection.MINIMIZE else -1.0
        finished, stopped = (
            [curve for t in trials if len((curve := _curve(t.intermediate_values, sign)).steps)]
            for trials in _finished_and_stopped(study)
        )
        if len(finished) < self._n_startup_trials:
            return False
        curve = _curve(trial.intermediate_values, sign)
        if not len(curve.steps):
            return True
        return self._stops(curve, finished, stopped, leniency=_LENIENCY * _n_in_a_row(study))

    def _looks_at(self, reported: Mapping[int, float]) -> bool:
        """Whether the last report is the first one in its interval after the warm-up."""
        if not reported:
            return False
        *earlier, last = sorted(reported)
        if last < self._n_warmup_steps:
            return False
        interval = (last - self._n_warmup_steps) // self._interval_steps
        begin = self._n_warmup_steps + interval * self._interval_steps
        return not earlier or earlier[-1] < begin

    def _stops(
        self,
        curve: Curve,
        finished: Sequence[Curve],
        stopped: Sequence[Curve],
        *,
        leniency: float,
    ) -> bool:
        best = sorted(finished, key=lambda other: float(other.losses[-1]))[:_MOST_FINISHED]
        if curve.losses[-1] < best[0].losses[-1]:
            return False
        features = StudyCurves(best, stopped[-_MOST_STOPPED:]).features(curve)
        if features is None or not self._model.knows(features) or self._misleads(finished):
            return bool(curve.losses.min() > np.median(_lowest_until(curve.steps[-1], finished)))
        return self._model.stops(features, leniency=leniency)

    def _misleads(self, finished: Sequence[Curve]) -> bool:
        key = tuple((len(curve.steps), float(curve.losses[-1])) for curve in finished)
        known, misleads = self._judged
        if known != key:
            misleads = self._model.misleads(finished)
            if misleads:
                _logger.info(
                    "The learned rule would have stopped finished trials that were better than "
                    "others: WarmStartPruner compares with the median."
                )
            self._judged = (key, misleads)
        return misleads


def _model_of(artifact: Artifact | str | os.PathLike[str] | None) -> CurveModel:
    if artifact is None:
        return shipped_curve_model()
    return unpack_curve_model(
        artifact if isinstance(artifact, Artifact) else read_artifact(artifact)
    )


def _finished_and_stopped(study: Study) -> tuple[list[FrozenTrial], list[FrozenTrial]]:
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return finished, [trial for trial in trials if trial.state == TrialState.PRUNED]


def _n_in_a_row(study: Study) -> int:
    """How many trials were stopped since the last one that finished."""
    finished, stopped = _finished_and_stopped(study)
    last = max((trial.number for trial in finished), default=-1)
    return sum(trial.number > last for trial in stopped)


def _curve(reported: Mapping[int, float], sign: float) -> Curve:
    """What was reported, as losses; without what is not finite."""
    steps = [step for step in sorted(reported) if np.isfinite(reported[step])]
    return Curve(np.array(steps, dtype=float), sign * np.array([reported[step] for step in steps]))


def _lowest_until(step: float, finished: Sequence[Curve]) -> list[float]:
    """The lowest loss of each curve up to a step; its first one if it began later."""
    return [float(c.losses[: max(1, int((c.steps <= step).sum()))].min()) for c in finished]
