from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmstart.provenance import (
    ATTRIBUTE,
    LONGEST,
    Provenance,
    pack_coordinates,
    read_provenance,
    unpack_coordinates,
)

names = st.text(max_size=60)
shares = st.floats(0, 1)
provenances = st.builds(
    Provenance,
    by=st.sampled_from(["meta-learner", "then"]),
    estimator=names,
    artifact=names,
    coordinates=st.lists(st.none() | st.floats(-1, 2), max_size=30).map(tuple),
    portfolio=shares,
    transfer=shares,
    tasks=st.lists(st.tuples(names, shares), max_size=3).map(tuple),
    similar=st.lists(names, max_size=20).map(tuple),
    excluded=st.lists(names, max_size=20).map(tuple),
    n_excluded=st.integers(0, 1000),
)


@given(provenances)
def test_the_text_fits_and_comes_back_as_far_as_it_fits(said: Provenance) -> None:
    text = said.to_json()
    assert len(text) <= LONGEST
    read = read_provenance({ATTRIBUTE: text})
    assert read is not None
    assert (read.by, read.estimator, read.artifact) == (said.by, said.estimator, said.artifact)
    assert read.n_excluded == said.n_excluded
    for field in ("coordinates", "tasks"):
        assert getattr(read, field) in ((), getattr(said, field))
    for field in ("similar", "excluded"):
        kept = getattr(read, field)
        assert kept == getattr(said, field)[: len(kept)]


def test_what_matters_most_is_kept_longest() -> None:
    said = Provenance(
        by="meta-learner",
        coordinates=tuple(np.linspace(0, 1, 20)),
        tasks=(("t" * 300, 0.5),),
        similar=("s" * 300,) * 8,
        excluded=("e" * 300,) * 8,
        n_excluded=8,
    )
    read = read_provenance({ATTRIBUTE: said.to_json()})
    assert read is not None
    assert read.coordinates == said.coordinates
    assert read.tasks == said.tasks
    assert read.similar == read.excluded == ()
    assert read.n_excluded == 8


@given(st.lists(st.floats(-1e3, 1e3) | st.just(float("nan")), max_size=20))
def test_coordinates_come_back_to_six_digits(row: list[float]) -> None:
    packed = json.loads(json.dumps(pack_coordinates(np.array(row))))
    np.testing.assert_allclose(unpack_coordinates(tuple(packed)), row, atol=1e-6)


@pytest.mark.parametrize(
    "value",
    [
        None,
        3,
        {},
        "",
        "{",
        "[]",
        "3",
        "null",
        '{"by": "x", "extra": 1}',
        '{"tasks": 3}',
        '{"by":"then","tasks":[1]}',
        '{"by":"then","coordinates":5}',
        '{"coordinates":[]}',
    ],
)
def test_what_is_no_provenance_is_none(value: object) -> None:
    assert read_provenance({ATTRIBUTE: value}) is None
    assert read_provenance({}) is None


@pytest.mark.parametrize(
    "data",
    [
        {"by": 3},
        {"by": "someone"},
        {"by": "then", "estimator": 3},
        {"by": "then", "coordinates": ["x"]},
        {"by": "then", "coordinates": [True]},
        {"by": "then", "coordinates": [[1]]},
        {"by": "then", "transfer": "x"},
        {"by": "then", "portfolio": None},
        {"by": "then", "similar": [3]},
        {"by": "then", "artifact": ["x"]},
        {"by": "then", "n_excluded": "many"},
    ],
    ids=str,
)
def test_fields_of_another_type_make_no_provenance(data: dict[str, object]) -> None:
    assert read_provenance({ATTRIBUTE: json.dumps(data)}) is None
