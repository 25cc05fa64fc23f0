"""Suggestions without a study."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from small_artifact import ESTIMATOR, svc_histories

from metaopt import meta_train
from metaopt.collect.evaluation import build
from warmstart.artifact import Artifact, read_artifact
from warmstart.catalogue import ESTIMATORS
from warmstart.descriptor import describe
from warmstart.errors import DescriptorError, UnknownEstimatorError
from warmstart.history import History
from warmstart.knowledge import shipped_artifact
from warmstart.prior_file import estimators_in
from warmstart.suggestion import list_estimators, suggest

SPACE: dict[str, BaseDistribution] = {
    "svc__C": IntDistribution(1, 100, log=True),
    "svc__gamma": CategoricalDistribution([0.001, 0.01, 1.0]),
}


def test_the_first_is_good_and_all_differ(artifact: Artifact) -> None:
    suggested = suggest(ESTIMATOR, n=8, artifact=artifact)
    assert len({tuple(c.values()) for c in suggested}) == 8
    assert math.log10(suggested[0]["C"]) == pytest.approx(1, abs=1)
    assert math.log10(suggested[0]["gamma"]) == pytest.approx(-2, abs=1)


def test_the_same_seed_suggests_the_same_and_fewer_are_the_first_of_more(
    artifact: Artifact,
) -> None:
    five = suggest(ESTIMATOR, n=5, artifact=artifact, seed=3)
    assert suggest(ESTIMATOR, n=5, artifact=artifact, seed=3) == five
    assert suggest(ESTIMATOR, n=2, artifact=artifact, seed=3) == five[:2]


def test_a_space_of_the_users_is_kept_to(artifact: Artifact) -> None:
    for configuration in suggest(ESTIMATOR, n=6, space=SPACE, artifact=artifact):
        assert list(configuration) == ["svc__C", "svc__gamma"]
        assert type(configuration["svc__C"]) is int
        assert 1 <= configuration["svc__C"] <= 100
        assert configuration["svc__gamma"] in (0.001, 0.01, 1.0)
    assert suggest(ESTIMATOR, n=1, space=SPACE, artifact=artifact)[0]["svc__gamma"] == 0.01


def test_what_a_space_has_beside_is_left_out(artifact: Artifact) -> None:
    space = {**SPACE, "batch": IntDistribution(1, 9)}
    assert all("batch" not in c for c in suggest(ESTIMATOR, space=space, artifact=artifact))


def test_no_inactive_parameter_is_suggested() -> None:
    space: dict[str, BaseDistribution] = {
        "kernel": CategoricalDistribution(["rbf", "poly"]),
        "degree": IntDistribution(2, 5),
        "gamma": FloatDistribution(1e-5, 10, log=True),
    }
    for configuration in suggest(ESTIMATOR, n=12, space=space):
        assert ("degree" in configuration) == (configuration["kernel"] == "poly")


SHIPPED = sorted(
    {e.name for e in ESTIMATORS if not e.benchmark_only}
    & set(estimators_in(read_artifact(shipped_artifact())))
)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few iterations
@pytest.mark.filterwarnings("ignore:Got `batch_size`:UserWarning")  # of few rows
@pytest.mark.parametrize("estimator", SHIPPED)
def test_every_shipped_estimator_is_fitted_with_its_suggestions(estimator: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    y = (X[:, 0] > 0).astype(int)
    for configuration in suggest(estimator, X, y, n=8):
        model = build(estimator, {})
        few = {name: 3 for name in ("n_estimators", "max_iter") if name in model.get_params()}
        configuration.pop("algorithm", None)  # AdaBoost lost it in scikit-learn 1.8
        model.set_params(**{**configuration, **few}).fit(X, y)


def test_data_and_their_descriptor_suggest_the_same() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(150, 3)), rng.integers(0, 2, 150)
    assert suggest(ESTIMATOR, X, y, n=2) == suggest(ESTIMATOR, task=describe(X, y), n=2)


def test_the_estimator_tells_of_which_kind_a_target_of_few_whole_numbers_is() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(150, 3)), rng.integers(3, 9, 150)
    asked = "sklearn.svm.SVR"
    task = describe(X, y, kind="regression")
    assert describe(X, y).kind == "classification"
    assert suggest(asked, X, y, n=3) == suggest(asked, task=task, n=3)
    with pytest.raises(DescriptorError, match="holds no numbers"):
        suggest(asked, X, np.array(list("abcdefghi"))[y])


def test_own_histories_suggest_for_an_own_estimator() -> None:
    own = svc_histories(3, estimator="my.Model")
    first = suggest("my.Model", n=1, histories=own)[0]
    assert math.log10(first["C"]) == pytest.approx(1, abs=1.2)
    with pytest.raises(UnknownEstimatorError, match="nothing is known"):
        suggest("another.Model", histories=own)


def test_estimators_are_listed_with_their_spaces(artifact: Artifact) -> None:
    frame = list_estimators(artifact)
    assert list(frame["estimator"]) == [ESTIMATOR]
    row = frame.iloc[0]
    assert row["n_tasks"] == 4
    assert row["n_trials"] == 120
    assert row["metric"] == "accuracy"
    assert not row["benchmark_only"]
    assert "gamma" in row["space"]


def test_an_artifact_whose_histories_contradict_each_other_lists_and_suggests_nothing(
    tmp_path: Path,
) -> None:
    contradictory = [
        History.from_trials(
            history.info,
            [replace(trial, loss=trial.loss * (-1) ** i) for trial in history.trials()],
        )
        for i, history in enumerate(svc_histories(6))
    ]
    meta_train(contradictory, tmp_path / "a")
    assert list_estimators(tmp_path / "a").empty
    with pytest.raises(UnknownEstimatorError, match="contradict"):
        suggest(ESTIMATOR, artifact=tmp_path / "a")


def test_what_is_for_benchmarks_only_is_marked_in_the_shipped_artifact() -> None:
    marked = list_estimators().set_index("estimator")["benchmark_only"]
    assert marked["rpart"]
    assert not marked["sklearn.svm.SVC"]
