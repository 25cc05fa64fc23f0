"""Exported learners say with numpy what they say with torch."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from metaopt.episodes import Points, Sinusoids
from metaopt.exported import read_learner
from metaopt.learners import (
    MAML,
    MLP,
    BayesianLinear,
    DeepKernelGP,
    Gaussian,
    Learner,
    Ridge,
    export_learner,
    meta_fit,
    squared_error,
)
from warmstart.artifact import read_artifact, write_artifact
from warmstart.errors import ArtifactError

FEATURES = MLP((1, 16, 16, 8))
LEARNERS = {
    "ridge": Ridge(FEATURES, squared_error),
    "bayesian linear": BayesianLinear(FEATURES),
    "deep-kernel gp": DeepKernelGP(MLP((1, 16, 16, 5))),
}


@functools.cache
def _trained(name: str) -> dict[str, torch.Tensor]:
    return meta_fit(LEARNERS[name], Sinusoids(), n_steps=5, n_tasks=4, seed=0).theta


def trained(learner: Learner) -> dict[str, torch.Tensor]:
    return _trained(next(name for name, one in LEARNERS.items() if one is learner))


@pytest.mark.parametrize("n_support", [0, 1, 7])
@pytest.mark.parametrize("name", list(LEARNERS))
def test_numpy_and_torch_agree_on_means_and_variances(
    name: str, n_support: int, tmp_path: Path
) -> None:
    learner = LEARNERS[name]
    theta = trained(learner)
    export_learner(tmp_path / "learner", learner, theta)
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-3, 3, (n_support, 1)), rng.normal(size=n_support)
    at = rng.uniform(-4, 4, (25, 1))
    mean, variance = read_learner(tmp_path / "learner").adapt(x, y)(at)
    # In float64, as numpy computes: what differs then is not rounding.
    exact = {parameter: value.double() for parameter, value in theta.items()}
    support = Points(*map(torch.from_numpy, (x, y[:, None], np.ones(n_support))))
    with torch.no_grad():
        expected = learner.adapt(exact, support)(torch.from_numpy(at))
    if isinstance(expected, Gaussian):
        np.testing.assert_allclose(variance, expected.variance[:, 0], atol=1e-5, rtol=1e-5)
        expected = expected.mean
    else:
        assert np.isnan(variance).all()
    np.testing.assert_allclose(mean, expected[:, 0], atol=1e-5, rtol=1e-5)


def test_it_runs_where_torch_can_not_be_imported(tmp_path: Path) -> None:
    learner = LEARNERS["bayesian linear"]
    export_learner(tmp_path / "learner", learner, trained(learner))
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np\n"
        "from metaopt.exported import read_learner\n"
        "predict = read_learner(sys.argv[1]).adapt(np.zeros((2, 1)), np.ones(2))\n"
        "assert np.isfinite(predict(np.ones((3, 1)))).all()\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "learner")], check=True)


def test_the_card_is_kept_and_the_same_learner_makes_the_same_bytes(tmp_path: Path) -> None:
    learner = LEARNERS["ridge"]
    theta = trained(learner)
    card = {"tasks": ["sine waves"]}
    digests = [export_learner(tmp_path / name, learner, theta, card=card) for name in "ab"]
    assert digests[0] == digests[1] == read_artifact(tmp_path / "a").digest
    assert read_artifact(tmp_path / "a").description["card"] == card
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "learner",
    [
        MAML(MLP((1, 4, 1))),
        Ridge(MLP((1, 4, 4), activation=torch.tanh)),
        Ridge(MLP((1, 4, 4), name="features.")),
    ],
)
def test_what_numpy_can_not_run_is_not_exported(learner: Learner, tmp_path: Path) -> None:
    theta = learner.initial(torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="run with torch only"):
        export_learner(tmp_path / "learner", learner, theta)
    assert not list(tmp_path.iterdir())


def test_meta_parameters_of_another_learner_are_an_error(tmp_path: Path) -> None:
    theta = trained(LEARNERS["ridge"])
    with pytest.raises(ValueError, match="expected those of BayesianLinear"):
        export_learner(tmp_path / "learner", LEARNERS["bayesian linear"], theta)


def test_an_artifact_of_something_else_or_cut_short_is_one_clear_error(
    artifact_path: Path, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match=r"'priors'.*expected 'learner'"):
        read_learner(artifact_path)
    learner = LEARNERS["bayesian linear"]
    export_learner(tmp_path / "learner", learner, trained(learner))
    whole = read_artifact(tmp_path / "learner")
    tensors = {name: t for name, t in whole.tensors.items() if name != "prior_mean"}
    write_artifact(tmp_path / "learner", tensors, whole.description)
    with pytest.raises(ArtifactError, match=r"not complete.*prior_mean"):
        read_learner(tmp_path / "learner")


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.zeros((2, 2)), np.zeros(2)),
        (np.zeros((2, 1)), np.zeros(3)),
        (np.full((1, 1), np.nan), np.zeros(1)),
        (np.zeros((1, 1)), np.array([np.inf])),
    ],
)
def test_a_support_that_does_not_fit_is_one_clear_error(
    x: np.ndarray, y: np.ndarray, tmp_path: Path
) -> None:
    learner = LEARNERS["ridge"]
    export_learner(tmp_path / "learner", learner, trained(learner))
    with pytest.raises(ValueError, match=r"expected \(n, 1\)|not finite"):
        read_learner(tmp_path / "learner").adapt(x, y)
