"""Task descriptors: what can be described, how kinds are inferred, qualities, JSON."""

from __future__ import annotations

import copy
import json
import math
import pickle
import subprocess
import sys
from datetime import date
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from warmstart.descriptor import TaskDescriptor, describe
from warmstart.errors import DescriptorError, WarmStartWarning
from warmstart.metafeatures import COMPARABLE

QUALITIES = {
    "NumberOfInstances": "8.0",
    "NumberOfFeatures": "5",
    "NumberOfClasses": 3.0,
    "NumberOfNumericFeatures": "1.0",
    "NumberOfSymbolicFeatures": "4.0",
    "NumberOfBinaryFeatures": "2",
    "NumberOfMissingValues": 3,
    "NumberOfInstancesWithMissingValues": "2",
    "MajorityClassSize": "4",
    "MinorityClassSize": "2",
    "MajorityClassPercentage": "50.0",
    "MinorityClassPercentage": 0.25,
    "PercentageOfMissingValues": "7.5",
    "Dimensionality": "0.625",
    "ClassEntropy": "1.5",
    "MeanAttributeEntropy": "1.1",
    "MeanMutualInformation": "0.25",
    "EquivalentNumberOfAtts": "6.0",
    "MaxKurtosisOfNumericAtts": "4811.6",
    "DecisionStumpAUC": "0.7",
    "NumberOfRuns": None,
}


def assert_same(left: TaskDescriptor, right: TaskDescriptor, **tolerance: float) -> None:
    names = list(left.metafeatures)
    np.testing.assert_allclose(left.vector(names), right.vector(names), **tolerance)
    assert left.kind == right.kind


def numbers(descriptor: TaskDescriptor, *names: str) -> list[float]:
    return [descriptor.metafeatures[name] for name in names]


# What can be described.


def test_numpy_pandas_sparse_lists_and_arrow_of_the_same_numbers_agree():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 4)) * (rng.random((50, 4)) < 0.5)
    y = rng.integers(0, 3, 50)
    reference = describe(X, y)
    tables = [
        X.tolist(),
        np.asfortranarray(X),
        X.astype(object),
        pd.DataFrame(X),
        pd.DataFrame(X).astype("Float64"),
        pd.DataFrame(X).astype(object),
        pd.DataFrame.sparse.from_spmatrix(scipy.sparse.csr_matrix(X)),
        pa.table({str(i): column for i, column in enumerate(X.T)}),
        scipy.sparse.csr_matrix(X),
        scipy.sparse.csc_array(X),
        scipy.sparse.coo_matrix(X),
    ]
    for table in tables:
        assert_same(describe(table, y), reference, rtol=1e-9, atol=1e-12)


def test_targets_of_every_type_agree():
    X = np.eye(6)
    reference = describe(X, list("abcabc"))
    for y in (
        np.array(list("abcabc")),
        pd.Series(list("abcabc"), index=range(10, 16)),
        pd.DataFrame({"y": list("abcabc")}),
        pd.Categorical(list("abcabc"), categories=list("dcba")),
        np.array([[0], [1], [2], [0], [1], [2]]),
        pd.array([0, 1, 2, 0, 1, 2], dtype="Int64"),
        [0.0, 1.0, 2.0, 0.0, 1.0, 2.0],
        scipy.sparse.csr_matrix([[0], [1], [2], [0], [1], [2]]),
        [b"a", b"b", b"c", b"a", b"b", b"c"],
    ):
        assert_same(describe(X, y), reference)


def test_nominal_columns_agree_between_numpy_and_pandas():
    cells = [["a", True, 1], ["b", None, 2], [None, False, 1], ["a", True, 3]]
    objects = np.array(cells, dtype=object)
    reference = describe(objects, [0, 1, 0, 1])
    assert numbers(reference, "NumberOfSymbolicFeatures", "NumberOfMissingValues") == [3, 2]
    assert_same(describe(pd.DataFrame(objects), [0, 1, 0, 1]), reference)
    frame = pd.DataFrame(
        {
            "a": pd.array(["a", "b", None, "a"], dtype="string"),
            "b": pd.array([True, None, False, True], dtype="boolean"),
            "c": pd.array([1, 2, 1, 3], dtype="Int64"),
        }
    )
    assert_same(describe(frame, [0, 1, 0, 1]), reference)
    assert_same(describe(frame, [0, 1, 0, 1], categorical=[]), reference)


def test_categorical_may_be_names_positions_or_one_flag_a_column():
    frame = pd.DataFrame(np.arange(12).reshape(4, 3) % 5, columns=["a", "b", "a"])
    y = [0, 1, 0, 1]
    both = describe(frame, y, categorical=["a"])
    assert both.metafeatures["NumberOfSymbolicFeatures"] == 3
    for categorical in ([0, 2], [0, -1], [True, False, True], np.array([0, 2]), pd.Index(["a"])):
        assert_same(describe(frame, y, categorical=categorical), both)
    assert_same(describe(frame.to_numpy(), y, categorical=[0, 2]), both)
    sparse = scipy.sparse.csr_matrix(frame.to_numpy())
    assert_same(describe(sparse, y, categorical=[0, 2]), both)


def test_times_are_numeric_in_seconds_and_nat_is_missing():
    times = pd.to_datetime(["2020-01-01", "2020-01-03", None])
    frame = pd.DataFrame(
        {
            "naive": times,
            "zoned": times.tz_localize("Europe/Berlin"),
            "span": pd.to_timedelta([0, 2, None], unit="D"),
            "arrow": pd.Series(times).astype(pd.ArrowDtype(pa.timestamp("us"))),
            "day": pd.Series([date(2020, 1, 1), date(2020, 1, 3), None]).astype(
                pd.ArrowDtype(pa.date32())
            ),
        }
    )
    task = describe(frame, [0, 1, 1])
    assert numbers(task, "NumberOfNumericFeatures", "NumberOfMissingValues") == [5, 5]
    spread = 2 * 86_400 / math.sqrt(2)
    assert numbers(task, "MinStdDevOfNumericAtts", "MaxStdDevOfNumericAtts") == pytest.approx(
        [spread, spread]
    )
    array = np.array([["2020-01-01"], ["2020-01-03"], ["NaT"]], dtype="datetime64[D]")
    assert numbers(describe(array, [0, 1, 1]), "MaxStdDevOfNumericAtts") == pytest.approx([spread])


@pytest.mark.parametrize(
    ("column", "is_numeric", "n_missing"),
    [
        ([1, 2.5, None], True, 1),
        ([Decimal(1), Decimal("NaN"), 2], True, 1),
        ([None, None, None], True, 3),
        ([10**400, 1, 2], False, 0),
        ([True, None, False], False, 1),
        ([1, "a", 2.0], False, 0),
        ([b"a", b"b", b"a"], False, 0),
        ([[1], [2], [1]], False, 0),
        ([{}, (1,), None], False, 1),
        (["1.5", "2", "3"], False, 0),
    ],
)
def test_an_object_column_is_numeric_if_all_that_is_there_are_numbers(
    column, is_numeric, n_missing
):
    array = np.empty((3, 1), dtype=object)
    array[:, 0] = column
    for table in (array, pd.DataFrame({"x": pd.Series(column, dtype=object)})):
        task = describe(table, ["p", "q", "p"])
        assert numbers(task, "NumberOfNumericFeatures", "NumberOfMissingValues") == [
            is_numeric,
            n_missing,
        ]


CONSTANT = pytest.mark.filterwarnings("ignore:y has the same value:warmstart.WarmStartWarning")


@CONSTANT
@pytest.mark.parametrize(
    ("X", "y"),
    [
        ([[1.0, 2.0]], [1]),
        ([["a"]], ["b"]),
        (np.eye(5), ["a"] * 5),
        (np.full((4, 2), np.nan), [0, 1, 0, 1]),
        (np.ones((4, 2)), [0, 1, 0, 1]),
        (np.ones((4, 2)), [0.5, 0.5, 0.5, 0.5]),
        ([[np.inf, 1], [2, -np.inf]], [0, 1]),
        ([[1e308, 1], [-1e308, 1e308]], [1e308, -1e-308]),
        (np.empty((4, 0)), [0, 1, 0, 1]),
        (pd.DataFrame(index=range(4)), [0, 1, 0, 1]),
        (scipy.sparse.csr_matrix((4, 3)), [0.1, 0.2, 0.3, 0.4]),
    ],
)
def test_degenerate_data_are_described_without_infinities(X, y):
    task = describe(X, y)
    assert not np.isinf(list(task.metafeatures.values())).any()
    assert task.metafeatures["NumberOfInstances"] == len(y)
    assert TaskDescriptor.from_json(json.loads(json.dumps(task.to_json()))) == task


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a", None, "b", None], "contains NaN in 2 of 4 rows, first in row 1"),
        ([0.5, 1.5, np.nan, 2.5], "contains NaN in 1 of 4 rows, first in row 2"),
        (pd.Series([0, 1, None, 1], dtype="Int64"), "contains NaN in 1 of 4 rows"),
        (pd.to_datetime(["2020-01-01", None, "2020-01-02", "2020-01-03"]), "contains NaN"),
        ([0.5, np.inf, -np.inf, 2.5], "contains infinity in 2 of 4 rows, first in row 1"),
    ],
)
@pytest.mark.parametrize("kind", [None, "classification"])
def test_missing_and_infinite_targets_are_refused_with_their_rows(y, message, kind):
    with pytest.raises(DescriptorError, match=f"Input y {message}"):
        describe(np.eye(4), y, kind=kind)


@pytest.mark.parametrize("y", [["a"] * 4, [1, 1, 1, 1], [0.5] * 4, [True] * 4])
def test_a_constant_target_warns(y):
    with pytest.warns(WarmStartWarning, match="y has the same value in all 4 rows"):
        describe(np.eye(4), y)


def test_what_is_given_stays_as_it_is():
    frame = pd.DataFrame({"a": [1.0, np.nan, 2.0], "b": ["x", None, "y"]})
    matrix = scipy.sparse.coo_matrix(([1.0, 2.0], ([0, 0], [0, 0])), shape=(3, 2)).tocsr()
    kept = copy.deepcopy((frame, matrix))
    describe(frame, [0, 1, 0])
    describe(matrix, [0, 1, 0])
    pd.testing.assert_frame_equal(frame, kept[0])
    np.testing.assert_array_equal(matrix.data, kept[1].data)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.empty((0, 3)), [], "X with 0 rows"),
        (pd.DataFrame({"a": []}), [], "X with 0 rows"),
        (np.eye(3), [], "y with 0 rows"),
        ([1, 2, 3], [1, 2, 3], r"X of shape \(3,\)"),
        (pd.Series([1, 2]), [1, 2], r"X of shape \(2,\)"),
        (None, [1], r"X of shape \(\)"),
        (np.zeros((2, 2, 2)), [1, 2], "two dimensions"),
        ([[1], [1, 2]], [1, 2], "expected a table"),
        (np.eye(2) * 1j, [1, 2], "complex"),
        (pd.DataFrame({"a": [1j, 2]}), [1, 2], "'a' of dtype complex"),
        (scipy.sparse.csr_matrix(np.eye(2) * 1j), [1, 2], "complex"),
        (np.zeros(2, dtype=[("a", "f4")]), [1, 2], "expected real numbers"),
        (np.eye(3), [1, 2], "y with 2 values and X with 3 rows"),
        (np.eye(3), np.eye(3), "y with 3 columns given; expected one target"),
        (np.eye(3), pd.DataFrame(np.eye(3)), "expected one target"),
        (np.eye(3), None, r"y of shape \(\) given; expected one value a row"),
        (np.eye(2), [np.nan, None], "without any present value"),
        (np.eye(2), [1j, 2j], "complex"),
    ],
)
def test_what_is_no_data_set_is_refused_with_the_reason(X, y, message):
    with pytest.raises(DescriptorError, match=message):
        describe(X, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "clustering"}, "kind='clustering'"),
        ({"kind": "regression"}, "holds no numbers"),
        ({"categorical": ["c"]}, "categorical names 'c'"),
        ({"categorical": [2]}, "categorical names 2"),
        ({"categorical": 7}, "categorical names 7"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_the_reason(options, message):
    with pytest.raises(DescriptorError, match=message):
        describe(pd.DataFrame(np.eye(2), columns=["a", "b"]), ["x", "y"], **options)


# What kind of task it is.


@pytest.mark.parametrize(
    ("y", "kind"),
    [
        (["a", "b"] * 5, "classification"),
        ([True, False] * 5, "classification"),
        (pd.Categorical(range(10)), "classification"),
        ([0, 1] * 5, "classification"),
        ([0.0, 1.0] * 5, "classification"),
        ([-1, 1], "classification"),
        (list(range(20)) * 2, "classification"),
        (list(range(20)), "regression"),
        (list(range(100)) * 10, "classification"),
        (list(range(100)) * 9, "regression"),
        (list(range(101)) * 50, "regression"),
        ([0.5, 1.5] * 50, "regression"),
        ([1, "a", 2, "b"], "classification"),
        (pd.date_range("2020", periods=30), "regression"),
    ],
)
def test_the_kind_is_inferred_by_the_documented_rule(y, kind):
    assert describe(np.zeros((len(y), 1)), y).kind == kind


def test_the_kind_can_be_said():
    X = np.zeros((30, 1))
    assert (
        describe(X, list(range(30)), kind="classification").metafeatures["NumberOfClasses"] == 30
    )
    assert describe(X, [True, False] * 15, kind="regression").kind == "regression"
    assert describe(X, [0, 1, 2] * 10, kind="regression").metafeatures["NumberOfClasses"] == 0


# Properties.

cells = {
    "float": st.floats(-1e6, 1e6) | st.sampled_from([np.nan, np.inf, -np.inf]),
    "integer": st.integers(-50, 50),
    "boolean": st.booleans(),
    "string": st.sampled_from(["a", "b", "c", "", None]),
    "object": st.sampled_from([1, 1.5, "a", True, None, b"x", (1,), np.nan, date(2020, 1, 1)]),
    "category": st.sampled_from(["x", "y", None]),
    "time": st.sampled_from(pd.to_datetime(["2020-01-01", "1999-12-31", None]).tolist()),
}


targets = {
    "float": st.floats(-1e6, 1e6),
    "integer": cells["integer"],
    "boolean": cells["boolean"],
    "string": st.sampled_from(["a", "b", "c", ""]),
}


@st.composite
def data_sets(draw: st.DrawFn, target_cells=targets) -> tuple[pd.DataFrame, list[object]]:
    n_rows = draw(st.integers(1, 25))
    columns = {}
    for i, kind in enumerate(draw(st.lists(st.sampled_from(sorted(cells)), max_size=5))):
        values = draw(st.lists(cells[kind], min_size=n_rows, max_size=n_rows))
        dtype = {"object": object, "category": "category", "time": "datetime64[ns]"}.get(kind)
        columns[f"{kind}{i}"] = pd.Series(values, dtype=dtype)
    target = draw(st.sampled_from(sorted(targets)))
    y = draw(st.lists(target_cells[target], min_size=n_rows, max_size=n_rows))
    return pd.DataFrame(columns, index=range(n_rows)), y


@CONSTANT
@given(data_sets() | data_sets(target_cells=cells))
@settings(deadline=None, max_examples=150)
def test_any_frame_is_described_by_finite_values_or_nan_or_refused(data):
    X, y = data
    try:
        task = describe(X, y)
    except DescriptorError:
        assert any(pd.isna(value) or value in (np.inf, -np.inf) for value in y)
        return
    values = np.array(list(task.metafeatures.values()))
    assert not np.isinf(values).any()
    assert not np.isinf(task.vector()).any()
    assert pickle.loads(pickle.dumps(task)) == task
    assert TaskDescriptor.from_json(json.loads(json.dumps(task.to_json()))) == task


@CONSTANT
@given(data_sets(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=100)
def test_the_order_of_rows_and_columns_makes_no_difference(data, random):
    X, y = data
    kind = describe(X, y).kind
    rows, columns = list(range(len(X))), list(range(X.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    shuffled = describe(X.iloc[rows, columns], [y[i] for i in rows], kind=kind)
    assert_same(shuffled, describe(X, y), rtol=1e-6, atol=1e-6)


# Descriptors as values.


def test_a_descriptor_is_read_only_hashable_and_survives_pickling():
    task = describe(np.eye(4), [0, 1, 0, 1], name="eye")
    with pytest.raises(TypeError):
        task.metafeatures["NumberOfClasses"] = 3
    with pytest.raises(AttributeError):
        task.name = "other"
    again = pickle.loads(pickle.dumps(task))
    assert again == task
    assert len({task, again, describe(np.eye(4), [0, 1, 0, 1], name="other")}) == 2
    assert hash(task.fingerprint) == hash(again.fingerprint)
    assert task != "eye"


def test_json_leaves_out_what_is_undefined_and_ignores_what_is_unknown():
    data = describe(np.eye(4), [0, 1, 0, 1]).to_json()
    assert "NaN" not in json.dumps(data)
    data["metafeatures"]["FromTheFuture"] = 1.0
    assert TaskDescriptor.from_json(data) == describe(np.eye(4), [0, 1, 0, 1])


@pytest.mark.parametrize(
    "data",
    [
        {},
        None,
        [],
        {"kind": None, "name": "", "metafeatures": [1]},
        {"kind": None, "name": "", "metafeatures": {"NumberOfClasses": "many"}},
        {"kind": "ranking", "name": "", "metafeatures": {}},
        {"kind": None, "name": 3, "metafeatures": {}},
    ],
)
def test_json_that_is_no_descriptor_is_refused(data):
    with pytest.raises(DescriptorError, match="descriptor"):
        TaskDescriptor.from_json(data)


def test_a_descriptor_keeps_no_cell_of_the_data():
    secret = "a very private value"
    task = describe(pd.DataFrame({secret: [secret, "b", secret]}), [secret, "n", "n"])
    assert secret not in json.dumps(task.to_json())
    assert secret not in repr(task.fingerprint)


def test_numpy_input_needs_no_pandas():
    code = (
        "import sys, numpy as np\n"
        "from warmstart.descriptor import describe\n"
        "describe(np.array([[1, 'a'], [None, 'b']], dtype=object), ['x', 'y'])\n"
        "assert not {'pandas', 'scipy', 'sklearn', 'optuna'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# OpenML's qualities.


def test_qualities_in_any_unit_or_type_meet_what_is_computed_from_data():
    task = TaskDescriptor.from_openml_qualities(QUALITIES, name="tiny")
    assert (task.kind, task.name) == ("classification", "tiny")
    X = pd.DataFrame(
        {
            "size": [1.0, 2, 3, 4, 5, 6, 7, np.nan],
            "flag": [True] * 4 + [False] * 4,
            "colour": ["a", "a", "b", "b", "a", "a", "b", None],
            "grade": [*"xxyyzz", None, "x"],
        }
    )
    ours = describe(X, list("ppppqqrr"))
    names = [name for name in COMPARABLE if "Attribute" not in name and "Mutual" not in name]
    names = [name for name in names if name not in ("EquivalentNumberOfAtts",)]
    names.remove("MeanNoiseToSignalRatio")
    np.testing.assert_allclose(task.vector(names), ours.vector(names))
    assert task.metafeatures["EquivalentNumberOfAtts"] == 6.0
    assert task.metafeatures["MeanNoiseToSignalRatio"] == pytest.approx((1.1 - 0.25) / 0.25)


def test_percentages_and_fractions_of_the_same_data_make_the_same_descriptor():
    percent = QUALITIES | {"MinorityClassPercentage": "25.0", "PercentageOfMissingValues": 0.075}
    assert TaskDescriptor.from_openml_qualities(percent) == (
        TaskDescriptor.from_openml_qualities(QUALITIES)
    )


def test_moments_that_openml_stores_are_not_believed():
    task = TaskDescriptor.from_openml_qualities(QUALITIES)
    assert math.isnan(task.metafeatures["MaxKurtosisOfNumericAtts"])


def test_undefined_and_impossible_qualities_become_nan():
    odd = QUALITIES | {
        "ClassEntropy": -1.0,
        "MeanAttributeEntropy": "-1.0",
        "MeanMutualInformation": "",
        "NumberOfMissingValues": "NaN",
        "NumberOfBinaryFeatures": "?",
        "MinorityClassSize": "0",
        "NumberOfInstancesWithMissingValues": float("inf"),
        "MajorityClassSize": [4],
    }
    task = TaskDescriptor.from_openml_qualities(odd)
    undefined = [name for name in odd if name in COMPARABLE and odd[name] != QUALITIES[name]]
    assert len(undefined) == 8
    assert np.isnan(numbers(task, *undefined)).all()


def test_older_qualities_left_the_target_out_of_the_symbolic_features():
    older = QUALITIES | {"NumberOfSymbolicFeatures": "3"}
    assert TaskDescriptor.from_openml_qualities(older) == (
        TaskDescriptor.from_openml_qualities(QUALITIES)
    )


@pytest.mark.parametrize(
    ("n_classes", "kind"),
    [("0", "regression"), ("2", "classification"), (None, "classification")],
)
def test_the_kind_follows_from_the_qualities(n_classes, kind):
    qualities = QUALITIES | {"NumberOfClasses": n_classes}
    assert TaskDescriptor.from_openml_qualities(qualities).kind == kind


def test_no_qualities_make_a_descriptor_that_knows_nothing():
    task = TaskDescriptor.from_openml_qualities({})
    assert task == TaskDescriptor()
    assert task.kind is None
    assert np.isnan(task.vector()).all()


def test_qualities_of_another_type_are_refused():
    with pytest.raises(DescriptorError, match="Qualities of type list"):
        TaskDescriptor.from_openml_qualities([("NumberOfClasses", 2)])
