"""Meta-features: oracles computed by hand, definitions, and agreement with OpenML's values."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from warmstart import metafeatures as module
from warmstart.descriptor import TaskDescriptor, describe
from warmstart.errors import DescriptorError
from warmstart.metafeatures import BY_NAME, COMPARABLE, METAFEATURES, complete, to_vector
from warmstart.moments import moments


def frame() -> tuple[pd.DataFrame, list[str]]:
    """Eight rows with a column of each kind and three missing values in two rows."""
    X = pd.DataFrame(
        {
            "size": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, np.nan],
            "flag": [True, True, True, True, False, False, False, False],
            "colour": ["a", "a", "b", "b", "a", "a", "b", None],
            "grade": pd.Categorical([*"xxyyzz", None, "x"], categories=["x", "y", "z"]),
        }
    )
    return X, ["p", "p", "p", "p", "q", "q", "r", "r"]


def test_counts_are_those_of_a_small_table_counted_by_hand():
    X, y = frame()
    assert {
        name: describe(X, y).metafeatures[name] for name in COMPARABLE if name.startswith("Number")
    } == {
        "NumberOfInstances": 8,
        "NumberOfFeatures": 5,
        "NumberOfClasses": 3,
        "NumberOfNumericFeatures": 1,
        "NumberOfSymbolicFeatures": 4,
        "NumberOfBinaryFeatures": 2,
        "NumberOfMissingValues": 3,
        "NumberOfInstancesWithMissingValues": 2,
    }


def test_shares_follow_from_counts_as_fractions():
    values = describe(*frame()).metafeatures
    assert values["Dimensionality"] == 5 / 8
    assert values["MajorityClassPercentage"] == 0.5
    assert values["MinorityClassPercentage"] == 0.25
    assert values["PercentageOfNumericFeatures"] == 0.2
    assert values["PercentageOfSymbolicFeatures"] == 0.8
    assert values["PercentageOfBinaryFeatures"] == 0.4
    assert values["PercentageOfMissingValues"] == 3 / 40
    assert values["PercentageOfInstancesWithMissingValues"] == 0.25


def test_entropies_are_in_bits_and_a_missing_value_counts_as_the_first():
    values = describe(*frame()).metafeatures
    # flag: 4/4. colour: a a b b a a b (a): 5/3. grade: x x y y z z (x) x: 4/2/2.
    colour = -(5 / 8 * math.log2(5 / 8) + 3 / 8 * math.log2(3 / 8))
    assert values["ClassEntropy"] == pytest.approx(1.5)
    assert values["MinAttributeEntropy"] == pytest.approx(colour)
    assert values["Quartile2AttributeEntropy"] == pytest.approx(1.0)
    assert values["MaxAttributeEntropy"] == pytest.approx(1.5)
    # flag tells p from the rest: 1 bit. grade: given x (p p r r) 1 bit, given y (p p) none,
    # given z (q q) none, so half a bit of the class is left.
    assert values["MaxMutualInformation"] == pytest.approx(1.0)
    assert values["Quartile2MutualInformation"] == pytest.approx(1.0)
    # colour: given a (p p q q r) 1.522 bits, given b (p p r) 0.918 bits.
    left = 5 / 8 * scipy.stats.entropy([2, 2, 1], base=2) + 3 / 8 * scipy.stats.entropy(
        [2, 1], base=2
    )
    assert values["MinMutualInformation"] == pytest.approx(1.5 - left)
    mean = (2 + 1.5 - left) / 3
    assert values["EquivalentNumberOfAtts"] == pytest.approx(1.5 / mean)
    noise = ((2.5 + colour) / 3 - mean) / mean
    assert values["MeanNoiseToSignalRatio"] == pytest.approx(noise)


def test_moments_are_the_unbiased_ones_and_quartiles_stand_at_p_times_n_plus_one():
    columns = np.array([[0.0, 0, 0], [1, 10, 1], [2, 20, 1], [3, 30, 1], [10, 40, 1]])
    values = describe(columns, list("aabba")).metafeatures
    means = [3.2, 20.0, 0.8]
    assert values["MinMeansOfNumericAtts"] == pytest.approx(min(means))
    assert values["Quartile1MeansOfNumericAtts"] == pytest.approx(0.8)
    assert values["Quartile2MeansOfNumericAtts"] == pytest.approx(3.2)
    assert values["Quartile3MeansOfNumericAtts"] == pytest.approx(20.0)
    assert values["MaxStdDevOfNumericAtts"] == pytest.approx(np.std(columns[:, 1], ddof=1))
    assert values["MaxSkewnessOfNumericAtts"] == pytest.approx(
        scipy.stats.skew(columns[:, 0], bias=False)
    )
    kurtoses = scipy.stats.kurtosis(columns, bias=False)
    assert values["MeanKurtosisOfNumericAtts"] == pytest.approx(kurtoses.mean())


def test_a_numeric_target_is_counted_as_on_openml_and_has_moments_of_its_own():
    y = [0.5, 1.5, 2.5, 9.5]
    values = describe(np.array([[1.0], [2.0], [3.0], [4.0]]), y).metafeatures
    assert values["NumberOfClasses"] == 0
    assert values["NumberOfNumericFeatures"] == 2
    assert values["NumberOfSymbolicFeatures"] == 0
    assert values["MaxMeansOfNumericAtts"] == 2.5
    assert values["TargetDistinctValues"] == 4
    assert values["TargetSkewness"] == pytest.approx(scipy.stats.skew(y, bias=False))
    assert values["TargetKurtosis"] == pytest.approx(scipy.stats.kurtosis(y, bias=False))
    for name in ("MajorityClassSize", "ClassEntropy", "MeanMutualInformation"):
        assert math.isnan(values[name])


@given(st.integers(0, 10**6), st.floats(0, 1), st.integers(1, 40))
@settings(deadline=None, max_examples=60)
def test_moments_of_sparse_and_dense_columns_are_those_of_scipy(seed, density, n_rows):
    rng = np.random.default_rng(seed)
    dense = rng.normal(3, 2, (n_rows, 4)) * (rng.random((n_rows, 4)) < density)
    dense[rng.random((n_rows, 4)) < 0.1] = np.nan
    dense[rng.random((n_rows, 4)) < 0.05] = np.inf
    found = moments(dense)
    np.testing.assert_allclose(moments(scipy.sparse.csr_matrix(dense)), found, atol=1e-9)
    for column, (mean, std, skewness, kurtosis) in zip(dense.T, found, strict=True):
        values = column[np.isfinite(column)]
        if len(values) == 0:
            assert math.isnan(mean)
            continue
        assert mean == pytest.approx(values.mean())
        assert len(values) == 1 or std == pytest.approx(values.std(ddof=1))
        if len(values) > 3 and np.ptp(values) > 0:
            assert skewness == pytest.approx(scipy.stats.skew(values, bias=False))
            assert kurtosis == pytest.approx(scipy.stats.kurtosis(values, bias=False))


def test_a_constant_column_has_no_shape_whatever_rounding_makes_of_it():
    (moments_of_constant,) = moments(np.full((100_003, 1), 0.1))
    mean, std, skewness, kurtosis = moments_of_constant
    assert mean == pytest.approx(0.1)
    assert std == 0
    assert math.isnan(skewness)
    assert math.isnan(kurtosis)


def test_floats_that_overflow_are_left_out_without_a_warning():
    assert np.isnan(moments(np.array([[1e308], [1e308], [-1e308], [1e-320]]))).all()


def test_entropies_of_many_cells_come_from_a_sample_and_counts_do_not(monkeypatch):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"often": rng.integers(0, 4, 4000).astype(str), "rare": ["x"] * 4000})
    X.loc[17, "rare"] = "y"
    X.loc[23, "often"] = None
    y = (X["often"] == "1").to_numpy()
    exact = describe(X, y).metafeatures
    monkeypatch.setattr(module, "_MAX_NOMINAL_CELLS", 2000)
    sampled = describe(X, y, seed=1)
    for name, value in sampled.metafeatures.items():
        if name.startswith(("Number", "Percentage", "Majority", "Minority", "Class")):
            assert value == exact[name], name
    assert sampled.metafeatures["MaxAttributeEntropy"] == pytest.approx(2, abs=0.05)
    assert sampled.metafeatures["MaxAttributeEntropy"] != exact["MaxAttributeEntropy"]
    assert sampled == describe(X, y, seed=1)


def test_a_column_of_identifiers_with_many_classes_needs_no_table_of_all_pairs():
    n = 20_000
    values = describe(pd.DataFrame({"id": np.arange(n).astype(str)}), np.arange(n).astype(str))
    assert values.metafeatures["MaxMutualInformation"] == pytest.approx(math.log2(n))


def test_every_metafeature_is_named_once_and_defined():
    assert len(BY_NAME) == len(METAFEATURES)
    for feature in METAFEATURES:
        assert feature.definition.endswith(".")
        assert feature.group in ("simple", "statistical", "information-theoretic", "target")
    assert set(describe(*frame()).metafeatures) == set(BY_NAME)


def test_missing_counts_leave_shares_undefined():
    values = complete({"NumberOfFeatures": 5.0})
    assert math.isnan(values["Dimensionality"])
    assert math.isnan(values["PercentageOfMissingValues"])


def test_vectors_have_the_documented_scales():
    values = {"NumberOfInstances": 99.0, "ClassEntropy": 1.5, "MaxMeansOfNumericAtts": -1e300}
    names = [*values, "NumberOfClasses"]
    vector = to_vector(values, names)
    np.testing.assert_allclose(vector[:3], [math.log(100), 1.5, -math.asinh(1e300)])
    assert math.isnan(vector[3])


def test_a_vector_of_an_unknown_name_names_it():
    with pytest.raises(DescriptorError, match="'NumberOfRows'"):
        to_vector({}, ["NumberOfRows"])


def real_data(
    directory: Path, name: str, categorical: list[str] | str
) -> tuple[pd.DataFrame, pd.Series]:
    with gzip.open(directory / "datasets" / f"{name}.csv.gz", "rt") as file:
        data = pd.read_csv(file)
    y = data.pop("target")
    nominal = list(data.columns) if categorical == "all" else categorical
    return data.astype(dict.fromkeys(nominal, "category")), y


@pytest.mark.parametrize(
    ("data", "task", "categorical"),
    [
        ("kr_vs_kp", "kr-vs-kp", "all"),
        ("tic_tac_toe", "tic-tac-toe", "all"),
        ("mfeat_pixel", "mfeat-pixel", "all"),
        ("analcatdata_dmft", "analcatdata_dmft", "all"),
        ("letter", "letter", []),
        ("mfeat_fourier", "mfeat-fourier", []),
        ("pendigits", "pendigits", []),
        ("spambase", "spambase", []),
        ("texture", "texture", []),
        ("waveform_40", "waveform-5000", []),
    ],
)
def test_metafeatures_of_real_data_are_those_that_openml_stores(
    recorded_data, data, task, categorical
):
    stored = pd.read_csv(recorded_data / "openml_runs" / "tasks.csv").set_index("name").loc[task]
    openml = TaskDescriptor.from_openml_qualities(stored.to_dict())
    ours = describe(*real_data(recorded_data, data, categorical), kind="classification")
    names = [name for name in COMPARABLE if "BinaryFeatures" not in name]
    np.testing.assert_allclose(ours.vector(names), openml.vector(names), rtol=1e-9, atol=1e-12)
    # OpenML counts the values that a column declares, which the data may not show.
    binary = [d.metafeatures["NumberOfBinaryFeatures"] for d in (ours, openml)]
    assert abs(binary[0] - binary[1]) <= 1
