"""Meta-training: from histories to an artifact."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from benchmark_synthetic import SPACE, BowlSource, loss_of
from history_strategies import trials as any_trials
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import metaopt
from metaopt import meta_train
from metaopt.benchmarks import refinement
from metaopt.benchmarks.refinement import neighbours, surrogate_training_histories
from metaopt.benchmarks.sources import RecordedSource, digest_of_history
from metaopt.benchmarks.surrogates import SurrogateTask
from metaopt.training import train_artifact
from metaopt.training.selection import (
    by_metric,
    in_own_order,
    named_canonically,
    one_for_each_task,
)
from warmstart.artifact import read_artifact
from warmstart.errors import ArtifactError, HistoryError
from warmstart.history import History, TaskInfo, Trial
from warmstart.metrics import HIGHER_IS_BETTER
from warmstart.prior_file import estimators_in, unpack_prior
from warmstart.space import Float, Integer, SearchSpace
from warmstart.store import HistoryStore

SHIPPED = Path(__file__).parents[1] / "warmstart" / "artifacts" / "openml.safetensors"
SHIPPED_ESTIMATORS = {
    "sklearn.ensemble.RandomForestClassifier",
    "sklearn.ensemble.AdaBoostClassifier",
    "sklearn.svm.SVC",
    "xgboost.XGBClassifier",
    "xgboost.XGBRegressor",
    "sklearn.ensemble.ExtraTreesClassifier",
    "sklearn.ensemble.ExtraTreesRegressor",
    "rpart",
    "lcbench.funnel_mlp",
    "lightgbm.LGBMClassifier",
    "lightgbm.LGBMRegressor",
    "sklearn.linear_model.ElasticNet",
    "sklearn.linear_model.LogisticRegression",
    "sklearn.linear_model.Ridge",
    "sklearn.neighbors.KNeighborsClassifier",
    "sklearn.neighbors.KNeighborsRegressor",
    "sklearn.ensemble.HistGradientBoostingClassifier",
    "sklearn.ensemble.HistGradientBoostingRegressor",
    "sklearn.ensemble.RandomForestRegressor",
    "sklearn.neural_network.MLPClassifier",
    "sklearn.neural_network.MLPRegressor",
    "sklearn.svm.SVR",
}
SMALLEST = 10  # trials of the histories made here


def bowls(n_tasks=4, n_trials=30):
    return BowlSource(n_tasks=n_tasks, n_trials=n_trials).histories()


def history(task="t", *, n=SMALLEST, best=0.3, estimator="bowl", metric="loss", **info):
    described = TaskInfo(estimator, task, metric, info.pop("source", "own"), **info)
    rates = [10 ** (-3 + 3 * i / (n - 1)) for i in range(n)]
    trials = [Trial({"rate": rate, "depth": 3}, (rate - best) ** 2) for rate in rates]
    return History.from_trials(described, trials)


def shuffled(history, seed):
    order = np.random.default_rng(seed).permutation(len(history))
    columns = dict(reversed(history.columns.items()))
    return replace(history.subset(order), columns={k: columns[k].take(order) for k in columns})


def bytes_of(path, histories, **settings):
    meta_train(histories, path, **settings)
    return path.read_bytes()


# What is written


def test_what_was_learned_is_read_back_from_the_artifact(tmp_path):
    report = meta_train(bowls(), tmp_path / "bowls")
    artifact = read_artifact(tmp_path / "bowls")
    assert estimators_in(artifact) == ["bowl"]
    learned, read = report.priors["bowl"], unpack_prior(artifact, "bowl")
    assert read.tasks == learned.tasks
    assert read.space == learned.space
    assert read.encoding.names == learned.encoding.names
    np.testing.assert_allclose(read.values, learned.values, atol=2e-3)
    np.testing.assert_allclose(read.inducing, learned.inducing, atol=1e-6)
    assert report.digest == artifact.digest
    assert report.n_bytes == (tmp_path / "bowls").stat().st_size
    assert artifact.description["card"] == report.card


def test_the_artifact_says_that_what_was_good_everywhere_is_good(tmp_path):
    meta_train(bowls(8), tmp_path / "bowls")
    prior = unpack_prior(read_artifact(tmp_path / "bowls"), "bowl")
    configurations = [{"kind": "narrow", "x": x, "rate": 10**-1.5, "depth": 4} for x in (0.7, 0.1)]
    features = prior.scale(prior.encoding.features(prior.encoding.coordinates(configurations)))
    good, bad = prior.log_regrets(features)
    assert (good < bad).all()


def test_each_estimator_is_learned_on_its_own(tmp_path):
    report = meta_train([*bowls(), history("a", estimator="other"), history(estimator="other")])
    assert list(report.priors) == ["bowl", "other"]
    assert [task.id for task in report.priors["other"].tasks] == ["a", "t"]


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = meta_train(bowls())
    assert report.path is None
    assert report.digest == ""
    assert not list(tmp_path.iterdir())


# The same histories make the same bytes


def test_a_store_its_path_and_its_histories_make_the_same_bytes(tmp_path):
    store = HistoryStore(tmp_path / "store")
    for one in bowls():
        store.add(one)
    from_store = bytes_of(tmp_path / "a", store)
    assert from_store == bytes_of(tmp_path / "b", str(store.path))
    assert from_store == bytes_of(tmp_path / "c", store.histories())
    assert from_store == bytes_of(tmp_path / "d", bowls())


@pytest.mark.parametrize("with_space", [True, False])
def test_neither_the_order_of_histories_nor_of_trials_plays_a_part(tmp_path, with_space):
    histories = [
        one if with_space else replace(one, info=replace(one.info, space=None)) for one in bowls()
    ]
    mixed = [shuffled(one, seed) for seed, one in enumerate(histories)]
    random.Random(0).shuffle(mixed)
    assert bytes_of(tmp_path / "a", histories) == bytes_of(tmp_path / "b", mixed)


def test_another_seed_makes_another_artifact_and_the_card_says_it(tmp_path):
    first = bytes_of(tmp_path / "a", bowls(), seed=0)
    assert first == bytes_of(tmp_path / "b", bowls(), seed=0)
    assert first != bytes_of(tmp_path / "c", bowls(), seed=1)
    assert read_artifact(tmp_path / "c").description["card"]["settings"]["seed"] == 1


def test_another_process_with_other_hashes_and_threads_makes_the_same_bytes(tmp_path):
    here = bytes_of(tmp_path / "here", bowls())
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from benchmark_synthetic import BowlSource; from metaopt import meta_train;"
        "meta_train(BowlSource(n_tasks=4, n_trials=30).histories()[::-1], sys.argv[2])"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "2"}
    there = tmp_path / "there"
    subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent), str(there)],
        env=environment,
        check=True,
    )
    assert there.read_bytes() == here


def test_the_order_of_trials_says_nothing_of_their_losses():
    many = history(n=400)
    ranks = in_own_order(many).losses.argsort().argsort()
    assert abs(np.corrcoef(ranks, np.arange(400))[0, 1]) < 0.15


# Which histories


def test_a_task_that_was_judged_by_several_metrics_is_learned_by_each():
    histories = [history(task, metric="roc_auc", n=40) for task in "ab"]
    histories += [history(task, metric="accuracy") for task in "bcd"]
    report = meta_train(histories)
    metrics = sorted((task.id, task.metric) for task in report.priors["bowl"].tasks)
    expected = [("a", "roc_auc"), ("b", "accuracy"), ("b", "roc_auc")]
    assert metrics == [*expected, ("c", "accuracy"), ("d", "accuracy")]
    assert not report.left_out
    assert report.card["estimators"]["bowl"]["n_tasks"] == 4
    assert report.card["estimators"]["bowl"]["n_trials"] == 40 + 40 + 2 * SMALLEST


def test_what_else_was_measured_makes_a_history_of_its_own():
    trials = [
        Trial({"x": x / 9}, x / 9, measures={"roc_auc": x / 9, "seconds": 1.0}) for x in range(10)
    ]
    unmeasured = Trial({"x": 0.5}, 0.1)
    info = TaskInfo("bowl", "t", "neg_log_loss", "own")
    of_loss, of_auc = by_metric([History.from_trials(info, [*trials, unmeasured])])
    assert (of_loss.info.metric, len(of_loss)) == ("log_loss", 11)
    assert (of_auc.info.metric, len(of_auc)) == ("roc_auc", 10)
    np.testing.assert_array_equal(of_auc.losses, -of_loss.losses[:10])
    of_auc.check()


@pytest.mark.parametrize(("metric", "largest"), [("rmse", 20.5), ("accuracy", 1e9)])
def test_a_loss_without_a_bound_is_capped_where_it_is_far_off(metric, largest):
    trials = [Trial({"x": x}, loss) for x, loss in enumerate([0.5, 1.5, 2.5, 3.5, 1e9])]
    (capped,) = by_metric([History.from_trials(TaskInfo("bowl", "t", metric, "own"), trials)])
    assert capped.losses.tolist() == [0.5, 1.5, 2.5, 3.5, largest]


def test_an_estimator_with_fewer_tasks_than_asked_is_left_out():
    few = [history(task, estimator="few", metric=m) for task in "ab" for m in ("auc", "accuracy")]
    enough = [history(task) for task in "abc"]
    report = meta_train([*few, *enough], fewest_tasks=3)
    assert list(report.priors) == ["bowl"]
    assert {left_out.reason for left_out in report.left_out} == {
        "2 tasks of its estimator, fewer than the 3 asked"
    }
    with pytest.raises(HistoryError, match="fewer than the 3 asked"):
        meta_train(few, fewest_tasks=3)


def test_of_two_histories_of_one_task_the_longer_is_taken():
    chosen, left_out = one_for_each_task([history(n=10), history(n=20), history(n=15)])
    assert [len(one) for one in chosen] == [20]
    assert len(left_out) == 2


def test_the_same_task_from_two_sources_counts_twice():
    report = meta_train([history(source="openml"), history(source="own", n=12)])
    assert [task.source for task in report.priors["bowl"].tasks] == ["openml", "own"]


def broken_histories():
    outside = history(
        "outside", space=SearchSpace({"rate": Float(0.5, 0.6), "depth": Float(1, 9)})
    )
    infinite = replace(history("infinite"), losses=np.full(SMALLEST, math.inf))
    failed = History.from_trials(
        TaskInfo("bowl", "failed", "loss", "own"),
        [Trial({"rate": 0.1 * i}, math.nan, "failed") for i in range(SMALLEST)],
    )
    flat = replace(history("flat"), losses=np.full(SMALLEST, 0.25))
    return [outside, infinite, failed, flat, history("short", n=4)]


def test_a_history_that_is_broken_or_says_nothing_is_left_out_and_reported():
    broken = broken_histories()
    report = meta_train([*bowls(), *broken])
    assert {one.key.task for one in report.left_out} == {one.info.task for one in broken}
    reasons = {one.key.task: one.reason for one in report.left_out}
    assert "rate" in reasons["outside"]
    assert "too few" in reasons["short"]
    assert len(report.priors["bowl"].tasks) == 4
    assert sum(report.card["n_histories_left_out"].values()) == len(broken)


def test_what_varies_nothing_of_the_estimator_is_left_out():
    svc = [
        History.from_trials(
            TaskInfo("sklearn.svm.SVC", task, "accuracy", "own"),
            [Trial({name: 2.0**i}, (i - 3.0) ** 2) for i in range(SMALLEST)],
        )
        for task, name in (("a", "C"), ("b", "C"), ("c", "colour_of_the_moon"))
    ]
    report = meta_train(svc)
    assert [task.id for task in report.priors["sklearn.svm.SVC"].tasks] == ["a", "b"]
    assert [one.key.task for one in report.left_out] == ["c"]


def test_an_estimator_with_nothing_to_learn_from_does_not_stop_the_others():
    report = meta_train([*bowls(), history("short", n=3, estimator="other")])
    assert list(report.priors) == ["bowl"]


def test_old_names_of_an_estimator_are_one_estimator():
    report = meta_train(
        [
            History.from_trials(
                TaskInfo(name, task, "accuracy", "own"),
                [Trial({"C": 2.0**i}, (i - 3.0) ** 2) for i in range(SMALLEST)],
            )
            for task, name in (("a", "sklearn.svm.classes.SVC"), ("b", "SVC"))
        ]
    )
    assert list(report.priors) == ["sklearn.svm.SVC"]
    assert len(report.priors["sklearn.svm.SVC"].tasks) == 2


def test_a_family_that_is_not_said_follows_from_the_name_of_the_data_set():
    histories = [
        history("a", name="mfeat-factors"),
        history("b", name="mfeat-zernike"),
        history("c", name="iris"),
        history("d"),
        history("e", name="iris", family="flowers"),
    ]
    families = [one.info.family for one in named_canonically(histories)]
    assert families == ["mfeat", "mfeat", "iris", "d", "flowers"]


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        (["a"], "bcd"),
        (["iris"], "bcd"),
        (["openml-dataset-61"], "bcd"),
        (["mfeat"], "ad"),
        (["a", "d"], "bc"),
    ],
)
def test_tasks_are_excluded_by_id_name_data_set_or_family(exclude, left):
    histories = [
        history("a", name="iris", dataset="openml-dataset-61"),
        history("b", name="mfeat-factors"),
        history("c", name="mfeat-zernike"),
        history("d"),
    ]
    report = meta_train(histories, exclude=exclude)
    assert "".join(task.id for task in report.priors["bowl"].tasks) == left
    assert report.n_excluded == 4 - len(left)
    assert report.card["excluded"] == sorted(exclude)


def test_what_was_excluded_leaves_no_trace_in_the_artifact(tmp_path):
    histories = bowls()
    without = [one for one in histories if one.info.family != "pair-0"]
    card = {"excluded": []}
    excluded = bytes_of(tmp_path / "a", histories, exclude=["pair-0"], card=card)
    assert excluded == bytes_of(tmp_path / "b", without, card=card)


# Errors


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"histories": []}, "0 histories given"),
        ({"histories": ["not a history"]}, "str given"),
        ({"histories": "no/such/store"}, "not there"),
        ({"estimators": ["sklearn.svm.SVC"]}, r"\['sklearn.svm.SVC'\].*'bowl'"),
        ({"estimators": "bowl"}, "list of names"),
        ({"exclude": ["bowl-77"]}, "bowl-77"),
        ({"exclude": "bowl-1"}, "list of names"),
        ({"exclude": [f"bowl-{i}" for i in range(4)]}, "4 are excluded"),
    ],
)
def test_what_can_not_be_learned_from_is_one_clear_error(arguments, expected):
    with pytest.raises(HistoryError, match=expected):
        meta_train(**{"histories": bowls(), **arguments})


def test_nothing_but_broken_histories_is_an_error_that_names_one():
    with pytest.raises(HistoryError, match="5 not usable; such as"):
        meta_train(broken_histories())


def test_an_estimator_that_was_asked_for_has_to_be_learned():
    short = history("short", n=3, estimator="other")
    with pytest.raises(HistoryError, match="other"):
        meta_train([*bowls(), short], estimators=["bowl", "other"])


def test_a_directory_that_is_not_there_is_said_before_anything_is_done(tmp_path):
    def no_call(*_):
        raise AssertionError("training began")

    with pytest.raises(ArtifactError, match="nowhere"):
        meta_train(bowls(), tmp_path / "nowhere" / "bowls", progress=no_call)
    with pytest.raises(ArtifactError, match="expected a file"):
        meta_train(bowls(), tmp_path, progress=no_call)


def test_a_training_that_fails_leaves_the_artifact_that_was_there(tmp_path):
    path = tmp_path / "bowls"
    before = bytes_of(path, bowls())
    with pytest.raises(HistoryError):
        meta_train([history(n=2)], path)
    with pytest.raises(ArtifactError):
        meta_train(bowls(), path, card={"what": object()})
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["bowls"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(any_trials(), min_size=5, max_size=9), min_size=1, max_size=3))
def test_whatever_trials_hold_the_others_are_learned_from(lists):
    strange = [
        History.from_trials(TaskInfo("bowl", f"strange-{i}", "loss", "own"), trials)
        for i, trials in enumerate(lists)
    ]
    sound = [replace(one, info=replace(one.info, estimator="sound")) for one in bowls(2, 10)]
    report = meta_train([*sound, *strange])
    assert len(report.priors["sound"].tasks) == 2
    n_learned = len(report.priors["bowl"].tasks) if "bowl" in report.priors else 0
    # Trials may say more than one measure, and each makes a task of its own.
    assert n_learned + len(report.left_out) == len(by_metric(strange))


# The card


def test_the_card_counts_what_the_artifact_holds():
    histories = [
        *bowls(3, 20),
        history("a", estimator="other", licence="CC-BY-4.0", metric="roc_auc"),
        history("b", estimator="other", source="openml", metric="roc_auc", n=12),
    ]
    card = meta_train(histories, card={"figures": {"regret": 0.1}}).card
    assert card["n_trials"] == 3 * 20 + 10 + 12
    assert card["metrics"] == ["loss", "roc_auc"]
    assert card["sources"] == ["openml", "own", "synthetic"]
    assert card["licences"] == ["CC-BY-4.0", "not stated"]
    other = card["estimators"]["other"]
    assert other["n_tasks"] == 2
    assert other["n_trials"] == 22
    assert other["n_tasks_by_source"] == {"openml": 1, "own": 1}
    assert other["n_tasks_by_licence"] == {"CC-BY-4.0": 1, "not stated": 1}
    assert not other["benchmark_only"]
    assert card["estimators"]["bowl"]["n_families"] == 2
    assert card["figures"] == {"regret": 0.1}
    assert "meta-features" in card["reveals"]


def test_the_card_says_what_is_for_benchmarks_only():
    histories = [
        History.from_trials(
            TaskInfo("rpart", task, "accuracy", "own"),
            [Trial({"cp": 10.0**-i}, (i - 3.0) ** 2) for i in range(SMALLEST)],
        )
        for task in "ab"
    ]
    card = meta_train([*histories, *bowls()]).card
    assert card["estimators"]["rpart"]["benchmark_only"]
    assert [limit for limit in card["limits"] if "benchmarks only" in limit] == [
        "rpart: for benchmarks only, never inferred from parameter names."
    ]


def test_progress_is_told_to_a_callback_and_shown_as_lines(capsys):
    told = []
    meta_train(bowls(), progress=lambda *step: told.append(step))
    assert told == [("learning bowl", done, 4) for done in (1, 2, 3, 4)]
    meta_train(bowls(), progress=True)
    assert "learning bowl: 4 of 4" in capsys.readouterr().err
    meta_train(bowls())
    assert capsys.readouterr().err == ""


# The package


def test_metaopt_is_light_and_meta_training_needs_no_torch():
    program = (
        "import sys, metaopt\n"
        "assert 'numpy' not in sys.modules and 'warmstart' not in sys.modules\n"
        "assert 'meta_train' in dir(metaopt)\n"
        "from metaopt import meta_train\n"
        "assert callable(meta_train)\n"
        "assert not {'torch', 'pandas', 'sklearn', 'onnxruntime'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_name_that_metaopt_lacks_is_an_attribute_error():
    with pytest.raises(AttributeError, match="meta_trian"):
        metaopt.meta_trian  # noqa: B018 - the access is what is tested


# Histories of surrogates


def steep(configurations):
    return loss_of(configurations, task="bowl-0")


@pytest.fixture
def surrogate(monkeypatch):
    """One instance of a made-up surrogate of each estimator, in place of those on disk."""

    def tasks(data, source):
        info = TaskInfo("bowl", "bowl-0", "loss", "yahpo", space=SPACE)
        yield SurrogateTask(info, steep, seed=3)

    monkeypatch.setattr(refinement, "surrogate_tasks", tasks)


def test_rounds_of_neighbours_follow_the_random_configurations_and_are_better(surrogate):
    sampled = partial(surrogate_training_histories, Path(), "any", n_random=100, n_best=5)
    (plain,) = sampled(n_rounds=0)
    (dense,) = sampled(n_local=50, n_rounds=2)
    dense.check()
    assert len(plain) == 100
    assert len(dense) == 200
    assert plain.configurations() == dense.configurations()[:100]
    assert plain.configurations() == SPACE.sample(100, np.random.default_rng(3))
    np.testing.assert_allclose(dense.losses, steep(dense.configurations()))
    random_ones, first, second = dense.losses[:100], dense.losses[100:150], dense.losses[150:]
    assert np.median(random_ones) > np.median(first) > np.median(second)
    assert second.min() < random_ones.min()


def test_the_seed_decides_on_the_neighbours_only(surrogate):
    sampled = partial(surrogate_training_histories, Path(), "any", n_random=20, n_local=10)
    (a,), (b,), (again,) = sampled(seed=0), sampled(seed=1), sampled(seed=0)
    assert digest_of_history(a) == digest_of_history(again)
    assert a.configurations()[:20] == b.configurations()[:20]
    assert a.configurations()[20:] != b.configurations()[20:]


def test_neighbours_are_near_and_lie_in_the_space_on_its_scales_and_conditions():
    rng = np.random.default_rng(0)
    start = {"kind": "narrow", "x": 1.0, "rate": 0.01, "depth": 9}
    near = neighbours(SPACE, [start], 500, rng)
    info = TaskInfo("bowl", "t", "loss", "own", space=SPACE)
    History.from_trials(info, [Trial(c, 0.0) for c in near]).check()
    assert all(isinstance(c["depth"], int) for c in near if "depth" in c)
    assert all(("depth" in c) == (c["kind"] == "narrow") for c in near)
    redrawn = np.mean([c["kind"] == "wide" for c in near])
    assert 0.01 < redrawn < 0.12  # half of those that are drawn anew become the other
    steps = np.abs([math.log10(c["rate"]) + 2.0 for c in near]) / 3.0
    assert np.quantile(steps, 0.99) < 0.5
    assert 0.2 < np.mean(steps < 1e-9) < 0.8


def test_what_becomes_active_in_a_neighbour_is_drawn():
    wide = {"kind": "wide", "x": 0.5, "rate": 0.01}
    near = neighbours(SPACE, [wide], 2000, np.random.default_rng(0))
    assert {c["depth"] for c in near if c["kind"] == "narrow"} == set(range(1, 10))


def test_integers_on_a_log_scale_move_on_it():
    space = SearchSpace({"n": Integer(1, 1000, log=True)})
    moved = np.array(
        [c["n"] for c in neighbours(space, [{"n": 30}], 2000, np.random.default_rng(0))]
    )
    down, up = np.log(30 / moved[moved < 30]), np.log(moved[moved > 30] / 30)
    assert 0.7 < down.mean() / up.mean() < 1.4


def test_neither_store_nor_surrogates_is_an_error(tmp_path):
    with pytest.raises(HistoryError, match="Neither"):
        train_artifact(out=tmp_path / "a")


def test_a_data_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        train_artifact(surrogates=tmp_path / "nowhere", out=tmp_path / "a")


def test_the_recipe_with_a_store_alone_is_meta_training(tmp_path):
    store = HistoryStore(tmp_path / "store")
    for one in bowls():
        store.add(one)
    report = train_artifact(store, out=tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == bytes_of(tmp_path / "b", store)
    assert "surrogates" not in report.card


def test_the_recipe_joins_a_store_and_surrogates(recorded_data, tmp_path):
    store = HistoryStore(tmp_path / "store")
    for one in bowls():
        store.add(one)
    told = []
    report = train_artifact(
        store,
        recorded_data,
        out=tmp_path / "a",
        estimators=["bowl", "lcbench.funnel_mlp"],
        progress=lambda *step: told.append(step),
    )
    assert estimators_in(read_artifact(tmp_path / "a")) == ["bowl", "lcbench.funnel_mlp"]
    assert report.card["estimators"]["lcbench.funnel_mlp"]["n_trials"] == 25 * 2000
    assert report.card["surrogates"]["sampling"]["n_random"] == 1000
    assert told[0] == ("sampling surrogates", 1, 1)


def test_a_benchmark_trains_on_refined_histories(recorded_data):
    source = RecordedSource("lcbench", recorded_data, n_configurations=40)
    refined = surrogate_training_histories(
        recorded_data, "lcbench", n_random=40, n_local=20, n_best=2
    )
    for one, other in zip(source.histories(), refined, strict=True):
        assert len(one) == 80
        assert one.configurations() == other.configurations()


# What is shipped


@pytest.fixture(scope="module")
def shipped():
    return read_artifact(SHIPPED)


def test_the_shipped_artifact_is_small_and_knows_the_estimators(shipped):
    assert SHIPPED.stat().st_size < 5_000_000
    assert set(estimators_in(shipped)) == SHIPPED_ESTIMATORS


@pytest.mark.parametrize("estimator", sorted(SHIPPED_ESTIMATORS))
def test_the_shipped_artifact_lists_its_tasks(shipped, estimator):
    prior = unpack_prior(shipped, estimator)
    said = shipped.description["card"]["estimators"][estimator]
    by_length = sorted(prior.tasks, key=lambda task: task.n_trials)
    tasks = {(task.source, task.id): task.n_trials for task in by_length}
    assert len(tasks) >= 25
    assert len({(t.source, t.id, t.metric) for t in prior.tasks}) == len(prior.tasks)
    assert all(task.id and task.family and task.licence for task in prior.tasks)
    assert sum(not task.name for task in prior.tasks) <= 3  # known by their ids alone
    assert said["n_tasks"] == len(tasks)
    assert said["n_families"] == len({task.family for task in prior.tasks})
    assert said["n_trials"] == sum(tasks.values())
    assert said["benchmark_only"] == (estimator in ("rpart", "lcbench.funnel_mlp"))
    if estimator != "lcbench.funnel_mlp":  # the data of which nobody described
        assert sum(task.descriptor is not None for task in prior.tasks) >= 25


def test_the_shipped_artifact_says_how_it_was_made(shipped):
    card = shipped.description["card"]
    assert card["settings"]["seed"] == 0
    assert card["sources"] == ["collect", "openml", "yahpo"]
    assert card["metrics"] == sorted(HIGHER_IS_BETTER)
    assert card["surrogates"]["sampling"] == {
        "n_random": 1000,
        "n_local": 500,
        "n_rounds": 2,
        "n_best": 50,
    }
    assert sum("benchmarks only" in limit for limit in card["limits"]) == 2
