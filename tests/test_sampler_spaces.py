"""Spaces as users write them: what is matched is served by the meta-learner, the rest by then."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from parameter_strategies import contains, distributions
from sampler_worker import TURNS_OF_TPE, not_planned

from warmstart.alignment import align
from warmstart.distributions import parameter_of
from warmstart.explanation import explain
from warmstart.knowledge import Knowledge, Source
from warmstart.provenance import META_LEARNER, THEN
from warmstart.sampler import WarmStartSampler
from warmstart.space import Categorical, Float, Parameter

pytestmark = pytest.mark.usefixtures("quiet")

SVC = "sklearn.svm.SVC"
FOREST = "sklearn.ensemble.RandomForestClassifier"
BOOSTING = "xgboost.XGBClassifier"
ESTIMATORS = (SVC, FOREST, "sklearn.ensemble.AdaBoostClassifier", BOOSTING)

Space = Mapping[str, BaseDistribution]


@functools.cache
def knowledge() -> Knowledge:
    return Knowledge()


def source_of(estimator: str) -> Source:
    source = knowledge().source(estimator)
    assert source is not None
    return source


class _Recorder(BaseSampler):
    """Samples at random, and keeps what it was asked for, by trial."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []
        self._random = RandomSampler(seed=0)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> Any:
        self.asked.append((trial.number, name))
        return self._random.sample_independent(study, trial, name, distribution)


def suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> Any:
    return trial._suggest(name, distribution)


def run(
    estimator: str | None, space: Space, n_trials: int = 5, **options: Any
) -> tuple[Study, _Recorder]:
    then = _Recorder()
    sampler = WarmStartSampler(estimator=estimator, then=then, seed=0, **options)
    study = optuna.create_study(sampler=sampler)
    for number in range(n_trials):
        trial = study.ask()
        for name, distribution in space.items():
            value = suggest(trial, name, distribution)
            assert contains(distribution, value)
        study.tell(trial, math.sin(number))
    return study, then


def matched(study: Study) -> set[str]:
    return set(explain(study).attrs["matched"])


def assert_served(estimator: str | None, space: Space, unmatched: set[str] | None = None) -> None:
    """All but the unmatched names are the meta-learner's, in every trial."""
    unmatched = unmatched or set()
    study, then = run(estimator, space)
    assert matched(study) == set(space) - unmatched
    assert set(explain(study).attrs["unmatched"]) == unmatched
    assert then.asked == [(n, name) for n in range(5) for name in space if name in unmatched]
    assert explain(study).attrs["meta_learner_share"] == 1.0


LOG_C = FloatDistribution(1e-3, 1e3, log=True)
LOG_GAMMA = FloatDistribution(1e-5, 1e1, log=True)


@pytest.mark.parametrize(
    ("c", "gamma"),
    [
        ("C", "gamma"),
        ("clf__svc__C", "clf__svc__gamma"),
        ("svc_C", "svc_gamma"),
        ("SVC.C", "SVC.gamma"),
        ("model__C", "model__gamma"),
        ("m1_C", "m1_gamma"),
        ("svm-c", "svm-gamma"),
    ],
)
def test_renamed_parameters_are_served(c: str, gamma: str) -> None:
    if c.startswith("m1"):  # one name behind a strange prefix says little, two say it all
        study, then = run(SVC, {c: LOG_C, gamma: LOG_GAMMA})
        assert matched(study) == {c, gamma}
        assert then.asked in ([(0, c)], [(0, c), (0, gamma)])
    else:
        assert_served(SVC, {c: LOG_C, gamma: LOG_GAMMA})


@pytest.mark.parametrize(
    "C",
    [
        FloatDistribution(1.0, 2.0),
        FloatDistribution(1e-9, 1e9, log=True),
        FloatDistribution(1e5, 1e6, log=True),
        FloatDistribution(0.1, 100.1, step=0.1),
        IntDistribution(1, 1000),
        IntDistribution(1, 100000, log=True),
        IntDistribution(2, 20, step=3),
        CategoricalDistribution([0.1, 1, 10, 100]),
        CategoricalDistribution([1]),
    ],
)
def test_ranges_of_all_kinds_are_served(C: BaseDistribution) -> None:
    study, then = run(SVC, {"C": C, "gamma": LOG_GAMMA})
    assert matched(study) >= {"gamma"}
    assert then.asked == []


def test_an_exponent_is_served_as_one() -> None:
    assert_served(
        SVC, {"log10_C": FloatDistribution(-3, 3), "log2_gamma": FloatDistribution(-15, 3)}
    )


def test_a_subset_of_the_parameters_is_served() -> None:
    assert_served(SVC, {"gamma": LOG_GAMMA})
    assert_served(FOREST, {"max_features": FloatDistribution(0.1, 1.0)})


def test_unknown_parameters_beside_known_ones_are_not_planned() -> None:
    space: Space = {
        "first_unknown": FloatDistribution(0, 1),
        "C": LOG_C,
        "colour": CategoricalDistribution(["red", "green"]),
        "gamma": LOG_GAMMA,
        "pca__n_components": IntDistribution(2, 20),
    }
    assert_served(SVC, space, {"first_unknown", "colour", "pca__n_components"})


def test_other_and_fewer_categories_are_served() -> None:
    assert_served(SVC, {"C": LOG_C, "kernel": CategoricalDistribution(["rbf", "linear"])})
    assert_served(SVC, {"C": LOG_C, "kernel": CategoricalDistribution(["poly"])})
    study, then = run(SVC, {"C": LOG_C, "kernel": CategoricalDistribution(["poly", "laplace"])})
    assert matched(study) == {"C", "kernel"}
    assert then.asked == []


def test_categories_that_are_all_strange_are_not_planned() -> None:
    assert_served(
        SVC, {"C": LOG_C, "kernel": CategoricalDistribution(["laplace", "cosine"])}, {"kernel"}
    )


def test_true_and_false_may_be_written_in_other_ways() -> None:
    for choices in ([True, False], ["True", "False"], [1, 0]):
        assert_served(FOREST, {"bootstrap": CategoricalDistribution(choices)})
    assert_served(FOREST, {"bootstrap": IntDistribution(0, 1)})


def test_then_samples_jointly_what_is_unknown_and_nothing_else() -> None:
    spaces: list[set[str]] = []

    class Watched(TPESampler):
        def sample_relative(
            self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
        ) -> dict[str, Any]:
            spaces.append(set(search_space))
            return super().sample_relative(study, trial, search_space)

    then = Watched(n_startup_trials=1, multivariate=True, seed=0)
    study = optuna.create_study(sampler=WarmStartSampler(estimator=SVC, then=then, seed=0))
    space = {"a": FloatDistribution(0, 1), "C": LOG_C, "b": IntDistribution(0, 9)}
    for number in range(6):
        trial = study.ask()
        for name, distribution in space.items():
            suggest(trial, name, distribution)
        study.tell(trial, float(number))
    assert spaces[-1] == {"a", "b"}


@pytest.mark.parametrize(
    ("space", "estimator"),
    [
        ({"C": LOG_C, "gamma": LOG_GAMMA}, SVC),
        (
            {
                "clf__max_features": FloatDistribution(0.1, 1.0),
                "clf__min_samples_leaf": IntDistribution(1, 20),
                "clf__bootstrap": CategoricalDistribution([True, False]),
                "clf__criterion": CategoricalDistribution(["gini", "entropy"]),
            },
            FOREST,
        ),
        (
            {
                "eta": FloatDistribution(1e-3, 1, log=True),
                "colsample_bylevel": FloatDistribution(0.1, 1),
                "max_depth": IntDistribution(1, 15),
                "min_child_weight": FloatDistribution(1, 100, log=True),
            },
            BOOSTING,
        ),
    ],
)
def test_without_an_estimator_it_is_inferred_from_the_names(space: Space, estimator: str) -> None:
    study, _ = run(None, space)
    assert explain(study)["estimator"].iloc[-1] == estimator
    assert matched(study) == set(space)


def test_without_an_estimator_and_without_known_names_then_samples_alone() -> None:
    study, then = run(None, {"x": FloatDistribution(0, 1), "y": IntDistribution(0, 9)})
    assert set(explain(study)["by"]) == {THEN}
    assert len(then.asked) == 10
    assert "matched" not in explain(study).attrs


def test_a_study_whose_space_changes_is_served_in_its_new_space() -> None:
    then = _Recorder()
    study = optuna.create_study(sampler=WarmStartSampler(estimator=SVC, then=then, seed=0))
    spaces: list[Space] = [
        {"C": LOG_C},
        {"C": FloatDistribution(1, 10, log=True), "gamma": LOG_GAMMA},
        {"svc__C": LOG_C, "svc__gamma": LOG_GAMMA, "svc__kernel": _KERNELS},
        {"log_C": IntDistribution(0, 2), "svc__kernel": _KERNELS, "degree": _DEGREES},
    ]
    for space in spaces:
        for _ in range(4):
            trial = study.ask()
            for name, distribution in space.items():
                assert contains(distribution, suggest(trial, name, distribution))
            study.tell(trial, trial.params.get("C", trial.params.get("svc__C", 0.0)))
    assert not_planned(study) <= TURNS_OF_TPE


_KERNELS = CategoricalDistribution(["rbf", "poly", "sigmoid"])
_DEGREES = IntDistribution(2, 5)


# Any space


def _varied(name: str, parameter: Parameter) -> st.SearchStrategy[BaseDistribution]:
    """A learned parameter as another user might write it."""
    if isinstance(parameter, Categorical):
        choices = list(parameter.choices)
        some = st.lists(st.sampled_from(choices), min_size=1, unique_by=repr)
        with_strange = some.map(lambda c: [*c, "strange"])
        return st.one_of(some, with_strange).map(CategoricalDistribution)
    low, high = float(parameter.low), float(parameter.high)

    @st.composite
    def ranges(draw: st.DrawFn) -> BaseDistribution:
        kind = draw(st.sampled_from(["same", "narrow", "wide", "grid", "integer", "choices"]))
        if kind == "narrow":
            shares = sorted([draw(st.floats(0, 1)), draw(st.floats(0, 1))])
            a, b = (low + (high - low) * share for share in shares)
        elif kind == "wide":
            a, b = low / 10 if low > 0 else low, high * 10
        else:
            a, b = low, high
        if kind == "choices":
            return CategoricalDistribution([a, (a + b) / 2, b][: draw(st.integers(2, 3))])
        if kind == "integer" or not isinstance(parameter, Float):
            a, b = math.ceil(a), max(math.floor(b), math.ceil(a))
            log = a >= 1 and draw(st.booleans())
            step = 1 if log else draw(st.integers(1, 3))
            return IntDistribution(a, a + (b - a) // step * step, log=log, step=step)
        if kind == "grid" and b > a:
            n = draw(st.integers(1, 700))
            start, step = round(a, 3), max(round((b - a) / n, 3), 0.001)
            return FloatDistribution(start, round(start + n * step, 3), step=step)
        return FloatDistribution(a, b, log=a > 0 and draw(st.booleans()))

    return ranges()


PREFIXES = ("", "", "model__", "clf__", "estimator__", "m1_", "my.", "step_2__", "pipe-")


@st.composite
def spaces(
    draw: st.DrawFn, prefixes: tuple[str, ...] = PREFIXES
) -> tuple[str, dict[str, BaseDistribution]]:
    """An estimator, and some of its hyperparameters, varied, among unknown parameters."""
    estimator = draw(st.sampled_from(ESTIMATORS))
    learned = source_of(estimator).prior.space.parameters
    names = draw(st.lists(st.sampled_from(sorted(learned)), min_size=1, unique=True))
    prefix = draw(st.sampled_from(prefixes))
    space = {f"{prefix}{name}": draw(_varied(name, learned[name])) for name in names}
    extra = st.dictionaries(st.text(min_size=1, max_size=12), distributions, max_size=3)
    space = {**draw(extra), **space}
    order = draw(st.permutations(sorted(space)))
    return estimator, {name: space[name] for name in order}


losses = st.floats(allow_infinity=True, allow_nan=True, width=32) | st.just(0.0)
outcomes = losses | st.sampled_from([TrialState.FAIL, TrialState.PRUNED])


@given(
    case=spaces(),
    outcomes=st.lists(outcomes, min_size=2, max_size=5),
    data=st.data(),
    seed=st.integers(0, 3),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_matched_is_served_whatever_the_space_and_the_outcomes(
    case: tuple[str, dict[str, BaseDistribution]],
    outcomes: list[float | TrialState],
    data: st.DataObject,
    seed: int,
) -> None:
    estimator, space = case
    matcher = source_of(estimator).matcher
    then = _Recorder()
    study = optuna.create_study(
        sampler=WarmStartSampler(estimator=estimator, then=then, seed=seed),
        direction=data.draw(st.sampled_from(["minimize", "maximize"])),
    )
    known: dict[str, BaseDistribution] = {}
    not_planned: list[tuple[int, str]] = []
    served: list[bool] = []
    for number, outcome in enumerate(outcomes):
        absent = data.draw(st.sets(st.sampled_from(sorted(space)))) if number else set()
        trial = study.ask()
        served.append(False)
        for name, distribution in space.items():
            if name in absent:
                continue
            known[name] = distribution
            value = suggest(trial, name, distribution)
            assert contains(distribution, value), (name, distribution, value)
            if distribution.single():  # Optuna asks no sampler
                continue
            if name in align({n: parameter_of(d) for n, d in known.items()}, matcher).matched:
                served[-1] = True
            else:
                not_planned.append((number, name))
        if isinstance(outcome, TrialState):
            study.tell(trial, state=outcome)
        elif math.isnan(outcome):
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, outcome)
    assert then.asked == not_planned
    frame = explain(study)
    assert list(frame["by"]) == [META_LEARNER if by else THEN for by in served]
    at_last = align({n: parameter_of(d) for n, d in known.items()}, matcher)
    assert set(frame.attrs["matched"]) == set(at_last.matched)
    assert set(frame.attrs["unmatched"]) == set(at_last.unmatched)


@given(case=spaces(prefixes=("",)))
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
def test_a_name_of_the_estimators_own_is_always_matched_where_its_values_are_known(
    case: tuple[str, dict[str, BaseDistribution]],
) -> None:
    estimator, space = case
    learned = source_of(estimator).prior.space.parameters
    own = {
        name: distribution
        for name, distribution in space.items()
        if name in learned
        and isinstance(learned[name], Categorical)
        is isinstance(distribution, CategoricalDistribution)
    }
    study, then = run(estimator, own, 2)
    if own:
        assert matched(study) == set(own)
    assert then.asked == []
