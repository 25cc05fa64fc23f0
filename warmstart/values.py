"""Values of one hyperparameter, between a user's parameter and the canonical one.

Both directions go through native units, the values as the library reads them: so ranges, grids,
scales and kinds may differ on the two sides.

Notation: ``x`` is a value of the user's parameter, ``v`` the canonical one. On a range,
``v = factor * x``, or ``v = factor * base**x`` where the user tunes an exponent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from warmstart.estimator import UNKNOWN, Hyperparameter, TaskSize, Unknown
from warmstart.space import Categorical, Float, Integer, Parameter, Value, same_choice, snap

_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_PLAIN = (bool, int, float, str, type(None))
_NONES = frozenset({"none", "null", "nan"})
# What is larger is as good as this, and leaves room for arithmetic.
_LARGEST = 1e300


@dataclass(frozen=True)
class Units:
    """How a user's number is turned into the canonical one."""

    base: float = 0.0  # 0 where the number is no exponent
    factor: float = 1.0
    cap: float = _LARGEST

    @property
    def native(self) -> bool:
        """Whether numbers are taken as they are."""
        return not self.base and self.factor == 1.0

    def forward(self, number: float) -> float:
        """The canonical number."""
        if self.base:
            most = math.log(_LARGEST)
            number = math.exp(min(max(number * math.log(self.base), -most), most))
        return max(-_LARGEST, min(self.factor * number, self.cap))

    def inverse(self, number: float) -> float:
        """The user's number; minus infinity where only a limit comes close."""
        number = number / self.factor
        if not self.base:
            return number
        return math.log(number) / math.log(self.base) if number > 0 else -math.inf


@dataclass(frozen=True)
class Canonical:
    """The canonical side: a hyperparameter on the range that was learned, for one size of task."""

    hyperparameter: Hyperparameter
    parameter: Parameter
    size: TaskSize

    def value(self, given: object, *, units: Units | None = None) -> Value | Unknown:
        """The canonical value of what a user or a library gives; ``UNKNOWN`` if there is none.

        Args:
            given: A number, a category, a special value, or one of these as text.
            units: Of a number; ``None`` reads it as the library does.
        """
        if isinstance(self.parameter, Categorical):
            return self._category(given, self.parameter.choices)
        number = self.number(given, units=units)
        return UNKNOWN if number is None else number

    def number(self, given: object, *, units: Units | None = None) -> int | float | None:
        """The canonical number of a number or a special value; ``None`` if there is none."""
        number = as_number(given)
        if number is None or units is None or units.native:
            special = self._special(given if number is None else number)
            if special is not None:
                return self.settle(special)
        if number is None:
            return None
        if units is None:
            units = self.native_units(number, whole=isinstance(number, int))
        return self.settle(units.forward(number))

    def settle(self, number: float) -> int | float:
        """A number as the canonical parameter takes it, but not clipped to its range.

        On a logarithmic scale, zero and less are taken as the lower end: no regularisation is
        as good as hardly any.
        """
        parameter = self.parameter
        if isinstance(parameter, Categorical):
            return number
        if parameter.log and number <= 0:
            return parameter.low
        return round(number) if isinstance(parameter, Integer) else float(number)

    def place(self, number: float) -> float:
        """Where a number lies on the canonical scale."""
        parameter = self.parameter
        if not isinstance(parameter, Categorical) and parameter.log:
            return math.log(max(number, 1e-300))
        return float(number)

    def native_units(self, high: float, *, whole: bool) -> Units:
        """How the library reads numbers up to ``high``: as counts, or as fractions of a total.

        Integers and ranges beyond 1 are counts; other numbers are fractions.
        """
        counted_in = self.hyperparameter.counted_in
        if not counted_in or isinstance(self.parameter, Categorical):
            return Units()
        columns = counted_in == "n_features"
        total = self.size.features if columns else self.size.samples
        counts = whole or high > 1.0
        fraction_wanted = isinstance(self.parameter, Float) and self.parameter.high <= 1.0
        if counts and fraction_wanted:
            if (self.size.n_features if columns else self.size.n_samples) is None:
                # Whoever asks for more than the stand-in has more.
                total = max(total, math.ceil(high))
            return Units(factor=1.0 / total, cap=1.0)
        if not counts and not fraction_wanted and high < 1.0:
            return Units(factor=float(total))
        return Units()

    def numbers_with_special_meaning(self) -> list[int | float]:
        """Numbers that are not meant as such, as -1 for no limit."""
        return [key for key in map(as_number, self.hyperparameter.special) if key is not None]

    def _special(self, given: object) -> float | None:
        special = self.hyperparameter.special
        if not special:
            return None
        meant = _meaning(given)
        for key, number in special.items():
            if meant is not None and _meaning(key) == meant:
                return number(self.size) if callable(number) else number
        return None

    def _category(self, given: object, choices: tuple[Value, ...]) -> Value | Unknown:
        if not isinstance(given, _PLAIN):
            return UNKNOWN
        for choice in choices:
            if same_choice(given, (choice,)):
                return choice
        meant = _meaning(given)
        aliases = {
            _meaning(alias): _meaning(target)
            for alias, target in self.hyperparameter.value_aliases.items()
        }
        meant = aliases.get(meant, meant)
        for loosely in (False, True):
            for choice in choices:
                other = _meaning(choice)
                other = aliases.get(other, other)
                if other == meant or (loosely and _as_bit(other) == _as_bit(meant) is not None):
                    return choice
        return UNKNOWN


@dataclass(frozen=True)
class RangeMap:
    """Values of a user's range."""

    canonical: Canonical
    user: Float | Integer
    units: Units

    def to_canonical(self, value: object) -> Value | Unknown:
        """The canonical value of ``value``."""
        return self.canonical.value(value, units=self.units)

    def from_canonical(self, value: object) -> Value | Unknown:
        """The value of the user's range that comes nearest to ``value``, a number."""
        number = self._number(value)
        if number is None:
            return UNKNOWN
        place = self.canonical.place(number)

        def distance(candidate: int | float) -> float:
            reached = self.canonical.number(candidate, units=self.units)
            return math.inf if reached is None else abs(self.canonical.place(reached) - place)

        return min(self._candidates(self.units.inverse(number)), key=distance)

    def covers(self, value: object) -> bool:
        """Whether ``value`` lies within the user's range, up to its grid."""
        number = self._number(value)
        if number is None:
            return False
        x = self.units.inverse(number)
        return _within(x, self.user.low, self.user.high) or any(
            self.canonical.number(special) == number for special in self._specials()
        )

    def overlap(self, reference: Parameter) -> float:
        """The share of the user's range, on the canonical scale, that ``reference`` covers."""
        if isinstance(reference, Categorical):
            return 0.0
        low = self.user.low
        if specials := self._specials():
            low = min(self.user.high, max(low, max(specials) + (self.user.step or 0)))
        ends = [self.canonical.settle(self.units.forward(end)) for end in (low, self.user.high)]
        start, stop = map(self.canonical.place, ends)
        first, last = self.canonical.place(reference.low), self.canonical.place(reference.high)
        if stop - start < 1e-12:
            return float(first - 1e-9 <= start <= last + 1e-9)
        return min(1.0, max(0.0, (min(stop, last) - max(start, first)) / (stop - start)))

    def _number(self, value: object) -> int | float | None:
        """A canonical value as a number, special values too."""
        number = as_number(value)
        return self.canonical.number(value) if number is None else number

    def _candidates(self, x: float) -> list[int | float]:
        """The values of the user's range around ``x``, and those with a special meaning."""
        user = self.user
        x = min(max(x, user.low), user.high)
        if user.step is None:
            return [float(x), *self._specials()]
        if isinstance(user, Integer):
            n_steps = (user.high - user.low) // user.step
        else:
            exact = user.high / user.step - user.low / user.step
            n_steps = math.floor(exact + 1e-9) if math.isfinite(exact) else 0
        nearest = math.floor(min((x - user.low) / user.step, n_steps))
        steps = sorted({min(max(nearest + i, 0), n_steps) for i in (-1, 0, 1, 2)})
        if isinstance(user, Integer):
            return [*(user.low + i * user.step for i in steps), *self._specials()]
        return [
            *(float(min(user.low + i * user.step, user.high)) for i in steps),
            *self._specials(),
        ]

    def _specials(self) -> list[int | float]:
        """Values of the user's range that are not meant as numbers."""
        if not self.units.native or not self.canonical.hyperparameter.special:
            return []
        kind = int if isinstance(self.user, Integer) else float
        return [
            kind(number)
            for number in self.canonical.numbers_with_special_meaning()
            if self.user.low <= number <= self.user.high and snap(self.user, number) == number
        ]


@dataclass(frozen=True)
class ChoiceMap:
    """Values of a user's choices; ``pairs`` holds each with its canonical value."""

    canonical: Canonical
    pairs: tuple[tuple[Value, Value | Unknown], ...]
    units: Units | None

    def to_canonical(self, value: object) -> Value | Unknown:
        """The canonical value of ``value``."""
        if not isinstance(value, _PLAIN):
            return UNKNOWN
        for choice, v in self.pairs:
            if _is(choice, value):
                return v
        return self.canonical.value(value, units=self.units)

    def from_canonical(self, value: object) -> Value | Unknown:
        """The user's choice that means ``value``, or comes nearest to it if it is a number."""
        if isinstance(self.canonical.parameter, Categorical):
            meant = self.canonical.value(value)
            same = [choice for choice, v in self.pairs if v is not UNKNOWN and _is(v, meant)]
            return next((choice for choice in same if _is(choice, meant)), (*same, UNKNOWN)[0])
        number = self._number(value)
        if number is None:
            return UNKNOWN
        place = self.canonical.place
        return min(self._numbers(), key=lambda pair: abs(place(pair[1]) - place(number)))[0]

    def covers(self, value: object) -> bool:
        """Whether a choice means ``value``; of numbers, whether it lies between two choices."""
        if isinstance(self.canonical.parameter, Categorical):
            meant = self.canonical.value(value)
            return any(v is not UNKNOWN and _is(v, meant) for _, v in self.pairs)
        number = self._number(value)
        numbers = [v for _, v in self._numbers()]
        return number is not None and _within(number, min(numbers), max(numbers))

    def overlap(self, reference: Parameter) -> float:
        """The share of the user's choices that ``reference`` covers."""
        if isinstance(reference, Categorical):
            known = [v for _, v in self.pairs if v is not UNKNOWN]
            return len(known) / len(self.pairs)
        n_inside = sum(_within(v, reference.low, reference.high) for _, v in self._numbers())
        return n_inside / len(self.pairs)

    def _number(self, value: object) -> int | float | None:
        number = as_number(value)
        return self.canonical.number(value) if number is None else number

    def _numbers(self) -> list[tuple[Value, int | float]]:
        return [(choice, v) for choice, v in self.pairs if isinstance(v, int | float)]


def as_number(given: object) -> int | float | None:
    """A finite number, given as such or as text; ``None`` for all else, also for booleans."""
    if isinstance(given, bool):
        return None
    try:
        if isinstance(given, str):
            given = float(given)
        if isinstance(given, int | float) and math.isfinite(given):
            return given
    except (ValueError, OverflowError):
        return None
    return None


def _within(number: float, low: float, high: float) -> bool:
    """Whether a number lies in a range, whose ends may be off by rounding."""
    return low - 1e-9 * abs(low) <= number <= high + 1e-9 * abs(high)


def _meaning(given: object) -> tuple[str, object] | None:
    """What a category or a special value means, whatever way it is written."""
    if given is None:
        return ("none", None)
    if isinstance(given, bool):
        return ("boolean", given)
    number = as_number(given)
    if number is not None:
        return ("number", number)
    if not isinstance(given, str):
        return None
    text = given.strip().lower()
    if text in _BOOLEANS:
        return ("boolean", _BOOLEANS[text])
    if text in _NONES:
        return ("none", None)
    return ("text", "".join(c for c in text if c.isalnum()) or text)


def _as_bit(meaning: tuple[str, object] | None) -> float | None:
    """0 or 1 for what can stand for a boolean."""
    if meaning is not None and meaning[0] in ("boolean", "number") and meaning[1] in (0, 1):
        return float(bool(meaning[1]))
    return None


def _is(value: object, other: object) -> bool:
    return value == other and isinstance(value, bool) == isinstance(other, bool)
