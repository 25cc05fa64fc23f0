"""A data directory as benchmarks read it, with invented runs and surrogates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from small_onnx import quadratic_network

from metaopt.benchmarks.surrogates import SCENARIOS
from metaopt.benchmarks.tables import TABLES
from warmstart.space import Configuration, SearchSpace, to_unit

#: By task id: data set id and name; the two mfeat sets are one family.
TASKS = {
    3: (30, "kr-vs-kp"),
    12: (120, "mfeat-factors"),
    14: (140, "mfeat-fourier"),
    23: (230, "cmc"),
    31: (310, "credit-g"),
    44: (440, "spambase"),
    54: (540, "vehicle"),
}
N_RUNS = 40
OUTPUTS = ["time", "acc", "val_accuracy"]

_FLOAT = {"type": "uniform_float", "log": False}
_HYPERPARAMETERS: Mapping[str, list[dict[str, Any]]] = {
    "xgboost": [
        {"name": "booster", "type": "categorical", "choices": ["gblinear", "gbtree", "dart"]},
        {"name": "nrounds", "type": "uniform_int", "log": True, "lower": 7, "upper": 2981},
        {"name": "eta", "type": "uniform_float", "log": True, "lower": 1e-3, "upper": 1.0},
        {"name": "rate_drop", **_FLOAT, "lower": 0.0, "upper": 1.0},
    ],
    "rpart": [
        {"name": "cp", "type": "uniform_float", "log": True, "lower": 1e-3, "upper": 1.0},
        {"name": "maxdepth", "type": "uniform_int", "log": False, "lower": 1, "upper": 30},
    ],
    "lcbench": [
        {"name": "batch_size", "type": "uniform_int", "log": True, "lower": 16, "upper": 512},
        {"name": "momentum", **_FLOAT, "lower": 0.1, "upper": 0.99},
    ],
}
_CONDITIONS: Mapping[str, list[dict[str, Any]]] = {
    "xgboost": [
        {"child": "eta", "parent": "booster", "type": "IN", "values": ["gbtree", "dart"]},
        {"child": "rate_drop", "parent": "booster", "type": "EQ", "value": "dart"},
    ]
}
#: The instance is a column of its own, so that instances differ.
BOOSTERS = {"#na#": 0, "gblinear": 1, "gbtree": 2, "dart": 3}


def write_invented_data(directory: Path) -> Path:
    """Write ``openml_runs/`` and ``surrogates/`` into a directory."""
    runs = directory / "openml_runs"
    runs.mkdir(parents=True)
    rng = np.random.default_rng(0)
    pd.DataFrame(
        {
            "task_id": task,
            "dataset_id": dataset,
            "name": name,
            "NumberOfInstances": float(rng.integers(200, 5000)),
            "NumberOfFeatures": float(rng.integers(5, 50)),
            "NumberOfClasses": 2.0,
        }
        for task, (dataset, name) in TASKS.items()
    ).to_csv(runs / "tasks.csv", index=False)
    for table in TABLES.values():
        rows = [
            {
                "task_id": task,
                "predictive_accuracy": f"{_accuracy(table.space, configuration, task):.6f}",
                **{
                    column: _cell(configuration.get(name, ""))
                    for name, column in table.columns.items()
                },
            }
            for task in TASKS
            for configuration in table.space.sample(N_RUNS, rng)
        ]
        pd.DataFrame(rows).to_csv(runs / table.file, index=False)
    for source in SCENARIOS:
        _write_surrogate(directory, source)
    return directory


def weights_of(source: str) -> np.ndarray:
    """What the surrogate's network multiplies its inputs with, ``(n_columns, n_outputs)``."""
    numeric = [h for h in _HYPERPARAMETERS[source] if h["type"] != "categorical"]
    n_categorical = 1 + len(_HYPERPARAMETERS[source]) - len(numeric)
    scales = [0.1] * n_categorical + [0.0] + [1.0 / h["upper"] for h in numeric]  # 0: epoch
    return np.array(scales)[:, None] * np.array([1.0, -1.0, 2.0])


def _write_surrogate(directory: Path, source: str) -> None:
    scenario = SCENARIOS[source]
    described = _HYPERPARAMETERS[source]
    categorical = [h["name"] for h in described if h["type"] == "categorical"]
    ids = TASKS if scenario.instances_are_tasks else [dataset for dataset, _ in TASKS.values()]
    place = directory / "surrogates" / scenario.directory
    place.mkdir(parents=True)
    description = {
        "scenario": source,
        "instance_parameter": "instance",
        "instances": {str(number): code for code, number in enumerate(ids, start=1)},
        "categorical_inputs": ["instance", *categorical],
        "continuous_inputs": ["epoch", *(h["name"] for h in described if "lower" in h)],
        "outputs": OUTPUTS,
        "fidelity": {"epoch": 50},
        "encoding": {"booster": BOOSTERS} if categorical else {},
        "hyperparameters": described,
        "conditions": _CONDITIONS.get(source, []),
    }
    (place / "scenario.json").write_text(json.dumps(description))
    network = quadratic_network(1 + len(categorical), weights_of(source))
    (place / "model.onnx").write_bytes(network)


def _accuracy(space: SearchSpace, configuration: Configuration, task: int) -> float:
    """Best where all numbers are at a place that depends a little on the task."""
    best = 0.4 + task / 300
    places = [to_unit(space.parameters[name], value) for name, value in configuration.items()]
    return 0.9 - 0.2 * float(np.mean([(place - best) ** 2 for place in places]))


def _cell(value: object) -> str:
    """As the recorded tables write it: integers like 3.0."""
    return f"{value}.0" if isinstance(value, int) and not isinstance(value, bool) else str(value)
