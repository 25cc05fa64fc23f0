"""The words that stand around hyperparameters in the names of users' parameters.

Written as text, and cut where they are used: as lists they would be a screen of quotes.
"""

# ruff: noqa: SIM905 (lists of quoted words would fill a screen each)

from __future__ import annotations

# Words that say nothing about whose parameter it is.
NEUTRAL = frozenset(
    (
        "clf classifier cls classification model models mdl est estimator estimators reg "
        "regressor regression learner pipeline pipe step steps algo algorithm param "
        "params parameter parameters hp hps hparam hparams hyperparameter hyperparameters "
        "kwargs config cfg settings args base final wrapped wrapper inner sklearn skl ml "
        "main best my the tuned trial stage level meta ensemble ovr ovo onevsrest "
        "onevsrestclassifier onevsoneclassifier multioutput multioutputclassifier "
        "multioutputregressor calibrated calibratedclassifier calibratedclassifiercv ttr "
        "transformedtargetregressor bagging baggingclassifier baggingregressor stacking "
        "voting value train training search suggest"
    ).split()
)

# Words right before a name that make another quantity of it: min_learning_rate, n_subsample.
MODIFIERS = frozenset(
    (
        "min max init initial start end low high lower upper minimum maximum warmup decay n num "
        "number inv inverse use is has delta drop neg"
    ).split()
)

# Whose parameter it is when not an estimator of the catalogue is meant.
FOREIGN = {
    "CatBoost": "catboost cb cat cbc ctb catboostclassifier catboostregressor",
    "naive Bayes": "nb gnb mnb bnb cnb naivebayes bayes gaussiannb multinomialnb bernoullinb",
    "another linear model": (
        "sgd sgdclassifier sgdregressor lasso ols linreg linearregression linearmodel glm "
        "perceptron passiveaggressive huber lars ridgeclassifier"
    ),
    "another support vector machine": (
        "lsvc lsvm linearsvc linearsvr linsvc linsvr linearsvm linsvm nusvc nusvr oneclasssvm"
    ),
    "discriminant analysis": "lda qda",
    "a Gaussian process": "gp gpc gpr gaussianprocess kernelridge krr",
    "a neural network": (
        "cnn rnn lstm gru bert resnet vit autoencoder vae gan tabnet tabpfn optimizer optim adam "
        "adamw scheduler sched lrscheduler focal focalloss mixup cutmix smoothing discriminator "
        "generator decoder"
    ),
    "clustering or outlier detection": (
        "kmeans dbscan hdbscan iforest isolationforest isoforest lof cluster clustering outlier"
    ),
}

# Other steps of a pipeline, and words of which their names are made.
STEP_WORDS = frozenset(
    (
        "pca svd truncatedsvd ica nmf umap tsne lle isomap kbest rfe rfecv rfs adasyn ohe onehot "
        "te tfidf vect cv cvect word2vec kbins polynomialfeatures spline nystroem preprocessor "
        "preprocessing preprocess prep num numeric numerical categorical threshold splitter"
    ).split()
)
STEP_STEMS = (
    *("select", "imput", "scal", "encod", "vector", "smote", "sampl", "transform", "discret"),
    *("normaliz", "decompos", "reduc", "projection", "augment", "binariz", "tokeniz"),
)

# Words of a step that fills in missing categories, not numbers.
CATEGORICAL_STEP = frozenset("cat categorical nominal object string str target label".split())

# Words for units, right before or after a name.
UNITS = {
    **dict.fromkeys(("log2", "lb", "exp2", "pow2"), "log2"),
    **dict.fromkeys(("log10", "lg", "exp10", "pow10"), "log10"),
    **dict.fromkeys(("exp", "exponent", "pow", "power"), "exponent"),
    **dict.fromkeys(("percent", "percentage", "pct"), "percent"),
    "log": "log",
    "ln": "ln",
}
