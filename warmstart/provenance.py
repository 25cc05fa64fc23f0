"""What a trial says of where its configuration came from: one user attribute, JSON text.

It is written before the values are served, so that other workers know them as taken, and is all
that the sampler keeps of a trial.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import numpy as np

#: Name of the user attribute.
ATTRIBUTE: Final = "warmstart"

#: What databases hold of an attribute, in characters.
LONGEST: Final = 2045

META_LEARNER: Final = "meta-learner"
THEN: Final = "then"
DELEGATE: Final = "tpe"

_DIGITS: Final = 7  # of a coordinate
_MOST_NAMED: Final = 8  # tasks named in one attribute


@dataclass(frozen=True)
class Provenance:
    """Where the configuration of one trial came from.

    Attributes:
        by: ``"meta-learner"`` if it chose any value; ``"tpe"`` if the trial was left to that,
            though something is known of its parameters; else ``"then"``.
        estimator: Canonical name; empty if none is known.
        artifact: First digits of the artifact's digest.
        coordinates: Canonical, None where inactive; see ``warmstart.encoding``.
        portfolio: What the source tasks' portfolio had to say in the choice, 0 to 1.
        transfer: What the source tasks had to say in the rest, 0 to 1.
        tasks: The source tasks that counted most, with their weights.
        similar: Names of training tasks whose data look like the task's.
        excluded: Names of training tasks that were not drawn on.
        n_excluded: How many there are of these.
    """

    by: Literal["meta-learner", "then", "tpe"]
    estimator: str = ""
    artifact: str = ""
    coordinates: tuple[float | None, ...] = ()
    portfolio: float = 0.0
    transfer: float = 0.0
    tasks: tuple[tuple[str, float], ...] = ()
    similar: tuple[str, ...] = field(default=())
    excluded: tuple[str, ...] = field(default=())
    n_excluded: int = 0

    def to_json(self) -> str:
        """The attribute's text, at most ``LONGEST`` characters."""
        data = {name: value for name, value in asdict(self).items() if value not in ((), "", 0)}
        for name in ("similar", "excluded"):
            if name in data:
                data[name] = data[name][:_MOST_NAMED]
        text = _dump(data)
        for least in ("excluded", "similar", "tasks", "coordinates"):
            if len(text) <= LONGEST:
                break
            data.pop(least, None)
            text = _dump(data)
        return text


def _dump(data: Mapping[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"))


def read_provenance(user_attrs: Mapping[str, Any]) -> Provenance | None:
    """What a trial's user attributes say; ``None`` if that is nothing, or nothing sound."""
    text = user_attrs.get(ATTRIBUTE)
    if not isinstance(text, str):
        return None
    try:
        data = json.loads(text)
        if not isinstance(data, dict):
            return None
        for name in ("coordinates", "similar", "excluded"):
            data[name] = tuple(data.get(name, ()))
        data["tasks"] = tuple((str(task), float(weight)) for task, weight in data.get("tasks", ()))
        said = Provenance(**data)
    except (TypeError, ValueError, AttributeError):
        return None
    return said if _is_sound(said) else None


def _is_sound(said: Provenance) -> bool:
    texts = (said.estimator, said.artifact, *said.similar, *said.excluded)
    coordinates = [x for x in said.coordinates if x is not None]
    numbers = (said.portfolio, said.transfer, said.n_excluded, *coordinates)
    return (
        said.by in (META_LEARNER, THEN, DELEGATE)
        and all(isinstance(text, str) for text in texts)
        and all(type(number) in (int, float) and math.isfinite(number) for number in numbers)
    )


def pack_coordinates(row: np.ndarray) -> tuple[float | None, ...]:
    """One row of coordinates ``(d,)`` as JSON can hold it."""
    return tuple(None if np.isnan(x) else round(float(x), _DIGITS) for x in row)


def unpack_coordinates(packed: tuple[float | None, ...]) -> np.ndarray:
    """The inverse of ``pack_coordinates``."""
    return np.array([np.nan if x is None else float(x) for x in packed])
