"""Weights of the LSTM optimizer that do something, without meta-training."""

from __future__ import annotations

from pathlib import Path

import torch

from metaopt.optim import controller
from metaopt.optim.weights import Kind, save_weights


def write_lively_weights(path: Path, kind: Kind = "learned-optimizer") -> str:
    generator = torch.Generator().manual_seed(3)
    size = controller.n_meta_parameters()
    theta = controller.unflatten(0.3 * torch.randn(size, generator=generator))
    save_weights(path, theta, {"trained": False}, kind=kind)
    return str(path)
