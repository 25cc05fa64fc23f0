"""Collecting histories: what is run, measured and stored, and what limits hold."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from joblib.parallel import ThreadingBackend
from small_artifact import write_small_artifact

from metaopt.collect import command
from metaopt.collect.collector import Options, collect, families_by_turns
from metaopt.collect.configurations import Proposals, candidates, collected_space
from metaopt.collect.data_set import data_set
from metaopt.collect.evaluation import build, evaluate
from metaopt.collect.measures import classification_measures, regression_measures
from metaopt.collect.preparation import prepared_folds
from metaopt.collect.sandbox import Limits, Sandbox, Split
from metaopt.collect.summary import summarise
from warmstart.artifact import read_artifact
from warmstart.catalogue import resolve_estimator
from warmstart.descriptor import TaskDescriptor, describe
from warmstart.errors import HistoryError, SearchSpaceError, UnknownEstimatorError
from warmstart.search_spaces import tunable_estimators
from warmstart.store import HistoryStore

TREE = "sklearn.tree.DecisionTreeClassifier"
FAST = Options(max_rows=90)


def blobs(name="blobs", n=90, n_classes=2, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    X = pd.DataFrame(rng.normal(size=(n, 3)) + y[:, None], columns=list("abc"))
    return data_set(name, X, y, kind="classification", licence="CC0")


def slope(name="slope", n=90):
    rng = np.random.default_rng(1)
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=list("abc"))
    return data_set(name, X, 500 + 40 * X["a"] + rng.normal(size=n), kind="regression")


def contents(store):
    return {
        history.info.key: [(t.run_id, t.configuration, t.loss) for t in history.trials()]
        for history in store.histories()
    }


class TogetherBackend(ThreadingBackend):
    """As some backends of joblib, it gives all results at the end."""

    supports_return_generator = False


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    store = HistoryStore(tmp_path_factory.mktemp("collected") / "store", fsync=False)
    names = {"DecisionTreeClassifier": 12, "Ridge": 3}
    told = []
    report = collect(
        [blobs(), slope()],
        names,
        store,
        options=FAST,
        report=lambda done, total, where: told.append((done, total)),
    )
    return store, report, told, names


class TestConfigurations:
    def listed(self, data, name=TREE, **settings):
        task = describe(data.X, data.y, kind=data.kind)
        space = collected_space(name, task, max_trees=settings.pop("max_trees", None))
        return candidates(data, name, space, n_folds=3, task=task, **{"n": 6, **settings})

    def test_the_defaults_come_first_as_the_library_writes_them(self):
        _, (first, *_) = self.listed(blobs())
        assert first.proposed_by == "default"
        assert first.native["max_depth"] is None
        assert first.configuration["max_depth"] == 64

    def test_a_default_that_depends_on_the_data_is_recorded_as_what_it_means_there(self):
        space, (first, *_) = self.listed(blobs(), "sklearn.svm.SVC")
        assert first.native["gamma"] == "scale"
        assert first.configuration["gamma"] == pytest.approx(1 / 3, rel=1e-5)
        assert space.parameters["gamma"].low <= 1 / 3 <= space.parameters["gamma"].high

    @pytest.mark.parametrize("name", tunable_estimators())
    def test_all_that_is_recorded_lies_in_the_recorded_space(self, name):
        from warmstart.history import History, TaskInfo, Trial

        data = blobs() if resolve_estimator(name).family == "classifier" else slope()
        space, listed = self.listed(data, name, n=9, variations=9)
        info = TaskInfo(name, "t", "m", "collect", space=space)
        History.from_trials(info, [Trial(c.configuration, 0.0) for c in listed]).check()

    def test_fewer_are_the_first_of_more_and_data_sets_have_their_own(self):
        _, few = self.listed(blobs(), n=3)
        _, many = self.listed(blobs(), n=9)
        _, of_other = self.listed(blobs("other"), n=3)
        _, of_other_seed = self.listed(blobs(), n=3, seed=1)
        assert few == many[:3]
        assert few[0] == of_other[0]
        assert few[1:] != of_other[1:]
        assert few[1:] != of_other_seed[1:]

    def test_trees_are_limited_where_asked_and_only_trees(self):
        forest, _ = self.listed(blobs(), "RandomForestClassifier", max_trees=150)
        assert forest.parameters["n_estimators"].high == 150
        network = collected_space("MLPClassifier", TaskDescriptor(), max_trees=150)
        assert network.parameters["max_iter"].high == 500

    @pytest.mark.parametrize("name", ["SVC", "RandomForestClassifier", "MLPClassifier"])
    def test_variations_are_marked_and_change_one_to_three_of_the_defaults(self, name):
        space, (default, *varied) = self.listed(blobs(), name, n=1, variations=20)
        assert [c.index for c in varied] == [f"variation-{i}" for i in range(20)]
        assert {c.proposed_by for c in varied} == {"variation"}
        for c in varied:
            assert all(space.is_active(name, c.configuration) for name in c.configuration)
            chosen = {
                name
                for name, value in c.configuration.items()
                if name not in space.conditions and value != default.configuration[name]
            }
            assert len(chosen) <= 6  # three, and what these have an effect under
        assert sum(c.configuration != default.configuration for c in varied) > 15

    def test_variations_are_others_on_other_data_and_few_are_the_first_of_many(self):
        _, few = self.listed(blobs(), n=1, variations=3)
        _, many = self.listed(blobs(), n=1, variations=9)
        _, of_other = self.listed(blobs("other"), n=1, variations=3)
        assert few == many[:4]
        assert few[1:] != of_other[1:]

    def test_the_samplers_own_proposals_are_marked_and_lie_in_the_space(self, artifact):
        proposals = Proposals(2, artifact)
        space, listed = self.listed(blobs(), "sklearn.svm.SVC", n=2, proposals=proposals)
        of_artifact = f"warmstart-{artifact.digest[:8]}-unlike"
        assert [c.index for c in listed] == ["0", "1", f"{of_artifact}-0", f"{of_artifact}-1"]
        assert {c.proposed_by for c in listed[2:]} == {"warmstart"}
        for c in listed[2:]:
            assert all(space.is_active(name, c.configuration) for name in c.configuration)

    def test_proposals_are_kept_from_what_was_learned_on_data_like_these(self, tmp_path):
        data = blobs()
        described = [describe(data.X, data.y, kind=data.kind, name="other")] * 4
        path = write_small_artifact(tmp_path / "svc.safetensors", descriptors=described)
        proposals = Proposals(1, read_artifact(path))
        _, alike = self.listed(data, "sklearn.svm.SVC", n=1, proposals=proposals)
        _, unlike = self.listed(blobs(n_classes=3), "sklearn.svm.SVC", n=1, proposals=proposals)
        assert [len(alike), len(unlike)] == [1, 2]

    def test_there_are_no_proposals_where_nothing_is_known(self, artifact):
        _, listed = self.listed(blobs(), n=2, proposals=Proposals(2, artifact))
        assert [c.index for c in listed] == ["0", "1"]


class TestMeasures:
    @pytest.mark.parametrize("n_classes", [2, 3])
    @pytest.mark.parametrize(
        "name", ["sklearn.linear_model.LogisticRegression", "sklearn.svm.SVC"]
    )
    def test_they_are_those_of_scikit_learn(self, n_classes, name):
        from sklearn import metrics

        fold = prepared_folds(blobs(n_classes=n_classes), "scaled", n_folds=3, seed=0)[0]
        model = build(name, {}).fit(fold.X_train, fold.y_train)
        predicted, y = model.predict(fold.X_test), fold.y_test
        measures = classification_measures(model, fold, n_classes)
        assert measures["accuracy"] == pytest.approx(metrics.accuracy_score(y, predicted))
        assert measures["balanced_accuracy"] == pytest.approx(
            metrics.balanced_accuracy_score(y, predicted)
        )
        if name.endswith("SVC"):
            assert "log_loss" not in measures
            return
        shares = model.predict_proba(fold.X_test)
        assert measures["log_loss"] == pytest.approx(metrics.log_loss(y, shares))
        scores = shares[:, 1] if n_classes == 2 else shares
        assert measures["roc_auc"] == pytest.approx(
            metrics.roc_auc_score(y, scores, multi_class="ovr", average="macro")
        )

    def test_errors_of_a_regression_are_in_the_targets_unit(self):
        from sklearn import metrics

        fold = prepared_folds(slope(), "scaled", n_folds=3, seed=0)[0]
        model = build("sklearn.neighbors.KNeighborsRegressor", {})
        measures = regression_measures(model.fit(fold.X_train, fold.y_train), fold)
        plain = build("sklearn.neighbors.KNeighborsRegressor", {})
        plain.fit(fold.X_train, fold.y_train * fold.scale + fold.mean)
        predicted, y = plain.predict(fold.X_test), fold.y_test
        assert measures == pytest.approx(
            {
                "root_mean_squared_error": metrics.root_mean_squared_error(y, predicted),
                "mean_absolute_error": metrics.mean_absolute_error(y, predicted),
                "r2": metrics.r2_score(y, predicted),
            }
        )


class TestEvaluation:
    def outcome(self, configuration, **settings):
        data = blobs()
        folds = prepared_folds(data, "encoded", n_folds=3, seed=0)
        return evaluate(TREE, configuration, folds, kind=data.kind, n_classes=2, **settings)

    def test_the_loss_is_that_of_cross_validation(self):
        from sklearn.model_selection import StratifiedKFold, cross_val_score

        data = blobs()
        scores = cross_val_score(
            build(TREE, {"max_depth": 3}),
            data.X.to_numpy(),
            data.y,
            cv=StratifiedKFold(3, shuffle=True, random_state=0),
        )
        outcome = self.outcome({"max_depth": 3})
        assert outcome.loss == pytest.approx(1 - scores.mean())
        assert outcome.measures["loss_standard_error"] == pytest.approx(
            scores.std(ddof=1) / 3**0.5
        )

    def test_what_a_library_refuses_is_a_failure_with_its_reason(self):
        outcome = self.outcome({"max_depth": -7})
        assert outcome.state == "failed"
        assert math.isnan(outcome.loss)
        assert outcome.reason.startswith("InvalidParameterError: The 'max_depth' parameter")

    def test_what_would_take_too_long_is_stopped_after_a_fold_and_says_so(self):
        outcome = self.outcome({"max_depth": 3}, seconds=0.0)
        assert outcome.state == "pruned"
        assert outcome.measures["n_folds"] == 1
        assert "loss_standard_error" not in outcome.measures
        assert outcome.reason.startswith("stopped after 1 of 3 folds")
        assert math.isfinite(outcome.loss)


class TestSandbox:
    def test_what_exceeds_its_limits_is_stopped_with_a_reason_and_the_next_run_works(self):
        rng = np.random.default_rng(0)
        X = pd.DataFrame(rng.normal(size=(1500, 2)), columns=list("ab"))
        data = data_set("noise", X, rng.integers(0, 2, 1500), kind="classification")
        sandbox = Sandbox(Limits(fit_seconds=1.0, memory_megabytes=4000), Split(2))
        endless = {"C": 1e9, "kernel": "linear", "tol": 1e-12}
        outcome = sandbox.evaluate(data, "sklearn.svm.SVC", endless)
        assert (outcome.state, outcome.reason) == ("failed", "a fit took longer than 1 s")
        wide = {"hidden_layer_sizes": 500_000_000}
        outcome = sandbox.evaluate(data, "sklearn.neural_network.MLPClassifier", wide)
        assert outcome.state == "failed"
        assert "MemoryError" in outcome.reason
        outcome = sandbox.evaluate(data, TREE, {"max_depth": 1})
        assert outcome.state == "complete"
        sandbox.close()


class TestCollect:
    def test_histories_hold_what_was_run_and_how(self, collected):
        store, report, _, _ = collected
        assert (report.n_planned, report.n_known, report.n_stored) == (15, 0, 15)
        assert report.n_by_state == {"complete": 15}
        ridge, tree = store.histories()
        assert (tree.info.estimator, tree.info.metric, len(tree)) == (TREE, "accuracy", 12)
        assert (ridge.info.metric, len(ridge)) == ("root_mean_squared_error", 3)
        assert tree.info.provenance["folds"] == 3
        assert tree.info.provenance["rows"] == "all"
        assert tree.info.descriptor["metafeatures"]["NumberOfInstances"] == 90
        assert (tree.info.licence, tree.info.family) == ("CC0", "blobs")
        assert tree.proposed_by.tolist() == ["default"] + [""] * 11
        np.testing.assert_allclose(tree.losses, 1 - tree.measures["accuracy"], atol=1e-5)
        assert {"roc_auc", "balanced_accuracy", "log_loss", "fit_seconds"} <= set(tree.measures)
        assert {"mean_absolute_error", "r2", "predict_seconds"} <= set(ridge.measures)

    def test_provenance_says_what_proposals_were_kept_from(self, artifact, tmp_path, collected):
        options = replace(FAST, proposals=Proposals(1, artifact))
        with HistoryStore(tmp_path / "s", fsync=False) as store:
            collect([blobs()], {"SVC": 1}, store, options=options)
            (history,) = store.histories()
        assert history.proposed_by.tolist() == ["default", "warmstart"]
        said = {"artifact": artifact.digest[:8], "exclude": "similar"}
        assert history.info.provenance["proposals"] == said
        without = collected[0].histories()[0]
        assert "proposals" not in without.info.provenance

    def test_progress_counts_what_is_left_to_do(self, collected):
        _, _, told, _ = collected
        assert told[-1] == (15, 15)
        assert [done for done, _ in told] == sorted(done for done, _ in told)

    def test_again_nothing_is_run_and_more_is_only_what_is_new(self, collected):
        store, _, _, names = collected
        before = contents(store)
        again = collect([blobs(), slope()], names, store, options=FAST)
        assert (again.n_known, again.n_stored) == (15, 0)
        assert contents(store) == before
        more = collect([slope()], {"Ridge": 5}, store, options=FAST)
        assert (more.n_known, more.n_stored) == (3, 2)

    @pytest.mark.parametrize("backend", [ThreadingBackend(), TogetherBackend()])
    def test_processes_side_by_side_give_the_same_by_seed(self, collected, tmp_path, backend):
        store, _, _, _ = collected
        with HistoryStore(tmp_path / "other", fsync=False) as other:
            collect([blobs()], {TREE: 12}, other, options=FAST, n_jobs=2, backend=backend)
            (one,) = contents(other).values()
        assert sorted(one) == sorted(contents(store)[store.keys()[1]])

    def test_the_summary_counts_by_estimator_data_set_and_family(self, collected, tmp_path):
        store, *_ = collected
        counts = summarise(store.histories())[TREE]
        assert (counts["n_trials"], counts["n_data_sets"], counts["n_families"]) == (12, 1, 1)
        assert (counts["n_default"], counts["n_space_filling"]) == (1, 11)
        with HistoryStore(tmp_path / "varied", fsync=False) as varied:
            options = replace(FAST, variations=2)
            collect([blobs()], {TREE: 1}, varied, options=options)
            counts = summarise(varied.histories())[TREE]
        assert (counts["n_default"], counts["n_variation"], counts["n_trials"]) == (1, 2, 3)
        assert counts["families"] == {"blobs": 1}

    def test_merging_a_store_adds_only_what_is_new(self, collected, tmp_path):
        store, *_ = collected
        with HistoryStore(tmp_path / "own", fsync=False) as own:
            own.add(store.histories()[1].subset(slice(2)))
        command.merge([store.path], tmp_path / "own")
        command.merge([store.path], tmp_path / "own")
        merged = contents(HistoryStore(tmp_path / "own", create=False))
        assert {key: len(trials) for key, trials in merged.items()} == {
            key: len(trials) for key, trials in contents(store).items()
        }

    def test_after_the_deadline_nothing_is_begun(self, tmp_path):
        with HistoryStore(tmp_path / "s", fsync=False) as store:
            report = collect([blobs()], {TREE: 12}, store, options=FAST, seconds=0.0)
            assert (report.n_planned, report.n_stored, len(store)) == (12, 0, 0)


def test_families_take_turns():
    sets = [blobs(f"fri_c{i}", n=30) for i in range(3)] + [blobs("iris", n=60), slope("z", n=90)]
    assert [data.name for data in families_by_turns(sets)] == [
        *("fri_c0", "iris", "z", "fri_c1", "fri_c2"),
    ]


@pytest.mark.parametrize(
    ("sets", "estimators", "error", "message"),
    [
        ([blobs()], {"LGBMClasifier": 2}, UnknownEstimatorError, "LGBMClassifier"),
        ([blobs()], {"rpart": 2}, SearchSpaceError, "rpart"),
        ([blobs()], {"Ridge": 2}, HistoryError, "none of a kind"),
        ([blobs()], {}, HistoryError, "No estimator"),
        ([blobs()], {TREE: 0}, HistoryError, "0 configurations"),
        ([blobs(), blobs()], {TREE: 2}, HistoryError, "blobs"),
    ],
)
def test_what_can_not_be_collected_is_an_error_before_anything_is_run(
    tmp_path, sets, estimators, error, message
):
    with HistoryStore(tmp_path / "s", fsync=False) as store:
        with pytest.raises(error, match=message):
            collect(sets, estimators, store)
        assert len(store) == 0
