"""Trials that are left to Optuna's TPE, though something is known of their parameters.

What all source tasks praise may be bad on yours, and a model that believes them too firmly looks
nowhere else. TPE, which knows nothing of them, finds what they miss; so it has a part of the
trials, and a larger one where the trials so far speak against the sources. Both learn from all
trials. In a study that chooses between estimators, each branch counts its own. Trials that were
enqueued are neither's, and take no turn.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import TPESampler

from warmstart.provenance import META_LEARNER, read_provenance
from warmstart.study_trials import StudyTrial

__all__ = ["has_room", "is_delegated", "memoryless_tpe"]

# Not before so many trials are finished, of which TPE draws the first ten at random;
_FIRST: Final = 10
# then every fourth,
_EVERY: Final = 4
# and every second where the source tasks have less than this to say.
_EVERY_IN_DOUBT: Final = 2
_DOUBT: Final = 0.02
# Not where more than one in so many came to nothing, of which TPE learns nothing.
_MOST_FAILED: Final = 20
# Not where there are fewer configurations than this for each trial.
_ROOM: Final = 20


def is_delegated(number: int, trials: Sequence[StudyTrial]) -> bool:
    """Whether a trial is TPE's.

    It depends on how many came before it, but for enqueued ones, and on what the sources had to
    say in the last of these that was planned.

    Args:
        number: Of the trial.
        trials: The study's others, by number.
    """
    before = [trial for trial in trials if trial.number < number]
    n = sum(not trial.is_enqueued for trial in before)
    losses = [trial.loss for trial in before if trial.loss is not None]
    if len(losses) < _FIRST or _MOST_FAILED * losses.count(math.inf) > len(losses):
        return False
    if n % _EVERY == _EVERY - 1:
        return True
    # Where all losses are alike, nothing speaks against anything.
    is_told = max(losses) > min(losses)
    in_turn = n % _EVERY_IN_DOUBT == _EVERY_IN_DOUBT - 1
    return in_turn and is_told and _last_transfer(before) < _DOUBT


def has_room(distributions: Mapping[str, BaseDistribution], n_trials: int) -> bool:
    """Whether a space is so large that TPE, which looks at no configuration, repeats none."""
    n_configurations = math.prod(map(_n_values, distributions.values()))
    return n_configurations >= _ROOM * (n_trials + 1)


def _n_values(distribution: BaseDistribution) -> float:
    if distribution.single():
        return 1
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    if isinstance(distribution, IntDistribution | FloatDistribution) and distribution.step:
        return round((distribution.high - distribution.low) / distribution.step) + 1
    return math.inf


def _last_transfer(trials: Sequence[StudyTrial]) -> float:
    """What the source tasks had to say when a trial was planned last; 1 if none was."""
    for trial in reversed(trials):
        said = read_provenance(trial.user_attrs)
        if said is not None and said.by == META_LEARNER:
            return said.transfer
    return 1.0


def memoryless_tpe(seed: int, number: int, name: str) -> TPESampler:
    """Optuna's TPE for one value, which depends on the study's trials and on these alone.

    A sampler that is kept depends on all that it drew before: another process, or a resumed
    study, would go on differently. It is to sample independently: beside a model that looks at
    all parameters together, one that doesn't finds more.

    Args:
        seed: Of the study's sampler.
        number: Of the trial.
        name: Of the parameter.
    """
    drawn = np.random.SeedSequence([seed, number, zlib.crc32(name.encode())])
    return TPESampler(seed=int(drawn.generate_state(1)[0]))
