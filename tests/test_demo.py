import io
import sys

import numpy as np
import pytest
from rich.console import Console
from sklearn.datasets import load_wine

from metaopt import meta_train
from metaopt.demo import AT, DATASETS, SAMPLERS, DemoOptions, DemoReport, report_text, run_demo
from metaopt.demo_progress import DemoProgress
from warmstart.descriptor import describe
from warmstart.errors import MissingDependencyError
from warmstart.history import History, TaskInfo, Trial


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    directory = tmp_path_factory.mktemp("demo") / "pictures"
    options = DemoOptions("wine", n_seeds=2, n_trials=3, directory=directory)
    lines = io.StringIO()
    progress = DemoProgress(SAMPLERS, 2, 3, console=Console(file=lines))
    return run_demo(options, progress), lines.getvalue()


def test_both_samplers_run_for_every_seed_and_trial(report):
    demo, _ = report
    assert set(demo.best) == set(SAMPLERS)
    for best in demo.best.values():
        assert best.shape == (2, 3)
        assert (np.diff(best, axis=1) <= 0).all()
        assert (best > 0).all()


def test_the_first_trials_are_the_meta_learners(report):
    demo, _ = report
    assert demo.proposed == 1.0


def test_the_picture_is_written_with_its_directory(report):
    demo, _ = report
    assert demo.options.plot.name == "demo-wine.png"
    assert demo.options.plot.read_bytes().startswith(b"\x89PNG")


def test_without_a_terminal_there_is_a_line_for_each_study(report):
    _, lines = report
    said = lines.splitlines()
    assert len(said) == 2 * len(SAMPLERS)
    assert said[0].startswith("WarmStartSampler, study 1 of 2: lowest loss ")
    assert said[-1].startswith("TPESampler, study 2 of 2: lowest loss ")


def test_on_a_terminal_each_sampler_has_a_bar():
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=120)
    with DemoProgress(SAMPLERS, 1, 2, console=console) as progress:
        for name in SAMPLERS:
            with progress.study(name):
                progress.trial(name, 0.75)
                progress.trial(name, 0.5)
    assert all(name in shown.getvalue() for name in SAMPLERS)
    assert "2/2" in shown.getvalue()
    assert "0.5000" in shown.getvalue()


def made_up(**changes):
    best = np.array([[0.8, 0.7, 0.6, 0.6, 0.5], [1.0, 0.9, 0.8, 0.8, 0.7]])
    content = {
        "options": DemoOptions("digits", n_seeds=2, n_trials=5),
        "best": {SAMPLERS[0]: best, SAMPLERS[1]: best + 0.25},
        "default": 0.75,
        "proposed": 0.875,
        "excluded": ["a", "b"],
    }
    return DemoReport(**{**content, **changes})


def test_the_table_has_the_mean_over_seeds_at_the_numbers_of_trials_reached():
    text = report_text(made_up())
    rows = [line.split() for line in text.splitlines()]
    assert ["after", "trial", "1", "3", "5"] in rows
    assert ["WarmStartSampler", "0.9000", "0.7000", "0.6000"] in rows
    assert ["TPESampler", "1.1500", "0.9500", "0.8500"] in rows
    assert "The library's defaults: 0.7500." in text


def test_the_text_says_what_was_proposed_and_what_was_left_out():
    text = report_text(made_up())
    assert "proposed 88% of" in text
    assert "Left out as too similar to digits: 2 of the training tasks (a, b)." in text
    assert "looks like digits: none was left out" in report_text(made_up(excluded=[]))


def test_the_losses_stop_where_the_trials_do():
    assert list(made_up().losses()[SAMPLERS[0]]) == [at for at in AT if at <= 5]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dataset": "iris"}, r"dataset='iris' given; expected one of \['breast_cancer'"),
        ({"n_seeds": 0}, "n_seeds=0 given"),
        ({"n_trials": 0}, "n_trials=0 given"),
    ],
)
def test_wrong_options_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        DemoOptions(**wrong)


def test_the_data_sets_come_with_scikit_learn_and_are_taken_for_what_they_are():
    from sklearn import datasets

    for name in DATASETS:
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        kind = {"classification": "Classifier", "regression": "Regressor"}[describe(X, y).kind]
        assert DemoOptions(name).estimator == f"lightgbm.LGBM{kind}"


def test_a_regression_is_judged_by_its_root_mean_squared_error(tmp_path):
    options = DemoOptions("diabetes", n_seeds=1, n_trials=1, directory=tmp_path)
    progress = DemoProgress(SAMPLERS, 1, 1, console=Console(file=io.StringIO()))
    demo = run_demo(options, progress)
    assert 40 < demo.default < 80  # the target's standard deviation is 77
    assert "mean lowest root mean squared error" in report_text(demo)


def test_without_lightgbm_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "warmstart\[lightgbm\]"'):
        run_demo(DemoOptions("wine"))


def history(name, seed, descriptor):
    rng = np.random.default_rng(seed)
    trials = [
        Trial({"learning_rate": float(rate), "num_leaves": 31}, (np.log10(rate) + 1) ** 2)
        for rate in 10 ** rng.uniform(-2, 0, 20)
    ]
    said = None if descriptor is None else descriptor.to_json()
    info = TaskInfo(
        "lightgbm.LGBMClassifier",
        f"task-{name}",
        "log_loss",
        "invented",
        name=name,
        descriptor=said,
    )
    return History.from_trials(info, trials)


def test_a_copy_of_the_data_among_the_training_tasks_is_left_out(tmp_path, monkeypatch):
    artifact = tmp_path / "small.safetensors"
    copy = describe(*load_wine(return_X_y=True))
    meta_train([history(f"name-{i}", i, copy if i == 0 else None) for i in range(4)], artifact)
    monkeypatch.setattr("warmstart.knowledge.shipped_artifact", lambda: artifact)
    options = DemoOptions("wine", n_seeds=1, n_trials=1, directory=tmp_path)
    progress = DemoProgress(SAMPLERS, 1, 1, console=Console(file=io.StringIO()))
    demo = run_demo(options, progress)
    assert demo.excluded == ["name-0"]
    assert "Left out as too similar to wine: 1 of the training tasks (name-0)" in report_text(demo)


def test_same_seed_same_demonstration(report, tmp_path):
    demo, _ = report
    options = DemoOptions("wine", n_seeds=1, n_trials=3, directory=tmp_path)
    again = run_demo(options, DemoProgress(SAMPLERS, 1, 3, console=Console(file=io.StringIO())))
    for name in SAMPLERS:
        assert np.array_equal(again.best[name][0], demo.best[name][0])
