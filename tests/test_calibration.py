"""Corrections of what a model predicts: by the number of trials, in the file, and nowhere else."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from quadratic_tasks import alike, axes, family, learned, run

from warmstart.artifact import Artifact
from warmstart.calibration import Calibration
from warmstart.errors import ArtifactError
from warmstart.posterior import GRID_SHAPE
from warmstart.prior_file import pack_priors, unpack_prior
from warmstart.proposals import Proposer

N_BEST, N_EXTENT = GRID_SHAPE


def calibration(**changed: Any) -> Calibration:
    given: dict[str, Any] = {
        "first_factor": 1.25,
        "alone": -2.0,
        "alone_factor": 0.4,
        "n_trials": np.array([1.0, 4.0, 16.0]),
        "factors": np.array([2.0, 1.0, 0.5]),
        "best": np.arange(3 * N_BEST, dtype=float).reshape(3, N_BEST),
        "extent": np.zeros((3, N_EXTENT)),
        "tails": np.array([-1.0, -3.0, -5.0]),
    }
    return Calibration(**{**given, **changed})


def test_a_correction_lies_between_those_learned_by_the_logarithm_of_the_trials() -> None:
    known = calibration()
    factors = np.array([known.after(n).factors for n in (1, 2, 4, 8, 16, 300)])
    np.testing.assert_allclose(factors[:, 0], [2.0, 1.5, 1.0, 0.75, 0.5, 0.5])
    np.testing.assert_array_equal(factors, np.repeat(factors[:, :1], N_BEST * N_EXTENT, axis=1))
    assert known.after(2).tail == pytest.approx(-2.0)
    grid = known.after(4).log_weights.reshape(GRID_SHAPE)
    np.testing.assert_allclose(grid, np.tile(known.best[1][:, None], N_EXTENT))


def test_before_any_trial_the_scale_is_known_and_there_is_no_tail() -> None:
    first = calibration().after(0)
    assert first.factors.tolist() == [1.25, 0.5]
    assert first.log_weights.tolist() == [0.0, -2.0]
    assert first.tail == -np.inf


@pytest.mark.parametrize(
    "changed",
    [
        {"factors": np.ones(2)},
        {"factors": np.array([1.0, 0.0, 1.0])},
        {"first_factor": -1.0},
        {"alone_factor": 0.0},
        {"alone": np.nan},
        {"tails": np.array([0.0, np.inf, 0.0])},
        {"best": np.zeros((2, N_BEST))},
        {"best": np.zeros(3)},
        {"n_trials": np.array([1.0, 1.0, 2.0])},
        {"n_trials": np.array([0.0, 1.0, 2.0])},
        {"n_trials": np.array([])},
    ],
)
def test_a_calibration_that_makes_no_sense_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="calibration"):
        calibration(**changed)


def in_file(known: Calibration | None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    tensors, description = pack_priors({"bowl": replace(learned(), calibration=known)}, {})
    return dict(tensors), copy.deepcopy(description)


def test_it_comes_back_from_an_artifact_and_an_earlier_one_has_none() -> None:
    tensors, description = in_file(calibration())
    again = unpack_prior(Artifact(description, tensors, ""), "bowl").calibration
    assert again is not None
    for name in Calibration.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(again, name), getattr(calibration(), name))
    del description["estimators"]["bowl"]["calibration"]
    assert unpack_prior(Artifact(description, tensors, ""), "bowl").calibration is None
    tensors, description = in_file(None)
    assert unpack_prior(Artifact(description, tensors, ""), "bowl").calibration is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("factors", [1.0]),
        ("factors", "loud"),
        ("best", [[0.0] * (N_BEST + 1)] * 3),
        ("alone", None),
        ("extent", [[0.0, "a"]]),
    ],
)
def test_a_damaged_one_is_one_clear_error(name: str, value: object) -> None:
    tensors, description = in_file(calibration())
    description["estimators"]["bowl"]["calibration"][name] = value
    with pytest.raises(ArtifactError, match=r"prior of bowl is not complete .*metaopt train"):
        unpack_prior(Artifact(description, tensors, ""), "bowl")


def test_what_is_proposed_does_not_depend_on_it() -> None:
    task = family(20, seed=3)[13]
    proposed = []
    for known in (None, calibration()):
        prior = replace(learned(), calibration=known)
        proposer = Proposer(prior, axes(), alike(prior), seed=0)
        proposals, _ = run(proposer, task.losses, 6)
        proposed.append([proposal.coordinates for proposal in proposals])
    np.testing.assert_array_equal(*proposed)
