"""The shape of a small model, apart from its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Family = Literal["mlp", "conv", "transformer", "gru"]
Activation = Literal["relu", "gelu", "tanh", "silu", "elu", "sigmoid"]
Norm = Literal["none", "layer", "batch"]

ACTIVATIONS: Final[tuple[Activation, ...]] = ("relu", "gelu", "tanh", "silu", "elu", "sigmoid")
NORMS: Final[tuple[Norm, ...]] = ("none", "layer", "batch")
SIDE: Final = 8  # pixels; an image is also read as SIDE tokens of SIDE numbers


@dataclass(frozen=True)
class Architecture:
    """What :func:`~metaopt.optim.tasks.models.build_model` builds.

    Attributes:
        family: Kind of model. All but ``mlp`` read images of ``SIDE`` × ``SIDE``.
        n_inputs: Numbers in one row of the data; ``SIDE * SIDE`` for images.
        n_outputs: Classes, or one for regression.
        width: Hidden units, channels of the first convolution, or size of a token.
        depth: Hidden layers or blocks; 0 is a linear model and for ``mlp`` only.
        activation: Between the layers.
        norm: After each linear map; transformers and GRUs choose for themselves.
    """

    family: Family
    n_inputs: int
    n_outputs: int
    width: int
    depth: int
    activation: Activation = "relu"
    norm: Norm = "none"

    def __post_init__(self) -> None:
        if self.family != "mlp" and self.n_inputs != SIDE * SIDE:
            raise ValueError(
                f"n_inputs={self.n_inputs} given for {self.family!r}; expected {SIDE * SIDE}, "
                f"an image of {SIDE} × {SIDE}."
            )
        if self.width < 1 or self.depth < (0 if self.family == "mlp" else 1):
            raise ValueError(
                f"width={self.width}, depth={self.depth} given; expected a width of at least 1 "
                "and a depth of at least 1 (0 for 'mlp')."
            )

    def __str__(self) -> str:
        shape = f"{self.family}-{self.n_inputs}-{self.width}x{self.depth}-{self.n_outputs}"
        return f"{shape}-{self.activation}-{self.norm}"
