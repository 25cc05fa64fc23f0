"""Tables of real OpenML runs, as histories and as problems (pools, and fitted forests)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metaopt.benchmarks.data_directory import qualities_of, read_qualities
from metaopt.benchmarks.families import family_of
from metaopt.benchmarks.problems import Forest, NearestRun, Problem, UnitEncoder
from warmstart.descriptor import TaskDescriptor
from warmstart.history import History, TaskInfo, Trial
from warmstart.space import Categorical, Condition, Float, Integer, Parameter, SearchSpace, Value

MIN_RUNS = 30  # a table with fewer runs says too little of the space to judge a sampler by
MIN_DISTINCT = 5  # losses; below that a table is (nearly) constant


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
    tasks = read_qualities(data).set_index("task_id", drop=False)
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


def is_usable(losses: np.ndarray) -> bool:
    """Whether a table of these losses can judge a sampler."""
    return len(losses) >= MIN_RUNS and len(np.unique(losses)) >= MIN_DISTINCT


def table_families(data: Path, source: str) -> dict[str, str]:
    """The family of each task that ``table_problems`` makes a problem of."""
    return {
        f"openml-task-{row['task_id']}": family_of(row["name"])
        for row, _, losses in table_runs(data, source)
        if is_usable(losses)
    }


def table_problems(
    data: Path, source: str, *, pool: bool, tasks: Collection[str] | None = None
) -> Iterator[Problem]:
    """The problems of one OpenML table.

    Args:
        data: Data directory.
        source: A key of ``TABLES``.
        pool: Whether the loss is that of the nearest recorded run, or a fitted forest's.
        tasks: Which tasks; all by default.
    """
    table = TABLES[source]
    encoder = UnitEncoder(table.space)
    for row, configurations, losses in table_runs(data, source):
        task = f"openml-task-{row['task_id']}"
        if (tasks is not None and task not in tasks) or not is_usable(losses):
            continue
        rows = encoder(configurations)
        function = NearestRun(encoder, rows, losses) if pool else Forest(encoder, rows, losses)
        reference = losses if pool else function.predict_rows(rows)  # type: ignore[union-attr]
        yield Problem(
            source=f"openml/{source}" + ("/pool" if pool else ""),
            task=task,
            family=family_of(row["name"]),
            estimator=table.estimator,
            space=table.space,
            losses=function,
            best=float(reference.min()),
            worst=float(reference.max()),
            qualities=qualities_of(row),
        )


def table_histories(data: Path, source: str) -> list[History]:
    """All recorded runs of one OpenML table, a history for each task, constant ones too."""
    table = TABLES[source]
    return [
        History.from_trials(
            TaskInfo(
                estimator=table.estimator,
                task=f"openml-task-{row['task_id']}",
                metric="accuracy",
                source="openml",
                name=row["name"],
                dataset=f"openml-dataset-{row['dataset_id']}",
                family=family_of(row["name"]),
                licence="BSD-3-Clause",
                descriptor=TaskDescriptor.from_openml_qualities(
                    qualities_of(row), name=row["name"]
                ).to_json(),
                space=table.space,
            ),
            [
                Trial(configuration, float(loss))
                for configuration, loss in zip(configurations, losses, strict=True)
            ],
        )
        for row, configurations, losses in table_runs(data, source)
    ]
