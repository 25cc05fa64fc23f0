"""Adding histories to an artifact, and what a card says of held-out tasks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmark_synthetic import BowlSource
from small_artifact import write_small_artifact

import warmstart.durable
from metaopt import meta_train
from metaopt.training.extending import KNOWN, extended, first_pick_on
from metaopt.training.figures import held_out_figures
from metaopt.training.selection import one_for_each_task
from warmstart.artifact import read_artifact, write_artifact
from warmstart.errors import ArtifactError, HistoryError
from warmstart.history import History, TaskInfo, Trial
from warmstart.knowledge import Knowledge
from warmstart.learning import extend_prior
from warmstart.prior import Prior
from warmstart.prior_file import unpack_prior
from warmstart.store import HistoryStore


def bowls(first: int = 0, last: int = 8, *, n_trials: int = 30) -> list[History]:
    """Two tasks a family, in the order of their numbers."""
    return BowlSource(n_tasks=last, n_trials=n_trials).histories()[first:]


def other(task: str = "t", *, estimator: str = "other", n: int = 8) -> History:
    """A history of an estimator with a parameter of its own."""
    trials = [Trial({"height": i / n}, (i / n - 0.4) ** 2) for i in range(n)]
    return History.from_trials(TaskInfo(estimator, task, "loss", "own"), trials)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.safetensors"
    meta_train([*bowls(), other("a"), other("b")], path, card={"note": "of the first"})
    return path


def prior_in(path: Path, name: str = "bowl") -> Prior:
    return unpack_prior(read_artifact(path), name)


# What is added


def test_new_tasks_are_added_and_the_old_stay_to_the_last_bit(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "longer.safetensors"
    report = meta_train(bowls(8, 12), out, base=base)
    before, after = prior_in(base), prior_in(out)
    assert after.tasks[:8] == before.tasks
    assert [task.id for task in after.tasks[8:]] == ["bowl-10", "bowl-11", "bowl-8", "bowl-9"]
    for field in ("lengthscales", "inducing"):
        np.testing.assert_array_equal(getattr(after, field), getattr(before, field))
    np.testing.assert_array_equal(after.values[:8], before.values)
    np.testing.assert_array_equal(after.proposals[: len(before.proposals)], before.proposals)
    assert after.agreement == before.agreement
    assert prior_in(out, "other").tasks == prior_in(base, "other").tasks
    assert report.digest == read_artifact(out).digest
    assert list(report.extensions) == ["bowl"]


def test_it_is_what_the_sampler_does_with_histories_of_its_own(base: Path, tmp_path: Path) -> None:
    out = tmp_path / "longer.safetensors"
    meta_train(bowls(8, 12), out, base=base)
    own = Knowledge(artifact=base, histories=sorted(bowls(8, 12), key=lambda h: h.info.task))
    source = own.source("bowl")
    assert source is not None
    # Which trials are smoothed over, and in which order, is all that differs.
    np.testing.assert_allclose(prior_in(out).values, source.prior.values, atol=5e-3)


def test_what_the_artifact_was_learned_from_can_not_be_excluded(
    base: Path, tmp_path: Path
) -> None:
    with pytest.raises(HistoryError, match="learned from them"):
        meta_train(bowls(8, 12), tmp_path / "out", base=base, exclude=["bowl-3"])
    assert not (tmp_path / "out").exists()


def test_an_estimator_that_is_new_is_learned_as_ever(base: Path, tmp_path: Path) -> None:
    out, alone = tmp_path / "longer", tmp_path / "alone"
    histories = [replace(h, info=replace(h.info, estimator="third")) for h in bowls()]
    report = meta_train(histories, out, base=base)
    meta_train(histories, alone)
    np.testing.assert_array_equal(prior_in(out, "third").values, prior_in(alone, "third").values)
    assert list(report.priors) == ["bowl", "other", "third"]
    assert not report.extensions


def test_a_task_that_is_there_is_left_out_unless_its_history_is_longer(
    base: Path, tmp_path: Path
) -> None:
    longer = bowls(0, 1, n_trials=50)[0]
    report = meta_train([longer, *bowls(1, 9)], tmp_path / "out", base=base)
    assert {one.key.task for one in report.left_out if one.reason == KNOWN} == {
        f"bowl-{i}" for i in range(1, 8)
    }
    extension = report.extensions["bowl"]
    assert (len(extension.added), extension.n_replaced) == (2, 1)
    after = prior_in(tmp_path / "out")
    assert sorted(task.id for task in after.tasks) == [f"bowl-{i}" for i in range(9)]
    assert {task.id: task.n_trials for task in after.tasks}["bowl-0"] == 50


def test_adding_the_same_again_is_an_error_that_says_so(base: Path, tmp_path: Path) -> None:
    short = other("short", estimator="bowl", n=1)
    with pytest.raises(HistoryError, match="has it already") as caught:
        meta_train([short, *bowls()], tmp_path / "out", base=base)
    assert "(1 of them)" in str(caught.value)
    assert "as many trials or more (8 of them)" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_same_additions_make_the_same_bytes(base: Path, tmp_path: Path) -> None:
    for name, histories in (("a", bowls(8, 12)), ("b", bowls(8, 12)[::-1])):
        meta_train(histories, tmp_path / name, base=base)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# Forgetting


def test_old_tasks_are_judged_by_others_than_themselves(base: Path) -> None:
    prior = prior_in(base)
    regret = first_pick_on(prior, range(8))
    assert 0.0 <= regret < 0.2
    alone = prior.without(range(2, 8))  # one family, which has nobody beside it
    assert np.isnan(first_pick_on(alone, range(2)))


def test_additions_that_mislead_are_seen_in_the_first_pick_on_old_tasks(base: Path) -> None:
    prior = prior_in(base)
    (chosen, _) = one_for_each_task(bowls(8, 28))
    inverted = [replace(h, losses=-h.losses) for h in chosen]
    kind = extended(prior, chosen, most_tasks=512, seed=0)
    unkind = extended(prior, inverted, most_tasks=512, seed=0)
    assert kind.old_before == unkind.old_before
    assert kind.old_after < kind.old_before + 0.02
    assert unkind.old_after > unkind.old_before + 0.2


# The card


def test_the_card_keeps_what_was_said_and_tells_what_was_added(base: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    meta_train(bowls(8, 12), first, base=base, seed=3)
    second = meta_train([other("c")], tmp_path / "second", base=first).card
    old = read_artifact(base).description["card"]
    assert second["note"] == "of the first"
    assert second["settings"] == old["settings"]
    additions = second["additions"]
    assert [one["added_to"] for one in additions] == [
        read_artifact(base).digest,
        read_artifact(first).digest,
    ]
    assert additions[0]["settings"]["seed"] == 3
    assert additions[0]["estimators"]["bowl"]["n_tasks"] == 4
    assert additions[0]["estimators"]["bowl"]["n_trials"] == 4 * 30
    assert set(additions[0]["estimators"]["bowl"]["old_tasks_first_pick"]) == {"before", "after"}
    assert second["estimators"]["bowl"]["n_tasks"] == 12
    assert second["estimators"]["bowl"]["n_trials"] == 12 * 30
    assert second["estimators"]["bowl"]["held_out"] == old["estimators"]["bowl"]["held_out"]
    assert second["estimators"]["other"]["n_tasks"] == 3
    assert any("added later" in limit for limit in second["limits"])


def test_an_artifact_of_an_earlier_version_which_has_no_figures_can_be_added_to(
    tmp_path: Path,
) -> None:
    old = write_small_artifact(tmp_path / "svc.safetensors")
    artifact = read_artifact(old)
    description = json.loads(json.dumps(artifact.description))
    for name in ("held_out", "agreement", "data"):
        del description["card"]["estimators"]["sklearn.svm.SVC"][name]
    del description["card"]["held_out_is"]
    write_artifact(old, artifact.tensors, description)
    trials = [Trial({"C": 2.0**i, "gamma": 2.0**-i}, (i - 3.0) ** 2) for i in range(9)]
    info = TaskInfo("sklearn.svm.SVC", "new", "accuracy", "own")
    card = meta_train([History.from_trials(info, trials)], tmp_path / "out", base=old).card
    assert card["estimators"]["sklearn.svm.SVC"]["n_tasks"] == 5
    assert "held_out" not in card["estimators"]["sklearn.svm.SVC"]


def test_the_card_says_what_the_first_proposal_is_worth_on_held_out_families() -> None:
    report = meta_train(bowls())
    figures = report.card["estimators"]["bowl"]["held_out"]
    assert (figures["n_tasks"], figures["n_families"], figures["metric"]) == (8, 4, "loss")
    assert figures["first_pick"] < 0.5 * figures["random"]
    assert "default" not in figures  # nobody knows one of an invented estimator
    assert 0.5 < report.card["estimators"]["bowl"]["agreement"] <= 1.0


def test_figures_of_a_task_do_not_draw_on_its_own_family(monkeypatch: pytest.MonkeyPatch) -> None:
    report = meta_train(bowls())
    excluded = []

    class Spy(Knowledge):
        def __init__(self, **given: object) -> None:
            excluded.append(given["exclude"])
            super().__init__(**given)  # type: ignore[arg-type]

    monkeypatch.setattr("metaopt.training.figures.Knowledge", Spy)
    from warmstart.aligned import align_histories

    prior = report.priors["bowl"]
    held_out_figures(prior, align_histories("bowl", bowls(), space=prior.space)[2])
    assert excluded == [{f"pair-{i // 2}"} for i in range(8)]


def test_the_run_nearest_to_the_librarys_default_is_the_default() -> None:
    def svc(task: str) -> History:
        trials = [
            Trial({"C": 10.0 ** (i - 4), "gamma": 10.0 ** (j - 4)}, float(abs(i - 4) + abs(j - 5)))
            for i in range(9)
            for j in range(9)
        ]
        info = TaskInfo("sklearn.svm.SVC", task, "accuracy", "own", family=task)
        return History.from_trials(info, trials)

    card = meta_train([svc(task) for task in "abcd"]).card
    figures = card["estimators"]["sklearn.svm.SVC"]["held_out"]
    assert figures["n_tasks_with_default"] == 4
    assert figures["first_pick"] <= figures["default"] < figures["random"]


def test_too_few_families_say_nothing_of_held_out_ones() -> None:
    assert "held_out" not in meta_train(bowls(0, 4)).card["estimators"]["bowl"]


def test_the_card_says_how_large_the_data_were() -> None:
    sizes = [{"NumberOfInstances": n, "NumberOfFeatures": 5.0} for n in (100.0, 300.0, 900.0)]
    histories = [
        replace(
            history,
            info=replace(
                history.info,
                descriptor={"kind": "classification", "name": "", "metafeatures": size},
            ),
        )
        for history, size in zip(bowls(0, 3), sizes, strict=True)
    ]
    data = meta_train(histories).card["estimators"]["bowl"]["data"]
    assert data["rows"] == {"smallest": 100.0, "median": 300.0, "largest": 900.0}
    assert meta_train(bowls(0, 2)).card["estimators"]["bowl"]["data"]["rows"] is None


# What is wrong


def test_the_artifact_that_is_added_to_is_not_written_over(base: Path) -> None:
    before = base.read_bytes()
    with pytest.raises(ArtifactError, match="expected another path"):
        meta_train(bowls(8, 12), base, base=base)
    link = base.with_name("link")
    link.symlink_to(base)
    with pytest.raises(ArtifactError, match="expected another path"):
        meta_train(bowls(8, 12), link, base=base)
    assert base.read_bytes() == before


def test_what_tunes_nothing_that_the_artifact_knows_is_left_out_with_a_reason(
    base: Path, tmp_path: Path
) -> None:
    strange = [
        replace(other(task, estimator="bowl"), info=replace(other(task).info, estimator="bowl"))
        for task in ("s", "u")
    ]
    with pytest.raises(HistoryError, match="nothing that it varies is a hyperparameter of bowl"):
        meta_train(strange, tmp_path / "out", base=base)
    report = meta_train([*strange, *bowls(8, 9)], tmp_path / "out", base=base)
    assert {one.key.task for one in report.left_out} == {"s", "u"}
    assert len(report.extensions["bowl"].added) == 1


@pytest.mark.parametrize("kind", ["missing", "text", "cut off", "curves"])
def test_what_is_no_artifact_of_priors_can_not_be_added_to(
    kind: str, base: Path, tmp_path: Path
) -> None:
    path = tmp_path / "wrong"
    if kind == "text":
        path.write_text("what is this")
    elif kind == "cut off":
        path.write_bytes(base.read_bytes()[:-9])
    elif kind == "curves":
        write_artifact(path, {"a": np.zeros(1, np.float32)}, {"kind": "curves", "card": {}})
    with pytest.raises(ArtifactError, match="expected"):
        meta_train(bowls(8, 12), tmp_path / "out", base=path)
    assert not (tmp_path / "out").exists()


def test_an_artifact_of_a_newer_format_is_not_added_to(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmstart.artifact.VERSION", 0)
    with pytest.raises(ArtifactError, match="upgrade warmstart"):
        meta_train(bowls(8, 12), tmp_path / "out", base=base)


def test_a_training_that_is_killed_leaves_nothing_half_written(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    meta_train(bowls(8, 10), out, base=base)
    before, names = out.read_bytes(), sorted(path.name for path in tmp_path.iterdir())

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("metaopt.training.extending.extend_prior", killed)
        with pytest.raises(KeyboardInterrupt):
            meta_train(bowls(8, 12), out, base=base)
    monkeypatch.setattr(warmstart.durable.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        meta_train(bowls(8, 12), out, base=base)
    assert out.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_of_the_new_tasks_as_many_are_kept_as_asked() -> None:
    prior = meta_train(bowls()).priors["bowl"]
    chosen, _ = one_for_each_task(bowls(8, 20))
    kept = extended(prior, chosen, most_tasks=3, seed=0).prior
    assert len(kept.tasks) == 8 + 3
    assert extend_prior(prior, []) is prior


# The command line


def test_the_command_line_adds_and_says_what_it_did(
    metaopt: Callable[..., tuple[int, str, str]], base: Path, tmp_path: Path
) -> None:
    store = HistoryStore(tmp_path / "store")
    for history in bowls(6, 12):
        store.add(history)
    out = tmp_path / "longer.safetensors"
    code, text, _ = metaopt("train", "--store", store.path, "--from", base, "--out", out)
    assert code == 0
    assert "bowl: 4 histories added, 0 of them in place of shorter ones" in text
    assert "before" in text
    assert KNOWN in text
    _, text, _ = metaopt("train", "--store", store.path, "--from", base, "--out", out, "--json")
    added = json.loads(text)["added"]["bowl"]
    assert added["n_histories"] == 4
    assert 0.0 <= added["old_tasks_first_pick_before"] <= 1.0
    code, text, _ = metaopt("info", out)
    assert code == 0
    assert "first proposal's regret on 8 training tasks, their families left out (loss)" in text
    assert "added_to: " + read_artifact(base).digest in text
    code, _, err = metaopt("train", "--store", store.path, "--from", out, "--out", out)
    assert code == 2
    assert "expected another path" in err
