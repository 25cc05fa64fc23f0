"""Data sets to collect on: read, checked, sampled, prepared, and told apart."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from metaopt.collect.data_set import data_set, subsampled
from metaopt.collect.duplicates import with_shared_families
from metaopt.collect.preparation import n_prepared_columns, preparation_of, prepared_folds
from metaopt.collect.sources import (
    bundled_data,
    generated_data,
    openml_data,
    read_data,
    write_data,
)
from warmstart.catalogue import resolve_estimator
from warmstart.errors import DescriptorError


def table(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "size": rng.normal(size=n),
            "price in euro": rng.normal(size=n),
            "colour": rng.choice(["red", "green", "blue"], n),
        }
    )


def classes(n=60):
    return np.array(["yes", "no"])[np.arange(n) % 2]


class TestChecks:
    def test_a_constant_target_is_an_error_that_names_the_data_set(self):
        with pytest.raises(DescriptorError, match="'shop' has a constant target"):
            data_set("shop", table(), np.ones(60))

    def test_a_nominal_column_that_is_not_there_is_an_error(self):
        with pytest.raises(DescriptorError, match="'weight'"):
            data_set("shop", table(), classes(), categorical=["weight"])

    def test_a_table_of_nothing_but_the_target_is_an_error(self):
        with pytest.raises(DescriptorError, match="no columns"):
            data_set("shop", table()[[]], classes())

    def test_a_target_that_is_no_number_is_an_error_for_regression(self):
        with pytest.raises(DescriptorError, match="'shop': kind='regression'"):
            data_set("shop", table(), classes(), kind="regression")

    def test_rows_without_a_target_are_left_out(self):
        y = pd.Series(classes(), dtype=object)
        y[:10] = None
        made = data_set("shop", table(), y)
        assert made.n_rows == 50
        assert made.X["size"].tolist() == table()["size"][10:].tolist()

    def test_columns_that_hold_no_numbers_are_nominal(self):
        assert data_set("shop", table(), classes()).categorical == ("colour",)


class TestSampling:
    def test_few_enough_rows_stay_as_they_are(self):
        made = data_set("shop", table(), classes())
        assert subsampled(made, max_rows=60, n_folds=3, seed=0) is made

    def test_classes_keep_their_shares_and_the_recipe_says_what_was_done(self):
        y = np.repeat([0, 1], [300, 100])
        made = data_set("shop", table(400), y, kind="classification")
        sample = subsampled(made, max_rows=100, n_folds=3, seed=5)
        assert np.bincount(sample.y).tolist() == [75, 25]
        assert sample.recipe == {
            "rows": 100,
            "of_rows": 400,
            "sample": "stratified",
            "seed": 5,
            "classes_left_out": 0,
        }

    def test_the_sample_is_the_same_by_seed(self):
        made = data_set("shop", table(400), np.arange(400.0), kind="regression")
        one, again, other = (
            subsampled(made, max_rows=50, n_folds=3, seed=seed).y.tolist() for seed in (1, 1, 2)
        )
        assert one == again != other

    def test_a_class_that_no_split_has_on_both_sides_is_left_out(self):
        y = np.array(["a"] * 30 + ["b"] * 28 + ["c"] * 2)
        sample = subsampled(data_set("shop", table(), y), max_rows=100, n_folds=3, seed=0)
        assert (sample.n_rows, sample.n_classes) == (58, 2)

    def test_a_single_class_of_enough_rows_is_an_error(self):
        made = data_set("shop", table(), np.array(["a"] * 58 + ["b"] * 2))
        with pytest.raises(DescriptorError, match="1 classes of at least 3 rows"):
            subsampled(made, max_rows=100, n_folds=3, seed=0)


class TestFiles:
    def test_an_index_says_what_is_known_of_each_file(self, tmp_path):
        frame = table().assign(label=classes())
        frame["price in euro"] = (frame["price in euro"] > 0).astype(int)
        frame.to_csv(tmp_path / "shop.csv.gz", index=False)
        (tmp_path / "index.csv").write_text(
            "name,task,categorical_features,openml_dataset_id,licence\n"
            "shop,classification,price in euro colour,7,CC0\n"
        )
        (made,) = read_data(tmp_path, target="label")
        assert made.id == "openml-dataset-7"
        assert made.licence == "CC0"
        assert made.categorical == ("price in euro", "colour")

    def test_what_is_written_is_read_again_to_the_last_digit(self, tmp_path):
        whole = data_set(
            "shop", table(300), np.random.default_rng(1).normal(size=300), licence="CC0"
        )
        sample = subsampled(whole, max_rows=100, n_folds=3, seed=0)
        write_data([sample], tmp_path)
        (again,) = read_data(tmp_path)
        pd.testing.assert_frame_equal(again.X, sample.X, check_dtype=False)
        assert again.y.tolist() == sample.y.tolist()
        for name in ("kind", "categorical", "id", "family", "licence", "recipe"):
            assert getattr(again, name) == getattr(sample, name)
        assert subsampled(again, max_rows=100, n_folds=3, seed=0) is again

    @pytest.mark.parametrize("ending", ["csv", "parquet"])
    def test_a_file_alone_is_a_data_set(self, tmp_path, ending):
        frame = table().assign(target=classes())
        path = tmp_path / f"shop.{ending}"
        frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
        (made,) = read_data(path)
        assert (made.name, made.kind, made.n_rows) == ("shop", "classification", 60)

    def test_a_directory_without_an_index_is_read_whole(self, tmp_path):
        for name in ("b", "a"):
            table().assign(target=classes()).to_csv(tmp_path / f"{name}.csv", index=False)
        assert [made.name for made in read_data(tmp_path)] == ["a", "b"]

    def test_a_file_without_its_target_is_an_error(self, tmp_path):
        table().to_csv(tmp_path / "shop.csv", index=False)
        with pytest.raises(DescriptorError, match="'shop' has no column 'target'"):
            read_data(tmp_path / "shop.csv")

    def test_what_is_not_there_is_an_error(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="expected a file or a directory"):
            read_data(tmp_path / "nothing")
        with pytest.raises(FileNotFoundError, match=r"files ending in"):
            read_data(tmp_path)


class TestOtherSources:
    def test_the_bundled_sets_are_of_both_kinds(self):
        assert {made.kind for made in bundled_data()} == {"classification", "regression"}

    def test_generated_sets_are_regressions_of_several_families_and_the_same_by_seed(self):
        one, again = generated_data(seed=1), generated_data(seed=1)
        assert len({made.family for made in one}) >= 5
        assert {made.kind for made in one} == {"regression"}
        assert all(a.y.tolist() == b.y.tolist() for a, b in zip(one, again, strict=True))

    @pytest.mark.parametrize("target", ["label", None])
    def test_data_of_openml_keep_their_id_licence_and_nominal_columns(self, monkeypatch, target):
        openml = pytest.importorskip("openml", reason="openml is not installed")
        found = SimpleNamespace(
            name="shop",
            licence="Public",
            default_target_attribute=target,
            get_data=lambda target: (
                table(),
                None if target is None else pd.Series(classes()),
                [False, False, True],
                ["size", "price in euro", "colour"],
            ),
        )
        monkeypatch.setattr(openml.datasets, "get_dataset", lambda *args, **kwargs: found)
        if target is None:
            with pytest.raises(DescriptorError, match="no target"):
                openml_data([7], server="http://localhost:1")
            return
        (made,) = openml_data([7], server="http://localhost:1")
        assert (made.id, made.licence, made.categorical) == (
            "openml-dataset-7",
            "Public",
            ("colour",),
        )


class TestDuplicates:
    def test_a_copy_under_another_name_is_of_the_same_family_however_it_was_coded(self):
        original = data_set("a_shop", table(80), classes(80))
        copied = table(80).sample(frac=1.0, random_state=0)
        recoded = pd.DataFrame(
            {
                "x1": copied["price in euro"],
                "x2": copied["colour"].map({"red": 3, "green": 1, "blue": 2}),
                "x3": copied["size"],
            }
        )
        copy = data_set("b_store", recoded, classes(80)[copied.index])
        other = data_set("c_other", table(80, seed=1), classes(80))
        families = [made.family for made in with_shared_families([copy, other, original])]
        assert families == ["a_shop", "c_other", "a_shop"]

    def test_sets_that_share_some_rows_are_of_one_family(self):
        rng = np.random.default_rng(0)
        rows = pd.DataFrame(rng.normal(size=(100, 4)), columns=list("abcd"))
        y = classes(100)
        first = data_set("first", rows[:70], y[:70])
        second = data_set("second", rows[60:], y[60:])
        families = {made.family for made in with_shared_families([first, second])}
        assert families == {"first"}


class TestPreparation:
    def test_nothing_is_learned_from_test_rows(self):
        X = table(90)
        made = data_set("shop", X, classes(90))
        folds = prepared_folds(made, "scaled", n_folds=3, seed=0)
        X = X.copy()
        X.loc[_test_rows(made, folds[0]), "size"] = 1e9
        changed = prepared_folds(data_set("shop", X, classes(90)), "scaled", n_folds=3, seed=0)
        np.testing.assert_array_equal(changed[0].X_train, folds[0].X_train)
        assert not np.allclose(changed[1].X_train, folds[1].X_train)

    def test_scaled_columns_have_mean_0_and_variance_1_and_categories_a_column_each(self):
        made = data_set("shop", table(90), classes(90))
        fold = prepared_folds(made, "scaled", n_folds=3, seed=0)[0]
        assert fold.X_train.shape == (60, 5) == (60, n_prepared_columns(made, "scaled"))
        np.testing.assert_allclose(fold.X_train.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(fold.X_train.std(axis=0), 1)

    def test_lightgbm_gets_codes_and_missing_values_as_they_are(self):
        X = table(90)
        X.loc[:20, "size"] = np.nan
        made = data_set("shop", X, classes(90))
        fold = prepared_folds(made, "native", n_folds=3, seed=0)[0]
        assert fold.nominal == (2,)
        assert np.isnan(fold.X_train[:, 0]).any()
        assert set(fold.X_train[:, 2]) == {0.0, 1.0, 2.0}
        encoded = prepared_folds(made, "encoded", n_folds=3, seed=0)[0]
        assert not np.isnan(encoded.X_train).any()

    def test_a_category_that_only_test_rows_have_is_missing(self):
        X = table(90)
        made = data_set("shop", X, classes(90))
        rows = _test_rows(made, prepared_folds(made, "native", n_folds=3, seed=0)[0])
        X.loc[rows[0], "colour"] = "violet"
        fold = prepared_folds(data_set("shop", X, classes(90)), "native", n_folds=3, seed=0)[0]
        assert np.isnan(fold.X_test[:, 2]).sum() == 1

    def test_the_target_of_a_regression_is_standardised_on_training_rows(self):
        y = 1000 + 50 * np.random.default_rng(0).normal(size=90)
        fold = prepared_folds(data_set("shop", table(90), y), "encoded", n_folds=3, seed=0)[0]
        assert (fold.y_train.mean(), fold.y_train.std()) == pytest.approx((0, 1))
        assert fold.y_test.mean() > 900
        assert (fold.mean, fold.scale) == pytest.approx((1000, 50), rel=0.3)

    def test_what_measures_distances_is_scaled_and_trees_are_not(self):
        kinds = {
            name: preparation_of(resolve_estimator(name))
            for name in ("SVC", "MLPRegressor", "Ridge", "RandomForestClassifier", "LGBMRegressor")
        }
        assert list(kinds.values()) == ["scaled", "scaled", "scaled", "encoded", "native"]


def _test_rows(made, fold):
    """Where in the data set the test rows of the first fold are."""
    from sklearn.model_selection import StratifiedKFold

    splitter = StratifiedKFold(3, shuffle=True, random_state=0)
    _, test = next(splitter.split(np.empty((made.n_rows, 0)), made.y))
    np.testing.assert_array_equal(fold.y_test, made.y[test])
    return test
