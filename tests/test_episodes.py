"""Episodes: what is drawn is what was asked for, and nothing leaks between its sides."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from metaopt.episodes import (
    Curriculum,
    Episode,
    FewShotClasses,
    HistoryTask,
    Points,
    Sinusoids,
    TableTask,
    TaskDistribution,
    TaskSet,
    by_family,
    collate,
    history_tasks,
    image_classes,
)
from metaopt.episodes.histories import normal_scores
from warmstart.history import History, TaskInfo, Trial
from warmstart.space import Categorical, Float, SearchSpace


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def equal(one: Episode, other: Episode) -> bool:
    return all(
        torch.equal(a, b)
        for p, q in zip(one, other, strict=True)
        for a, b in zip(p, q, strict=True)
    )


@dataclass(frozen=True)
class Constant:
    """A task of constant targets, so that its points tell which task they are of."""

    name: str
    family: str
    value: float
    n_support: int = 2
    n_features: int = 1

    def episode(self, generator: torch.Generator) -> Episode:
        n = self.n_support
        x = torch.rand(n + 1, self.n_features, generator=generator)
        y = torch.full((n + 1, 1), self.value)
        return Episode(Points.of(x[:n], y[:n]), Points.of(x[n:], y[n:]))


@pytest.mark.parametrize(
    "distribution",
    [
        Sinusoids(3, 4),
        Sinusoids(3, 4, grid=True),
        TaskSet([Constant("a", "a", 1.0), Constant("b", "b", 2.0)]),
        FewShotClasses([torch.rand(11, 2, generator=generator(i)) for i in range(6)]),
    ],
    ids=["sinusoids", "grid", "tasks", "classes"],
)
def test_the_same_seed_draws_the_same_episodes(distribution: TaskDistribution) -> None:
    one, other, third = (distribution.sample(4, generator(seed)) for seed in (1, 1, 2))
    assert equal(one, other)
    assert not equal(one, third)


def test_a_sinusoid_task_is_one_sine_wave_on_both_sides() -> None:
    tasks = Sinusoids(20, 30, amplitudes=(1.0, 5.0), phases=(0.0, math.pi))
    support, query = tasks.sample(5, generator())
    assert support.x.shape == support.y.shape == (5, 20, 1)
    assert query.x.shape == (5, 30, 1)
    assert support.x.abs().max() <= 5.0
    for i in range(5):
        # A sin(x - φ) is linear in sin x and cos x: what fits one side fits the other.
        def basis(x: Tensor) -> Tensor:
            return torch.cat([torch.sin(x), torch.cos(x)], 1).double()

        fitted = torch.linalg.lstsq(basis(support.x[i]), support.y[i].double()).solution
        torch.testing.assert_close(
            basis(query.x[i]) @ fitted, query.y[i].double(), rtol=1e-4, atol=1e-4
        )
        amplitude = float(fitted.norm())
        assert 1.0 - 1e-4 <= amplitude <= 5.0 + 1e-4


def test_a_grid_covers_the_inputs_evenly() -> None:
    query = Sinusoids(10, 11, grid=True).sample(2, generator()).query
    torch.testing.assert_close(query.x[1, :, 0], torch.linspace(-5.0, 5.0, 11))


def test_few_shot_classes_are_balanced_and_no_row_is_on_both_sides() -> None:
    # Each row holds its class and its own number.
    rows = [
        torch.stack([torch.full((n,), float(c)), torch.arange(n).float()], 1)
        for c, n in enumerate([5, 8, 6, 5])
    ]
    tasks = FewShotClasses(rows, n_ways=3, n_shots=2, n_queries=3)
    support, query = tasks.sample(50, generator())
    assert support.x.shape == (50, 6, 2)
    assert query.x.shape == (50, 9, 2)
    for task in range(50):
        assert support.y[task].sum(0).tolist() == [2.0] * 3
        assert query.y[task].sum(0).tolist() == [3.0] * 3
        both = torch.cat([support.x[task], query.x[task]])
        assert len(torch.unique(both, dim=0)) == 15
        labels = torch.cat([support.y[task], query.y[task]]).argmax(1)
        # A label is one class, and a class one label.
        assert len(torch.unique(torch.stack([both[:, 0], labels.float()], 1), dim=0)) == 3
        assert len(torch.unique(both[:, 0])) == 3
    firsts = {float(support.x[task][support.y[task][:, 0] == 1][0, 0]) for task in range(50)}
    assert firsts == {0.0, 1.0, 2.0, 3.0}, "labels are not shuffled between tasks"


def test_the_first_points_of_a_few_shot_support_are_one_of_each_class() -> None:
    tasks = FewShotClasses([torch.rand(5, 2) for _ in range(3)], n_ways=3, n_shots=2, n_queries=1)
    support = tasks.sample(1, generator()).support
    assert support.y[0, :3].sum(0).tolist() == [1.0, 1.0, 1.0]


def test_too_few_classes_or_rows_are_one_error() -> None:
    with pytest.raises(ValueError, match="2 classes of at least 5 rows"):
        FewShotClasses([torch.rand(5, 2), torch.rand(7, 2)], n_ways=3)
    with pytest.raises(ValueError, match="expected 2 or more of 12 or more"):
        FewShotClasses([torch.rand(5, 2), torch.rand(7, 2)], n_ways=2, n_shots=2, n_queries=10)


def test_turned_images_are_other_classes_of_the_same_images() -> None:
    image = np.zeros((2, 8, 8), dtype=np.float32)
    image[0, 1, 2] = 1.0
    image[1, 6, 6] = 1.0
    upright, quarter, mirror_upright, mirror_quarter = (
        image_classes(image, [0, 1], [(0, 0.0), (0, 90.0)], mirrored=True)[i] for i in (0, 2, 1, 3)
    )
    np.testing.assert_allclose(upright[0].view(8, 8), image[0], atol=1e-5)
    np.testing.assert_allclose(quarter[0].view(8, 8), np.rot90(image[0]), atol=1e-5)
    np.testing.assert_allclose(mirror_upright[0].view(8, 8), image[0][:, ::-1], atol=1e-5)
    np.testing.assert_allclose(
        mirror_quarter[0].view(8, 8), np.rot90(image[0])[:, ::-1], atol=1e-5
    )


def test_families_are_never_on_both_sides_and_every_task_is_tested_once() -> None:
    tasks = [Constant(f"task-{i}", f"family-{i % 7}", 0.0) for i in range(40)]
    tested: list[str] = []
    for fold in range(5):
        train, test = by_family(tasks, fold=fold)
        assert not {task.family for task in train} & {task.family for task in test}
        assert len(train) + len(test) == 40
        tested += [task.name for task in test]
    assert sorted(tested) == sorted(task.name for task in tasks)
    with pytest.raises(ValueError, match="Fold 5"):
        by_family(tasks, fold=5)


def test_a_family_is_drawn_as_often_as_any_other_however_many_tasks_it_has() -> None:
    many = [Constant(f"a{i}", "a", 1.0) for i in range(9)]
    drawn = TaskSet([*many, Constant("b", "b", 2.0)]).sample(2000, generator())
    share = float((drawn.query.y[:, 0, 0] == 2.0).float().mean())
    assert share == pytest.approx(0.5, abs=0.05)


def test_a_curriculum_gives_the_stage_that_progress_has_reached() -> None:
    easy, hard = (TaskSet([Constant("t", "t", value)]) for value in (1.0, 2.0))
    course = Curriculum([(0.0, easy), (0.5, hard)])
    values = [
        float(course.sample(1, generator(), progress=progress).query.y.mean())
        for progress in (0.0, 0.49, 0.5, 1.0)
    ]
    assert values == [1.0, 1.0, 2.0, 2.0]
    for wrong in ([], [(0.1, easy)], [(0.0, easy), (0.9, hard), (0.5, easy)]):
        with pytest.raises(ValueError, match="rising numbers from 0"):
            Curriculum(wrong)


def test_tasks_of_different_lengths_are_padded_with_weight_0() -> None:
    batch = collate([Constant("a", "a", 1.0, n_support=n).episode(generator()) for n in (0, 1, 3)])
    assert batch.support.x.shape == (3, 3, 1)
    assert batch.support.weight.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 1]]
    assert batch.support.y.isfinite().all()


def test_tasks_of_different_spaces_in_one_batch_are_one_error() -> None:
    tasks = [Constant("a", "a", 1.0, n_features=n) for n in (1, 2)]
    with pytest.raises(ValueError, match=r"\[\(1, 1\), \(2, 1\)\].*onto one space first"):
        TaskSet(tasks).sample(20, generator())
    with pytest.raises(ValueError, match="No episode"):
        collate([])
    with pytest.raises(ValueError, match="No task"):
        TaskSet([])


def test_a_failed_trial_carries_no_weight() -> None:
    points = Points.of([[0.0], [1.0], [2.0]], [1.0, math.nan, math.inf])
    assert points.weight.tolist() == [1.0, 0.0, 0.0]
    assert points.y.tolist() == [[1.0], [0.0], [0.0]]


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([[0.0]], [[1.0], [2.0]], "Inputs .1, 1. and targets .2, 1."),
        ([0.0], [1.0], "expected .n, n_features."),
        ([[math.nan]], [[1.0]], "impute what is missing"),
    ],
)
def test_points_that_make_no_sense_are_named(x: object, y: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Points.of(x, y)


def test_a_table_task_is_standardised_and_of_two_classes() -> None:
    drawn = generator(3)
    x = (torch.randn(200, 3, generator=drawn) + 5) * torch.tensor([1.0, 1e6, 1e-9])
    y = torch.arange(200) % 3
    task = TableTask("t", "t", x, y, n_features=6, n_support=10, n_query=20)
    support, query = task.episode(generator())
    every = torch.cat([support.x, query.x])
    assert every.shape == (30, 6)
    torch.testing.assert_close(every.mean(0), torch.zeros(6), atol=1e-2, rtol=0)
    torch.testing.assert_close(every.std(0), torch.ones(6), atol=1e-2, rtol=0)
    assert support.y.sum(1).tolist() == [1.0] * 10
    with pytest.raises(ValueError, match="any two of them with 300 rows"):
        TableTask("t", "t", x, y, n_support=100, n_query=200)


SPACE = SearchSpace({"C": Float(0.01, 100.0, log=True), "kernel": Categorical(("rbf", "poly"))})


def history(task: str, losses: list[float], *, estimator: str = "my.Model") -> History:
    rng = np.random.default_rng(len(losses))
    return History.from_trials(
        TaskInfo(estimator, task, "accuracy", "own", family=f"family of {task}", space=SPACE),
        [Trial({"C": float(10 ** rng.uniform(-2, 2)), "kernel": "rbf"}, loss) for loss in losses],
    )


def test_histories_become_tasks_of_one_space_whose_support_and_query_share_no_trial() -> None:
    losses = np.random.default_rng(0).random(30).tolist()
    first, second = history_tasks(
        [history("a", losses), history("b", losses[:12])], most_support=8, n_query=5
    )
    assert (first.name, first.family) == ("a", "family of a")
    assert first.x.shape[1] == second.x.shape[1] == 3
    for seed in range(20):
        support, query = first.episode(generator(seed))
        assert support.x.shape == (8, 3)
        assert query.x.shape == (5, 3)
        seen = support.x[support.weight > 0]
        assert not (seen[:, None] == query.x[None]).all(-1).any()
    sizes = {int(first.episode(generator(seed)).support.weight.sum()) for seed in range(200)}
    assert sizes == set(range(9))


def test_a_history_that_says_nothing_is_left_out_and_one_trial_is_no_task() -> None:
    varied = np.linspace(0, 1, 10).tolist()
    tasks = history_tasks([history("a", varied), history("flat", [0.5] * 10)])
    assert [task.name for task in tasks] == ["a"]
    with pytest.raises(ValueError, match="1 finished trials given"):
        HistoryTask("one", "one", torch.zeros(1, 2), torch.zeros(1))
    with pytest.raises(ValueError, match="Support of 10 trials given; expected 0 to 9"):
        tasks[0].split(10, generator())


def test_histories_of_several_estimators_are_one_error() -> None:
    losses = np.linspace(0, 1, 10).tolist()
    with pytest.raises(ValueError, match="expected those of one estimator"):
        history_tasks([history("a", losses), history("b", losses, estimator="other.Model")])


def test_normal_scores_keep_order_ties_and_failures() -> None:
    scores = normal_scores(np.array([3.0, math.nan, 1.0, 3.0, 2.0]))
    assert math.isnan(scores[1])
    assert scores[0] == scores[3] > scores[4] > scores[2]
    assert np.nanmean(normal_scores(np.arange(101.0))) == pytest.approx(0, abs=1e-9)
    assert np.nanstd(normal_scores(np.arange(1001.0))) == pytest.approx(1, abs=0.01)
