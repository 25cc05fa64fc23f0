"""What ``rule.plan`` does, some steps at once and in few operations of numpy."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from metaopt.optim import memory as columns
from metaopt.optim import rule
from metaopt.optim.numpy_controller import NumpyController, Small

_MOST_AHEAD: Final = 32  # steps planned at once: more save little, and take memory
_COUNT: Final = np.arange(_MOST_AHEAD, dtype=np.float32)[:, None]


class NumpyPlan(NumpyController):
    """Plans each step of tensors that have steps, trend of the loss and total in common.

    Args:
        small: As arrays of numpy; written in place.
    """

    def __init__(self, small: Small) -> None:
        super().__init__(small)
        n_tensors = len(small.steps)
        self._plain_rms = rule.PLAIN_RMS * (1 - small.shapes.is_matrix)
        self._take2, self._newest, self._between = np.empty((3, n_tensors), np.float32)
        self._rates = np.empty((2, n_tensors), np.float32)
        self._is_new = True

    def use(self, options: rule.Options, total_steps: float | None) -> None:
        """Set what the user wishes, from the next step on.

        Args:
            options: ``[T]`` each.
            total_steps: None: unknown.
        """
        self._options = options
        self._lr = options.lr * np.float32(rule.RELATIVE_RATE)
        self.set_total(total_steps)
        self._is_new = self._may_change = True

    def _act(self) -> None:
        super()._act()
        self._is_new = True

    def plan(self, n_ahead: int) -> np.ndarray:
        """As ``rule.plan``: the factors ``[T, 6]``; memory and rates change.

        Args:
            n_ahead: Steps, this one included, until the controller runs again.
        """
        if self._is_new or self._turn == len(self._factors):
            # A scheduler changes options at each step.
            with np.errstate(all="ignore"):
                self._plan_ahead(1 if self._may_change else min(n_ahead, _MOST_AHEAD))
            self._may_change = False
        turn, small = self._turn, self._small
        self._turn += 1
        small.memory[:, columns.WEIGHTS] = self._weights_ahead[turn]
        small.memory[:, columns.INTERPOLATION.start] = self._between_ahead[turn]
        small.rates[...] = self._rates_ahead[turn]
        factors: np.ndarray = self._factors[turn]
        return factors

    def _plan_ahead(self, n_steps: int) -> None:
        """Plan some steps at once: what they cost is to call numpy."""
        if self._is_new:
            self._follow()
            self._is_new = False
        small, n_tensors = self._small, len(self._take2)
        self._turn = 0
        self._factors = factors = np.empty((n_steps, n_tensors, 6), np.float32)
        self._weights_ahead = weights = np.empty((n_steps, n_tensors, 2), np.float32)
        self._between_ahead = between = np.empty((n_steps, n_tensors), np.float32)
        before = small.memory[:, columns.WEIGHTS]
        n_averaged, weight2 = before[:, 0] + _COUNT[:n_steps], before[:, 1]
        np.add(n_averaged, 1, out=weights[:, :, 0])
        for after in weights[:, :, 1]:
            np.subtract(1, weight2, out=after)
            after *= self._take2
            after += weight2
            weight2 = after
        first = float(small.steps[0])
        schedule = np.array([[self._schedule(first + i)] for i in range(n_steps)], np.float32)
        between[...] = self._between
        if self._known:
            n_left = max(math.ceil(self._total - first), 1)
            between[n_left - 1 :] = 1.0
        root = np.sqrt(weights[:, :, 1])
        self._rates_ahead = self._rates[0] * schedule
        factors[:, :, 0] = self._take2
        np.minimum(self._rates[1] * schedule, 1.0, out=factors[:, :, 1])
        np.multiply(self._rates_ahead, root, out=factors[:, :, 2])
        np.maximum(self._options.eps * root, rule.SMALLEST_EPS, out=factors[:, :, 3])
        back = factors[:, :, 4]
        back[0] = rule.offsets_back(small.memory[:, columns.INTERPOLATION.start])
        back[1:] = 1 / between[:-1] - 1
        np.divide(between * n_averaged, n_averaged + self._newest, out=factors[:, :, 5])

    def _follow(self) -> None:
        """Work out what stays as it is until the controller runs again, or options change."""
        small, options = self._small, self._options
        actions, memory, shapes = small.actions, small.memory, small.shapes
        shifts = np.exp(shapes.widest * np.tanh(actions / shapes.widest))
        rms = np.exp(memory[:, columns.LOG_PARAMETER.start])
        low, high = rule.RMS_RANGE
        np.minimum(np.maximum(rms, low, out=rms), high, out=rms)
        rms *= shapes.is_matrix
        rms += self._plain_rms
        rate, decay = self._rates
        np.multiply(self._lr * shifts[:, 0], rms, out=rate)
        np.multiply(rate, options.weight_decay, out=decay)
        np.minimum((1 - options.beta2) * shifts[:, 2], 1.0, out=self._take2)
        np.multiply(rule.NEWEST_WEIGHT, shifts[:, 1], out=self._newest)
        odds = options.beta1 * shifts[:, 3]
        share = odds / (1 - options.beta1 + odds)
        np.clip(share, rule.LOWEST_INTERPOLATION, 1.0, out=self._between)

    def forget(self) -> None:
        """Plan anew at the next step: what the state holds was changed."""
        self._is_new = True

    def _schedule(self, steps: float) -> float:
        """As ``rule.schedule``, before a step."""
        warm_up = rule.WARM_UP_UNKNOWN
        if self._known:
            low, high = rule.WARM_UP_STEPS
            warm_up = min(max(rule.WARM_UP * self._total, low), high)
        return min((steps + 1) / warm_up, 1.0)
