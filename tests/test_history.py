from __future__ import annotations

import math
import pickle
from dataclasses import replace
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
import pytest
from history_strategies import (
    INFO,
    big_integers,
    exact,
    exact_configuration,
    sorted_names,
    trials,
    values,
)
from hypothesis import given
from hypothesis import strategies as st

from warmstart.column import ABSENT, Column, Kind
from warmstart.errors import HistoryError
from warmstart.frames import histories_from_frame, histories_to_frame
from warmstart.history import History, TaskInfo, Trial
from warmstart.space import Categorical, Condition, Float, Integer, SearchSpace


@given(st.lists(values | big_integers | st.just(ABSENT)))
def test_a_column_returns_every_value_with_its_type(cells: list[Any]) -> None:
    column = Column.from_values(cells)
    assert [exact(v) for v in column.values()] == [exact(v) for v in cells]


@given(st.lists(st.lists(values | big_integers | st.just(ABSENT)), min_size=1), st.data())
def test_columns_joined_and_taken_apart_keep_their_values(parts: list[Any], data: Any) -> None:
    joined = Column.concatenate([Column.from_values(part) for part in parts])
    cells = [cell for part in parts for cell in part]
    assert [exact(v) for v in joined.values()] == [exact(v) for v in cells]
    indices = data.draw(st.lists(st.integers(0, len(cells) - 1))) if cells else []
    taken = joined.take(np.array(indices, np.intp)).values()
    assert [exact(v) for v in taken] == [exact(cells[i]) for i in indices]


@given(st.lists(trials()))
def test_a_history_returns_the_trials_it_was_made_of(given_trials: list[Trial]) -> None:
    history = History.from_trials(INFO, given_trials)
    history.check()
    assert len(history) == len(given_trials)
    assert [repr(sorted_names(t)) for t in history.trials()] == [
        repr(sorted_names(t)) for t in given_trials
    ]
    assert [exact_configuration(c) for c in history.configurations()] == [
        exact_configuration(t.configuration) for t in given_trials
    ]


@given(trials())
def test_a_trial_survives_its_json_form(trial: Trial) -> None:
    assert repr(Trial.from_json(trial.to_json())) == repr(trial)


def test_absent_and_none_are_two_things() -> None:
    history = History.from_trials(INFO, [Trial({"depth": None}, 0.0), Trial({}, 0.0)])
    assert history.configurations() == [{"depth": None}, {}]
    assert history.values("depth").tolist() == [None, ABSENT]
    assert history.values("never seen").tolist() == [ABSENT, ABSENT]


def test_absent_stays_itself_when_pickled() -> None:
    assert pickle.loads(pickle.dumps(ABSENT)) is ABSENT


def test_a_column_of_numbers_is_one_array() -> None:
    column = Column.from_values([1.5, 2.5])
    assert column.numbers.dtype == np.float64
    assert column.numbers.tolist() == [1.5, 2.5]
    assert set(column.kinds) == {Kind.FLOAT}


def test_numpy_scalars_become_plain_values() -> None:
    class Kernel(StrEnum):
        RBF = "rbf"

    configuration: dict[str, Any] = {
        "a": np.float64(1),
        "b": np.int64(1),
        "c": np.bool_(True),
        "d": np.str_("x"),
        "e": Kernel.RBF,
        "f": np.float32(0.5),
    }
    loss: Any = np.float32(0.5)
    trial = Trial(configuration, loss, measures={"auc": np.float64(0.5)})
    assert [exact(v) for v in trial.configuration.values()] == [
        exact(v) for v in (1.0, 1, True, "x", "rbf", 0.5)
    ]
    assert exact(trial.loss) == exact(0.5)
    assert exact(trial.measures["auc"]) == exact(0.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": math.inf}, "finite"),
        ({"loss": math.nan}, "complete trial"),
        ({"loss": 0.5, "state": "failed"}, "failed trial"),
        ({"loss": "0.5"}, "expected a number"),
        ({"loss": True}, "expected a number"),
        ({"loss": None}, "expected a number"),
        ({"loss": 10**400}, "digits"),
        ({"state": "COMPLETE"}, "expected one of"),
        ({"configuration": {"a": [1]}}, "'a'"),
        ({"configuration": {"a": 1j}}, "complex"),
        ({"configuration": {"a": "\ud800"}}, "Unicode"),
        ({"configuration": {"a": 1 << 20_000}}, "bits"),
        ({"configuration": {"": 1}}, "not empty"),
        ({"configuration": {3: 1}}, "printable"),
        ({"configuration": [("a", 1)]}, "mapping"),
        ({"measures": {"auc": "0.5"}}, "expected a number"),
        ({"measures": {" ": 0.5}}, "not empty"),
        ({"measures": None}, "mapping"),
        ({"run_id": 17}, "run_id=17"),
        ({"run_id": "é\ud800"}, "Unicode"),
        ({"time": "yesterday"}, "ISO 8601"),
        ({"time": 17.0}, "ISO 8601"),
        ({"seconds": -1.0}, "at least 0"),
        ({"seconds": math.nan}, "at least 0"),
        ({"proposed_by": None}, "proposed_by"),
    ],
)
def test_what_is_wrong_with_a_trial_is_said(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(HistoryError, match=message):
        Trial(**{"configuration": {}, "loss": 0.0, **arguments})


def test_a_measure_of_nan_was_not_measured() -> None:
    assert Trial({}, 0.0, measures={"auc": math.nan, "f1": math.inf}).measures == {"f1": math.inf}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"estimator": ""}, "estimator"),
        ({"task": "a\nb"}, "task"),
        ({"metric": None}, "metric"),
        ({"source": 3}, "source"),
        ({"licence": None}, "licence"),
        ({"descriptor": [1]}, "descriptor"),
        ({"descriptor": {"a": object()}}, "JSON"),
        ({"space": {"C": 1}}, "SearchSpace"),
    ],
)
def test_what_is_wrong_with_a_task_is_said(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(HistoryError, match=message):
        TaskInfo(**{"estimator": "e", "task": "t", "metric": "m", "source": "s", **arguments})


def test_a_task_survives_its_json_form() -> None:
    space = SearchSpace(
        {"kernel": Categorical(("rbf", None, True, 1)), "C": Float(1e-3, 1e3, log=True)},
        {"C": Condition("kernel", ("rbf",))},
    )
    info = replace(
        INFO, name="kr-vs-kp", licence="CC-BY-4.0", descriptor={"n": 3, "q": [0.5]}, space=space
    )
    assert TaskInfo.from_json(info.to_json()) == info
    assert TaskInfo.from_json(INFO.to_json()) == INFO
    assert "licence" not in INFO.to_json()


@pytest.mark.parametrize("data", [{}, {"estimator": "e"}, {"what": 1}, {"space": 3}, []])
def test_a_json_form_that_is_none_is_refused(data: Any) -> None:
    with pytest.raises(HistoryError):
        TaskInfo.from_json(data)
    with pytest.raises(HistoryError):
        Trial.from_json(data)


def test_newer_descriptions_replace_only_what_they_know() -> None:
    old = replace(INFO, name="old", licence="CC0", descriptor={"n": 1})
    updated = old.updated(replace(INFO, name="new", family="mfeat"))
    assert updated == replace(INFO, name="new", licence="CC0", descriptor={"n": 1}, family="mfeat")


def test_subsets_take_positions_masks_and_slices() -> None:
    history = History.from_trials(
        INFO, [Trial({"C": float(i)}, i / 10, run_id=str(i), measures={"a": i}) for i in range(5)]
    )
    for indices in ([1, 3], np.array([1, 3]), slice(1, 4, 2), history.losses % 0.2 > 0.05):
        subset = history.subset(indices)
        assert subset.run_ids.tolist() == ["1", "3"]
        assert subset.configurations() == [{"C": 1.0}, {"C": 3.0}]
        assert subset.measures["a"].tolist() == [1.0, 3.0]
    assert len(history.subset([])) == 0


@given(st.lists(st.lists(trials(), max_size=4), min_size=1, max_size=4))
def test_joined_histories_hold_the_trials_of_all(parts: list[list[Trial]]) -> None:
    joined = History.concatenate(INFO, [History.from_trials(INFO, part) for part in parts])
    expected = [repr(sorted_names(t)) for part in parts for t in part]
    assert [repr(sorted_names(t)) for t in joined.trials()] == expected


def test_the_first_trial_of_a_run_id_stays_and_all_without_one() -> None:
    ids = ["a", "", "b", "a", ""]
    history = History.from_trials(INFO, [Trial({}, i, run_id=r) for i, r in enumerate(ids)])
    assert history.without_duplicates().losses.tolist() == [0, 1, 2, 4]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"losses": np.array([math.inf, 0.0])}, "Trial 0"),
        ({"losses": np.array([0.0, math.nan])}, "Trial 1"),
        ({"losses": np.zeros(2, np.float32)}, "float32"),
        ({"states": np.array(["complete", "done"])}, "done"),
        ({"seconds": np.array([-1.0, 0.0])}, "seconds"),
        ({"run_ids": np.array(["", 3], object)}, "run_id"),
        ({"times": np.array([None, "noon"], object)}, "ISO"),
        ({"columns": {"": Column.absent(2)}}, "not empty"),
    ],
)
def test_a_history_made_by_hand_is_checked(changes: dict[str, Any], message: str) -> None:
    history = replace(History.from_trials(INFO, [Trial({}, 0.0), Trial({}, 1.0)]), **changes)
    with pytest.raises(HistoryError, match=message):
        history.check()


def test_columns_of_different_length_are_refused() -> None:
    history = History.from_trials(INFO, [Trial({}, 0.0)])
    with pytest.raises(HistoryError, match="2 entries given for 'C'"):
        replace(history, columns={"C": Column.absent(2)})
    with pytest.raises(HistoryError, match="TaskInfo"):
        replace(history, info="openml-task-3")  # type: ignore[arg-type]
    with pytest.raises(HistoryError, match="Trial"):
        History.from_trials(INFO, [{"C": 1.0}])  # type: ignore[list-item]


SPACE = SearchSpace(
    {
        "C": Float(0.1, 10.0, log=True),
        "degree": Integer(2, 5),
        "kernel": Categorical(("rbf", None, True)),
        "tol": Float(0.0, 1.0, step=0.25),
        "seed": Integer(0, 2**62),
    },
)


@pytest.mark.parametrize(
    "configuration",
    [
        {},
        {"C": 0.1},
        {"C": 1},
        {"C": 10.000000000000002},
        {"degree": 2},
        {"degree": 5.0},
        {"kernel": "rbf"},
        {"kernel": None},
        {"kernel": True},
        {"tol": 0.75},
        {"seed": 2**61 + 1},
    ],
)
def test_configurations_in_the_space_are_accepted(configuration: dict[str, Any]) -> None:
    History.from_trials(replace(INFO, space=SPACE), [Trial(configuration, 0.0)]).check()


@pytest.mark.parametrize(
    "configuration",
    [
        {"C": 0.01},
        {"C": 11.0},
        {"C": math.nan},
        {"C": math.inf},
        {"C": "1.0"},
        {"C": None},
        {"C": True},
        {"degree": 2.5},
        {"degree": 6},
        {"kernel": "linear"},
        {"kernel": 1},
        {"kernel": False},
        {"tol": 0.3},
        {"seed": 2**63},
        {"gamma": 1.0},
    ],
)
def test_configurations_outside_the_space_are_refused(configuration: dict[str, Any]) -> None:
    inside = Trial({"C": 1.0, "degree": 3, "kernel": "rbf", "tol": 0.5, "seed": 1}, 0.0)
    history = History.from_trials(
        replace(INFO, space=SPACE), [inside, Trial(configuration, 0.0), inside]
    )
    with pytest.raises(HistoryError, match="Trial 1: "):
        history.check()


@given(st.integers(0, 2**32), st.integers(1, 20))
def test_everything_that_a_space_draws_lies_in_it(seed: int, n: int) -> None:
    drawn = SPACE.sample(n, np.random.default_rng(seed))
    trials = [Trial(configuration, 0.0) for configuration in drawn]
    History.from_trials(replace(INFO, space=SPACE), trials).check()


# NaN is what pandas has for missing, so it is the one value that a frame can't keep.
frame_values = (st.none() | st.booleans() | st.integers() | st.text()) | st.floats(allow_nan=False)


@given(
    st.lists(
        st.builds(
            Trial,
            st.dictionaries(st.sampled_from(["C", "loss", "é é"]), frame_values),
            st.floats(allow_nan=False, allow_infinity=False),
            run_id=st.text(max_size=2),
            time=st.none() | st.just("2024-05-01T12:00:00+00:00"),
            seconds=st.none() | st.floats(0, 10),
            measures=st.dictionaries(st.sampled_from(["auc", "f1"]), st.floats(0, 1)),
        ),
        min_size=1,
    )
)
def test_a_history_survives_its_pandas_form(given_trials: list[Trial]) -> None:
    history = History.from_trials(INFO, given_trials)
    restored = History.from_frame(INFO, history.to_frame())
    assert [repr(sorted_names(t)) for t in restored.trials()] == [
        repr(sorted_names(t)) for t in given_trials
    ]


def test_a_frame_has_plain_types_where_it_can() -> None:
    trials = [Trial({"C": 0.5, "n": 3, "b": True, "m": i or None}, 0.0) for i in range(2)]
    frame = History.from_trials(INFO, trials).to_frame()
    assert frame["configuration.C"].dtype == np.float64
    assert frame["configuration.n"].dtype == np.int64
    assert frame["configuration.b"].dtype == np.bool_
    assert frame["configuration.m"].tolist() == [None, 1]


def test_a_foreign_frame_is_read_by_its_column_names() -> None:
    frame = pd.DataFrame(
        {
            "error": [0.1, 0.2, math.nan],
            "cost": [1.0, 2.0, math.nan],
            "acc": [0.9, 0.8, math.nan],
            "gamma": [0.1, math.nan, 0.3],
            "degree": [2, math.nan, 3],
            "kernel": ["rbf", "linear", None],
            "when": pd.to_datetime(["2024-05-01", "2024-05-02", None]),
            "run": ["a", "b", None],
        },
        index=[7, 7, 7],
    )
    space = SearchSpace(
        {
            "gamma": Float(0.0, 1.0),
            "degree": Integer(1, 5),
            "kernel": Categorical(("rbf", "linear", None)),
        }
    )
    history = History.from_frame(
        replace(INFO, space=space),
        frame,
        loss="error",
        configuration=["gamma", "degree", "kernel"],
        measures={"accuracy": "acc"},
        run_id="run",
        time="when",
        seconds="cost",
    )
    first, second, third = history.trials()
    assert [exact(v) for v in first.configuration.values()] == [exact(v) for v in (0.1, 2, "rbf")]
    assert second.configuration == {"kernel": "linear"}
    assert (third.state, third.seconds, third.measures, third.run_id) == ("failed", None, {}, "")
    assert first.time == "2024-05-01T00:00:00"
    assert third.time is None
    assert first.measures == {"accuracy": 0.9}


@pytest.mark.parametrize(
    ("frame", "arguments", "message"),
    [
        ({"l": [1.0]}, {}, "loss='loss'"),
        ({"loss": ["high"]}, {}, "number"),
        ({"loss": [0.5]}, {"configuration": ["C"]}, "Column 'C'"),
        ({"loss": [0.5], "C": [[1]]}, {"configuration": ["C"]}, "list"),
        ({"loss": [0.5], "": [1]}, {"configuration": [""]}, "not empty"),
        ({"loss": [0.5], "state": ["done"]}, {}, "done"),
        ({"loss": [0.5], "time": ["noon"]}, {}, "ISO"),
        ({"loss": [0.5], "run_id": [17]}, {}, "run_id=17"),
        ({"loss": [math.inf]}, {}, "finite"),
    ],
)
def test_what_is_wrong_with_a_frame_is_said(
    frame: dict[str, Any], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(HistoryError, match=message):
        History.from_frame(INFO, pd.DataFrame(frame), **arguments)


def test_a_frame_of_several_histories_is_taken_apart_again() -> None:
    other = TaskInfo("rpart", "t2", "auc", "own", name="N", dataset="d", family="f", licence="MIT")
    histories = [
        History.from_trials(INFO, [Trial({"C": 1.0}, 0.1), Trial({"C": 2.0}, 0.2)]),
        History.from_trials(other, [Trial({"cp": 1}, 0.3, measures={"f1": 0.5})]),
    ]
    restored = histories_from_frame(histories_to_frame(histories))
    assert [h.info for h in restored] == [INFO, other]
    assert [h.trials() for h in restored] == [h.trials() for h in histories]
    assert set(restored[0].columns) == {"C"}
    assert set(restored[1].columns) == {"cp"}


def test_a_frame_of_histories_needs_their_keys() -> None:
    with pytest.raises(HistoryError, match=r"\['task', 'metric', 'source'\]"):
        histories_from_frame(pd.DataFrame({"estimator": ["e"], "loss": [0.5]}))
    assert histories_from_frame(histories_to_frame([])) == []
