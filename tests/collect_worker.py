"""Collects on a small data set until it is killed: ``python collect_worker.py STORE``."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from metaopt.collect.collector import CollectReport, collect
from metaopt.collect.data_set import DataSet, data_set
from warmstart.store import HistoryStore

ESTIMATORS = {"DecisionTreeClassifier": 25, "KNeighborsClassifier": 25}


def small_data() -> list[DataSet]:
    rng = np.random.default_rng(0)
    return [
        data_set(
            name,
            pd.DataFrame(rng.normal(size=(60, 3)), columns=list("abc")),
            np.arange(60) % 2,
            kind="classification",
        )
        for name in ("one", "two")
    ]


def collect_all(path: str) -> CollectReport:
    with HistoryStore(path) as store:
        return collect(small_data(), ESTIMATORS, store)


if __name__ == "__main__":
    collect_all(sys.argv[1])
