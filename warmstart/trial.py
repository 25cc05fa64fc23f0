"""One finished trial, checked on the way in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np

from warmstart.column import plain_value, valid_text
from warmstart.errors import HistoryError
from warmstart.space import Value

State: TypeAlias = Literal["complete", "pruned", "failed"]
STATES: Final[tuple[str, ...]] = get_args(State)


@dataclass(frozen=True)
class Trial:
    """One finished trial; everything is checked and turned into plain Python values.

    Attributes:
        configuration: Hyperparameter values. One that is left out was inactive, which is not
            the same as one that was None.
        loss: Lower is better; NaN if the trial failed, or was pruned before it had one.
        state: How the trial ended.
        measures: What else was measured, in its own unit and direction; NaN counts as not
            measured and is left out.
        run_id: What the origin calls this run; the store keeps one trial for each run id of a
            history. Empty if there is none.
        time: When the trial ended, ISO 8601.
        seconds: How long it took.
        proposed_by: ``"warmstart"`` if this package's sampler chose the configuration (such
            trials are biased towards what it knew), ``"default"`` and ``"variation"`` for the
            library's defaults and what differs from them in a few values, empty for
            space-filling or unknown.
        reason: Why the trial failed or was pruned, in words; empty where nothing is known.

    Raises:
        HistoryError: If a value is of another type, the loss is infinite or contradicts the
            state, a name is empty, or the time is not ISO 8601.

    Example:
        >>> Trial({"C": 1.0, "kernel": "rbf"}, 0.07, measures={"accuracy": 0.93}).state
        'complete'
    """

    configuration: Mapping[str, Value]
    loss: float
    state: State = "complete"
    measures: Mapping[str, float] = field(default_factory=dict)
    run_id: str = ""
    time: str | None = None
    seconds: float | None = None
    proposed_by: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "configuration", _plain_configuration(self.configuration))
        set_field(self, "loss", plain_number(self.loss, "loss"))
        set_field(self, "measures", _plain_measures(self.measures))
        if self.state not in STATES:
            raise HistoryError(f"state={self.state!r} given; expected one of {list(STATES)}.")
        problem = contradiction(self.state, self.loss)
        if problem:
            raise HistoryError(problem)
        check_text("run_id", self.run_id)
        check_text("proposed_by", self.proposed_by)
        check_text("reason", self.reason)
        check_time(self.time)
        if self.seconds is not None:
            set_field(self, "seconds", plain_number(self.seconds, "seconds"))
            if not (math.isfinite(self.seconds) and self.seconds >= 0):
                raise HistoryError(
                    f"seconds={self.seconds!r} given; expected a finite number of at least 0, "
                    "or None if it is not known."
                )

    def to_json(self) -> dict[str, Any]:
        """A JSON-serialisable description, defaults left out; ``from_json`` restores it."""
        out: dict[str, Any] = {"configuration": dict(self.configuration), "loss": self.loss}
        for name, default in _TRIAL_DEFAULTS.items():
            if (value := getattr(self, name)) != default:
                out[name] = value
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trial:
        """Restore a trial from ``to_json``'s output.

        Raises:
            HistoryError: If ``data`` is not such a description.
        """
        try:
            return cls(**data)
        except TypeError as error:
            raise HistoryError(f"Not a trial: {error} in {str(data)[:200]}.") from error


_TRIAL_DEFAULTS: Final[dict[str, Any]] = {
    "state": "complete",
    "measures": {},
    "run_id": "",
    "time": None,
    "seconds": None,
    "proposed_by": "",
    "reason": "",
}


def contradiction(state: str, loss: float) -> str | None:
    """Why a trial that ended in ``state`` can't have this loss; None if it can."""
    if math.isinf(loss):
        return f"loss={loss!r} given; expected a finite number, or NaN for a failed trial."
    if state == "complete" and math.isnan(loss):
        return "loss=nan given for a complete trial; expected a number, or state='failed'."
    if state == "failed" and not math.isnan(loss):
        return f"loss={loss!r} given for a failed trial; expected NaN, or state='complete'."
    return None


def check_name(what: str, name: object) -> None:
    """Make sure that ``name`` is printable text that is not empty.

    Raises:
        HistoryError: If it is not.
    """
    if type(name) is not str or not name.strip() or not name.isprintable():
        raise HistoryError(f"{what}={name!r} given; expected printable text that is not empty.")


def check_text(what: str, text: object) -> None:
    """Make sure that ``text`` is valid Unicode text; it may be empty.

    Raises:
        HistoryError: If it is not.
    """
    if type(text) is not str:
        raise HistoryError(f"{what}={text!r} given; expected text.")
    if not text.isascii():
        valid_text(text, what)


def check_time(time: object) -> None:
    """Make sure that ``time`` is None or ISO 8601 text.

    Raises:
        HistoryError: If it is not.
    """
    if time is None:
        return
    try:
        datetime.fromisoformat(time)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise HistoryError(
            f"time={time!r} given; expected ISO 8601 text such as '2024-05-01T12:00:00+00:00', "
            "or None."
        ) from None


def _plain_configuration(configuration: object) -> dict[str, Value]:
    if not isinstance(configuration, Mapping):
        raise HistoryError(f"configuration={configuration!r} given; expected a mapping.")
    plain = {}
    for name, value in configuration.items():
        check_name("the name of a hyperparameter", name)
        plain[name] = plain_value(value, name=name)
    return plain


def _plain_measures(measures: object) -> dict[str, float]:
    if not isinstance(measures, Mapping):
        raise HistoryError(f"measures={measures!r} given; expected a mapping.")
    plain = {}
    for name, value in measures.items():
        check_name("the name of a measure", name)
        number = plain_number(value, name)
        if not math.isnan(number):
            plain[name] = number
    return plain


def plain_number(value: object, name: str) -> float:
    """``value`` as a float; text and booleans are no numbers here.

    Raises:
        HistoryError: If it is not a number.
    """
    if type(value) is float:
        return value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise HistoryError(f"{name}={value!r} given; expected a number.")
    try:
        return float(value)
    except OverflowError:
        raise HistoryError(f"{name} has more digits than a double holds.") from None
