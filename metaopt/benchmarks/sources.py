"""The six sources of problems: OpenML tables (as pools and as forests) and YAHPO surrogates.

They are read from a data directory (``openml_runs/`` and ``surrogates/`` in it), which is not
part of the project.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metaopt.benchmarks.problems import Forest, NearestRun, Problem, UnitEncoder
from warmstart.space import (
    Categorical,
    Condition,
    Configuration,
    Float,
    Integer,
    Parameter,
    SearchSpace,
    Value,
)

N_REFERENCE = 4000  # random configurations that fix a surrogate's regret scale
MIN_RUNS = 30  # a table with fewer runs says too little of the space to judge a sampler by
MIN_DISTINCT = 5  # losses; below that a table is (nearly) constant

_FAMILIES = (
    (r"mfeat-.*", "mfeat"),
    (r"one-hundred-plants-.*", "one-hundred-plants"),
    (r"KDDCup09_.*", "KDDCup09"),
    (r".*_agnostic", "agnostic"),
    (r"credit-approval|Australian", "credit-approval"),
)


def family_of(name: str) -> str:
    """The family of an OpenML data set by its name; most are families of one."""
    for pattern, family in _FAMILIES:
        if re.fullmatch(pattern, name):
            return family
    return name


@dataclass(frozen=True)
class Table:
    """How to read one CSV of runs: column of each hyperparameter, and the sampled space."""

    file: str
    estimator: str
    columns: Mapping[str, str]
    space: SearchSpace


_STRATEGY = Categorical(("mean", "median", "most_frequent"))
_IMPUTER = "columntransformer__numeric__imputer__strategy"

TABLES: Mapping[str, Table] = {
    "random_forest": Table(
        "random_forest.csv.gz",
        "sklearn.ensemble.RandomForestClassifier",
        {
            "bootstrap": "randomforestclassifier__bootstrap",
            "criterion": "randomforestclassifier__criterion",
            "max_features": "randomforestclassifier__max_features",
            "min_samples_leaf": "randomforestclassifier__min_samples_leaf",
            "min_samples_split": "randomforestclassifier__min_samples_split",
            "imputer__strategy": _IMPUTER,
        },
        SearchSpace(
            {
                "bootstrap": Categorical((True, False)),
                "criterion": Categorical(("gini", "entropy")),
                "max_features": Float(0.1, 0.9),
                "min_samples_leaf": Integer(1, 20),
                "min_samples_split": Integer(2, 20),
                "imputer__strategy": _STRATEGY,
            }
        ),
    ),
    "adaboost": Table(
        "adaboost.csv.gz",
        "sklearn.ensemble.AdaBoostClassifier",
        {
            "algorithm": "adaboostclassifier__algorithm",
            "learning_rate": "adaboostclassifier__learning_rate",
            "estimator__max_depth": "adaboostclassifier__base_estimator__max_depth",
            "n_estimators": "adaboostclassifier__n_estimators",
            "imputer__strategy": _IMPUTER,
        },
        SearchSpace(
            {
                "algorithm": Categorical(("SAMME", "SAMME.R")),
                "learning_rate": Float(0.01, 2.0, log=True),
                "estimator__max_depth": Integer(1, 10),
                "n_estimators": Integer(50, 500),
                "imputer__strategy": _STRATEGY,
            }
        ),
    ),
    "svc": Table(
        "svc.csv.gz",
        "sklearn.svm.SVC",
        {
            "C": "svc__C",
            "kernel": "svc__kernel",
            "gamma": "svc__gamma",
            "degree": "svc__degree",
            "coef0": "svc__coef0",
            "shrinking": "svc__shrinking",
            "tol": "svc__tol",
            "imputer__strategy": _IMPUTER,
        },
        SearchSpace(
            {
                "C": Float(2.0**-5, 2.0**15, log=True),
                "kernel": Categorical(("rbf", "poly", "sigmoid")),
                "gamma": Float(2.0**-15, 2.0**3, log=True),
                "degree": Integer(1, 5),
                "coef0": Float(-1.0, 1.0),
                "shrinking": Categorical((True, False)),
                "tol": Float(1e-5, 1e-1, log=True),
                "imputer__strategy": _STRATEGY,
            },
            {
                "degree": Condition("kernel", ("poly",)),
                "coef0": Condition("kernel", ("poly", "sigmoid")),
            },
        ),
    ),
}


def data_directory(given: str | Path | None = None) -> Path:
    """The directory of real runs and surrogates: ``given``, ``$WARMSTART_DATA`` or the default.

    Raises:
        FileNotFoundError: If there is none.
    """
    for candidate in (given, os.environ.get("WARMSTART_DATA"), "../shared/data"):
        if candidate is not None:
            path = Path(candidate)
            if (path / "openml_runs").is_dir():
                return path
            if candidate is given:
                break
    raise FileNotFoundError(
        f"No benchmark data at {given or '../shared/data'}: expected openml_runs/ and surrogates/ "
        "there; pass --data or set WARMSTART_DATA."
    )


@lru_cache(maxsize=4)
def _qualities(data: Path) -> pd.DataFrame:
    return pd.read_csv(data / "openml_runs" / "tasks.csv")


def _cell(parameter: Parameter, cell: Any) -> Value:
    """A CSV cell as a value of ``parameter``; numbers may be written as 3.0 for 3."""
    if isinstance(parameter, Categorical):
        return next(choice for choice in parameter.choices if str(choice) == str(cell))
    return int(float(cell)) if isinstance(parameter, Integer) else float(cell)


def table_runs(
    data: Path, source: str
) -> Iterator[tuple[pd.Series, list[dict[str, Value]], np.ndarray]]:
    """The runs of a table task by task: the row of ``tasks.csv``, configurations, losses.

    A loss is one minus the recorded accuracy.
    """
    table = TABLES[source]
    frame = pd.read_csv(data / "openml_runs" / table.file, dtype=str, keep_default_na=False)
    tasks = _qualities(data).set_index("task_id", drop=False)
    for task_id, runs in frame.groupby(frame["task_id"].astype(int), sort=True):
        configurations = [
            {
                name: _cell(table.space.parameters[name], row[column])
                for name, column in table.columns.items()
                if row[column] != ""
            }
            for row in runs.to_dict("records")
        ]
        losses = 1.0 - runs["predictive_accuracy"].astype(float).to_numpy()
        yield tasks.loc[task_id], configurations, losses


def table_problems(data: Path, source: str, *, pool: bool) -> Iterator[Problem]:
    """The problems of one OpenML table.

    Args:
        data: Data directory.
        source: A key of ``TABLES``.
        pool: Whether the loss is that of the nearest recorded run, or a fitted forest's.
    """
    table = TABLES[source]
    encoder = UnitEncoder(table.space)
    for row, configurations, losses in table_runs(data, source):
        if len(losses) < MIN_RUNS or len(np.unique(losses)) < MIN_DISTINCT:
            continue
        rows = encoder(configurations)
        function = NearestRun(encoder, rows, losses) if pool else Forest(encoder, rows, losses)
        reference = losses if pool else function.predict_rows(rows)  # type: ignore[union-attr]
        qualities = row.drop(["task_id", "dataset_id", "name"]).astype(float).to_dict()
        yield Problem(
            source=f"openml/{source}" + ("/pool" if pool else ""),
            task=f"openml-task-{row['task_id']}",
            family=family_of(row["name"]),
            estimator=table.estimator,
            space=table.space,
            losses=function,
            best=float(reference.min()),
            worst=float(reference.max()),
            qualities={k: v for k, v in qualities.items() if not np.isnan(v)},
        )


@dataclass(frozen=True)
class Scenario:
    """A YAHPO surrogate: its directory, estimator, output to maximise, and names for Python."""

    directory: str
    estimator: str
    output: str
    rename: Mapping[str, str]
    instances_are_tasks: bool = False


SCENARIOS: Mapping[str, Scenario] = {
    "xgboost": Scenario(
        "rbv2_xgboost",
        "xgboost.XGBClassifier",
        "acc",
        {
            "nrounds": "n_estimators",
            "eta": "learning_rate",
            "lambda": "reg_lambda",
            "alpha": "reg_alpha",
        },
    ),
    "rpart": Scenario("rbv2_rpart", "rpart", "acc", {}),
    "lcbench": Scenario(
        "lcbench", "lcbench.funnel_mlp", "val_accuracy", {}, instances_are_tasks=True
    ),
}


class Surrogate:
    """The ONNX network of one scenario; evaluates configurations of one instance.

    Source: Pfisterer et al. 2022, YAHPO Gym; the encoding is that of ``scenario.json``.
    """

    def __init__(self, data: Path, scenario: Scenario) -> None:
        import onnxruntime

        directory = data / "surrogates" / scenario.directory
        self.scenario = scenario
        self.description: dict[str, Any] = json.loads((directory / "scenario.json").read_text())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(directory / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._output = self.description["outputs"].index(scenario.output)
        self._python = {
            entry["name"]: scenario.rename.get(entry["name"], entry["name"])
            for entry in self.description["hyperparameters"]
        }
        self.space = self._read_space()

    def _read_space(self) -> SearchSpace:
        parameters: dict[str, Parameter] = {}
        for entry in self.description["hyperparameters"]:
            name = self._python[entry["name"]]
            if entry["type"] == "categorical":
                parameters[name] = Categorical(tuple(entry["choices"]))
            elif entry["type"] == "uniform_int":
                parameters[name] = Integer(entry["lower"], entry["upper"], entry["log"])
            else:
                parameters[name] = Float(entry["lower"], entry["upper"], entry["log"])
        conditions = {
            self._python[c["child"]]: Condition(
                self._python[c["parent"]], tuple(c["values"] if c["type"] == "IN" else [c["value"]])
            )
            for c in self.description["conditions"]
        }
        return SearchSpace(parameters, conditions)

    def losses(self, instance: str, configurations: Sequence[Configuration]) -> np.ndarray:
        """The negated output of the network, ``(n,)``."""
        n = len(configurations)
        encoding = self.description["encoding"]
        categorical = np.zeros((n, len(self.description["categorical_inputs"])), dtype=np.int32)
        continuous = np.zeros((n, len(self.description["continuous_inputs"])), dtype=np.float32)
        for j, name in enumerate(self.description["categorical_inputs"]):
            if name == self.description["instance_parameter"]:
                categorical[:, j] = self.description["instances"][instance]
                continue
            column = self._python[name]
            categorical[:, j] = [encoding[name][c.get(column, "#na#")] for c in configurations]
        for j, name in enumerate(self.description["continuous_inputs"]):
            if name in self.description["fidelity"]:
                continuous[:, j] = self.description["fidelity"][name]
                continue
            column = self._python[name]
            continuous[:, j] = [c.get(column, 0.0) for c in configurations]
        outputs = self._session.run(None, self._feed(categorical, continuous))[0]
        return -np.asarray(outputs[:, self._output], dtype=float)

    def _feed(self, categorical: np.ndarray, continuous: np.ndarray) -> dict[str, np.ndarray]:
        return {"x_cat": categorical, "x_cont": continuous}


def surrogate_problems(data: Path, source: str) -> Iterator[Problem]:
    """The problems of one surrogate, one for each instance."""
    surrogate = Surrogate(data, SCENARIOS[source])
    scenario = surrogate.scenario
    tasks = _qualities(data)
    reference = surrogate.space.sample(N_REFERENCE, np.random.default_rng(0))
    id_column = "task_id" if scenario.instances_are_tasks else "dataset_id"
    for instance in surrogate.description["instances"]:
        losses = surrogate.losses(instance, reference)
        rows = tasks[tasks[id_column] == int(instance)]
        name, qualities = "", None
        if len(rows):
            name = str(rows.iloc[0]["name"])
            values = rows.iloc[0].drop(["task_id", "dataset_id", "name"]).astype(float).to_dict()
            qualities = {k: v for k, v in values.items() if not np.isnan(v)}

        def function(
            configurations: Sequence[Configuration], instance: str = instance
        ) -> np.ndarray:
            return surrogate.losses(instance, configurations)

        kind = "task" if scenario.instances_are_tasks else "dataset"
        yield Problem(
            source=f"yahpo/{source}",
            task=f"openml-{kind}-{instance}",
            family=family_of(name) if name else f"openml-{kind}-{instance}",
            estimator=scenario.estimator,
            space=surrogate.space,
            losses=function,
            best=float(losses.min()),
            worst=float(losses.max()),
            qualities=qualities,
        )


SOURCES = ("random_forest", "adaboost", "svc", "xgboost", "rpart", "lcbench")


def problems(data: Path, source: str, *, pool: bool = False) -> list[Problem]:
    """All problems of one of ``SOURCES``; ``pool`` only matters for tables."""
    if source in TABLES:
        return list(table_problems(data, source, pool=pool))
    return list(surrogate_problems(data, source))
