"""The spaces that people really tune: for each estimator a part of its hyperparameters.

The catalogue has all hyperparameters on wide natural ranges. Here are those that are worth
tuning, on the ranges that guides, papers and published studies use, taken together. Every
configuration can be given to the estimator as it is (``set_params``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np

from warmstart.catalogue import resolve_estimator
from warmstart.descriptor import TaskDescriptor
from warmstart.errors import SearchSpaceError
from warmstart.estimator import UNKNOWN, Estimator
from warmstart.space import (
    Categorical,
    Condition,
    Configuration,
    Float,
    Integer,
    Parameter,
    SearchSpace,
    Value,
    from_unit,
    same_choice,
)

__all__ = [
    "default_configuration",
    "draw",
    "search_space",
    "space_filling",
    "tunable_estimators",
    "without_fixed",
]

_Parameters: TypeAlias = dict[str, Parameter]

_NOTHING: Final[Mapping[str, Value]] = MappingProxyType({})
_BOOLEAN: Final = Categorical((True, False))
_CLASS_WEIGHT: Final[_Parameters] = {"class_weight": Categorical((None, "balanced"))}
_N_TREES: Final = Integer(20, 2000, log=True)
_PENALTY: Final = Float(1e-8, 100.0, log=True)
_SHARE: Final = Float(0.3, 1.0)

_LIGHTGBM: Final[_Parameters] = {
    "n_estimators": _N_TREES,
    "learning_rate": Float(0.005, 0.5, log=True),
    "num_leaves": Integer(4, 256, log=True),
    "max_depth": Integer(2, 64, log=True),
    "min_child_samples": Integer(1, 200, log=True),
    "subsample": _SHARE,
    "subsample_freq": Integer(0, 7),
    "colsample_bytree": _SHARE,
    "reg_alpha": _PENALTY,
    "reg_lambda": _PENALTY,
    "min_split_gain": Float(1e-8, 10.0, log=True),
    "extra_trees": _BOOLEAN,
}
_XGBOOST: Final[_Parameters] = {
    "n_estimators": _N_TREES,
    "learning_rate": Float(0.005, 0.5, log=True),
    "max_depth": Integer(1, 16),
    "min_child_weight": Float(0.01, 100.0, log=True),
    "subsample": _SHARE,
    "colsample_bytree": _SHARE,
    "colsample_bylevel": _SHARE,
    "reg_alpha": _PENALTY,
    "reg_lambda": Float(1e-8, 1000.0, log=True),
    "gamma": Float(1e-8, 10.0, log=True),
}
_HIST_GRADIENT_BOOSTING: Final[_Parameters] = {
    "learning_rate": Float(0.005, 1.0, log=True),
    "max_iter": _N_TREES,
    "max_leaf_nodes": Integer(4, 256, log=True),
    "max_depth": Integer(2, 64, log=True),
    "min_samples_leaf": Integer(1, 200, log=True),
    "l2_regularization": Float(1e-8, 1000.0, log=True),
    "max_features": _SHARE,
    "max_bins": Integer(16, 255, log=True),
}
_GRADIENT_BOOSTING: Final[_Parameters] = {
    "n_estimators": _N_TREES,
    "learning_rate": Float(0.005, 0.5, log=True),
    "subsample": _SHARE,
    "max_depth": Integer(1, 16, log=True),
    "min_samples_leaf": Integer(1, 100, log=True),
    "min_samples_split": Integer(2, 100, log=True),
    "max_features": Float(0.1, 1.0),
}
_FOREST: Final[_Parameters] = {
    "n_estimators": Integer(20, 1000, log=True),
    "max_depth": Integer(2, 64, log=True),
    "max_features": Float(0.05, 1.0),
    "min_samples_leaf": Integer(1, 50, log=True),
    "min_samples_split": Integer(2, 50, log=True),
    "bootstrap": _BOOLEAN,
    "max_samples": _SHARE,
}
_FOREST_CONDITIONS: Final = {"max_samples": Condition("bootstrap", (True,))}
_IMPURITY: Final[_Parameters] = {"criterion": Categorical(("gini", "entropy"))}
_ERROR: Final[_Parameters] = {"criterion": Categorical(("squared_error", "absolute_error"))}
_TREE: Final[_Parameters] = {
    "splitter": Categorical(("best", "random")),
    "max_depth": Integer(1, 64, log=True),
    "max_features": Float(0.1, 1.0),
    "min_samples_leaf": Integer(1, 100, log=True),
    "min_samples_split": Integer(2, 100, log=True),
    "ccp_alpha": Float(1e-6, 0.1, log=True),
}
_SUPPORT_VECTOR_MACHINE: Final[_Parameters] = {
    "C": Float(1e-3, 1e4, log=True),
    "kernel": Categorical(("rbf", "poly", "sigmoid", "linear")),
    "gamma": Float(1e-5, 10.0, log=True),
    "degree": Integer(2, 5),
    "coef0": Float(-1.0, 1.0),
}
_KERNEL_CONDITIONS: Final = {
    "gamma": Condition("kernel", ("rbf", "poly", "sigmoid")),
    "degree": Condition("kernel", ("poly",)),
    "coef0": Condition("kernel", ("poly", "sigmoid")),
}
_NEIGHBORS: Final[_Parameters] = {
    "n_neighbors": Integer(1, 100, log=True),
    "weights": Categorical(("uniform", "distance")),
    "metric": Categorical(("minkowski", "euclidean", "manhattan", "chebyshev", "cosine")),
    "p": Integer(1, 4),
}
_MULTILAYER_PERCEPTRON: Final[_Parameters] = {
    "hidden_layer_sizes": Integer(8, 512, log=True),
    "activation": Categorical(("relu", "tanh", "logistic")),
    "solver": Categorical(("adam", "sgd", "lbfgs")),
    "alpha": Float(1e-7, 10.0, log=True),
    "batch_size": Integer(16, 256, log=True),
    "learning_rate": Categorical(("constant", "invscaling", "adaptive")),
    "learning_rate_init": Float(1e-4, 0.1, log=True),
    "momentum": Float(0.5, 0.99),
    "max_iter": Integer(50, 500, log=True),
    "early_stopping": _BOOLEAN,
}
_SOLVER_CONDITIONS: Final = {
    "batch_size": Condition("solver", ("adam", "sgd")),
    "learning_rate": Condition("solver", ("sgd",)),
    "learning_rate_init": Condition("solver", ("adam", "sgd")),
    "momentum": Condition("solver", ("sgd",)),
    "early_stopping": Condition("solver", ("adam", "sgd")),
}


def _logistic_regression() -> SearchSpace:
    saga = Condition("solver", ("saga",))
    space: _Parameters = {
        "C": Float(1e-4, 1e4, log=True),
        "solver": Categorical(("lbfgs", "saga")),
        "l1_ratio": Float(0.0, 1.0),
        "max_iter": Integer(50, 1000, log=True),
        **_CLASS_WEIGHT,
    }
    conditions = {"l1_ratio": saga}
    if not _l1_ratio_is_enough():
        space["penalty"] = Categorical(("elasticnet",))
        conditions["penalty"] = saga
    return SearchSpace(space, conditions)


def _l1_ratio_is_enough() -> bool:
    """Whether the installed scikit-learn (from 1.8 on) needs no ``penalty`` beside it."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        major, minor = version("scikit-learn").split(".")[:2]
    except PackageNotFoundError:
        return True
    return (int(major), int(minor)) >= (1, 8)


_FORESTS: Final = ("RandomForest", "ExtraTrees")
_SPACES: Final[Mapping[str, SearchSpace]] = {
    "lightgbm.LGBMClassifier": SearchSpace({**_LIGHTGBM, **_CLASS_WEIGHT}),
    "lightgbm.LGBMRegressor": SearchSpace(_LIGHTGBM),
    "xgboost.XGBClassifier": SearchSpace(_XGBOOST),
    "xgboost.XGBRegressor": SearchSpace(_XGBOOST),
    "sklearn.ensemble.HistGradientBoostingClassifier": SearchSpace(
        {**_HIST_GRADIENT_BOOSTING, **_CLASS_WEIGHT}
    ),
    "sklearn.ensemble.HistGradientBoostingRegressor": SearchSpace(_HIST_GRADIENT_BOOSTING),
    **{
        f"sklearn.ensemble.{forest}Classifier": SearchSpace(
            {
                **_FOREST,
                **_IMPURITY,
                "class_weight": Categorical((None, "balanced", "balanced_subsample")),
            },
            _FOREST_CONDITIONS,
        )
        for forest in _FORESTS
    },
    **{
        f"sklearn.ensemble.{forest}Regressor": SearchSpace(
            {**_FOREST, **_ERROR}, _FOREST_CONDITIONS
        )
        for forest in _FORESTS
    },
    "sklearn.ensemble.GradientBoostingClassifier": SearchSpace(_GRADIENT_BOOSTING),
    "sklearn.ensemble.GradientBoostingRegressor": SearchSpace(
        {
            **_GRADIENT_BOOSTING,
            "loss": Categorical(("squared_error", "absolute_error", "huber")),
        }
    ),
    "sklearn.ensemble.AdaBoostClassifier": SearchSpace(
        {
            "n_estimators": Integer(20, 500, log=True),
            "learning_rate": Float(0.01, 2.0, log=True),
            "estimator__max_depth": Integer(1, 10, log=True),
        }
    ),
    "sklearn.tree.DecisionTreeClassifier": SearchSpace({**_TREE, **_IMPURITY, **_CLASS_WEIGHT}),
    "sklearn.tree.DecisionTreeRegressor": SearchSpace({**_TREE, **_ERROR}),
    "sklearn.linear_model.LogisticRegression": _logistic_regression(),
    "sklearn.linear_model.ElasticNet": SearchSpace(
        {
            "alpha": Float(1e-5, 100.0, log=True),
            "l1_ratio": Float(0.0, 1.0),
            "max_iter": Integer(100, 10_000, log=True),
            "positive": _BOOLEAN,
            "selection": Categorical(("cyclic", "random")),
        }
    ),
    "sklearn.linear_model.Ridge": SearchSpace({"alpha": Float(1e-5, 1e5, log=True)}),
    "sklearn.svm.SVC": SearchSpace(
        {**_SUPPORT_VECTOR_MACHINE, **_CLASS_WEIGHT}, _KERNEL_CONDITIONS
    ),
    "sklearn.svm.SVR": SearchSpace(
        {**_SUPPORT_VECTOR_MACHINE, "epsilon": Float(1e-3, 1.0, log=True)}, _KERNEL_CONDITIONS
    ),
    **{
        f"sklearn.neighbors.KNeighbors{kind}": SearchSpace(
            _NEIGHBORS, {"p": Condition("metric", ("minkowski",))}
        )
        for kind in ("Classifier", "Regressor")
    },
    **{
        f"sklearn.neural_network.MLP{kind}": SearchSpace(
            _MULTILAYER_PERCEPTRON, _SOLVER_CONDITIONS
        )
        for kind in ("Classifier", "Regressor")
    },
}

#: Hyperparameters whose largest sensible value is a share of the task's rows.
_COUNTED_IN_ROWS: Final = {
    "n_neighbors": 0.5,
    "min_child_samples": 0.25,
    "min_samples_leaf": 0.25,
    "min_samples_split": 0.5,
    "batch_size": 0.4,  # Of half of the rows, networks may keep a tenth to stop early.
}
_FEWEST_ROWS: Final = 2  # that all of these can be


def tunable_estimators() -> list[str]:
    """The canonical names of all estimators that have a space here."""
    return sorted(_SPACES)


def search_space(
    estimator: object,
    *,
    task: TaskDescriptor | None = None,
    fixed: Mapping[str, Value] = _NOTHING,
) -> SearchSpace:
    """What people tune of an estimator, as wide as they do.

    Args:
        estimator: A name, class or instance, as ``resolve_estimator`` takes it.
        task: What is known of the data: what counts rows ends at a share of those there are.
        fixed: Values of hyperparameters that are not to be tuned, by canonical name; what has
            no effect with them is left out, too. Others than those of the space are ignored.

    Raises:
        UnknownEstimatorError: If the catalogue has no such estimator.
        SearchSpaceError: If it has, but no space is known for it here.

    Example:
        >>> space = search_space("KNeighborsClassifier", fixed={"metric": "manhattan"})
        >>> sorted(space.parameters)
        ['n_neighbors', 'weights']
    """
    known = resolve_estimator(estimator)
    if known.name not in _SPACES:
        raise SearchSpaceError(
            f"estimator={known.name!r} given; expected one of {tunable_estimators()}."
        )
    space = without_fixed(_SPACES[known.name], fixed)
    n_rows = math.nan if task is None else task.metafeatures["NumberOfInstances"]
    if math.isnan(n_rows):
        return space
    parameters = {name: _within(name, p, n_rows) for name, p in space.parameters.items()}
    return SearchSpace(parameters, space.conditions)


def default_configuration(estimator: object, space: SearchSpace) -> dict[str, Value]:
    """The library's defaults of the hyperparameters in ``space``, as the library writes them.

    They may lie outside of the space's ranges: ``None`` for no limit, or ``"scale"``.

    Args:
        estimator: As for ``search_space``.
        space: Of that estimator, under canonical names.

    Raises:
        SearchSpaceError: If the space has a hyperparameter without a default in the catalogue.
    """
    known = resolve_estimator(estimator)
    configuration: dict[str, Value] = {}
    for name in space.ordered_names():
        if space.is_active(name, configuration):
            configuration[name] = _default(known, name)
    return {name: configuration[name] for name in space.parameters if name in configuration}


def draw(space: SearchSpace, rng: np.random.Generator) -> dict[str, Value]:
    """One configuration, drawn uniformly on the parameters' scales."""
    return space.sample(1, rng)[0]


def space_filling(space: SearchSpace, n: int, *, seed: int) -> list[dict[str, Value]]:
    """``n`` configurations that fill the space evenly: points of a scrambled Sobol sequence.

    Inactive hyperparameters are left out. The first ones are the same for every ``n``.

    Args:
        space: At most 21,201 parameters.
        n: At most 2**30.
        seed: Of the scrambling.
    """
    from scipy.stats import qmc

    if not space.parameters:
        return [{} for _ in range(n)]
    sequence = qmc.Sobol(len(space.parameters), scramble=True, rng=np.random.default_rng(seed))
    points = sequence.random_base2(max(0, math.ceil(math.log2(max(n, 1)))))[:n]
    return [dict(_at(space, point)) for point in points]


def _at(space: SearchSpace, point: np.ndarray) -> Iterator[tuple[str, Value]]:
    values = {
        name: from_unit(parameter, float(unit))
        for (name, parameter), unit in zip(space.parameters.items(), point, strict=True)
    }
    for name, value in values.items():
        if space.is_active(name, values):
            yield name, value


def without_fixed(space: SearchSpace, fixed: Configuration) -> SearchSpace:
    """The space without what is fixed, and without what has no effect then."""
    parameters: dict[str, Parameter] = {}
    conditions: dict[str, Condition] = {}
    for name in space.ordered_names():
        if name in fixed:
            continue
        condition = space.conditions.get(name)
        if condition is not None and condition.parameter in fixed:
            if not same_choice(fixed[condition.parameter], condition.values):
                continue
        elif condition is not None:
            if condition.parameter not in parameters:
                continue
            conditions[name] = condition
        parameters[name] = space.parameters[name]
    return SearchSpace(
        {name: parameters[name] for name in space.parameters if name in parameters}, conditions
    )


def _within(name: str, parameter: Parameter, n_rows: float) -> Parameter:
    share = _COUNTED_IN_ROWS.get(name)
    if share is None or not isinstance(parameter, Integer):
        return parameter
    most = max(int(share * n_rows), min(parameter.low, _FEWEST_ROWS))
    low, high = min(parameter.low, most), min(parameter.high, most)
    return Integer(low, high, parameter.log, parameter.step)


def _default(estimator: Estimator, name: str) -> Any:
    for hyperparameter in estimator.hyperparameters:
        if hyperparameter.name == name and hyperparameter.default is not UNKNOWN:
            return hyperparameter.default
    raise SearchSpaceError(f"{name!r} given; the catalogue has no default for it.")
