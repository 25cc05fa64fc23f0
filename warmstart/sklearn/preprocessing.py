"""What is worth tuning of the steps before a model, by the class of the step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from warmstart.descriptor import TaskDescriptor
from warmstart.sklearn.given_space import labelled
from warmstart.space import Categorical, Float, Integer, Parameter, Value

#: Steps of which another may do better; they matter to models that measure distances. None at all
#: is no choice: support vector machines on unscaled data may run for hours.
SCALERS: Final = frozenset(
    {
        *("MaxAbsScaler", "MinMaxScaler", "Normalizer", "PowerTransformer"),
        *("QuantileTransformer", "RobustScaler", "StandardScaler"),
    }
)

_NGRAMS, _NGRAM_OBJECTS = labelled([(1, 1), (1, 2), (1, 3)])
_OBJECTS: Final[Mapping[str, Mapping[Value, Any]]] = {"ngram_range": _NGRAM_OBJECTS}
_BOOLEAN: Final = Categorical((True, False))
_MOST_COMPONENTS: Final = 300

_Space: TypeAlias = Mapping[str, Parameter]


def another_scaler(scaler: object) -> Any:
    """A scaler of another kind, which takes sparse data as well as dense."""
    from sklearn.preprocessing import MaxAbsScaler, StandardScaler

    if isinstance(scaler, MaxAbsScaler):
        return StandardScaler(with_mean=False)
    return MaxAbsScaler()


def step_space(step: object, task: TaskDescriptor | None) -> dict[str, Parameter]:
    """What is tuned of a step, by its own names; empty if the step is not known.

    Args:
        step: A transformer.
        task: What is known of the data: its rows and columns are the ends of what counts them.
    """
    known = _STEPS.get(type(step).__name__)
    if known is None or not type(step).__module__.startswith("sklearn."):
        return {}
    return dict(known(task))


def step_objects(name: str) -> Mapping[Value, Any]:
    """What the choices of a step's parameter stand for; empty if they are themselves meant."""
    return _OBJECTS.get(name, {})


def _up_to(quality: str, task: TaskDescriptor | None, otherwise: int) -> int:
    """The number of rows or columns, at most ``_MOST_COMPONENTS``; ``otherwise`` if unknown."""
    count = math.nan if task is None else task.metafeatures[quality]
    if math.isnan(count):
        return otherwise
    return max(1, min(int(count), _MOST_COMPONENTS))


def _rows(task: TaskDescriptor | None) -> int:
    # Half of them: a fold has fewer than all.
    return max(2, _up_to("NumberOfInstances", task, 200) // 2)


def _columns(task: TaskDescriptor | None) -> int:
    return max(1, _up_to("NumberOfFeatures", task, 101) - 1)  # one of them is the target


def _text(task: TaskDescriptor | None) -> _Space:
    return {"ngram_range": Categorical(_NGRAMS), "min_df": Integer(1, 10, log=True)}


_STEPS: Final[Mapping[str, Callable[[TaskDescriptor | None], _Space]]] = {
    "SimpleImputer": lambda task: {
        "strategy": Categorical(("mean", "median", "most_frequent")),
    },
    "KNNImputer": lambda task: {
        "n_neighbors": Integer(1, 30, log=True),
        "weights": Categorical(("uniform", "distance")),
    },
    # A share of the variance fits any number of columns.
    "PCA": lambda task: {"n_components": Float(0.5, 0.999)},
    "TruncatedSVD": lambda task: {"n_components": Integer(1, _columns(task), log=True)},
    "SelectKBest": lambda task: {"k": Integer(1, _columns(task), log=True)},
    "SelectPercentile": lambda task: {"percentile": Integer(5, 100)},
    "PolynomialFeatures": lambda task: {
        "degree": Integer(1, 2),
        "interaction_only": _BOOLEAN,
    },
    "SplineTransformer": lambda task: {"n_knots": Integer(3, 12), "degree": Integer(1, 3)},
    "KBinsDiscretizer": lambda task: {"n_bins": Integer(2, 20, log=True)},
    "Nystroem": lambda task: {
        "gamma": Float(1e-5, 10.0, log=True),
        "n_components": Integer(min(10, _rows(task)), _rows(task), log=True),
    },
    "RBFSampler": lambda task: {
        "gamma": Float(1e-5, 10.0, log=True),
        "n_components": Integer(20, 500, log=True),
    },
    "CountVectorizer": _text,
    "TfidfVectorizer": lambda task: {**_text(task), "sublinear_tf": _BOOLEAN},
    "TfidfTransformer": lambda task: {"sublinear_tf": _BOOLEAN},
}
