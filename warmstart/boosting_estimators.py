"""Hyperparameters of XGBoost and LightGBM under the names of their scikit-learn classes.

Defaults and aliases are those documented for XGBoost 3.2 and LightGBM 4.7; where the classes say
``None``, the library's documented value stands here.
"""

from __future__ import annotations

from warmstart.estimator import Estimator, Hyperparameter
from warmstart.space import Categorical, Condition, Float, Integer

# What users of either library write beside the documented aliases.
_N_TREES = ("n_trees", "ntrees", "num_trees", "num_estimators", "n_rounds")

_MEAN_MEDIAN_HIST = Hyperparameter(
    "num.impute.selected.cpo",
    Categorical(("impute.mean", "impute.median", "impute.hist")),
    default="impute.mean",
    aliases=(
        "num_impute",
        "imputer__strategy",
        "imputer",
        "simpleimputer__strategy",
        "imputation",
    ),
    value_aliases={"mean": "impute.mean", "median": "impute.median", "hist": "impute.hist"},
    component="imputer",
)

# Of LightGBM's class, which turns it into weights of rows.
_CLASS_WEIGHT = Hyperparameter("class_weight", Categorical((None, "balanced")), default=None)


def _xgboost(name: str, family: str, tags: tuple[str, ...]) -> Estimator:
    trees = Condition("booster", ("gbtree", "dart"))
    dart = Condition("booster", ("dart",))
    return Estimator(
        name=f"xgboost.{name}",
        hyperparameters=(
            Hyperparameter(
                "booster", Categorical(("gblinear", "gbtree", "dart")), default="gbtree"
            ),
            Hyperparameter(
                "n_estimators",
                Integer(1, 10_000, log=True),
                default=100,
                aliases=("nrounds", "nround", "num_boost_round", "num_round", *_N_TREES),
            ),
            Hyperparameter(
                "learning_rate",
                Float(1e-4, 1.0, log=True),
                default=0.3,
                aliases=("eta", "lr"),
                condition=trees,
            ),
            Hyperparameter(
                "reg_lambda",
                Float(1e-8, 1e4, log=True),
                default=1.0,
                aliases=("lambda", "lambda_l2", "l2_regularization", "reg_l2", "l2"),
            ),
            Hyperparameter(
                "reg_alpha",
                Float(1e-8, 1e4, log=True),
                default=0.0,
                aliases=("alpha", "lambda_l1", "l1_regularization", "reg_l1", "l1"),
            ),
            Hyperparameter(
                "gamma",
                Float(1e-8, 1e3, log=True),
                default=0.0,
                aliases=("min_split_loss",),
                condition=trees,
            ),
            Hyperparameter("subsample", Float(0.01, 1.0), default=1.0),
            Hyperparameter(
                "max_depth",
                Integer(1, 32),
                default=6,
                aliases=("depth", "tree_depth"),
                condition=trees,
                special={0: 32.0},
            ),
            Hyperparameter(
                "min_child_weight", Float(1e-3, 1e3, log=True), default=1.0, condition=trees
            ),
            Hyperparameter(
                "colsample_bytree",
                Float(0.01, 1.0),
                default=1.0,
                condition=trees,
                aliases=("colsample",),
            ),
            Hyperparameter("colsample_bylevel", Float(0.01, 1.0), default=1.0, condition=trees),
            Hyperparameter("colsample_bynode", Float(0.01, 1.0), default=1.0, condition=trees),
            Hyperparameter("rate_drop", Float(0.0, 1.0), default=0.0, condition=dart),
            Hyperparameter("skip_drop", Float(0.0, 1.0), default=0.0, condition=dart),
            Hyperparameter(
                "grow_policy",
                Categorical(("depthwise", "lossguide")),
                default="depthwise",
                condition=trees,
            ),
            Hyperparameter(
                "max_leaves",
                Integer(2, 4096, log=True),
                default=0,
                condition=trees,
                special={0: 4096.0},
            ),
            Hyperparameter(
                "max_bin", Integer(2, 1024, log=True), default=256, aliases=("max_bins",)
            ),
            Hyperparameter("max_delta_step", Float(0.0, 10.0), default=0.0, condition=trees),
            Hyperparameter("scale_pos_weight", Float(1e-3, 1e3, log=True), default=1.0),
            _MEAN_MEDIAN_HIST,
        ),
        family=family,
        group="xgboost",
        tags=(*tags, "xgb", "xgboost", "xgbm", "gbm", "gbdt", "gb", "boosting", "tree"),
    )


def _lightgbm(name: str, family: str, tags: tuple[str, ...]) -> Estimator:
    dart = Condition("boosting_type", ("dart",))
    return Estimator(
        name=f"lightgbm.{name}",
        hyperparameters=(
            Hyperparameter(
                "boosting_type",
                Categorical(("gbdt", "dart", "rf")),
                default="gbdt",
                aliases=("boosting", "boost"),
                value_aliases={"gbrt": "gbdt", "random_forest": "rf"},
            ),
            Hyperparameter(
                "n_estimators",
                Integer(1, 10_000, log=True),
                default=100,
                aliases=(
                    *("num_iterations", "num_iteration", "n_iter", "num_tree", "num_round"),
                    *("num_rounds", "nrounds", "num_boost_round", "max_iter", *_N_TREES),
                ),
            ),
            Hyperparameter(
                "learning_rate",
                Float(1e-4, 1.0, log=True),
                default=0.1,
                aliases=("shrinkage_rate", "eta", "lr"),
            ),
            Hyperparameter(
                "num_leaves",
                Integer(2, 4096, log=True),
                default=31,
                aliases=("num_leaf", "max_leaves", "max_leaf", "max_leaf_nodes", "n_leaves"),
            ),
            Hyperparameter(
                "max_depth",
                Integer(1, 64, log=True),
                default=-1,
                aliases=("depth", "tree_depth"),
                special={-1: 64.0, 0: 64.0},
            ),
            Hyperparameter(
                "min_child_samples",
                Integer(1, 1000, log=True),
                default=20,
                aliases=("min_data_in_leaf", "min_data_per_leaf", "min_data", "min_samples_leaf"),
            ),
            Hyperparameter(
                "min_child_weight",
                Float(1e-6, 1e3, log=True),
                default=1e-3,
                aliases=(
                    *("min_sum_hessian_in_leaf", "min_sum_hessian_per_leaf"),
                    *("min_sum_hessian", "min_hessian"),
                ),
            ),
            Hyperparameter(
                "min_split_gain",
                Float(1e-8, 1e3, log=True),
                default=0.0,
                aliases=("min_gain_to_split",),
            ),
            Hyperparameter(
                "subsample",
                Float(0.01, 1.0),
                default=1.0,
                aliases=("bagging_fraction", "sub_row", "bagging"),
            ),
            Hyperparameter("subsample_freq", Integer(0, 20), default=0, aliases=("bagging_freq",)),
            Hyperparameter(
                "colsample_bytree",
                Float(0.01, 1.0),
                default=1.0,
                aliases=("feature_fraction", "sub_feature"),
            ),
            Hyperparameter(
                "feature_fraction_bynode",
                Float(0.01, 1.0),
                default=1.0,
                aliases=("sub_feature_bynode", "colsample_bynode"),
            ),
            Hyperparameter(
                "reg_alpha",
                Float(1e-8, 1e4, log=True),
                default=0.0,
                aliases=("lambda_l1", "l1_regularization", "reg_l1", "l1"),
            ),
            Hyperparameter(
                "reg_lambda",
                Float(1e-8, 1e4, log=True),
                default=0.0,
                aliases=("lambda_l2", "lambda", "l2_regularization", "reg_l2", "l2"),
            ),
            Hyperparameter(
                "max_bin", Integer(2, 1024, log=True), default=255, aliases=("max_bins",)
            ),
            Hyperparameter(
                "subsample_for_bin",
                Integer(1000, 1_000_000, log=True),
                default=200_000,
                aliases=("bin_construct_sample_cnt",),
            ),
            Hyperparameter("path_smooth", Float(1e-8, 1e3, log=True), default=0.0),
            Hyperparameter(
                "extra_trees",
                Categorical((True, False)),
                default=False,
                aliases=("extra_tree",),
            ),
            Hyperparameter("cat_smooth", Float(1e-3, 1e3, log=True), default=10.0),
            Hyperparameter("cat_l2", Float(1e-3, 1e3, log=True), default=10.0),
            Hyperparameter(
                "drop_rate",
                Float(0.0, 1.0),
                default=0.1,
                aliases=("rate_drop",),
                condition=dart,
            ),
            Hyperparameter("skip_drop", Float(0.0, 1.0), default=0.5, condition=dart),
            *([_CLASS_WEIGHT] if family == "classifier" else []),
        ),
        family=family,
        group="lightgbm",
        tags=(*tags, "lgb", "lgbm", "lightgbm", "gbm", "gbdt", "gb", "boosting", "tree"),
    )


BOOSTING_ESTIMATORS = (
    _xgboost("XGBClassifier", "classifier", ("xgbc",)),
    _xgboost("XGBRegressor", "regressor", ("xgbr",)),
    _lightgbm("LGBMClassifier", "classifier", ("lgbmc", "lgbc")),
    _lightgbm("LGBMRegressor", "regressor", ("lgbmr", "lgbr")),
)

BENCHMARK_ESTIMATORS = (
    Estimator(
        name="rpart",
        hyperparameters=(
            Hyperparameter("cp", Float(1e-6, 1.0, log=True), default=0.01),
            Hyperparameter("maxdepth", Integer(1, 30), default=30),
            # R's default is round(minsplit / 3).
            Hyperparameter("minbucket", Integer(1, 200), default=7),
            Hyperparameter("minsplit", Integer(1, 200), default=20),
            _MEAN_MEDIAN_HIST,
        ),
        family="classifier",
        group="rpart",
        tags=("rpart", "tree", "dt", "cart"),
        aliases=("classif.rpart",),
        benchmark_only=True,
    ),
    Estimator(
        name="lcbench.funnel_mlp",
        hyperparameters=(
            Hyperparameter("batch_size", Integer(4, 4096, log=True), default=91),
            Hyperparameter(
                "learning_rate", Float(1e-6, 1.0, log=True), default=3.1622777e-3, aliases=("lr",)
            ),
            Hyperparameter("momentum", Float(0.0, 1.0), default=0.545),
            Hyperparameter("weight_decay", Float(0.0, 1.0), default=0.050005),
            Hyperparameter(
                "num_layers",
                Integer(1, 20),
                default=3,
                aliases=("n_layers", "num_hidden_layers", "n_hidden_layers"),
            ),
            Hyperparameter("max_units", Integer(4, 4096, log=True), default=256),
            Hyperparameter("max_dropout", Float(0.0, 1.0), default=0.5, aliases=("dropout",)),
        ),
        family="classifier",
        group="funnel_mlp",
        tags=("mlp", "funnel", "net", "nn", "lcbench", "funnelmlp"),
        aliases=("lcbench",),
        benchmark_only=True,
    ),
)
