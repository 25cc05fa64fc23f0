"""Final losses by horizon as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from metaopt.benchmarks.optimizers.comparison import Curve
from metaopt.benchmarks.optimizers.rivals import LEARNED

_N_COLUMNS: Final = 4


def plot_curves(curves: Mapping[str, Mapping[str, Curve]], directory: Path) -> list[Path]:
    """Draw, for each task, the final validation loss of every arm at every horizon.

    Args:
        curves: By arm and task.
        directory: Where to write ``optimizers.png``.

    Returns:
        What was written.
    """
    # The object interface draws without a display and leaves pyplot's state alone.
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tasks = list(next(iter(curves.values())))
    n_rows = -(-len(tasks) // _N_COLUMNS)
    figure = Figure(figsize=(4 * _N_COLUMNS, 3 * n_rows), layout="constrained")
    FigureCanvasAgg(figure)
    colours = colormaps["tab20"]
    for place, task in enumerate(tasks):
        axes = figure.add_subplot(n_rows, _N_COLUMNS, place + 1)
        for i, (name, of_task) in enumerate(curves.items()):
            shares = sorted(of_task[task])
            ours = name == LEARNED
            axes.plot(
                shares,
                [max(of_task[task][share], 1e-6) for share in shares],
                color="black" if ours else colours(i % 20),
                linewidth=2.5 if ours else 1.2,
                marker="o",
                markersize=3,
                label=name,
                zorder=3 if ours else 2,
            )
        axes.set(title=task, yscale="log", xlabel="share of the horizon")
        axes.grid(visible=True, alpha=0.3)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize="small")
    path = directory / "optimizers.png"
    figure.savefig(path, dpi=100)
    return [path]
