"""The results of all jobs as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

Result = Mapping[str, Any]
_TRIALS: Final = (1, 3, 5, 10)


def report(results: Sequence[Result]) -> str:
    """Tables of all that was run."""
    by_part: dict[str, list[Result]] = {}
    for result in results:
        by_part.setdefault(result["job"].partition("/")[0], []).append(result)
    return "\n\n".join(_SECTIONS[part](of_part) for part, of_part in by_part.items())


def _name(result: Result) -> str:
    return str(result["job"]).partition("/")[2]


def _sinusoids(results: Sequence[Result]) -> str:
    lines = ["Sine waves: mean squared error on 600 unseen tasks, ± 95 %; median; diverged tasks"]
    for result in results:
        for steps, errors in result["after"].items():
            after = steps if steps == "closed form" else f"{steps} steps"
            lines.append(
                f"  {_name(result):22} after {after:12} {errors['mean']:8.3f} "
                f"± {errors['half_interval']:.3f}   median {errors['median']:.3f}   "
                f"diverged {errors['n_diverged']}/{errors['n_tasks']}"
            )
    return "\n".join(lines)


def _digits(results: Sequence[Result]) -> str:
    lines = ["Digits never seen in training, 5 ways: accuracy on 600 tasks, ± 95 %"]
    for result in results:
        if "after" in result:
            told = [(shots, _name(result), scores) for shots, scores in result["after"].items()]
        else:
            shots = _name(result).partition("/")[2]
            told = [
                (shots, name, scores)
                for name, scores in result.items()
                if isinstance(scores, Mapping)
            ]
        for shots, name, scores in told:
            beside = scores.get("above_nearest_neighbour")
            lines.append(
                f"  {shots}  {name:22} {_share(scores)}"
                + (f"   above the nearest neighbour, paired: {_share(beside)}" if beside else "")
            )
    return "\n".join([lines[0], *sorted(lines[1:]), *_ranking(results)])


def _ranking(results: Sequence[Result]) -> list[str]:
    """The learners from random features with as many steps, each beside the next, by tasks."""
    from metaopt.benchmarks.learners.digits import RANKED, SHOTS

    found = {_name(result): result for result in results if _name(result) in RANKED}
    lines = []
    for shots in (f"{n}-shot" for n in SHOTS):
        ranked = sorted(found, key=lambda name: -found[name]["after"][shots]["accuracy"])
        for better, worse in pairwise(ranked):
            gain = np.subtract(
                *(found[name]["after"][shots]["of_tasks"] for name in (better, worse))
            )
            half = 1.96 * gain.std(ddof=1) / len(gain) ** 0.5
            lines.append(
                f"  {shots}  {better:22} above {worse:22} {100 * gain.mean():+.1f} % "
                f"± {100 * half:.1f}, paired"
            )
    if lines:
        n_steps = {result["n_steps"] for result in found.values()}
        title = f"The same from random features, each with {sorted(n_steps)} outer steps, ranked"
        lines.insert(0, title)
        lines.append(
            "  In training Reptile takes ten inner steps and MAML three; on validation digits "
            "that is most of what lies between them."
        )
    return lines


def _share(scores: Mapping[str, float]) -> str:
    return f"{100 * scores['accuracy']:5.1f} % ± {100 * scores['half_interval']:.1f}"


def _proposer(results: Sequence[Result]) -> str:
    by_source: dict[str, list[Mapping[str, Any]]] = {}
    for result in results:
        source = _name(result).partition("/")[0]
        by_source.setdefault(source, []).extend(result["curves"].values())
    lines = ["Proposals on tasks of families never seen in training: mean best regret at trial"]
    for source, curves in by_source.items():
        lines += _proposed(source, curves)
    if len(by_source) > 1:
        everything = [curve for curves in by_source.values() for curve in curves]
        lines += _proposed("all sources together", everything)
    return "\n".join(lines)


def _proposed(name: str, curves: Sequence[Mapping[str, Any]]) -> list[str]:
    """What methods reach on some tasks, and the proposer beside each, paired by families."""
    from metaopt.benchmarks.statistics import averaged_by, bootstrap_interval, paired_p_value

    families = [curve["family"] for curve in curves]
    regret = {
        method: np.array([curve[method] for curve in curves])
        for method in ("random", "portfolio", "untrained", "rl2")
    }
    lines = [f"  {name}, {len(curves)} tasks, {len(set(families))} families"]
    for method, of_tasks in regret.items():
        means = "  ".join(f"{t}: {of_tasks[:, t - 1].mean():.4f}" for t in _TRIALS)
        lines.append(f"    {method:10} {means}")
    for rival in ("random", "portfolio", "untrained"):
        gain = (regret["rl2"] - regret[rival])[:, _TRIALS[-1] - 1]
        low, high = bootstrap_interval(families, gain)
        p = paired_p_value(averaged_by(families, gain))
        lines.append(
            f"    rl2 - {rival}, trial {_TRIALS[-1]}: {gain.mean():+.4f} "
            f"[{float(low):+.4f}, {float(high):+.4f}], p={p:.3g} over families"
        )
    return lines


def _histories(results: Sequence[Result]) -> str:
    lines = ["Histories, inner folds: squared error of normal scores after so many trials seen"]
    for result in results:
        errors = "  ".join(
            f"{budget}: {scores['squared_error']:.3f}"
            for budget, scores in result["after"].items()
            if "squared_error" in scores
        )
        if errors:
            score = list(result["after"].values())[-1].get("log_score")
            at_the_last = "" if score is None else f"   -log density at the last: {score:.3f}"
            lines.append(f"  {_name(result):32} {errors}{at_the_last}")
    for score, what in (
        ("rank_correlation", "rank correlation with what is predicted"),
        ("cell_score", "log probability of what is predicted, given to its cell"),
    ):
        lines.append(f"The same: {what}")
        lines += [
            f"  {_name(result):32} "
            + "  ".join(f"{b}: {scores[score]:.3f}" for b, scores in result["after"].items())
            for result in results
            if all(score in scores for scores in result["after"].values()) and result["after"]
        ]
    return "\n".join([*lines, *_searches(results)])


def _searches(results: Sequence[Result]) -> list[str]:
    """What each learner's searches reach, beside those of the current surrogate."""
    from metaopt.benchmarks.statistics import averaged_by, bootstrap_interval, paired_p_value

    lines = ["Searches of 50 recorded runs by these predictions: regret, mean of trials 1 to 50"]
    by_learner: dict[str, dict[str, Mapping[str, Any]]] = {}
    for result in results:
        source, _, learner = _name(result).partition("/")
        of_learner = by_learner.setdefault(learner, {})
        of_learner |= {f"{source}/{task}": s for task, s in result.get("search", {}).items()}
    rival = by_learner.get("current surrogate", {})
    for learner, searches in by_learner.items():
        areas = {task: float(np.mean(s["curve"])) for task, s in searches.items()}
        sources = sorted({task.partition("/")[0] for task in areas})
        means = "  ".join(
            f"{source}: "
            f"{np.mean([a for task, a in areas.items() if task.startswith(source + '/')]):.4f}"
            for source in sources
        )
        shared = sorted(set(areas) & set(rival))
        beside = ""
        if shared and searches is not rival:
            gain = np.array([areas[t] - float(np.mean(rival[t]["curve"])) for t in shared])
            families = [searches[t]["family"] for t in shared]
            low, high = bootstrap_interval(families, gain)
            p = paired_p_value(averaged_by(families, gain))
            beside = (
                f"   - current: {gain.mean():+.4f} [{float(low):+.4f}, {float(high):+.4f}], "
                f"p={p:.2g} over {len(set(families))} families"
            )
        if areas:
            lines.append(f"  {learner:20} {means}{beside}")
    return lines


def _embeddings(results: Sequence[Result]) -> str:
    lines = ["Embeddings: share of strangers that are farther than a relative (chance: 0.5)"]
    lines += [
        f"  {_name(result):14} {result['closeness']:.3f}, p={result['p_value']:.3g}, "
        f"{result['n_in_families']} of {result['n_tasks']} tasks have relatives"
        for result in results
    ]
    return "\n".join(lines)


def _speed(results: Sequence[Result]) -> str:
    lines = ["Speed of meta-training"]
    for result in results:
        if "speedup" in result:
            lines.append(
                f"  two processes: {result['speedup']:.2f} times one "
                f"({result['n_tasks']} tasks a batch)"
            )
        else:
            lines.append(
                f"  {result['device']}: {result['tasks_per_second']:.0f} tasks/s, by hand "
                f"{result['tasks_per_second_by_hand']:.0f}: {result['times_by_hand']:.2f} times "
                "the time of a batched loop written by hand"
            )
    return "\n".join(lines)


_SECTIONS: Final = {
    "sinusoids": _sinusoids,
    "digits": _digits,
    "proposer": _proposer,
    "histories": _histories,
    "embeddings": _embeddings,
    "speed": _speed,
}
