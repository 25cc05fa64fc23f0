"""Optuna's own contract of a sampler, with nothing known, with another estimator, and warm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import optuna
import pytest
from optuna.samplers import BaseSampler, TPESampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)

from metaopt import meta_train
from warmstart.artifact import Artifact, read_artifact
from warmstart.history import History, TaskInfo, Trial
from warmstart.provenance import META_LEARNER, read_provenance
from warmstart.sampler import WarmStartSampler
from warmstart.space import Categorical, Float, SearchSpace

pytestmark = pytest.mark.usefixtures("quiet")

N_TASKS = 3
N_TRIALS = 25
# The names that the suite uses, as numbers and as categories.
NUMBERS = SearchSpace(
    {
        **{name: Float(-10.2, 30.0) for name in ("x", "y", "z")},
        **{name: Float(0.5, 2.0) for name in "abcdef"},
        "category": Categorical(("x", "y")),
    }
)
CATEGORIES = SearchSpace(
    {
        "x": Categorical((True, False, 0, 1, 2, 3, 10, 100, "a", "b", "c")),
        "y": Categorical((-1, -10, -100, 0, 1, 2, "a", "b")),
        "category": Categorical(("x", "y")),
    }
)


def histories_of(estimator: str, space: SearchSpace) -> list[History]:
    """Tasks on which one end of each range, and the first category, is best."""
    histories = []
    for task in range(N_TASKS):
        rng = np.random.default_rng(task)
        trials = []
        for configuration in space.sample(N_TRIALS, rng):
            loss = 0.0
            for name, value in configuration.items():
                parameter = space.parameters[name]
                if isinstance(parameter, Categorical):
                    loss += parameter.choices.index(value)
                else:
                    loss += float(value)
            trials.append(Trial(configuration, loss + 0.1 * rng.standard_normal()))
        info = TaskInfo(estimator, f"task-{task}", "loss", "invented", space=space)
        histories.append(History.from_trials(info, trials))
    return histories


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    path = tmp_path_factory.mktemp("artifact") / "suite.safetensors"
    histories = [
        *histories_of("suite.Numbers", NUMBERS),
        *histories_of("suite.Categories", CATEGORIES),
    ]
    meta_train(histories, path)
    return read_artifact(path)


def then() -> BaseSampler:
    """A sampler that samples jointly from the second trial on, as the suite asks for."""
    return TPESampler(n_startup_trials=0, multivariate=True, seed=0)


class TestNothingKnown(
    BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase
):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: WarmStartSampler(then=then(), seed=0)


class TestNamesOfAnotherEstimator(
    BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase
):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: WarmStartSampler(estimator="sklearn.svm.SVC", then=then(), seed=0)


class TestNumbersKnown(
    BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase
):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        own = histories_of("suite.Numbers", NUMBERS)
        return lambda: WarmStartSampler(
            estimator="suite.Numbers", histories=own, then=then(), seed=0
        )


class TestCategoriesKnown(
    BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase
):
    @pytest.fixture
    def sampler(self, artifact: Artifact) -> Callable[[], BaseSampler]:
        return lambda: WarmStartSampler(
            estimator="suite.Categories", artifact=artifact, then=then(), seed=0
        )


@pytest.mark.parametrize(
    ("estimator", "suggest"),
    [
        ("suite.Numbers", lambda t: [t.suggest_float("x", 0, 10), t.suggest_int("y", 0, 10)]),
        ("suite.Numbers", lambda t: [t.suggest_float("x", 1e-7, 1, log=True)]),
        ("suite.Numbers", lambda t: [t.suggest_categorical("x", [0, 1, 2])]),
        ("suite.Categories", lambda t: [t.suggest_categorical("x", ["a", "b", "c"])]),
        ("suite.Categories", lambda t: [t.suggest_categorical("x", [True, False])]),
        ("suite.Categories", lambda t: [t.suggest_categorical("y", [-1, -10, -100])]),
    ],
)
def test_the_warm_samplers_of_the_suite_know_its_names(
    artifact: Artifact, estimator: str, suggest: Callable[[optuna.Trial], object]
) -> None:
    study = optuna.create_study(
        sampler=WarmStartSampler(estimator=estimator, artifact=artifact, then=then(), seed=0)
    )
    trial = study.ask()
    suggest(trial)
    said = read_provenance(study.trials[0].user_attrs)
    assert said is not None
    assert said.by == META_LEARNER
