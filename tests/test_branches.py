"""Studies that choose between estimators, and the standings that say which to try."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage
from optuna.study import Study
from optuna.trial import Trial as OptunaTrial

from metaopt import meta_train
from warmstart.artifact import Artifact, read_artifact, write_artifact
from warmstart.branches import choose_branch, find_branches
from warmstart.descriptor import TaskDescriptor
from warmstart.errors import ArtifactError
from warmstart.explanation import explain
from warmstart.history import History, TaskInfo, Trial
from warmstart.knowledge import Knowledge
from warmstart.prior_file import unpack_standings
from warmstart.sampler import WarmStartSampler
from warmstart.standings import WORST, expected_best, learn_standings

pytestmark = pytest.mark.usefixtures("quiet")

SVC = "sklearn.svm.SVC"
LOGISTIC = "sklearn.linear_model.LogisticRegression"
NEIGHBORS = "sklearn.neighbors.KNeighborsClassifier"

REGRESSOR = "sklearn.neighbors.KNeighborsRegressor"


def described(n_rows: float) -> TaskDescriptor:
    return TaskDescriptor.from_openml_qualities(
        {"NumberOfInstances": n_rows, "NumberOfFeatures": 10, "NumberOfClasses": 2}
    )


def history(estimator: str, task: str, offset: float, *, n_rows: float = 100) -> History:
    """Losses from ``offset`` to ``offset + 0.3``, the best near ``C = 10``."""
    info = TaskInfo(
        estimator, task, "accuracy", "invented", descriptor=described(n_rows).to_json()
    )
    exponents = np.random.default_rng(len(task) + len(estimator)).uniform(-2, 4, 24)
    name = "n_neighbors" if estimator == NEIGHBORS else "C"
    trials = [
        Trial(
            {name: int(1 + abs(e)) if name == "n_neighbors" else float(10**e)},
            offset + 0.01 * (e - 1) ** 2,
            run_id=f"{estimator}-{task}-{i}",
        )
        for i, e in enumerate(exponents)
    ]
    return History.from_trials(info, trials)


def compared(n_tasks: int = 12) -> list[History]:
    """Tasks on which support vector machines are best, and neighbours worst."""
    offsets = {SVC: 0.05, LOGISTIC: 0.1, NEIGHBORS: 0.2}
    return [
        history(estimator, f"task-{t}", offset)
        for t in range(n_tasks)
        for estimator, offset in offsets.items()
    ]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("branches") / "three.safetensors"
    meta_train(compared(), out)
    return out


def objective(trial: OptunaTrial) -> float:
    """Neighbours are by far the best here, whatever the source tasks say."""
    chosen = trial.suggest_categorical("classifier", ["svm", "logreg", "KNeighborsClassifier"])
    if chosen == "svm":
        return 0.5 + abs(np.log10(trial.suggest_float("svm_C", 1e-2, 1e4, log=True)) - 1)
    if chosen == "logreg":
        return 0.5 + abs(np.log10(trial.suggest_float("lr_C", 1e-2, 1e4, log=True)) - 1)
    return 0.001 * trial.suggest_int("knn_n_neighbors", 1, 5)


def chosen(study: Study) -> list[str]:
    return [trial.params["classifier"] for trial in study.trials]


class TestExpectedBest:
    def test_it_is_the_mean_over_all_draws(self):
        losses = np.array([3.0, 1.0, 4.0, 1.5, 9.0, 2.6])
        draws = [min(draw) for draw in itertools.combinations(losses, 3)]
        assert expected_best(losses, 3) == pytest.approx(np.mean(draws))

    def test_of_fewer_losses_it_is_the_best(self):
        assert expected_best(np.array([2.0, 1.0]), 5) == 1.0


class TestStandings:
    def test_the_best_estimator_stands_at_zero_and_the_others_in_their_order(self):
        standings = learn_standings(compared())
        assert standings is not None
        values = dict(zip(standings.estimators, standings.values.T, strict=True))
        assert (values[SVC] == 0).all()
        assert (values[LOGISTIC] < values[NEIGHBORS]).all()
        assert (values[NEIGHBORS] <= WORST).all()

    def test_few_shared_tasks_say_nothing(self):
        assert learn_standings(compared(9)) is None
        assert learn_standings([h for h in compared() if h.info.estimator == SVC]) is None

    def test_where_size_decides_tasks_of_like_size_count_more(self):
        small = [
            history(e, f"s{t}", o, n_rows=100)
            for t in range(8)
            for e, o in ((SVC, 0.0), (LOGISTIC, 0.2))
        ]
        large = [
            history(e, f"l{t}", o, n_rows=1e5)
            for t in range(8)
            for e, o in ((SVC, 0.2), (LOGISTIC, 0.0))
        ]
        standings = learn_standings([*small, *large])
        assert standings is not None
        assert standings.bandwidth > 0
        column = standings.estimators.index(SVC)
        for_small = standings.task_weights(described(120)) @ standings.values[:, column]
        for_large = standings.task_weights(described(9e4)) @ standings.values[:, column]
        assert for_small < for_large

    def test_an_estimator_that_is_not_known_stands_as_the_others_do(self):
        standings = learn_standings(compared())
        assert standings is not None
        some = standings.of([SVC, None, NEIGHBORS])
        assert some is not None
        assert some.values[:, 1] == pytest.approx(some.values[:, [0, 2]].mean(axis=1))

    def test_tasks_can_be_left_out_until_too_few_are_left(self):
        standings = learn_standings(compared())
        assert standings is not None
        fewer = standings.of([SVC, LOGISTIC], without=standings.tasks[:2])
        assert fewer is not None
        assert len(fewer.tasks) == 10
        assert standings.of([SVC, LOGISTIC], without=standings.tasks[:3]) is None
        assert standings.of([SVC, "my.Model"]) is None


class TestArtifact:
    def test_standings_are_kept(self, path):
        known = unpack_standings(read_artifact(path))["accuracy"]
        learned = learn_standings(compared())
        assert learned is not None
        assert known.tasks == learned.tasks
        assert known.values == pytest.approx(learned.values, abs=1e-3)

    def test_one_of_before_has_none(self, path, tmp_path):
        old = read_artifact(path)
        description = {k: v for k, v in old.description.items() if k != "standings"}
        write_artifact(tmp_path / "old.safetensors", old.tensors, description)
        assert unpack_standings(read_artifact(tmp_path / "old.safetensors")) == {}
        assert Knowledge(artifact=tmp_path / "old.safetensors").standings([SVC, LOGISTIC]) is None

    @pytest.mark.parametrize("change", ["tensor", "tasks", "kind"])
    def test_damaged_ones_are_one_clear_error(self, path, change):
        sound = read_artifact(path)
        description = {**sound.description, "standings": dict(sound.description["standings"])}
        tensors = dict(sound.tensors)
        if change == "tensor":
            del tensors["standings/accuracy/values"]
        elif change == "tasks":
            description["standings"]["accuracy"] = {
                **description["standings"]["accuracy"],
                "tasks": [["invented", "task-0"]],
            }
        else:
            description["standings"] = ["accuracy"]
        with pytest.raises(ArtifactError, match="standings of estimators are not complete"):
            unpack_standings(Artifact(description, tensors, sound.digest))


class TestFindBranches:
    @pytest.mark.parametrize(
        ("choices", "kind", "expected"),
        [
            (("SVC", "RandomForest"), None, [SVC, "sklearn.ensemble.RandomForestClassifier"]),
            (("svm", "knn"), "regression", ["sklearn.svm.SVR", REGRESSOR]),
            (("lgbm", "SVC", "mine"), None, ["lightgbm.LGBMClassifier", SVC, None]),
        ],
    )
    def test_the_names_of_choices_tell(self, choices, kind, expected):
        found = find_branches({"model": CategoricalDistribution(choices)}, kind=kind)
        assert found is not None
        assert found.parameter == "model"
        assert list(found.estimators.values()) == expected

    @pytest.mark.parametrize(
        "distributions",
        [
            {"kernel": CategoricalDistribution(("rbf", "linear"))},
            {"model": CategoricalDistribution(("SVC", "mine", "yours", "theirs"))},
            {"model": CategoricalDistribution(("SVC", "svm"))},
            {"C": FloatDistribution(0, 1)},
            {
                "one": CategoricalDistribution(("SVC", "rf")),
                "other": CategoricalDistribution(("SVC", "rf")),
            },
        ],
    )
    def test_where_they_do_not_there_are_none(self, distributions):
        assert find_branches(distributions) is None

    @pytest.mark.filterwarnings("ignore:Choices for a categorical:UserWarning")
    def test_choices_may_be_what_is_no_key_of_a_dict(self):
        distributions = {
            "hidden_layer_sizes": CategoricalDistribution(([64], [64, 32])),
            "model": CategoricalDistribution(("svm", "logreg")),
        }
        for estimators in (None, {"svm": SVC}):
            found = find_branches(distributions, estimators=estimators)
            assert found is not None
            assert found.parameter == "model"

    def test_the_user_may_say_what_choices_stand_for(self):
        distributions = {"model": CategoricalDistribution((1, 2))}
        found = find_branches(distributions, estimators={1: SVC, 2: LOGISTIC})
        assert found is not None
        assert found.estimators == {1: SVC, 2: LOGISTIC}

    def test_what_the_user_says_nothing_of_its_name_tells(self):
        distributions = {"model": CategoricalDistribution(("mine", "logreg", "theirs"))}
        found = find_branches(distributions, estimators={"mine": SVC})
        assert found is not None
        assert found.estimators == {"mine": SVC, "logreg": LOGISTIC, "theirs": None}

    def test_the_first_parameter_with_these_choices_is_taken(self):
        choices = CategoricalDistribution((True, False))
        found = find_branches(
            {"use_svm": choices, "bootstrap": choices}, estimators={True: SVC, False: None}
        )
        assert found is not None
        assert found.parameter == "use_svm"

    def test_one_is_not_true(self):
        distributions = {"folds": CategoricalDistribution((0, 1))}
        assert find_branches(distributions, estimators={True: SVC, False: LOGISTIC}) is None


class TestChoice:
    STANDINGS = np.tile([0.0, 0.3, 0.9], (10, 1))
    WEIGHTS = np.full(10, 0.1)

    def counts(self, losses, n_running=(0, 0, 0), n=200):
        drawn = [
            choose_branch(
                self.STANDINGS, self.WEIGHTS, losses, n_running, np.random.default_rng(i)
            )
            for i in range(n)
        ]
        return np.bincount(drawn, minlength=3)

    def test_the_first_is_what_stands_best(self):
        assert self.counts([np.empty(0)] * 3, n=5).tolist() == [5, 0, 0]

    def test_workers_that_start_together_do_not_all_take_it(self):
        counts = self.counts([np.empty(0)] * 3, (1, 0, 0))
        assert counts[0] > counts[1] > counts[2]
        assert counts[1] > 0

    def test_trials_outweigh_standings(self):
        bad, good = np.linspace(0.8, 0.9, 4), np.linspace(0.1, 0.2, 5)
        counts = self.counts([bad, bad, good])
        assert counts[2] > 0.5 * counts.sum()

    def test_failed_trials_speak_against_a_branch(self):
        failed, fine = np.full(3, np.inf), np.array([0.4, 0.5, 0.6])
        counts = self.counts([failed, fine, np.empty(0)])
        assert counts[1] > counts[0]

    def test_a_branch_that_always_fails_is_soon_left(self):
        counts = self.counts([np.full(4, np.inf), np.empty(0), np.empty(0)])
        assert counts[0] < 0.2 * counts.sum()

    def test_a_branch_that_always_fails_has_no_turns(self):
        losses = [np.linspace(0, 1, 3), np.linspace(0, 1, 2), np.full(2, np.inf)]
        assert self.counts(losses, n=20)[2] == 0

    def test_now_and_then_the_least_tried_has_its_turn(self):
        losses = [np.linspace(0, 1, 4), np.linspace(0, 1, 3), np.empty(0)]
        assert self.counts(losses, n=20).tolist() == [0, 0, 20]

    @pytest.mark.parametrize("value", [0.0, 1e300, np.inf])
    def test_losses_that_are_all_alike_are_survived(self, value):
        assert self.counts([np.full(2, value)] * 3).sum() == 200


class TestSampler:
    def study(self, path, n_trials, *, seed=0, **options) -> Study:
        sampler = WarmStartSampler(artifact=path, seed=seed, **options)
        study = optuna.create_study(sampler=sampler)
        study.optimize(objective, n_trials=n_trials)
        return study

    def test_it_begins_with_the_estimator_that_stands_best_and_its_best_configuration(self, path):
        first = self.study(path, 1).trials[0]
        assert first.params["classifier"] == "svm"
        assert first.params["svm_C"] == pytest.approx(10, rel=1.0)

    def test_however_many_branches_there_are_a_choice_reads_the_storage_twice(
        self, path, monkeypatch
    ):
        study = self.study(path, 20)
        assert set(chosen(study)) == {"svm", "logreg", "KNeighborsClassifier"}
        n_read = 0
        read = InMemoryStorage.get_all_trials

        def counted(*arguments, **options):
            nonlocal n_read
            n_read += 1
            return read(*arguments, **options)

        trial = study.ask()
        monkeypatch.setattr(InMemoryStorage, "get_all_trials", counted)
        trial.suggest_categorical("classifier", ["svm", "logreg", "KNeighborsClassifier"])
        assert n_read == 2

    def test_it_ends_with_the_one_that_is_best_here(self, path):
        later = chosen(self.study(path, 40))[20:]
        assert later.count("KNeighborsClassifier") > 10

    def test_each_branch_is_tuned_with_what_is_known_of_its_estimator(self, path):
        study = self.study(path, 12)
        told = explain(study)
        names = {"svm": SVC, "logreg": LOGISTIC, "KNeighborsClassifier": NEIGHBORS}
        assert (told["by"] == "meta-learner").all()
        assert told["estimator"].tolist() == [names[name] for name in chosen(study)]
        assert set(told.attrs["matched"]) == {"svm_C", "lr_C", "knn_n_neighbors"}
        assert told.attrs["unmatched"] == {"classifier": "chooses between estimators"}

    def test_the_same_seed_chooses_the_same(self, path):
        first, second = self.study(path, 10), self.study(path, 10)
        assert [t.params for t in first.trials] == [t.params for t in second.trials]

    def test_a_resumed_study_goes_on_as_one_that_was_not_interrupted(self, path):
        whole = self.study(path, 10)
        study = self.study(path, 5)
        study.sampler = WarmStartSampler(artifact=path, seed=0)
        study.optimize(objective, n_trials=5)
        assert [t.params for t in study.trials] == [t.params for t in whole.trials]

    def test_a_branch_of_which_nothing_is_known_is_not_planned(self, path):
        asked = []

        class Then(RandomSampler):
            def sample_independent(self, study, trial, name, distribution):
                asked.append(name)
                return super().sample_independent(study, trial, name, distribution)

        choices = {"svm": SVC, "logreg": LOGISTIC, "KNeighborsClassifier": None}
        self.study(path, 20, estimator=choices, then=Then(seed=0))
        assert set(asked) == {"knn_n_neighbors"}

    def test_without_standings_then_chooses_and_branches_are_tuned_all_the_same(
        self, path, tmp_path
    ):
        old = read_artifact(path)
        description = {k: v for k, v in old.description.items() if k != "standings"}
        write_artifact(tmp_path / "old.safetensors", old.tensors, description)
        told = explain(self.study(tmp_path / "old.safetensors", 8))
        assert (told["by"] == "meta-learner").all()

    def test_what_branches_share_is_not_planned(self, path):
        def with_shared(trial: OptunaTrial) -> float:
            return objective(trial) + trial.suggest_float("shared", 0, 1)

        sampler = WarmStartSampler(artifact=path, seed=0)
        study = optuna.create_study(sampler=sampler)
        study.optimize(with_shared, n_trials=6)
        assert all("shared" in trial.params for trial in study.trials)
        assert "shared" in explain(study).attrs["unmatched"]

    def test_excluded_tasks_say_nothing_of_how_estimators_stand(self, path):
        every = [f"task-{i}" for i in range(12)]
        kept = Knowledge(artifact=path, exclude=every[:2]).standings([SVC, LOGISTIC])
        assert kept is not None
        assert len(kept[0]) == 10
        for excluded in (every[:4], every):
            assert Knowledge(artifact=path, exclude=excluded).standings([SVC, LOGISTIC]) is None

    def test_what_is_excluded_is_told_of_all_branches(self, path):
        choices = {"svm": SVC, "logreg": LOGISTIC}
        sampler = WarmStartSampler(estimator=choices, artifact=path, exclude="task-3")
        assert [task.id for task in sampler.excluded_tasks()] == ["task-3"]

    def test_choices_that_no_parameter_has_are_told(self, path):
        with pytest.warns(match="no parameter has all of these"):
            self.study(path, 3, estimator={"svc": SVC, "knn": NEIGHBORS})
