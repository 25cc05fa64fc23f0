from __future__ import annotations

import math
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import optuna
import pytest
import recording_worker
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from warmstart.aligned import align_histories
from warmstart.descriptor import TaskDescriptor, describe
from warmstart.errors import HistoryError, WarmStartWarning
from warmstart.history import History
from warmstart.provenance import ATTRIBUTE, Provenance
from warmstart.recording import Recorder, histories_of_storage, history_of_study, record
from warmstart.space import Categorical, Float, Integer, SearchSpace
from warmstart.store import HistoryStore
from warmstart.study_history import TASK_ATTRIBUTE, read_trial

pytestmark = pytest.mark.usefixtures("quiet")

UNIT = FloatDistribution(0, 1)


@pytest.fixture(params=["memory", "sqlite", "journal"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BaseStorage]:
    if request.param == "memory":
        yield InMemoryStorage()
    elif request.param == "journal":
        yield JournalStorage(JournalFileBackend(str(tmp_path / "journal.log")))
    else:
        database = RDBStorage(f"sqlite:///{tmp_path / 'studies.db'}")
        yield database
        database.remove_session()
        database.engine.dispose()


def svm(trial: optuna.Trial) -> float:
    C = trial.suggest_float("svc__C", 0.01, 100, log=True)
    kernel = trial.suggest_categorical("svc__kernel", ["rbf", "linear"])
    gamma = trial.suggest_float("svc__gamma", 1e-4, 1, log=True) if kernel == "rbf" else 0.1
    return (math.log10(C) - 1) ** 2 + (math.log10(gamma) + 2) ** 2


def study_of(*trials: FrozenTrial, direction: str = "minimize", **options: Any) -> optuna.Study:
    study = optuna.create_study(direction=direction, **options)
    study.add_trials(trials)
    return study


def finished(x: float = 0.5, value: float | None = 1.0, **options: Any) -> FrozenTrial:
    return create_trial(params={"x": x}, distributions={"x": UNIT}, value=value, **options)


def only(store: HistoryStore) -> History:
    (history,) = store.histories()
    assert store.verify().ok
    history.check()  # all trials lie in the space
    return history


def task(seed: int, name: str = "") -> TaskDescriptor:
    rng = np.random.default_rng(seed)
    return describe(rng.normal(size=(30, 4)), rng.integers(0, 2, 30), name=name)


# What is recorded.


def test_trials_recorded_afterwards_are_those_of_the_study(
    store: HistoryStore, storage: BaseStorage
) -> None:
    study = optuna.create_study(study_name="digits", storage=storage)
    study.optimize(svm, n_trials=20)
    assert record(study, store, metric="log_loss", licence="CC0", name="Digits") == 20
    history = only(store)
    info = history.info
    assert (info.source, info.estimator) == ("optuna", "sklearn.svm.SVC")
    assert (info.task, info.metric, info.licence) == ("digits", "log_loss", "CC0")
    assert info.name == "Digits"
    assert history.configurations() == [
        {name: t.params[name] for name in history.columns if name in t.params}
        for t in study.trials
    ]
    assert history.losses.tolist() == [t.value for t in study.trials]
    assert set(history.states) == {"complete"}
    for trial, kept in zip(study.trials, history.trials(), strict=True):
        assert trial.duration is not None
        assert trial.datetime_complete is not None
        assert kept.seconds == trial.duration.total_seconds()
        assert kept.time == trial.datetime_complete.isoformat()
        assert kept.proposed_by == ""
    assert info.space == SearchSpace(
        {
            "svc__C": Float(0.01, 100, log=True),
            "svc__kernel": Categorical(("rbf", "linear")),
            "svc__gamma": Float(1e-4, 1, log=True),
        }
    )


def test_a_callback_records_the_same_as_a_recording_afterwards(
    tmp_path: Path, storage: BaseStorage
) -> None:
    study = optuna.create_study(study_name="a", storage=storage, direction="maximize")
    during = HistoryStore(tmp_path / "during", fsync=False)
    after = HistoryStore(tmp_path / "after", fsync=False)
    study.optimize(svm, n_trials=15, callbacks=[Recorder(during, metric="auc")])
    record(study, after, metric="auc")
    a, b = only(during), only(after)
    assert a.info == b.info
    assert a.trials() == b.trials()
    during.close()
    after.close()


def test_recording_twice_adds_only_what_is_new(store: HistoryStore, storage: BaseStorage) -> None:
    study = optuna.create_study(storage=storage)
    assert record(study, store) == 0
    study.optimize(svm, n_trials=5)
    assert [record(study, store), record(study, store)] == [5, 0]
    study.optimize(svm, n_trials=2, callbacks=[Recorder(store)])
    assert record(study, store) == 0
    study.optimize(svm, n_trials=3)
    assert record(study, store) == 3
    assert len(only(store)) == len(store) == 10


def test_a_callback_catches_up_with_the_trials_before_it(store: HistoryStore) -> None:
    study = optuna.create_study()
    study.optimize(svm, n_trials=4)
    study.optimize(svm, n_trials=1, callbacks=[Recorder(store)])
    assert len(only(store)) == 5


def test_a_callback_reads_the_study_and_the_store_only_when_something_is_new(
    store: HistoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = optuna.create_study()
    recorder = Recorder(store, estimator="my.Model")
    study.optimize(lambda t: t.suggest_float("x", 0, 1), 3, callbacks=[recorder])
    reads: list[str] = []

    def count(owner: type, name: str) -> None:
        real = getattr(owner, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            reads.append(name)
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, counted)

    count(optuna.Study, "get_trials")
    count(HistoryStore, "histories")
    for trial in [finished(0.1), finished(0.2)]:
        study.add_trial(trial)
        recorder(study, study._storage.get_all_trials(study._study_id)[-1])
    assert reads == []
    study.add_trial(create_trial(params={"y": 1}, distributions={"y": UNIT}, value=0.0))
    recorder(study, study._storage.get_all_trials(study._study_id)[-1])
    assert reads == ["get_trials", "histories"]
    assert len(only(store)) == 6


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1.0), ("maximize", -1.0)])
def test_losses_are_minimised_whatever_the_direction(
    store: HistoryStore, direction: str, sign: float
) -> None:
    pruned = finished(value=None, state=TrialState.PRUNED, intermediate_values={1: 9.0, 3: 4.0})
    record(study_of(finished(value=2.0), pruned, direction=direction), store, estimator="m")
    assert only(store).losses.tolist() == [2.0 * sign, 4.0 * sign]


def test_how_trials_ended_is_kept(store: HistoryStore) -> None:
    def pruned(**steps: float) -> FrozenTrial:
        values = {int(step[1:]): value for step, value in steps.items()}
        return finished(value=None, state=TrialState.PRUNED, intermediate_values=values)

    study = study_of(
        finished(value=3.0),
        pruned(s1=9.0, s2=5.0),
        pruned(),
        pruned(s1=math.nan),
        finished(value=None, state=TrialState.FAIL),
        finished(value=math.inf),
        finished(value=-math.inf),
    )
    assert record(study, store, estimator="my.Model") == 7
    history = only(store)
    assert history.states.tolist() == ["complete", *3 * ["pruned"], *3 * ["failed"]]
    assert repr(history.losses.tolist()) == "[3.0, 5.0, nan, nan, nan, nan, nan]"


def test_trials_that_are_running_or_waiting_or_without_parameters_are_left_out(
    store: HistoryStore,
) -> None:
    study = study_of(finished(), create_trial(value=1.0))
    study.ask()
    study.enqueue_trial({"x": 0.3})
    assert record(study, store, estimator="my.Model") == 1


def test_only_the_trials_given_are_recorded(store: HistoryStore) -> None:
    study = study_of(*(finished(value=float(i)) for i in range(5)))
    assert record(study, store, estimator="my.Model", trials=study.trials[:2]) == 2
    assert record(study, store, trials=study.trials[3:4]) == 1
    assert only(store).losses.tolist() == [0.0, 1.0, 3.0]


@pytest.mark.parametrize("set_by", ["constraints_func", "set_constraint"])
def test_a_trial_that_violates_a_constraint_has_failed(
    store: HistoryStore, storage: BaseStorage, set_by: str
) -> None:
    sampler: optuna.samplers.BaseSampler = optuna.samplers.RandomSampler()
    if set_by == "constraints_func":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # deprecated in Optuna 5
            sampler = optuna.samplers.TPESampler(
                constraints_func=lambda trial: (trial.params["x"] - 0.5,)
            )
    elif not hasattr(optuna.Trial, "set_constraint"):
        pytest.skip("Trial.set_constraint came with Optuna 5; constraints_func is tested here")

    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0, 1)
        if set_by == "set_constraint":
            trial.set_constraint("size", x - 0.5)
        return x

    study = optuna.create_study(storage=storage, sampler=sampler)
    for x in (0.2, 0.5, 0.9):
        study.enqueue_trial({"x": x})
    study.optimize(objective, n_trials=3)
    record(study, store, estimator="my.Model")
    assert only(store).states.tolist() == ["complete", "complete", "failed"]


def test_constraints_are_read_from_trials_as_optuna_4_has_them() -> None:
    plain = finished()
    names = ("state", "params", "distributions", "user_attrs", "number", "value")
    times = ("datetime_start", "datetime_complete", "intermediate_values")
    shape = {name: getattr(plain, name) for name in (*names, *times)}
    states = []
    for constraints in ((-1.0, 0.0), (-1.0, 0.5)):
        old = SimpleNamespace(**shape, system_attrs={"constraints": constraints})
        read = read_trial(cast(FrozenTrial, old), "study", 1.0)
        assert read is not None
        states.append(read.trial.state)
    assert states == ["complete", "failed"]


def test_what_the_meta_learner_proposed_is_marked(store: HistoryStore) -> None:
    study = study_of(
        finished(user_attrs={ATTRIBUTE: Provenance(by="meta-learner").to_json()}),
        finished(user_attrs={ATTRIBUTE: Provenance(by="then").to_json()}),
        finished(user_attrs={ATTRIBUTE: "no JSON"}),
        finished(user_attrs={"other": 1}),
    )
    record(study, store, estimator="my.Model")
    assert only(store).proposed_by.tolist() == ["warmstart", "", "", ""]


# Spaces.


def test_ranges_widen_as_trials_with_others_come(store: HistoryStore) -> None:
    def ranged(low: float, high: float, value: float) -> FrozenTrial:
        return create_trial(
            params={"n": int(value), "x": value},
            distributions={
                "n": IntDistribution(int(low), int(high), log=True),
                "x": FloatDistribution(low, high, log=True),
            },
            value=0.0,
        )

    study = study_of(ranged(1, 10, 3), ranged(2, 20, 4))
    record(study, store, estimator="my.Model")
    assert only(store).info.space == SearchSpace(
        {"n": Integer(1, 20, log=True), "x": Float(1, 20, log=True)}
    )
    study.add_trial(ranged(5, 90, 80))
    record(study, store)
    assert only(store).info.space == SearchSpace(
        {"n": Integer(1, 90, log=True), "x": Float(1, 90, log=True)}
    )


def test_an_enqueued_value_outside_its_range_widens_it(
    store: HistoryStore, storage: BaseStorage
) -> None:
    def objective(trial: optuna.Trial) -> float:
        return trial.suggest_float("x", 0, 1) + trial.suggest_int("n", 1, 9)

    study = optuna.create_study(storage=storage)
    study.enqueue_trial({"x": 7.0, "n": 0})
    study.enqueue_trial({"x": math.inf, "n": 5})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        study.optimize(objective, n_trials=2)
    assert record(study, store, estimator="my.Model") == 1  # infinity is no place in a space
    history = only(store)
    assert history.configurations() == [{"x": 7.0, "n": 0}]
    assert history.info.space == SearchSpace({"x": Float(0, 7), "n": Integer(0, 9)})


def test_what_another_writer_knows_of_the_space_is_not_taken_back(store: HistoryStore) -> None:
    study = optuna.create_study()
    recorders = [Recorder(HistoryStore(store.path), estimator="my.Model") for _ in range(3)]
    for number in range(12):
        names = {f"x{number % 4}": UNIT, "wide": FloatDistribution(0, 1 + number)}
        trial = create_trial(params=dict.fromkeys(names, 1), distributions=names, value=0.0)
        study.add_trial(trial)
        recorders[number % 3](study, study.trials[-1])
        if number % 5 == 4:
            recorders[0].store.compact()
    space = only(store).info.space
    assert space is not None
    assert set(space.parameters) == {"x0", "x1", "x2", "x3", "wide"}
    assert space.parameters["wide"] == Float(0, 12)
    for recorder in recorders:
        recorder.store.close()


def test_a_recorder_that_knows_less_repeats_nothing_of_it(store: HistoryStore) -> None:
    study = study_of(finished(0.1))
    narrow = Recorder(store, estimator="my.Model")
    narrow(study, study.trials[0])
    study.add_trial(create_trial(params={"y": 1.0}, distributions={"y": UNIT}, value=0.0))
    record(study, store)
    store.close()  # so that the recorder begins a file that is newer than what it doesn't know
    study.add_trial(finished(0.2))
    narrow(study, study.trials[2])
    space = only(store).info.space
    assert space is not None
    assert set(space.parameters) == {"x", "y"}


names = st.text(max_size=4) | st.sampled_from(["a\n", "\ud800", " ", "'a'", "C"])
scalars = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=3)
)
odd_choices = scalars | st.tuples(scalars, scalars) | st.sampled_from([int, math.sqrt, 10**5000])


@st.composite
def parameters(draw: st.DrawFn) -> tuple[BaseDistribution, Any]:
    kind = draw(st.sampled_from(["categorical", "float", "int"]))
    if kind == "categorical":
        choices = draw(st.lists(odd_choices, min_size=1, max_size=4))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # choices that a database can't hold
            return CategoricalDistribution(choices), draw(st.sampled_from(choices))
    if kind == "float":
        low, high = sorted(draw(st.tuples(*2 * [st.floats(-1e300, 1e300)])))
        return FloatDistribution(low, high), draw(st.floats(low, high))
    low, high = sorted(draw(st.tuples(*2 * [st.integers(-(2**70), 2**70)])))
    return IntDistribution(low, high), draw(st.integers(low, high))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.dictionaries(names, parameters(), min_size=1, max_size=3), max_size=4))
def test_any_names_and_choices_can_be_recorded(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[dict[str, tuple[Any, Any]]]
) -> None:
    study = optuna.create_study(study_name="odd\n")
    trials = [
        FrozenTrial(
            number=number,
            trial_id=number,
            state=TrialState.COMPLETE,
            value=0.0,
            params={name: value for name, (_, value) in row.items()},
            distributions={name: distribution for name, (distribution, _) in row.items()},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
            datetime_start=create_trial(value=0.0).datetime_start,
            datetime_complete=create_trial(value=0.0).datetime_complete,
        )
        for number, row in enumerate(drawn)
    ]
    if not trials:
        with pytest.raises(HistoryError, match="no finished trial"):
            history_of_study(study, estimator="m", trials=trials)
        return
    history = history_of_study(study, estimator="my.Model", trials=trials)
    with HistoryStore(tmp_path_factory.mktemp("odd"), fsync=False) as store:
        store.add(history)
        kept = only(store)
        assert kept.info == history.info
        assert [t.configuration for t in kept.trials()] == [
            t.configuration for t in history.trials()
        ]
        assert len(kept) == len(trials)


# What is said of the task.


def test_the_descriptor_and_the_family_of_the_data_are_kept(store: HistoryStore) -> None:
    iris = task(0, "iris")
    record(study_of(finished(), study_name="a"), store, task=iris, estimator="my.Model")
    record(study_of(finished(), study_name="b"), store, task=iris, estimator="my.Model")
    record(study_of(finished(), study_name="c"), store, task=task(1), estimator="my.Model")
    a, b, c = store.infos()
    assert a.descriptor == iris.to_json()
    assert a.name == "iris"
    assert a.dataset == a.family == b.family != c.family


def test_what_is_said_later_is_kept_although_no_trial_is_new(store: HistoryStore) -> None:
    study = study_of(finished(), study_name="a")
    record(study, store, estimator="my.Model")
    other = HistoryStore(store.path)
    record(study_of(finished(), study_name="b"), other, estimator="my.Model")
    assert record(study, store, task=task(0), name="Irises", licence="CC0") == 0
    info = store.infos(task="a")[0]
    assert (info.name, info.licence, info.descriptor) == ("Irises", "CC0", task(0).to_json())
    assert len(store) == 2
    record(study, store)
    assert store.infos(task="a")[0] == info
    other.close()


def test_a_name_that_stands_for_other_data_is_made_unique(store: HistoryStore) -> None:
    iris, wine = (study_of(finished(), study_name="svm") for _ in range(2))
    for _ in range(2):
        record(iris, store, task=task(0), estimator="my.Model")
        record(wine, store, task=task(1), estimator="my.Model")
    a, b = store.histories()
    assert a.info.task == "svm"
    assert b.info.task.startswith("svm-")
    assert (len(a), len(b)) == (1, 1)


def test_a_study_of_the_same_name_adds_its_own_trials(store: HistoryStore) -> None:
    for _ in range(2):
        assert record(study_of(finished(), study_name="svm"), store, estimator="my.Model") == 1
    assert len(only(store)) == 2


def test_numbers_and_choices_under_one_name_are_choices(store: HistoryStore) -> None:
    depth = CategoricalDistribution([None, 3])
    chosen = create_trial(params={"x": None}, distributions={"x": depth}, value=1.0)
    recorder = Recorder(store, estimator="my.Model")
    for trial in (finished(0.5), chosen, finished(0.25)):
        record(study_of(trial, study_name="svm"), store, estimator="my.Model")
        study = study_of(finished(0.75), study_name="tree")
        recorder(study, study.trials[0])
        study = study_of(chosen, study_name="tree")
        recorder(study, study.trials[0])
    for history in store.histories():
        history.check()
    assert store.infos()[0].space == SearchSpace({"x": Categorical((None, 3, 0.5, 0.25))})


def test_a_copied_study_adds_nothing(store: HistoryStore, storage: BaseStorage) -> None:
    study = study_of(finished(0.1), finished(0.2), study_name="a")
    record(study, store, estimator="my.Model")
    optuna.copy_study(from_study_name="a", from_storage=study._storage, to_storage=storage)
    assert record(optuna.load_study(study_name="a", storage=storage), store) == 0


def test_a_user_attribute_names_the_task(store: HistoryStore) -> None:
    for name in ("a", "b"):
        study = study_of(finished(), study_name=name)
        study.set_user_attr(TASK_ATTRIBUTE, "iris")
        record(study, store, estimator="my.Model")
    history = only(store)
    assert (history.info.task, len(history)) == ("iris", 2)


class MyModel:
    pass


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("svc", "sklearn.svm.SVC"),
        ("my.Model", "my.Model"),
        (MyModel, "test_recording.MyModel"),
        (MyModel(), "test_recording.MyModel"),
    ],
)
def test_estimators_are_named_as_the_catalogue_does_or_taken_as_they_are(
    store: HistoryStore, asked: object, name: str
) -> None:
    record(study_of(finished()), store, estimator=asked)
    assert only(store).info.estimator == name


def test_a_study_stays_the_estimator_and_metric_it_was_recorded_as(store: HistoryStore) -> None:
    study = study_of(finished())
    record(study, store, estimator="my.Model", metric="auc")
    study.add_trial(finished())
    assert record(study, store) == 1
    assert (only(store).info.estimator, only(store).info.metric) == ("my.Model", "auc")


def test_an_estimator_that_cant_be_told_is_an_error_that_says_what_to_pass(
    store: HistoryStore,
) -> None:
    with pytest.raises(HistoryError, match=r"\['x'\] tell no estimator; expected estimator="):
        record(study_of(finished()), store)
    assert len(store) == 0


def test_what_is_no_study_is_an_error(store: HistoryStore) -> None:
    url = cast(optuna.Study, "sqlite:///study.db")
    for call in (lambda: record(url, store), lambda: history_of_study(url)):
        with pytest.raises(TypeError, match="study of type str given; expected a study of Optuna"):
            call()


def test_several_objectives_are_an_error(store: HistoryStore) -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    for call in (lambda: record(study, store), lambda: history_of_study(study)):
        with pytest.raises(HistoryError, match="2 objectives given; expected one"):
            call()


@pytest.mark.parametrize(
    "call", [lambda s, store: record(s, store), lambda s, store: Recorder(store)]
)
def test_a_path_in_place_of_a_store_is_an_error(call: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match="store of type str given; expected a HistoryStore"):
        call(study_of(finished()), "histories")


def test_data_in_place_of_a_descriptor_is_an_error(store: HistoryStore) -> None:
    with pytest.raises(TypeError, match=r"expected what warmstart\.describe"):
        record(study_of(finished()), store, task=np.zeros((2, 2)))  # type: ignore[arg-type]


# Callbacks under stress.


def test_threads_share_a_recorder(store: HistoryStore) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler())
    study.optimize(svm, n_trials=40, n_jobs=2, callbacks=[Recorder(store)])
    assert len(only(store)) == 40


def test_threads_that_record_one_study_at_once_add_each_trial_once(store: HistoryStore) -> None:
    study = study_of(*(finished(value=float(i)) for i in range(20)))
    added: list[int] = []
    threads = [
        threading.Thread(target=lambda: added.append(record(study, store, estimator="my.Model")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(added) == [0, 0, 0, 20]
    assert len(only(store)) == 20


def test_processes_that_record_one_study_keep_each_trial_once_and_the_whole_space(
    tmp_path: Path,
) -> None:
    journal = str(tmp_path / "journal.log")
    storage = JournalStorage(JournalFileBackend(journal))
    study = optuna.create_study(study_name="shared", storage=storage)
    command = [sys.executable, recording_worker.__file__, journal, str(tmp_path / "store"), "25"]
    workers = [subprocess.Popen(command) for _ in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    history = only(HistoryStore(tmp_path / "store", create=False))
    assert len(history) == 50
    assert history_of_study(study, estimator="my.Model").info.space == history.info.space


def test_a_recorder_can_be_pickled(store: HistoryStore) -> None:
    study = optuna.create_study()
    recorder = Recorder(store, estimator=MyModel, metric="auc")
    study.optimize(lambda t: t.suggest_float("x", 0, 1), 2, callbacks=[recorder])
    copy = pickle.loads(pickle.dumps(recorder))
    study.optimize(lambda t: t.suggest_float("x", 0, 1), 2, callbacks=[copy])
    assert len(only(store)) == 4
    copy.store.close()


def test_one_recorder_serves_several_studies(store: HistoryStore) -> None:
    recorder = Recorder(store)
    for name in ("a", "b", "a"):
        optuna.create_study(study_name=name).optimize(svm, n_trials=3, callbacks=[recorder])
    assert [(h.info.task, len(h)) for h in store.histories()] == [("a", 6), ("b", 3)]


def test_a_failure_to_write_warns_once_and_what_is_missing_follows(
    store: HistoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = optuna.create_study()
    recorder = Recorder(store)

    def full(*arguments: object) -> None:
        raise HistoryError("No space left on device.")

    study.optimize(svm, n_trials=2, callbacks=[recorder])
    with monkeypatch.context() as patch:
        patch.setattr(HistoryStore, "append", full)
        patch.setattr(HistoryStore, "extend", full)
        with pytest.warns(WarmStartWarning) as warned:
            study.optimize(svm, n_trials=4, callbacks=[recorder])
    assert len(warned) == 1
    assert "No space left on device" in str(warned[0].message)
    assert len(store) == 2
    study.optimize(svm, n_trials=1, callbacks=[recorder])
    assert len(only(store)) == 7


def test_a_study_that_cant_be_recorded_warns_once_and_goes_on(store: HistoryStore) -> None:
    study = optuna.create_study(directions=["minimize", "minimize"])
    with pytest.warns(WarmStartWarning, match="the study goes on: .* 2 objectives") as warned:
        study.optimize(lambda t: 2 * (t.suggest_float("x", 0, 1),), 3, callbacks=[Recorder(store)])
    assert (len(warned), len(study.trials), len(store)) == (1, 3, 0)


# Storages.


def test_the_studies_of_a_storage_are_histories(storage: BaseStorage) -> None:
    for name, direction in (("a", "minimize"), ("b", "maximize")):
        study = optuna.create_study(study_name=name, storage=storage, direction=direction)
        study.optimize(svm, n_trials=4)
    iris = task(0)
    a, b = histories_of_storage(storage, tasks={"b": iris}, metric="auc", licence="CC0")
    assert (a.info.task, a.info.descriptor, a.info.licence) == ("a", None, "CC0")
    assert (b.info.task, b.info.descriptor) == ("b", iris.to_json())
    assert {a.info.estimator, b.info.estimator} == {"sklearn.svm.SVC"}
    assert b.losses.tolist() == [-t.values[0] for t in study.trials]


def test_a_storage_can_be_named_by_its_url(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    database = RDBStorage(url)
    optuna.create_study(study_name="a", storage=database).optimize(svm, n_trials=2)
    database.remove_session()
    database.engine.dispose()
    assert [len(h) for h in histories_of_storage(url)] == [2]


def test_studies_that_cant_be_used_are_left_out_with_one_warning() -> None:
    storage = InMemoryStorage()
    optuna.create_study(study_name="good", storage=storage).optimize(svm, n_trials=2)
    optuna.create_study(study_name="two", storage=storage, directions=["minimize", "minimize"])
    study_of(finished(), study_name="unclear", storage=storage)
    for i in range(5):
        optuna.create_study(study_name=f"empty{i}", storage=storage)
    with pytest.warns(WarmStartWarning) as warned:
        histories = histories_of_storage(storage)
    assert [h.info.task for h in histories] == ["good"]
    (message,) = (str(w.message) for w in warned)
    assert message.startswith("7 of 8 studies left out.")
    for part in ("'two' with 2 objectives", "'unclear'", "'empty0'", "And 2 more."):
        assert part in message
    with pytest.warns(WarmStartWarning, match="holds no study"):
        assert histories_of_storage(InMemoryStorage()) == []


def test_studies_of_one_task_are_one_history() -> None:
    storage = InMemoryStorage()
    for name, high in (("a", 1.0), ("b", 5.0)):
        study = optuna.create_study(study_name=name, storage=storage)
        study.set_user_attr(TASK_ATTRIBUTE, "iris")
        study.optimize(lambda t, high=high: t.suggest_float("x", 0, high), n_trials=3)
    (history,) = histories_of_storage(storage, estimator="my.Model")
    history.check()
    assert (len(history), history.info.space) == (6, SearchSpace({"x": Float(0, 5)}))


def test_a_task_for_a_study_that_is_not_there_is_an_error() -> None:
    storage = InMemoryStorage()
    optuna.create_study(study_name="a", storage=storage)
    with pytest.raises(HistoryError, match=r"tasks for \['b'\] given; expected .* has \['a'\]"):
        histories_of_storage(storage, tasks={"b": task(0)})


# How recorded studies come together.


def test_renamed_and_reranged_and_added_parameters_become_one_space(store: HistoryStore) -> None:
    def first(trial: optuna.Trial) -> float:
        return trial.suggest_float("clf__C", 0.1, 10, log=True)

    def second(trial: optuna.Trial) -> float:
        trial.suggest_categorical("svc__kernel", ["rbf", "poly", "sigmoid"])
        return trial.suggest_float("svc__C", 1, 1000, log=True)

    def third(trial: optuna.Trial) -> float:
        return trial.suggest_float("C", 0.5, 2) + trial.suggest_float("gamma", 1e-3, 1, log=True)

    studies = []
    for name, objective in (("a", first), ("b", second), ("c", third)):
        study = optuna.create_study(study_name=name)
        study.optimize(objective, n_trials=8, callbacks=[Recorder(store, estimator="SVC")])
        studies.append(study)
    _, space, aligned = align_histories("sklearn.svm.SVC", store.histories())
    assert {"C", "kernel", "gamma"} <= set(space.parameters)
    C = space.parameters["C"]
    assert isinstance(C, Float)
    assert (C.low, C.high) == (0.1, 1000)
    column = list(space.parameters).index("C")
    for study, own, history in zip(studies, ("clf__C", "svc__C", "C"), aligned, strict=True):
        values = [trial.params[own] for trial in study.trials]
        assert not np.isnan(history.coordinates[:, column]).any()
        assert np.argsort(history.coordinates[:, column]).tolist() == np.argsort(values).tolist()
        assert history.losses.tolist() == [trial.value for trial in study.trials]


def test_parameters_of_an_unknown_estimator_come_together_as_well(store: HistoryStore) -> None:
    def objective(prefix: str, high: float) -> Callable[[optuna.Trial], float]:
        def objective(trial: optuna.Trial) -> float:
            trial.suggest_categorical(f"{prefix}solver", ["fast", ("slow", 2), None])
            trial.suggest_int(f"{prefix}depth", 1, 4)
            return trial.suggest_float(f"{prefix}rate", 0.01, high, log=True)

        return objective

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a tuple is no choice for a database
        for name, prefix, high in (("a", "model__", 1.0), ("b", "", 10.0), ("c", "my__", 1.0)):
            study = optuna.create_study(study_name=name)
            study.optimize(objective(prefix, high), n_trials=6)
            record(study, store, estimator="my.Model")
    _, space, aligned = align_histories("my.Model", store.histories())
    assert len(space.parameters) == 3
    assert Float(0.01, 10.0, log=True) in space.parameters.values()
    assert Categorical(("fast", "['slow', 2]", None)) in space.parameters.values()
    assert all(not np.isnan(history.coordinates).any() for history in aligned)
