"""Losses of predictions; points of weight 0 don't count, and a set without points costs 0."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from metaopt.episodes.episode import Points


class Gaussian(NamedTuple):
    """A predictive distribution, independent for each point and target.

    Attributes:
        mean: ``(n, n_targets)``.
        variance: ``(n, n_targets)``, noise included.
    """

    mean: Tensor
    variance: Tensor


def squared_error(prediction: Tensor | Gaussian, points: Points) -> Tensor:
    """Mean squared error of ``(n, n_targets)``; of a distribution, that of its mean."""
    mean = prediction.mean if isinstance(prediction, Gaussian) else prediction
    return _weighted_mean(((mean - points.y) ** 2).mean(-1), points.weight)


def cross_entropy(logits: Tensor, points: Points) -> Tensor:
    """Cross-entropy of logits ``(n, n_classes)`` with one-hot targets, in nats."""
    return _weighted_mean(-(points.y * torch.log_softmax(logits, -1)).sum(-1), points.weight)


def error_rate(logits: Tensor, points: Points) -> Tensor:
    """The share of points whose class is not the likeliest; has no gradient."""
    wrong = logits.argmax(-1) != points.y.argmax(-1)
    return _weighted_mean(wrong.to(logits.dtype), points.weight)


def gaussian_nll(prediction: Gaussian, points: Points) -> Tensor:
    """Mean negative log density, in nats for each target."""
    mean, variance = prediction
    nll = 0.5 * ((points.y - mean) ** 2 / variance + variance.log() + math.log(2 * math.pi))
    return _weighted_mean(nll.mean(-1), points.weight)


def _weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp_min(1.0)
