"""The catalogue against the libraries it describes, and how estimators are asked for."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest

from warmstart.alignment import UNKNOWN, Matcher
from warmstart.catalogue import ESTIMATORS, Estimator, resolve_estimator
from warmstart.errors import UnknownEstimatorError
from warmstart.estimator import TaskSize
from warmstart.inference import infer_estimator
from warmstart.names import spelling
from warmstart.space import Categorical, Float, Integer, to_unit
from warmstart.values import Canonical

SKLEARN = [e for e in ESTIMATORS if e.name.startswith("sklearn.")]
LIGHTGBM = [e for e in ESTIMATORS if e.name.startswith("lightgbm.")]
XGBOOST = [e for e in ESTIMATORS if e.name.startswith("xgboost.")]

# Not arguments of the class itself, or no longer.
ELSEWHERE = {
    ("AdaBoostClassifier", "algorithm"),
    ("AdaBoostClassifier", "estimator__max_depth"),
}
UNIT, LOG = Float(0.001, 1.0), Float(0.001, 1.0, log=True)
COUNT = Integer(1, 20)


def name_of(estimator: Estimator) -> str:
    return estimator.name


def canonical_default(estimator: Estimator, name: str, value: object) -> object:
    hyperparameter = next(h for h in estimator.hyperparameters if h.name == name)
    return Canonical(hyperparameter, hyperparameter.parameter, TaskSize()).value(value)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=name_of)
def test_each_default_lies_in_the_natural_range(estimator):
    for h in estimator.hyperparameters:
        value = canonical_default(estimator, h.name, h.default)
        assert value is not UNKNOWN, h.name
        if not isinstance(h.parameter, Categorical):
            assert -1e-9 <= to_unit(h.parameter, value) <= 1 + 1e-9, (h.name, value)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=name_of)
def test_each_estimator_is_a_valid_search_space(estimator):
    for configuration in estimator.space.sample(5, np.random.default_rng(0)):
        assert set(configuration) <= {h.name for h in estimator.hyperparameters}


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=name_of)
def test_no_two_hyperparameters_share_a_spelling_unless_kinds_tell_them_apart(estimator):
    owners: dict[str, list[bool]] = {}
    for h in estimator.hyperparameters:
        for word in {spelling(word) for word in (h.name, *h.aliases)}:
            owners.setdefault(word, []).append(isinstance(h.parameter, Categorical))
    for word, kinds in owners.items():
        assert len(kinds) == 1 or sorted(kinds) == [False, True], word


@pytest.mark.parametrize("estimator", SKLEARN, ids=name_of)
def test_names_and_defaults_are_those_of_the_installed_scikit_learn(estimator):
    module, _, class_name = estimator.name.rpartition(".")
    installed = getattr(importlib.import_module(module), class_name)().get_params()
    for h in estimator.hyperparameters:
        if h.component or (estimator.class_name, h.name) in ELSEWHERE:
            continue
        default = installed[h.name]
        if h.name == "hidden_layer_sizes":
            (default,) = default
        if default == "deprecated":  # penalty: l2 in effect
            assert (h.name, h.default) == ("penalty", "l2")
            continue
        assert canonical_default(estimator, h.name, default) == canonical_default(
            estimator, h.name, h.default
        ), h.name


def test_adaboost_boosts_stumps_by_samme_by_default():
    from sklearn.ensemble import AdaBoostClassifier

    x = np.random.default_rng(0).random((60, 2))
    model = AdaBoostClassifier(n_estimators=2).fit(x, x[:, 0] + x[:, 1] > 1)
    defaults = {h.name: h.default for h in resolve_estimator("AdaBoostClassifier").hyperparameters}
    assert model.estimators_[0].max_depth == defaults["estimator__max_depth"]
    assert defaults["algorithm"] == "SAMME"


def test_entropy_and_log_loss_are_one_criterion():
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(0)
    x, y = rng.random((80, 4)), rng.integers(0, 3, 80)
    a, b = (
        RandomForestClassifier(n_estimators=5, criterion=name, random_state=0).fit(x, y)
        for name in ("entropy", "log_loss")
    )
    np.testing.assert_array_equal(a.predict_proba(x), b.predict_proba(x))


@pytest.mark.parametrize("n_features", [1, 2, 7, 37, 100, 1000])
def test_named_shares_of_features_are_those_that_scikit_learn_takes(n_features):
    from sklearn.tree import DecisionTreeClassifier

    matcher = Matcher(
        resolve_estimator("RandomForestClassifier"), size=TaskSize(n_features=n_features)
    )
    choices = ("sqrt", "log2", None)
    match = matcher.match("max_features", Categorical(choices))
    x = np.random.default_rng(0).random((20, n_features))
    for choice in choices:
        tree = DecisionTreeClassifier(max_features=choice).fit(x, [0, 1] * 10)
        assert match.to_canonical(choice) == pytest.approx(tree.max_features_ / n_features)


@pytest.mark.parametrize("estimator", LIGHTGBM, ids=name_of)
def test_names_defaults_and_aliases_are_those_of_the_installed_lightgbm(estimator):
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    from lightgbm.basic import _ConfigAliases

    in_class = getattr(lightgbm, estimator.class_name)().get_params()
    data = lightgbm.Dataset(np.arange(40.0).reshape(20, 2), np.arange(20.0))
    text = lightgbm.train({"verbose": -1}, data, num_boost_round=1).model_to_string()
    lines = text.partition("parameters:")[2].partition("end of parameters")[0].splitlines()
    in_library = dict(line.strip("[]").split(": ", 1) for line in lines if ": " in line)

    documented = _ConfigAliases._get_all_param_aliases()
    for h in estimator.hyperparameters:
        only_of_the_class = (h.name, [])
        main, aliases = next(
            (item for item in documented.items() if h.name in item[1]), only_of_the_class
        )
        assert set(aliases) <= {h.name, *h.aliases}, h.name
        default = in_class[h.name] if h.name in in_class else in_library[main]
        assert canonical_default(estimator, h.name, default) == canonical_default(
            estimator, h.name, h.default
        ), h.name


def test_no_alias_of_ours_means_another_parameter_of_lightgbm():
    pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    from lightgbm.basic import _ConfigAliases

    documented = _ConfigAliases._get_all_param_aliases()
    for h in LIGHTGBM[0].hyperparameters:
        own = next((main for main, names in documented.items() if h.name in names), h.name)
        for alias in h.aliases:
            assert {main for main, names in documented.items() if alias in names} <= {own}


@pytest.mark.parametrize("estimator", XGBOOST, ids=name_of)
def test_names_defaults_and_aliases_are_those_of_the_installed_xgboost(estimator):
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
    model = getattr(xgboost, estimator.class_name)(n_estimators=1, booster="dart")
    model.fit(np.random.default_rng(0).random((20, 2)), [0, 1] * 10)
    config = json.loads(model.get_booster().save_config())["learner"]
    booster = config["gradient_booster"]
    used = (
        booster["gbtree"]["tree_train_param"] | booster["dart_train_param"] | config["objective"]
    )
    used |= config["objective"].get("reg_loss_param", {})
    for h in estimator.hyperparameters:
        if h.component:
            continue
        if h.name not in ("rate_drop", "skip_drop"):  # Dart's go in as extra arguments.
            assert h.name in model.get_params()
        if h.name not in ("booster", "n_estimators"):
            default = canonical_default(estimator, h.name, used[h.name])
            assert default == pytest.approx(canonical_default(estimator, h.name, h.default))
        for alias in h.aliases:
            if alias in used:
                assert used[alias] == used[h.name], (alias, h.name)
    default_booster = getattr(xgboost, estimator.class_name)(n_estimators=100).fit(
        np.arange(6.0).reshape(3, 2), [0, 1, 0]
    )
    assert default_booster.get_booster().num_boosted_rounds() == 100
    name = json.loads(default_booster.get_booster().save_config())["learner"]
    assert name["gradient_booster"]["name"] == "gbtree"


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("SVC", "sklearn.svm.SVC"),
        ("svc", "sklearn.svm.SVC"),
        ("svm.SVC", "sklearn.svm.SVC"),
        (" sklearn.svm.SVC ", "sklearn.svm.SVC"),
        ("sklearn.svm.classes.SVC", "sklearn.svm.SVC"),
        ("sklearn.svm._classes.SVC", "sklearn.svm.SVC"),
        (
            "sklearn.ensemble.weight_boosting.AdaBoostClassifier",
            "sklearn.ensemble.AdaBoostClassifier",
        ),
        ("xgboost.sklearn.XGBClassifier", "xgboost.XGBClassifier"),
        ("lightgbm.LGBMRegressor", "lightgbm.LGBMRegressor"),
        ("rpart", "rpart"),
        ("lcbench.funnel_mlp", "lcbench.funnel_mlp"),
        ("lcbench", "lcbench.funnel_mlp"),
    ],
)
def test_an_estimator_is_found_by_its_name_and_by_names_of_earlier_versions(asked, name):
    assert resolve_estimator(asked).name == name


@pytest.mark.parametrize("estimator", SKLEARN, ids=name_of)
def test_an_estimator_is_found_by_its_class_and_by_an_instance(estimator):
    module, _, class_name = estimator.name.rpartition(".")
    kind = getattr(importlib.import_module(module), class_name)
    assert resolve_estimator(kind) is resolve_estimator(kind()) is estimator
    assert resolve_estimator(estimator) is estimator


def test_a_users_subclass_stands_for_its_parent_but_a_librarys_does_not():
    from sklearn.svm import SVC
    from sklearn.tree import ExtraTreeClassifier

    class OurSVC(SVC):
        pass

    assert resolve_estimator(OurSVC).name == "sklearn.svm.SVC"
    with pytest.raises(UnknownEstimatorError):
        resolve_estimator(ExtraTreeClassifier())


@pytest.mark.parametrize(
    "asked", ["RandomForest", "sklearn.svm.SVCC", "foo.SVC", "", None, 3, "."]
)
def test_an_unknown_estimator_is_an_error_that_names_what_was_given_and_near_ones(asked):
    with pytest.raises(UnknownEstimatorError, match="expected one in the catalogue") as error:
        resolve_estimator(asked)
    assert "\n" not in str(error.value)
    if asked == "RandomForest":
        assert "sklearn.ensemble.RandomForestClassifier" in str(error.value)


KERNEL = Categorical(("rbf", "poly"))


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"num_leaves": COUNT, "learning_rate": LOG}, "lightgbm.LGBMClassifier"),
        ({"lgb_learning_rate": LOG}, "lightgbm.LGBMClassifier"),
        ({"feature_fraction": UNIT, "bagging_freq": COUNT}, "lightgbm.LGBMClassifier"),
        ({"colsample_bytree": UNIT, "gamma": LOG, "eta": LOG}, "xgboost.XGBClassifier"),
        ({"xgb__max_depth": COUNT}, "xgboost.XGBClassifier"),
        ({"C": LOG, "kernel": KERNEL}, "sklearn.svm.SVC"),
        ({"coef0": UNIT}, "sklearn.svm.SVC"),
        ({"clf__svc__C": LOG}, "sklearn.svm.SVC"),
        ({"svr__C": LOG, "svr__epsilon": LOG}, "sklearn.svm.SVR"),
        ({"rf_max_depth": COUNT}, "sklearn.ensemble.RandomForestClassifier"),
        ({"et_max_depth": COUNT}, "sklearn.ensemble.ExtraTreesClassifier"),
        (
            {"n_estimators": COUNT, "min_samples_leaf": COUNT, "bootstrap": Integer(0, 1)},
            "sklearn.ensemble.RandomForestClassifier",
        ),
        (
            {"estimator__max_depth": COUNT, "learning_rate": LOG, "n_estimators": COUNT},
            "sklearn.ensemble.AdaBoostClassifier",
        ),
        ({"C": LOG, "l1_ratio": UNIT}, "sklearn.linear_model.LogisticRegression"),
        ({"alpha": LOG, "l1_ratio": UNIT}, "sklearn.linear_model.ElasticNet"),
        (
            {"max_iter": COUNT, "l2_regularization": LOG, "learning_rate": LOG},
            "sklearn.ensemble.HistGradientBoostingClassifier",
        ),
        ({"hidden_layer_sizes": COUNT, "alpha": LOG}, "sklearn.neural_network.MLPClassifier"),
        ({"n_neighbors": COUNT}, "sklearn.neighbors.KNeighborsClassifier"),
    ],
)
def test_rare_names_and_prefixes_tell_the_estimator(parameters, name):
    estimator, score = infer_estimator(parameters)
    assert estimator.name == name
    assert 0.5 <= score <= 1.0


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"foo": UNIT, "bar": COUNT},
        {"C": LOG},
        {"alpha": LOG},
        {"max_depth": COUNT},
        {"n_estimators": COUNT, "max_depth": COUNT, "learning_rate": LOG, "subsample": UNIT},
        {"svc_C": LOG, "rf_max_depth": COUNT},
        {"svc_C": LOG, "svc_gamma": LOG, "svc_kernel": KERNEL, "knn_n_neighbors": COUNT},
        {"cp": LOG, "minsplit": COUNT},
        {"learning_rate": LOG, "batch_size": COUNT, "weight_decay": LOG, "momentum": UNIT},
        {"coef0": UNIT, "foo": UNIT, "bar": UNIT, "baz": UNIT, "qux": UNIT},
        {"kernel": UNIT},
        {"x": UNIT, "k": COUNT},
    ],
)
def test_what_several_estimators_or_none_have_is_not_guessed(parameters):
    assert infer_estimator(parameters) is None


def test_the_kind_of_task_tells_a_regressor_from_a_classifier():
    parameters = {"num_leaves": COUNT}
    assert infer_estimator(parameters, family="regressor")[0].name == "lightgbm.LGBMRegressor"
    assert infer_estimator({"C": LOG, "kernel": KERNEL}, family="regressor")[0].name.endswith(
        "SVR"
    )


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=name_of)
def test_all_of_an_estimators_parameters_together_tell_its_group(estimator):
    found = infer_estimator(dict(estimator.space.parameters))
    if estimator.benchmark_only:
        assert found is None
    else:
        assert found is not None
        assert found[0].group == estimator.group


@pytest.mark.parametrize(
    ("scenario", "name"),
    [
        ("rbv2_xgboost", "xgboost.XGBClassifier"),
        ("rbv2_rpart", "rpart"),
        ("lcbench", "lcbench.funnel_mlp"),
    ],
)
def test_the_spaces_of_the_surrogates_are_covered_conditions_too(recorded_data, scenario, name):
    described = json.loads((recorded_data / "surrogates" / scenario / "scenario.json").read_text())
    estimator = resolve_estimator(name)
    matcher = Matcher(estimator)
    canonical = {}
    for h in described["hyperparameters"]:
        if h["type"] == "categorical":
            parameter = Categorical(tuple(h["choices"]))
        elif h["type"] == "uniform_int":
            parameter = Integer(h["lower"], h["upper"], h["log"])
        else:
            parameter = Float(h["lower"], h["upper"], h["log"])
        match = matcher.match(h["name"], parameter)
        assert match is not None, h["name"]
        assert match.overlap == 1.0, h["name"]
        canonical[h["name"]] = match.canonical
    for condition in described["conditions"]:
        ours = estimator.space.conditions[canonical[condition["child"]]]
        expected = condition.get("values") or [condition["value"]]
        assert ours.parameter == canonical[condition["parent"]]
        assert set(ours.values) == set(expected)
