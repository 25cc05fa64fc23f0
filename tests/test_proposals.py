from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution
from parameter_strategies import contains, distributions
from quadratic_tasks import (
    ENCODING,
    SPACE,
    Task,
    alike,
    axes,
    family,
    learned,
    observed,
    run,
)

from warmstart.distributions import parameter_of
from warmstart.encoding import Encoding
from warmstart.learning import AlignedHistory, learn_prior
from warmstart.prior import Prior, SourceTask
from warmstart.proposals import Observations, Proposal, Proposer, propose_batch
from warmstart.regret import from_log_regret
from warmstart.space import Categorical, Float, Integer, Parameter, SearchSpace

NEW_TASKS = family(40, seed=7)[-3:]
NOTHING = observed(np.empty((0, 4)), [])
COLUMN = {name: j for j, name in enumerate(ENCODING.names)}


def proposer(prior: Prior | None = None, *, seed: int = 0) -> Proposer:
    prior = prior or learned()
    return Proposer(prior, axes(), alike(prior), seed=seed)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def some_observations(n: int, *, seed: int = 0, n_pending: int = 0) -> Observations:
    coordinates = ENCODING.sample(n + n_pending, rng(seed))
    losses = NEW_TASKS[0].losses(coordinates[:n])
    return observed(coordinates[:n], losses, pending=coordinates[n:])


def share_of_better(task: Task, losses: np.ndarray) -> np.ndarray:
    """The share of random configurations better than the best so far, ``(n,)``."""
    pool = np.sort(task.losses(ENCODING.sample(5000, rng(1))))
    return np.searchsorted(pool, np.minimum.accumulate(losses)) / len(pool)


def same(a: Proposal, b: Proposal) -> bool:
    return (
        np.array_equal(a.position, b.position)
        and np.array_equal(a.coordinates, b.coordinates, equal_nan=True)
        and a.tasks == b.tasks
    )


@pytest.mark.parametrize("task", NEW_TASKS)
def test_a_new_task_of_the_family_starts_near_its_optimum(task: Task) -> None:
    _, losses = run(proposer(), task.losses, 12)
    reached = share_of_better(task, losses)
    # Random search is expected to be at 1 / (n + 1).
    assert reached[0] < 0.05
    assert reached[11] < 0.002


def test_the_first_proposal_is_the_best_on_average_over_the_sources() -> None:
    prior = learned()
    first = proposer().propose(NOTHING, rng())
    others = ENCODING.sample(2000, rng(5))
    everything = np.concatenate([first.coordinates[None], others])
    features = prior.scale(ENCODING.features(everything))
    regrets = from_log_regret(prior.log_regrets(features)).mean(axis=1)
    assert regrets[0] <= np.quantile(regrets[1:], 0.002)
    assert (first.portfolio_share, first.transfer_share) == (1.0, 1.0)


def test_first_proposals_follow_the_weights_of_the_sources() -> None:
    prior = learned()
    weights = np.eye(8)[5]
    first = Proposer(prior, axes(), weights, seed=0).propose(NOTHING, rng())
    loss = family(8)[5].losses(first.coordinates[None])
    assert share_of_better(family(8)[5], loss)[0] < 0.05
    assert first.tasks[0] == ("task-5", 1.0)


def test_shuffled_histories_lose_their_say_and_honest_ones_keep_it() -> None:
    shares = {}
    for shuffled in (False, True):
        of_runs = []
        for seed, task in enumerate(NEW_TASKS):
            proposals, _ = run(proposer(learned(shuffled=shuffled), seed=seed), task.losses, 24)
            of_runs.append([p.transfer_share for p in proposals])
        shares[shuffled] = np.mean(of_runs, axis=0)
    assert shares[False][10:].mean() > 0.5
    assert shares[True][10:].mean() < 0.4
    assert shares[True][-4:].mean() < 0.2 * shares[False][-4:].mean()


def test_a_task_that_is_the_opposite_of_all_sources_is_still_solved() -> None:
    task = NEW_TASKS[0]
    proposals, losses = run(proposer(), lambda at: -task.losses(at), 25)
    pool = np.sort(-task.losses(ENCODING.sample(5000, rng(1))))
    assert np.searchsorted(pool, losses.min()) / len(pool) < 0.02
    assert np.mean([p.transfer_share for p in proposals[-5:]]) < 0.2


def test_the_portfolios_say_fades() -> None:
    proposals, _ = run(proposer(), NEW_TASKS[0].losses, 15)
    shares = [p.portfolio_share for p in proposals]
    assert shares[0] == 1.0
    assert shares[-1] < 0.1


def test_the_same_seed_proposes_the_same_and_another_one_does_not() -> None:
    a, b, c = (run(proposer(seed=s), NEW_TASKS[0].losses, 14, seed=s)[0] for s in (4, 4, 5))
    assert all(same(p, q) for p, q in zip(a, b, strict=True))
    assert not all(same(p, q) for p, q in zip(a, c, strict=True))


@pytest.mark.parametrize("n", [1, 9, 10, 13, 30])
def test_a_proposer_has_no_memory(n: int) -> None:
    used = proposer()
    for before in (12, 30):
        used.propose(some_observations(before, seed=before), rng())
    fresh = proposer().propose(some_observations(n, n_pending=2), rng(8))
    assert same(used.propose(some_observations(n, n_pending=2), rng(8)), fresh)


def test_another_process_proposes_the_same() -> None:
    code = (
        "import json; from test_proposals import *\n"
        "p = proposer().propose(some_observations(12, n_pending=1), rng(3))\n"
        "print(json.dumps([p.position.tolist(), p.transfer_share]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    position, share = json.loads(done.stdout)
    here = proposer().propose(some_observations(12, n_pending=1), rng(3))
    assert here.position == pytest.approx(position, rel=1e-9)
    assert here.transfer_share == pytest.approx(share, rel=1e-6)


SMALL = SearchSpace({"size": Integer(1, 3), "kind": Categorical(("a", "b"))})


def small_prior() -> Prior:
    encoding = Encoding(SMALL)
    given = []
    for t in range(3):
        coordinates = encoding.sample(30, rng(t))
        losses = coordinates.sum(axis=1) + 0.1 * rng(t).random(30)
        given.append(AlignedHistory(SourceTask(f"t{t}"), coordinates, losses))
    return learn_prior("small", SMALL, given, n_inducing=30)


@pytest.mark.parametrize("running", [False, True])
def test_nothing_is_proposed_twice_while_something_else_is_left(running: bool) -> None:
    prior = small_prior()
    columns = axes(SMALL.parameters, space=SMALL)
    small = Proposer(prior, columns, alike(prior), seed=0)
    tried = np.empty((0, 2))
    seen = set()
    for number in range(8):
        finished = tried[:0] if running else tried
        so_far = Observations(finished, finished.sum(axis=1), tried if running else tried[:0])
        proposal = small.propose(so_far, rng(number))
        seen.add(str(columns.values(proposal.position)))
        tried = np.concatenate([tried, proposal.coordinates[None]])
        # Once all six were tried, the best of them may come again.
        assert len(seen) == min(number + 1, 6)


def test_values_of_a_long_logarithmic_range_of_integers_are_not_repeated() -> None:
    space = SearchSpace({"size": Integer(1, 2000, log=True)})
    encoding = Encoding(space)
    coordinates = encoding.sample(30, rng())
    given = [AlignedHistory(SourceTask("t"), coordinates, coordinates[:, 0] ** 2)]
    prior = learn_prior("small", space, given, n_inducing=30)
    columns = axes(space.parameters, space=space)
    long_range = Proposer(prior, columns, alike(prior), seed=0)
    tried, values = np.empty((0, 1)), []
    for number in range(12):
        so_far = Observations(tried, tried[:, 0] ** 2, np.empty((0, 1)))
        proposal = long_range.propose(so_far, rng(number))
        values.append(columns.values(proposal.position)["size"])
        tried = np.concatenate([tried, proposal.coordinates[None]])
    assert len(set(values)) == 12


def test_a_batch_is_of_different_configurations() -> None:
    for observations in (NOTHING, some_observations(5)):
        batch = propose_batch(proposer(), observations, 6, seed=1)
        assert len({p.coordinates.tobytes() for p in batch}) == 6
        again = propose_batch(proposer(), observations, 6, seed=1)
        assert all(same(a, b) for a, b in zip(batch, again, strict=True))


def test_a_batch_at_the_start_covers_what_single_choices_leave_out() -> None:
    prior = learned()
    batch = propose_batch(proposer(), NOTHING, 4, seed=0)
    features = ENCODING.features(np.array([p.coordinates for p in batch]))
    regrets = from_log_regret(prior.log_regrets(prior.scale(features)))
    assert regrets.min(axis=0).mean() < regrets[0].mean()


def test_several_best_ones_to_draw_from_keep_workers_apart() -> None:
    here = proposer()
    observations = some_observations(6)
    drawn = {
        here.propose(observations, rng(seed), among=8).coordinates.tobytes() for seed in range(6)
    }
    assert len(drawn) > 1


def test_what_is_fixed_stays_and_the_rest_fits_to_it() -> None:
    columns = axes()
    order = [axis.name for axis in columns.axes]
    depth = columns.axes[order.index("depth")]
    for value in (2, 16):
        position = depth.position(value)
        assert position is not None
        fixed = {order.index("depth"): (position, depth.coordinate(value))}
        here = Proposer(learned(), columns, alike(learned()), seed=0, fixed=fixed)
        for observations in (NOTHING, some_observations(8)):
            proposal = here.propose(observations, rng())
            assert columns.values(proposal.position)["depth"] == value
            assert proposal.coordinates[COLUMN["depth"]] == depth.coordinate(value)
            assert columns.values(proposal.position)["kind"] == "wide"


def test_a_fixed_value_outside_of_the_axis_counts_where_it_is() -> None:
    columns = axes({**SPACE.parameters, "depth": Integer(1, 4)})
    order = [axis.name for axis in columns.axes]
    fixed = {order.index("depth"): (3.0, 1.0)}
    here = Proposer(learned(), columns, alike(learned()), seed=0, fixed=fixed)
    for observations in (NOTHING, some_observations(8)):
        assert here.propose(observations, rng()).coordinates[COLUMN["depth"]] == 1.0


def test_a_fixed_category_switches_its_child_off() -> None:
    columns = axes()
    order = [axis.name for axis in columns.axes]
    fixed = {order.index("kind"): (0.0, 0.0)}
    here = Proposer(learned(), columns, alike(learned()), seed=0, fixed=fixed)
    proposal = here.propose(some_observations(8), rng())
    assert columns.values(proposal.position)["kind"] == "plain"
    assert np.isnan(proposal.coordinates[COLUMN["width"]])


def test_configurations_that_differ_only_in_what_is_not_told_apart_are_the_same() -> None:
    prior = small_prior()
    columns = axes(SMALL.parameters, space=SMALL)
    size = prior.encoding.names.index("size")
    here = Proposer(prior, columns, alike(prior), seed=0, told_apart_by=[size])
    tried = prior.encoding.coordinates([{"size": 1, "kind": "a"}, {"size": 2, "kind": "b"}])
    proposal = here.propose(Observations(tried[:0], np.empty(0), tried), rng())
    assert columns.values(proposal.position)["size"] == 3


@pytest.mark.parametrize("n", [149, 150, 151, 400])
def test_many_trials_are_thinned_and_none_of_them_is_proposed_again(n: int) -> None:
    observations = some_observations(n)
    proposal = proposer().propose(observations, rng())
    tried = ENCODING.features(observations.coordinates)
    distance = np.abs(ENCODING.features(proposal.coordinates[None]) - tried).max(axis=1)
    assert distance.min() > 1e-5
    loss = NEW_TASKS[0].losses(proposal.coordinates[None])[0]
    assert loss < np.quantile(observations.losses, 0.1)


def test_trials_beyond_the_limit_still_count() -> None:
    # The one good region is known from a few early trials among many bad ones.
    task = Task((0.1, 0.9, 0.2))
    coordinates = ENCODING.sample(300, rng())
    losses = task.losses(coordinates)
    order = np.argsort(losses)
    observations = observed(coordinates[order], losses[order])
    proposal = proposer().propose(observations, rng())
    assert task.losses(proposal.coordinates[None])[0] < np.quantile(losses, 0.02)


def test_the_tasks_that_counted_are_named_with_their_weights() -> None:
    proposal = proposer().propose(some_observations(10), rng())
    names, weights = zip(*proposal.tasks, strict=True)
    assert len(set(names)) == 3
    assert set(names) <= {task.id for task in learned().tasks}
    assert list(weights) == sorted(weights, reverse=True)
    assert 0 < sum(weights) <= 1.001


def test_fewer_tasks_than_are_named_are_all_named() -> None:
    prior = learned().without(range(2, 8))
    proposal = proposer(prior).propose(some_observations(5), rng())
    assert {name for name, _ in proposal.tasks} == {"task-0", "task-1"}


def test_excluding_a_task_makes_its_contribution_vanish_from_proposals() -> None:
    prior = learned()
    tampered = replace(prior, values=prior.values.copy(), proposals=prior.proposals.copy())
    tampered.values[6] = rng().normal(size=tampered.values.shape[1])
    tampered.proposals[prior.proposed_by == 6] = 0.5
    for observations in (NOTHING, some_observations(12)):
        a, b = (proposer(p.without([6])).propose(observations, rng()) for p in (prior, tampered))
        assert same(a, b)


def test_running_trials_alone_are_kept_away_from() -> None:
    first = proposer().propose(NOTHING, rng())
    running = observed(np.empty((0, 4)), [], pending=first.coordinates[None])
    second = proposer().propose(running, rng())
    assert not np.array_equal(first.coordinates, second.coordinates, equal_nan=True)


def test_a_space_without_any_known_parameter_still_gets_an_answer() -> None:
    here = Proposer(learned(), axes({}), alike(learned()), seed=0)
    for observations in (NOTHING, some_observations(3)):
        assert here.propose(observations, rng()).position.shape == (0,)


def test_losses_that_are_all_alike_are_no_obstacle() -> None:
    observations = some_observations(12)
    flat = replace(observations, losses=np.full(12, 3.0))
    assert np.isfinite(proposer().propose(flat, rng()).position).all()


@st.composite
def user_spaces(draw: st.DrawFn) -> dict[str, BaseDistribution]:
    """Other ranges, scales, grids and kinds of the parameters of the family."""
    names = draw(st.sets(st.sampled_from(sorted(SPACE.parameters)), min_size=1))
    numeric = distributions.filter(lambda d: not isinstance(d, CategoricalDistribution))
    drawn: dict[str, BaseDistribution] = {}
    for name in sorted(names):
        known = SPACE.parameters[name]
        if isinstance(known, Categorical):
            drawn[name] = CategoricalDistribution((*reversed(known.choices), "never seen"))
        else:
            drawn[name] = draw(numeric)
    return drawn


@given(user_spaces(), st.integers(0, 2**32 - 1), st.integers(0, 12))
@settings(max_examples=25)
def test_every_proposal_lies_in_the_users_space(
    user: dict[str, BaseDistribution], seed: int, n: int
) -> None:
    parameters: dict[str, Parameter] = {name: parameter_of(d) for name, d in user.items()}
    columns = axes(parameters)
    here = Proposer(learned(), columns, alike(learned()), seed=seed)
    coordinates = columns.coordinates(columns.draw(n, rng(seed)))
    proposal = here.propose(observed(coordinates, rng(seed).normal(size=n)), rng(seed))
    values = columns.values(proposal.position)
    assert set(values) == set(user)
    for name, distribution in user.items():
        assert contains(distribution, values[name])


def test_a_narrowed_range_is_searched_only_within() -> None:
    columns = axes({**SPACE.parameters, "rate": Float(1e-4, 1e-3, log=True)})
    here = Proposer(learned(), columns, alike(learned()), seed=0)
    proposals, _ = run(here, NEW_TASKS[0].losses, 10)
    rates = [columns.values(p.position)["rate"] for p in proposals]
    assert all(1e-4 <= rate <= 1e-3 for rate in rates)
    # The family's optimum lies above: the end of the range comes nearest.
    assert max(rates) > 9e-4


def test_the_sixth_trial_is_drawn_whatever_the_source_tasks_say() -> None:
    prior = proposer()._prior
    other = proposer(replace(prior, values=-prior.values))
    observations = some_observations(5)
    probe = proposer().propose(observations, rng(1))
    assert same(probe, replace(other.propose(observations, rng(1)), tasks=probe.tasks))
    assert (probe.portfolio_share, probe.transfer_share) == (0.0, 0.0)
    draws = {proposer().propose(observations, rng(i)).position.tobytes() for i in range(20)}
    assert len(draws) == 20
