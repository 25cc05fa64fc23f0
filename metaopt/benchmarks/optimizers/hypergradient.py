"""Adam whose learning rate follows its own gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class HypergradientAdam(torch.optim.Optimizer):
    """Adam with online learning rate adaptation.

    Args:
        params: To optimise.
        lr: At the start.
        hypergradient_lr: Step size of the learning rate.
        betas: Of the moments.
        eps: Beside the root of the second moment.

    Source: Baydin et al. 2018, algorithm 5 (Adam-HD).
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        *,
        lr: float = 1e-3,
        hypergradient_lr: float = 1e-8,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        defaults = {"lr": lr, "hypergradient_lr": hypergradient_lr, "betas": betas, "eps": eps}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Move the learning rate, then the parameters."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            slope = sum(
                float((p.grad * self.state[p]["direction"]).sum())
                for p in parameters
                if self.state[p]
            )
            group["lr"] = max(0.0, group["lr"] + group["hypergradient_lr"] * slope)
            for p in parameters:
                self._move(p, group)

    def _move(self, p: Tensor, group: dict[str, Any]) -> None:
        state = self.state[p]
        if not state:
            state.update(step=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
        (beta1, beta2), gradient = group["betas"], p.grad
        assert gradient is not None
        state["step"] += 1
        state["m"].lerp_(gradient, 1 - beta1)
        state["v"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        root = (state["v"] / (1 - beta2 ** state["step"])).sqrt_().add_(group["eps"])
        state["direction"] = state["m"] / (1 - beta1 ** state["step"]) / root
        p.sub_(state["direction"], alpha=group["lr"])
