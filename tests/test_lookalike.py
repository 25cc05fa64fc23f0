"""Look-alikes: copies, samples and families are found, unrelated tasks are not."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from warmstart.descriptor import TaskDescriptor, describe
from warmstart.lookalike import look_alike


def openml(n: int, p: int, *sizes: int, numeric: int | None = None, **more: float):
    """What OpenML's qualities tell of ``n`` rows, ``p`` features and classes of these sizes."""
    numeric = p if numeric is None else numeric
    return TaskDescriptor.from_openml_qualities(
        {
            "NumberOfInstances": n,
            "NumberOfFeatures": p + 1,
            "NumberOfNumericFeatures": numeric + (not sizes),
            "NumberOfClasses": len(sizes),
            "MajorityClassSize": max(sizes, default=None),
            "MinorityClassSize": min(sizes, default=None),
        }
        | more
    )


def level(a: TaskDescriptor, b: TaskDescriptor) -> str | None:
    found = look_alike(a, b)
    back = look_alike(b, a)
    assert (found and found.level) == (back and back.level)
    return found and found.level


def table(seed: int, n: int = 400, p: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Columns of different places and spreads, and three unequal classes."""
    rng = np.random.default_rng(seed)
    places, spreads = rng.normal(0, 10, p), np.exp(rng.normal(0, 2, p))
    X = places + spreads * rng.normal(size=(n, p))
    return X, rng.choice(3, n, p=[0.5, 0.3, 0.2])


def test_the_same_data_is_found_in_openmls_qualities():
    X, y = table(0)
    sizes = np.bincount(y)
    assert level(describe(X, y), openml(400, 6, *sizes)) == "same data"


def test_a_copy_may_miss_a_few_rows_and_an_identifier():
    assert level(openml(6430, 36, 1531, 700, 625), openml(6435, 36, 1533, 700, 626)) == "same data"
    assert level(openml(150, 4, 50, 50, 50), openml(149, 5, 50, 50, 49)) == "same data"
    assert level(openml(2000, 36, 900, 1100), openml(2000, 38, 900, 1100)) == "same family"
    assert level(openml(2000, 9, 900, 1100), openml(2000, 9, 930, 1070)) is None


def test_other_columns_of_the_same_rows_are_the_same_family():
    assert level(openml(2000, 64, *[200] * 10), openml(2000, 6, *[200] * 10)) == "same family"
    assert level(openml(1000, 64, 600, 400), openml(1000, 6, 600, 400)) == "same family"


def test_two_balanced_classes_of_a_round_number_of_rows_are_no_evidence():
    assert level(openml(1000, 64, 500, 500), openml(1000, 6, 500, 500)) is None


def test_rare_classes_may_have_been_left_out():
    assert level(openml(683, 35, 92, 88, 8), openml(675, 35, 92, 88)) == "same family"
    assert level(openml(683, 35, 92, 88, 8), openml(675, 34, 92, 88)) is None


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("share", [0.6, 0.75, 0.9])
def test_a_training_split_is_the_same_family(seed, share):
    X, y = table(seed)
    rng = np.random.default_rng(seed)
    kept = rng.permutation(len(y))[: int(share * len(y))]
    # By shape alone, as of OpenML's tasks, and with what both data tell.
    for whole in (openml(400, 6, *np.bincount(y)), describe(X, y)):
        assert level(describe(X[kept], y[kept], kind="classification"), whole) is not None


def test_a_small_sample_needs_evidence_from_the_columns_or_many_columns():
    X, y = table(1, n=20_000)
    part, whole = describe(X[:2000], y[:2000]), describe(X, y)
    assert level(part, whole) == "same family"
    assert level(part, openml(20_000, 6, *np.bincount(y))) is None
    X, y = table(1, n=20_000, p=40)
    assert level(describe(X[:2000], y[:2000]), openml(20_000, 40, *np.bincount(y))) is not None


def test_data_with_other_moments_are_no_sample():
    X, y = table(2)
    assert level(describe(X[:300], y[:300]), describe(X, y)) == "same family"
    assert level(describe(X[:300] * 5 + 3, y[:300]), describe(X, y)) is None


def test_another_target_of_the_same_columns_is_the_same_family():
    X, y = table(3)
    assert level(describe(X, y), describe(X, X[:, 0] * X[:, 1])) == "same family"
    assert level(describe(X, y), describe(X, y == 0)) == "same family"


def test_nominal_columns_are_compared_by_their_entropies():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({str(i): rng.integers(0, i + 2, 900).astype(str) for i in range(5)})
    other = pd.DataFrame({str(i): rng.integers(0, 9 - i, 900).astype(str) for i in range(5)})
    y = rng.choice(["a", "b"], 900, p=[0.7, 0.3])
    assert level(describe(X[:700], y[:700]), describe(X, y)) == "same family"
    assert level(describe(other[:700], y[:700]), describe(X, y)) is None


def test_regression_tasks_are_compared_by_columns_and_the_shape_of_the_target():
    X, _ = table(4)
    y = X[:, 0] + np.exp(X[:, 1] / np.abs(X[:, 1]).max())
    whole = describe(X, y)
    assert level(whole, describe(X, y)) == "same data"
    assert level(whole, describe(X[:, :5], y)) == "same data"
    assert level(whole, describe(X[:, :3], y)) == "same family"
    assert level(whole, describe(X[:300], y[:300])) == "same family"
    assert level(whole, openml(400, 6)) == "same family"
    assert level(whole, openml(401, 6)) is None
    rng = np.random.default_rng(9)
    assert level(whole, describe(rng.normal(size=(400, 6)), rng.normal(size=400))) is None


def test_nothing_known_is_like_nothing():
    assert look_alike(TaskDescriptor(), TaskDescriptor()) is None
    assert look_alike(TaskDescriptor(), openml(100, 5, 50, 50)) is None
    shape_only = TaskDescriptor.from_openml_qualities(
        {"NumberOfInstances": 100, "NumberOfFeatures": 6}
    )
    assert look_alike(shape_only, shape_only) is None


def test_the_reason_names_what_agrees():
    found = look_alike(openml(690, 15, 383, 307), openml(690, 14, 383, 307))
    assert found is not None
    assert found.reason == "the same 690 rows and 15 columns and 2 classes of 307 to 383 rows"


def test_among_openml_tasks_families_are_found_and_no_others(recorded_data):
    rows = pd.read_csv(recorded_data / "openml_runs" / "tasks.csv").to_dict("records")
    tasks = {row["name"]: TaskDescriptor.from_openml_qualities(row) for row in rows}

    def family(name: str) -> str:
        known = ("mfeat-", "one-hundred-plants-", "KDDCup09_")
        same = {"Australian": "credit-approval"}
        return next((prefix for prefix in known if name.startswith(prefix)), same.get(name, name))

    for left, right in itertools.combinations(tasks, 2):
        found = look_alike(tasks[left], tasks[right])
        assert (found is not None) == (family(left) == family(right)), (left, right, found)
