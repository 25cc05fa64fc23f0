from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from metaopt import meta_train
from metaopt.benchmarks.families import fold_of
from metaopt.benchmarks.live.bench import chosen_data, run_live, study_seed
from metaopt.benchmarks.live.comparisons import compare_search, compare_tests
from metaopt.benchmarks.live.curves import live_curves
from metaopt.benchmarks.live.figures import build_report
from metaopt.benchmarks.live.methods import METHODS, LiveMethod
from metaopt.benchmarks.live.options import LiveOptions
from metaopt.benchmarks.live.results import LiveResult
from metaopt.benchmarks.live.studies import Setting, Trials, run_configurations, run_sampler
from metaopt.benchmarks.live.tasks import LiveData, Splitting, live_task
from metaopt.benchmarks.live.training import Held
from metaopt.benchmarks.progress import Progress
from metaopt.collect.data_set import data_set
from metaopt.collect.sandbox import close_own_sandbox
from warmstart.descriptor import describe
from warmstart.errors import HistoryError
from warmstart.history import History, TaskInfo
from warmstart.store import HistoryStore
from warmstart.trial import Trial

KNN = "sklearn.neighbors.KNeighborsClassifier"
LGBM = "lightgbm.LGBMClassifier"
SPLITTING = Splitting(n_folds=3, max_rows=60, seed=0)


def blobs(name, seed, *, n=100, family=""):
    """Three classes, the last of them rare."""
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1, 2], [n // 2, n - n // 2 - 8, 8])
    X = pd.DataFrame(rng.normal(size=(n, 3)) + y[:, None], columns=["a", "b", "c"])
    return data_set(name, X, y, kind="classification", family=family)


def coins(name, seed):
    """Two classes, and columns that say nothing of them."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(150 + 50 * seed, 5 + seed))).rename(columns=str)
    return data_set(name, X, rng.integers(0, 2, len(X)), kind="classification")


def history(name, seed, *, data=None, family="", estimator=KNN):
    rng = np.random.default_rng(seed)
    trials = [
        Trial(
            {"n_neighbors": int(n), "weights": "uniform"}, abs(n - 20) / 100 + rng.normal(0, 0.01)
        )
        for n in rng.permutation(np.arange(2, 60, 4))
    ]
    descriptor = None if data is None else describe(data.X, data.y, kind=data.kind).to_json()
    info = TaskInfo(
        estimator,
        f"task-{name}",
        "accuracy",
        "collect",
        name=name,
        family=family,
        descriptor=descriptor,
    )
    return History.from_trials(info, trials)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store")
    with HistoryStore(path) as opened:
        for seed in range(4):
            opened.add(history(f"source-{seed}", seed, data=coins(f"source-{seed}", seed)))
    return path


@pytest.fixture(scope="module")
def data_sets():
    return [blobs("one", 0), blobs("two", 1, n=120)]


def options(results, store, **changes):
    asked = {
        "estimators": (KNN,),
        "methods": ("warmstart", "tpe", "random", "default"),
        "n_trials": 3,
        "n_seeds": 1,
        "n_jobs": 1,
    }
    return LiveOptions(results=results, stores=(store,), **{**asked, **changes})


def quietly():
    return Progress(Console(file=io.StringIO()), quiet=True)


@pytest.fixture(scope="module")
def report(tmp_path_factory, store, data_sets):
    asked = options(tmp_path_factory.mktemp("live"), store)
    return asked, run_live(data_sets, asked, progress=quietly())


def studies(asked):
    found = {}
    for path in (asked.results / "studies").glob("*.json"):
        study = json.loads(path.read_text())
        found[study["method"], study["data"], study["seed"]] = study
    return found


class TestBenchmark:
    def test_every_method_has_a_study_of_every_data_set(self, report):
        asked, found = report
        assert set(studies(asked)) == {(m, d, 0) for m in asked.methods for d in ("one", "two")}
        assert not found.data["failures"]
        for (method, *_), study in studies(asked).items():
            n = 1 if method == "default" else 3
            assert [len(study[name]) for name in ("losses", "tests", "seconds")] == [n, n, n]
            assert np.all(np.diff(study["seconds"]) > 0)

    def test_the_warm_start_proposes_and_knows_the_other_families_only(self, report):
        asked, found = report
        warm = found.data["estimators"][KNN]["warmstart"]
        assert warm["proposed"] == 1.0
        for data in ("one", "two"):
            study = studies(asked)["warmstart", data, 0]
            assert study["trained"]
            assert study["fold"] == fold_of(data)

    def test_methods_without_transfer_begin_alike_on_one_data_set_and_unlike_on_another(
        self, report
    ):
        found = studies(report[0])
        seeds = {study_seed(LiveResult(**study)) for study in found.values()}
        assert len(seeds) == 2
        # Both draw their first trials at random.
        assert found["tpe", "one", 0]["losses"] == found["random", "one", 0]["losses"]

    def test_it_writes_tables_and_pictures(self, report):
        _, found = report
        names = [path.name for path in found.files]
        assert names == ["report.json", "report.txt", "curves-KNeighborsClassifier.png"]
        assert json.loads(found.files[0].read_text())["search"][KNN]["n_data"] == 2
        assert "First proposal beside the library's default" in found.files[1].read_text()
        assert found.files[2].read_bytes().startswith(b"\x89PNG")

    def test_what_is_finished_is_not_run_again_and_what_a_kill_left_is(self, report, data_sets):
        asked, before = report
        files = sorted((asked.results / "studies").iterdir())
        lost = next(path for path in files if "-tpe-" in path.name)
        content = json.loads(lost.read_text())
        lost.unlink()
        (lost.parent / ".tmp-cut-short").write_text('{"key":')
        times = {path: path.stat().st_mtime_ns for path in files if path != lost}
        again = run_live(data_sets, asked, progress=quietly())
        assert {path: path.stat().st_mtime_ns for path in times} == times
        assert json.loads(lost.read_text())["losses"] == content["losses"]
        assert again.data["search"][KNN]["trials"] == before.data["search"][KNN]["trials"]

    def test_same_seed_same_results_and_a_shorter_study_is_the_beginning_of_a_longer_one(
        self, report, store, data_sets, tmp_path
    ):
        asked, _ = report
        shorter = options(tmp_path, store, n_trials=2)
        run_live(data_sets[:1], shorter, progress=quietly())
        longer = studies(asked)
        for key, study in studies(shorter).items():
            for name in ("losses", "tests", "trained", "key"):
                assert study[name] == longer[key][name][: len(study[name])]

    def test_a_method_that_fails_is_reported_and_the_others_go_on(
        self, store, data_sets, tmp_path
    ):
        def fails(setting, artifact):
            raise RuntimeError("no luck")

        methods = {"broken": LiveMethod("broken", fails), "default": METHODS["default"]}
        asked = options(tmp_path, store, methods=("broken", "default"))
        found = run_live(data_sets[:1], asked, methods=methods, progress=quietly())
        assert [failure["method"] for failure in found.data["failures"]] == ["broken"]
        assert "no luck" in found.text
        assert list(found.data["estimators"][KNN]) == ["default"]

    def test_a_method_without_its_package_is_left_out_and_says_what_to_install(
        self, store, data_sets, tmp_path
    ):
        missing = replace(METHODS["random"], name="rare", package=("no_such", "no-such"))
        asked = options(tmp_path, store, methods=("rare", "default"))
        methods = {"rare": missing, "default": METHODS["default"]}
        found = run_live(data_sets[:1], asked, methods=methods, progress=quietly())
        assert "rare was left out: no_such is not installed: pip install no-such" in found.text

    @pytest.mark.parametrize(
        ("changes", "error", "message"),
        [
            ({"methods": ("tpa",)}, ValueError, r"Methods \['tpa'\] given; expected some of"),
            ({"estimators": ("SVC",)}, HistoryError, "expected some that the stores have"),
            ({"stores": ("nowhere",)}, HistoryError, "nowhere"),
        ],
    )
    def test_what_is_not_there_is_named(self, changes, error, message, store, data_sets, tmp_path):
        asked = replace(options(tmp_path, store), **changes)
        with pytest.raises(error, match=message):
            run_live(data_sets, asked, progress=quietly())

    def test_data_of_another_kind_are_refused(self, store, tmp_path):
        X = pd.DataFrame({"a": np.arange(40.0)})
        regression = data_set("line", X, np.arange(40.0) ** 2, kind="regression")
        with pytest.raises(HistoryError, match="none of a kind"):
            run_live([regression], options(tmp_path, store), progress=quietly())

    def test_the_command_runs_it(self, metaopt, store, data_sets, tmp_path):
        for data in data_sets:
            frame = data.X.assign(target=data.y)
            frame.to_csv(tmp_path / f"{data.name}.csv", index=False)
        code, out, _ = metaopt(
            *("bench", "live", "--data", tmp_path, "--store", store, "--estimator", KNN),
            *("--method", "default", "--method", "random", "--trials", 2, "--seeds", 1),
            *("--jobs", 1, "--results", tmp_path / "results", "--json"),
        )
        assert code == 0
        found = json.loads(out)
        assert found["budgets"] == [1, 2]
        assert set(found["estimators"][KNN]) == {"default", "random"}


class TestSplits:
    @pytest.fixture
    def task(self, data_sets):
        return live_task(LiveData.of(data_sets[1]), SPLITTING)

    def test_no_row_is_on_both_sides_and_every_class_is_on_each(self, task):
        assert not set(task.search_rows) & set(task.test_rows)
        assert len(task.test_rows) == 30
        assert len(task.search_rows) <= 61
        assert set(task.search.y) == set(task.whole.y[task.test_rows]) == {0, 1, 2}
        assert np.bincount(task.search.y).min() >= SPLITTING.n_folds

    def test_the_rows_to_tune_on_are_those_that_the_test_fold_is_fitted_to(self, task):
        fold = task.test_fold(LGBM)
        assert np.array_equal(fold.X_train, task.search.X.to_numpy())
        assert np.array_equal(fold.y_train, task.search.y)
        assert np.array_equal(fold.y_test, task.whole.y[task.test_rows])

    def test_the_descriptor_knows_the_rows_to_tune_on_alone(self, task):
        assert task.task.metafeatures["NumberOfInstances"] == len(task.search_rows)

    def test_another_seed_has_another_test_split(self, task, data_sets):
        other = live_task(LiveData.of(data_sets[1]), replace(SPLITTING, seed=1))
        assert set(other.test_rows) != set(task.test_rows)

    def test_a_regression_is_judged_in_units_of_its_spread(self):
        rng = np.random.default_rng(0)
        X = pd.DataFrame(rng.normal(size=(80, 2)), columns=["a", "b"])
        data = data_set("plane", X, 1000 * X["a"].to_numpy(), kind="regression")
        task = live_task(LiveData.of(data), SPLITTING)
        setting = setting_of(task, "sklearn.linear_model.Ridge")
        assert setting.test({"alpha": 1e9}) == pytest.approx(1.0, abs=0.1)
        assert setting.test({"alpha": 1e-6}) < 1e-6

    def test_the_digest_depends_on_every_value(self, data_sets):
        data = data_sets[0]
        other = data.X.copy()
        other.iloc[-1, -1] += 1e-9
        assert LiveData.of(data) == LiveData.of(replace(data))
        assert LiveData.of(data) != LiveData.of(replace(data, X=other))


def setting_of(task, estimator, *, n_trials=3, **changes):
    asked = {"n_folds": 3, "max_trees": 20, "fit_seconds": 10.0, "seed": 0}
    return Setting(task, estimator, n_trials=n_trials, **{**asked, **changes})


def test_few_data_sets_are_of_different_families_and_of_each_kind():
    line = pd.DataFrame({"a": np.arange(20.0)})
    listed = [
        *(blobs(f"b{i}", i, family="blobs") for i in range(5)),
        blobs("other", 9),
        *(data_set(f"r{i}", line, np.arange(20.0), kind="regression") for i in range(3)),
    ]
    chosen = chosen_data(listed, 2)
    assert [data.kind for data in chosen].count("regression") == 2
    assert {data.family for data in chosen if data.kind == "classification"} == {"blobs", "other"}
    assert chosen_data(listed[::-1], 2) == chosen
    assert len(chosen_data(listed, None)) == 9


class TestStudies:
    @pytest.fixture
    def task(self, data_sets):
        yield live_task(LiveData.of(data_sets[0]), SPLITTING)
        close_own_sandbox()

    def test_only_the_best_trial_so_far_is_tried_on_the_test_split(self):
        trials = Trials()
        asked = []
        for loss in (0.5, 0.7, float("nan"), 0.2):
            trials.add(loss, seconds=1.0, test=lambda loss=loss: asked.append(loss) or loss + 1)
        assert asked == [0.5, 0.2]
        assert trials.tests == [1.5, 1.5, 1.5, 1.2]
        assert trials.seconds == [1.0, 2.0, 3.0, 4.0]

    def test_a_configuration_that_fails_leaves_no_score(self, task):
        wrong = {"n_neighbors": 1000}
        trials = run_configurations(setting_of(task, KNN), lambda: [wrong, {"n_neighbors": 5}])
        assert np.isnan(trials.losses[0])
        assert np.isnan(trials.tests[0])
        assert 0 <= trials.tests[1] < 1

    def test_a_sampler_is_told_of_failures(self, task):
        import optuna

        told = []

        class Watching(optuna.samplers.RandomSampler):
            def after_trial(self, study, trial, state, values):
                told.append(state.name)

        # No fit ends within no time.
        setting = setting_of(task, KNN, n_trials=1, fit_seconds=0.0)
        trials = run_sampler(setting, lambda: Watching(seed=0))
        assert told == ["FAIL"]
        assert np.isnan(trials.losses).all()

    def test_the_tuner_of_lightgbm_ends_after_as_many_trials_as_asked(self, task):
        pytest.importorskip("optuna_integration")
        trials = METHODS["lightgbm_tuner"].run(setting_of(task, LGBM, n_trials=9), None)
        assert len(trials.losses) == len(trials.tests) == 9
        assert 0 <= min(trials.tests) <= max(trials.tests) < 0.7

    def test_our_own_tuner_of_lightgbm_is_judged_by_the_rounds_that_it_found(self, task, tmp_path):
        pytest.importorskip("lightgbm")
        trials = [
            Trial({"learning_rate": float(rate)}, abs(np.log10(rate) + 1))
            for rate in np.geomspace(0.01, 0.5, 12)
        ]
        info = TaskInfo(LGBM, "task", "accuracy", "collect", name="source")
        meta_train([History.from_trials(info, trials)], tmp_path / "small.safetensors")
        run = METHODS["lightgbm_tune"].run
        trials = run(setting_of(task, LGBM), tmp_path / "small.safetensors")
        assert len(trials.losses) == 3
        assert trials.proposed == [True] * 3
        assert 0 <= min(trials.tests) <= max(trials.tests) < 0.7

    def test_flaml_proposes_one_configuration(self, task):
        pytest.importorskip("flaml")
        trials = METHODS["flaml"].run(setting_of(task, LGBM), None)
        assert len(trials.losses) == 1
        assert 0 <= trials.tests[0] <= 1


class TestHeldOut:
    def held(self, *tested):
        fold = fold_of(tested[0].family)
        return Held(fold, 5, tested), fold

    def test_a_family_of_the_fold_is_held_out_and_one_of_another_is_not(self, data_sets):
        held, fold = self.held(data_sets[0])
        inside = next(f"f{i}" for i in range(99) if fold_of(f"f{i}") == fold)
        outside = next(f"f{i}" for i in range(99) if fold_of(f"f{i}") != fold)
        assert held.reason(history("x", 0, family=inside)) == "its family is in this fold"
        assert held.reason(history("x", 0, family=outside)) == ""

    def test_a_tested_data_set_is_held_out_whatever_its_family_is_called(self):
        data = blobs("two", 1, family="merged")
        held, fold = self.held(data)
        outside = next(f"f{i}" for i in range(99) if fold_of(f"f{i}") != fold)
        assert held.reason(history("two", 0, family=outside)) == "it is of a tested data set"

    def test_a_copy_under_another_name_is_held_out_for_its_looks(self, data_sets):
        held, fold = self.held(data_sets[0])
        outside = next(f"f{i}" for i in range(99) if fold_of(f"f{i}") != fold)
        copy = history("renamed", 0, data=data_sets[0], family=outside)
        assert held.reason(copy).startswith("it looks like one: ")


def result(method, data, losses, *, seed=0, tests=None, seconds=None, errors=0.01, estimator=KNN):
    n = len(losses)
    return LiveResult(
        key=f"{method}-{data}-{seed}",
        estimator=estimator,
        method=method,
        data=data,
        family=data,
        fold=0,
        seed=seed,
        losses=losses,
        errors=[errors] * n,
        tests=tests or losses,
        seconds=seconds or [float(k + 1) for k in range(n)],
    )


class TestCurves:
    def test_regret_is_0_at_the_best_and_1_at_the_worst_of_all_methods(self):
        curves = live_curves(
            [result("tpe", "a", [0.4, 0.2, 0.3]), result("random", "a", [0.3, None, 0.25])],
            n_trials=3,
        )
        assert curves["tpe"].regret[0] == pytest.approx([1.0, 0.0, 0.0])
        assert curves["random"].regret[0] == pytest.approx([0.5, 0.5, 0.25])

    def test_a_method_of_one_trial_stays_where_it_is(self):
        curves = live_curves(
            [result("tpe", "a", [0.4, 0.2]), result("default", "a", [0.3])], n_trials=2
        )
        assert curves["default"].regret[0] == pytest.approx([0.5, 0.5])

    def test_the_tuners_losses_set_no_scale_and_have_no_regret(self):
        curves = live_curves(
            [result("tpe", "a", [0.4, 0.2]), result("lightgbm_tuner", "a", [0.0, 0.0])],
            n_trials=2,
        )
        assert curves["tpe"].regret[0] == pytest.approx([1.0, 0.0])
        assert np.isnan(curves["lightgbm_tuner"].regret).all()

    def test_at_equal_time_only_trials_that_ended_by_then_count(self):
        slow = result("warmstart", "a", [0.2, 0.2, 0.2], seconds=[1.5, 3.0, 4.5])
        curves = live_curves([result("tpe", "a", [0.4, 0.3, 0.25]), slow], n_trials=3)
        assert curves["warmstart"].regret_at_time[0] == pytest.approx([1.0, 0.0, 0.0])

    def test_seeds_are_averaged_and_each_split_has_a_scale_of_its_own(self):
        curves = live_curves(
            [
                *(result("tpe", "a", [0.4, 0.2]), result("tpe", "a", [4.0, 3.0], seed=1)),
                *(result("random", "a", [0.2, 0.2]), result("random", "a", [2.0, 2.0], seed=1)),
            ],
            n_trials=2,
        )
        assert curves["tpe"].regret[0] == pytest.approx([1.0, 0.25])

    def test_equal_losses_are_no_regret(self):
        curves = live_curves([result("tpe", "a", [None, 0.2])], n_trials=2)
        assert curves["tpe"].regret[0] == pytest.approx([1.0, 0.0])


class TestComparisons:
    def pair(self, ours, theirs, other="default"):
        """Of each data set the test losses of the first trial."""
        results = []
        for i, (mine, its) in enumerate(zip(ours, theirs, strict=True)):
            results += [
                result("warmstart", f"d{i}", [0.1], tests=[mine]),
                result(other, f"d{i}", [0.1], tests=[its]),
            ]
        curves = live_curves(results, n_trials=1)
        return curves["warmstart"], curves[other]

    def test_a_tie_is_half_a_win(self):
        found = compare_tests([self.pair([0.1, 0.2, 0.3], [0.2, 0.2, 0.4])], trial=1)
        assert found["won"] == pytest.approx(2.5 / 3)
        assert found["difference"] == pytest.approx(0.2 / 3)
        assert found["rank"] == pytest.approx(3 - found["other_rank"]) == pytest.approx(3.5 / 3)

    def test_a_clear_lead_is_significant_and_none_is_not(self):
        rng = np.random.default_rng(0)
        theirs = rng.uniform(0.2, 0.4, 20)
        ahead = compare_tests([self.pair(theirs - 0.05, theirs)], trial=1)
        assert ahead["p_value"] < 0.001
        assert ahead["low"] > 0
        assert compare_tests([self.pair(theirs, theirs)], trial=1)["p_value"] == 1.0

    def test_the_reference_is_reached_where_the_mean_regret_is_its_last(self):
        curves = live_curves(
            [
                result("tpe", "a", [0.5, 0.4, 0.3, 0.2], seconds=[10, 20, 30, 40]),
                result("warmstart", "a", [0.3, 0.2, 0.2, 0.1], seconds=[10, 20, 30, 40]),
            ],
            n_trials=4,
        )
        found = compare_search(curves["warmstart"], curves["tpe"])
        assert (found["trials"], found["reference_trials"]) == (2.0, 4.0)
        assert found["time"] == pytest.approx(0.5)
        assert found["difference"] == pytest.approx(-0.25)
        assert found["worse"] == 0.0

    def test_what_is_never_reached_is_said_and_worse_is_by_more_than_the_folds_error(self):
        def found(errors):
            curves = live_curves(
                [
                    result("tpe", "a", [0.5, 0.1], errors=errors),
                    result("warmstart", "a", [0.2, 0.2]),
                ],
                n_trials=2,
            )
            return compare_search(curves["warmstart"], curves["tpe"])

        assert found(0.05)["trials"] is None
        assert found(0.05)["time"] is None
        assert (found(0.05)["worse"], found(0.2)["worse"]) == (1.0, 0.0)

    def test_all_estimators_together_are_a_geometric_mean(self):
        results = []
        for estimator, ours in ((KNN, [0.1] * 4), (LGBM, [0.5, 0.5, 0.5, 0.1])):
            results += [
                result("tpe", "a", [0.5, 0.4, 0.3, 0.1], estimator=estimator),
                result("warmstart", "a", ours, estimator=estimator),
            ]
        search = build_report(results, budgets=[1, 4])["search"]
        assert search["all"]["trials"] == pytest.approx(2.0)
        assert search["all"]["n_data"] == 2

    def test_the_first_and_the_last_test_loss_of_every_data_set_is_reported(self):
        listed = [result("tpe", "a", [0.3, 0.2, 0.1]), result("default", "a", [0.3])]
        found = build_report(listed, budgets=[1, 3])["tests"]
        assert found == {KNN: {"a": {"tpe": [0.3, 0.1], "default": [0.3, 0.3]}}}

    def test_a_report_without_the_product_has_no_comparison(self):
        found = build_report([result("random", "a", [0.2])], budgets=[1])
        assert not found["search"]
        assert not found["first"]["default"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_trials": 0}, "n_trials=0 given"),
        ({"n_folds": 1}, "n_folds=1 given; expected at least 2"),
    ],
)
def test_wrong_options_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        LiveOptions(**wrong)


def test_the_budgets_end_with_all_trials():
    assert LiveOptions(n_trials=40).budgets == [1, 3, 5, 10, 20, 40]
    assert LiveOptions(n_trials=15).budgets == [1, 3, 5, 10, 15]
