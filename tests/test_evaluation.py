"""metaopt evaluate: what the sampler goes by is judged on tasks that it has not seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmark_synthetic import BowlSource
from quadratic_tasks import ENCODING, family, learned
from scipy.special import ndtr

import metaopt.evaluation.evaluating as evaluating
from metaopt import EvaluationOptions, evaluate, meta_train
from metaopt.evaluation.altered import (
    half_at_random,
    half_evenly,
    shortened,
    with_permuted_descriptors,
)
from metaopt.evaluation.calibration import calibration, outside, over_estimators
from metaopt.evaluation.document import Heading, Paragraph, Picture, Table, to_html, to_markdown
from metaopt.evaluation.experiments import EXPERIMENTS, Workshop
from metaopt.evaluation.judging import Judging, judge
from metaopt.evaluation.learned import learn
from metaopt.evaluation.options import DEVIATIONS, FACTORS, LEVELS
from metaopt.evaluation.page import page
from metaopt.evaluation.subjects import Subject, split, subjects_of
from warmstart.artifact import Artifact, read_artifact
from warmstart.errors import ArtifactError, HistoryError
from warmstart.history import History, TaskInfo, Trial
from warmstart.posterior import Candidates, Posterior, Trials, portfolio_improvement
from warmstart.predictive import Prediction, Tail, after_trials, before_trials
from warmstart.prior_file import unpack_prior
from warmstart.regret import EPSILON

PRIOR = replace(learned(), noise=0.2, agreement=0.3)
WEIGHTS = np.full(len(PRIOR.tasks), 1 / len(PRIOR.tasks))
NEW_TASK = family(20, seed=3)[13]
TINY = EvaluationOptions(
    n_folds=3,
    n_folds_judged=2,
    n_folds_varied=1,
    n_splits=1,
    most_tasks=3,
    sizes=(2,),
    lengths=(10,),
)


def bowls() -> list[History]:
    """Twelve tasks of six families, each with a descriptor; six were judged by ROC AUC, too."""
    histories = BowlSource(n_tasks=12, n_trials=24).histories()
    return [
        replace(
            history,
            info=replace(history.info, descriptor=_descriptor(i)),
            measures={"roc_auc": -history.losses} if i < 6 else {},
        )
        for i, history in enumerate(histories)
    ]


def _descriptor(i: int) -> dict[str, object]:
    sizes = {"NumberOfInstances": 100.0 * (i + 1), "NumberOfFeatures": 5.0, "NumberOfClasses": 2.0}
    return {"kind": "classification", "name": f"data {i}", "metafeatures": sizes}


@pytest.fixture(scope="module")
def bowl_artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("artifact") / "bowls.safetensors"
    meta_train(bowls(), path)
    return path


@pytest.fixture(scope="module")
def done(
    bowl_artifact: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, evaluating.Evaluation]:
    out = tmp_path_factory.mktemp("evaluation")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("metaopt.evaluation.experiments._FEWEST_DESCRIBED", 4)
        return out, evaluate(bowl_artifact, bowls(), out=out, options=TINY)


def seen(n: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of ``n`` configurations, what source tasks say of them, and their losses."""
    coordinates = ENCODING.sample(n, np.random.default_rng(seed))
    features = PRIOR.encoding.features(coordinates)
    return features, PRIOR.log_regrets(PRIOR.scale(features)), NEW_TASK.losses(coordinates)


def posterior_and_candidates(n: int, *, alone: bool = False) -> tuple[Posterior, Candidates]:
    posterior = Posterior(PRIOR, WEIGHTS, Trials(*seen(n)), alone=alone)
    features, log_regrets, _ = seen(30, seed=9)
    return posterior, Candidates(features, log_regrets, WEIGHTS)


# What is predicted


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("n", [1, 4, 12])
def test_the_improvement_that_the_sampler_expects_follows_from_the_prediction(
    n: int, alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The sampler saves time by leaving out terms of little weight.
    monkeypatch.setattr("warmstart.posterior._MOST_TERMS", 10_000)
    monkeypatch.setattr("warmstart.posterior._LEAST_WEIGHT", 0.0)
    posterior, candidates = posterior_and_candidates(n, alone=alone)
    prediction = after_trials(replace(PRIOR, noise=0.0), posterior, candidates)
    _, log_regrets, losses = seen(n)
    z_best = np.log((losses.min() - prediction.best) / prediction.extent + EPSILON)
    mean, deviation = prediction.means, prediction.deviations
    u = (z_best - mean) / deviation
    gain = np.exp(z_best) * ndtr(u) - np.exp(mean + 0.5 * deviation**2) * ndtr(u - deviation)
    portfolio = portfolio_improvement(candidates.regrets, log_regrets, posterior.task_weights)
    share = posterior.portfolio_share
    found = (1.0 - share) * (gain @ prediction.weights) + share * portfolio
    np.testing.assert_allclose(found, posterior.improvement_of(candidates), rtol=1e-3, atol=1e-4)


def test_a_density_is_the_slope_of_its_distribution_and_covers_one() -> None:
    posterior, candidates = posterior_and_candidates(6)
    prediction = after_trials(PRIOR, posterior, candidates.these(np.array([3])))
    losses = np.linspace(-20.0, 120.0, 40_001)
    density = np.concatenate(
        [np.exp(prediction.log_density(part)) for part in np.split(losses[:-1], 100)]
    )
    below = np.concatenate(
        [prediction.probability_below(part) for part in np.split(losses[:-1], 100)]
    )
    step = losses[1] - losses[0]
    assert density.sum() * step == pytest.approx(1.0, abs=0.01)
    np.testing.assert_allclose(below[-1], 1.0, atol=0.01)
    np.testing.assert_allclose(np.cumsum(density) * step, below - below[0], atol=5e-3)


def test_a_prediction_after_trials_is_of_the_unit_of_the_losses() -> None:
    features, log_regrets, losses = seen(8)
    _, candidates = posterior_and_candidates(8)
    plain, scaled = (
        after_trials(
            PRIOR, Posterior(PRIOR, WEIGHTS, Trials(features, log_regrets, unit)), candidates
        )
        for unit in (losses, 100.0 + 1000.0 * losses)
    )
    np.testing.assert_allclose(100.0 + 1000.0 * plain.middle(), scaled.middle(), rtol=1e-6)
    at = losses.mean() + 0.1
    some = np.full(30, at)
    np.testing.assert_allclose(
        plain.log_density(some), scaled.log_density(100.0 + 1000.0 * some) + np.log(1000.0)
    )


def test_before_any_trial_the_source_tasks_say_what_to_expect() -> None:
    _, candidates = posterior_and_candidates(1)
    prediction = before_trials(PRIOR, candidates)
    assert prediction.weights.sum() == pytest.approx(1.0)
    told = np.corrcoef(prediction.middle(), candidates.mean)[0, 1]
    assert told > 0.9
    alone = before_trials(PRIOR, candidates, transfer=False).middle()
    assert np.ptp(alone) == pytest.approx(0.0)


def test_a_wider_prediction_covers_more() -> None:
    posterior, candidates = posterior_and_candidates(6)
    prediction = after_trials(PRIOR, posterior, candidates)
    losses = seen(30, seed=9)[2]
    off = [
        np.abs(prediction.widened(factor).probability_below(losses) - 0.5).mean()
        for factor in (0.5, 1.0, 2.0)
    ]
    assert off == sorted(off, reverse=True)


def of_regret(means: np.ndarray, deviation: float) -> Prediction:
    """What is expected of regrets from 0 to 1, by one term."""
    return Prediction(
        weights=np.ones(1),
        best=np.zeros(1),
        extent=np.ones(1),
        means=means[:, None],
        deviations=np.full((len(means), 1), deviation),
        groups=np.zeros(1, dtype=int),
        tail=Tail(weight=0.0, center=0.0, scale=1.0),
        bounds=(float(np.log(EPSILON)), float(np.log(1.0 + EPSILON))),
    )


@pytest.mark.parametrize("mean", [-3.2, -1.0, 0.3])
def test_what_is_foreseen_beyond_a_bound_lies_at_it(mean: float) -> None:
    z = np.linspace(np.log(EPSILON), np.log(1.0 + EPSILON), 4001)
    regrets = np.append(np.append(0.0, np.exp(z[1:-1]) - EPSILON), 1.0)
    prediction = of_regret(np.full(len(z), mean), 0.7)
    density = np.exp(prediction.log_density(regrets)) * (regrets + EPSILON)
    below, at = prediction.probability_below(regrets), prediction.terms_at(regrets)[:, 0]
    assert below[0] == 0.0
    assert below[-1] + at[-1] == pytest.approx(1.0)
    assert not at[1:-1].any()
    np.testing.assert_allclose(density[[0, -1]], at[[0, -1]])
    step = z[1] - z[0]
    np.testing.assert_allclose(
        at[0] + np.cumsum(density[1:-1]) * step, below[1:-1], atol=1.5 * step
    )
    outside = prediction.probability_below(np.full(len(z), np.inf))
    np.testing.assert_array_equal(outside, np.ones(len(z)))


@pytest.mark.parametrize("level", LEVELS)
def test_intervals_cover_what_they_say_where_many_are_as_bad_as_the_worst(level: float) -> None:
    rng = np.random.default_rng(0)
    means = rng.uniform(-1.5, 0.5, size=20_000)
    z = np.clip(
        means + 0.8 * rng.standard_normal(len(means)), np.log(EPSILON), np.log(1 + EPSILON)
    )
    regrets = np.clip(np.exp(z) - EPSILON, 0.0, 1.0)
    assert (regrets == 1.0).mean() > 0.2
    covered = of_regret(means, 0.8).covered(regrets, level)
    assert covered.mean() == pytest.approx(level, abs=0.01)


# Calibration


def rows_of_truth(deviation: float, *, n_tasks: int = 40, n_each: int = 200) -> list[dict]:
    """Tasks whose outcomes have deviation 1 in z, predicted with another deviation."""
    rng = np.random.default_rng(0)
    rows = []
    for task in range(n_tasks):
        z = -1.0 + rng.standard_normal(n_each)
        outcomes = np.exp(z) - EPSILON
        prediction = Prediction(
            weights=np.ones(1),
            best=np.zeros(1),
            extent=np.ones(1),
            means=np.full((n_each, 1), -1.0),
            deviations=np.full((n_each, 1), deviation),
            groups=np.zeros(1, dtype=int),
            tail=Tail(weight=0.0, center=0.0, scale=1.0),
        )
        scores, covered = [], []
        for factor in FACTORS:
            widened = prediction.widened(factor)
            scores.append(float((widened.log_density(outcomes) + z).mean()))
            covered.append([float(widened.covered(outcomes, level).mean()) for level in LEVELS])
        rows.append(
            {
                "task": str(task),
                "family": str(task // 2),
                "budget": 5,
                "n_predicted": n_each,
                "squared_error": float(((z + 1.0) ** 2).mean()),
                "log_scores": scores,
                "log_scores_of_one_variance": [
                    float((prediction.of_one_variance(one).log_density(outcomes) + z).mean())
                    for one in DEVIATIONS
                ],
                "covered": covered,
                "excluded": [0.0] * len(FACTORS),
            }
        )
    return rows


def test_a_true_prediction_covers_what_it_says_and_is_as_good_as_the_constant_one() -> None:
    at = calibration(rows_of_truth(1.0))["5"]
    for level in LEVELS:
        assert at["coverage"][f"{level:g}"] == pytest.approx(level, abs=0.02)
    assert at["families"]["within"] == 1.0
    assert outside(at["families"]["coverage"]) == {}
    assert at["families"]["spread_by_chance"] == pytest.approx(0.02, abs=0.001)
    assert at["families"]["spread"] == pytest.approx(0.02, abs=0.01)
    assert at["gain"]["mean"] == pytest.approx(0.0, abs=0.01)
    assert at["gain_over_told_the_scale"]["mean"] == pytest.approx(0.0, abs=0.01)
    assert at["rescaled"]["factor"] == 1.0


def test_a_prediction_that_is_too_sure_is_found_out_and_mended_by_other_families() -> None:
    at = calibration(rows_of_truth(0.5))["5"]
    assert at["coverage"]["0.8"] < 0.55
    assert at["families"]["below"] == 1.0
    assert at["gain"]["mean"] < -0.5
    assert at["rescaled"]["factor"] == 2.0
    assert at["rescaled"]["coverage"]["0.8"] == pytest.approx(0.8, abs=0.02)
    assert at["rescaled"]["log_score"] > at["log_score"] + 0.5


def test_what_all_runs_of_a_task_share_is_more_than_chance_and_its_families_are_named() -> None:
    sure, unsure = rows_of_truth(0.5, n_tasks=10), rows_of_truth(1.0, n_tasks=10)
    rows = [*unsure, *({**row, "family": f"sure {row['family']}"} for row in sure)]
    families = calibration(rows)["5"]["families"]
    strayed = outside(families["coverage"])
    assert set(strayed) == {row["family"] for row in rows if "sure" in row["family"]}
    assert all(share < 0.65 for share in strayed.values())
    assert families["spread"] > 4 * families["spread_by_chance"]


def test_a_task_with_few_runs_lets_its_family_spread_more_by_chance() -> None:
    many, few = rows_of_truth(1.0, n_tasks=20), rows_of_truth(1.0, n_tasks=20, n_each=10)
    rows = [row for pair in zip(many, few, strict=True) for row in pair]
    rows = [{**row, "family": str(i // 2)} for i, row in enumerate(rows)]
    families = calibration(rows)["5"]["families"]
    # Of the mean of two shares of 200 and 10 runs, not of one share of 210.
    assert families["spread_by_chance"] == pytest.approx(0.065, abs=0.006)
    assert families["spread"] == pytest.approx(families["spread_by_chance"], rel=0.5)


def test_estimators_are_averaged_and_families_over_those_they_were_judged_by() -> None:
    sure, true = calibration(rows_of_truth(0.5)), calibration(rows_of_truth(1.0, n_tasks=20))
    together = over_estimators([sure, true])
    assert list(together) == ["5", "all"]
    at = together["all"]
    assert at["lowest"] == pytest.approx(sure["5"]["coverage"]["0.8"])
    assert at["highest"] == pytest.approx(true["5"]["coverage"]["0.8"])
    assert at["coverage"] == pytest.approx((at["lowest"] + at["highest"]) / 2)
    of_both = [one["5"]["families"]["coverage"]["3"] for one in (sure, true)]
    assert at["families"]["coverage"]["3"] == pytest.approx(np.mean(of_both))
    assert at["families"]["coverage"]["19"] == sure["5"]["families"]["coverage"]["19"]
    assert over_estimators([]) == {}


def test_with_one_family_nothing_is_said_of_calibration() -> None:
    rows = [{**row, "family": "one"} for row in rows_of_truth(1.0, n_tasks=2)]
    assert calibration(rows) == {}


# What histories are altered to


def test_descriptors_are_permuted_among_tasks_and_none_stays() -> None:
    before = bowls()
    after = with_permuted_descriptors(before, seed=1)
    given, taken = (
        [str(history.info.descriptor) for history in histories] for histories in (before, after)
    )
    assert sorted(given) == sorted(taken)
    assert all(a != b for a, b in zip(given, taken, strict=True))


def test_runs_are_cut_to_so_many_of_them() -> None:
    for before, after in zip(bowls(), shortened(bowls(), 7, seed=0), strict=True):
        assert len(after) == 7
        assert set(after.losses) <= set(before.losses)


def test_half_of_the_runs_chosen_evenly_lies_farther_apart_than_half_at_random() -> None:
    rng = np.random.default_rng(0)
    dense = rng.uniform(0.45, 0.55, 60), rng.uniform(0, 1, 20)
    trials = [Trial({"x": float(x), "y": 0.5 * float(x)}, float(x)) for x in np.concatenate(dense)]
    histories = [
        History.from_trials(TaskInfo("my.model", task, "loss", "own"), trials) for task in "ab"
    ]
    shares = []
    for halves in (half_evenly("my.model", histories, seed=0), half_at_random(histories, seed=0)):
        assert [len(half) for half in halves] == [40, 40]
        shares.append(float(np.mean(np.abs(halves[0].losses - 0.5) < 0.05)))
    assert shares[0] < 0.65 < shares[1]


# What is learned from and judged


def test_a_family_is_never_on_both_sides() -> None:
    for fold in range(3):
        known, left = split(bowls(), fold=fold, n_folds=3)
        assert len(known) + len(left) == 12
        assert not {h.info.family for h in known} & {h.info.family for h in left}


def test_no_held_out_task_is_among_those_a_prior_was_learned_from(
    monkeypatch: pytest.MonkeyPatch, bowl_artifact: Path
) -> None:
    (subject,) = subjects_of(bowls())
    learned_from: list[set[str]] = []
    judged: list[set[str]] = []

    def spy_learn(name: str, histories: list[History], *, seed: int) -> Artifact | None:
        learned_from.append({history.info.family for history in histories})
        return learn(name, histories, seed=seed)

    def spy_judge(artifact: Artifact, name: str, histories: list[History], how: Judging) -> list:
        judged.append({history.info.family for history in histories})
        return []

    monkeypatch.setattr("metaopt.evaluation.experiments.learn", spy_learn)
    monkeypatch.setattr("metaopt.evaluation.experiments.judge", spy_judge)
    shop = Workshop(subject, 0, TINY, read_artifact(bowl_artifact))
    for name in ("number of trials", "probes", "larger tasks", "interference"):
        learned_from.clear()
        judged.clear()
        EXPERIMENTS[name].run(shop)
        held_out = {history.info.family for history in shop.held_out}
        if name != "larger tasks":
            assert held_out
            assert all(families == held_out for families in judged)
            assert not any(families & held_out for families in learned_from)


def test_a_task_that_was_judged_by_several_metrics_is_judged_by_the_usual_one() -> None:
    trials = [
        Trial({"C": 2.0**i}, (i - 3.0) ** 2, measures={"roc_auc": 0.1 * i}) for i in range(8)
    ]
    histories = [
        History.from_trials(TaskInfo("SVC", task, "accuracy", "own", family=task), trials)
        for task in "abc"
    ]
    (subject,) = subjects_of(histories)
    assert (subject.estimator, subject.metric) == ("sklearn.svm.SVC", "accuracy")
    assert (len(subject.histories), len(subject.judged)) == (6, 3)


def test_a_history_that_tunes_nothing_of_its_estimator_is_not_judged() -> None:
    strange = [Trial({"colour_of_the_moon": 0.1 * i}, (i - 3.0) ** 2) for i in range(8)]
    plain = [Trial({"C": 2.0**i}, (i - 3.0) ** 2) for i in range(8)]
    histories = [
        History.from_trials(TaskInfo("SVC", task, "accuracy", "own"), trials)
        for task, trials in (("a", plain), ("b", strange), ("c", plain))
    ]
    (subject,) = subjects_of(histories)
    assert [history.info.task for history in subject.judged] == ["a", "c"]
    assert subjects_of(histories[1:2]) == []


def test_with_all_families_in_one_fold_the_experiments_have_nothing_to_say(
    bowl_artifact: Path,
) -> None:
    one_family = [replace(h, info=replace(h.info, family="one")) for h in bowls()]
    (subject,) = subjects_of(one_family)
    fold = next(f for f in range(3) if split(one_family, fold=f, n_folds=3)[1])
    shop = Workshop(subject, fold, TINY, read_artifact(bowl_artifact))
    for name in ("held out", "number of tasks", "number of trials", "interference", "lifelong"):
        assert not any(EXPERIMENTS[name].run(shop).values())


def test_transfer_picks_better_than_chance_and_predicts_better_than_without_it() -> None:
    (subject,) = subjects_of(bowls())
    known, left = split(subject.histories, fold=0, n_folds=3)
    artifact = learn("bowl", known, seed=0)
    assert artifact is not None
    how = Judging(n_splits=2, budgets=(0, 5))
    with_it = judge(artifact, "bowl", left, how)
    without = judge(artifact, "bowl", left, replace(how, transfer=False))
    assert np.mean([row["picked"] for row in with_it]) < 0.5 * np.mean(
        [row["random"] for row in with_it]
    )
    gains = [
        a["log_scores"][0] - b["log_scores"][0] for a, b in zip(with_it, without, strict=True)
    ]
    assert np.mean(gains) > 0
    assert [row["picked"] for row in without if not row["budget"]] == [
        row["random"] for row in without if not row["budget"]
    ]


def test_excluding_its_own_family_makes_a_training_task_a_stranger(bowl_artifact: Path) -> None:
    artifact = read_artifact(bowl_artifact)
    how = Judging(budgets=(0,))
    known = judge(artifact, "bowl", bowls(), how)
    stranger = judge(
        artifact, "bowl", bowls(), replace(how, exclude=lambda history: {history.info.family})
    )
    scores = [np.mean([row["squared_error"] for row in rows]) for rows in (known, stranger)]
    assert scores[0] < scores[1]


# The whole


def test_every_experiment_is_in_the_report_and_on_the_page(
    done: tuple[Path, evaluating.Evaluation],
) -> None:
    out, evaluation = done
    data = json.loads((out / "evaluation.json").read_text())
    assert data == evaluation.data
    assert (data["format"], data["version"]) == ("metaopt-evaluation", 2)
    figures = data["estimators"]["bowl"]
    assert set(figures["experiments"]) == set(EXPERIMENTS)
    assert figures["experiments"]["held out"]["transfer"]["0"]["n_tasks"] >= 2
    assert all(figures["experiments"].values())
    text = (out / "evaluation.md").read_text()
    for heading in (
        "In short",
        "Adaptation",
        "Calibration",
        "Interference",
        "Probes",
        "Adding",
        "Cost",
    ):
        assert f"## {heading}" in text
    assert (out / "evaluation-bowl.png").read_bytes().startswith(b"\x89PNG")
    assert "evaluation-bowl.png" in text
    for budget, at in figures["calibration"].items():
        strayed = outside(at["families"]["coverage"])
        listed = ", ".join(f"{family} {share:.2f}" for family, share in strayed.items())
        assert f"| bowl | {budget} | {listed} |" in text
    assert set(evaluation.files) == {
        out / name
        for name in (
            "evaluation.json",
            "evaluation.md",
            "evaluation.html",
            "evaluation-bowl.png",
        )
    }


def test_the_page_is_made_from_the_json_alone(done: tuple[Path, evaluating.Evaluation]) -> None:
    out, _ = done
    data = json.loads((out / "evaluation.json").read_text())
    assert (
        to_markdown(page(data, {"bowl": "evaluation-bowl.png"}))
        == (out / "evaluation.md").read_text()
    )


def test_an_evaluation_that_was_stopped_goes_on_and_gives_the_same(
    done: tuple[Path, evaluating.Evaluation], bowl_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, before = done
    kept = [piece for piece in (out / "pieces").iterdir() if "larger" not in piece.name]
    pieces = sorted(kept)
    pieces[0].write_text("{ cut off")
    pieces[1].unlink()
    ran: list[str] = []
    real = evaluating._run

    def counted(name: str, shop: Workshop) -> dict:
        ran.append(name)
        return real(name, shop)

    monkeypatch.setattr(evaluating, "_run", counted)
    after = evaluate(bowl_artifact, bowls(), out=out, options=TINY)
    assert len(ran) == 2
    curves = [e.data["estimators"]["bowl"]["experiments"] for e in (before, after)]
    assert curves[0] == curves[1]
    ran.clear()
    other = evaluate(bowl_artifact, bowls(), out=out, options=replace(TINY, seed=1, most_tasks=1))
    assert len(ran) == len(pieces) + 1
    assert other.data["options"]["seed"] == 1


def test_too_few_trials_to_predict_leave_out_budgets_not_tasks(bowl_artifact: Path) -> None:
    rows = judge(read_artifact(bowl_artifact), "bowl", shortened(bowls(), 6, seed=0), Judging())
    assert {row["budget"] for row in rows} == {0, 1, 2}


def test_histories_that_foretell_nothing_are_not_drawn_on_and_leave_no_rows() -> None:
    rng = np.random.default_rng(0)
    noise = [
        replace(history, losses=rng.permutation(history.losses))
        for history in BowlSource(n_tasks=12, n_trials=40).histories()
    ]
    artifact = learn("bowl", noise, seed=0)
    assert artifact is not None
    assert unpack_prior(artifact, "bowl").agreement < 0.05
    assert judge(artifact, "bowl", noise, Judging(budgets=(0,))) == []


# Errors


@pytest.mark.parametrize(
    ("arguments", "error", "expected"),
    [
        ({"artifact": "no/such/file"}, ArtifactError, "where there is no file"),
        ({"histories": "no/such/store"}, HistoryError, "not there"),
        ({"histories": []}, HistoryError, "0 histories given"),
        ({"estimators": ["SVC"]}, ArtifactError, r"sklearn.svm.SVC.*knows: \['bowl'\]"),
        ({"estimators": "bowl"}, HistoryError, "list of names"),
    ],
)
def test_what_can_not_be_evaluated_is_one_clear_error(
    bowl_artifact: Path,
    tmp_path: Path,
    arguments: dict,
    error: type[Exception],
    expected: str,
) -> None:
    given = {"artifact": bowl_artifact, "histories": bowls(), **arguments}
    with pytest.raises(error, match=expected):
        evaluate(**given, out=tmp_path, options=TINY)
    assert not (tmp_path / "evaluation.json").exists()


def test_too_few_families_and_a_file_in_the_place_of_the_directory_are_errors(
    bowl_artifact: Path, tmp_path: Path
) -> None:
    with pytest.raises(HistoryError, match=r"'bowl': 2.*at least 4"):
        evaluate(bowl_artifact, bowls()[:4], out=tmp_path, options=TINY)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="no directory can be made"):
        evaluate(bowl_artifact, bowls(), out=tmp_path / "file", options=TINY)


def test_an_installation_without_histories_asks_for_some(
    bowl_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluating, "bundled_histories", lambda: tmp_path / "none")
    with pytest.raises(HistoryError, match="brings none; expected a store"):
        evaluate(bowl_artifact, out=tmp_path)


@pytest.mark.parametrize("changed", [{"n_folds": 1}, {"n_splits": 0}, {"most_tasks": 0}])
def test_options_that_judge_nothing_are_errors(changed: dict) -> None:
    with pytest.raises(ValueError, match="expected"):
        EvaluationOptions(**changed)


# Pages and the command line


def test_a_page_reads_the_same_as_markdown_and_as_html() -> None:
    blocks = [
        Heading("A & B", level=1),
        Paragraph("Some <text>."),
        Table(("name", "value"), [("a|b", "1")]),
        Picture("a.png", "curves"),
    ]
    assert to_markdown(blocks) == (
        "# A & B\n\nSome <text>.\n\n| name | value |\n| --- | ---: |\n| a\\|b | 1 |\n\n"
        "![curves](a.png)\n"
    )
    html = to_html(blocks)
    assert "<h1>A &amp; B</h1>" in html
    assert "<p>Some &lt;text&gt;.</p>" in html
    assert "<td>a|b</td><td>1</td>" in html
    assert '<img src="a.png" alt="curves">' in html


def test_the_command_line_evaluates_and_names_what_is_wrong(
    metaopt: Callable[..., tuple[int, str, str]],
    done: tuple[Path, evaluating.Evaluation],
    bowl_artifact: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict = {}

    def recorded(artifact: Path, histories: list[Path], **given: object) -> object:
        asked.update(given, artifact=artifact, histories=histories)
        return done[1]

    with monkeypatch.context() as patched:
        patched.setattr("metaopt.evaluation.evaluate", recorded)
        code, out, _ = metaopt(
            "evaluate", bowl_artifact, "--store", "a", "--store", "b", "--quick", "--seed", 7
        )
        assert code == 0
        assert "bowl: 12 tasks, first pick's regret" in out
        assert asked["histories"] == [Path("a"), Path("b")]
        assert asked["options"] == EvaluationOptions.quick(seed=7)
        _, out, _ = metaopt("evaluate", "--folds", 4, "--json")
        assert json.loads(out)["format"] == "metaopt-evaluation"
        assert asked["options"].n_folds_judged == 4
    code, _, err = metaopt("evaluate", tmp_path / "none", "--out", tmp_path / "out")
    assert code == 2
    assert "where there is no file" in err


def test_the_shipped_artifact_can_be_judged_by_the_bundled_histories() -> None:
    from metaopt.training.selection import read_histories
    from warmstart.knowledge import shipped_artifact

    artifact = read_artifact(shipped_artifact())
    histories = [
        history
        for history in read_histories(evaluating.bundled_histories())
        if history.info.estimator == "sklearn.linear_model.Ridge"
    ]
    (subject,) = subjects_of(histories)
    assert isinstance(subject, Subject)
    rows = judge(artifact, subject.estimator, subject.judged[:3], Judging(budgets=(0, 5)))
    assert [row["budget"] for row in rows] == [0, 5] * 3
