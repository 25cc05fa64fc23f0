"""Matching one parameter of a user to one hyperparameter of an estimator.

A study declares no space: parameters arrive one by one, and may be others in the next trial. So
each is matched alone, from its name and its range, and what was found is kept.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

from warmstart.estimator import UNKNOWN, Estimator, Hyperparameter, TaskSize, Unknown
from warmstart.names import Distance, NameReader, Reading
from warmstart.space import Categorical, Float, Integer, Parameter, SearchSpace, Value
from warmstart.values import Canonical, ChoiceMap, RangeMap, Units, as_number

# A study with dynamic ranges may bring a new range in every trial.
_MOST_KEPT = 4096
_BASES = {
    "log2": (2.0,),
    "log10": (10.0,),
    "ln": (math.e,),
    "exponent": (10.0, 2.0, math.e),
}


@dataclass(frozen=True)
class Match:
    """A user's parameter that stands for a hyperparameter.

    Attributes:
        canonical: The hyperparameter's canonical name.
        user: The parameter's name in the study.
        note: How it was matched, in words.
        overlap: The share of the user's range, on the canonical scale, that the canonical range
            covers; 0 where all that was learned lies outside.
        distance: How far the name is from the canonical one; only to be compared.
        values: The mapping of values.
    """

    canonical: str
    user: str
    note: str
    overlap: float
    distance: Distance
    values: RangeMap | ChoiceMap

    def to_canonical(self, value: object) -> Value | Unknown:
        """The canonical value of a user's; ``UNKNOWN`` if it has none."""
        return self.values.to_canonical(value)

    def from_canonical(self, value: object) -> Value | Unknown:
        """The nearest value that the user's parameter can take.

        ``UNKNOWN`` for a category that it lacks; ``None`` is a category like others.
        """
        return self.values.from_canonical(value)

    def covers(self, value: object) -> bool:
        """Whether the canonical value lies within the user's parameter, up to its grid."""
        return self.values.covers(value)


@dataclass(frozen=True)
class Unmatched:
    """A user's parameter that stands for nothing known, and why.

    ``doubtful_prefix`` is set where the name would match but for a prefix that is not known.
    """

    user: str
    reason: str
    doubtful_prefix: str = ""


class Matcher:
    """Matches parameters to the hyperparameters of one estimator.

    Args:
        estimator: The estimator.
        space: The canonical ranges, as of an artifact; without it, the natural ranges. What it
            lacks is not matched; what the catalogue lacks is known by its name only.
        size: The size of the task, for values that count in rows or columns.

    Attributes:
        canonical: The canonical side by name, in the order of the space.
    """

    def __init__(
        self,
        estimator: Estimator,
        *,
        space: SearchSpace | None = None,
        size: TaskSize | None = None,
    ) -> None:
        learned = estimator.space if space is None else space
        known = {h.name for h in estimator.hyperparameters}
        extra = tuple(
            Hyperparameter(name, parameter, UNKNOWN)
            for name, parameter in learned.parameters.items()
            if name not in known
        )
        hyperparameters = (*estimator.hyperparameters, *extra)
        canonical = {
            h.name: Canonical(h, learned.parameters[h.name], size or TaskSize())
            for h in hyperparameters
            if h.name in learned.parameters
        }
        self.canonical: Mapping[str, Canonical] = {n: canonical[n] for n in learned.parameters}
        self._reader = NameReader(replace(estimator, hyperparameters=hyperparameters))
        self._readings: dict[str, tuple[list[Reading], str]] = {}
        self._found: dict[Hashable, Match | Unmatched] = {}

    def match(self, name: str, parameter: Parameter) -> Match | None:
        """The hyperparameter that ``name`` stands for, if any."""
        found = self.find(name, parameter)
        return found if isinstance(found, Match) else None

    def find(
        self, name: str, parameter: Parameter, *, trust_prefix: bool = False
    ) -> Match | Unmatched:
        """As ``match``, with the reason where there is none.

        Args:
            name: The parameter's name in the study.
            parameter: Its range or choices.
            trust_prefix: Whether an unknown prefix is known to stand for this estimator.
        """
        try:
            key: Hashable = (name, trust_prefix, _key(parameter))
            found = self._found.get(key)
        except TypeError:  # Choices that can't be hashed.
            return self._find(name, parameter, trust_prefix)
        if found is None:
            found = self._find(name, parameter, trust_prefix)
            if len(self._found) >= _MOST_KEPT:
                self._found.clear()
            self._found[key] = found
        return found

    def readings(self, name: str) -> tuple[list[Reading], str]:
        """All ways to read ``name``, or the reason why there is none."""
        known = self._readings.get(name)
        if known is None:
            known = self._reader.read(name)
            if len(self._readings) >= _MOST_KEPT:
                self._readings.clear()
            self._readings[name] = known
        return known

    def _find(self, name: str, parameter: Parameter, trust_prefix: bool) -> Match | Unmatched:
        readings, reason = self.readings(name)
        refused = None
        for reading in readings:
            canonical = self.canonical.get(reading.hyperparameter.name)
            if canonical is None:
                reason = f"it is {reading.note}, of which nothing was learned"
                continue
            values, how = _map_values(canonical, parameter, reading.units)
            if values is None:
                reason = f"it is {reading.note}, but {how}"
                continue
            if reading.doubtful_prefix and not trust_prefix:
                refused = Unmatched(
                    name,
                    f"what {reading.doubtful_prefix!r} belongs to is not known; "
                    f"'model__{reading.hyperparameter.name}' would be clear",
                    reading.doubtful_prefix,
                )
                continue
            return Match(
                canonical=reading.hyperparameter.name,
                user=name,
                note=f"{reading.note}{how}",
                overlap=values.overlap(canonical.parameter),
                distance=reading.distance,
                values=values,
            )
        return refused or Unmatched(name, reason)


def _key(parameter: Parameter) -> Hashable:
    """Tells apart what compares as equal, such as choices ``(1, 0)`` and ``(True, False)``."""
    if isinstance(parameter, Categorical):
        return parameter.choices, tuple(map(type, parameter.choices))
    return type(parameter), parameter.low, parameter.high, parameter.log, parameter.step


def _map_values(
    canonical: Canonical, parameter: Parameter, units_word: str
) -> tuple[RangeMap | ChoiceMap | None, str]:
    """How values map, and a remark on it; or ``None`` and why they don't."""
    target = canonical.parameter
    if isinstance(parameter, Categorical):
        choices = parameter.choices
    elif not isinstance(target, Categorical):
        units = _units_by_name(canonical, parameter, units_word)
        if units is None:
            units = canonical.native_units(parameter.high, whole=isinstance(parameter, Integer))
        return RangeMap(canonical, parameter, units), _remark(units)
    elif parameter == Integer(0, 1) and set(map(type, target.choices)) == {bool}:
        choices = (0, 1)
    else:
        return None, f"a range is given where one of {list(target.choices)} is expected"

    named_units = None
    numbers = [number for number in map(as_number, choices) if number is not None]
    if numbers and not isinstance(target, Categorical):
        span = Float(min(numbers), max(numbers))
        named_units = _units_by_name(canonical, span, units_word)
    pairs = tuple((choice, canonical.value(choice, units=named_units)) for choice in choices)
    strange = [choice for choice, v in pairs if v is UNKNOWN]
    if len(strange) == len(pairs):
        expected = list(target.choices) if isinstance(target, Categorical) else "a number"
        return None, f"none of {list(choices)} is {expected}"
    remark = _remark(named_units) + (f", without {strange}" if strange else "")
    return ChoiceMap(canonical, pairs, named_units), remark


def _units_by_name(canonical: Canonical, user: Float | Integer, word: str) -> Units | None:
    """The units that ``word`` in a name stands for on a range; ``None`` for native ones.

    A word alone doesn't decide: ``log_C`` may be the logarithm of C, to any base, or be called so
    for its scale. The reading that lies best within the natural range is taken.
    """
    natural = canonical.hyperparameter.parameter
    if not word or isinstance(natural, Categorical) or user.log:
        return None
    if word == "percent":
        is_fraction = isinstance(natural, Float) and natural.high <= 1.0
        return Units(factor=0.01, cap=1.0) if is_fraction and user.high > 1.0 else None
    if natural.low <= 0:
        return None
    whole = float(2 * user.low).is_integer() and float(2 * user.high).is_integer()
    # Whoever counts in decades writes whole numbers; a natural logarithm is computed.
    bases = _BASES.get(word) or ((10.0, math.e, 2.0) if whole else (math.e, 10.0, 2.0))
    side = Canonical(canonical.hyperparameter, natural, canonical.size)

    def within(units: Units) -> float:
        return round(RangeMap(side, user, units).overlap(natural), 6)

    likeliest = max((Units(base=base) for base in bases), key=within)
    fits = within(likeliest)
    if fits < 0.5 and user.low > 0 and within(Units()) > fits:
        return None
    return likeliest


def _remark(units: Units | None) -> str:
    if units is None or units.native:
        return ""
    if units.base:
        return f", as the exponent of {'e' if units.base == math.e else f'{units.base:g}'}"
    return f", times {units.factor:.3g}"
