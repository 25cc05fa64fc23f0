"""Which of ``fit``'s parameters go to the estimator, to the scorer and to the splitter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sklearn import get_config
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from warmstart.sklearn.candidates import ALONE
from warmstart.sklearn.scoring import Scoring


@dataclass(frozen=True)
class Routed:
    """Parameters by who gets them.

    Attributes:
        fit: For ``fit``, by the name of the candidate.
        score: For the scorer.
        split: For the splitter.
    """

    fit: Mapping[str, Mapping[str, Any]]
    score: Mapping[str, Any]
    split: Mapping[str, Any]


def is_routing() -> bool:
    """Whether scikit-learn routes metadata by request."""
    return bool(get_config().get("enable_metadata_routing", False))


def router(
    owner: Any, candidates: Mapping[str, Any], scorer: Any, splitter: Any
) -> MetadataRouter:
    """Who asks for metadata."""
    fit = MethodMapping().add(caller="fit", callee="fit")
    made = MetadataRouter(owner=owner)
    for name, candidate in candidates.items():
        made.add(**{_key(name): candidate}, method_mapping=fit)
    made.add(
        scorer=scorer,
        method_mapping=MethodMapping()
        .add(caller="score", callee="score")
        .add(caller="fit", callee="score"),
    )
    made.add(splitter=splitter, method_mapping=MethodMapping().add(caller="fit", callee="split"))
    return made


def routed(
    owner: Any, candidates: Mapping[str, Any], scoring: Scoring, params: Mapping[str, Any]
) -> Routed:
    """Where ``fit``'s parameters go.

    Without routing, ``groups`` goes to the splitter, all else to the estimator, and sample
    weights to a scorer that takes them, too.
    """
    if is_routing():
        asked = process_routing(owner, "fit", **params)
        return Routed(
            {name: asked[_key(name)].fit for name in candidates},
            asked.scorer.score,
            asked.splitter.split,
        )
    to_fit = {name: value for name, value in params.items() if name != "groups"}
    weight = params.get("sample_weight")
    weighs = weight is not None and scoring.takes_sample_weight()
    return Routed(
        dict.fromkeys(candidates, to_fit),
        {"sample_weight": weight} if weighs else {},
        {"groups": params.get("groups")},
    )


def _key(name: str) -> str:
    return "estimator" if name == ALONE else f"estimator_{name}"
