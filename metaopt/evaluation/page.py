"""The page of an evaluation, made from its figures alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from metaopt.evaluation.calibration import outside, over_estimators
from metaopt.evaluation.document import (
    Block,
    Heading,
    Paragraph,
    Picture,
    Table,
    to_html,
    to_markdown,
)
from metaopt.evaluation.numbers import interval, mean, number
from metaopt.evaluation.plots import plot_estimator

Figures = Mapping[str, Any]

_FIRST: Final = "0"  # the budget at which proposals are made from nothing but what was learned
_SHOWN: Final = ("5", "25")
_LATER: Final = ("5", "10", "2", "1")  # a budget to compare at, the first of these there is


def write_page(data: Figures, directory: Path) -> list[Path]:
    """Write ``evaluation.md``, ``evaluation.html`` and the pictures that they show.

    Args:
        data: As in ``evaluation.json``.
        directory: Where to write.
    """
    pictures = {
        name: file
        for name, figures in data["estimators"].items()
        if (file := plot_estimator(name, figures, directory)) is not None
    }
    blocks = page(data, pictures)
    written = [directory / "evaluation.md", directory / "evaluation.html"]
    for path, text in zip(written, (to_markdown(blocks), to_html(blocks)), strict=True):
        path.write_text(text, encoding="utf-8")
    return [*written, *(directory / file for file in pictures.values())]


def page(data: Figures, pictures: Mapping[str, str]) -> list[Block]:
    """The page.

    Args:
        data: As in ``evaluation.json``.
        pictures: File of each estimator's curves.
    """
    estimators: Figures = data["estimators"]
    options = data["options"]
    blocks: list[Block] = [
        Heading("What the meta-learner is worth", level=1),
        Paragraph(
            f"Artifact {data['artifact']['file']}, digest {data['artifact']['digest'][:16]}…; "
            f"{options['n_folds_judged']} of {options['n_folds']} folds of data-set families, "
            f"{options['n_splits']} random support sets of each task, seed {options['seed']}. "
            "A held-out task is judged by a prior that was learned "
            "from other folds with the code that trained the artifact. Regret is 0 at the best "
            "and 1 at the worst recorded run of a task. Scores are of the logarithmic regret, in "
            "nats, higher is better. Brackets: 95 % intervals, bootstrapped over families."
        ),
    ]
    blocks += _in_short(estimators)
    blocks += _adaptation(estimators, pictures)
    blocks += _calibration(estimators)
    blocks += _own_tasks(estimators)
    for title, text, experiment in _VARIATIONS:
        rows = [
            [name, arm, *_cells(curves)]
            for name, figures in estimators.items()
            for arm, curves in figures["experiments"].get(experiment, {}).items()
        ]
        blocks += [Heading(title), Paragraph(text)]
        blocks.append(Table(_HEAD, rows) if rows else Paragraph("Nothing to compare."))
    return blocks + _cost(estimators)


_HEAD: Final = (
    "estimator",
    "learned from",
    "first pick's regret",
    "log score at 0",
    "later, after",
    "log score then",
    "regret of the pick then",
    "tasks",
)
_VARIATIONS: Final = (
    (
        "Meta-overfitting and the number of training tasks",
        "What so many families of training tasks teach, on held-out tasks and on the training "
        "tasks themselves. The gap between the two is what was learned by heart.",
        "number of tasks",
    ),
    (
        "The number of trials of each training task",
        "Each training history cut to so many random trials.",
        "number of trials",
    ),
    (
        "Tasks out of the distribution",
        "Priors of the half of the families with the smaller data (rows times columns), judged "
        "on half of the larger ones; beside priors of as many families of any size. An "
        "estimator that was left out is not known at all: the sampler leaves it to the "
        "one that follows, which is 'no transfer' above.",
        "larger tasks",
    ),
    (
        "Interference",
        "Whether histories of other metrics or sources help or hurt. Estimators can't hurt each "
        "other: each has a prior of its own.",
        "interference",
    ),
    (
        "Probes for shortcuts",
        "Each task with the descriptor of another; tasks compared by rows and columns only; and "
        "half of the runs of each task, drawn at random, or evenly over the space, so that where "
        "others searched most tells nothing. What is left of the gain is the difference to "
        "'no transfer' on the same runs.",
        "probes",
    ),
    (
        "Adding histories later",
        "A prior of half of the families, the others added to it as 'metaopt train --from' does, "
        "and a prior of all at once; on the first half (own families excluded) and on held-out "
        "tasks. Forgetting is what the old tasks lose from 'before' to 'added'.",
        "lifelong",
    ),
)


def _in_short(estimators: Figures) -> list[Block]:
    rows = []
    for name, figures in estimators.items():
        arms, at = figures["experiments"].get("held out", {}), figures["calibration"]
        first = arms.get("transfer", {}).get(_FIRST)
        rows.append(
            [
                name,
                f"{figures['n_tasks']} in {figures['n_families']}",
                interval(first["picked"], 3) if first else "",
                mean(arms.get("trained on", {}).get(_FIRST), "picked", 3),
                mean(first, "random", 3),
                *(number(at[b]["coverage"]["0.8"] if b in at else None, 2) for b in _SHOWN),
                *(interval(at[b]["gain"], 2) if b in at else "" for b in _SHOWN),
            ]
        )
    head = (
        "estimator",
        "tasks in families",
        "first pick's regret",
        "on training tasks",
        "random run",
        *(f"80 % interval covers, {b} points" for b in _SHOWN),
        *(f"log score over one variance, {b}" for b in _SHOWN),
    )
    return [Heading("In short"), Table(head, rows)]


def _adaptation(estimators: Figures, pictures: Mapping[str, str]) -> list[Block]:
    blocks: list[Block] = [
        Heading("Adaptation"),
        Paragraph(
            "After so many random support points. 'Pick' is the regret of the run that is "
            "recommended among the others, 'alone' that of a model of the task's own points."
        ),
    ]
    rows = []
    for name, figures in estimators.items():
        arms = figures["experiments"].get("held out", {})
        alone, training = arms.get("no transfer", {}), arms.get("trained on", {})
        for budget, at in arms.get("transfer", {}).items():
            rows.append(
                [
                    name,
                    budget,
                    str(at["n_tasks"]),
                    interval(at["log_score"], 2),
                    mean(alone.get(budget), "log_score", 2),
                    mean(training.get(budget), "log_score", 2),
                    interval(at["picked"], 3),
                    mean(alone.get(budget), "picked", 3),
                    mean(at, "random", 3),
                    mean(at, "incumbent", 3),
                    mean(at, "rank_correlation", 2),
                ]
            )
    head = (
        "estimator",
        "points",
        "tasks",
        "log score",
        "alone",
        "on training tasks",
        "pick",
        "alone",
        "random",
        "best point",
        "rank correlation",
    )
    blocks.append(Table(head, rows))
    return blocks + [Picture(file, f"Curves of {name}") for name, file in pictures.items()]


def _calibration(estimators: Figures) -> list[Block]:
    rows, strayed = [], []
    for name, figures in estimators.items():
        for budget, at in figures["calibration"].items():
            covered, families, rescaled = at["coverage"], at["families"], at["rescaled"]
            rows.append(
                [
                    name,
                    budget,
                    *(f"{share:.2f}" for share in covered.values()),
                    f"{families['within']:.2f} of {at['n_families']}",
                    f"{families['lowest']:.2f} to {families['highest']:.2f}",
                    f"{families['spread']:.2f} / {families['spread_by_chance']:.2f}",
                    f"{at['log_score']:.2f}",
                    f"{at['log_score_of_constant_variance']:.2f}",
                    interval(at["gain"], 2),
                    interval(at["gain_over_told_the_scale"], 2),
                    f"{at['excluded']:.3f}",
                    f"{rescaled['factor']:g}",
                    f"{rescaled['coverage']['0.8']:.2f}",
                    f"{rescaled['log_score']:.2f}",
                ]
            )
            strayed.append([name, budget, _listed(outside(families["coverage"]))])
    return [
        Heading("Calibration"),
        Paragraph(
            "Share of held-out runs inside the central 50, 80 and 95 % intervals (where one ends "
            "at the best or the worst of all runs, which before any trial have a probability of "
            "their own, that end is inside to the share that gives the interval its level); of "
            "families, "
            "the share whose 80 % interval covers 0.65 to 0.92 (the others are named below), the "
            "extremes, and their standard deviation beside what it would be if each "
            "run were covered or not by itself: what is more than that comes from errors that all "
            "runs of a task share. The rival is the same model with one variance for all runs and "
            "tasks, the best on other families; the other rival is told the task's best loss and "
            "range, which the model has to guess: a normal distribution of the logarithmic regret "
            "with the same middle and one variance, whose density counts at the best and the "
            "worst, too. 'Excluded' is the "
            "share of runs that had next to no density (they count as -20 nats). A factor of the "
            "standard deviation, chosen on the other families, would give the last columns."
        ),
        Table(
            (
                "estimator",
                "points",
                "50 %",
                "80 %",
                "95 %",
                "families within",
                "range",
                "spread / by chance",
                "log score",
                "one variance",
                "gain",
                "gain over the one told the scale",
                "excluded",
                "best factor",
                "80 % then",
                "log score then",
            ),
            rows,
        ),
        *_together(estimators),
        Paragraph("Families whose 80 % interval covers less than 0.65 or more than 0.92:"),
        Table(("estimator", "points", "families and what is covered"), strayed),
    ]


def _together(estimators: Figures) -> list[Block]:
    """Coverage over the estimators, and what families are covered in the mean of them."""
    rows = [
        [
            budget,
            str(at["n_estimators"]),
            f"{at['coverage']:.2f}",
            f"{at['lowest']:.2f} to {at['highest']:.2f}",
            f"{at['families']['within']:.2f} of {len(at['families']['coverage'])}",
            f"{at['families']['lowest']:.2f} to {at['families']['highest']:.2f}",
            _listed(outside(at["families"]["coverage"])),
        ]
        for budget, at in over_estimators(
            [figures["calibration"] for figures in estimators.values()]
        ).items()
    ]
    return [
        Paragraph(
            "The 80 % interval over all estimators: the mean, the lowest and the highest "
            "estimator; and families by the mean of the estimators they were judged by."
        ),
        Table(
            ("points", "estimators", "80 %", "range", "families within", "range", "the others"),
            rows,
        ),
    ]


def _listed(coverage: Mapping[str, float]) -> str:
    return ", ".join(f"{family} {share:.2f}" for family, share in coverage.items())


def _own_tasks(estimators: Figures) -> list[Block]:
    rows = [
        [name, arm, *_cells(curves)]
        for name, figures in estimators.items()
        for arm, curves in figures["experiments"].get("own tasks", {}).items()
    ]
    return [
        Heading("The artifact on its own training tasks"),
        Paragraph(
            "Not held out: the artifact was trained on these tasks. 'Trained on' is what it says "
            "of them as they are; 'own family excluded' without their own contribution, though "
            "lengthscales keep a trace of them."
        ),
        Table(_HEAD, rows) if rows else Paragraph("It was trained on none of these tasks."),
    ]


def _cost(estimators: Figures) -> list[Block]:
    rows = []
    for name, figures in estimators.items():
        cost = figures["cost"]
        rows.append(
            [
                name,
                str(figures["n_tasks"]),
                str(figures["n_families"]),
                str(figures["n_trials"]),
                number(cost["seconds_to_learn"], 1),
                number(cost["milliseconds_a_prediction"], 3),
                f"{sum(cost['seconds'].values()):.0f}",
            ]
        )
    head = (
        "estimator",
        "tasks",
        "families",
        "trials",
        "seconds to learn a prior",
        "ms a prediction, with all factors",
        "seconds for all",
    )
    return [Heading("Cost"), Table(head, rows)]


def _cells(curves: Figures) -> list[str]:
    """The columns of ``_HEAD`` from the third on."""
    first = curves.get(_FIRST)
    later = next((budget for budget in _LATER if budget in curves), None)
    then = curves.get(later) if later else None
    known = first or then
    return [
        interval(first["picked"], 3) if first else "",
        mean(first, "log_score", 2),
        later or "",
        interval(then["log_score"], 2) if then else "",
        mean(then, "picked", 3),
        str(known["n_tasks"]) if known else "",
    ]


def overview(data: Figures) -> Sequence[str]:
    """One line for each estimator, for a terminal."""
    lines = []
    for name, figures in data["estimators"].items():
        first = figures["experiments"].get("held out", {}).get("transfer", {}).get(_FIRST)
        at = [
            f"{budget}: {c['coverage']['0.8']:.2f}" for budget, c in figures["calibration"].items()
        ]
        picked = "nothing could be learned of it on a fold's training tasks"
        if first:
            picked = (
                f"first pick's regret {interval(first['picked'], 3)}, random "
                f"{first['random']['mean']:.3f}"
            )
        lines.append(
            f"{name}: {figures['n_tasks']} tasks, {picked}; coverage of the 80 % interval by "
            f"support points {', '.join(at) or 'not measured'}"
        )
    return lines
