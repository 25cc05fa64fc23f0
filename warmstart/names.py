"""Reading the name of a user's parameter: which hyperparameter, behind which prefix, which units.

A name is cut into words; the longest run of words that spells a name or an alias of the estimator
is the hyperparameter, what stands before it is a prefix, and a word such as ``log10`` next to it
gives the units. Words never match in part, so ``alphabet`` has nothing of ``alpha``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from types import MappingProxyType
from typing import NamedTuple

from warmstart.catalogue import ESTIMATORS
from warmstart.estimator import Estimator, Hyperparameter
from warmstart.name_words import (
    CATEGORICAL_STEP,
    FOREIGN,
    MODIFIERS,
    NEUTRAL,
    STEP_STEMS,
    STEP_WORDS,
    UNITS,
)

# Words end at separators and where the case or the script changes: "nEstimators", "XGBClassifier".
_PIECE = re.compile(r"([A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+|[^\W_A-Za-z0-9]+)|([\W_]+)")
_SOFT_SEPARATORS = frozenset({"_", "-"})
_LONGEST_RUN = 8
_LONGEST_TAG = 4


class Distance(NamedTuple):
    """How far a name is from the canonical one; the smaller is closer.

    Each part counts words of a kind or belongs to the name itself, so that one more prefix on all
    names changes no order.
    """

    minus_own_words: int = 0  # words of the prefix that point to this estimator and no other
    loose_words: int = 0  # unknown words that are part of the name
    step_words: int = 0  # unknown words that are steps of a pipeline
    words: int = 0
    is_alias: bool = False
    has_units: bool = False
    respelled: bool = False


@dataclass(frozen=True)
class Reading:
    """One way to read a name.

    Attributes:
        hyperparameter: The hyperparameter meant.
        note: How it was read, in words.
        units: ``""``, or what the name says of the units: ``"log2"``, ``"log10"``, ``"ln"``,
            ``"log"``, ``"exponent"`` or ``"percent"``.
        distance: Orders the readings of several names.
        doubtful_prefix: A prefix that may as well belong to something else; the reading holds
            only if other evidence speaks for it.
    """

    hyperparameter: Hyperparameter
    note: str
    units: str = ""
    distance: Distance = field(default_factory=Distance)
    doubtful_prefix: str = ""


@dataclass(frozen=True)
class _Word:
    text: str  # in lower case
    start: int  # where it begins in the name
    hard: bool  # whether a hard separator follows, as between the steps of a pipeline


@dataclass(frozen=True)
class _Part:
    """Words of a prefix that belong together, as ``random forest``."""

    text: str
    kind: str  # "own", "foreign", "step", "neutral" or "unknown"
    owner: str = ""
    stepped: bool = False  # whether a hard separator follows, right here or later


class NameReader:
    """Reads the names of parameters for one estimator."""

    def __init__(self, estimator: Estimator) -> None:
        self._estimator = estimator
        self._exact = {h.name: h for h in estimator.hyperparameters}
        self._by_spelling = _by_spelling(estimator.hyperparameters)
        self._own = own_words(estimator)
        self._distinctive = self._own - _words_of_other_groups(estimator.group)

    def read(self, name: str) -> tuple[list[Reading], str]:
        """All ways to read ``name``, the closest first; or an empty list and the reason."""
        words = _cut(name)
        reason = f"no hyperparameter of {self._estimator.name} is called so"
        for end in range(len(words), 0, -1):
            for start in range(max(0, end - _LONGEST_RUN), end):
                run = "".join(word.text for word in words[start:end])
                meant = self._by_spelling.get(run)
                if meant is None:
                    continue
                judged = [self._judge(name, words, start, end, *known) for known in meant]
                readings = [reading for reading in judged if isinstance(reading, Reading)]
                if readings:
                    return sorted(readings, key=lambda reading: reading.distance), ""
                reason = next((refusal for refusal in judged if isinstance(refusal, str)), reason)
                break  # A shorter run would only move words into the prefix.
        if name in self._exact:  # A name without letters and digits.
            return [Reading(self._exact[name], f"{name} by its name")], ""
        return [], reason

    def _judge(
        self,
        name: str,
        words: list[_Word],
        start: int,
        end: int,
        hyperparameter: Hyperparameter,
        alias: str,
    ) -> Reading | str | None:
        """The reading of ``words[start:end]`` as ``alias``, or why it can't be one."""
        before, after = words[:start], words[end:]
        units = ""
        if before and before[-1].text in UNITS and not before[-1].hard:
            units = UNITS[before[-1].text]
            before = before[:-1]
        elif after and after[0].text in UNITS:
            units = UNITS[after[0].text]
            after = after[1:]

        # Only one step of a pipeline fills in missing numbers, wherever it stands.
        imputes = bool(hyperparameter.component) and "imp" in spelling(alias)
        prefix = self._classify(before, hyperparameter, in_steps=imputes)
        suffix = self._classify(after, hyperparameter, in_steps=imputes)
        if any(part.kind == "unknown" for part in suffix):
            return None
        if imputes and any(word.text in CATEGORICAL_STEP for word in before):
            return f"it fills in categories, {hyperparameter.name} fills in numbers"
        # The word that stands closest decides: in "smote__svc__C" it is the support vector
        # machine, in "svc__pca__tol" the principal components.
        for part in (*suffix, *reversed(prefix)):
            if part.kind == "foreign" or (part.kind == "step" and not imputes):
                return f"{part.text!r} in it points to {part.owner}"
            if part.kind == "own":
                break

        loose = [part for part in prefix if part.kind == "unknown" and not part.stepped]
        if loose and not imputes:
            if before[-1].text in MODIFIERS and not before[-1].hard:
                return f"{before[-1].text!r} makes another quantity of {alias}"
            doubtful = len(_cut(alias)) == 1
        else:
            doubtful = False

        written = name[words[start].start : words[end - 1].start + len(words[end - 1].text)]
        is_alias = spelling(alias) != spelling(hyperparameter.name)
        prefix_text = name[: words[len(before)].start]
        return Reading(
            hyperparameter,
            note=f"{hyperparameter.name} by its {f'alias {alias}' if is_alias else 'name'}"
            + (f", behind {prefix_text!r}" if prefix_text else ""),
            units=units,
            distance=Distance(
                -sum(part.text in self._distinctive for part in (*prefix, *suffix)),
                loose_words=len(loose),
                step_words=sum(part.kind == "unknown" and part.stepped for part in prefix),
                words=len(before) + len(after),
                is_alias=is_alias,
                has_units=bool(units),
                respelled=written != hyperparameter.name,
            ),
            doubtful_prefix=prefix_text if doubtful else "",
        )

    def _classify(
        self, words: list[_Word], hyperparameter: Hyperparameter, *, in_steps: bool
    ) -> list[_Part]:
        """What the words of a prefix say; ``in_steps`` if other pipeline steps may stand there."""
        parts: list[_Part] = []
        i = 0
        while i < len(words):
            for n in range(min(_LONGEST_TAG, len(words) - i), 0, -1):
                text = "".join(word.text for word in words[i : i + n])
                part = self._part(text, hyperparameter, is_word=n == 1)
                if part.kind != "unknown" and not (part.kind == "step" and in_steps):
                    break
            stepped = any(word.hard for word in words[i + n - 1 :])
            parts.append(replace(part, stepped=stepped))
            i += n
        return parts

    def _part(self, text: str, hyperparameter: Hyperparameter, *, is_word: bool) -> _Part:
        """What a word, or a run of words, says."""
        for candidate in _without_affixes(text) if is_word else (text,):
            if candidate in self._own:
                return _Part(candidate, "own")
            if candidate in hyperparameter.within or candidate in NEUTRAL:
                return _Part(candidate, "neutral")
            if candidate in STEP_WORDS or (is_word and any(s in candidate for s in STEP_STEMS)):
                return _Part(candidate, "step", "another part of the pipeline")
            if candidate in owners():
                return _Part(candidate, "foreign", owners()[candidate])
        return _Part(text, "unknown")


def spelling(name: str) -> str:
    """A name without case and separators; two names of one spelling mean the same."""
    return "".join(character for character in name.lower() if character.isalnum())


def own_words(estimator: Estimator) -> frozenset[str]:
    """Words in a prefix that point to ``estimator``."""
    words = {spelling(tag) for tag in estimator.tags} | {spelling(estimator.class_name)}
    words |= {
        word.removesuffix(ending) for word in set(words) for ending in ("classifier", "regressor")
    }
    return frozenset(words - {""})


@cache
def owners() -> Mapping[str, str]:
    """All words that point to an estimator, in the catalogue or not, and to which."""
    words = {word: owner for owner, listed in FOREIGN.items() for word in listed.split()}
    for estimator in reversed(ESTIMATORS):
        words |= dict.fromkeys(own_words(estimator), estimator.name)
    return MappingProxyType(words)


def _words_of_other_groups(group: str) -> frozenset[str]:
    others = (own_words(estimator) for estimator in ESTIMATORS if estimator.group != group)
    return frozenset().union(*others)


def _by_spelling(
    hyperparameters: Iterable[Hyperparameter],
) -> dict[str, list[tuple[Hyperparameter, str]]]:
    """Hyperparameters and the name or alias that is spelled so; names before aliases."""
    found: dict[str, list[tuple[Hyperparameter, str]]] = {}
    listed = list(hyperparameters)
    named = [(h, h.name) for h in listed]
    aliased = [(h, alias) for h in listed for alias in h.aliases]
    for hyperparameter, alias in named + aliased:
        known = found.setdefault(spelling(alias), [])
        if all(other.name != hyperparameter.name for other, _ in known):
            known.append((hyperparameter, alias))
    return found


def _cut(name: str) -> list[_Word]:
    """The words of a name, in order."""
    words: list[_Word] = []
    for match in _PIECE.finditer(name):
        text, separator = match.groups()
        if text is not None:
            words.append(_Word(text.lower(), match.start(), hard=False))
        elif words and separator not in _SOFT_SEPARATORS:
            words[-1] = _Word(words[-1].text, words[-1].start, hard=True)
    return words


@lru_cache(maxsize=1024)
def _without_affixes(text: str) -> tuple[str, ...]:
    """``text``, and what is left of it without a number or a neutral word: "svc2", "xgbmodel"."""
    stem = text.rstrip("0123456789")
    candidates = [text, stem or "model"]
    for word in NEUTRAL:
        if stem != word and stem.startswith(word) and stem[len(word) :] in owners():
            candidates.append(stem[len(word) :])
        if stem != word and stem.endswith(word) and stem[: -len(word)] in owners():
            candidates.append(stem[: -len(word)])
    return tuple(candidates)
