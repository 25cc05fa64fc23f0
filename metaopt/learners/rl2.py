"""RL²: a recurrent proposer of configurations, trained by reward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

import torch
from torch import Tensor
from torch.func import grad
from torch.nn.functional import softplus

from metaopt.episodes.episode import Episode, Points
from metaopt.learners.learner import Learner, Loss, Predictor, Theta
from metaopt.learners.lstm import LSTMCell
from metaopt.learners.network import MLP

#: The parameters by which known tasks are believed.
BELIEF: Final = ("log_greed", "sharpness")
_LEAST_GAIN: Final = 1e-4  # in regret
_LEAST_SPREAD: Final = 1e-3  # of the rewards of a task's studies


def expected_regret(logits: Tensor, points: Points) -> Tensor:
    """Regret of the next trial, proposed from points ``(n, 1)`` by a softmax of logits."""
    present = logits.squeeze(-1).masked_fill(points.weight == 0, -torch.inf)
    return (torch.softmax(present, -1) * points.y.squeeze(-1)).sum()


@dataclass(frozen=True)
class RL2(Learner):
    """An LSTM reads trials in their order and scores what could be tried next.

    Targets are regrets. What it reads of a trial is its configuration and where its loss lies
    between the best (0) and the worst (1) so far, so that units don't matter. Beside the state,
    a configuration's score depends on how near it is, by a learned kernel, to good and to bad
    trials: without that, what is proposed resembles what was tried already. In meta-training
    the query is a pool of configurations with known regrets; the support is not used.

    It may know other tasks: their regrets at a configuration follow its features, 1 everywhere
    for a task that says nothing. Each of some heads believes tasks the more, the better they
    explain the trials, by a sharpness that is learned; what a configuration is expected to gain
    on them is added to its score. Before training that is all but the greedy portfolio.

    Attributes:
        n_features: Of a configuration.
        n_known: Other tasks whose regrets follow the features.
        n_heads: Ways of believing them.
        greed: How much what they expect counts before training.
        n_hidden: Size of the state.
        width: Of the layer that scores.
        n_dimensions: Of the space in which configurations are near or far.
        n_trials: Length of a study in meta-training.
        n_studies: Studies of each task in a batch; their mean is the baseline of the reward.
        last: Share of the best regret after the last trial in the reward; the rest is the mean
            over trials.
        entropy: Weight of the policy's entropy, in nats, beside the normalised reward.
        loss: Of the scores.

    Source: Duan et al. 2016; Wang et al. 2016. Departures: REINFORCE with the other studies of
    the task as baseline in place of TRPO; the reward is the best regret so far, at each trial
    and the last; the kernel; what is known of other tasks.
    """

    n_features: int
    n_known: int = 0
    n_heads: int = 4
    greed: float = 20.0
    n_hidden: int = 32
    width: int = 64
    n_dimensions: int = 8
    n_trials: int = 10
    n_studies: int = 16
    last: float = 0.5
    entropy: float = 0.01
    loss: Loss = expected_regret
    deterministic: ClassVar[bool] = False

    @property
    def _cell(self) -> LSTMCell:
        return LSTMCell(self.n_features + 1, self.n_hidden)

    @property
    def _configurations(self) -> MLP:
        return MLP((self.n_features, self.width, self.width), name="configurations.")

    @property
    def _states(self) -> MLP:
        return MLP((self.n_hidden, self.width), name="states.")

    @property
    def _evidence(self) -> MLP:
        n_heads = self.n_heads if self.n_known else 0
        return MLP((3 + 2 * n_heads, self.width), name="evidence.")

    def initial(self, generator: torch.Generator) -> Theta:
        """See ``Learner``."""
        theta: Theta = {}
        for part in (self._cell, self._configurations, self._states, self._evidence):
            theta |= part.initial(generator)
        place = torch.rand(self.n_features, self.n_dimensions, generator=generator)
        # So long that not all configurations are near each other.
        theta["place"] = 3.0 * (2.0 * place - 1.0) / self.n_features**0.5
        score = torch.rand(self.width, generator=generator)
        # So small that at first what is known of other tasks decides.
        size = 0.3 if self.n_known else 1.0
        theta["score"] = size * (2.0 * score - 1.0) / self.width**0.5
        if self.n_known:
            theta["log_greed"] = torch.full((self.n_heads,), self.greed / self.n_heads).log()
            theta["sharpness"] = torch.linspace(-3.0, 3.0, self.n_heads)
        return theta

    def adapt(self, theta: Theta, support: Points) -> Predictor:
        """See ``Learner``; predicts scores ``(n, 1)``, the highest is to be tried next."""
        hidden = cell = torch.zeros(self.n_hidden, device=support.x.device)
        best, worst = torch.tensor(torch.inf), torch.tensor(-torch.inf)
        configurations, known = self._parts(support.x)
        seen = support.weight > 0
        for x, y, is_seen in zip(configurations, support.y, seen, strict=True):
            best = torch.where(is_seen, torch.minimum(best, y[0]), best)
            worst = torch.where(is_seen, torch.maximum(worst, y[0]), worst)
            rank = _rank(y[0], best, worst)[None]
            after = self._cell(theta, torch.cat([x, rank]), (hidden, cell))
            hidden = torch.where(is_seen, after[0], hidden)
            cell = torch.where(is_seen, after[1], cell)
        places = configurations @ theta["place"]
        ranks = _rank(support.y[:, 0], best, worst)
        others = _Others.after(known, ranks, seen)

        def predict(x: Tensor) -> Tensor:
            configurations, known = self._parts(x)
            kernel = _kernel(places, configurations @ theta["place"]) * support.weight[:, None]
            mapped = self._configurations(theta, configurations)
            return self._scores(theta, mapped, hidden, kernel, ranks, known, others)[:, None]

        return predict

    def studies(
        self, theta: Theta, pools: Points, *, generator: torch.Generator | None, n_trials: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Tune from scratch on a batch of pools, without trying anything twice.

        Args:
            theta: Meta-parameters.
            pools: ``(n_tasks, n, …)`` configurations and their regrets.
            generator: Proposals are drawn with it; None: the likeliest is proposed.
            n_trials: Of each study, at most n.

        Returns:
            Regret, log probability and entropy of each trial, each
            ``(n_tasks, n_studies, n_trials)``; one study of each task without a generator.

        Raises:
            ValueError: If a pool has fewer than ``n_trials`` configurations.
        """
        n_tasks, n = pools.weight.shape
        fewest = int(pools.weight.sum(1).min())
        if fewest < n_trials:
            raise ValueError(
                f"Pool of {fewest} configurations given; expected {n_trials} or more."
            )
        n_studies = 1 if generator is None else self.n_studies
        configurations, known = self._parts(pools.x)
        mapped = self._configurations(theta, configurations)[:, None]  # (tasks, 1, n, width)
        places = configurations @ theta["place"]  # (tasks, n, dimensions)
        gone = (pools.weight == 0)[:, None].expand(-1, n_studies, -1)
        hidden = cell = pools.x.new_zeros(n_tasks, n_studies, self.n_hidden)
        best = pools.x.new_full((n_tasks, n_studies), torch.inf)
        worst = -best
        tried = pools.x.new_zeros(n_tasks, n_studies, 0)  # the regrets
        known_tried = pools.x.new_zeros(n_tasks, n_studies, 0, self.n_known)
        kernel = pools.x.new_zeros(n_tasks, n_studies, 0, n)
        chances, entropies = [], []
        for _ in range(n_trials):
            ranks = _rank(tried, best[..., None], worst[..., None])
            others = _Others.after(known_tried, ranks, torch.ones_like(ranks, dtype=torch.bool))
            scores = self._scores(
                theta, mapped, hidden, kernel, ranks, known[:, None], others
            ).masked_fill(gone, -torch.inf)
            chance = torch.log_softmax(scores, -1)
            pick = _drawn(chance, generator)[..., None]
            gone = gone.scatter(-1, pick, True)
            y = pools.y[..., 0][:, None].expand(-1, n_studies, -1).gather(-1, pick)
            x = _rows(configurations, pick)
            kernel = torch.cat([kernel, _kernel(_rows(places, pick), places)[:, :, None]], dim=2)
            known_tried = torch.cat([known_tried, _rows(known, pick)[:, :, None]], dim=2)
            tried = torch.cat([tried, y], dim=2)
            best, worst = torch.minimum(best, y[..., 0]), torch.maximum(worst, y[..., 0])
            rank = _rank(y, best[..., None], worst[..., None])
            hidden, cell = self._cell(theta, torch.cat([x, rank], -1), (hidden, cell))
            chances.append(chance.gather(-1, pick)[..., 0])
            entropies.append(-(chance.exp() * chance.nan_to_num(neginf=0.0)).sum(-1))
        return tried, torch.stack(chances, -1), torch.stack(entropies, -1)

    def meta_gradient(
        self, theta: Theta, episodes: Episode, generator: torch.Generator
    ) -> tuple[Theta, Tensor]:
        """The policy gradient, and the mean over trials of the best regret so far."""

        def surrogate(theta: Theta) -> tuple[Tensor, Tensor]:
            regrets, chances, entropies = self.studies(
                theta, episodes.query, generator=generator, n_trials=self.n_trials
            )
            incumbents = regrets.detach().cummin(-1).values
            # What a trial can still change: the incumbents from it on.
            to_come = incumbents.flip(-1).cumsum(-1).flip(-1) / self.n_trials
            to_come = self.last * incumbents[..., -1:] + (1.0 - self.last) * to_come
            baseline, spread = to_come.mean(1, keepdim=True), to_come.std(1, keepdim=True)
            cost = (to_come - baseline) / (spread + _LEAST_SPREAD)
            return (cost * chances - self.entropy * entropies).mean(), incumbents.mean()

        return grad(surrogate, has_aux=True)(theta)

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features of configurations, and the regrets of known tasks there."""
        return x[..., : self.n_features], x[..., self.n_features :]

    def _scores(
        self,
        theta: Theta,
        mapped: Tensor,
        hidden: Tensor,
        kernel: Tensor,
        ranks: Tensor,
        known: Tensor,
        others: _Others,
    ) -> Tensor:
        """Scores of mapped configurations, ``(..., n)``.

        Args:
            theta: Meta-parameters.
            mapped: ``(..., n, width)``.
            hidden: The LSTM's state, ``(..., n_hidden)``.
            kernel: How near each trial is to each configuration, ``(..., t, n)``.
            ranks: Of the trials, from the best (0) to the worst (1), ``(..., t)``.
            known: Regrets of known tasks at the configurations, ``(..., n, n_known)``.
            others: These tasks after the trials.
        """
        bad = (kernel * ranks[..., None]).sum(-2)
        nearest = torch.nn.functional.pad(kernel, (0, 0, 1, 0)).amax(-2)  # 0 before any trial
        evidence = torch.stack([nearest, kernel.sum(-2) - bad, bad], dim=-1)
        expected = torch.zeros((), device=hidden.device)
        if self.n_known:
            gains, merits = others.expect(known, softplus(theta["sharpness"]))
            expected = gains @ theta["log_greed"].exp()
            evidence = torch.cat([evidence, gains, merits], dim=-1)
        at = mapped + self._states(theta, hidden)[..., None, :] + self._evidence(theta, evidence)
        return torch.tanh(at) @ theta["score"] + expected


class _Others(NamedTuple):
    """What is known of other tasks after some trials.

    Attributes:
        reached: Their lowest regret at what was tried, ``(..., n_known)``; 1 before any trial.
        misfit: How badly each explains the order of the trials, ``(..., n_known)``.
    """

    reached: Tensor
    misfit: Tensor

    @classmethod
    def after(cls, known: Tensor, ranks: Tensor, seen: Tensor) -> _Others:
        """After trials at which the tasks have regrets ``(..., t, n_known)``.

        Args:
            known: These regrets.
            ranks: Of the trials, from the best (0) to the worst (1), ``(..., t)``.
            seen: Which trials there are, ``(..., t)``.
        """
        low, high = (
            torch.nn.functional.pad(known.where(seen[..., None], fill), (0, 0, 1, 0), value=fill)
            for fill in (1.0, 0.0)
        )
        reached = low.amin(-2)
        ranks_there = _rank(known, reached[..., None, :], high.amax(-2)[..., None, :])
        misfit = ((ranks_there - ranks[..., None]) ** 2 * seen[..., None]).sum(-2)
        return cls(reached, misfit)

    def expect(self, known: Tensor, sharpness: Tensor) -> tuple[Tensor, Tensor]:
        """What is to be gained at configurations, and how good they are.

        Args:
            known: Regrets of the tasks there, ``(..., n, n_known)``.
            sharpness: Of each head's belief, ``(n_heads,)``.

        Returns:
            The logarithm of the expected gain, and one less the expected regret, each
            ``(..., n, n_heads)``.
        """
        belief = torch.softmax(-sharpness[:, None] * self.misfit[..., None, :], -1).mT
        gains = torch.relu(self.reached[..., None, :] - known) @ belief
        return torch.log(gains + _LEAST_GAIN), (1.0 - known) @ belief


def _rows(values: Tensor, pick: Tensor) -> Tensor:
    """The rows ``(n_tasks, n_studies, k)`` that were picked of ``(n_tasks, n, k)``."""
    return values.gather(1, pick.expand(-1, -1, values.shape[-1]))


def _kernel(tried: Tensor, places: Tensor) -> Tensor:
    """1 where two places are one, towards 0 with their distance, ``(..., t, n)``."""
    squares = (tried**2).sum(-1)[..., None] + (places**2).sum(-1)[..., None, :]
    return torch.exp(-(squares - 2 * tried @ places.mT).clamp_min(0.0))


def _rank(y: Tensor, best: Tensor, worst: Tensor) -> Tensor:
    """Where a loss lies between the best and the worst so far; 0.5 where these are one."""
    span = worst - best
    return torch.where(span > 0, (y - best) / torch.where(span > 0, span, 1.0), 0.5)


def _drawn(chance: Tensor, generator: torch.Generator | None) -> Tensor:
    """An index for each row of log probabilities, by Gumbel's trick, or the likeliest."""
    if generator is None:
        return chance.argmax(-1)
    uniform = torch.rand(chance.shape, generator=generator, device=chance.device)
    return (chance.detach() - torch.log(-torch.log(uniform.clamp(1e-9, 1 - 1e-7)))).argmax(-1)
