from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quadratic_tasks import ENCODING, alike, family, learned, observed, run
from quadratic_tasks import axes as axes_of

from warmstart.artifact import Artifact, read_artifact, write_artifact
from warmstart.descriptor import TaskDescriptor
from warmstart.errors import ArtifactError
from warmstart.prior import Prior
from warmstart.prior_file import estimators_in, pack_priors, unpack_prior
from warmstart.proposals import Proposer

CARD = {"made_by": "tests", "licence": "CC0"}


def with_a_descriptor(prior: Prior) -> Prior:
    known = TaskDescriptor({"NumberOfInstances": 150.0, "NumberOfFeatures": 4.0}, name="iris")
    first = replace(prior.tasks[0], descriptor=known, licence="CC BY 4.0")
    return replace(
        prior,
        tasks=(first, *prior.tasks[1:]),
        descriptor_names=("NumberOfInstances", "NumberOfFeatures"),
        bandwidth=0.7,
    )


def written(directory: Path, priors: dict[str, Prior]) -> Artifact:
    path = directory / "priors.safetensors"
    write_artifact(path, *pack_priors(priors, CARD))
    return read_artifact(path)


def test_a_prior_comes_back_from_a_file(tmp_path: Path) -> None:
    prior = with_a_descriptor(learned())
    again = unpack_prior(written(tmp_path, {"bowl": prior}), "bowl")
    assert again.tasks == prior.tasks
    assert again.space == prior.space
    assert again.encoding.names == prior.encoding.names
    assert (again.noise, again.bandwidth) == (prior.noise, prior.bandwidth)
    assert again.descriptor_names == prior.descriptor_names
    assert again.proposed_by.tolist() == prior.proposed_by.tolist()
    assert again.inducing == pytest.approx(prior.inducing, abs=1e-6, nan_ok=True)
    drawn = ENCODING.features(ENCODING.sample(100, np.random.default_rng(0)))
    assert again.log_regrets(again.scale(drawn)) == pytest.approx(
        prior.log_regrets(prior.scale(drawn)), abs=0.01
    )


def test_tasks_on_the_same_data_share_all_but_the_metric_in_the_file(tmp_path: Path) -> None:
    prior = with_a_descriptor(learned())
    first = prior.tasks[0]
    again = replace(first, metric="log_loss")
    prior = replace(prior, tasks=(first, again, *prior.tasks[2:]))
    artifact = written(tmp_path, {"bowl": prior})
    tasks = artifact.description["estimators"]["bowl"]["tasks"]
    assert tasks[:2] == [[0, first.metric, first.n_trials], [0, "log_loss", first.n_trials]]
    assert len(artifact.description["data_sets"]) == len(prior.tasks) - 1
    assert unpack_prior(artifact, "bowl").tasks == prior.tasks


def test_estimators_share_the_descriptors_in_the_file(tmp_path: Path) -> None:
    priors = {"a.Bowl": with_a_descriptor(learned()), "b.Bowl": with_a_descriptor(learned(n=2))}
    artifact = written(tmp_path, priors)
    assert len(artifact.description["descriptors"]) == 1
    for name, prior in priors.items():
        assert unpack_prior(artifact, name).tasks == prior.tasks


@pytest.mark.parametrize("lists_descriptors", [True, False])
def test_an_earlier_artifact_is_read_that_lists_no_data_and_no_variance(
    tmp_path: Path, lists_descriptors: bool
) -> None:
    prior = with_a_descriptor(learned())
    first = prior.tasks[0]
    prior = replace(prior, tasks=(first, replace(first, metric="log_loss"), *prior.tasks[2:]))
    artifact = written(tmp_path, {"bowl": prior})
    description = copy.deepcopy(dict(artifact.description))
    bowl, listed = description["estimators"]["bowl"], description.pop("data_sets")
    bowl["tasks"] = [
        {**listed[number], "metric": metric, "n_trials": n} for number, metric, n in bowl["tasks"]
    ]
    if not lists_descriptors:
        bowl["tasks"][0]["descriptor"] = description.pop("descriptors")[0]
    tensors = {k: v for k, v in artifact.tensors.items() if not k.endswith("variance")}
    write_artifact(tmp_path / "earlier.safetensors", tensors, description)
    again = unpack_prior(read_artifact(tmp_path / "earlier.safetensors"), "bowl")
    assert again.tasks == prior.tasks
    assert not again.variance.any()


def test_a_prior_from_a_file_proposes_as_well_as_the_one_that_was_learned(tmp_path: Path) -> None:
    again = unpack_prior(written(tmp_path, {"bowl": learned()}), "bowl")
    task = family(20, seed=7)[-1]
    best = [
        run(Proposer(prior, axes_of(), alike(prior), seed=0), task.losses, 8)[1].min()
        for prior in (learned(), again)
    ]
    pool = task.losses(ENCODING.sample(2000, np.random.default_rng(0)))
    assert max(best) < np.quantile(pool, 0.01)


def test_several_priors_share_a_file_and_keep_apart(tmp_path: Path) -> None:
    priors = {"a.Bowl": learned(), "b.Bowl": learned(n=2)}
    artifact = written(tmp_path, priors)
    assert sorted(estimators_in(artifact)) == ["a.Bowl", "b.Bowl"]
    for name, prior in priors.items():
        again = unpack_prior(artifact, name)
        assert again.estimator == name
        assert len(again.tasks) == len(prior.tasks)
    assert artifact.description["card"] == CARD


def test_what_is_written_twice_is_the_same_file(tmp_path: Path) -> None:
    digests = {written(tmp_path, {"bowl": learned()}).digest for _ in range(2)}
    assert len(digests) == 1


@pytest.mark.parametrize("description", [{}, {"kind": "optimizer"}, {"kind": "priors"}])
def test_an_artifact_of_something_else_is_named(description: dict[str, Any]) -> None:
    given = Artifact(tensors={}, description=description, digest="")
    with pytest.raises(ArtifactError, match="metaopt train"):
        estimators_in(given)


def test_an_estimator_that_is_not_in_the_artifact_is_named(tmp_path: Path) -> None:
    artifact = written(tmp_path, {"bowl": learned()})
    with pytest.raises(ArtifactError, match="prior of other is not complete"):
        unpack_prior(artifact, "other")


Damage = Callable[[dict[str, np.ndarray], dict[str, Any]], object]


def _cut(name: str) -> Damage:
    return lambda tensors, _: tensors.update({f"bowl/{name}": tensors[f"bowl/{name}"][:-1]})


def _set(name: str, value: float, where: Any = 0) -> Damage:
    def damage(tensors: dict[str, np.ndarray], _: dict[str, Any]) -> None:
        tensor = tensors[f"bowl/{name}"].copy()
        tensor[where] = value
        tensors[f"bowl/{name}"] = tensor

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda tensors, _: tensors.pop("bowl/values"),
        lambda tensors, _: tensors.update({"bowl/values": tensors["bowl/values"].T}),
        _cut("lengthscales"),
        _cut("values"),
        _cut("proposed_by"),
        _cut("inducing"),
        _set("values", np.nan),
        _set("values", np.inf, (1, 2)),
        _set("lengthscales", 0.0),
        _set("lengthscales", -1.0),
        _set("lengthscales", np.nan),
        _set("proposed_by", 8),
        _set("proposed_by", -1),
        lambda _, bowl: bowl.pop("noise"),
        lambda _, bowl: bowl.update(noise="loud"),
        lambda _, bowl: bowl.update(noise=-1.0),
        lambda _, bowl: bowl.update(bandwidth=float("nan")),
        lambda _, bowl: bowl.update(descriptor_names=["NumberOfMoons"]),
        lambda _, bowl: bowl.update(space={"parameters": {}}),
        lambda _, bowl: bowl["space"]["parameters"]["rate"].update(low=2.0),
        lambda _, bowl: bowl["tasks"].pop(),
        lambda _, bowl: bowl.update(tasks=[{"id": 3, "surprise": 1}] * 8),
        lambda _, bowl: bowl["tasks"][0].__setitem__(0, 99),
        lambda _, bowl: bowl["tasks"][0].__setitem__(0, -1),
        lambda _, bowl: bowl["tasks"][0].__setitem__(0, "first"),
        lambda _, bowl: bowl["tasks"][0].pop(),
        lambda _, bowl: bowl["tasks"].__setitem__(0, {"id": "a", "descriptor": {"kind": "poem"}}),
        lambda _, bowl: bowl["tasks"].__setitem__(0, {"id": "a", "descriptor": 7}),
    ],
)
def test_a_damaged_prior_is_one_clear_error(damage: Damage) -> None:
    tensors, description = pack_priors({"bowl": learned()}, CARD)
    tensors, description = dict(tensors), copy.deepcopy(description)
    unpack_prior(Artifact(tensors=tensors, description=description, digest=""), "bowl")
    damage(tensors, description["estimators"]["bowl"])
    with pytest.raises(ArtifactError, match=r"prior of bowl is not complete .*metaopt train"):
        unpack_prior(Artifact(tensors=tensors, description=description, digest=""), "bowl")


def test_an_excluded_task_can_still_be_excluded_after_a_file(tmp_path: Path) -> None:
    again = unpack_prior(written(tmp_path, {"bowl": learned()}), "bowl").without([0])
    first = Proposer(again, axes_of(), alike(again), seed=0).propose(
        observed(np.empty((0, 4)), []), np.random.default_rng(0)
    )
    assert "task-0" not in {name for name, _ in first.tasks}
