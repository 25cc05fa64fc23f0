"""Curves of a report as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from metaopt.benchmarks.options import PRODUCT

_TICKS: Final = (1, 2, 5, 10, 25, 50, 100, 200, 500, 1000)
_FLOOR: Final = 1e-4  # below that the logarithmic axis shows noise


def plot_curves(report: Mapping[str, Any], directory: Path) -> list[Path]:
    """Draw mean regret by trial, one picture for each source and variant.

    Args:
        report: As ``build_report`` makes it.
        directory: Where to write ``curves-<variant>-<source>.png``.

    Returns:
        What was written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for variant, sources in report["sources"].items():
        for source, methods in sources.items():
            path = directory / f"curves-{variant}-{source.replace('/', '-')}.png"
            title = f"{source} ({variant}): mean regret, 95 % interval over families"
            _plot(methods, title, path)
            written.append(path)
    return written


def _plot(methods: Mapping[str, Any], title: str, path: Path) -> None:
    # The object interface draws without a display and leaves pyplot's state alone.
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator, ScalarFormatter

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colours = colormaps["tab10"]
    ordered = sorted(methods.items(), key=lambda item: -item[1]["area"])
    for i, name in enumerate(sorted(methods)):
        figures = methods[name]
        trials = range(1, len(figures["curve"]) + 1)
        product = name == PRODUCT
        axes.plot(
            trials,
            [max(value, _FLOOR) for value in figures["curve"]],
            color="black" if product else colours(i % 10),
            linewidth=2.5 if product else 1.5,
            label=name,
            zorder=3 if product else 2,
        )
        axes.fill_between(
            trials,
            [max(value, _FLOOR) for value in figures["low"]],
            [max(value, _FLOOR) for value in figures["high"]],
            color="black" if product else colours(i % 10),
            alpha=0.1,
            linewidth=0,
        )
    axes.set(xscale="log", yscale="log", xlabel="trial", ylabel="mean regret", title=title)
    longest = max(len(figures["curve"]) for figures in methods.values())
    axes.set_xticks([at for at in _TICKS if at <= longest], minor=False)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(1, max(longest, 2))
    axes.grid(visible=True, which="major", alpha=0.3)
    handles, labels = axes.get_legend_handles_labels()
    order = [labels.index(name) for name, _ in ordered]
    axes.legend(
        [handles[k] for k in order], [labels[k] for k in order], fontsize="small", loc="lower left"
    )
    figure.savefig(path, dpi=120)
