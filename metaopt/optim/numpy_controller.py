"""What ``rule.decide`` and ``memory.see_sums`` do, in few operations of numpy.

On a small model a step of the optimizer costs what its operations cost to be called, not what they
compute. Tensors that are all at the same point of their training have the clock and the trend of
the loss in common, which are plain numbers here; what is left are arrays of a row a tensor, made
once and written in place. Tests hold it to the functions named above.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from metaopt.optim import features
from metaopt.optim import memory as columns
from metaopt.optim.arrays import Array
from metaopt.optim.controller import hidden_size_of
from metaopt.optim.features import Shapes

_OWN: Final = slice(0, 7)  # columns of the features: of the gradient
_SHARED: Final = slice(7, 20)  # of loss and clock, the same for all tensors
_SHAPE: Final = slice(20, features.N_FEATURES)


class Small(NamedTuple):
    """What the controller works on, written in place; see rule.py for the shapes.

    Attributes:
        theta: The controller's.
        shapes: What it knows of the tensors.
        steps: ``[T]``, steps taken.
        memory: ``[T, N_COLUMNS]``.
        hidden: ``[T, 2H]``.
        actions: ``[T, A]``, the controller's last.
        rates: ``[T]``, the learning rates of the last step; zeros before the first.
    """

    theta: dict[str, Array]
    shapes: Shapes
    steps: Array
    memory: Array
    hidden: Array
    actions: Array
    rates: Array

    def as_numpy(self) -> Small:
        """The same memory as numpy's arrays, for tensors on the CPU."""
        return Small(
            {name: part.numpy() for name, part in self.theta.items()},
            Shapes(*(part.numpy() for part in self.shapes)),
            *(part.numpy() for part in self[2:]),
        )


class NumpyController:
    """The controller of tensors that have steps, trend of the loss and total in common.

    Args:
        small: As arrays of numpy; written in place.
        total_steps: None: unknown.
    """

    def __init__(self, small: Small, total_steps: float | None = None) -> None:
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
        self.set_total(total_steps)
        # By the operation that made those of the state: others round otherwise.
        self._act()

    def set_total(self, total_steps: float | None) -> None:
        """Set how many steps the training has; None: unknown."""
        self._known = total_steps is not None
        self._total = 1.0 if total_steps is None else total_steps
        self._length = 0.5 * math.log10(self._total) - 1

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
