"""What ``rule.decide``, ``rule.plan`` and ``memory.see_sums`` do, in few operations of numpy.

On a small model a step of the optimizer costs what its operations cost to be called, not what they
compute. Tensors that are all at the same point of their training have the clock and the trend of
the loss in common, which are plain numbers here; what is left are arrays of a row a tensor, made
once and written in place. Tests hold it to the functions named above.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from metaopt.optim import features, rule
from metaopt.optim import memory as columns
from metaopt.optim.controller import hidden_size_of

if TYPE_CHECKING:
    from metaopt.optim.packing import Small

_OWN: Final = slice(0, 7)  # columns of the features: of the gradient
_SHARED: Final = slice(7, 20)  # of loss and clock, the same for all tensors
_SHAPE: Final = slice(20, features.N_FEATURES)
_MOST_AHEAD: Final = 32  # steps planned at once: more save little, and take memory
_COUNT: Final = np.arange(_MOST_AHEAD, dtype=np.float32)[:, None]


class NumpyPlan:
    """Plans each step of tensors that have steps, trend of the loss and total in common.

    Args:
        small: As arrays of numpy; written in place.
    """

    def __init__(self, small: Small) -> None:
        self._small = small
        n_tensors, size = len(small.steps), hidden_size_of(small.theta)
        theta = small.theta
        # A sigmoid is half a tangent of the half, and one.
        weights = np.concatenate([theta["input"], theta["recurrent"], theta["bias"][None]])
        weights[:, : 3 * size] *= 0.5
        self._weights = np.ascontiguousarray(weights)
        self._output = np.concatenate([theta["output"], theta["output_bias"][None]])
        # What the LSTM multiplies with its weights: features, its last output, and one.
        self._seen = seen = np.ones((n_tensors, len(weights)), np.float32)
        seen[:, _SHAPE] = small.shapes.features
        seen[:, features.N_FEATURES : -1] = small.hidden[:, :size]
        self._own, self._shared = seen[:, _OWN], seen[:, _SHARED]
        self._told, self._shown = seen[:, features.N_FEATURES : -1], seen[:, features.N_FEATURES :]
        self._gates = gates = np.empty((n_tensors, 4 * size), np.float32)
        self._opened = gates[:, : 3 * size]  # to let in, to keep, to show
        self._let_in, self._kept, self._to_show, self._candidate = np.split(gates, 4, axis=1)
        self._output_state, self._cell = small.hidden[:, :size], small.hidden[:, size:]
        self._logs = np.empty((n_tensors, 8), np.float32)
        self._ratios = np.empty((n_tensors, 5), np.float32)
        self._plain_rms = rule.PLAIN_RMS * (1 - small.shapes.is_matrix)
        self._take2, self._newest, self._between = np.empty((3, n_tensors), np.float32)
        self._rates = np.empty((2, n_tensors), np.float32)
        # By the operation that made those of the state: others round otherwise.
        self._act()

    def use(self, options: rule.Options, total_steps: float | None) -> None:
        """Set what the user wishes, from the next step on.

        Args:
            options: ``[T]`` each.
            total_steps: None: unknown.
        """
        self._options = options
        self._lr = options.lr * np.float32(rule.RELATIVE_RATE)
        self._known = total_steps is not None
        self._total = 1.0 if total_steps is None else total_steps
        self._length = 0.5 * math.log10(self._total) - 1
        self._is_new = self._may_change = True

    def decide(self, loss: float) -> None:
        """As ``rule.decide``: hidden state, actions and memory change.

        Args:
            loss: NaN where unknown.
        """
        self._shared[...] = (*self._see_loss(loss), *self._time_features())
        self._see_gradients()
        gates, cell = self._gates, self._cell
        np.dot(self._seen, self._weights, out=gates)
        np.tanh(gates, out=gates)
        opened = self._opened
        opened *= 0.5
        opened += 0.5
        cell *= self._kept
        self._candidate *= self._let_in
        cell += self._candidate
        np.multiply(self._to_show, np.tanh(cell), out=self._told)
        self._output_state[...] = self._told
        self._act()

    def _act(self) -> None:
        np.dot(self._shown, self._output, out=self._small.actions)
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

    def see_sums(self, sums: np.ndarray) -> None:
        """As ``memory.see_sums``: the memory changes.

        Args:
            sums: ``[T, N_SUMS]``.
        """
        memory = self._small.memory
        mean = sums[:, :4] / self._small.shapes.sizes[:, None]
        np.fmax(mean, columns.SMALLEST, out=mean)  # also in place of NaN
        np.minimum(mean, 1 / columns.SMALLEST, out=mean)
        logs = np.log(mean, out=mean)
        logs *= 0.5
        lengths = np.sqrt(sums[:, :2])
        cosine = sums[:, 4] / (lengths[:, 0] * lengths[:, 1] + np.float32(columns.SMALLEST))
        cosine[~np.isfinite(cosine)] = 0.0
        memory[:, columns.COSINE.start] = np.minimum(np.maximum(cosine, -1.0), 1.0)
        memory[:, columns.LOG_GRADIENT.start : columns.LOG_PARAMETER.stop] = logs
        usual = memory[:, columns.LOG_USUAL_GRADIENT.start]
        steps = float(self._small.steps[0])
        usual += (logs[:, 0] - usual) * (1 / (1 + columns.GRADIENT_SHARE * steps))

    def end(self) -> None:
        """The step is over."""
        self._small.steps[...] += 1

    def _see_loss(self, loss: float) -> tuple[float, ...]:
        """As ``memory.see_loss``, and the features of the loss after it."""
        small = self._small
        *means, spread, surprise, seen = small.memory[0, columns.LOSS_TREND].tolist()
        if math.isfinite(loss):
            loss = min(max(loss, -columns.LARGEST_LOSS), columns.LARGEST_LOSS)
            distance = loss - means[1] if seen > 0 else 0.0
            surprise = math.tanh(distance / (2 * spread + columns.SMALLEST))
            values = (loss, loss, loss, loss, abs(distance))
            *means, spread = (
                mean + (value - mean) / (1 + share * seen)
                for mean, value, share in zip(
                    (*means, spread), values, columns.LOSS_SHARES, strict=True
                )
            )
            seen += 1.0
            small.memory[:, columns.LOSS_TREND] = (*means, spread, surprise, seen)
        spread += features.SMALLEST
        a, b, c, first = means
        return (
            2 * (a - b) / (abs(a) + abs(b) + features.SMALLEST),
            2 * (b - c) / (abs(b) + abs(c) + features.SMALLEST),
            2 * (c - first) / (abs(c) + abs(first) + features.SMALLEST),
            math.tanh((a - b) / spread),
            math.tanh((b - c) / spread),
            spread / (spread + abs(b)),
            surprise,
            min(seen, 1.0),
        )

    def _time_features(self) -> tuple[float, ...]:
        steps = float(self._small.steps[0])
        length = 0.5 * math.log10(steps + 1) - 1
        if not self._known:
            return 0.0, 0.0, 0.0, 0.0, length
        fraction = min(steps / self._total, 1.0)
        rest = 0.5 * math.log(1 + features.LATEST - fraction)
        return 2 * fraction - 1, rest, self._length, 1.0, length

    def _see_gradients(self) -> None:
        """Write the features of the gradient."""
        memory, shapes = self._small.memory, self._small.shapes
        logs, ratios, own = self._logs, self._ratios, self._own
        np.log(np.maximum(memory[:, columns.WEIGHTS], features.SMALLEST), out=logs[:, :2])
        logs[:, 2:] = memory[:, columns.LOGS]
        alive = memory[:, columns.LOG_GRADIENT] > columns.NOTHING + 1
        np.dot(logs, shapes.ratios, out=ratios)
        ratios += shapes.log_fan_in
        np.minimum(np.maximum(ratios, -2.0, out=ratios), 2.0, out=ratios)
        np.multiply(ratios, alive, out=own[:, :5])
        own[:, 5] = memory[:, columns.COSINE.start]
        own[:, 6:] = alive

    def _schedule(self, steps: float) -> float:
        """As ``rule.schedule``, before a step."""
        warm_up = rule.WARM_UP_UNKNOWN
        if self._known:
            low, high = rule.WARM_UP_STEPS
            warm_up = min(max(rule.WARM_UP * self._total, low), high)
        return min((steps + 1) / warm_up, 1.0)
