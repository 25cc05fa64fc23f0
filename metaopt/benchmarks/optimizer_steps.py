"""What one step of an optimizer costs: the learned one beside AdamW, in one table.

``python -m metaopt.benchmarks.optimizer_steps --device cpu`` (or ``cuda``) prints it. All arms
take turns within a round, and a ratio is the median of the rounds' ratios, so that a busy machine
slows all of them alike. Gradients are fixed: only the optimizers' steps are timed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch

# Multilayer perceptrons by number of parameters: layer sizes, input first.
MODELS: Final[dict[str, dict[str, tuple[int, ...]]]] = {
    "cpu": {
        "3k": (30, 32, 32, 10),
        "10k": (64, 64, 64, 10),
        "100k": (64, 128, 256, 200, 10),
        "1M": (256, 768, 768, 256, 10),
        "10M": (512, 2048, 2048, 2048, 128),
    },
    "cuda": {
        "10M": (512, 2048, 2048, 2048, 128),
        "30M": (1024, *[2048] * 8, 128),
        "100M": (1024, *[4096] * 7, 128),
    },
}
REFERENCE: Final = {"cpu": "AdamW foreach", "cuda": "AdamW fused"}
_STEPS_A_TURN: Final = 20  # a multiple of all refresh intervals
_REFRESH: Final = 10


@dataclass(frozen=True)
class Row:
    """One optimizer on one model.

    Attributes:
        model: Its name in ``MODELS``.
        n_parameters: Of the model.
        arm: The optimizer and its path.
        milliseconds: A step, median of the rounds.
        ratio: To the reference, median of the rounds.
        low: The tenth of the rounds' ratios below.
        high: The tenth of the rounds' ratios above.
        state_bytes: A parameter.
        failed: Why there are no figures, or empty.
    """

    model: str
    n_parameters: int
    arm: str
    milliseconds: float
    ratio: float
    low: float
    high: float
    state_bytes: float
    failed: str = ""


def arms(device: str, *, compiled: bool) -> dict[str, Callable[[list[torch.Tensor]], Any]]:
    """Makers of optimizers, by name."""
    import torch

    from metaopt.optim import LSTMOptimizer

    adamw, lstm = torch.optim.AdamW, LSTMOptimizer
    options: dict[str, Any] = {"total_steps": 100_000}
    made: dict[str, Callable[[list[torch.Tensor]], Any]] = {
        "AdamW foreach": lambda p: adamw(p, foreach=True),
        "AdamW fused": lambda p: adamw(p, fused=True),
        "LSTM": lambda p: lstm(p, **options),
        "LSTM each step": lambda p: lstm(p, refresh_every=1, **options),
        f"LSTM refresh {_REFRESH}": lambda p: lstm(p, refresh_every=_REFRESH, **options),
        "LSTM foreach": lambda p: lstm(p, foreach=True, refresh_every=1, **options),
    }
    if device == "cpu":
        made["AdamW loop"] = lambda p: adamw(p, foreach=False)
    if compiled:
        made["LSTM compiled"] = lambda p: lstm(p, compile=True, refresh_every=1, **options)
        made[f"LSTM compiled, refresh {_REFRESH}"] = lambda p: lstm(
            p, compile=True, refresh_every=_REFRESH, **options
        )
    return made


def time_steps(
    model: str, layers: Sequence[int], device: str, *, seconds: float, compiled: bool
) -> list[Row]:
    """Time all arms on one model.

    Args:
        model: Its name.
        layers: Sizes of its layers, input first.
        device: ``cpu`` or ``cuda``.
        seconds: How long to measure, beside warming up.
        compiled: Whether to include what ``torch.compile`` makes.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    loss = torch.tensor(1.0, device=device)

    def parameters() -> list[torch.Tensor]:
        shapes = [s for a, b in itertools.pairwise(layers) for s in ((b, a), (b,))]
        made = []
        for shape in shapes:
            p = (0.02 * torch.randn(shape, generator=generator)).to(device).requires_grad_()
            p.grad = 0.01 * torch.randn(shape, generator=generator).to(device)
            made.append(p)
        return made

    def turn(optimizer: Any) -> float:
        """Milliseconds a step."""
        takes_loss = type(optimizer).__name__ == "LSTMOptimizer"
        # On a CPU, the time of this thread, whatever else the machine does.
        clock = time.perf_counter if device == "cuda" else time.thread_time
        if device == "cuda":
            torch.cuda.synchronize()
        start = clock()
        for _ in range(_STEPS_A_TURN):
            optimizer.step(loss=loss) if takes_loss else optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        return (clock() - start) / _STEPS_A_TURN * 1e3

    optimizers, failures, sizes = {}, {}, {}
    n_parameters = 0
    for name, make in arms(device, compiled=compiled).items():
        params = parameters()
        n_parameters = sum(p.numel() for p in params)
        try:
            optimizers[name] = make(params)
            turn(optimizers[name])
            turn(optimizers[name])
            sizes[name] = _state_bytes(optimizers[name]) / n_parameters
        except Exception as error:  # an arm that a machine can't run must not end the others
            optimizers.pop(name, None)
            failures[name] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    rounds: dict[str, list[float]] = {name: [] for name in optimizers}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(rounds[REFERENCE[device]]) < 5:
        for name, optimizer in optimizers.items():
            rounds[name].append(turn(optimizer))
    reference = rounds[REFERENCE[device]]
    rows = []
    for name, times in rounds.items():
        ratios = [mine / other for mine, other in zip(times, reference, strict=True)]
        tenths = statistics.quantiles(ratios, n=10)
        rows.append(
            Row(
                model=model,
                n_parameters=n_parameters,
                arm=name,
                milliseconds=statistics.median(times),
                ratio=statistics.median(ratios),
                low=tenths[0],
                high=tenths[-1],
                state_bytes=sizes[name],
            )
        )
    nan = float("nan")
    return rows + [
        Row(model, n_parameters, name, nan, nan, nan, nan, nan, why)
        for name, why in failures.items()
    ]


def table(rows: Sequence[Row], device: str) -> str:
    """The rows as text."""
    lines = [
        f"ratio: to {REFERENCE[device]}, median over rounds (a tenth below, a tenth above)",
        f"{'model':>6} {'optimizer':<24} {'ms/step':>9} {'ratio':>7} {'range':>13} {'bytes/p':>8}",
    ]
    for row in rows:
        head = f"{row.model:>6} {row.arm:<24} "
        if row.failed:
            lines.append(f"{head}not measured: {row.failed}")
            continue
        span = f"{row.low:.2f}-{row.high:.2f}"
        lines.append(
            f"{head}{row.milliseconds:>9.3f} {row.ratio:>7.2f} {span:>13} {row.state_bytes:>8.3f}"
        )
    return "\n".join(lines)


def _state_bytes(optimizer: Any) -> int:
    return sum(
        value.numel() * value.element_size()
        for own in optimizer.state.values()
        for value in own.values()
        if hasattr(value, "element_size")
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, prog="optimizer_steps")
    parser.add_argument("--device", choices=sorted(MODELS), default="cpu")
    parser.add_argument("--seconds", type=float, default=6.0, help="of measuring, a model")
    parser.add_argument("--models", nargs="*", help="of those of the device; default: all")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--json", type=Path, help="a file for all figures")
    given = parser.parse_args(arguments)
    models = MODELS[given.device]
    unknown = set(given.models or ()) - set(models)
    if unknown:
        parser.error(f"--models {sorted(unknown)} given; expected some of {list(models)}")
    if given.device == "cpu":
        torch.set_num_threads(1)
    name = torch.cuda.get_device_name() if given.device == "cuda" else "CPU, one thread"
    print(f"torch {torch.__version__}, {name}", flush=True)
    rows = []
    for model in given.models or models:
        rows += time_steps(
            model,
            models[model],
            given.device,
            seconds=given.seconds,
            compiled=not given.no_compile,
        )
    print(table(rows, given.device))
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
