"""Hyperparameters of scikit-learn's estimators: natural ranges, defaults, aliases, conditions.

Defaults are those of scikit-learn 1.9; what later versions removed keeps the value that it has
there in effect. ``None`` for a size without limit stands for the upper end of its natural range.
"""

from __future__ import annotations

from dataclasses import replace

from warmstart.estimator import (
    Estimator,
    Hyperparameter,
    automatic_batch,
    log2_of_features,
    one_over_features,
    square_root_of_features,
)
from warmstart.space import Categorical, Condition, Float, Integer, Value

_N_TREES = ("n_trees", "num_trees", "ntrees", "ntree", "num_estimators", "trees")
_KERNELS = ("kernel", "rbf", "poly", "sigmoid")
_BOOLEAN = Categorical((True, False))

IMPUTER_STRATEGY = Hyperparameter(
    "imputer__strategy",
    Categorical(("mean", "median", "most_frequent")),
    default="mean",
    aliases=(
        "imputer",
        "simpleimputer__strategy",
        "impute__strategy",
        "imputation__strategy",
        "imputation",
        "imp__strategy",
        "num_imputer__strategy",
        "strategy",
    ),
    value_aliases={"mode": "most_frequent", "impute.mean": "mean", "impute.median": "median"},
    component="imputer",
)

_MAX_DEPTH = Hyperparameter(
    "max_depth",
    Integer(1, 64, log=True),
    default=None,
    aliases=("depth", "tree_depth"),
    special={None: 64.0},
)
_MAX_FEATURES = Hyperparameter(
    "max_features",
    Float(0.01, 1.0),
    default="sqrt",
    aliases=("mtry", "max_features_fraction"),
    special={
        "sqrt": square_root_of_features,
        "auto": square_root_of_features,
        "log2": log2_of_features,
        None: 1.0,
    },
    counted_in="n_features",
)
_ALL_FEATURES = replace(_MAX_FEATURES, default=1.0, special={**_MAX_FEATURES.special, "auto": 1.0})
_TREE_SIZE = (
    Hyperparameter(
        "min_samples_leaf", Integer(1, 200, log=True), default=1, counted_in="n_samples"
    ),
    Hyperparameter(
        "min_samples_split", Integer(2, 200, log=True), default=2, counted_in="n_samples"
    ),
    Hyperparameter(
        "max_leaf_nodes",
        Integer(2, 65536, log=True),
        default=None,
        special={None: 65536.0},
    ),
    Hyperparameter("min_impurity_decrease", Float(1e-8, 1.0, log=True), default=0.0),
    Hyperparameter("min_weight_fraction_leaf", Float(0.0, 0.5), default=0.0),
    Hyperparameter("ccp_alpha", Float(1e-8, 1.0, log=True), default=0.0),
)
_IMPURITY = Hyperparameter(
    "criterion",
    Categorical(("gini", "entropy")),
    default="gini",
    # scikit-learn's trees use one and the same criterion under both names.
    value_aliases={"log_loss": "entropy"},
)
_SQUARED_ERROR = Hyperparameter(
    "criterion",
    Categorical(("squared_error", "absolute_error", "friedman_mse", "poisson")),
    default="squared_error",
    value_aliases={"mse": "squared_error", "mae": "absolute_error"},
)


def _class_weight(*choices: Value) -> Hyperparameter:
    return Hyperparameter("class_weight", Categorical((None, "balanced", *choices)), default=None)


def _forest(name: str, family: str, tags: tuple[str, ...], *, bootstrap: bool = True) -> Estimator:
    classifies = family == "classifier"
    return Estimator(
        name=f"sklearn.ensemble.{name}",
        hyperparameters=(
            Hyperparameter(
                "n_estimators", Integer(10, 2000, log=True), default=100, aliases=_N_TREES
            ),
            _IMPURITY if classifies else _SQUARED_ERROR,
            _MAX_DEPTH,
            _MAX_FEATURES if classifies else _ALL_FEATURES,
            *_TREE_SIZE,
            Hyperparameter("bootstrap", _BOOLEAN, default=bootstrap),
            Hyperparameter(
                "max_samples",
                Float(0.01, 1.0),
                default=None,
                condition=Condition("bootstrap", (True,)),
                special={None: 1.0},
                counted_in="n_samples",
            ),
            *([_class_weight("balanced_subsample")] if classifies else []),
            IMPUTER_STRATEGY,
        ),
        family=family,
        group="forest",
        tags=(*tags, "forest", "tree", "trees"),
    )


def _tree(name: str, family: str) -> Estimator:
    classifies = family == "classifier"
    return Estimator(
        name=f"sklearn.tree.{name}",
        hyperparameters=(
            _IMPURITY if classifies else _SQUARED_ERROR,
            Hyperparameter("splitter", Categorical(("best", "random")), default="best"),
            _MAX_DEPTH,
            replace(_ALL_FEATURES, default=None),
            *_TREE_SIZE,
            *([_class_weight()] if classifies else []),
            IMPUTER_STRATEGY,
        ),
        family=family,
        group="tree",
        tags=("dt", "tree", "decisiontree", "dtc", "dtr", "cart"),
    )


def _gradient_boosting(name: str, family: str) -> Estimator:
    losses: tuple[Value, ...] = ("log_loss", "exponential")
    if family == "regressor":
        losses = ("squared_error", "absolute_error", "huber", "quantile")
    return Estimator(
        name=f"sklearn.ensemble.{name}",
        hyperparameters=(
            Hyperparameter("loss", Categorical(losses), default=losses[0]),
            Hyperparameter(
                "learning_rate", Float(1e-3, 1.0, log=True), default=0.1, aliases=("lr",)
            ),
            Hyperparameter(
                "n_estimators", Integer(10, 5000, log=True), default=100, aliases=_N_TREES
            ),
            Hyperparameter("subsample", Float(0.05, 1.0), default=1.0),
            replace(_MAX_DEPTH, default=3),
            replace(_ALL_FEATURES, default=None),
            *_TREE_SIZE,
            Hyperparameter("validation_fraction", Float(0.01, 0.5), default=0.1),
            Hyperparameter("tol", Float(1e-8, 0.1, log=True), default=1e-4),
            IMPUTER_STRATEGY,
        ),
        family=family,
        group="gradient_boosting",
        tags=("gb", "gbm", "gbdt", "gbc", "gbr", "gbrt", "gradientboosting", "boosting", "tree"),
    )


def _hist_gradient_boosting(name: str, family: str) -> Estimator:
    return Estimator(
        name=f"sklearn.ensemble.{name}",
        hyperparameters=(
            Hyperparameter(
                "learning_rate", Float(1e-3, 1.0, log=True), default=0.1, aliases=("lr",)
            ),
            Hyperparameter(
                "max_iter",
                Integer(10, 5000, log=True),
                default=100,
                aliases=("n_estimators", "n_iter", "num_boost_round", *_N_TREES),
            ),
            Hyperparameter(
                "max_leaf_nodes",
                Integer(2, 4096, log=True),
                default=31,
                aliases=("num_leaves", "max_leaves"),
                special={None: 4096.0},
            ),
            _MAX_DEPTH,
            Hyperparameter("min_samples_leaf", Integer(1, 1000, log=True), default=20),
            Hyperparameter(
                "l2_regularization",
                Float(1e-8, 1e4, log=True),
                default=0.0,
                aliases=("l2", "reg_lambda", "lambda_l2"),
            ),
            Hyperparameter("max_features", Float(0.01, 1.0), default=1.0),
            Hyperparameter(
                "max_bins", Integer(2, 255, log=True), default=255, aliases=("max_bin",)
            ),
            Hyperparameter("early_stopping", Categorical(("auto", True, False)), default="auto"),
            Hyperparameter("validation_fraction", Float(0.01, 0.5), default=0.1),
            Hyperparameter("n_iter_no_change", Integer(1, 200, log=True), default=10),
            Hyperparameter("tol", Float(1e-9, 0.1, log=True), default=1e-7),
            *([_class_weight()] if family == "classifier" else []),
        ),
        family=family,
        group="hist_gradient_boosting",
        tags=(
            *("hgb", "hgbc", "hgbr", "hgbt", "hgbm", "histgb", "histgbm", "hist", "gb", "gbm"),
            *("gbdt", "histgradientboosting", "histgradientboost", "boosting", "tree"),
        ),
    )


def _support_vector_machine(
    name: str, family: str, tags: tuple[str, ...], *own: Hyperparameter
) -> Estimator:
    return Estimator(
        name=f"sklearn.svm.{name}",
        hyperparameters=(
            Hyperparameter(
                "C",
                Float(1e-6, 1e6, log=True),
                default=1.0,
                aliases=("cost",),
                within=_KERNELS,
            ),
            Hyperparameter(
                "kernel",
                Categorical(("rbf", "poly", "sigmoid", "linear")),
                default="rbf",
                value_aliases={
                    "polynomial": "poly",
                    "radial": "rbf",
                    "gaussian": "rbf",
                    "lin": "linear",
                },
            ),
            Hyperparameter(
                "gamma",
                Float(1e-7, 1e3, log=True),
                default="scale",
                condition=Condition("kernel", ("rbf", "poly", "sigmoid")),
                special={"scale": one_over_features, "auto": one_over_features},
                within=_KERNELS,
            ),
            Hyperparameter(
                "degree",
                Integer(1, 10),
                default=3,
                condition=Condition("kernel", ("poly",)),
                within=_KERNELS,
            ),
            Hyperparameter(
                "coef0",
                Float(-10.0, 10.0),
                default=0.0,
                condition=Condition("kernel", ("poly", "sigmoid")),
                within=_KERNELS,
            ),
            Hyperparameter("shrinking", _BOOLEAN, default=True),
            Hyperparameter(
                "tol", Float(1e-7, 1.0, log=True), default=1e-3, aliases=("tolerance",)
            ),
            Hyperparameter(
                "max_iter", Integer(10, 1_000_000, log=True), default=-1, special={-1: 1e6}
            ),
            *own,
            IMPUTER_STRATEGY,
        ),
        family=family,
        group="support_vector_machine",
        tags=(*tags, "svm", "supportvector", "supportvectormachine"),
    )


def _neighbors(name: str, family: str) -> Estimator:
    return Estimator(
        name=f"sklearn.neighbors.{name}",
        hyperparameters=(
            Hyperparameter(
                "n_neighbors",
                Integer(1, 200, log=True),
                default=5,
                aliases=("k", "num_neighbors", "neighbors", "n_neighbours"),
            ),
            Hyperparameter("weights", Categorical(("uniform", "distance")), default="uniform"),
            Hyperparameter(
                "algorithm",
                Categorical(("auto", "ball_tree", "kd_tree", "brute")),
                default="auto",
            ),
            Hyperparameter("leaf_size", Integer(1, 200, log=True), default=30),
            Hyperparameter(
                "p",
                Float(1.0, 10.0),
                default=2,
                condition=Condition("metric", ("minkowski",)),
            ),
            Hyperparameter(
                "metric",
                Categorical(("minkowski", "euclidean", "manhattan", "chebyshev", "cosine")),
                default="minkowski",
                value_aliases={"l1": "manhattan", "cityblock": "manhattan", "l2": "euclidean"},
            ),
            IMPUTER_STRATEGY,
        ),
        family=family,
        group="neighbors",
        tags=("knn", "kneighbors", "kneighbor", "nearestneighbors", "nn", "knc", "knr"),
    )


def _multilayer_perceptron(name: str, family: str) -> Estimator:
    return Estimator(
        name=f"sklearn.neural_network.{name}",
        hyperparameters=(
            # The width of one hidden layer: (100,) counts as 100.
            Hyperparameter(
                "hidden_layer_sizes",
                Integer(4, 2048, log=True),
                default=100,
                aliases=(
                    "hidden_layer_size",
                    "hidden_size",
                    "hidden_units",
                    "n_hidden",
                    "n_units",
                ),
            ),
            Hyperparameter(
                "activation",
                Categorical(("relu", "tanh", "logistic", "identity")),
                default="relu",
                value_aliases={"sigmoid": "logistic", "linear": "identity"},
            ),
            Hyperparameter("solver", Categorical(("adam", "sgd", "lbfgs")), default="adam"),
            Hyperparameter(
                "alpha",
                Float(1e-9, 10.0, log=True),
                default=1e-4,
                aliases=("weight_decay", "l2", "l2_regularization"),
            ),
            Hyperparameter(
                "batch_size",
                Integer(8, 4096, log=True),
                default="auto",
                special={"auto": automatic_batch},
            ),
            Hyperparameter(
                "learning_rate",
                Categorical(("constant", "invscaling", "adaptive")),
                default="constant",
                condition=Condition("solver", ("sgd",)),
            ),
            Hyperparameter(
                "learning_rate_init",
                Float(1e-6, 1.0, log=True),
                default=1e-3,
                condition=Condition("solver", ("adam", "sgd")),
                # A number given for learning_rate can only mean this one.
                aliases=("learning_rate", "lr", "initial_learning_rate"),
            ),
            Hyperparameter(
                "max_iter", Integer(10, 5000, log=True), default=200, aliases=("epochs",)
            ),
            Hyperparameter("tol", Float(1e-7, 0.1, log=True), default=1e-4),
            Hyperparameter(
                "momentum",
                Float(0.0, 1.0),
                default=0.9,
                condition=Condition("solver", ("sgd",)),
                within=("sgd",),
            ),
            Hyperparameter(
                "beta_1",
                Float(0.0, 1.0),
                default=0.9,
                condition=Condition("solver", ("adam",)),
                within=("adam",),
            ),
            Hyperparameter(
                "beta_2",
                Float(0.0, 1.0),
                default=0.999,
                condition=Condition("solver", ("adam",)),
                within=("adam",),
            ),
            Hyperparameter("early_stopping", _BOOLEAN, default=False),
            Hyperparameter("validation_fraction", Float(0.01, 0.5), default=0.1),
            Hyperparameter("n_iter_no_change", Integer(1, 200, log=True), default=10),
            IMPUTER_STRATEGY,
        ),
        family=family,
        group="multilayer_perceptron",
        tags=(
            "mlp",
            "mlpc",
            "mlpr",
            "nn",
            "net",
            "neuralnetwork",
            "neuralnet",
            "multilayerperceptron",
            "ann",
        ),
    )


_LOGISTIC_REGRESSION = Estimator(
    name="sklearn.linear_model.LogisticRegression",
    hyperparameters=(
        Hyperparameter("C", Float(1e-6, 1e6, log=True), default=1.0),
        Hyperparameter(
            "penalty",
            Categorical(("l2", "l1", "elasticnet", None)),
            default="l2",
        ),
        Hyperparameter(
            "l1_ratio",
            Float(0.0, 1.0),
            default=0.0,
            condition=Condition("penalty", ("elasticnet",)),
            special={None: 0.0},
        ),
        Hyperparameter(
            "solver",
            Categorical(("lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga")),
            default="lbfgs",
        ),
        Hyperparameter("max_iter", Integer(10, 10_000, log=True), default=100),
        Hyperparameter("tol", Float(1e-7, 0.1, log=True), default=1e-4, aliases=("tolerance",)),
        Hyperparameter("fit_intercept", _BOOLEAN, default=True),
        _class_weight(),
        IMPUTER_STRATEGY,
    ),
    family="classifier",
    group="logistic_regression",
    tags=("lr", "logreg", "logistic", "logit", "logr", "logisticreg"),
)

_ELASTIC_NET = Estimator(
    name="sklearn.linear_model.ElasticNet",
    hyperparameters=(
        Hyperparameter("alpha", Float(1e-7, 1e3, log=True), default=1.0, aliases=("lambda",)),
        Hyperparameter("l1_ratio", Float(0.0, 1.0), default=0.5),
        Hyperparameter("max_iter", Integer(10, 100_000, log=True), default=1000),
        Hyperparameter("tol", Float(1e-7, 0.1, log=True), default=1e-4, aliases=("tolerance",)),
        Hyperparameter("fit_intercept", _BOOLEAN, default=True),
        Hyperparameter("selection", Categorical(("cyclic", "random")), default="cyclic"),
        Hyperparameter("positive", _BOOLEAN, default=False),
        IMPUTER_STRATEGY,
    ),
    family="regressor",
    group="elastic_net",
    tags=("en", "enet", "elastic", "glmnet"),
)

_RIDGE = Estimator(
    name="sklearn.linear_model.Ridge",
    hyperparameters=(
        Hyperparameter("alpha", Float(1e-7, 1e5, log=True), default=1.0, aliases=("lambda", "l2")),
        Hyperparameter(
            "solver",
            Categorical(("auto", "svd", "cholesky", "lsqr", "sparse_cg", "sag", "saga", "lbfgs")),
            default="auto",
        ),
        Hyperparameter("tol", Float(1e-7, 0.1, log=True), default=1e-4, aliases=("tolerance",)),
        Hyperparameter("fit_intercept", _BOOLEAN, default=True),
        Hyperparameter("positive", _BOOLEAN, default=False),
        IMPUTER_STRATEGY,
    ),
    family="regressor",
    group="ridge",
    tags=("ridgereg", "ridgeregression"),
)

_ADA_BOOST = Estimator(
    name="sklearn.ensemble.AdaBoostClassifier",
    hyperparameters=(
        Hyperparameter(
            "algorithm",
            # "SAMME.R" is gone from today's scikit-learn; the runs of 2018 have both.
            Categorical(("SAMME", "SAMME.R")),
            default="SAMME",
        ),
        Hyperparameter("learning_rate", Float(1e-3, 10.0, log=True), default=1.0, aliases=("lr",)),
        Hyperparameter("n_estimators", Integer(10, 2000, log=True), default=50, aliases=_N_TREES),
        Hyperparameter(
            "estimator__max_depth",
            Integer(1, 64, log=True),
            default=1,
            aliases=(
                "base_estimator__max_depth",
                "base_max_depth",
                "max_depth",
                "depth",
                "tree_depth",
            ),
            special={None: 64.0},
            within=("dt", "tree", "decisiontree", "dtc", "stump", "weak"),
        ),
        IMPUTER_STRATEGY,
    ),
    family="classifier",
    group="ada_boost",
    tags=("ada", "adaboost", "adb", "abc", "ab"),
)

SKLEARN_ESTIMATORS = (
    _forest("RandomForestClassifier", "classifier", ("rf", "rfc", "randomforest", "ranger")),
    _forest("RandomForestRegressor", "regressor", ("rf", "rfr", "randomforest", "ranger")),
    _forest(
        "ExtraTreesClassifier",
        "classifier",
        ("et", "etc", "xt", "extratrees", "extratree", "ert"),
        bootstrap=False,
    ),
    _forest(
        "ExtraTreesRegressor",
        "regressor",
        ("et", "etr", "xt", "extratrees", "extratree", "ert"),
        bootstrap=False,
    ),
    _ADA_BOOST,
    _support_vector_machine(
        "SVC", "classifier", ("svc", "csvc", "supportvectorclassifier"), _class_weight()
    ),
    _support_vector_machine(
        "SVR",
        "regressor",
        ("svr", "supportvectorregressor"),
        Hyperparameter("epsilon", Float(1e-5, 10.0, log=True), default=0.1, aliases=("eps",)),
    ),
    _hist_gradient_boosting("HistGradientBoostingClassifier", "classifier"),
    _hist_gradient_boosting("HistGradientBoostingRegressor", "regressor"),
    _gradient_boosting("GradientBoostingClassifier", "classifier"),
    _gradient_boosting("GradientBoostingRegressor", "regressor"),
    _tree("DecisionTreeClassifier", "classifier"),
    _tree("DecisionTreeRegressor", "regressor"),
    _LOGISTIC_REGRESSION,
    _neighbors("KNeighborsClassifier", "classifier"),
    _neighbors("KNeighborsRegressor", "regressor"),
    _multilayer_perceptron("MLPClassifier", "classifier"),
    _multilayer_perceptron("MLPRegressor", "regressor"),
    _ELASTIC_NET,
    _RIDGE,
)
