"""The benchmark of meta-learners: its measures are right, and it can be stopped and gone on."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmark_synthetic import BowlSource
from invented_data import N_RUNS as INVENTED_RUNS
from invented_data import TASKS, write_invented_data

from metaopt.benchmarks.families import fold_of
from metaopt.benchmarks.learners import digits, proposer, run, sinusoids, speed
from metaopt.benchmarks.learners.beside_current import learner_curve
from metaopt.benchmarks.learners.current import current_scores
from metaopt.benchmarks.learners.embeddings import closeness
from metaopt.benchmarks.learners.inputs import (
    BUDGETS,
    JUDGING_FOLD,
    N_FOLDS,
    POOL_SOURCES,
    Inputs,
    has_pools,
    pools_of,
)
from metaopt.benchmarks.learners.jobs import PARTS, JobOptions, job_names, run_job, run_jobs
from metaopt.benchmarks.learners.report import report
from metaopt.benchmarks.learners.run import run_learner_benchmark
from metaopt.benchmarks.learners.searching import (
    LOWEST_SCORE,
    N_TRIALS,
    cell_score,
    cells,
    rank_correlation,
    search,
)
from metaopt.benchmarks.learners.training import Training
from metaopt.benchmarks.statistics import paired_p_value
from metaopt.cli.bench_learners import bench_learners
from metaopt.episodes import Points, Sinusoids
from metaopt.episodes.histories import HistoryTask
from metaopt.learners import MAML, MLP, Gaussian, Learner, Predictor, Theta

N_RUNS, N_PORTFOLIO = 24, 20


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    """Images of ten kinds of noise, and for each source pools of ten invented tasks."""
    rng = np.random.default_rng(0)
    kinds = rng.random((10, 8, 8))
    labels = np.repeat(np.arange(10), 25)
    arrays: dict[str, np.ndarray] = {
        "images": (kinds[labels] + 0.1 * rng.random((250, 8, 8))) / 2,
        "labels": labels,
    }
    x = rng.random((10, N_RUNS, 2)).astype(np.float32)
    regret = np.abs(x[..., 0] - 0.8).astype(np.float32)
    names = np.array([f"task-{i}" for i in range(10)])
    for source in POOL_SOURCES:
        arrays |= {
            f"{source}/x": x,
            f"{source}/regret": regret,
            f"{source}/portfolio": regret[:, :N_PORTFOLIO],
            f"{source}/foretold": np.repeat(regret[..., None], 10, axis=2),
            f"{source}/task": names,
            f"{source}/family": names,
            f"{source}/fold": np.arange(10) % N_FOLDS,
            f"{source}/current/curve": np.full((10, N_TRIALS), 0.1),
            f"{source}/current/rank_correlation": np.full((10, len(BUDGETS)), 0.5),
            f"{source}/current/cell_score": np.full((10, len(BUDGETS)), -3.0),
        }
    return arrays


@pytest.fixture
def options(inputs: Inputs, tmp_path: Path) -> JobOptions:
    path = tmp_path / "inputs.npz"
    np.savez(path, **dict(inputs))  # type: ignore[arg-type]
    return JobOptions(path, Training(share=1e-4))


def test_every_part_runs_and_is_reported(
    options: JobOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinusoids, "N_TEST_TASKS", 8)
    monkeypatch.setattr(digits, "N_TEST_TASKS", 8)
    monkeypatch.setattr(digits, "_N_SCRATCH_TASKS", 2)
    monkeypatch.setattr(digits, "_SCRATCH_STEPS", (1,))
    monkeypatch.setattr(speed, "_N_ROUNDS", 1)
    names = [
        "proposer/svc/0",
        "proposer/svc/1",
        "sinusoids/reptile",
        "sinusoids/ridge head, K=10",
        "digits/prototypes",
        "digits/maml",
        "digits/references/1-shot",
        "histories/svc/bayesian linear",
        "histories/svc/ridge head",
        "histories/svc/current surrogate",
        "histories/svc/random search",
        "embeddings/svc",
        "speed/cpu",
    ]
    known = job_names(PARTS, with_pools=True, device="cpu")
    assert set(names) <= set(known)
    text = report([run_job(name, options) for name in names])
    for line in (
        "svc, 4 tasks, 4 families",
        "rl2 - portfolio, trial 10",
        "rl2 - untrained, trial 10",
        "reptile                after 32 steps",
        "5-shot  prototypes",
        "1-shot  maml",
        "1-shot  nearest neighbour",
        "1-shot  from scratch, MLP",
        "svc/bayesian linear",
        "svc/ridge head",
        "svc/current surrogate            0: -3.000",
        "  current surrogate    svc: 0.1000",
        "- current: ",
        "0 of 10 tasks have relatives",
        "the time of a batched loop written by hand",
    ):
        assert line in text


def test_proposals_of_several_sources_are_tested_together_families_averaged_first() -> None:
    def curves(gains: dict[str, float]) -> dict[str, dict[str, object]]:
        rivals = {rival: [0.5] * 10 for rival in ("random", "portfolio", "untrained")}
        return {
            task: {"family": task[0], **rivals, "rl2": [0.5 - gain] * 10}
            for task, gain in gains.items()
        }

    alone = {"job": "proposer/svc/0", "curves": curves({"a1": 0.1, "b1": 0.1})}
    other = {"job": "proposer/adaboost/0", "curves": curves({"a1": 0.2, "a2": 0.3, "c1": -0.05})}
    assert "together" not in report([alone])
    _, _, together = report([alone, other]).partition("all sources together")
    assert together.startswith(", 5 tasks, 3 families\n")
    assert "    rl2        1: 0.3700" in together
    p = paired_p_value(np.array([-0.2, -0.1, 0.05]))
    assert f"rl2 - portfolio, trial 10: -0.1300 [-0.2000, +0.0500], p={p:.3g}" in together


def test_what_has_ended_is_not_run_again(
    options: JobOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinusoids, "N_TEST_TASKS", 8)
    told: list[str] = []
    for names in (
        ["sinusoids/maml, K=5"],
        ["sinusoids/maml, K=5", "sinusoids/nearest tasks, K=10"],
    ):
        run_jobs(
            names,
            options,
            directory=tmp_path / "jobs",
            n_jobs=1,
            told=lambda name, _: told.append(name),
        )
    assert told == ["sinusoids/maml, K=5", "sinusoids/nearest tasks, K=10"]


def test_the_report_of_an_unfinished_benchmark_has_what_is_there(
    options: JobOptions, tmp_path: Path
) -> None:
    (tmp_path / "jobs").mkdir()
    result = {"job": "speed/processes", "seconds": 1.0, "speedup": 1.8, "n_tasks": 4}
    (tmp_path / "jobs" / "speed_processes.json").write_text(json.dumps(result))
    text = run_learner_benchmark(tmp_path, PARTS, options, only_report=True)
    assert text == "Speed of meta-training\n  two processes: 1.80 times one (4 tasks a batch)"
    assert json.loads((tmp_path / "learners.json").read_text()) == [result]


def test_without_recorded_runs_only_parts_that_need_none_are_run() -> None:
    names = job_names(PARTS, with_pools=False, device="cpu")
    assert {name.partition("/")[0] for name in names} == {"sinusoids", "digits", "speed"}
    assert not has_pools({"images": np.zeros(1)})


def test_diverged_tasks_are_counted_and_not_left_out_of_the_mean() -> None:
    errors = torch.tensor([0.1, 0.3, math.inf, math.nan, 1000.0])
    scores = sinusoids.summary(errors)
    assert scores["n_diverged"] == 3
    assert not math.isfinite(scores["mean"])
    assert sinusoids.summary(errors[:2])["mean"] == pytest.approx(0.2)


def test_the_hand_written_gradient_is_that_of_the_learner() -> None:
    learner = MAML(MLP((1, 40, 40, 1)))
    theta = learner.initial(torch.Generator().manual_seed(0))
    episodes = Sinusoids().sample(3, torch.Generator().manual_seed(1))
    expected, loss = learner.meta_gradient(theta, episodes, torch.Generator())
    by_hand, by_hand_loss = speed.hand_written_gradient(theta, episodes)
    torch.testing.assert_close(by_hand, expected)
    torch.testing.assert_close(by_hand_loss, loss)


def test_digits_of_training_and_test_share_neither_class_nor_rotation() -> None:
    training, test = (
        [{kind[i] for kind in kinds} for i in (0, 1)]
        for kinds in (digits.TRAINING_KINDS, digits.TEST_KINDS)
    )
    assert not training[0] & test[0]
    assert not training[1] & test[1]
    assert {6, 9} <= training[0] or {6, 9} <= test[0]


def test_what_adapts_by_gradients_starts_from_the_features_of_the_ridge_head(
    inputs: Inputs,
) -> None:
    training, known = (
        Training(share=0.005),
        digits.digit_tasks(inputs, n_shots=1, test=False, n_queries=2),
    )
    job = digits.DIGIT_JOBS["ridge head"]
    ridge = training.fit(
        job.learner, known, n_steps=job.n_steps, n_tasks=job.n_tasks, **job.settings
    )
    start = digits.learned_features(known, training)
    torch.testing.assert_close(start["weight1"], ridge.theta["weight1"], rtol=0, atol=0)
    untrained = digits.DIGIT_JOBS["maml"].learner.initial(torch.Generator().manual_seed(0))
    assert {name: p.shape for name, p in start.items()} == {
        name: p.shape for name, p in untrained.items()
    }
    assert not start["weight_out"].any()
    assert not torch.equal(start["weight1"], untrained["weight1"])


def test_relatives_are_close_if_strangers_are_farther() -> None:
    families = np.array([0, 0, 1, 1, 2])
    places = np.array([0.0, 0.1, 5.0, 5.2, 9.0])
    distances = np.abs(places[:, None] - places)
    assert closeness(distances, families) == 1.0
    assert closeness(-distances, families) == 0.0
    assert closeness(np.abs(places[:, None] - places), np.array([0, 1, 0, 1, 2])) < 0.5


def test_no_pool_task_is_told_what_its_own_family_or_a_held_out_task_says(
    inputs: Inputs,
) -> None:
    families = np.array([f"family-{i // 2}" for i in range(10)])
    folds = np.arange(10) // 2
    foretold = np.tile(np.arange(10) / 10, (10, N_RUNS, 1)).astype(np.float32)
    changed = {"svc/family": families, "svc/fold": folds, "svc/foretold": foretold}
    pools = proposer.pools_without({**inputs, **changed}, "svc", 1)
    assert [task.name for task in pools.held_out] == ["task-2", "task-3"]
    known = [0, 1, 4, 5, 6, 7, 8, 9]
    assert [task.name for task in pools.known] == [f"task-{i}" for i in known]
    for task in (*pools.known, *pools.held_out):
        said = task.x[0, pools.n_features :].numpy()
        own = [families[i] == task.family for i in known]
        np.testing.assert_allclose(said, np.where(own, 1.0, np.array(known) / 10))


def test_random_search_over_a_pool_costs_what_order_statistics_say() -> None:
    # The expected smallest of t draws without replacement from 1, …, n is (n + 1) / (t + 1).
    regret = torch.arange(1, 41).float()
    task = proposer.PoolTask("a", "a", torch.zeros(40, 1), regret)
    curve = proposer.random_regret(task, seed=0)
    expected = 41 / (np.arange(1, proposer.N_TRIALS + 1) + 1)
    np.testing.assert_allclose(curve, expected, rtol=0.12)


def test_a_search_tries_no_run_twice_and_ends_at_the_best_of_a_small_pool() -> None:
    regrets = np.array([0.4, 0.0, 0.7])
    asked: list[list[int]] = []

    def choose(seen: Sequence[int]) -> np.ndarray:
        asked.append(list(seen))
        return np.array([3.0, 1.0, 2.0])

    curve = search(regrets, choose)
    assert asked == [[], [0], [0, 2]]
    assert curve.tolist() == [0.4, 0.4] + [0.0] * (N_TRIALS - 2)


def test_the_cells_of_values_share_all_probability_whatever_the_scale() -> None:
    values = np.random.default_rng(0).normal(size=20).round(1)
    for scale in (lambda v: v, np.exp):
        distinct = np.unique(scale(values))
        low, high = cells(distinct, scale(values))
        assert high[:-1].tolist() == low[1:].tolist()
        assert (low < distinct).all()
        assert (distinct < high).all()
        assert (low[0], high[-1]) == (-np.inf, np.inf)
    low, high = cells(values, values)
    assert len(set(zip(low, high, strict=True))) == len(np.unique(values))


def test_a_cell_that_is_excluded_costs_no_more_than_the_lowest_score() -> None:
    assert cell_score(np.array([0.5]), np.array([0.5])) == pytest.approx(LOWEST_SCORE)
    assert cell_score(np.array([0.25, 0.0]), np.array([0.5, 1.0])) == pytest.approx(
        math.log(0.25) / 2
    )
    assert rank_correlation(np.array([1.0, 2.0, 9.0]), np.array([-3.0, 0.0, 5.0])) == 1.0
    assert rank_correlation(np.ones(3), np.arange(3.0)) == 0.0


class Oracle(Learner):
    """Knows that the first feature is the target; unsure far from what was seen."""

    def __init__(self, distribution: bool) -> None:
        self.distribution = distribution

    def initial(self, generator: torch.Generator) -> Theta:
        return {}

    def adapt(self, theta: Theta, support: Points) -> Predictor:
        def predict(x: torch.Tensor) -> torch.Tensor | Gaussian:
            mean = x[:, :1]
            return Gaussian(mean, torch.full_like(mean, 0.01)) if self.distribution else mean

        return predict


@pytest.mark.parametrize("distribution", [True, False])
def test_a_learner_that_knows_the_task_finds_its_best_run_at_once(distribution: bool) -> None:
    y = torch.randn(60, generator=torch.Generator().manual_seed(0))
    task = HistoryTask("t", "t", torch.stack([y, torch.ones(60)], dim=1), y)
    regrets = ((y - y.min()) / (y.max() - y.min())).numpy()
    assert learner_curve(Oracle(distribution), {}, task, regrets).tolist() == [0.0] * N_TRIALS


def test_the_current_surrogate_is_learned_from_known_tasks_and_beats_chance_on_others() -> None:
    histories = BowlSource(n_tasks=10, n_trials=60).histories()
    scores = current_scores(
        "bowl", histories[:8], histories[8:], budgets=(0, 5), n_splits=2, n_query=20
    )
    assert len(scores) == 2
    for of_task in scores:
        assert of_task.curve.shape == (N_TRIALS,)
        assert (np.diff(of_task.curve) <= 0).all()
        assert of_task.curve[0] < 0.2
        assert (of_task.rank_correlation > 0.5).all()
        # Better than to give all 60 runs the same probability.
        assert of_task.cell_score[1] > -math.log(60)


def test_pools_are_made_of_recorded_runs_and_a_portfolio_of_other_folds(tmp_path: Path) -> None:
    pools = pools_of(write_invented_data(tmp_path), "svc")
    assert set(pools["task"]) == {f"openml-task-{task}" for task in TASKS}
    folds = [fold_of(str(family), n_folds=N_FOLDS) for family in pools["family"]]
    assert pools["fold"].tolist() == folds
    assert pools["x"].shape[:2] == pools["regret"].shape == (len(TASKS), INVENTED_RUNS)
    assert pools["regret"].min(axis=1).tolist() == [0.0] * len(TASKS)
    assert pools["regret"].max(axis=1).tolist() == [1.0] * len(TASKS)
    # The invented tasks are alike: what serves others serves a new one better than chance.
    assert pools["portfolio"][:, :5].min(axis=1).mean() < np.median(pools["regret"])
    off = np.abs(pools["portfolio"][0][:, None] - pools["regret"][0]).min(axis=1)
    assert off.max() < 1e-6, "the portfolio is not answered by recorded runs"
    judged = pools["fold"] == JUDGING_FOLD
    assert np.isfinite(pools["current/curve"][judged]).all()
    assert np.isnan(pools["current/curve"][~judged]).all()
    assert judged.any()


def test_the_command_line_writes_what_was_run_and_names_an_unknown_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "job_names", lambda *_, **__: ["sinusoids/nearest tasks, K=10"])
    monkeypatch.setattr(sinusoids, "N_TEST_TASKS", 8)
    bench_learners(out=tmp_path, part=["sinusoids"], share=1e-4, as_json=True)
    (result,) = json.loads(capsys.readouterr().out)
    assert result["after"]["closed form"]["n_tasks"] == 8
    assert "nearest tasks, K=10" in (tmp_path / "learners.txt").read_text()
    with pytest.raises(ValueError, match="--part moon given; expected some of"):
        bench_learners(out=tmp_path, part=["moon"])
