"""Tables, JSON and pictures of an optimizer benchmark."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from metaopt.benchmarks.optimizers.comparison import (
    NEVER,
    Curve,
    first_share,
    summarise,
    time_fraction,
)
from metaopt.benchmarks.optimizers.options import OptimizerBenchOptions
from metaopt.benchmarks.optimizers.plots import plot_curves
from metaopt.benchmarks.optimizers.rivals import LEARNED, SCHEDULES, Setting
from metaopt.benchmarks.optimizers.training import Outcome

_ROBUST: Final = 1.5  # times the final loss of the one-setting rival, plus 0.01
_SLACK: Final = 0.01

Outcomes = Mapping[str, Mapping[str, Mapping[float, Sequence[Outcome]]]]


@dataclass(frozen=True)
class BenchReport:
    """What a benchmark found.

    Attributes:
        data: As plain data, as in ``optimizers.json``.
        text: As a table.
        files: That were written.
    """

    data: dict[str, Any]
    text: str
    files: list[Path]


def write_report(
    options: OptimizerBenchOptions,
    *,
    tiers: Mapping[str, str],
    arms: Mapping[str, Mapping[str, Setting]],
    outcomes: Outcomes,
) -> BenchReport:
    """Compare the learned optimizer with every arm, and write it down.

    Args:
        options: What was run.
        tiers: Of each task.
        arms: The setting of each arm on each task.
        outcomes: By arm, task and share of the horizon: one for each seed.
    """
    data = {
        "horizon": options.horizon,
        "seeds": options.n_seeds,
        "shares": list(options.shares),
        "tasks": dict(tiers),
        "arms": {name: _arm(outcomes[name], arms[name]) for name in arms},
        "against": {
            name: _against(outcomes[LEARNED], outcomes[name], tiers)
            for name in arms
            if name != LEARNED
        },
        "schedules": {
            name: _against(outcomes[name], outcomes[fixed], tiers)
            for name, fixed in _with_schedules(arms)
        },
    }
    text = _table(data)
    json_path, text_path = options.results / "optimizers.json", options.results / "optimizers.txt"
    json_path.write_text(json.dumps(data, indent=1), encoding="utf-8")
    text_path.write_text(text + "\n", encoding="utf-8")
    curves = {name: {task: mean_curve(outcomes[name][task]) for task in tiers} for name in arms}
    pictures = plot_curves(curves, options.results)
    return BenchReport(data, text, [json_path, text_path, *pictures])


def _with_schedules(arms: Iterable[str]) -> list[tuple[str, str]]:
    """Arms with a learned schedule, each with the arm that has a cosine, where both are there."""
    names = list(arms)
    pairs = []
    for name in names:
        rival, _, way = name.partition(", ")
        fixed = f"{SCHEDULES.get(rival)}, {way}"
        if fixed in names:
            pairs.append((name, fixed))
    return pairs


def mean_curve(outcomes: Mapping[float, Sequence[Outcome]]) -> dict[float, float]:
    """The mean final loss over seeds, by share of the horizon."""
    return {
        share: float(np.mean([outcome.loss for outcome in of])) for share, of in outcomes.items()
    }


def _seconds_per_step(outcomes: Mapping[float, Sequence[Outcome]]) -> float:
    per_step = [o.seconds / o.n_steps for of in outcomes.values() for o in of]
    return float(np.median(per_step))


def _accuracy(outcomes: Mapping[float, Sequence[Outcome]], share: float) -> list[float]:
    if share not in outcomes:
        return []
    return [o.accuracy for o in outcomes[share] if o.accuracy is not None]


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _arm(
    outcomes: Mapping[str, Mapping[float, Sequence[Outcome]]], settings: Mapping[str, Setting]
) -> dict[str, Any]:
    every = [o for of_task in outcomes.values() for of in of_task.values() for o in of]
    return {
        "divergences": sum(o.diverged for o in every),
        "trainings": len(every),
        "tasks": {
            task: {
                "setting": dict(settings[task]),
                "curve": {str(s): _plain(v) for s, v in mean_curve(of_task).items()},
                "accuracy": (
                    float(np.mean(accuracy)) if (accuracy := _accuracy(of_task, 1.0)) else None
                ),
                "milliseconds_per_step": 1e3 * _seconds_per_step(of_task),
            }
            for task, of_task in outcomes.items()
        },
    }


def _against(
    ours: Mapping[str, Mapping[float, Sequence[Outcome]]],
    theirs: Mapping[str, Mapping[float, Sequence[Outcome]]],
    tiers: Mapping[str, str],
) -> dict[str, Any]:
    tasks = {}
    for task in tiers:
        own, other = mean_curve(ours[task]), mean_curve(theirs[task])
        steps = time_fraction(own, other)
        slower = _seconds_per_step(ours[task]) / max(_seconds_per_step(theirs[task]), 1e-12)
        tasks[task] = {
            "tier": tiers[task],
            "steps": _plain(steps),
            "seconds": _plain(steps * slower),
            "accuracy_gained": _accuracy_gained(ours[task], theirs[task], own, other),
            "loss_ratio": _plain(own[1.0] / max(other[1.0], 1e-12)),
            "robust": own[1.0] <= _ROBUST * other[1.0] + _SLACK,
        }
    first = [task for task in tiers if tiers[task] != "scale"]
    groups = {"first three tiers": first, "all": list(tiers)}
    return {
        "tasks": tasks,
        **{
            measure: {
                name: asdict(
                    summarise(
                        [_number(tasks[task][measure]) for task in of], [tiers[t] for t in of]
                    )
                )
                for name, of in groups.items()
                if of
            }
            for measure in ("steps", "seconds")
        },
    }


def _number(value: Any) -> float:
    return math.inf if value is None else float(value)


def _accuracy_gained(
    ours: Mapping[float, Sequence[Outcome]],
    theirs: Mapping[float, Sequence[Outcome]],
    own: Curve,
    other: Curve,
) -> float | None:
    """Accuracy where we reach the target minus theirs where they do; None for regression."""
    target = min(other.values())
    reached = first_share(own, target)
    at = reached if math.isfinite(reached) else 1.0
    our_accuracy = _accuracy(ours, at)
    their_accuracy = _accuracy(theirs, first_share(other, target))
    if not our_accuracy or not their_accuracy:
        return None
    return float(np.mean(our_accuracy) - np.mean(their_accuracy))


def _table(data: Mapping[str, Any]) -> str:
    lines = [
        "Fraction of the rival's own shortest time to its best validation loss; below 1 the",
        f"learned optimizer is faster; never counts as {NEVER:g}. Median over tasks of the first "
        "three tiers,",
        "with bootstrap 95 % interval. Worst loss: the largest ratio of final losses to the "
        "rival's;",
        f"!: on some task of any tier more than {_ROBUST:g} times the rival's plus {_SLACK:g}. "
        "Accuracy: mean",
        "difference in points where both are there, of tasks with classes in these tiers.",
        "",
        f"{'rival':<32}{'steps':>22}{'seconds':>22}{'reached':>10}{'worst loss':>12}"
        f"{'accuracy':>10}",
    ]
    lines += [_against_line(name, found) for name, found in data["against"].items()]
    if data["schedules"]:
        lines += ["", "learned schedule, beside the same optimizer with a cosine"]
        lines += [_against_line(name, found) for name, found in data["schedules"].items()]
    lines += ["", f"{'arm':<32}{'diverged':>16}{'ms/step':>12}{'log loss':>12}"]
    for name, arm in data["arms"].items():
        speed = np.median([task["milliseconds_per_step"] for task in arm["tasks"].values()])
        finals = [_number(task["curve"]["1.0"]) for task in arm["tasks"].values()]
        log_loss = np.mean(np.log(np.clip(finals, 1e-4, 1e4)))
        diverged = f"{arm['divergences']}/{arm['trainings']}"
        lines.append(f"{name:<32}{diverged:>16}{speed:>12.2f}{log_loss:>12.3f}")
    lines += ["", *_fraction_lines(data), "", *_task_lines(data)]
    return "\n".join(lines)


def _against_line(name: str, found: Mapping[str, Any]) -> str:
    """Fractions, tasks reached, and the largest ratio of final losses, marked if not robust."""
    group = "first three tiers" if "first three tiers" in found["steps"] else "all"
    steps, seconds = found["steps"][group], found["seconds"][group]
    worst = max(_number(task["loss_ratio"]) for task in found["tasks"].values())
    fragile = any(not task["robust"] for task in found["tasks"].values())
    judged = [t for t in found["tasks"].values() if group == "all" or t["tier"] != "scale"]
    gained = [gain for task in judged if (gain := task["accuracy_gained"]) is not None]
    accuracy = f"{100 * float(np.mean(gained)):+.1f}" if gained else "-"
    return (
        f"{name:<32}{_interval(steps):>22}{_interval(seconds):>22}"
        f"{steps['n_reached']:>6}/{steps['n_tasks']:<3}{worst:>11.2f}{'!' if fragile else ' '}"
        f"{accuracy:>10}"
    )


def _interval(summary: Mapping[str, float]) -> str:
    return f"{summary['median']:.2f} [{summary['low']:.2f}, {summary['high']:.2f}]"


def _fraction_lines(data: Mapping[str, Any]) -> list[str]:
    """The fractions of every arm on every task; the columns are those of the losses below."""
    names = list(data["arms"])
    lines = [f"{'steps/seconds':<26}" + "".join(f"{i:>10}" for i in range(1, len(names)))]
    for task, tier in data["tasks"].items():
        found = [data["against"][name]["tasks"][task] for name in names[1:]]
        cells = "".join(
            f"{'never':>10}"
            if of["steps"] is None
            else f"{of['steps']:>5.2f}/{min(of['seconds'], 99):<4.2f}"
            for of in found
        )
        lines.append(f"{tier[:6] + ' ' + task:<26}{cells}")
    return lines


def _task_lines(data: Mapping[str, Any]) -> list[str]:
    """The final loss of every arm on every task."""
    names = list(data["arms"])
    lines = [f"{'final validation loss':<26}" + "".join(f"{i:>9}" for i in range(len(names)))]
    for task, tier in data["tasks"].items():
        losses = [data["arms"][name]["tasks"][task]["curve"]["1.0"] for name in names]
        cells = "".join("        -" if loss is None else f"{loss:>9.4f}" for loss in losses)
        lines.append(f"{tier[:6] + ' ' + task:<26}{cells}")
    return [*lines, *(f"  {i}: {name}" for i, name in enumerate(names))]
