from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution
from parameter_strategies import distributions

from warmstart.aligned import align_histories, by_estimator, source_task
from warmstart.descriptor import TaskDescriptor
from warmstart.distributions import parameter_of
from warmstart.encoding import Encoding
from warmstart.errors import HistoryError
from warmstart.history import History, TaskInfo, Trial
from warmstart.learning import learn_prior
from warmstart.space import Categorical, Float, Integer, Parameter, SearchSpace, Value

SVC = "sklearn.svm.SVC"
OWN = "my.Model"


def history(
    configurations: Sequence[Mapping[str, Value]],
    *,
    estimator: str = OWN,
    task: str = "task",
    space: Mapping[str, Parameter] | None = None,
    losses: Sequence[float] | None = None,
) -> History:
    info = TaskInfo(
        estimator, task, "accuracy", "mine", space=None if space is None else SearchSpace(space)
    )
    given = losses or range(len(configurations))
    return History.from_trials(
        info,
        [
            Trial(c, float(loss), state="failed" if math.isnan(loss) else "complete")
            for c, loss in zip(configurations, given, strict=True)
        ],
    )


def placed(space: SearchSpace, rows: np.ndarray) -> list[dict[str, Value]]:
    encoding = Encoding(space)
    return [encoding.configuration(row) for row in rows]


def test_parameters_by_other_names_are_the_same_hyperparameter() -> None:
    space = {"C": Float(0.01, 100.0, log=True), "gamma": Float(1e-4, 1.0, log=True)}
    plain = [{"C": 1.0, "gamma": 0.01}, {"C": 10.0, "gamma": 0.1}]
    piped = [{f"clf__svc__{name}": value for name, value in c.items()} for c in plain]
    _, learned, (a, b) = align_histories(
        SVC,
        [
            history(plain, estimator=SVC, space=space),
            history(piped, estimator=SVC, space={f"clf__svc__{n}": p for n, p in space.items()}),
        ],
    )
    assert set(learned.parameters) == {"C", "gamma"}
    assert a.coordinates == pytest.approx(b.coordinates)
    assert not np.isnan(a.coordinates).any()


def test_the_space_covers_the_ranges_of_all_histories() -> None:
    narrow = history([{"C": 1.0}, {"C": 2.0}], estimator=SVC, space={"C": Float(0.5, 2.0)})
    wide = history(
        [{"C": 50.0}, {"C": 8.0}], estimator=SVC, space={"C": Float(1.0, 100.0, log=True)}
    )
    _, learned, (a, b) = align_histories(SVC, [narrow, wide])
    assert learned.parameters == {"C": Float(0.5, 100.0, log=True)}
    assert [c["C"] for c in placed(learned, a.coordinates)] == pytest.approx([1.0, 2.0])
    assert [c["C"] for c in placed(learned, b.coordinates)] == pytest.approx([50.0, 8.0])


def test_what_a_history_did_not_tune_was_at_its_default() -> None:
    both = {"C": Float(0.01, 100.0, log=True), "gamma": Float(1e-4, 1.0, log=True)}
    _, learned, (a, b) = align_histories(
        SVC,
        [
            history(
                [{"gamma": 0.1}, {"gamma": 0.2}], estimator=SVC, space={"gamma": both["gamma"]}
            ),
            history([{"gamma": 0.1, "C": 5.0}] * 2, estimator=SVC, space=both),
        ],
    )
    assert [c["C"] for c in placed(learned, a.coordinates)] == pytest.approx([1.0, 1.0])
    assert [c["C"] for c in placed(learned, b.coordinates)] == pytest.approx([5.0, 5.0])
    assert [c["gamma"] for c in placed(learned, a.coordinates)] == pytest.approx([0.1, 0.2])


def test_conditions_of_the_catalogue_hold_in_the_learned_space() -> None:
    space: dict[str, Parameter] = {
        "kernel": Categorical(("poly", "rbf")),
        "degree": Integer(2, 5),
        "C": Float(0.1, 10.0, log=True),
    }
    given = [{"kernel": "rbf", "C": 1.0, "degree": 3}, {"kernel": "poly", "C": 2.0, "degree": 4}]
    _, learned, (aligned,) = align_histories(SVC, [history(given, estimator=SVC, space=space)])
    assert learned.conditions["degree"].values == ("poly",)
    degrees = [c.get("degree") for c in placed(learned, aligned.coordinates)]
    assert degrees == [None, 4]


def test_a_space_is_told_from_the_values_where_it_is_not_given() -> None:
    given = [
        {"size": 3, "rate": 0.1, "mode": "a", "flag": True},
        {"size": 9, "rate": 2.0, "mode": None, "flag": False},
    ]
    _, learned, (aligned,) = align_histories(OWN, [history(given)])
    assert learned.parameters == {
        "size": Integer(3, 9),
        "rate": Float(0.1, 2.0),
        "mode": Categorical(("a", None)),
        "flag": Categorical((True, False)),
    }
    for again, configuration in zip(placed(learned, aligned.coordinates), given, strict=True):
        assert again.pop("rate") == pytest.approx(configuration["rate"])
        assert again == {n: v for n, v in configuration.items() if n != "rate"}


def test_histories_of_an_unknown_estimator_share_the_union_of_their_parameters() -> None:
    first = history(
        [{"net__rate": 0.1, "net__size": 4}, {"net__rate": 0.5, "net__size": 8}],
        space={"net__rate": Float(0.01, 1.0, log=True), "net__size": Integer(1, 8)},
    )
    second = history(
        [{"rate": 2.0, "extra": "on"}, {"rate": 0.5, "extra": "off"}],
        space={"rate": Float(0.5, 5.0, log=True), "extra": Categorical(("on", "off"))},
    )
    _, learned, (a, b) = align_histories(OWN, [first, second])
    assert set(learned.parameters) == {"net__rate", "net__size", "extra"}
    assert learned.parameters["net__rate"] == Float(0.01, 5.0, log=True)
    rates = [c["net__rate"] for c in placed(learned, np.vstack([a.coordinates, b.coordinates]))]
    assert rates == pytest.approx([0.1, 0.5, 2.0, 0.5])
    # What was not tuned is not known: there is no default to go by.
    assert np.isnan(a.coordinates).sum() == 2
    assert np.isnan(b.coordinates).sum() == 2


def test_categories_of_all_histories_are_kept_once() -> None:
    given = [
        history([{"mode": m} for m in modes], space={"mode": Categorical(modes)})
        for modes in (("a", "b"), ("b", "c"))
    ]
    _, learned, (a, b) = align_histories(OWN, given)
    assert learned.parameters == {"mode": Categorical(("a", "b", "c"))}
    assert a.coordinates[:, 0].tolist() == [0, 1]
    assert b.coordinates[:, 0].tolist() == [1, 2]


def test_the_order_of_histories_does_not_change_the_space() -> None:
    given = [
        history([{"rate": 1.0}, {"rate": 2.0}], space={"rate": Float(1.0, 2.0)}),
        history(
            [{"rate": 3.0, "size": 2}, {"rate": 4.0, "size": 5}],
            space={"rate": Float(3.0, 4.0), "size": Integer(2, 5)},
        ),
    ]
    spaces = [align_histories(OWN, order)[1] for order in (given, given[::-1])]
    assert spaces[0] == spaces[1]
    assert spaces[0].parameters["rate"] == Float(1.0, 4.0)


@pytest.mark.parametrize("names", [("rate", "net__rate"), ("net__rate", "rate")])
def test_a_name_with_an_unknown_prefix_is_that_without_in_any_order(names: Sequence[str]) -> None:
    given = [
        history([{n: 0.1}, {n: 0.2}], task=n, space={n: Float(0.01, 1.0, log=True)}) for n in names
    ]
    _, learned, _ = align_histories(OWN, given)
    assert learned.parameters == {"net__rate": Float(0.01, 1.0, log=True)}


def test_whole_numbers_and_fractions_of_one_parameter_are_one_scale() -> None:
    given = [history([{"rate": 1}, {"rate": 4}]), history([{"rate": 0.5}, {"rate": 2.0}])]
    _, learned, (a, b) = align_histories(OWN, given)
    assert learned.parameters == {"rate": Float(0.5, 4.0)}
    values = placed(learned, np.vstack([a.coordinates, b.coordinates]))
    assert [c["rate"] for c in values] == pytest.approx([1.0, 4.0, 0.5, 2.0])


def test_a_given_space_is_kept_and_what_lies_outside_is_far() -> None:
    space = SearchSpace({"rate": Float(1.0, 2.0)})
    given = history([{"rate": 1.5, "new": 1}, {"rate": 900.0, "new": 2}])
    _, learned, (aligned,) = align_histories(OWN, [given], space=space)
    assert learned == space
    assert aligned.coordinates[0, 0] == pytest.approx(0.5)
    assert aligned.coordinates[1, 0] > 1.0


def test_a_parameter_of_one_value_is_no_hyperparameter() -> None:
    given = [{"rate": 0.1, "seed": 3, "mode": "a"}, {"rate": 0.2, "seed": 3, "mode": "a"}]
    _, learned, _ = align_histories(OWN, [history(given)])
    assert set(learned.parameters) == {"rate"}


@pytest.mark.parametrize("configurations", [[{}, {}], [{"seed": 3}, {"seed": 3}]])
def test_histories_that_vary_nothing_are_refused(configurations: list[dict[str, Value]]) -> None:
    with pytest.raises(HistoryError, match=r"1 histories of my.Model given.*more than one value"):
        align_histories(OWN, [history(configurations)])


def test_parameters_of_another_estimator_are_refused() -> None:
    given = history([{"wing_span": 1.0}, {"wing_span": 2.0}], estimator=SVC)
    with pytest.raises(HistoryError, match="wing_span"):
        align_histories(SVC, [given])


def test_free_text_is_no_category() -> None:
    given = [{"rate": float(i), "note": f"run {i}"} for i in range(70)]
    _, learned, _ = align_histories(OWN, [history(given)])
    assert set(learned.parameters) == {"rate"}


def test_numbers_that_are_not_finite_have_no_place() -> None:
    given = [{"rate": 1.0}, {"rate": math.nan}, {"rate": math.inf}, {"rate": 3.0}]
    _, learned, (aligned,) = align_histories(OWN, [history(given)])
    assert learned.parameters == {"rate": Float(1.0, 3.0)}
    assert aligned.coordinates[[0, 3], 0] == pytest.approx([0.0, 1.0])
    assert np.isnan(aligned.coordinates[1, 0])


def test_losses_stay_with_their_trials() -> None:
    given = history([{"x": 1.0}, {"x": 2.0}, {"x": 3.0}], losses=[0.3, math.nan, 0.1])
    _, _, (aligned,) = align_histories(OWN, [given])
    assert aligned.losses == pytest.approx([0.3, np.nan, 0.1], nan_ok=True)
    assert aligned.task.n_trials == 3


def test_true_and_1_are_told_apart() -> None:
    given = [{"depth": 1}, {"depth": True}, {"depth": 2}]
    _, learned, (aligned,) = align_histories(OWN, [history(given)])
    assert placed(learned, aligned.coordinates) == given
    assert len(set(aligned.coordinates[:, 0].tolist())) == 3


@given(st.lists(distributions, min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_any_history_of_any_space_comes_back(drawn: list[BaseDistribution], seed: int) -> None:
    names = ["alpha", "beta", "gamma", "delta"]
    space = SearchSpace(
        {n: parameter_of(d) for n, d in zip(names, [*drawn, *drawn], strict=False)}
    )
    given = space.sample(6, np.random.default_rng(seed))
    one = history(given, space=space.parameters)
    varies = [p for p in space.parameters.values() if _varies(p)]
    if not varies:
        with pytest.raises(HistoryError):
            align_histories(OWN, [one])
        return
    _, learned, (aligned,) = align_histories(OWN, [one])
    for configuration, again in zip(given, placed(learned, aligned.coordinates), strict=True):
        assert set(again) == {n for n, p in space.parameters.items() if _varies(p)}
        for name, value in again.items():
            parameter = space.parameters[name]
            if isinstance(parameter, Float):
                span = parameter.high - parameter.low
                assert value == pytest.approx(configuration[name], rel=1e-6, abs=1e-6 * span)
            else:
                assert value == configuration[name]


def _varies(parameter: Parameter) -> bool:
    if isinstance(parameter, Categorical):
        return len(parameter.choices) > 1
    return parameter.low < parameter.high


def test_a_prior_is_learned_from_a_users_histories() -> None:
    rng = np.random.default_rng(0)
    given = []
    for t, name in enumerate(["rate", "net__rate", "rate"]):
        values = 10.0 ** rng.uniform(-3, 0, 20)
        losses = (np.log10(values) + 1.0) ** 2 + 0.01 * t
        given.append(
            history(
                [{name: float(v)} for v in values],
                task=f"t{t}",
                space={name: Float(1e-3, 1.0, log=True)},
                losses=losses.tolist(),
            )
        )
    _, space, aligned = align_histories(OWN, given)
    prior = learn_prior(OWN, space, aligned, n_inducing=40)
    at = np.linspace(0, 1, 31)[:, None]
    regrets = prior.log_regrets(prior.scale(prior.encoding.features(at))).mean(axis=1)
    assert at[regrets.argmin(), 0] == pytest.approx(2 / 3, abs=0.07)


def test_a_source_task_remembers_where_its_history_comes_from() -> None:
    known = TaskDescriptor({"NumberOfInstances": 150.0}, name="iris")
    info = TaskInfo(
        SVC,
        "openml-task-59",
        "accuracy",
        "openml",
        name="iris",
        dataset="openml-dataset-61",
        family="iris",
        licence="CC BY 4.0",
        descriptor=known.to_json(),
    )
    task = source_task(History.from_trials(info, [Trial({"C": 1.0}, 0.1)]))
    assert (task.id, task.name, task.dataset) == ("openml-task-59", "iris", "openml-dataset-61")
    assert (task.family, task.source, task.metric) == ("iris", "openml", "accuracy")
    assert (task.licence, task.n_trials, task.descriptor) == ("CC BY 4.0", 1, known)


def test_a_descriptor_of_another_version_is_left_out() -> None:
    info = TaskInfo(SVC, "t", "accuracy", "mine", descriptor={"kind": "from the future"})
    assert source_task(History.from_trials(info, [])).descriptor is None


def test_histories_are_grouped_by_their_estimator() -> None:
    a, b, c = history([], task="a"), history([], estimator=SVC), history([], task="c")
    assert by_estimator([a, b, c]) == {OWN: [a, c], SVC: [b]}
