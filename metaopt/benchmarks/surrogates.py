"""YAHPO surrogates: neural networks fitted to real runs, as histories and as problems."""

from __future__ import annotations

import json
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from metaopt.benchmarks.data_directory import qualities_of, read_qualities
from metaopt.benchmarks.families import DATASET_NAMES, TASK_NAMES, family_of
from metaopt.benchmarks.problems import LossFunction, Problem
from warmstart.descriptor import TaskDescriptor
from warmstart.history import History, TaskInfo, Trial
from warmstart.space import (
    Categorical,
    Condition,
    Configuration,
    Float,
    Integer,
    Parameter,
    SearchSpace,
)

N_REFERENCE = 4000  # random configurations that fix a surrogate's regret scale


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
        conditions = {}
        for entry in self.description["conditions"]:
            values = entry["values"] if entry["type"] == "IN" else [entry["value"]]
            parent = self._python[entry["parent"]]
            conditions[self._python[entry["child"]]] = Condition(parent, tuple(values))
        return SearchSpace(parameters, conditions)

    def losses(self, instance: str, configurations: Sequence[Configuration]) -> np.ndarray:
        """The negated output of the network, ``(n,)``."""
        outputs = self.outputs(instance, configurations, self.description["fidelity"])
        return -np.asarray(outputs[:, self._output], dtype=float)

    def outputs(
        self,
        instance: str,
        configurations: Sequence[Configuration],
        fidelity: Mapping[str, float],
    ) -> np.ndarray:
        """All outputs ``(n, n_outputs)`` at one fidelity, such as an epoch."""
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
            if name in fidelity:
                continuous[:, j] = fidelity[name]
                continue
            column = self._python[name]
            continuous[:, j] = [c.get(column, 0.0) for c in configurations]
        return np.asarray(self._session.run(None, self._feed(categorical, continuous))[0])

    def _feed(self, categorical: np.ndarray, continuous: np.ndarray) -> dict[str, np.ndarray]:
        return {"x_cat": categorical, "x_cont": continuous}


@dataclass(frozen=True)
class SurrogateInstance:
    """What is known of one instance of a surrogate."""

    number: str
    task: str
    dataset: str
    name: str
    family: str
    qualities: Mapping[str, float] | None


def surrogate_instances(
    data: Path, source: str, instances: Collection[str]
) -> Iterator[SurrogateInstance]:
    """What is known of instances of a surrogate."""
    by_task = SCENARIOS[source].instances_are_tasks
    kind, column = ("task", "task_id") if by_task else ("dataset", "dataset_id")
    known = TASK_NAMES if by_task else DATASET_NAMES
    table = read_qualities(data)
    for number in instances:
        rows = table[table[column] == int(number)]
        task = f"openml-{kind}-{number}"
        name = str(rows.iloc[0]["name"]) if len(rows) else known.get(int(number), "")
        dataset = f"openml-dataset-{rows.iloc[0]['dataset_id']}" if len(rows) else ""
        yield SurrogateInstance(
            number=number,
            task=task,
            dataset=dataset or ("" if by_task else task),
            name=name,
            family=family_of(name) if name else task,
            qualities=qualities_of(rows.iloc[0]) if len(rows) else None,
        )


def surrogate_families(data: Path, source: str) -> dict[str, str]:
    """The family of each task that ``surrogate_problems`` makes a problem of."""
    path = data / "surrogates" / SCENARIOS[source].directory / "scenario.json"
    instances = json.loads(path.read_text())["instances"]
    return {
        instance.task: instance.family for instance in surrogate_instances(data, source, instances)
    }


def surrogate_problems(
    data: Path, source: str, *, tasks: Collection[str] | None = None
) -> Iterator[Problem]:
    """The problems of one surrogate, one for each instance; ``tasks`` says which, if not all."""
    surrogate = Surrogate(data, SCENARIOS[source])
    reference = surrogate.space.sample(N_REFERENCE, np.random.default_rng(0))
    for instance in surrogate_instances(data, source, surrogate.description["instances"]):
        if tasks is not None and instance.task not in tasks:
            continue
        losses = surrogate.losses(instance.number, reference)
        yield Problem(
            source=f"yahpo/{source}",
            task=instance.task,
            family=instance.family,
            estimator=surrogate.scenario.estimator,
            space=surrogate.space,
            losses=partial(surrogate.losses, instance.number),
            best=float(losses.min()),
            worst=float(losses.max()),
            qualities=instance.qualities,
        )


@dataclass(frozen=True)
class SurrogateTask:
    """One instance of a surrogate, ready to be sampled.

    Attributes:
        info: What its histories say of it, the search space among it.
        losses: Maps configurations to losses ``(n,)``.
        seed: Of what is drawn for it; the same whatever other instances there are.
    """

    info: TaskInfo
    losses: LossFunction
    seed: int

    def history(self, configurations: Sequence[Configuration], losses: np.ndarray) -> History:
        """A history of these configurations with their losses ``(n,)``."""
        trials = [Trial(c, float(v)) for c, v in zip(configurations, losses, strict=True)]
        return History.from_trials(self.info, trials)


def surrogate_tasks(data: Path, source: str) -> Iterator[SurrogateTask]:
    """The instances of a surrogate, to be sampled."""
    scenario = SCENARIOS[source]
    surrogate = Surrogate(data, scenario)
    for instance in surrogate_instances(data, source, surrogate.description["instances"]):
        info = TaskInfo(
            estimator=scenario.estimator,
            task=instance.task,
            metric="accuracy",
            source="yahpo",
            name=instance.name,
            dataset=instance.dataset,
            family=instance.family,
            licence="Apache-2.0",
            descriptor=None
            if instance.qualities is None
            else TaskDescriptor.from_openml_qualities(
                instance.qualities, name=instance.name
            ).to_json(),
            space=surrogate.space,
        )
        seed = zlib.crc32(f"{source}:{instance.task}".encode())
        yield SurrogateTask(info, partial(surrogate.losses, instance.number), seed)


def surrogate_histories(data: Path, source: str, *, n_configurations: int) -> list[History]:
    """Random configurations of each instance of a surrogate with their losses.

    The draws have a seed of their own for each instance, and the first ones stay the same
    whatever their number is.
    """
    histories = []
    for task in surrogate_tasks(data, source):
        assert task.info.space is not None
        rng = np.random.default_rng(task.seed)
        configurations = task.info.space.sample(n_configurations, rng)
        histories.append(task.history(configurations, task.losses(configurations)))
    return histories
