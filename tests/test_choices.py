from __future__ import annotations

import functools
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmstart.choices import distinct, plain_choice
from warmstart.column import plain_value

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
odd = st.recursive(
    scalars | st.frozensets(scalars, max_size=3),
    lambda parts: st.lists(parts, max_size=3) | st.tuples(parts, parts),
    max_leaves=6,
)


class Kernel:
    def method(self) -> None: ...


@pytest.mark.parametrize(
    ("choice", "plain"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (2.5, 2.5),
        ("rbf", "rbf"),
        (np.float64(2.5), 2.5),
        (np.bool_(True), True),
        (math.nan, "nan"),
        (math.inf, "inf"),
        ((64, 64), "[64, 64]"),
        ([64, 64], "[64, 64]"),
        ((np.float64(0.5), None), "[0.5, None]"),
        (((1, 2), "a"), "[[1, 2], 'a']"),
        (frozenset({"b", "a"}), "{'a', 'b'}"),
        (Kernel, "test_choices.Kernel"),
        (math.sqrt, "math.sqrt"),
        ("\ud800", "\\ud800"),
    ],
)
def test_a_choice_becomes_a_plain_value(choice: object, plain: object) -> None:
    assert plain_choice(choice) == plain
    assert type(plain_choice(choice)) is type(plain)


def test_an_integer_too_long_to_print_becomes_its_hexadecimal_digits() -> None:
    assert plain_choice(16**4000) == "0x1" + 4000 * "0"
    assert plain_choice((16**4000,)) == "[0x1" + 4000 * "0" + "]"


def test_an_object_loses_its_address() -> None:
    assert "0x" not in str(plain_choice(Kernel()))
    assert plain_choice(functools.partial(Kernel)) == plain_choice(functools.partial(Kernel))


@given(odd)
def test_what_is_plain_stays_and_a_store_takes_it(choice: object) -> None:
    plain = plain_choice(choice)
    assert plain_value(plain, name="x") == plain
    assert plain_choice(plain) == plain
    assert type(plain_choice(plain)) is type(plain)


@given(st.lists(odd))
def test_a_list_and_a_tuple_of_the_same_are_one_choice(parts: list[object]) -> None:
    assert plain_choice(parts) == plain_choice(tuple(parts))


def test_a_set_has_the_same_text_in_every_process() -> None:
    code = "from warmstart.choices import plain_choice; print(plain_choice({*'abcdefgh'}))"
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(texts) == 1


def test_distinct_choices_keep_their_order_and_true_is_not_one() -> None:
    assert distinct((1, True, "a", 1.0, None, "a", False, 0)) == (1, True, "a", None, False, 0)
