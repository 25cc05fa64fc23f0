from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from quadratic_tasks import ENCODING, alike, family, learned
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from warmstart.descriptor import TaskDescriptor
from warmstart.kernels import matern52, squared_distances
from warmstart.learning import AlignedHistory, learn_prior
from warmstart.prior import Prior, SourceTask, descriptor_weights, nearest_tasks
from warmstart.regret import log_regret, regret

SIZE = ("NumberOfInstances", "NumberOfFeatures", "NumberOfClasses")


def descriptor(rows: float, columns: float = 10, classes: float = 2) -> TaskDescriptor:
    return TaskDescriptor(dict(zip(SIZE, (rows, columns, classes), strict=True)))


def described(prior: Prior) -> Prior:
    """The prior, with tasks of ever more rows and one that is not described."""
    rows = [10.0 ** (2 + i / 2) for i in range(len(prior.tasks) - 1)]
    tasks = [
        replace(task, descriptor=descriptor(n)) for task, n in zip(prior.tasks, rows, strict=False)
    ]
    return replace(prior, tasks=(*tasks, prior.tasks[-1]), descriptor_names=SIZE, bandwidth=0.3)


def at(prior: Prior, n: int = 40, seed: int = 5) -> np.ndarray:
    """Scaled features of random configurations."""
    drawn = prior.encoding.sample(n, np.random.default_rng(seed))
    return prior.scale(prior.encoding.features(drawn))


def test_the_kernel_is_that_of_scikit_learn() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 30, 3))
    expected = Matern(length_scale=1.0, nu=2.5)(a, b[:20])
    assert matern52(squared_distances(a, b[:20])) == pytest.approx(expected, abs=1e-10)
    assert np.diag(matern52(squared_distances(a, a))) == pytest.approx(np.ones(30), abs=1e-6)


def test_a_task_is_interpolated_between_inducing_configurations_as_by_scikit_learn() -> None:
    prior = learned()
    inducing = prior.scale(prior.encoding.features(prior.inducing))
    features = at(prior)
    for t, values in enumerate(prior.values):
        model = GaussianProcessRegressor(
            Matern(nu=2.5), alpha=max(prior.noise, 0.01), optimizer=None
        )
        model.fit(inducing, values - values.mean())
        expected = model.predict(features) + values.mean()
        assert prior.log_regrets(features)[:, t] == pytest.approx(expected, abs=1e-6)


def test_the_prior_knows_each_task_at_configurations_that_it_never_saw() -> None:
    prior = learned()
    drawn = ENCODING.sample(300, np.random.default_rng(11))
    predicted = prior.log_regrets(prior.scale(ENCODING.features(drawn)))
    for t, task in enumerate(family(8)):
        actual = log_regret(regret(task.losses(drawn)))
        assert np.corrcoef(predicted[:, t], actual)[0, 1] > 0.9


def test_it_is_less_certain_where_no_task_was_tried() -> None:
    task = family(1)[0]
    drawn = ENCODING.sample(400, np.random.default_rng(0))
    column = ENCODING.names.index("rate")
    low = drawn[drawn[:, column] < 0.5][:60]
    histories = [
        AlignedHistory(SourceTask(f"t{i}", family=f"f{i}"), low, (i + 1) * task.losses(low))
        for i in range(3)
    ]
    prior = learn_prior("bowl", ENCODING.space, histories)
    _, tried = prior.foretell(prior.scale(ENCODING.features(low)))
    _, untried = prior.foretell(prior.scale(ENCODING.features(drawn[drawn[:, column] > 0.8])))
    assert tried.max() < untried.mean()
    assert (np.concatenate([tried, untried]) >= 0).all()


def test_without_descriptors_all_tasks_count_alike() -> None:
    assert alike(learned()) == pytest.approx(np.full(8, 1 / 8))
    assert learned().task_weights(descriptor(1000)) == pytest.approx(np.full(8, 1 / 8))


def test_a_task_that_looks_like_the_new_one_counts_more_and_none_is_silenced() -> None:
    prior = described(learned())
    weights = prior.task_weights(descriptor(10**3))
    assert weights.sum() == pytest.approx(1.0)
    assert weights.argmax() == 2
    assert weights.min() >= 0.5 / 8
    assert weights[2] > weights[3] > weights[6]
    assert weights[7] == pytest.approx(0.5 / 8)  # not described


def test_a_descriptor_that_says_too_little_leaves_all_tasks_alike() -> None:
    prior = described(learned())
    lacking = TaskDescriptor({"NumberOfInstances": 1000.0})
    assert prior.task_weights(lacking) == pytest.approx(np.full(8, 1 / 8))


def test_weights_follow_the_gaussian_of_distances_in_standard_deviations() -> None:
    known = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 3.0], [np.nan, 0.0]])
    target = np.array([0.5, 1.0])
    spread = known[:3].std(axis=0)
    expected = np.exp(-((((known[:3] - target) / spread) ** 2).mean(axis=1)) / (2 * 0.7**2))
    weights = descriptor_weights(known, target, 0.7)
    assert weights == pytest.approx(np.append(expected / expected.sum(), 0.0))


def test_a_far_off_target_still_has_a_nearest_task() -> None:
    known = np.array([[0.0], [1.0]])
    assert descriptor_weights(known, np.array([1e4]), 0.3) == pytest.approx([0.0, 1.0])


def test_nothing_can_be_compared_without_meta_features() -> None:
    known = np.array([[0.0, 1.0], [np.nan, np.nan]])
    assert descriptor_weights(known[1:], known[0], 0.3) is None
    assert descriptor_weights(known, known[1], 0.3) is None


def test_excluded_tasks_leave_nothing_of_their_own() -> None:
    prior = learned()
    rest = prior.without([1, 4])
    kept = [0, 2, 3, 5, 6, 7]
    assert [task.id for task in rest.tasks] == [f"task-{t}" for t in kept]
    assert rest.log_regrets(at(prior)) == pytest.approx(prior.log_regrets(at(prior))[:, kept])
    assert len(rest.proposals) == len(rest.proposed_by) < len(prior.proposals)
    for t, task in enumerate(kept):
        own = prior.proposals[prior.proposed_by == task]
        assert rest.proposals[rest.proposed_by == t] == pytest.approx(own, nan_ok=True)


def test_what_excluded_tasks_held_has_no_influence_at_all() -> None:
    prior = learned()
    rng = np.random.default_rng(0)
    values, proposals = prior.values.copy(), prior.proposals.copy()
    values[3] = rng.normal(size=values.shape[1])
    proposals[prior.proposed_by == 3] = 0.0
    other = replace(prior, values=values, proposals=proposals)
    a, b = prior.without([3]), other.without([3])
    assert (a.log_regrets(at(prior)) == b.log_regrets(at(prior))).all()
    assert np.array_equal(a.proposals, b.proposals, equal_nan=True)


def test_excluding_nobody_changes_nothing_and_excluding_all_leaves_no_task() -> None:
    prior = learned()
    assert (prior.without([]).values == prior.values).all()
    nobody = prior.without(range(8))
    assert nobody.tasks == ()
    assert nobody.log_regrets(at(prior)).shape == (40, 0)
    assert len(nobody.proposals) == 0
    assert nobody.task_weights(None).shape == (0,)


def test_nearest_tasks_come_largest_weight_first() -> None:
    weights = [0.1, 0.3, 0.05, 0.2, 0.1, 0.1, 0.1, 0.05]
    assert [t.id for t in nearest_tasks(learned(), weights, 3)] == ["task-1", "task-3", "task-0"]


@pytest.mark.parametrize("known", [None, descriptor(1000)])
def test_a_source_task_comes_back_from_its_json(known: TaskDescriptor | None) -> None:
    task = SourceTask(
        "openml-task-3",
        "kr-vs-kp",
        "openml-dataset-3",
        "kr",
        "openml",
        "accuracy",
        "CC0",
        7,
        known,
    )
    assert SourceTask.from_json(json.loads(json.dumps(task.to_json()))) == task
