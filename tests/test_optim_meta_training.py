"""Meta-training: gradients, resuming, several processes, judging, shipping."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from metaopt.optim import controller
from metaopt.optim.meta_checkpoint import CHECKPOINT, CURVE, load_checkpoint
from metaopt.optim.meta_gradient import estimate_gradient, perturb
from metaopt.optim.meta_loop import MetaTraining
from metaopt.optim.meta_options import MetaTrainingOptions, parse_changes
from metaopt.optim.meta_training import main, ship_best
from metaopt.optim.meta_validation import readout_size
from metaopt.optim.weights import load_weights

CPU = torch.device("cpu")
TINY = MetaTrainingOptions.quick(
    n_groups=2, n_numbers=1e3, most_pairs=2, horizons=(4, 4, 4), judge_every=100, n_judged=1
)
NOISY_THETA = replace(TINY, noise="weights")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(autouse=True)
def nothing_to_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judging takes most of the time of a short meta-training; one test does it in earnest."""
    monkeypatch.setattr("metaopt.optim.meta_loop.MetaTraining._judge_now", lambda *_: None)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As in the processes that are started here: sums of other threads round differently."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


def trained(directory: Path, n_updates: int, options: MetaTrainingOptions = TINY) -> Tensor:
    return MetaTraining(directory, options, device=CPU).run(n_updates=n_updates).theta


def test_the_gradient_of_a_linear_loss_is_found() -> None:
    slope = torch.tensor([1.0, -2.0, 0.0, 0.5])
    thetas, noise = perturb(
        torch.zeros(4), 20_000, sigma=0.1, generator=seeded(), trained=torch.ones(4)
    )
    gradient = estimate_gradient(0.5 + 0.1 * thetas @ slope, noise)
    torch.testing.assert_close(
        gradient / gradient.norm(), slope / slope.norm(), atol=0.03, rtol=0.0
    )


def test_perturbations_come_in_opposite_pairs_and_leave_alone_what_is_not_trained() -> None:
    theta = torch.tensor([1.0, 2.0, 3.0])
    thetas, noise = perturb(
        theta, 5, sigma=0.5, generator=seeded(), trained=torch.tensor([1.0, 0.0, 1.0])
    )
    torch.testing.assert_close(thetas[:5] + thetas[5:], 2 * theta.expand(5, 3))
    torch.testing.assert_close(thetas[:5], theta + 0.5 * noise)
    assert (thetas[:, 1] == 2.0).all()
    assert (noise[:, 0] != 0).all()


def test_one_divergence_does_not_drown_the_other_tasks() -> None:
    noise = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    gradient = estimate_gradient(torch.tensor([1e6, 0.5, 0.5, 0.0, 0.0, 0.0]), noise)
    assert abs(gradient[0]) <= abs(gradient[1])


def test_the_same_seed_gives_the_same_theta_and_another_seed_another(tmp_path: Path) -> None:
    first, again = trained(tmp_path / "a", 2), trained(tmp_path / "b", 2)
    other = trained(tmp_path / "c", 2, replace(TINY, seed=1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("options", [TINY, NOISY_THETA], ids=["actions", "weights"])
def test_resuming_equals_no_interruption(tmp_path: Path, options: MetaTrainingOptions) -> None:
    trained(tmp_path / "a", 1, options)
    torch.testing.assert_close(
        trained(tmp_path / "a", 3, options), trained(tmp_path / "b", 3, options), rtol=0, atol=0
    )
    updates = [
        json.loads(line)["update"]
        for line in (tmp_path / "a" / CURVE).read_text(encoding="utf-8").splitlines()
    ]
    assert updates == [1, 2, 3]


def test_entries_after_the_checkpoint_and_half_lines_are_dropped_on_resuming(
    tmp_path: Path,
) -> None:
    trained(tmp_path, 1)
    curve = tmp_path / CURVE
    curve.write_text(curve.read_text(encoding="utf-8") + '{"update": 2}\n{"upd', encoding="utf-8")
    trained(tmp_path, 2)
    updates = [json.loads(line)["update"] for line in curve.read_text("utf-8").splitlines()]
    assert updates == [1, 2]


def test_only_the_output_layer_is_trained_at_first(tmp_path: Path) -> None:
    start = MetaTraining(tmp_path / "a", NOISY_THETA, device=CPU).state.theta
    moved = trained(tmp_path / "a", 1, NOISY_THETA) != start
    n = readout_size(TINY.hidden_size)
    assert moved[-n:].any()
    assert not moved[:-n].any()
    everything = trained(tmp_path / "b", 1, replace(NOISY_THETA, n_readout=0))
    assert (everything != start)[:-n].any()


def test_both_kinds_train_with_both_kinds_of_noise(tmp_path: Path) -> None:
    thetas = [
        trained(tmp_path / f"{kind}-{noise}", 1, replace(TINY, kind=kind, noise=noise))
        for kind in ("optimizer", "schedule")
        for noise in ("actions", "weights")
    ]
    assert all(theta.isfinite().all() for theta in thetas)
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(thetas, 2))


def test_a_time_limit_stops_it(tmp_path: Path) -> None:
    state = MetaTraining(tmp_path, TINY, device=CPU).run(seconds=0.0)
    assert state.update == 0
    assert (tmp_path / CHECKPOINT).exists()


def test_other_options_than_the_checkpoint_s_are_refused(tmp_path: Path) -> None:
    trained(tmp_path, 1)
    with pytest.raises(ValueError, match=r"sigma=0\.05, and sigma=0\.2 was given"):
        MetaTraining(tmp_path, replace(TINY, sigma=0.2), device=CPU)


def test_the_learning_rate_may_change_on_resuming(tmp_path: Path) -> None:
    trained(tmp_path, 1)
    assert trained(tmp_path, 2, replace(TINY, learning_rate=1e-3)).isfinite().all()


def test_a_broken_checkpoint_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"is not a checkpoint of this version .* delete it"):
        MetaTraining(tmp_path, TINY, device=CPU)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"horizons": (4, 2, 8)}, "horizons="),
        ({"sigma": 0.0}, r"sigma=0\.0 given; expected more than 0"),
    ],
)
def test_impossible_options_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(TINY, **changes)  # type: ignore[arg-type]


def test_the_best_seed_is_shipped_with_its_record(tmp_path: Path) -> None:
    for seed, score in ((0, -1.0), (1, 2.0), (2, 0.5)):
        training = MetaTraining(tmp_path / f"seed-{seed}", replace(TINY, seed=seed), device=CPU)
        training.run(n_updates=0)
        training.state.best_score = score
        training._save()
    record = ship_best(tmp_path, tmp_path / "w.safetensors")
    assert record["chosen"] == "seed-1"
    loaded = load_weights(tmp_path / "w.safetensors")
    assert loaded.record["seeds"].keys() == {"seed-0", "seed-1", "seed-2"}
    best, _ = load_checkpoint(tmp_path / "seed-1") or pytest.fail("no checkpoint")
    torch.testing.assert_close(controller.flatten(loaded.theta), best.best)


def test_shipping_from_an_empty_directory_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a directory with checkpoints"):
        ship_best(tmp_path, tmp_path / "w.safetensors")


@pytest.mark.parametrize("text", ["n_group=3", "n_groups", "n_groups=three", "=3"])
def test_an_option_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="expected NAME=JSON"):
        parse_changes([text])


def test_options_are_changed_by_name() -> None:
    changes = parse_changes(["horizons=[8, 16, 32]", "n_numbers=2e5"])
    assert MetaTrainingOptions.for_cpu(**changes).horizons == (8, 16, 32)
    assert changes["n_numbers"] == 2e5


OPTIONS = [
    f"--option={name}={json.dumps(getattr(TINY, name))}"
    for name in ("n_groups", "n_numbers", "most_pairs", "horizons", "judge_every", "n_judged")
]
UNJUDGED = (
    "from metaopt.optim import meta_loop, meta_training\n"
    "meta_loop.MetaTraining._judge_now = lambda *_: None\n"
    "meta_training.main()\n"
)


def start(out: Path, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", UNJUDGED, "--out", str(out), "--quick", *OPTIONS, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.DEVNULL,
    )


def test_two_processes_and_a_kill_come_to_what_one_process_comes_to(tmp_path: Path) -> None:
    expected = trained(tmp_path / "one" / "seed-0", 3)
    rendezvous = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29517", "WORLD_SIZE": "2"}
    pair = [
        start(tmp_path / "two", "--updates", "3", RANK=str(rank), **rendezvous) for rank in (0, 1)
    ]
    victim = start(tmp_path / "killed", "--updates", "2")
    curve = tmp_path / "killed" / "seed-0" / CURVE
    while victim.poll() is None and (not curve.exists() or curve.stat().st_size == 0):
        time.sleep(0.1)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert [process.wait() for process in pair] == [0, 0]
    for directory in ("two", "killed"):
        assert torch.equal(trained(tmp_path / directory / "seed-0", 3), expected)


@pytest.mark.slow
def test_a_quick_meta_training_is_judged_and_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    weights = tmp_path / "w.safetensors"
    main(
        [
            "--out",
            str(tmp_path),
            "--quick",
            "--updates",
            "2",
            "--ship",
            str(weights),
            "--seed",
            "0",
        ]
    )
    judgements = load_weights(weights).record["judgements"]
    assert [entry["update"] for entry in judgements] == [0, 2]
    assert '"gain_at_half"' in capsys.readouterr().out
