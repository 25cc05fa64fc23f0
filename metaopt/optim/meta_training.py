"""Meta-training from several seeds, and the best θ as an artifact.

``python -m metaopt.optim.meta_training --help`` says how to run it where the command line's own
packages are not installed; under ``torchrun``, its processes share the work.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from metaopt.optim.meta_checkpoint import load_checkpoint
from metaopt.optim.meta_loop import MetaTraining
from metaopt.optim.meta_options import MetaTrainingOptions, parse_changes
from metaopt.optim.workers import workers_from_environment

Report = Callable[[int, dict[str, Any]], None]


def seed_directory(out: Path, seed: int) -> Path:
    """Where the meta-training from one seed lives."""
    return out / f"seed-{seed}"


def meta_train_optimizer(
    out: Path,
    *,
    seeds: Sequence[int],
    options: MetaTrainingOptions,
    device: torch.device,
    n_updates: int | None = None,
    seconds: float | None = None,
    capture: bool = True,
    compiled: bool = False,
    report: Report | None = None,
) -> None:
    """Meta-train from each seed, one after another, resuming what is in ``out``.

    Args:
        out: Directory of the checkpoints and curves.
        seeds: Of the meta-trainings.
        options: Of each; its seed is replaced.
        device: Where to train.
        n_updates: Of each seed, in all; None: until it stops getting better.
        seconds: For each seed, in this call; None: no limit.
        capture: Whether to capture CUDA graphs.
        compiled: Whether ``torch.compile`` fuses the update rule.
        report: Told of each entry of the curve of each seed.
    """
    with workers_from_environment() as workers:
        for seed in seeds:
            training = MetaTraining(
                seed_directory(out, seed),
                replace(options, seed=seed),
                device=device,
                workers=workers,
                capture=capture,
                compiled=compiled,
            )
            training.run(
                n_updates=n_updates,
                seconds=seconds,
                report=None if report is None else partial(report, seed),
            )


def ship_best(out: Path, path: Path) -> dict[str, Any]:
    """Write the θ that meta-validation likes best, of all seeds in ``out``, as an artifact.

    Args:
        out: As in :func:`meta_train_optimizer`.
        path: The artifact.

    Returns:
        The training record in the artifact.

    Raises:
        ValueError: If ``out`` holds no checkpoint.
    """
    from metaopt.optim import controller, weights

    found = {
        directory.name: loaded
        for directory in sorted(out.glob("seed-*"))
        if (loaded := load_checkpoint(directory)) is not None
    }
    if not found:
        raise ValueError(f"{out} given; expected a directory with checkpoints in seed-*/.")
    best = max(found, key=lambda name: found[name][0].best_score)
    state, options = found[best]
    record = {
        "chosen": best,
        "options": options,
        "update": state.best_update,
        "judgements": state.judgements,
        "seeds": {
            name: {
                "score": other.best_score,
                "best_update": other.best_update,
                "updates": other.update,
                "seconds": round(other.seconds),
                "inner_steps": other.n_steps,
            }
            for name, (other, _) in found.items()
        },
    }
    theta = controller.unflatten(state.best, int(options["hidden_size"]))
    is_schedule = options["kind"] == "schedule"
    kind: weights.Kind = "learned-schedule" if is_schedule else "learned-optimizer"
    weights.save_weights(path, theta, record, kind=kind)
    return record


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a meta-training with plain text as progress."""
    parser = argparse.ArgumentParser(description="Meta-train the learned optimizer.")
    parser.add_argument("--out", type=Path, required=True, help="checkpoints and curves")
    parser.add_argument("--seed", type=int, action="append", help="may be given several times")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--kind", choices=("optimizer", "schedule"), default="optimizer")
    parser.add_argument("--seconds", type=float, help="of each seed, in this call")
    parser.add_argument("--updates", type=int, help="of each seed, in all")
    parser.add_argument("--quick", action="store_true", help="only to see that it runs")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=JSON")
    parser.add_argument("--no-capture", action="store_true", help="no CUDA graphs")
    parser.add_argument("--compile", action="store_true", help="fuse the update rule")
    parser.add_argument("--ship", type=Path, help="write the best θ of all seeds here")
    given = parser.parse_args(arguments)
    device = torch.device(given.device)
    make = (
        MetaTrainingOptions.quick
        if given.quick
        else MetaTrainingOptions.for_cpu
        if device.type == "cpu"
        else MetaTrainingOptions.for_gpu
    )
    meta_train_optimizer(
        given.out,
        seeds=given.seed or ([] if given.ship else [0]),
        options=make(kind=given.kind, **parse_changes(given.option)),
        device=device,
        n_updates=given.updates,
        seconds=given.seconds,
        capture=not given.no_capture,
        compiled=given.compile,
        report=lambda seed, entry: print(json.dumps({"seed": seed, **entry}), flush=True),
    )
    if given.ship:
        record = ship_best(given.out, given.ship)
        print(f"{given.ship}: {record['chosen']} after {record['update']} updates")


if __name__ == "__main__":
    main()
