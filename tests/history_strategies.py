"""Hypothesis strategies for trials with arbitrary values, and how to compare them exactly."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from warmstart.history import TaskInfo, Trial
from warmstart.trial import State

INFO = TaskInfo("sklearn.svm.SVC", "openml-task-3", "accuracy", "openml")

values = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
big_integers = st.integers(min_value=2**52) | st.integers(max_value=-(2**52))
names = st.text(min_size=1).filter(lambda text: bool(text.strip()) and text.isprintable())
configurations = st.dictionaries(names, values | big_integers, max_size=4)


def exact(value: object) -> tuple[type, str]:
    """Tells True, 1, 1.0 and '1' apart, and 0.0 and -0.0, but not NaN and NaN."""
    return type(value), repr(value)


def exact_configuration(configuration: Any) -> dict[str, tuple[type, str]]:
    return {name: exact(value) for name, value in configuration.items()}


@st.composite
def trials(draw: st.DrawFn) -> Trial:
    states: list[State] = ["complete", "pruned", "failed"]
    state = draw(st.sampled_from(states))
    finite = st.floats(allow_nan=False, allow_infinity=False)
    loss = {"complete": finite, "pruned": finite | st.just(math.nan), "failed": st.just(math.nan)}
    return Trial(
        configuration=draw(configurations),
        loss=draw(loss[state]),
        state=state,
        measures=draw(st.dictionaries(names, st.floats(), max_size=2)),
        run_id=draw(st.text(max_size=3)),
        time=draw(st.none() | st.datetimes().map(lambda t: t.isoformat())),
        seconds=draw(st.none() | st.floats(0, 1e9)),
        proposed_by=draw(st.sampled_from(["", "warmstart", "élan"])),
        reason=draw(st.sampled_from(["", "longer than 10 s", "ValueError: élan"])),
    )


def sorted_names(trial: Trial) -> Trial:
    return replace(
        trial,
        configuration=dict(sorted(trial.configuration.items())),
        measures=dict(sorted(trial.measures.items())),
    )
