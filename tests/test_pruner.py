"""WarmStartPruner: Optuna's contract, and what it makes of learning curves."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

import warmstart
from metaopt.training.curves import (
    SHARES,
    best_thresholds,
    draw_moments,
    learn_curve_model,
)
from warmstart.artifact import read_artifact, write_artifact
from warmstart.curve_model import (
    CurveModel,
    pack_curve_model,
    shipped_curve_model,
    unpack_curve_model,
)
from warmstart.curves import FEATURES, Curve, StudyCurves
from warmstart.errors import ArtifactError
from warmstart.pruner import WarmStartPruner

pytestmark = pytest.mark.usefixtures("quiet")

N_STEPS = 30


def curve(end: float, speed: float = 0.15, start: float = 1.0, n: int = N_STEPS) -> list[float]:
    """An exponential fall from ``start`` to about ``end``."""
    return [end + (start - end) * float(np.exp(-speed * step)) for step in range(n)]


def study_of(
    curves: Sequence[Sequence[float]],
    pruner: WarmStartPruner,
    *,
    direction: str = "minimize",
    steps: Callable[[int], int] = int,
) -> optuna.Study:
    """A study whose trials finished with these curves."""
    study = optuna.create_study(direction=direction, pruner=pruner)
    for values in curves:
        study.add_trial(
            optuna.trial.create_trial(
                value=values[-1],
                intermediate_values={steps(i): value for i, value in enumerate(values)},
            )
        )
    return study


def stopped_at(
    study: optuna.Study, values: Sequence[float], steps: Callable[[int], int] = int
) -> int | None:
    """The report after which a trial with this curve is to be stopped; None if none."""
    trial = study.ask()
    for i, value in enumerate(values):
        trial.report(value, steps(i))
        if trial.should_prune():
            study.tell(trial, state=TrialState.PRUNED)
            return i
    study.tell(trial, values[-1])
    return None


FINISHED = [curve(0.2), curve(0.3), curve(0.45)]


def test_a_hopeless_curve_is_stopped_early() -> None:
    at = stopped_at(study_of(FINISHED, WarmStartPruner()), curve(0.9))
    assert at is not None
    assert at < N_STEPS / 3


def test_a_curve_that_leads_from_the_first_report_is_never_stopped() -> None:
    study = study_of(FINISHED, WarmStartPruner())
    assert stopped_at(study, curve(0.05, speed=0.3)) is None


def test_a_curve_that_is_below_the_end_of_the_best_is_not_stopped() -> None:
    # The errors that a network with a far smaller learning rate had, and the first of another.
    slow = [0.643, 0.608, 0.585, 0.573, 0.55, *np.linspace(0.54, 0.082, 45)]
    fast = [0.07, 0.053, 0.029, 0.029, 0.035, 0.029]
    assert stopped_at(study_of([slow], WarmStartPruner()), fast) is None


def test_the_direction_makes_no_difference() -> None:
    for values in (curve(0.9), curve(0.25), curve(0.05, speed=0.3), curve(0.3, speed=0.05)):
        mirrored = study_of(
            [[-value for value in other] for other in FINISHED],
            WarmStartPruner(),
            direction="maximize",
        )
        expected = stopped_at(study_of(FINISHED, WarmStartPruner()), values)
        assert stopped_at(mirrored, [-value for value in values]) == expected


def test_neither_the_unit_nor_the_numbering_of_the_steps_makes_a_difference() -> None:
    def later(step: int) -> int:
        return 500 + 100 * step

    for values in (curve(0.9), curve(0.25), curve(0.3, speed=0.05)):
        other = study_of(
            [[5 + 1e4 * value for value in finished] for finished in FINISHED],
            WarmStartPruner(),
            steps=later,
        )
        expected = stopped_at(study_of(FINISHED, WarmStartPruner()), values)
        assert stopped_at(other, [5 + 1e4 * value for value in values], later) == expected


def test_no_trial_is_stopped_before_enough_have_finished() -> None:
    assert stopped_at(study_of([], WarmStartPruner()), curve(0.9)) is None
    study = study_of(FINISHED, WarmStartPruner(n_startup_trials=4))
    assert stopped_at(study, curve(0.9)) is None
    assert stopped_at(study, curve(0.9)) is not None


def test_a_trial_that_reports_nothing_is_not_stopped() -> None:
    assert not study_of(FINISHED, WarmStartPruner()).ask().should_prune()


def test_finished_trials_without_reports_do_not_count() -> None:
    study = study_of([], WarmStartPruner())
    study.add_trial(optuna.trial.create_trial(value=0.1))
    assert stopped_at(study, curve(0.9)) is None


def test_no_trial_is_stopped_during_its_warm_up() -> None:
    study = study_of(FINISHED, WarmStartPruner(n_warmup_steps=20))
    assert stopped_at(study, curve(0.9)) == 20


def test_a_trial_is_looked_at_once_in_each_interval() -> None:
    at = stopped_at(study_of(FINISHED, WarmStartPruner(interval_steps=7)), curve(0.9))
    assert at is not None
    assert at % 7 == 0
    study = study_of(FINISHED, WarmStartPruner(n_warmup_steps=2, interval_steps=9))
    assert stopped_at(study, curve(0.9)) in (2, 11, 20)


def test_a_trial_that_reports_nan_only_is_stopped_and_single_ones_are_skipped() -> None:
    study = study_of(FINISHED, WarmStartPruner())
    assert stopped_at(study, [float("nan")] * N_STEPS) == 0
    lead = curve(0.05, speed=0.3)
    lead[4] = lead[9] = float("nan")
    assert stopped_at(study, lead) is None


def test_constant_curves_are_compared_with_the_median() -> None:
    study = study_of([[0.5] * N_STEPS] * 3, WarmStartPruner())
    assert stopped_at(study, [0.5] * N_STEPS) is None
    assert stopped_at(study, [0.6] * N_STEPS) == 0


def test_a_study_of_two_values_a_trial_works() -> None:
    study = study_of([[1.0, 0.5], [1.0, 0.6], [0.9, 0.4]], WarmStartPruner())
    assert stopped_at(study, [0.8, 0.3]) is None


def test_curves_of_unlike_lengths_and_steps_are_compared() -> None:
    study = study_of([curve(0.2, n=40), curve(0.3, n=11), curve(0.4, n=2)], WarmStartPruner())
    assert stopped_at(study, curve(0.9)) is not None
    assert stopped_at(study, curve(0.05, speed=0.3, n=60)) is None


def test_studies_in_which_good_curves_begin_badly_are_left_to_the_median() -> None:
    model = shipped_curve_model()
    usual = [Curve(np.arange(30.0), np.array(values)) for values in FINISHED]
    crossing = [
        Curve(np.arange(30.0), np.r_[np.full(24, level), np.linspace(level, 1 - level, 6)])
        for level in (0.9, 0.7, 0.5, 0.3)
    ]
    assert not model.misleads(usual)
    assert model.misleads(crossing)
    study = study_of([list(curve.losses) for curve in crossing], WarmStartPruner())
    assert stopped_at(study, [0.65] * 24 + [0.05] * 6) is not None  # above the median of 0.6
    assert stopped_at(study, [0.55] * 24 + [0.05] * 6) is None


def test_several_objectives_are_refused_as_by_every_pruner() -> None:
    study = optuna.create_study(directions=["minimize", "minimize"], pruner=WarmStartPruner())
    with pytest.raises(NotImplementedError):
        study.ask().should_prune()


def test_conditional_studies_in_threads_finish() -> None:
    def objective(trial: optuna.Trial) -> float:
        kind = trial.suggest_categorical("kind", ["a", "b"])
        end = trial.suggest_float(f"{kind}_end", 0.1, 0.9)
        for step, value in enumerate(curve(end)):
            trial.report(value, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    study = optuna.create_study(
        sampler=optuna.samplers.RandomSampler(seed=0), pruner=WarmStartPruner()
    )
    study.optimize(objective, n_trials=20, n_jobs=2)
    states = [trial.state for trial in study.trials]
    assert states.count(TrialState.PRUNED) + states.count(TrialState.COMPLETE) == 20
    assert states.count(TrialState.PRUNED) > 5


def test_a_resumed_study_is_pruned_as_one_that_was_not(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(study_name="s", storage=storage, pruner=WarmStartPruner())
    study.add_trials(study_of(FINISHED, WarmStartPruner()).trials)
    pruner = pickle.loads(pickle.dumps(WarmStartPruner()))
    resumed = optuna.load_study(study_name="s", storage=storage, pruner=pruner)
    expected = stopped_at(study_of(FINISHED, WarmStartPruner()), curve(0.6))
    assert stopped_at(resumed, curve(0.6)) == expected


@pytest.mark.parametrize("name", ["n_startup_trials", "n_warmup_steps", "interval_steps"])
def test_a_number_that_is_too_small_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=-1"):
        WarmStartPruner(**{name: -1})  # type: ignore[arg-type]


def test_it_is_a_public_name() -> None:
    assert warmstart.WarmStartPruner is WarmStartPruner
    assert repr(WarmStartPruner(n_warmup_steps=3)) == (
        "WarmStartPruner(n_startup_trials=1, n_warmup_steps=3, interval_steps=1)"
    )


# What is learned, and its artifact.


@pytest.fixture(scope="module")
def learned() -> CurveModel:
    rng = np.random.default_rng(0)
    ends, speeds = rng.uniform(0.1, 0.9, (60, 1)), rng.uniform(0.05, 0.5, (60, 1))
    losses = ends + (1 - ends) * np.exp(-speeds * np.arange(20.0))
    return learn_curve_model(draw_moments(losses, n_moments=60, rng=rng))


def test_a_model_learned_from_invented_curves_stops_the_worst_and_not_the_best(
    learned: CurveModel,
) -> None:
    finished = StudyCurves([Curve(np.arange(20.0), np.array(curve(e, n=20))) for e in (0.3, 0.4)])

    def stops(values: list[float], n_reports: int) -> bool:
        features = finished.features(Curve(np.arange(20.0), np.array(values)).until(n_reports))
        assert features is not None
        return learned.stops(features)

    assert stops(curve(0.85, n=20), 10)
    assert not stops(curve(0.1, speed=0.4, n=20), 10)


def test_the_worth_of_going_on_decides_the_thresholds() -> None:
    logits = np.tile(np.array([[-1.0], [0.0], [1.0]]), (1, len(SHARES)))
    gains = np.array([0.0, 0.5, 2.0])
    free = best_thresholds(logits, gains, price=0.0)
    assert (logits >= free).all()
    moderate = best_thresholds(logits, gains, price=1.0)
    assert ((logits >= moderate).all(axis=1) == [False, False, True]).all()
    ruinous = best_thresholds(logits, gains, price=100.0)
    assert (logits[:, 0] < ruinous[0]).all()


def test_a_model_comes_back_from_its_artifact(learned: CurveModel, tmp_path: Path) -> None:
    write_artifact(tmp_path / "curves", *pack_curve_model(learned, {"tasks": ["a"]}))
    artifact = read_artifact(tmp_path / "curves")
    rows = np.random.default_rng(0).normal(size=(5, len(FEATURES)))
    loaded = unpack_curve_model(artifact)
    np.testing.assert_allclose(loaded.logit(rows), learned.logit(rows), atol=1e-4)
    WarmStartPruner(artifact=tmp_path / "curves")


def test_an_artifact_of_another_kind_or_without_tensors_is_refused(
    learned: CurveModel, tmp_path: Path
) -> None:
    tensors, description = pack_curve_model(learned, {})
    write_artifact(tmp_path / "kind", tensors, {**description, "kind": "priors"})
    with pytest.raises(ArtifactError, match="kind 'priors'"):
        WarmStartPruner(artifact=tmp_path / "kind")
    del tensors["biases1"]
    write_artifact(tmp_path / "missing", tensors, description)
    with pytest.raises(ArtifactError, match="not complete"):
        WarmStartPruner(artifact=tmp_path / "missing")
    tensors, _ = pack_curve_model(learned, {})
    tensors["weights0"] = np.full_like(tensors["weights0"], np.nan)
    write_artifact(tmp_path / "nan", tensors, description)
    with pytest.raises(ArtifactError, match="finite"):
        WarmStartPruner(artifact=tmp_path / "nan")
