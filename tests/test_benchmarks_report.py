import json
from pathlib import Path

import numpy as np
import pytest
from benchmark_synthetic import BowlSource

from metaopt.benchmarks.bench import run_benchmark
from metaopt.benchmarks.curves import source_groups
from metaopt.benchmarks.options import BenchOptions
from metaopt.benchmarks.plots import plot_curves
from metaopt.benchmarks.progress import Progress
from metaopt.benchmarks.report import build_report
from metaopt.benchmarks.results import Result
from metaopt.benchmarks.text import report_text


def study(method, task, seed, regrets, *, source="s", variant="honest", **more):
    return Result(
        key=f"{source}{variant}{method}{task}{seed}",
        source=source,
        variant=variant,
        method=method,
        task=task,
        family=more.pop("family", task),
        fold=0,
        seed=seed,
        losses=[2.0 + 4.0 * r for r in regrets],
        best=2.0,
        worst=6.0,
        **more,
    )


def long(*starts):
    """A regret for each of 100 trials: (trial from which on, regret) pairs."""
    out = np.zeros(100)
    for first, regret in starts:
        out[first - 1 :] = regret
    return out


def reference(task="a", final=0.1, **more):
    noise = (0.0, 0.02, 0.0, 0.02)
    return [
        study("tpe", task, seed, long((1, 0.5), (40, final + noise[seed])), **more)
        for seed in range(4)
    ]


def figures(results, method, source="s", variant="honest"):
    return build_report(results)["sources"][variant][source][method]


def test_regret_is_averaged_over_seeds_and_tasks():
    results = [
        study("m", "a", 0, long((1, 0.4), (10, 0.2))),
        study("m", "a", 1, long((1, 0.2))),
        study("m", "b", 0, long((1, 0.6), (100, 0.0))),
        study("m", "b", 1, long((1, 0.6))),
    ]
    f = figures(results, "m")
    assert f["regret"] == pytest.approx(
        {"1": 0.45, "5": 0.45, "10": 0.4, "25": 0.4, "50": 0.4, "100": 0.25}
    )
    assert f["area"] == pytest.approx((9 * 0.45 + 41 * 0.4) / 50)
    assert (f["n_tasks"], f["n_seeds"]) == (2, 2)
    assert f["trials_to_match"] is None  # without TPE


def test_figures_against_the_reference_are_those_worked_out_by_hand():
    results = [
        *reference(),
        *reference("b"),
        *[study("m", t, 0, long((1, 0.3), (7, 0.11), (60, 0.0275))) for t in "ab"],
        *[study("gp", t, 0, long((1, 0.5), (20, 0.055))[:50]) for t in "ab"],
    ]
    f = figures(results, "m")
    assert f["trials_to_match"] == 7  # TPE has a mean of 0.11 at trial 50
    assert f["ratio_at_100"] == pytest.approx(0.25)
    assert f["ratio_to_gp_at_50"] == pytest.approx(0.5)
    assert figures(results, "tpe")["trials_to_match"] == 40
    assert figures(results, "gp")["ratio_at_100"] is None  # it has 50 trials
    ranks = [figures(results, name)["rank"] for name in ("m", "gp", "tpe")]
    assert ranks == [1.0, 2.0, 3.0]


def test_lost_tasks_are_counted_against_the_second_half_of_the_seeds_of_tpe():
    # Task a: seeds 2 and 3 of TPE have 0.10 and 0.12, mean 0.11, deviation 0.0141.
    lost = study("m", "a", 0, long((1, 0.14)))  # above 0.1383
    kept = study("m", "a", 0, long((1, 0.137)))
    assert figures([*reference(), lost], "m")["lost"]["50"] == {"share": 1.0, "by_chance": 0.0}
    assert figures([*reference(), kept], "m")["lost"]["50"]["share"] == 0.0
    assert figures([*reference(), lost], "m")["lost"]["25"]["share"] == 0.0  # TPE has 0.5 there
    assert figures([*reference()[:3], lost], "m")["lost"]["50"] is None  # too few seeds


def test_geometric_means_are_over_the_sources_of_a_group():
    results = [
        r
        for source, at in (("forest", 2), ("forest/pool", 3), ("net", 8))
        for r in (
            *reference(source=source),
            study("m", "a", 0, long((1, 0.5), (at, 0.05)), source=source),
        )
    ]
    overall = build_report(results)["overall"]
    assert overall["continuous"]["sources"] == ["forest", "net"]
    assert overall["continuous"]["methods"]["m"]["trials_to_match"] == pytest.approx(4.0)
    assert overall["pools"]["sources"] == ["forest/pool", "net"]
    assert overall["pools"]["methods"]["m"]["trials_to_match"] == pytest.approx(24**0.5)
    assert source_groups(["a"]) == {"continuous": ["a"]}


def test_lost_tasks_of_several_sources_count_by_task():
    results = [
        *reference(source="one"),
        *[r for t in "abc" for r in reference(t, source="three")],
        study("m", "a", 0, long((1, 0.14)), source="one"),
        *[study("m", t, 0, long((1, 0.05)), source="three") for t in "abc"],
    ]
    lost = build_report(results)["overall"]["continuous"]["methods"]["m"]["lost"]
    assert lost["100"] == {"share": 0.25, "by_chance": 0.0}


def test_a_mean_over_sources_is_missing_where_a_method_never_matches():
    results = [
        *reference(),
        *reference(source="other"),
        study("m", "a", 0, long((1, 0.05))),
        study("m", "a", 0, long((1, 0.5)), source="other"),
    ]
    assert (
        build_report(results)["overall"]["continuous"]["methods"]["m"]["trials_to_match"] is None
    )


def test_tests_average_tasks_within_a_family_and_count_families():
    results = []
    for i in range(12):
        family = "big" if i < 4 else f"family-{i}"
        for source in ("s", "other"):
            results += [
                study("warmstart", f"t{i}", 0, long((1, 0.1)), family=family, source=source),
                study("tpe", f"t{i}", 0, long((1, 0.3)), family=family, source=source),
                study("random", f"t{i}", 0, long((1, 0.1)), family=family, source=source),
            ]
    tests = build_report(results)["tests"]
    assert [(t["where"], t["other"]) for t in tests] == [
        (where, other) for where in ("s", "other", "continuous") for other in ("tpe", "random")
    ]
    for t in tests:
        assert t["n_families"] == 9
        assert t["difference"] == pytest.approx(0.2 if t["other"] == "tpe" else 0.0)
        assert (t["wins"], t["losses"]) == ((9, 0) if t["other"] == "tpe" else (0, 0))
        if t["other"] == "tpe":
            assert t["p_adjusted"] == pytest.approx(2 * t["p_value"])
        else:
            assert t["p_value"] == 1.0


def test_the_guard_compares_with_tpe_on_the_same_problems():
    results = [
        *reference(),
        *reference(variant="shuffled", final=0.2),
        study("m", "a", 0, long((1, 0.42)), variant="shuffled"),
    ]
    guard, together = build_report(results)["guard"]
    assert (guard["variant"], guard["method"], guard["source"]) == ("shuffled", "m", "s")
    assert together == {**guard, "source": "all", "ratio": pytest.approx(guard["ratio"])}
    assert guard["ratio"] == pytest.approx({"25": 0.84, "50": 2.0, "100": 2.0})
    assert guard["lost"]["100"] == {"share": 1.0, "by_chance": 0.0}


def test_a_source_that_ends_at_zero_hides_no_bad_one():
    results = []
    for source, final in (("s", 0.0), ("other", 0.33)):
        results += reference(variant="inverted", source=source)
        results.append(
            study("m", "a", 0, long((1, 0.4), (50, final)), variant="inverted", source=source)
        )
    together = build_report(results)["guard"][-1]
    assert together["source"] == "all"
    assert together["ratio"]["100"] == pytest.approx(0.165 / 0.11)


def test_gp_check_is_the_ratio_of_areas():
    results = [
        study("gp", "a", 0, long((1, 0.4))[:50]),
        study("own_gp", "a", 0, long((1, 0.42))[:50]),
    ]
    assert build_report(results)["gp_check"]["ratio"] == pytest.approx({"s": 1.05})
    assert build_report(results[:1])["gp_check"] is None


def test_failed_studies_leave_their_task_out_and_are_named():
    broken = Result("k", "s", "honest", "m", "b", "b", 0, 0, error="ValueError: no")
    report = build_report([study("m", "a", 0, long((1, 0.4))), broken])
    assert report["sources"]["honest"]["s"]["m"]["n_tasks"] == 1
    assert report["failures"] == [
        {
            "source": "s",
            "variant": "honest",
            "method": "m",
            "task": "b",
            "seed": 0,
            "error": "ValueError: no",
        }
    ]
    assert "m on s, b: ValueError: no" in report_text(report)


def test_the_share_of_the_meta_learner_and_the_time_are_reported():
    results = [
        study("m", t, 0, long((1, 0.4)), proposed=p, milliseconds=ms)
        for t, p, ms in (("a", 0.5, 3.0), ("b", 1.0, 5.0))
    ]
    assert figures(results, "m")["proposed"] == 0.75
    assert figures(results, "m")["milliseconds"] == 4.0


def test_everything_is_written(tmp_path):
    report = run_benchmark(
        BenchOptions(
            results=tmp_path,
            methods=("random", "tpe"),
            n_trials=5,
            n_seeds=1,
            n_reference_seeds=4,
            n_jobs=1,
        ),
        sources=[BowlSource(n_tasks=4, n_trials=20)],
        progress=Progress(quiet=True),
    )
    assert [path.name for path in report.files] == [
        "report.json",
        "report.txt",
        "curves-honest-bowls.png",
    ]
    data = json.loads((tmp_path / "report.json").read_text())
    assert len(data["runs"]) == 4 * (1 + 4)
    assert all(len(run["regret"]) == 5 for run in data["runs"])
    assert data["options"]["n_trials"] == 5
    assert (tmp_path / "report.txt").read_text() == report.text
    assert "bowls: mean regret over 4 tasks" in report.text


def test_curves_of_pools_are_drawn_under_a_plain_name(tmp_path):
    report = build_report([study("m", "a", 0, long((1, 0.4)), source="svc/pool")])
    (path,) = plot_curves(report, Path(tmp_path))
    assert path.name == "curves-honest-svc-pool.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_without_a_task_in_common_there_are_no_ranks():
    results = [study("m", "a", 0, long((1, 0.4))), study("n", "b", 0, long((1, 0.4)))]
    report = build_report(results)
    assert report["overall"]["continuous"]["methods"]["m"]["rank"] is None
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert "m " in report_text(report)
