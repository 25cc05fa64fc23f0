"""Curves of a report on real fits as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from metaopt.benchmarks.live.options import PRODUCT

_TICKS: Final = (1, 3, 5, 10, 20, 40, 100)
_FLOOR: Final = 1e-3  # below that the logarithmic axis shows noise


def plot_live(report: Mapping[str, Any], directory: Path) -> list[Path]:
    """Draw mean regret on the search folds beside mean test loss, one picture an estimator.

    Args:
        report: As ``build_report`` makes it.
        directory: Where to write ``curves-<estimator>.png``.

    Returns:
        What was written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for estimator, methods in report["estimators"].items():
        path = directory / f"curves-{estimator.rpartition('.')[2]}.png"
        _plot(estimator, methods, path)
        written.append(path)
    return written


def _plot(estimator: str, methods: Mapping[str, Any], path: Path) -> None:
    # The object interface draws without a display and leaves pyplot's state alone.
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator, ScalarFormatter

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    search, test = figure.subplots(1, 2)
    colours = colormaps["tab10"]
    for i, (name, figures) in enumerate(sorted(methods.items())):
        style = {
            "color": "black" if name == PRODUCT else colours(i % 10),
            "linewidth": 2.5 if name == PRODUCT else 1.5,
            "label": name,
        }
        trials = range(1, len(figures["test_curve"]) + 1)
        test.plot(trials, [max(value, _FLOOR) for value in figures["test_curve"]], **style)
        if None not in figures["curve"]:
            low, high = (
                [max(value, _FLOOR) for value in figures[bound]] for bound in ("low", "high")
            )
            search.plot(trials, [max(value, _FLOOR) for value in figures["curve"]], **style)
            search.fill_between(trials, low, high, color=style["color"], alpha=0.1, linewidth=0)
    n_trials = max(len(figures["curve"]) for figures in methods.values())
    search.set(yscale="log", ylabel="mean regret, 95 % interval", title="search folds")
    test.set(yscale="log", ylabel="mean loss of the best so far", title="test split")
    for axes in (search, test):
        axes.set(xscale="log", xlabel="trial", xlim=(1, max(n_trials, 2)))
        axes.set_xticks([at for at in _TICKS if at <= n_trials], minor=False)
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(visible=True, which="major", alpha=0.3)
    test.legend(fontsize="small", loc="upper right")
    n_data = max(figures["n_data"] for figures in methods.values())
    figure.suptitle(f"{estimator}: {n_data} data sets")
    figure.savefig(path, dpi=120)
