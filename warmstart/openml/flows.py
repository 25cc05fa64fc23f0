"""Flows: which estimator a flow tunes, and what its hyperparameters are called.

A flow is a tree of components, of which each has its own parameters. OpenML's full names spell
out the component's class and version (``sklearn.svm.classes.SVC(15)_gamma``); they differ
between versions of scikit-learn and between pipelines. A configuration needs names that don't:

* the tuned estimator's own parameters are bare: ``gamma``, ``max_features``;
* what lies inside of it is named by the path from there: ``base_estimator__max_depth``;
* other steps by their identifier: ``imputer__strategy``, wherever in the pipeline they stand, or
  by as much more of the path as tells two of them apart (``numeric__imputer__strategy``).

Names depend on the flow only, never on the runs, so one flow's names are always the same.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from warmstart.errors import OpenMLError
from warmstart.openml.values import parse_value, refers_to_object
from warmstart.space import Value

Path = tuple[str, ...]

# Subpackages and class names of what may stand before the last step of a scikit-learn pipeline.
TRANSFORMER_PACKAGES = frozenset(
    {
        "compose",
        "decomposition",
        "feature_extraction",
        "feature_selection",
        "impute",
        "kernel_approximation",
        "preprocessing",
        "random_projection",
    }
)
TRANSFORMER_ENDINGS = (
    "Encoder",
    "FeatureUnion",
    "Imputer",
    "Sampler",
    "Scaler",
    "Selector",
    "Threshold",
    "Transformer",
    "Vectorizer",
)
# Public submodules of scikit-learn that hold classes; all other classes live one level higher.
_PUBLIC_SUBMODULES = frozenset({"feature_extraction.text", "feature_extraction.image"})
_IMPLEMENTATION_MODULES = {
    "xgboost.sklearn": "xgboost",
    "lightgbm.sklearn": "lightgbm",
    "catboost.core": "catboost",
}


@dataclass(frozen=True)
class Component:
    """A flow or one of its subflows.

    ``children`` are in the order of the pipeline's steps where the flow says it.
    """

    flow_id: int
    class_name: str
    children: Mapping[str, Component] = field(default_factory=dict)

    @classmethod
    def from_flow(cls, flow: Any) -> Component:
        """Read an ``openml.flows.OpenMLFlow``."""
        children = {key: cls.from_flow(child) for key, child in flow.components.items()}
        order = [key for key in _step_names(flow.parameters.get("steps")) if key in children]
        ordered = {key: children[key] for key in [*order, *children]}
        # Some flows have a class_name of their own, all spell it out before the parenthesis.
        name = flow.class_name or flow.name.partition("(")[0]
        return cls(int(flow.flow_id), name, ordered)

    @property
    def short_name(self) -> str:
        """The class without its module, such as ``SVC``."""
        return self.class_name.rpartition(".")[2]

    def walk(self, path: Path = ()) -> Iterator[tuple[Path, Component]]:
        """This component and all below, each with the identifiers that lead to it."""
        yield path, self
        for key, child in self.children.items():
            yield from child.walk((*path, key))


@dataclass(frozen=True)
class Flow:
    """A flow as needed to read its setups: the estimator it tunes, and how names begin.

    ``prefixes`` maps a component's flow id to what stands before its parameters' names.
    """

    flow_id: int
    estimator: str
    prefixes: Mapping[int, Path]

    @classmethod
    def from_component(cls, root: Component) -> Flow:
        """Find the tuned estimator and name all components."""
        path, tuned = tuned_component(root)
        estimator = canonical_estimator(tuned.class_name)
        return cls(root.flow_id, estimator, _prefixes(root, path))

    def configuration(self, parameters: Iterable[Any]) -> dict[str, Value]:
        """Read a setup's parameters; one without a value, or that is an object, is left out.

        Args:
            parameters: ``openml.setups.setup.OpenMLParameter`` objects.

        Raises:
            OpenMLError: If two values have the same name.
        """
        configuration: dict[str, Value] = {}
        for parameter in parameters:
            text = parameter.value
            if text is None or refers_to_object(text):
                continue
            name = "__".join([*self._prefix(parameter), parameter.parameter_name])
            if name in configuration:
                raise OpenMLError(
                    f"Flow {self.flow_id}: a setup has two values of {name!r}, expected one; "
                    "its components can't be told apart."
                )
            configuration[name] = parse_value(text)
        return configuration

    def _prefix(self, parameter: Any) -> Path:
        prefix = self.prefixes.get(int(parameter.flow_id))
        if prefix is None:
            # A component that the flow's description lacks, such as one that a run put in place
            # of another, is named by its class.
            return (parameter.flow_name.partition("(")[0].rpartition(".")[2].lower(),)
        return prefix


def tuned_component(root: Component) -> tuple[Path, Component]:
    """The component whose hyperparameters are the point: a pipeline's last step, else the root.

    Only the last step of a pipeline may be no transformer, so where a server does not keep the
    steps in order, the last one that isn't a transformer is taken.
    """
    path: Path = ()
    component = root
    while component.short_name == "Pipeline" and component.children:
        steps = list(component.children.items())
        predictors = [step for step in steps if not is_transformer(step[1])]
        key, component = (predictors or steps)[-1]
        path = (*path, key)
    return path, component


def is_transformer(component: Component) -> bool:
    """Whether a class transforms features, as far as its name says."""
    if component.short_name == "Pipeline":
        return bool(component.children) and all(map(is_transformer, component.children.values()))
    package = component.class_name.split(".")[1:2]
    return component.short_name.endswith(TRANSFORMER_ENDINGS) or (
        component.class_name.startswith("sklearn.") and package[0] in TRANSFORMER_PACKAGES
    )


def canonical_estimator(class_name: str) -> str:
    """The name under which an estimator is imported today, whatever its module was called once.

    >>> canonical_estimator("sklearn.ensemble.forest.RandomForestClassifier")
    'sklearn.ensemble.RandomForestClassifier'
    """
    module, _, name = class_name.rpartition(".")
    if module in _IMPLEMENTATION_MODULES:
        return f"{_IMPLEMENTATION_MODULES[module]}.{name}"
    parts = module.split(".")
    if parts[0] != "sklearn" or ".".join(parts[1:3]) in _PUBLIC_SUBMODULES:
        return class_name
    return ".".join([*parts[:2], name])


def _prefixes(root: Component, tuned: Path) -> dict[int, Path]:
    """What stands before the parameter in names, by the component's flow id."""
    inside = {path: c for path, c in root.walk() if path[: len(tuned)] == tuned}
    prefixes = {c.flow_id: path[len(tuned) :] for path, c in inside.items()}
    # The root's own name takes part, so that no path is empty and whole paths always differ.
    above = root.short_name.lower()
    outside = {(above, *path): c for path, c in root.walk() if path not in inside}
    taken = set(prefixes.values())
    for path, component in outside.items():
        n = 1
        while n < len(path) and (path[-n:] in taken or _count_suffix(outside, path[-n:]) > 1):
            n += 1
        prefixes[component.flow_id] = path[-n:]
    return prefixes


def _count_suffix(paths: Iterable[Path], suffix: Path) -> int:
    return Counter(path[-len(suffix) :] for path in paths)[suffix]


def _step_names(text: str | None) -> list[str]:
    """Identifiers of a pipeline's steps in order, as far as its ``steps`` parameter tells."""
    try:
        steps = json.loads(text or "[]")
        return [str(step["value"]["key"]) for step in steps]
    except (ValueError, TypeError, LookupError):
        return []
