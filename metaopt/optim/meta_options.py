"""What a meta-training is asked to do."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from metaopt.optim.controller import HIDDEN_SIZE
from metaopt.optim.tasks.distribution import SMALL_TASK

Kind = Literal["optimizer", "schedule"]
Noise = Literal["actions", "weights"]


@dataclass(frozen=True)
class MetaTrainingOptions:
    """All that decides the result, apart from the device.

    Attributes:
        kind: ``"schedule"`` ties the decisions for all tensors together.
        seed: Of everything.
        hidden_size: H of θ.
        noise: What is perturbed: what the LSTM decides, or θ itself, whose tasks can be captured
            as graphs.
        longest_exact: Steps of a training up to which it is differentiated through, too, if
            decisions are perturbed.
        sigma: Size of a perturbation of θ.
        learning_rate: Of θ, in Adam's sense.
        n_groups: Specifications in one update.
        n_numbers: What the tasks of one specification hold together, in numbers: more fill a
            larger device.
        most_pairs: Of antithetic tasks for one specification.
        n_uses: Updates in which a specification is used before another is drawn; capturing
            it costs as much as some hundred steps.
        horizons: The shortest, the longest at the start and the longest at the end.
        n_readout: Updates at the start in which only the output layer is trained, if θ is
            perturbed: the LSTM's random memory is worth something already, and so few numbers are
            learned fast.
        n_curriculum: Updates until the longest horizon is at its end.
        loss_hidden: Share of the tasks in which the optimizer sees no loss.
        total_hidden: Share of the tasks in which it does not know the horizon.
        n_decay: Updates over which the learning rate of θ falls to a tenth, linearly; 0: never.
        seldom: Share of the specifications in which the LSTM runs as seldom as on a CPU it does;
            an optimizer's, not a schedule's.
        averaging: Share of the old θ in the running mean of θ, at each update.
        judge_every: Updates between two meta-validations.
        n_judged: Tasks of each specification there.
        patience: Meta-validations without a better one before it stops.
        small: For a machine without an accelerator.
        largest: Numbers in one task at most, if small.
    """

    kind: Kind = "optimizer"
    seed: int = 0
    hidden_size: int = HIDDEN_SIZE
    noise: Noise = "weights"
    longest_exact: int = 40
    sigma: float = 0.05
    learning_rate: float = 0.01
    n_groups: int = 6
    n_numbers: float = 4e7
    most_pairs: int = 512
    n_uses: int = 6
    horizons: tuple[int, int, int] = (40, 200, 2000)
    n_readout: int = 60
    n_curriculum: int = 600
    loss_hidden: float = 0.1
    total_hidden: float = 0.15
    n_decay: int = 0
    seldom: float = 0.5
    averaging: float = 0.95
    judge_every: int = 50
    n_judged: int = 16
    patience: int = 15
    small: bool = False
    largest: float = SMALL_TASK

    def __post_init__(self) -> None:
        shortest, start, end = self.horizons
        if not 4 <= shortest <= start <= end:
            raise ValueError(f"horizons={self.horizons} given; expected 4 <= a <= b <= c.")
        for name in ("sigma", "learning_rate", "n_groups", "n_uses", "judge_every"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)} given; expected more than 0.")

    @classmethod
    def for_gpu(cls, **changes: Any) -> MetaTrainingOptions:
        """The defaults, changed."""
        return cls(**changes)

    @classmethod
    def for_cpu(cls, **changes: Any) -> MetaTrainingOptions:
        """Fewer, smaller tasks in an update.

        Calling the operations costs more than what they compute, so many tasks of one
        specification cost little more than few.
        """
        return cls(
            **{
                "noise": "actions",
                "learning_rate": 0.01,
                "n_groups": 4,
                "n_numbers": 2e6,
                "most_pairs": 24,
                "n_uses": 1,
                "horizons": (24, 150, 300),
                "n_curriculum": 150,
                "n_decay": 360,
                "averaging": 0.95,
                "judge_every": 30,
                "n_judged": 8,
                "patience": 20,
                "largest": 1e5,
                "small": True,
                **changes,
            }
        )

    @classmethod
    def quick(cls, **changes: Any) -> MetaTrainingOptions:
        """Enough to see that it runs."""
        return cls.for_cpu(
            **{
                "n_groups": 2,
                "n_numbers": 2e4,
                "most_pairs": 4,
                "horizons": (8, 8, 16),
                "judge_every": 2,
                "n_judged": 2,
                **changes,
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "horizons": list(self.horizons)}


def parse_changes(texts: Iterable[str]) -> dict[str, Any]:
    """Changes of options, each written as ``NAME=JSON``, such as ``horizons=[24,200,400]``.

    Raises:
        ValueError: If there is no such option, or its value is no JSON.
    """
    changes = {}
    for text in texts:
        name, _, value = text.partition("=")
        known = MetaTrainingOptions.__dataclass_fields__
        try:
            parsed = json.loads(value)
        except json.JSONDecodeError:
            parsed = None
        if name not in known or parsed is None:
            raise ValueError(
                f"--option {text} given; expected NAME=JSON, such as n_groups=3, with a name of "
                f"{', '.join(known)}."
            )
        changes[name] = tuple(parsed) if isinstance(parsed, list) else parsed
    return changes
