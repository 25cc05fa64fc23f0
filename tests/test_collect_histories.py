"""The histories that the repository keeps."""

from pathlib import Path

import numpy as np
import pytest

import metaopt
from metaopt.collect.collector import SOURCE
from metaopt.collect.measures import PRIMARY
from metaopt.collect.summary import summarise
from warmstart.catalogue import resolve_estimator
from warmstart.store import HistoryStore

PATH = Path(metaopt.__file__).parent / "histories"
MOST_BYTES = 20_000_000


@pytest.fixture(scope="module")
def histories():
    return HistoryStore(PATH, create=False, fsync=False).histories()


def test_every_file_can_be_read_and_together_they_are_small():
    assert HistoryStore(PATH, create=False).verify().ok
    assert sum(path.stat().st_size for path in PATH.iterdir()) < MOST_BYTES


def test_all_of_them_are_sound_and_say_where_they_come_from(histories):
    for history in histories:
        history.check()
        info = history.info
        assert info.source == SOURCE
        assert resolve_estimator(info.estimator).name == info.estimator
        assert info.descriptor
        assert info.provenance
        assert info.licence
        assert info.metric == PRIMARY[info.descriptor["kind"]]
        assert set(np.unique(history.proposed_by)) <= {"", "default", "variation", "warmstart"}
        assert all(history.reasons[history.states != "complete"])


def test_a_data_set_is_of_one_family_in_all_histories(histories):
    families: dict[str, set[str]] = {}
    for history in histories:
        families.setdefault(history.info.dataset, set()).add(history.info.family)
    assert all(len(names) == 1 for names in families.values())


def test_the_defaults_were_run_on_every_data_set(histories):
    for name, counts in summarise(histories).items():
        assert counts["n_default"] == counts["n_data_sets"], name


def test_lightgbm_was_run_on_more_than_a_hundred_data_sets(histories):
    counts = summarise(histories)
    n = sum(counts[f"lightgbm.LGBM{kind}"]["n_data_sets"] for kind in ("Classifier", "Regressor"))
    assert n >= 120


@pytest.mark.parametrize(
    "names",
    [
        *(("LGBMClassifier", "LGBMRegressor"), ("XGBClassifier", "XGBRegressor")),
        ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"),
        ("RandomForestClassifier", "RandomForestRegressor"),
        ("ExtraTreesClassifier", "ExtraTreesRegressor"),
        *(("LogisticRegression", "ElasticNet"), ("LogisticRegression", "Ridge")),
        *(("SVC", "SVR"), ("MLPClassifier", "MLPRegressor")),
        ("KNeighborsClassifier", "KNeighborsRegressor"),
    ],
)
def test_fifty_configurations_were_run_on_more_than_a_hundred_data_sets(histories, names):
    of_these = [h for h in histories if h.info.estimator.rpartition(".")[2] in names]
    data_sets = {h.info.dataset for h in of_these if len(h) >= 50}
    assert len(data_sets) > 100
