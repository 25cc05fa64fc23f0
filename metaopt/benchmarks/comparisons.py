"""Methods against each other: paired tests, the guard, and the check of RGPE's process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from metaopt.benchmarks import statistics
from metaopt.benchmarks.corruption import HONEST
from metaopt.benchmarks.curves import (
    AREA_TRIALS,
    Curves,
    CurvesByMethod,
    area_of,
    common_tasks,
    lost,
    methods_everywhere,
    pooled_lost,
    ratio,
    source_groups,
    trial_value,
)
from metaopt.benchmarks.options import GP_CHECK, OWN_PRODUCT, PRODUCT, REFERENCE

GUARD_AT: Final = (25, 50, 100)
ALL: Final = "all"


def paired_tests(honest: Mapping[str, CurvesByMethod]) -> list[dict[str, Any]]:
    """Paired tests of the area under the curve: the product against each other method.

    Where it did not run with an artifact, it is the product with a user's own studies. Seeds are
    averaged within a task, tasks within a family; p-values are adjusted for the number of methods
    compared, within each source and within each group of sources.
    """
    out: list[dict[str, Any]] = []
    for source, methods in honest.items():
        out += _against_others(source, {source: methods}, list(methods))
    for group, sources in source_groups(honest).items():
        if len(sources) > 1:
            within = {source: honest[source] for source in sources}
            out += _against_others(group, within, methods_everywhere(honest, sources))
    return out


def _against_others(
    where: str, sources: Mapping[str, CurvesByMethod], names: Sequence[str]
) -> list[dict[str, Any]]:
    product = next((name for name in (PRODUCT, OWN_PRODUCT) if name in names), None)
    if product is None:
        return []
    pairs = {name: _paired(sources, product, name) for name in names if name != product}
    return _adjusted(where, product, pairs)


def _paired(
    sources: Mapping[str, CurvesByMethod], name: str, other: str
) -> tuple[list[str], np.ndarray]:
    """Families, and how much lower the product's area is in each, ``(n_families,)``.

    A family that several sources have counts once: its mean over them.
    """
    families: list[str] = []
    differences: list[float] = []
    for methods in sources.values():
        product, baseline = methods[name], methods[other]
        tasks = common_tasks([product, baseline])
        if not tasks:
            continue
        of = dict(zip(product.tasks, product.families, strict=True))
        n = min(AREA_TRIALS, product.n_trials, baseline.n_trials)
        away = (baseline.rows(tasks)[:, :n] - product.rows(tasks)[:, :n]).mean(axis=1)
        names = [of[task] for task in tasks]
        families += list(dict.fromkeys(names))
        differences += statistics.averaged_by(names, away).tolist()
    if not families:
        return [], np.empty(0)
    return list(dict.fromkeys(families)), statistics.averaged_by(families, np.array(differences))


def _adjusted(
    where: str, product: str, pairs: Mapping[str, tuple[list[str], np.ndarray]]
) -> list[dict[str, Any]]:
    pairs = {name: pair for name, pair in pairs.items() if len(pair[0])}
    p_values = {name: statistics.paired_p_value(away) for name, (_, away) in pairs.items()}
    adjusted = statistics.holm(p_values)
    out = []
    for name, (families, away) in pairs.items():
        low, high = statistics.bootstrap_interval(families, away)
        out.append(
            {
                "where": where,
                "method": product,
                "other": name,
                "n_families": len(families),
                "difference": float(away.mean()),
                "low": float(low),
                "high": float(high),
                "wins": int((away > statistics.TOLERANCE).sum()),
                "losses": int((away < -statistics.TOLERANCE).sum()),
                "p_value": p_values[name],
                "p_adjusted": adjusted[name],
            }
        )
    return out


def guard(curves: Mapping[str, Mapping[str, CurvesByMethod]]) -> list[dict[str, Any]]:
    """How methods fare against TPE on the same problems when the sources mislead.

    One entry for each variant, method and source, and one for all sources of the method
    together: regrets averaged over sources, and shares over all tasks.
    """
    out: list[dict[str, Any]] = []
    for variant, sources in curves.items():
        if variant == HONEST:
            continue
        by_method: dict[str, list[dict[str, Any]]] = {}
        for source, methods in sources.items():
            reference = methods.get(REFERENCE)
            for name, of_method in methods.items():
                if reference is not None and name != REFERENCE:
                    entry = _guard_entry(of_method, reference)
                    where = {"variant": variant, "source": source, "method": name}
                    by_method.setdefault(name, []).append(where | entry)
        for name, entries in by_method.items():
            together = {"variant": variant, "source": ALL, "method": name}
            out += [*entries, together | _over_sources(entries)]
    return out


def _guard_entry(curves: Curves, reference: Curves) -> dict[str, Any]:
    regret = {str(at): trial_value(curves.mean, at) for at in GUARD_AT}
    of_reference = {str(at): trial_value(reference.mean, at) for at in GUARD_AT}
    return {
        "n_tasks": len(curves.tasks),
        "regret": regret,
        "reference": of_reference,
        "ratio": {at: ratio(regret[at], of_reference[at]) for at in regret},
        "lost": {str(at): lost(curves, reference, at) for at in GUARD_AT},
    }


def _over_sources(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of one method; a mean of ratios would hide a bad source behind one that ends at zero."""
    means: dict[str, dict[str, float | None]] = {}
    for name in ("regret", "reference"):
        values = {str(at): [entry[name][str(at)] for entry in entries] for at in GUARD_AT}
        means[name] = {at: None if None in of else float(np.mean(of)) for at, of in values.items()}
    return {
        "n_tasks": sum(entry["n_tasks"] for entry in entries),
        **means,
        "ratio": {
            at: ratio(means["regret"][at], means["reference"][at]) for at in means["regret"]
        },
        "lost": {
            str(at): pooled_lost([(entry["n_tasks"], entry["lost"][str(at)]) for entry in entries])
            for at in GUARD_AT
        },
    }


def gp_check(honest: Mapping[str, CurvesByMethod]) -> dict[str, Any] | None:
    """Area of RGPE's Gaussian process without sources against that of Optuna's."""
    theirs, ours = GP_CHECK
    ratios = {}
    for source, methods in honest.items():
        if theirs in methods and ours in methods:
            tasks = common_tasks([methods[theirs], methods[ours]])
            ratios[source] = ratio(
                area_of(methods[ours].rows(tasks).mean(axis=0)),
                area_of(methods[theirs].rows(tasks).mean(axis=0)),
            )
    known = [ratio for ratio in ratios.values() if ratio is not None]
    if not known:
        return None
    return {"ratio": ratios, "overall": statistics.geometric_mean(known)}
