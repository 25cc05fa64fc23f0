"""The published experiments of the coordinate-wise LSTM, and its tuned rivals, in one call.

Each rival's learning rate is the best of a grid on other optimizees, by the loss at step 100; one
at the edge of the grid is marked. All are then judged on the same new optimizees, the LSTM also on
kinds that it was not trained on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from metaopt.optim.l2l import CoordinateLSTM, L2LConfig, save_l2l
from metaopt.optim.l2l_tasks import Family, Quadratics, SmallMLPs, digits
from metaopt.optim.l2l_training import (
    L2LProgress,
    L2LTraining,
    MetaTrainer,
    gradient,
    roll_out,
)

STEPS: Final = (100, 200)  # at which losses are reported; rivals are tuned at the first
_SEED_TUNE: Final = 1_000_000
_SEED_TEST: Final = 2_000_000
_DIVERGED: Final = 1e4

Rival = Callable[[Sequence[Tensor], float], torch.optim.Optimizer]

RIVALS: Final[Mapping[str, Rival]] = {
    "Adam": lambda params, lr: torch.optim.Adam(params, lr=lr),
    "RMSprop": lambda params, lr: torch.optim.RMSprop(params, lr=lr),
    "SGD": lambda params, lr: torch.optim.SGD(params, lr=lr),
    "NAG": lambda params, lr: torch.optim.SGD(params, lr=lr, momentum=0.9, nesterov=True),
}
RATES: Final = tuple(10 ** (exponent / 4) for exponent in range(-16, 7))  # 1e-4 … 32


@dataclass(frozen=True)
class Experiment:
    """One published experiment.

    Attributes:
        config: Of the network.
        training: How it is meta-trained.
        family: On what.
        others: Families that it is tested on beside its own.
        n_test: Optimizees of each family in a test.
        rates: That rivals are tuned over, ascending.
    """

    config: L2LConfig
    training: L2LTraining
    family: Family
    others: Mapping[str, Family] = field(default_factory=dict)
    n_test: int = 128
    rates: Sequence[float] = RATES


def experiments() -> dict[str, Experiment]:
    """Quadratics, and a small MLP on the digits."""
    inputs, labels = digits()
    mlps = SmallMLPs(inputs, labels)
    return {
        "quadratic": Experiment(
            L2LConfig(log_range=None, input_scale=0.1, output_scale=1.0),
            L2LTraining(n_epochs=700, n_optimizees=32),
            Quadratics(),
        ),
        "mlp": Experiment(
            L2LConfig(),
            L2LTraining(n_epochs=300, n_optimizees=1, n_validation=8),
            mlps,
            {
                "40 units": replace(mlps, hidden=(40,)),
                "2 layers": replace(mlps, hidden=(20, 20)),
                "ReLU": replace(mlps, activation=torch.relu),
            },
            n_test=32,
        ),
    }


@dataclass(frozen=True)
class Row:
    """One optimizer on one family.

    Attributes:
        optimizer: ``"LSTM"`` or a rival.
        learning_rate: The tuned one; None for the LSTM.
        at_edge: Whether it is the smallest or largest of the grid.
        losses: The mean loss of the optimizees at each of ``STEPS``.
        standard_error: Of the first.
        n_diverged: Optimizees that ended non-finite or above 1e4.
    """

    optimizer: str
    learning_rate: float | None
    at_edge: bool
    losses: tuple[float, ...]
    standard_error: float
    n_diverged: int


def train(
    name: str,
    experiment: Experiment,
    *,
    out: Path,
    device: str = "cpu",
    report: Callable[[L2LProgress], None] | None = None,
) -> CoordinateLSTM:
    """Meta-train, or go on from the checkpoint in ``out``; writes ``l2l_<name>.safetensors``."""
    out.mkdir(parents=True, exist_ok=True)
    trainer = MetaTrainer(
        experiment.config,
        experiment.family,
        experiment.training,
        device=device,
        checkpoint=out / f"l2l_{name}.checkpoint",
    )
    network = trainer.run(report)
    card = {
        "experiment": name,
        "training": asdict(experiment.training),
        "best_epoch": trainer.progress.best_epoch,
        "validation_loss": trainer.progress.best_loss,
    }
    save_l2l(network, out / f"l2l_{name}.safetensors", card=card)
    return network


def compare(
    network: CoordinateLSTM, experiment: Experiment, *, device: str = "cpu", seed: int = 0
) -> dict[str, list[Row]]:
    """The LSTM and its rivals on the experiment's family and on each of the others."""
    network = network.to(device)
    families = {"as in training": experiment.family, **experiment.others}
    return {
        name: _judged(network, family, experiment, device=device, seed=seed)
        for name, family in families.items()
    }


def _judged(
    network: CoordinateLSTM, family: Family, experiment: Experiment, *, device: str, seed: int
) -> list[Row]:
    n, rates = experiment.n_test, experiment.rates

    def new(base: int) -> torch.Generator:
        return torch.Generator(device).manual_seed(base + seed)

    curve = roll_out(network, family, n=n, n_steps=max(STEPS), generator=new(_SEED_TEST))
    rows = [_row("LSTM", curve)]
    for name, rival in RIVALS.items():
        tried = {
            rate: _run(rival, rate, family, n=n, n_steps=STEPS[0], generator=new(_SEED_TUNE))[-1]
            for rate in rates
        }
        rate = min(tried, key=lambda rate: _mean(tried[rate]))
        curve = _run(rival, rate, family, n=n, n_steps=max(STEPS), generator=new(_SEED_TEST))
        rows.append(_row(name, curve, rate, at_edge=rate in (rates[0], rates[-1])))
    return rows


def _run(
    rival: Rival,
    rate: float,
    family: Family,
    *,
    n: int,
    n_steps: int,
    generator: torch.Generator,
) -> Tensor:
    """Losses ``(n_steps + 1, n)`` under a rival, whose steps are coordinate-wise as well."""
    optimizees = family.sample(n, generator=generator)
    x = optimizees.start.clone()
    optimizer, losses = rival([x], rate), []
    for _ in range(n_steps):
        values, x.grad = gradient(optimizees.losses, x)
        losses.append(values)
        optimizer.step()
    return torch.stack([*losses, optimizees.losses(x)])


def _mean(losses: Tensor) -> float:
    """Where one is not a number, the mean counts as infinite."""
    return float(losses.mean().nan_to_num(nan=torch.inf, posinf=torch.inf))


def _row(name: str, curve: Tensor, rate: float | None = None, *, at_edge: bool = False) -> Row:
    return Row(
        optimizer=name,
        learning_rate=rate,
        at_edge=at_edge,
        losses=tuple(_mean(curve[step]) for step in STEPS),
        standard_error=float(curve[STEPS[0]].std() / len(curve[0]) ** 0.5),
        n_diverged=int((~(curve[-1] < _DIVERGED)).sum()),
    )


def as_text(name: str, results: Mapping[str, Iterable[Row]]) -> str:
    """A table for people."""
    lines = []
    for family, rows in results.items():
        lines.append(f"{name}, {family}")
        lines.append(
            f"  {'optimizer':<9}{'rate':>9}"
            + "".join(f"{f'step {step}':>11}" for step in STEPS)
            + f"{'± s.e.':>10}{'diverged':>10}"
        )
        for row in rows:
            rate = "" if row.learning_rate is None else f"{row.learning_rate:.3g}"
            lines.append(
                f"  {row.optimizer:<9}{rate + ('!' if row.at_edge else ''):>9}"
                + "".join(f"{loss:>11.4g}" for loss in row.losses)
                + f"{row.standard_error:>10.2g}{row.n_diverged:>10}"
            )
    return "\n".join(lines)


def run(
    names: Iterable[str],
    *,
    out: Path,
    epochs: int | None = None,
    device: str = "cpu",
    seed: int = 0,
    report: Callable[[L2LProgress], None] | None = None,
) -> dict[str, Any]:
    """Meta-train, or go on with it, and compare.

    Args:
        names: Of ``experiments()``.
        out: Directory of checkpoints and networks; what is trained there is not trained again.
        epochs: Of meta-training, in place of the experiment's own number.
        device: Where all of it runs.
        seed: Of the meta-training and the tests.
        report: Told of the meta-training's progress.

    Returns:
        For each experiment, rows by family.

    Raises:
        ValueError: If there is no experiment of a name.
    """
    known = experiments()
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValueError(f"Experiments {unknown} given; expected some of {sorted(known)}.")
    results = {}
    for name in names:
        experiment = known[name]
        training = replace(experiment.training, seed=seed)
        if epochs is not None:
            training = replace(training, n_epochs=epochs)
        network = train(
            name, replace(experiment, training=training), out=out, device=device, report=report
        )
        results[name] = compare(network, experiment, device=device, seed=seed)
    return results
