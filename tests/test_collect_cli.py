"""``metaopt collect`` from a shell."""

import json

import numpy as np
import pandas as pd
import pytest

from warmstart.history import TaskInfo, Trial
from warmstart.store import HistoryStore


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    directory = tmp_path / "data"
    directory.mkdir()
    for name, n_columns in (("narrow", 3), ("wide", 9)):
        frame = pd.DataFrame(rng.normal(size=(60, n_columns))).rename(columns=str)
        frame.assign(target=np.arange(60) % 2).to_csv(directory / f"{name}.csv", index=False)
    return directory


def test_it_collects_summarises_and_says_what_was_left_out(metaopt, data, tmp_path):
    store = tmp_path / "store"
    settings = ("--data", data, "--store", store, "--estimator", "DecisionTreeClassifier:3")
    code, out, err = metaopt("collect", *settings, "--max-columns", 5, "--compact")
    assert code == 0
    assert "left out: wide: 9 columns" in out
    assert "3 runs: 0 known before, 3 stored now (3 complete)" in out
    assert "collecting: 3 of 3" in err

    code, out, _ = metaopt("collect", *settings, "--json")
    content = json.loads(out)
    assert (content["n_planned"], content["n_known"], content["n_stored"]) == (6, 3, 3)

    code, out, _ = metaopt("collect", "--store", store, "--summary")
    assert "sklearn.tree.DecisionTreeClassifier: 6 trials (0 failed, 0 stopped) on 2 data" in out
    code, out, _ = metaopt("collect", "--store", store, "--summary", "--json")
    counts = json.loads(out)["sklearn.tree.DecisionTreeClassifier"]
    assert (counts["n_default"], counts["families"]) == (2, {"narrow": 1, "wide": 1})


def test_stores_are_merged_without_repeats(metaopt, tmp_path):
    info = TaskInfo("sklearn.svm.SVC", "t", "accuracy", "collect", dataset="d", family="f")
    for name, runs in (("one", "ab"), ("two", "bc")):
        with HistoryStore(tmp_path / name, fsync=False) as store:
            store.extend(info, [Trial({"C": 1.0}, 0.5, run_id=run) for run in runs])
    code, out, _ = metaopt(
        "collect", "--store", tmp_path / "one", "--merge", tmp_path / "two", "--compact"
    )
    assert code == 0
    assert "sklearn.svm.SVC: 3 trials" in out
    with HistoryStore(tmp_path / "one", create=False) as store:
        assert store.run_ids() == {"a", "b", "c"}
    assert len(list((tmp_path / "one").glob("*.parquet"))) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--estimator", "LGBMClasifier"], "LGBMClassifier"),
        (["--estimator", "SVC:many"], "NAME:N"),
        (["--target", "label"], "'narrow' has no column 'label'"),
        (["--max-columns", "1"], "No data sets given or left"),
    ],
)
def test_a_mistake_ends_in_one_line(metaopt, data, tmp_path, arguments, message):
    code, out, err = metaopt("collect", "--data", data, "--store", tmp_path / "s", *arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_a_store_that_is_not_there_has_no_summary(metaopt, tmp_path):
    code, _, err = metaopt("collect", "--store", tmp_path / "s", "--summary")
    assert (code, err.count("\n")) == (2, 1)
