"""Trials that are left to another sampler, though something is known of their parameters.

What all source tasks praise may be bad on yours, and a model that believes them too firmly looks
nowhere else. A sampler that knows nothing of them finds what they miss; so it has a part of the
trials, and a larger one where the trials so far speak against the sources. All samplers learn
from all trials.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from optuna.samplers import TPESampler

from warmstart.provenance import read_provenance
from warmstart.study_trials import StudyTrial

__all__ = ["is_delegated", "memoryless_tpe"]

# Not before so many trials are finished, of which Optuna's samplers draw the first ten at random;
_FIRST: Final = 10
# then every fourth,
_EVERY: Final = 4
# and every second where the source tasks have less than this to say.
_EVERY_IN_DOUBT: Final = 2
_DOUBT: Final = 0.02
# Not where more than one in so many came to nothing, from which not all samplers learn.
_MOST_FAILED: Final = 20


def is_delegated(number: int, trials: Sequence[StudyTrial]) -> bool:
    """Whether a trial is another sampler's.

    It depends on how many came before it, and on what the sources had to say in the last of
    these that was planned.

    Args:
        number: Of the trial.
        trials: The study's others, by number.
    """
    before = [trial for trial in trials if trial.number < number]
    n = len(before)
    losses = [trial.loss for trial in before if trial.loss is not None]
    if len(losses) < _FIRST or _MOST_FAILED * losses.count(math.inf) > len(losses):
        return False
    if n % _EVERY == _EVERY - 1:
        return True
    return n % _EVERY_IN_DOUBT == _EVERY_IN_DOUBT - 1 and _last_transfer(before) < _DOUBT


def _last_transfer(trials: Sequence[StudyTrial]) -> float:
    """What the source tasks had to say when a trial was planned last; 1 if none was."""
    for trial in reversed(trials):
        said = read_provenance(trial.user_attrs)
        if said is not None:
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
