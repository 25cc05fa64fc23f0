"""``metaopt info``: what an artifact knows, and what it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metaopt.cli.output import JsonOption, print_json

if TYPE_CHECKING:
    from warmstart.prior import Prior
    from warmstart.space import SearchSpace


def info(
    artifact: Annotated[
        Path | None, typer.Argument(help="The file. Default: the shipped one.", show_default=False)
    ] = None,
    tasks: Annotated[bool, typer.Option("--tasks", help="List the training tasks, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what an artifact knows and what it was made of."""
    from warmstart.knowledge import shipped_artifact
    from warmstart.space import SearchSpace

    content = describe_artifact(shipped_artifact() if artifact is None else artifact)
    if as_json:
        print_json(content)
        return
    print(f"{content['path']}: {content['format']} {content['version']}, {content['bytes']} bytes")
    print(f"digest {content['digest']}")
    for name, estimator in content["estimators"].items():
        print(f"\n{name}: {estimator['n_tasks']} tasks, {estimator['n_trials']} trials")
        for line in _figure_lines(content["card"].get("estimators", {}).get(name, {})):
            print(f"  {line}")
        for hyperparameter in _space_lines(SearchSpace.from_json(estimator["space"])):
            print(f"  {hyperparameter}")
        if tasks:
            for task in estimator["tasks"]:
                print(f"  {task['id']} {task['name']}: {task['n_trials']} trials, {_of(task)}")
    print("\nCard")
    for line in _card_lines(content["card"]):
        print(f"  {line}")


def describe_artifact(path: Path) -> dict[str, Any]:
    """What ``metaopt info --json`` prints.

    Raises:
        ArtifactError: If there is none, or it is damaged or foreign.
    """
    from warmstart.artifact import FORMAT, VERSION, read_artifact
    from warmstart.prior_file import estimators_in, unpack_prior

    artifact = read_artifact(path)
    return {
        "path": str(path),
        "format": FORMAT,
        "version": VERSION,
        "digest": artifact.digest,
        "bytes": path.stat().st_size,
        "estimators": {
            name: _describe_prior(unpack_prior(artifact, name)) for name in estimators_in(artifact)
        },
        "card": artifact.description["card"],
    }


def _describe_prior(prior: Prior) -> dict[str, Any]:
    fields = ("id", "name", "dataset", "family", "source", "metric", "licence", "n_trials")
    return {
        "n_tasks": len(prior.tasks),
        "n_trials": sum(task.n_trials for task in prior.tasks),
        "space": prior.space.to_json(),
        "tasks": [{name: getattr(task, name) for name in fields} for task in prior.tasks],
    }


def _figure_lines(said: Mapping[str, Any]) -> list[str]:
    """What the card says an estimator's proposals are worth; nothing in older artifacts."""
    lines = []
    for key, of in (("held_out", ""), ("held_out_of_added", " that were added later")):
        figures = said.get(key)
        if figures is None:
            continue
        default = f", the default {figures['default']:.3f}" if "default" in figures else ""
        lines.append(
            f"first proposal's regret on {figures['n_tasks']} training tasks{of}, their families "
            f"left out ({figures['metric']}): {figures['first_pick']:.3f}, random "
            f"{figures['random']:.3f}{default}"
        )
    return lines


def _space_lines(space: SearchSpace) -> list[str]:
    """A line for each hyperparameter: its range, its scale, and when it has an effect."""
    from warmstart.space import Categorical, Integer

    lines = []
    for name, parameter in space.parameters.items():
        if isinstance(parameter, Categorical):
            text = "one of " + ", ".join(map(str, parameter.choices))
        else:
            kind = "integer " if isinstance(parameter, Integer) else ""
            scale = ", logarithmic" if parameter.log else ""
            text = f"{kind}{parameter.low:g} to {parameter.high:g}{scale}"
        condition = space.conditions.get(name)
        if condition is not None:
            text += f", if {condition.parameter} is " + " or ".join(map(str, condition.values))
        lines.append(f"{name}: {text}")
    return lines


def _of(task: Mapping[str, Any]) -> str:
    known = [task[name] for name in ("dataset", "metric", "licence") if task[name]]
    return ", ".join(known)


def _card_lines(card: object, indent: str = "") -> list[str]:
    """A card, which is nested plain values, as indented lines."""
    if isinstance(card, Mapping):
        lines = []
        for key, value in card.items():
            if isinstance(value, Mapping | list):
                lines += [f"{indent}{key}:", *_card_lines(value, indent + "  ")]
            else:
                lines.append(f"{indent}{key}: {value}")
        return lines
    if isinstance(card, list):
        return [line for item in card for line in _card_lines(item, indent)]
    return [f"{indent}{card}"]
