"""Arguments of other search classes, and what they are called here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final, ParamSpec

P = ParamSpec("P")

# Of scikit-learn's searches, scikit-optimize's BayesSearchCV and Optuna's OptunaSearchCV.
_SPACE: Final = "param_distributions (a dict of lists, as a grid is, or of distributions)"
_OTHER_NAMES: Final = {
    "param_grid": _SPACE,
    "search_spaces": _SPACE,
    "n_iter": "n_trials",
    "enable_pruning": "pruning",
    "max_iter": "n_trials",
    "seed": "random_state",
}


def tells_other_names(init: Callable[P, None]) -> Callable[P, None]:
    """An ``__init__`` that says what an argument of other search classes is called here.

    It is a wrapper, and no ``**kwargs``, so that the signature stays what scikit-learn, editors
    and type checkers read.
    """

    @functools.wraps(init)
    def checked(*args: P.args, **kwargs: P.kwargs) -> None:
        given = [name for name in kwargs if name in _OTHER_NAMES]
        if given:
            own = "; ".join(f"{_OTHER_NAMES[name]} in place of {name}" for name in given)
            raise TypeError(f"WarmStartSearchCV with {', '.join(given)} given; expected {own}.")
        init(*args, **kwargs)

    return checked
