"""A report on real fits as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from metaopt.benchmarks.live.options import (
    DEFAULT,
    OWN_TUNER,
    PRODUCT,
    REFERENCE,
    TUNER,
    ZERO_SHOT,
)
from metaopt.benchmarks.text import aligned, number

_FIRST: Final = {
    DEFAULT: "First proposal beside the library's default, on the test split",
    ZERO_SHOT: "First proposal beside FLAML's zero-shot, on the test split",
}
_TUNED: Final = {
    TUNER: "Tuned beside LightGBMTuner, all trials, on the test split",
    REFERENCE: "Tuned beside TPE, all trials, on the test split",
}
_OWN_TUNER: Final = "warmstart.lightgbm.tune beside LightGBMTuner, all trials, on the test split"


def live_text(report: Mapping[str, Any]) -> str:
    """Tables of a report made by ``run_live``."""
    budgets = report["budgets"]
    parts = [
        _methods_table(estimator, methods, budgets)
        for estimator, methods in report["estimators"].items()
    ]
    if report["search"]:
        parts.append(_search_table(report["search"], budgets[-1]))
    for titles, found in ((_FIRST, report["first"]), (_TUNED, report["tuned"])):
        parts += [
            _tests_table(title, found[other]) for other, title in titles.items() if found[other]
        ]
    if report["own_tuner"]:
        parts.append(_tests_table(_OWN_TUNER, report["own_tuner"], OWN_TUNER))
    parts += _notes(report)
    return "\n\n".join(parts) + "\n"


def _methods_table(estimator: str, methods: Mapping[str, Any], budgets: Sequence[int]) -> str:
    head = [
        "method",
        *(f"@{at}" for at in budgets),
        f"time@{budgets[-1]}",
        *(f"test@{at}" for at in budgets),
        f"rank@{budgets[-1]}",
        "seconds",
        "proposed",
    ]
    rows = [
        [
            name,
            *(number(f["regret"][str(at)], 3) for at in budgets),
            number(f["regret_at_time"][str(budgets[-1])], 3),
            *(number(f["test"][str(at)], 4) for at in budgets),
            number(f["rank"][str(budgets[-1])]),
            number(f["seconds"], 1),
            number(f["proposed"]),
        ]
        for name, f in sorted(methods.items(), key=lambda item: item[1]["test"][str(budgets[-1])])
    ]
    n_data = max(f["n_data"] for f in methods.values())
    n_families = max(f["n_families"] for f in methods.values())
    return (
        f"{estimator}: {n_data} data sets of {n_families} families; mean regret on the search "
        "folds after some trials\nand in the time of TPE's trials, and mean loss on the test "
        "split\n" + aligned(head, rows)
    )


def _search_table(search: Mapping[str, Any], n_trials: int) -> str:
    head = ["estimator", "data sets", "trials", "time", "median", "median time"]
    head += ["difference", "95 % interval", "worse"]
    rows = []
    for estimator, f in search.items():
        if not f["n_data"]:
            continue
        interval = f"{f['low']:+.3f} to {f['high']:+.3f}" if "low" in f else "-"
        rows.append(
            [
                estimator.rpartition(".")[2],
                str(f["n_data"]),
                _or_never(f["trials"], 1),
                _or_never(f["time"], 2),
                _or_never(f["median_trials"], 1) if "median_trials" in f else "-",
                _or_never(f["median_time"], 2) if "median_time" in f else "-",
                f"{f['difference']:+.4f}",
                interval,
                number(f["worse"]),
            ]
        )
    return (
        f"{PRODUCT} beside TPE on the search folds: trials until its mean regret is TPE's after "
        f"{n_trials}, and time as\na share of TPE's; medians over data sets; difference of "
        "regrets at the end (below 0: lower); share of data\nsets that end worse by over a "
        "standard error of the folds\n" + aligned(head, rows)
    )


def _tests_table(title: str, found: Mapping[str, Any], product: str = PRODUCT) -> str:
    head = ["estimator", "data sets", "families", "won", "difference", "95 % interval"]
    head += ["effect", "p", "mean rank", "its rank"]
    rows = [
        [
            estimator.rpartition(".")[2],
            str(f["n_data"]),
            str(f["n_families"]),
            number(f["won"]),
            f"{f['difference']:+.4f}",
            f"{f['low']:+.4f} to {f['high']:+.4f}",
            number(f["effect"]),
            number(f["p_value"], 4),
            number(f["rank"]),
            number(f["other_rank"]),
        ]
        for estimator, f in found.items()
        if f["n_data"]
    ]
    return f"{title} (difference above 0: {product}'s loss is lower)\n" + aligned(head, rows)


def _notes(report: Mapping[str, Any]) -> list[str]:
    notes = [f"{name} was left out: {why}" for name, why in report["methods_left_out"].items()]
    for where, listed in report["held_out"].items():
        alike = [history for history in listed if "looks like" in history["reason"]]
        names = ", ".join(sorted({history["name"] or history["task"] for history in alike}))
        notes.append(
            f"{where}: not trained on {len(listed)} histories"
            + (f", of which {len(alike)} for their looks: {names}" if alike else "")
        )
    failures = report["failures"]
    if failures:
        shown = [
            f"  {f['method']} for {f['estimator']} on {f['data']}, seed {f['seed']}: {f['error']}"
            for f in failures[:5]
        ]
        notes.append("\n".join([f"{len(failures)} studies failed, the first of them:", *shown]))
    return notes


def _or_never(value: float | None, digits: int) -> str:
    return "never" if value is None else number(value, digits)
