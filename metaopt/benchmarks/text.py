"""A benchmark's report as text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from metaopt.benchmarks.comparisons import GUARD_AT
from metaopt.benchmarks.corruption import HONEST
from metaopt.benchmarks.report import AT

_NONE: Final = "-"


def report_text(report: Mapping[str, Any]) -> str:
    """Tables of a report made by ``build_report``."""
    parts = []
    for source, methods in report["sources"].get(HONEST, {}).items():
        parts.append(_source_table(source, methods))
    for group, overall in report["overall"].items():
        parts.append(_overall_table(group, overall))
    if report["tests"]:
        parts.append(_tests_table(report["tests"]))
    if report["guard"]:
        parts.append(_guard_table(report["guard"]))
    if report["gp_check"]:
        ratios = ", ".join(f"{k} {number(v)}" for k, v in report["gp_check"]["ratio"].items())
        parts.append(
            "Area of RGPE's own Gaussian process without sources over GPSampler's: "
            f"{ratios}; geometric mean {number(report['gp_check']['overall'])}."
        )
    if report["failures"]:
        shown = [
            f"  {f['method']} on {f['source']}, {f['task']}: {f['error']}"
            for f in report["failures"][:5]
        ]
        n = len(report["failures"])
        parts.append("\n".join([f"{n} studies failed, the first of them:", *shown]))
    return "\n\n".join(parts) + "\n"


def _source_table(source: str, methods: Mapping[str, Any]) -> str:
    head = [
        "method",
        *(f"@{at}" for at in AT),
        "area",
        "rank",
        "match",
        "x tpe@100",
        "x gp@50",
        "lost@50",
        "chance",
        "ms",
        "proposed",
    ]
    rows = []
    for name, f in sorted(methods.items(), key=lambda item: item[1]["area"]):
        lost = f["lost"]["50"]
        rows.append(
            [
                name,
                *(number(f["regret"][str(at)], 4) for at in AT),
                number(f["area"], 4),
                number(f["rank"]),
                number(f["trials_to_match"], 0),
                number(f["ratio_at_100"]),
                number(f["ratio_to_gp_at_50"]),
                number(lost and lost["share"]),
                number(lost and lost["by_chance"]),
                number(f["milliseconds"], 1),
                number(f["proposed"]),
            ]
        )
    n_tasks = max(f["n_tasks"] for f in methods.values())
    return f"{source}: mean regret over {n_tasks} tasks\n" + aligned(head, rows)


def _overall_table(group: str, overall: Mapping[str, Any]) -> str:
    head = ["method", "rank", "area", "match", "x tpe@100", "x gp@50", "lost@50", "chance", "ms"]
    rows = [
        [
            name,
            number(f["rank"]),
            number(f["area"], 4),
            number(f["trials_to_match"], 1),
            number(f["ratio_at_100"]),
            number(f["ratio_to_gp_at_50"]),
            number(f["lost"]["50"] and f["lost"]["50"]["share"], 3),
            number(f["lost"]["50"] and f["lost"]["50"]["by_chance"], 3),
            number(f["milliseconds"], 1),
        ]
        for name, f in sorted(overall["methods"].items(), key=lambda item: item[1]["area"])
    ]
    title = f"Over {len(overall['sources'])} sources ({group})"
    return f"{title}: mean rank and area, geometric means of ratios\n" + aligned(head, rows)


def _tests_table(tests: Sequence[Mapping[str, Any]]) -> str:
    head = [
        "where",
        "against",
        "families",
        "area lower by",
        "95 % interval",
        "won",
        "lost",
        "p (Holm)",
    ]
    rows = [
        [
            t["where"],
            t["other"],
            str(t["n_families"]),
            number(t["difference"], 4),
            f"{t['low']:.4f} to {t['high']:.4f}",
            str(t["wins"]),
            str(t["losses"]),
            f"{t['p_adjusted']:.2g}",
        ]
        for t in tests
    ]
    return "Paired tests of the area under the regret curve, over families\n" + aligned(head, rows)


def _guard_table(guard: Sequence[Mapping[str, Any]]) -> str:
    head = [
        "variant",
        "source",
        "method",
        *(f"x tpe@{at}" for at in GUARD_AT),
        *(f"lost@{at}" for at in GUARD_AT),
        *(f"chance@{at}" for at in GUARD_AT),
    ]
    rows = [
        [
            g["variant"],
            g["source"],
            g["method"],
            *(number(g["ratio"][str(at)]) for at in GUARD_AT),
            *(number(g["lost"][str(at)] and g["lost"][str(at)]["share"]) for at in GUARD_AT),
            *(number(g["lost"][str(at)] and g["lost"][str(at)]["by_chance"]) for at in GUARD_AT),
        ]
        for g in guard
    ]
    return "When the sources mislead\n" + aligned(head, rows)


def number(value: float | None, digits: int = 2) -> str:
    """A number with so many digits after the point; a dash for None."""
    return _NONE if value is None else f"{value:.{digits}f}"


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of rows below their head: words to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = []
    for row in [head, *rows]:
        cells = [
            cell.ljust(width) if _is_text(i, rows) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _is_text(column: int, rows: Sequence[Sequence[str]]) -> bool:
    return any(row[column][:1].isalpha() for row in rows)
