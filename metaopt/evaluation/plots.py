"""The curves of an evaluation as pictures, one for each estimator."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_ARMS: Final = (
    ("held out", "transfer", "held-out tasks", "black"),
    ("held out", "no transfer", "held-out tasks, no transfer", "tab:orange"),
    ("held out", "trained on", "training tasks", "tab:blue"),
)


def plot_estimator(name: str, figures: Mapping[str, Any], directory: Path) -> str | None:
    """Draw adaptation and calibration; ``None`` if nothing was judged.

    Args:
        name: Of the estimator.
        figures: Of it, as in ``evaluation.json``.
        directory: Where to write.

    Returns:
        The file's name.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    arms = figures["experiments"].get("held out", {})
    if not arms:
        return None
    figure = Figure(figsize=(13, 4), layout="constrained")
    FigureCanvasAgg(figure)
    score, picked, covered = figure.subplots(1, 3)
    for experiment, arm, label, colour in _ARMS:
        curves = figures["experiments"][experiment].get(arm)
        if curves:
            _draw(score, curves, "log_score", label, colour)
            _draw(picked, curves, "picked", label, colour)
    _draw(picked, arms["transfer"], "random", "random run", "tab:gray")
    _draw(picked, arms["transfer"], "incumbent", "best support point", "tab:green")
    for level in ("0.5", "0.8", "0.95"):
        by_budget = figures["calibration"]
        covered.plot(
            range(len(by_budget)), [c["coverage"][level] for c in by_budget.values()], marker="o"
        )
        covered.axhline(float(level), color="gray", linewidth=0.8, linestyle="--")
    covered.set(title="coverage of 50, 80 and 95 % intervals", ylim=(0, 1.02))
    covered.set_xticks(range(len(figures["calibration"])), list(figures["calibration"]))
    score.set(title="log score (nats, higher is better)")
    picked.set(title="regret of the recommended run")
    for axes in (score, picked, covered):
        axes.set_xlabel("support points")
        axes.grid(alpha=0.3)
    picked.legend(fontsize="small")
    figure.suptitle(name)
    file = f"evaluation-{re.sub(r'[^A-Za-z0-9]+', '-', name)}.png"
    figure.savefig(directory / file, dpi=110)
    return file


def _draw(axes: Any, curves: Mapping[str, Any], score: str, label: str, colour: str) -> None:
    known = {budget: at[score] for budget, at in curves.items() if score in at}
    places = [list(curves).index(budget) for budget in known]
    axes.plot(places, [at["mean"] for at in known.values()], marker="o", label=label, color=colour)
    low, high = ([at[end] for at in known.values()] for end in ("low", "high"))
    axes.fill_between(places, low, high, color=colour, alpha=0.1, linewidth=0)
    axes.set_xticks(range(len(curves)), list(curves))
