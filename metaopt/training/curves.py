"""Learns when to stop a learning curve, for ``WarmStartPruner``.

Moments of invented studies are drawn: some finished curves of a task, and a curve that goes on.
A network learns whether it will end below the incumbent. The thresholds of its output then are
those that gain most for the steps they cost: backward from the last share of the steps, a curve
goes on where what it gains on average, under the thresholds after that, is worth its cost.

Gain is how far a curve ends below the incumbent, in units of the mean gain of those that do. The
price of a whole curve is ``PRICE`` times what one gains on average if none is stopped.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from warmstart.curve_model import CurveModel
from warmstart.curves import FEATURES, Curve, StudyCurves

SHARES: Final = (0.0, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8)
PRICE: Final = 1.75
_HIDDEN: Final = (32, 16)
_FEWEST_REPORTS: Final = 5
_MOST_FINISHED: Final = 30
_MOST_STOPPED: Final = 50
_HASTE: Final = 4.0  # the worst curve is stopped after about exp(-_HASTE) of its steps
_N_CURVES: Final = 8  # of each moment; every second ends below the incumbent
_LARGEST_LOGIT: Final = 50.0
_MOST_ROWS: Final = 100_000  # that the network is fitted to
_FEWEST_GOOD: Final = 4


@dataclass(frozen=True)
class Moments:
    """Curves that go on.

    Attributes:
        features: ``(n, n_shares, n_features)``; NaN after the end.
        gains: ``(n,)``, 0 where a curve does not end below the incumbent.
    """

    features: np.ndarray
    gains: np.ndarray

    @staticmethod
    def joined(several: Sequence[Moments]) -> Moments:
        """All of them."""
        return Moments(
            np.concatenate([moments.features for moments in several]),
            np.concatenate([moments.gains for moments in several]),
        )


def draw_moments(losses: np.ndarray, *, n_moments: int, rng: np.random.Generator) -> Moments:
    """Moments of invented studies of one task.

    Args:
        losses: The curves of random configurations, ``(n_configurations, n_epochs)``.
        n_moments: How many; each gives several curves.
        rng: Of all draws.
    """
    features, gains = [], []
    for _ in range(n_moments):
        curves = _as_reported(losses, rng)
        ends = curves[:, -1]
        order = np.argsort(ends)
        n_finished = int(np.exp(rng.uniform(0.0, np.log(_MOST_FINISHED))))
        among = order
        if rng.random() < 0.5:  # a sampler that has learned something draws good ones
            share = np.exp(rng.uniform(np.log(0.05), 0.0))
            among = order[: max(int(share * len(order)), n_finished + _FEWEST_GOOD)]
        chosen = rng.choice(among, n_finished, replace=False)
        steps = np.arange(1.0, curves.shape[1] + 1)
        best = float(ends[chosen].min())
        good, bad = order[ends[order] < best], order[ends[order] > best]
        if len(good) < _FEWEST_GOOD or not len(bad):
            continue
        stopped = _stopped_curves(curves, bad, rng)
        finished = StudyCurves([Curve(steps, curves[i]) for i in chosen], stopped)
        unit = float(np.mean(best - ends[good]))
        for k in range(_N_CURVES):
            # Those that lie near the incumbent are hard to tell, so they come more often.
            near = np.exp(rng.uniform(np.log(0.05), 0.0))
            pool = good if k % 2 else bad[: max(1, int(near * len(bad)))]
            curve = Curve(steps, curves[rng.choice(pool)])
            features.append(_features_at_shares(curve, finished))
            gains.append(max(best - curve.losses[-1], 0.0) / unit)
    return Moments(
        np.array(features).reshape(-1, len(SHARES), len(FEATURES)), np.array(gains, dtype=float)
    )


def _stopped_curves(curves: np.ndarray, bad: np.ndarray, rng: np.random.Generator) -> list[Curve]:
    """Curves of other trials, stopped the earlier the worse they would have ended.

    Args:
        curves: ``(n_configurations, n_steps)``.
        bad: Which to draw from, the best one first.
        rng: Of all draws.
    """
    stopped = []
    for place in rng.integers(len(bad), size=rng.integers(_MOST_STOPPED)):
        share = np.exp(-_HASTE * rng.exponential() * place / len(bad))
        n = max(1, int(share * (curves.shape[1] - 1)))
        stopped.append(Curve(np.arange(1.0, n + 1), curves[bad[place], :n]))
    return stopped


def _as_reported(losses: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Curves as another objective may report them: fewer reports, an early end, noise."""
    n_epochs = losses.shape[1]
    n_reports = n_epochs
    if rng.random() < 0.5:
        n_reports = int(np.exp(rng.uniform(np.log(_FEWEST_REPORTS), np.log(n_epochs + 0.99))))
    first = int(rng.random() < 0.5 and n_reports < n_epochs)
    last = n_reports - 1 if rng.random() < 0.3 else n_epochs - 1
    columns = np.unique(np.round(np.linspace(min(first, last), last, n_reports)).astype(int))
    curves = losses[:, columns]
    if rng.random() < 0.4:
        ends = curves[:, -1]
        noise = np.exp(rng.uniform(np.log(1e-3), np.log(0.03))) * (np.median(ends) - ends.min())
        curves = curves + noise * rng.standard_normal(curves.shape)
    return curves


def _features_at_shares(curve: Curve, finished: StudyCurves) -> np.ndarray:
    n = len(curve.losses)
    rows = np.full((len(SHARES), len(FEATURES)), np.nan)
    for row, share in enumerate(SHARES):
        features = finished.features(curve.until(int(np.ceil(share * (n - 1) - 1e-9)) + 1))
        if features is not None:
            rows[row] = features
    return rows


def learn_curve_model(moments: Moments, *, seed: int = 0) -> CurveModel:
    """A model that stops curves where going on is not worth its cost.

    Args:
        moments: Of all training tasks.
        seed: Of the network.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    rows = moments.features.reshape(-1, len(FEATURES))
    ends_below = np.repeat(moments.gains > 0, len(SHARES))
    known = np.isfinite(rows).all(axis=1)
    rows, ends_below = rows[known], ends_below[known]
    if len(rows) > _MOST_ROWS:
        chosen = np.random.default_rng(seed).choice(len(rows), _MOST_ROWS, replace=False)
        rows, ends_below = rows[chosen], ends_below[chosen]
    mean, deviation = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    network = MLPClassifier(
        _HIDDEN,
        activation="tanh",
        alpha=1e-3,
        batch_size=min(512, len(rows)),
        max_iter=10,
        random_state=seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of passes is fixed
        network.fit((rows - mean) / deviation, ends_below)
    untuned = CurveModel(
        mean=mean,
        deviation=deviation,
        lowest=rows.min(axis=0),
        highest=rows.max(axis=0),
        weights=network.coefs_,
        biases=network.intercepts_,
        shares=np.array(SHARES),
        thresholds=np.full(len(SHARES), -np.inf),
    )
    logits = np.nan_to_num(untuned.logit(moments.features), nan=np.inf)
    price = PRICE * float(moments.gains.mean())
    thresholds = best_thresholds(logits, moments.gains, price=price)
    return replace(untuned, thresholds=thresholds)


def best_thresholds(logits: np.ndarray, gains: np.ndarray, *, price: float) -> np.ndarray:
    """By backward induction, at each share the threshold under which going on does not pay.

    Args:
        logits: The network's outputs at ``SHARES``, ``(n, n_shares)``; infinite after the end.
        gains: ``(n,)``.
        price: Of a whole curve, as a gain.

    Returns:
        ``(n_shares,)``.
    """
    costs = np.diff([*SHARES, 1.0])  # from each share to the next
    value = gains.copy()  # of going on from the share at hand, under the thresholds after it
    thresholds = np.empty(len(SHARES))
    for k in reversed(range(len(SHARES))):
        value = value - price * costs[k]
        order = np.argsort(logits[:, k])
        lost = np.concatenate([[0.0], np.cumsum(value[order])])  # by stopping the i lowest
        i = int(lost.argmin())
        thresholds[k] = -np.inf if i == 0 else logits[order[i - 1], k] + 1e-9
        value = np.where(logits[:, k] < thresholds[k], 0.0, value)
    return np.clip(thresholds, -_LARGEST_LOGIT, _LARGEST_LOGIT)
