"""Task embeddings: tasks that behave alike lie together, whatever they are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import metaopt
from metaopt.embedding import TaskEmbedding
from warmstart.errors import HistoryError
from warmstart.history import History, TaskInfo, Trial
from warmstart.space import Float, SearchSpace
from warmstart.store import HistoryStore

SPACE = SearchSpace({"rate": Float(0.0, 1.0), "decay": Float(0.0, 1.0)})
N_EACH = 6


def history(task: str, best: float, *, seed: int, estimator: str = "my.Model") -> History:
    """Losses are lowest at ``rate=best``; which, only the trials tell."""
    rng = np.random.default_rng(seed)
    return History.from_trials(
        TaskInfo(estimator, task, "accuracy", "own", space=SPACE),
        [
            Trial({"rate": float(rate), "decay": float(decay)}, float(abs(rate - best)))
            for rate, decay in rng.random((40, 2))
        ],
    )


@pytest.fixture(scope="module")
def histories() -> list[History]:
    low = [history(f"low-{i}", 0.1 + 0.02 * i, seed=i) for i in range(N_EACH)]
    high = [history(f"high-{i}", 0.9 - 0.02 * i, seed=10 + i) for i in range(N_EACH)]
    return [*low, *high]


@pytest.fixture(scope="module")
def embedding(histories: list[History]) -> TaskEmbedding:
    return metaopt.embed(histories, n_dimensions=3, n_steps=150)


def test_the_nearest_tasks_are_those_that_behave_alike(embedding: TaskEmbedding) -> None:
    for task in embedding.tasks:
        nearest = embedding.nearest(task, n=3)
        assert [name.split("-")[0] for name, _ in nearest] == [task.split("-")[0]] * 3
        assert [distance for _, distance in nearest] == sorted(d for _, d in nearest)
        assert task not in [name for name, _ in nearest]


def test_vectors_are_centred_and_of_one_scale(embedding: TaskEmbedding) -> None:
    assert embedding.vectors.shape == (2 * N_EACH, 3)
    np.testing.assert_allclose(embedding.vectors.mean(axis=0), 0, atol=1e-6)
    assert (embedding.vectors**2).sum(axis=1).mean() == pytest.approx(1)
    np.testing.assert_array_equal(
        embedding["low-1"], embedding.vectors[embedding.tasks.index("low-1")]
    )


def test_the_map_keeps_what_differs_most(embedding: TaskEmbedding) -> None:
    plane = embedding.plane()
    assert plane.shape == (2 * N_EACH, 2)
    assert plane[:, 0].var() > plane[:, 1].var()
    is_low = np.array([task.startswith("low") for task in embedding.tasks])
    low, high = plane[is_low, 0], plane[~is_low, 0]
    assert low.max() < high.min() or high.max() < low.min()


@pytest.mark.parametrize("kind", ["words", "numbers"])
def test_a_map_is_drawn_in_colours(embedding: TaskEmbedding, tmp_path: Path, kind: str) -> None:
    few = embedding.tasks[:8]  # the others are grey
    colours: dict[str, float | str] = {
        task: task.split("-")[0] if kind == "words" else float(i) for i, task in enumerate(few)
    }
    embedding.draw(tmp_path / "map.png", colours, label="best")
    assert (tmp_path / "map.png").read_bytes()[:4] == b"\x89PNG"


def test_a_store_gives_what_its_histories_give_and_a_part_for_each_estimator(
    histories: list[History], tmp_path: Path
) -> None:
    few = [*histories[:3], history("low-0", 0.1, seed=3, estimator="other.Model")]
    few.append(history("elsewhere", 0.5, seed=4, estimator="other.Model"))
    direct = metaopt.embed(few, n_dimensions=2, n_steps=2)
    assert direct.tasks == ("elsewhere", "low-0", "low-1", "low-2")
    # "elsewhere" has no history of the first estimator, "low-1" none of the second.
    assert (direct["elsewhere"] == 0).tolist() == [True, True, False, False]
    assert (direct["low-1"] == 0).tolist() == [False, False, True, True]
    with HistoryStore(tmp_path / "store", fsync=False) as store:
        for one in few:
            store.extend(one.info, one.trials())
        stored = metaopt.embed(store, n_dimensions=2, n_steps=2)
    at_path = metaopt.embed(str(tmp_path / "store"), n_dimensions=2, n_steps=2)
    assert stored.tasks == at_path.tasks == direct.tasks
    np.testing.assert_array_equal(at_path.vectors, stored.vectors)
    np.testing.assert_allclose(stored.vectors, direct.vectors, atol=1e-6)


def test_what_can_not_be_embedded_is_one_error(histories: list[History]) -> None:
    for few in ([], histories[:1]):
        with pytest.raises(HistoryError, match="at least two tasks"):
            metaopt.embed(few)


def test_a_task_that_is_not_there_is_named(embedding: TaskEmbedding) -> None:
    with pytest.raises(ValueError, match="'moon' given; expected one of 12, such as high-0"):
        embedding.nearest("moon")
