"""Alignment of users' parameters: names, units, kinds, ranges, and whole studies."""

from __future__ import annotations

import math
import pickle
import random
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from warmstart.alignment import UNKNOWN, Match, Matcher, TaskSize, Unmatched, align
from warmstart.catalogue import ESTIMATORS, resolve_estimator
from warmstart.estimator import uncatalogued
from warmstart.space import (
    Categorical,
    Float,
    Integer,
    SearchSpace,
    from_unit,
    same_choice,
)

SVC = resolve_estimator("SVC")
FOREST = resolve_estimator("RandomForestClassifier")
ADA = resolve_estimator("AdaBoostClassifier")
XGB = resolve_estimator("XGBClassifier")
LGBM = resolve_estimator("LGBMClassifier")
MLP = resolve_estimator("MLPClassifier")
LOG = Float(1e-3, 1e3, log=True)
UNIT = Float(0.1, 0.9)
COUNT = Integer(1, 30)

# Words before a name that point to the estimator itself, to a step or to nothing.
PREFIXES = [
    *("clf__", "model/", "classifier.", "pipeline__model__", "my_", "hp-", "params:", "step 2 "),
    *("unheard_of__", "stage.1.", "MODEL_", "estimator__", "tune/trial/"),
]


def known(match):
    assert isinstance(match, Match)
    return match


# Names


@pytest.mark.parametrize(
    ("estimator", "name", "canonical"),
    [
        (SVC, "C", "C"),
        (SVC, "c", "C"),
        (SVC, "clf__svc__C", "C"),
        (SVC, "svc__C", "C"),
        (SVC, "svc_C", "C"),
        (SVC, "svcC", "C"),
        (SVC, "svm2.C", "C"),
        (SVC, "C_svc", "C"),
        (SVC, "mysvc__C", "C"),
        (SVC, "classifier__C", "C"),
        (SVC, "any_step_name__C", "C"),
        (SVC, "params['C']", "C"),
        (SVC, "smote__svc__C", "C"),
        (SVC, "transformedtargetregressor__regressor__gamma", "gamma"),
        (SVC, "rbf_gamma", "gamma"),
        (SVC, "svc_poly_degree", "degree"),
        (XGB, "learningRate", "learning_rate"),
        (XGB, "learning-rate", "learning_rate"),
        (XGB, "LEARNING_RATE", "learning_rate"),
        (XGB, "learningrate", "learning_rate"),
        (XGB, "eta", "learning_rate"),
        (XGB, "xgb.eta", "learning_rate"),
        (XGB, "XGBClassifier__eta", "learning_rate"),
        (XGB, "lr", "learning_rate"),
        (XGB, "lr_xgb", "learning_rate"),
        (XGB, "nrounds", "n_estimators"),
        (XGB, "num_boost_round", "n_estimators"),
        (XGB, "lambda", "reg_lambda"),
        (XGB, "lambda_", "reg_lambda"),
        (XGB, "alpha", "reg_alpha"),
        (XGB, "reg__alpha", "reg_alpha"),
        (XGB, "min_split_loss", "gamma"),
        (XGB, "colsample_by_tree", "colsample_bytree"),
        (XGB, "model/max_depth", "max_depth"),
        (XGB, "ours_learning_rate", "learning_rate"),
        (LGBM, "lgb_learning_rate", "learning_rate"),
        (LGBM, "lambda_l1", "reg_alpha"),
        (LGBM, "feature_fraction", "colsample_bytree"),
        (LGBM, "min_data_in_leaf", "min_child_samples"),
        (FOREST, "rf_max_depth", "max_depth"),
        (FOREST, "random_forest__n_estimators", "n_estimators"),
        (FOREST, "RandomForestClassifier:max_features", "max_features"),
        (FOREST, "n_estimators_rf", "n_estimators"),
        (ADA, "base_estimator__max_depth", "estimator__max_depth"),
        (ADA, "adaboostclassifier__base_estimator__max_depth", "estimator__max_depth"),
        (ADA, "estimator__max_depth", "estimator__max_depth"),
        (ADA, "max_depth", "estimator__max_depth"),
        (ADA, "ada_tree_max_depth", "estimator__max_depth"),
        (MLP, "learning_rate", "learning_rate_init"),
        (MLP, "weight_decay", "alpha"),
    ],
)
def test_a_renamed_parameter_is_recognised(estimator, name, canonical):
    parameter = COUNT if canonical in ("degree", "max_depth", "n_estimators") else LOG
    match = known(Matcher(estimator).match(name, parameter))
    assert match.canonical == canonical
    assert match.user == name
    assert canonical in match.note


@pytest.mark.parametrize(
    ("estimator", "name"),
    [
        (SVC, "alphabet"),
        (SVC, "gammas"),
        (SVC, "gamma_ray"),
        (SVC, "vitamin_C"),
        (SVC, "min_C"),
        (SVC, "ABC"),
        (SVC, "C1"),
        (SVC, "logreg_C"),
        (SVC, "lr_C"),
        (SVC, "C_logreg"),
        (SVC, "linear_svc_C"),
        (SVC, "svr__C"),
        (SVC, "lgb_learning_rate"),
        (SVC, "knn__n_neighbors"),
        (SVC, "svc__pca__tol"),
        (SVC, "imputer__tol"),
        (SVC, "feature_selection__C"),
        (SVC, ""),
        (SVC, "__"),
        (XGB, "lgb_learning_rate"),
        (XGB, "lgbm__max_depth"),
        (XGB, "catboost_learning_rate"),
        (XGB, "focal_gamma"),
        (XGB, "min_learning_rate"),
        (XGB, "learning_rate_decay"),
        (XGB, "svc__gamma"),
        (XGB, "alphas"),
        (FOREST, "tfidf__max_features"),
        (FOREST, "et_max_depth"),
        (FOREST, "lightgbm_n_estimators"),
        (LGBM, "gamma"),
        (LGBM, "alpha"),
    ],
)
def test_a_name_of_something_else_is_left_alone_and_the_reason_told(estimator, name):
    found = Matcher(estimator).find(name, LOG)
    assert isinstance(found, Unmatched)
    assert found.reason
    assert Matcher(estimator).match(name, LOG) is None


@pytest.mark.parametrize(
    "name",
    [
        "imputer__strategy",
        "columntransformer__numeric__imputer__strategy",
        "preprocessor__num__simpleimputer__strategy",
        "imputation",
        "strategy",
    ],
)
@pytest.mark.parametrize("estimator", [SVC, FOREST, ADA])
def test_the_imputer_of_the_pipeline_is_found_wherever_it_stands(estimator, name):
    match = known(Matcher(estimator).match(name, Categorical(("mean", "median"))))
    assert match.canonical == "imputer__strategy"


@pytest.mark.parametrize(
    "name", ["preprocessor__cat__imputer__strategy", "smote__sampling_strategy"]
)
def test_other_strategies_of_the_pipeline_are_not_the_numeric_imputers(name):
    choices = Categorical(("mean", "most_frequent"))
    assert Matcher(SVC).match(name, choices) is None


def test_the_imputer_of_the_xgboost_runs_is_known_by_both_libraries_names():
    matcher = Matcher(XGB)
    for name, choices in [
        ("num.impute.selected.cpo", ("impute.mean", "impute.hist")),
        ("imputer__strategy", ("mean", "median")),
    ]:
        match = known(matcher.match(name, Categorical(choices)))
        assert match.to_canonical(choices[0]) == "impute.mean"
        assert match.from_canonical("impute.mean") == choices[0]


# Values


def test_categories_match_by_meaning_and_come_back_as_the_user_wrote_them():
    match = known(Matcher(SVC).match("kernel", Categorical(("RBF", "polynomial", "precomputed"))))
    assert [match.to_canonical(v) for v in ("RBF", "polynomial")] == ["rbf", "poly"]
    assert match.to_canonical("precomputed") is UNKNOWN
    assert match.from_canonical("poly") == "polynomial"
    assert match.from_canonical("sigmoid") is UNKNOWN
    assert match.covers("rbf")
    assert not match.covers("sigmoid")
    assert match.overlap == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "choices", [(True, False), ("true", "False"), (1, 0), ("1", "0"), ("yes", "no"), (1.0, 0.0)]
)
def test_booleans_are_known_in_every_spelling(choices):
    match = known(Matcher(FOREST).match("bootstrap", Categorical(choices)))
    for choice, v in zip(choices, (True, False), strict=True):
        assert match.to_canonical(choice) is v
        returned = match.from_canonical(v)
        assert returned == choice
        assert type(returned) is type(choice)


def test_an_integer_of_0_or_1_is_a_boolean_but_no_other_range_is():
    matcher = Matcher(FOREST)
    match = known(matcher.match("bootstrap", Integer(0, 1)))
    assert match.from_canonical(True) == 1
    assert type(match.from_canonical(False)) is int
    assert matcher.match("bootstrap", Integer(0, 2)) is None
    assert matcher.match("bootstrap", Float(0.0, 1.0)) is None


def test_choices_that_compare_as_equal_are_kept_apart():
    matcher = Matcher(FOREST)
    for choices in [(True, False), (1, 0), (1.0, 0.0)]:
        match = known(matcher.match("bootstrap", Categorical(choices)))
        assert type(match.from_canonical(True)) is type(choices[0])


@pytest.mark.parametrize(
    ("estimator", "name", "parameter", "reason"),
    [
        (SVC, "kernel", Float(0.0, 1.0), "a range is given"),
        (SVC, "kernel", Categorical(("a", "b")), "none of"),
        (SVC, "C", Categorical(("small", "large")), "a number"),
        (FOREST, "max_depth", Categorical((True, False)), "a number"),
    ],
)
def test_a_parameter_of_another_kind_is_not_matched_and_the_reason_told(
    estimator, name, parameter, reason
):
    assert reason in Matcher(estimator).find(name, parameter).reason


def test_numeric_choices_stand_for_numbers_and_the_nearest_is_proposed():
    match = known(Matcher(FOREST).match("n_estimators", Categorical((100, "200", 500))))
    assert [match.to_canonical(v) for v in (100, "200", 500)] == [100, 200, 500]
    # On the logarithmic scale 150 is nearer to 200, and 300 nearer to 200 than to 500.
    assert [match.from_canonical(v) for v in (10, 150, 300, 2000)] == [100, "200", "200", 500]
    assert match.covers(300)
    assert not match.covers(600)


def test_special_values_of_a_numeric_hyperparameter_take_part():
    sized = Matcher(FOREST, size=TaskSize(n_features=100))
    match = known(sized.match("max_features", Categorical(("sqrt", "log2", None, 0.5, 25))))
    assert match.to_canonical("sqrt") == pytest.approx(0.1)
    assert match.to_canonical("log2") == pytest.approx(0.06)
    assert match.to_canonical(None) == 1.0
    assert match.to_canonical(25) == pytest.approx(0.25)
    assert [match.from_canonical(v) for v in (0.12, 0.3, 0.6, 0.9)] == ["sqrt", 25, 0.5, None]
    unlimited = known(sized.match("max_depth", Categorical((None, "None", 5))))
    assert unlimited.to_canonical(None) == unlimited.to_canonical("None") == 64
    assert unlimited.from_canonical(6) == 5
    assert unlimited.from_canonical(60) is None


def test_minus_one_in_a_range_of_depths_means_no_limit():
    match = known(Matcher(LGBM).match("max_depth", Integer(-1, 12)))
    assert match.to_canonical(-1) == match.to_canonical(0) == 64
    assert [match.from_canonical(v) for v in (1, 12, 20, 64)] == [1, 12, 12, -1]
    assert match.covers(64)
    assert not match.covers(30)


def test_counts_of_columns_are_fractions_of_the_tasks_columns():
    known_size = Matcher(FOREST, size=TaskSize(n_features=50))
    match = known(known_size.match("max_features", Integer(1, 50)))
    assert match.to_canonical(10) == pytest.approx(0.2)
    assert match.from_canonical(0.5) == 25
    # Without a size, whoever asks for 200 columns has at least as many.
    wide = known(Matcher(FOREST).match("max_features", Integer(1, 200)))
    assert wide.to_canonical(100) == pytest.approx(0.5)


def test_fractions_of_rows_are_counts_of_the_tasks_rows():
    matcher = Matcher(FOREST, size=TaskSize(n_samples=1000))
    match = known(matcher.match("min_samples_leaf", Float(0.001, 0.1)))
    assert match.to_canonical(0.02) == 20
    assert match.from_canonical(5) == pytest.approx(0.005)


def test_zero_regularisation_is_hardly_any():
    match = known(Matcher(XGB).match("alpha", Float(0.0, 10.0)))
    lowest = Matcher(XGB).canonical["reg_alpha"].parameter.low
    assert match.to_canonical(0.0) == lowest
    assert match.overlap == 1.0


@pytest.mark.parametrize(
    ("name", "parameter", "x", "v"),
    [
        ("log10_C", Float(-3, 3), 2.0, 100.0),
        ("log2_C", Integer(-5, 15), 3, 8.0),
        ("ln_C", Float(-7, 7), 1.0, math.e),
        ("C_exp", Float(-3, 3), -1.0, 0.1),
        ("C_exp", Integer(-5, 15), 3, 8.0),  # LIBSVM's grid; 10**15 would be absurd
        ("log_C", Integer(-3, 3), 2, 100.0),
        ("log_C", Float(math.log(1e-3), math.log(1e3)), 1.0, math.e),
        ("svc__C_log10", Float(-3, 3), 2.0, 100.0),
        ("log10_C", Categorical((-2, -1, 0, 1)), -1, 0.1),
        # Named for the scale they are drawn on; the values are native.
        ("log_C", Float(1e-3, 1e3, log=True), 2.0, 2.0),
        ("log10_C", Float(1e-3, 1e3), 2.0, 2.0),
    ],
)
def test_exponents_are_recognised_by_name_and_range(name, parameter, x, v):
    match = known(Matcher(SVC).match(name, parameter))
    assert match.to_canonical(x) == pytest.approx(v)
    assert match.from_canonical(v) == pytest.approx(x)
    assert match.covers(v)


def test_percentages_are_recognised_only_where_the_name_says_so():
    named = known(Matcher(XGB).match("subsample_pct", Integer(50, 100)))
    assert named.to_canonical(80) == pytest.approx(0.8)
    assert named.from_canonical(0.75) == 75
    bare = known(Matcher(XGB).match("subsample", Integer(50, 100)))
    assert bare.to_canonical(80) == 80.0
    assert bare.overlap == 0.0


def test_overlap_is_the_share_of_the_users_range_on_the_canonical_scale():
    learned = SearchSpace({"C": Float(0.01, 100.0, log=True)})
    matcher = Matcher(SVC, space=learned)
    for parameter, overlap in [
        (Float(0.1, 10.0), 1.0),
        (Float(1.0, 1e4, log=True), 0.5),
        (Float(1e6, 1e9, log=True), 0.0),
        (Categorical((0.001, 1, 10, 1000)), 0.5),
        (Float(1.0, 1.0), 1.0),
        (Float(1e6, 1e6), 0.0),
    ]:
        match = known(matcher.match("C", parameter))
        assert match.overlap == pytest.approx(overlap)
    outside = known(matcher.match("C", Float(1e6, 1e9, log=True)))
    assert outside.from_canonical(1.0) == 1e6
    assert not outside.covers(1.0)


def test_what_the_artifact_has_not_learned_is_not_matched():
    learned = SearchSpace({"kernel": Categorical(("rbf", "poly")), "C": LOG})
    matcher = Matcher(SVC, space=learned)
    match = known(matcher.match("kernel", Categorical(("rbf", "linear"))))
    assert match.to_canonical("linear") is UNKNOWN
    assert "nothing was learned" in matcher.find("gamma", LOG).reason


def test_a_learned_parameter_outside_the_catalogue_is_known_by_its_name():
    learned = SearchSpace({"C": LOG, "cache_size": Integer(100, 1000)})
    matcher = Matcher(SVC, space=learned)
    match = known(matcher.match("svc__cache_size", Integer(100, 500)))
    assert match.canonical == "cache_size"
    assert align({}, matcher).missing == {"C": 1.0, "cache_size": UNKNOWN}


def test_an_estimator_outside_the_catalogue_is_aligned_by_the_names_of_its_own_space():
    space = SearchSpace(
        {"net__opt__rate": LOG, "net__opt__beta": UNIT, "net__widths": Integer(8, 512, log=True)}
    )
    matcher = Matcher(uncatalogued("ours.Net", space))
    expected = {
        "net__opt__rate": "net__opt__rate",
        "opt_rate": "net__opt__rate",
        "Net/beta": "net__opt__beta",
        "widths": "net__widths",
    }
    assert {name: known(matcher.match(name, UNIT)).canonical for name in expected} == expected
    assert matcher.match("svc__rate", UNIT) is None


# Properties


def user_parameters(natural, rng):
    """Parameters that a user might give for one of a natural range, and their exponents' base."""
    if isinstance(natural, Categorical):
        known_choices = list(natural.choices)
        rng.shuffle(known_choices)
        chosen = known_choices[: rng.randint(1, len(known_choices))]
        return Categorical((*chosen, "something else")[: rng.randint(len(chosen), 9)])
    low, high = sorted(float(from_unit(natural, rng.random())) for _ in range(2))
    kind = rng.randrange(5)
    if kind == 0:
        return Float(low, high)
    if kind == 1 and low > 0:
        return Float(low, high, log=True)
    if kind == 2:
        return Float(low, high, step=max((high - low) / rng.randint(1, 20), 1e-9))
    if kind == 3:
        first = math.floor(low)
        step = rng.randint(1, 7)
        return Integer(first, first + step * rng.randint(0, 20), step=step)
    numbers = [round(rng.uniform(low, high), 3) for _ in range(rng.randint(1, 5))]
    return Categorical(tuple(dict.fromkeys(numbers)))


def is_member(parameter, value):
    if isinstance(parameter, Categorical):
        return same_choice(value, parameter.choices) and any(
            type(value) is type(c) for c in parameter.choices if same_choice(value, (c,))
        )
    if not parameter.low <= value <= parameter.high:
        return False
    if isinstance(parameter, Integer):
        return type(value) is int and (value - parameter.low) % parameter.step == 0
    steps = 0.0 if parameter.step is None else (value - parameter.low) / parameter.step
    return type(value) is float and abs(steps - round(steps)) < 1e-6


hyperparameters = st.sampled_from([(e, h) for e in ESTIMATORS for h in e.hyperparameters])
fractions = st.sampled_from(
    [(e, h) for e in ESTIMATORS for h in e.hyperparameters if isinstance(h.parameter, Float)]
)
seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=600, deadline=None)
@given(hyperparameters, seeds)
def test_a_proposal_is_a_member_of_the_users_parameter_and_the_nearest_one(pair, seed):
    estimator, h = pair
    rng = random.Random(seed)
    parameter = user_parameters(h.parameter, rng)
    matcher = Matcher(estimator)
    match = known(matcher.match(h.name, parameter))
    canonical = matcher.canonical[h.name]
    v = from_unit(h.parameter, rng.random())
    x = match.from_canonical(v)
    if isinstance(h.parameter, Categorical):
        if x is UNKNOWN:
            assert not same_choice(v, parameter.choices)
        else:
            assert is_member(parameter, x)
            assert match.to_canonical(x) is v
        return
    assert is_member(parameter, x)

    def distance(candidate):
        return abs(canonical.place(match.to_canonical(candidate)) - canonical.place(v))

    others = (
        parameter.choices
        if isinstance(parameter, Categorical)
        else [from_unit(parameter, i / 50) for i in range(51)]
    )
    assert all(distance(x) <= distance(other) * (1 + 1e-6) + 1e-9 for other in others)


@settings(max_examples=400, deadline=None)
@given(fractions, seeds)
def test_a_covered_value_survives_the_way_to_the_user_and_back(pair, seed):
    estimator, h = pair
    rng = random.Random(seed)
    parameter = user_parameters(h.parameter, rng)
    assume(not isinstance(parameter, Categorical | Integer) and parameter.step is None)
    match = known(Matcher(estimator).match(h.name, parameter))
    for _ in range(5):
        v = from_unit(h.parameter, rng.random())
        back = match.to_canonical(match.from_canonical(v))
        if match.covers(v):
            assert back == pytest.approx(v, rel=1e-9, abs=1e-12)
        assert match.overlap > 0 or not match.covers(v)


def renamed(name, rng):
    """A name in another style: ``learning_rate``, ``learningRate``, ``LEARNING-RATE``."""
    words = [word for word in re.split(r"[^A-Za-z0-9]+", name) if word]
    style = rng.randrange(6)
    if style == 0:
        return words[0] + "".join(word[:1].upper() + word[1:] for word in words[1:])
    if style == 1:
        return "-".join(words)
    if style == 2:
        return "_".join(words).upper()
    if style == 3:
        return "".join(words).lower()
    if style == 4:
        return "__".join(words)
    return name


@settings(max_examples=600, deadline=None)
@given(hyperparameters, seeds, st.sampled_from(["", *PREFIXES]))
def test_no_match_is_missed_over_renames_prefixes_aliases_ranges_and_kinds(pair, seed, prefix):
    estimator, h = pair
    rng = random.Random(seed)
    written = rng.choice([h.name, *h.aliases])
    own = rng.choice(["", "", *(f"{tag}__" for tag in estimator.tags)])
    name = prefix + own + renamed(written, rng)
    parameter = user_parameters(h.parameter, rng)
    found = Matcher(estimator).find(name, parameter)
    assert isinstance(found, Match), (name, found)
    expected = {
        other.name
        for other in estimator.hyperparameters
        if written in (other.name, *other.aliases)
    }
    assert found.canonical in expected, name


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ESTIMATORS), st.data())
def test_the_words_of_one_estimator_do_not_match_for_another(estimator, data):
    other = data.draw(st.sampled_from([e for e in ESTIMATORS if e.group != estimator.group]))
    shared = {tag for e in ESTIMATORS for tag in e.tags if e.group != estimator.group}
    own = [tag for tag in estimator.tags if tag not in shared]
    assume(own)
    h = data.draw(st.sampled_from([h for h in other.hyperparameters if not h.component]))
    tag = data.draw(st.sampled_from(own))
    separator = data.draw(st.sampled_from(["_", "__", ".", "/"]))
    assume(tag not in h.within)
    assert Matcher(other).match(f"{tag}{separator}{h.name}", h.parameter) is None


STRANGE_NAMES = [
    "",
    " ",
    "___",
    "C" * 300,
    "__C__",
    "…",
    "名前",
    "log_",
    "log10",
    "C\n",
    "[]",
    "\x00",
]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(ESTIMATORS),
    st.one_of(st.text(max_size=40), st.sampled_from(STRANGE_NAMES)),
    st.one_of(
        st.tuples(
            st.floats(allow_nan=False, allow_infinity=False),
            st.floats(allow_nan=False, allow_infinity=False),
        ).map(lambda ends: Float(min(ends), max(ends))),
        st.tuples(st.integers(-(10**300), 10**300), st.integers(-(10**300), 10**300)).map(
            lambda ends: Integer(min(ends), max(ends))
        ),
        st.lists(
            st.one_of(
                st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just((1, 2))
            ),
            min_size=1,
        ).map(lambda choices: Categorical(tuple(choices))),
    ),
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just([1])),
)
def test_nothing_from_the_user_raises(estimator, name, parameter, value):
    matcher = Matcher(estimator)
    found = matcher.find(name, parameter)
    assert isinstance(found, Match | Unmatched)
    # The same parameter under names that do match.
    for h in estimator.hyperparameters:
        match = matcher.match(h.name, parameter)
        if match is not None:
            assert 0.0 <= match.overlap <= 1.0
            match.to_canonical(value)
            match.covers(value)
            proposed = match.from_canonical(value)
            assert proposed is UNKNOWN or is_member(parameter, proposed) or proposed != proposed


def test_unhashable_choices_are_matched_too():
    match = known(Matcher(SVC).match("kernel", Categorical(("rbf", [1], {"a": 1}))))
    assert match.to_canonical("rbf") == "rbf"
    assert match.to_canonical([1]) is UNKNOWN


# Studies


def study_of(estimator):
    return {h.name: h.parameter for h in estimator.hyperparameters}


def canonical_names(alignment):
    return {user: match.canonical for user, match in alignment.matched.items()}


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ESTIMATORS), seeds)
def test_the_order_of_parameters_has_no_influence(estimator, seed):
    rng = random.Random(seed)
    parameters = study_of(estimator)
    names = rng.sample(sorted(parameters), rng.randint(0, len(parameters)))
    study = {name: parameters[name] for name in names} | {"clf__C": LOG, "C": LOG, "x": LOG}
    shuffled = list(study.items())
    rng.shuffle(shuffled)
    a, b = align(study, Matcher(estimator)), align(dict(shuffled), Matcher(estimator))
    assert a == b
    assert list(a.matched) == list(b.matched)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(ESTIMATORS), st.sampled_from(PREFIXES), st.booleans(), st.integers(0, 10**9)
)
def test_one_more_prefix_on_all_names_changes_nothing(estimator, prefix, tagged, seed):
    rng = random.Random(seed)
    study = study_of(estimator)
    study |= {
        "foo": LOG,
        "svc_C": LOG,
        "m1_gamma": LOG,
        "lgb__eta": LOG,
        "C": LOG,
        "model__C": LOG,
    }
    study = {name: study[name] for name in rng.sample(sorted(study), rng.randint(1, len(study)))}
    if tagged:
        prefix += f"{estimator.tags[0]}__"
    plain = align(study, Matcher(estimator))
    prefixed = align({prefix + name: p for name, p in study.items()}, Matcher(estimator))
    assert canonical_names(prefixed) == {
        prefix + name: canonical for name, canonical in canonical_names(plain).items()
    }
    assert prefixed.missing == plain.missing
    assert set(prefixed.unmatched) == {prefix + name for name in plain.unmatched}


def test_each_branch_of_a_study_goes_to_its_own_estimator():
    study = {
        "classifier": Categorical(("svc", "rf", "logreg")),
        "svc_C": LOG,
        "svc_kernel": Categorical(("rbf", "poly")),
        "logreg_C": LOG,
        "rf_max_depth": COUNT,
    }
    svc = align(study, Matcher(SVC))
    assert canonical_names(svc) == {"svc_C": "C", "svc_kernel": "kernel"}
    assert "LogisticRegression" in svc.unmatched["logreg_C"]
    assert set(svc.unmatched) == {"classifier", "logreg_C", "rf_max_depth"}
    assert canonical_names(align(study, Matcher(FOREST))) == {"rf_max_depth": "max_depth"}


@pytest.mark.parametrize(
    ("names", "winner"),
    [
        (("C", "clf__C"), "C"),
        (("C", "svc_C"), "svc_C"),
        (("C", "cost"), "C"),
        (("a__C", "b__C"), "a__C"),
        (("log10_C", "C"), "C"),
        (("clf__C", "unheard_of__C"), "clf__C"),
    ],
)
def test_of_two_parameters_for_one_hyperparameter_the_closest_name_wins(names, winner):
    alignment = align(dict.fromkeys(names, LOG), Matcher(SVC))
    (loser,) = set(names) - {winner}
    assert canonical_names(alignment) == {winner: "C"}
    assert winner in alignment.unmatched[loser]
    assert alignment.ambiguous == {"C": (winner, loser)}


def test_an_unknown_prefix_counts_once_several_parameters_share_it():
    matcher = Matcher(SVC)
    alone = align({"m1_C": LOG}, matcher)
    assert alone.matched == {}
    assert "'m1_'" in alone.unmatched["m1_C"]
    together = align({"m1_C": LOG, "m1_gamma": LOG, "m2_tol": LOG}, matcher)
    assert canonical_names(together) == {"m1_C": "C", "m1_gamma": "gamma"}
    taken = align({"C": LOG, "m1_C": LOG, "m1_gamma": LOG}, matcher)
    assert canonical_names(taken) == {"C": "C"}


def test_what_is_not_tuned_is_taken_at_the_fixed_value_else_at_the_default():
    learned = SearchSpace(
        {
            "C": LOG,
            "gamma": Float(1e-5, 8.0, log=True),
            "kernel": Categorical(("rbf", "poly")),
            "max_iter": Integer(10, 1000),
            "shrinking": Categorical((True, False)),
            "imputer__strategy": Categorical(("mean", "median")),
        }
    )
    matcher = Matcher(SVC, space=learned, size=TaskSize(n_features=20))
    alignment = align(
        {"svc__C": LOG},
        matcher,
        fixed={"svc__shrinking": "false", "clf__imputer__strategy": "constant", "foo": 3},
    )
    assert alignment.missing == {
        "gamma": pytest.approx(1 / 20),
        "kernel": "rbf",
        "max_iter": 1000,  # no limit, as near as was learned
        "shrinking": False,
        "imputer__strategy": "mean",
    }
    forest = align({}, Matcher(FOREST), fixed={"n_estimators": 10**6, "rf_max_depth": 7})
    assert forest.missing["n_estimators"] == 2000
    assert forest.missing["max_depth"] == 7


def test_every_parameter_of_a_study_is_accounted_for():
    study = {"xgb_eta": LOG, "lgb_eta": LOG, "foo": COUNT, "max_depth": COUNT, "depth": COUNT}
    alignment = align(study, Matcher(XGB))
    assert set(alignment.matched) | set(alignment.unmatched) == set(study)
    assert not set(alignment.matched) & set(alignment.unmatched)
    tuned = set(canonical_names(alignment).values())
    assert tuned | set(alignment.missing) == set(Matcher(XGB).canonical)
    assert all(alignment.unmatched.values())


def test_a_match_is_found_once_and_kept():
    matcher = Matcher(SVC)
    first = matcher.match("svc__C", Float(1e-3, 1e3, log=True))
    assert matcher.match("svc__C", Float(1e-3, 1e3, log=True)) is first
    assert matcher.match("svc__C", Float(1e-3, 1e2, log=True)) is not first


def test_a_study_with_ever_new_ranges_does_not_fill_the_memory():
    matcher = Matcher(SVC)
    for i in range(10_000):
        matcher.match("C", Float(1.0, 2.0 + i))
    assert len(matcher._found) <= 4096


def test_matchers_and_alignments_can_be_pickled():
    matcher = Matcher(FOREST, size=TaskSize(n_features=9))
    study = {"max_features": Categorical(("sqrt", 0.5)), "rf__max_depth": COUNT}
    alignment = align(study, matcher)
    assert pickle.loads(pickle.dumps(alignment)) == alignment
    assert align(study, pickle.loads(pickle.dumps(matcher))) == alignment
