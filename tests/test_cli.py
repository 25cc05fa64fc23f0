import gzip
import json
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from openml_server import BOOSTING, FOREST, N_RUNS, FakeOpenML, serving
from small_artifact import ESTIMATOR, svc_histories, write_small_artifact

from metaopt.benchmarks.bench import BenchReport
from metaopt.benchmarks.options import BenchOptions
from metaopt.benchmarks.sources import POOLS, SOURCES
from metaopt.cli import app, main
from warmstart.artifact import read_artifact
from warmstart.errors import WarmStartWarning
from warmstart.store import HistoryStore

COMMANDS = ("demo", "suggest", "openml", "collect", "evaluate", "train", "bench", "info")


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return write_small_artifact(tmp_path_factory.mktemp("artifact") / "small.safetensors")


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "flowers.csv"
    rows = [
        {"petals": i % 7, "colour": "red" if i % 3 else "blue", "kind": i % 2} for i in range(60)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


class TestTogether:
    def test_help_lists_all_commands(self, metaopt):
        code, out, _ = metaopt("--help")
        assert code == 0
        assert all(command in out for command in COMMANDS)

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_and_option_has_help(self, metaopt, command):
        code, out, _ = metaopt(command, "--help")
        assert code == 0
        assert "--json" in out
        for parameter in _command(command).params:
            assert parameter.help, f"{command} {parameter.name}"

    def test_help_loads_nothing_heavy(self):
        code = (
            "import sys; sys.argv = ['metaopt', '--help']\n"
            "from metaopt.cli import main\n"
            "try: main()\n"
            "except SystemExit: pass\n"
            "heavy = {'torch', 'sklearn', 'pandas', 'numpy', 'optuna', 'matplotlib', 'openml'}\n"
            "print(sorted(heavy & set(sys.modules)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == "[]"

    def test_python_runs_it_as_a_module(self):
        done = subprocess.run(
            [sys.executable, "-m", "metaopt", "info", "no"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2
        assert done.stderr.startswith("metaopt: path='no' given, where there is no file")

    def test_the_installed_command_is_this_one(self):
        from importlib.metadata import entry_points

        (command,) = entry_points(group="console_scripts", name="metaopt")
        assert command.load() is main

    def test_an_unknown_command_is_a_usage_error(self, metaopt):
        code, _, err = metaopt("sugest")
        assert code == 2
        assert "sugest" in err

    def test_an_error_that_can_be_mended_is_one_line(self, metaopt, tmp_path):
        code, out, err = metaopt("info", tmp_path / "nothing")
        assert (code, out) == (2, "")
        assert err.startswith("metaopt: path=")
        assert err.count("\n") == 1

    def test_a_defect_keeps_its_traceback(self, metaopt, monkeypatch):
        def broken(*args):
            raise ZeroDivisionError

        monkeypatch.setattr("metaopt.cli.info.describe_artifact", broken)
        with pytest.raises(ZeroDivisionError):
            metaopt("info")

    def test_a_warning_is_one_line(self, metaopt, monkeypatch, recwarn):
        def warning(*args):
            warnings.simplefilter("always")
            warnings.warn("two\nlines", WarmStartWarning, stacklevel=1)
            return {"estimators": {}}

        monkeypatch.setattr("metaopt.cli.info.describe_artifact", warning)
        monkeypatch.setattr(warnings, "filters", warnings.filters[:])
        code, out, err = metaopt("info", "--json")
        assert code == 0
        assert json.loads(out) == {"estimators": {}}
        assert err == "metaopt: warning: two lines\n"


def _command(name):
    import typer.main

    return typer.main.get_command(app).commands[name]


class TestOpenML:
    def arguments(self, fake, store, *more):
        return [
            "openml", "--server", fake.url, "--store", store, "--requests-per-second", 0, *more,
        ]  # fmt: skip

    def test_runs_arrive_in_the_store_and_are_counted(self, metaopt, tmp_path):
        with serving(FakeOpenML()) as fake:
            arguments = self.arguments(fake, tmp_path / "s", "--flow", FOREST, "--flow", BOOSTING)
            code, out, err = metaopt(*arguments)
        n_stored = 2 * 3 * N_RUNS
        assert code == 0
        assert len(HistoryStore(tmp_path / "s")) == n_stored
        assert f"{n_stored} stored, 0 known before" in out
        assert f"holds {n_stored} trials" in out
        assert f"OpenML flow {FOREST}" in err

    def test_json_is_all_that_is_printed(self, metaopt, tmp_path):
        with serving(FakeOpenML()) as fake:
            arguments = self.arguments(
                fake, tmp_path / "s", "--flow", FOREST, "--task", 3, "--json", "--compact"
            )
            first = json.loads(metaopt(*arguments)[1])
            second = json.loads(metaopt(*arguments)[1])
        assert (first["n_stored"], first["n_known"], first["n_trials"]) == (N_RUNS, 0, N_RUNS)
        assert (second["n_stored"], second["n_known"], second["n_trials"]) == (0, N_RUNS, N_RUNS)

    def test_compacting_leaves_one_file_for_each_estimator(self, metaopt, tmp_path):
        with serving(FakeOpenML()) as fake:
            arguments = self.arguments(fake, tmp_path / "s", "--flow", FOREST, "--compact")
            assert metaopt(*arguments)[0] == 0
        report = HistoryStore(tmp_path / "s").verify()
        assert (report.n_segments, report.n_journals) == (1, 0)
        assert report.ok

    def test_a_flow_that_is_not_there_is_one_line(self, metaopt, tmp_path):
        with serving(FakeOpenML()) as fake:
            code, _, err = metaopt(*self.arguments(fake, tmp_path / "s", "--flow", 999))
        assert code == 2
        assert err.splitlines()[-1].startswith("metaopt: ")
        assert "999" in err
        assert "Traceback" not in err

    def test_retries_can_be_bounded(self, metaopt, tmp_path):
        with serving(FakeOpenML(faults={1: "error"})) as fake:
            code, _, err = metaopt(
                *self.arguments(fake, tmp_path / "s", "--flow", FOREST, "--retries", 0)
            )
            assert len(fake.paths) == 1
        assert code == 2
        assert "after 1 attempts" in err

    def test_the_key_may_come_from_the_environment(self, metaopt, tmp_path, monkeypatch):
        given = {}

        def fetch(flows, **options):
            given.update(options)
            raise ValueError("enough")

        monkeypatch.setattr("warmstart.openml.fetch_histories", fetch)
        monkeypatch.setenv("OPENML_APIKEY", "secret")
        metaopt("openml", "--flow", FOREST, "--store", tmp_path / "s")
        assert given["apikey"] == "secret"
        assert given["requests_per_second"] == 10.0


class TestTrain:
    @pytest.fixture
    def stores(self, tmp_path):
        histories = svc_histories(4)
        paths = [tmp_path / "one", tmp_path / "two"]
        for path, part in zip(paths, (histories[:2], histories[2:]), strict=True):
            with HistoryStore(path, fsync=False) as store:
                for history in part:
                    store.extend(history.info, history.trials())
        return paths

    def test_stores_become_an_artifact(self, metaopt, stores, tmp_path):
        out_path = tmp_path / "out.safetensors"
        options = [word for path in stores for word in ("--store", path)]
        code, out, err = metaopt("train", *options, "--out", out_path)
        assert code == 0
        assert f"{ESTIMATOR}: 4 tasks, 120 trials" in out
        assert read_artifact(out_path).digest in out
        assert f"learning {ESTIMATOR}" in err

    def test_the_same_command_makes_the_same_file(self, metaopt, stores, tmp_path):
        made = []
        for name in "ab":
            path = tmp_path / name
            code, out, _ = metaopt("train", "--store", stores[0], "--out", path, "--json")
            assert code == 0
            made.append((json.loads(out)["digest"], path.read_bytes()))
        assert made[0] == made[1]

    def test_json_tells_what_was_learned(self, metaopt, stores, tmp_path):
        code, out, _ = metaopt(
            "train", "--store", stores[0], "--estimator", "SVC", "--exclude", "name-1",
            "--seed", 7, "--out", tmp_path / "a", "--json",
        )  # fmt: skip
        said = json.loads(out)
        assert code == 0
        assert said["n_excluded"] == 1
        assert said["card"]["estimators"][ESTIMATOR]["n_tasks"] == 1
        assert said["card"]["settings"]["seed"] == 7
        assert said["bytes"] == (tmp_path / "a").stat().st_size

    def test_what_is_left_out_is_said_with_its_reason(self, metaopt, tmp_path):
        with HistoryStore(tmp_path / "s", fsync=False) as store:
            for i, history in enumerate(svc_histories(8)):
                store.extend(history.info, history.trials()[: 30 if i == 0 else 1])
        options = ("train", "--store", tmp_path / "s", "--out", tmp_path / "a")
        _, out, _ = metaopt(*options)
        assert (
            f"{ESTIMATOR}: 7 tasks left out (task-1, task-2, task-3, task-4, task-5, …): too few"
        ) in out
        left_out = json.loads(metaopt(*options, "--json")[1])["left_out"]
        assert [entry["task"] for entry in left_out] == [f"task-{i}" for i in range(1, 8)]
        assert {entry["estimator"] for entry in left_out} == {ESTIMATOR}

    def test_a_task_of_several_metrics_is_left_out_as_one(self, metaopt, tmp_path):
        with HistoryStore(tmp_path / "s", fsync=False) as store:
            for i, history in enumerate(svc_histories(2)):
                for metric in ("accuracy", "roc_auc"):
                    info = replace(history.info, metric=metric)
                    store.extend(info, history.trials()[: 30 if i == 0 else 1])
        _, out, _ = metaopt("train", "--store", tmp_path / "s", "--out", tmp_path / "a")
        assert f"{ESTIMATOR}: 1 task left out (task-1): too few" in out

    def test_nothing_to_learn_from_is_one_line(self, metaopt, tmp_path):
        code, _, err = metaopt("train", "--out", tmp_path / "a")
        assert code == 2
        assert err.startswith("metaopt: Neither store nor surrogates given")
        assert not (tmp_path / "a").exists()

    def test_a_store_that_is_not_there_is_one_line_and_is_not_made(self, metaopt, tmp_path):
        code, _, err = metaopt("train", "--store", tmp_path / "no", "--out", tmp_path / "a")
        assert code == 2
        assert err.count("\n") == 1
        assert err.endswith("which is not there; expected a history store.\n")
        assert not (tmp_path / "no").exists()


class TestSuggest:
    def test_json_holds_the_configurations(self, metaopt, artifact, table):
        code, out, _ = metaopt(
            "suggest", "SVC", table, "--target", "kind", "-n", 3, "--artifact", artifact, "--json"
        )
        configurations = json.loads(out)
        assert code == 0
        assert len(configurations) == 3
        assert all({"C", "gamma"} <= set(c) for c in configurations)

    def test_text_has_a_line_for_each_configuration(self, metaopt, artifact, table):
        code, out, _ = metaopt(
            "suggest", "SVC", table, "--target", "kind", "-n", 2, "--artifact", artifact
        )
        assert code == 0
        assert len(out.splitlines()) == 2
        assert all("C=" in line and "gamma=" in line for line in out.splitlines())

    def test_the_shipped_artifact_is_the_default(self, metaopt, table):
        code, out, _ = metaopt("suggest", "RandomForestClassifier", table, "--target", "kind")
        assert code == 0
        assert len(out.splitlines()) == 5

    @pytest.mark.parametrize("kind", [".csv", ".csv.gz", ".parquet"])
    def test_tables_of_all_kinds_say_the_same(self, metaopt, artifact, table, tmp_path, kind):
        path = tmp_path / f"same{kind}"
        if kind == ".csv.gz":
            path.write_bytes(gzip.compress(table.read_bytes()))
        elif kind == ".parquet":
            pd.read_csv(table).to_parquet(path)
        else:
            path.write_bytes(table.read_bytes())
        options = ("--target", "kind", "--artifact", artifact)
        assert metaopt("suggest", "SVC", path, *options) == metaopt(
            "suggest", "SVC", table, *options
        )

    def test_own_histories_are_learned_from(self, metaopt, table, tmp_path):
        with HistoryStore(tmp_path / "own", fsync=False) as store:
            for history in svc_histories(5, estimator="my.model"):
                store.extend(history.info, history.trials())
        code, out, _ = metaopt(
            "suggest", "my.model", table, "--target", "kind", "--histories", tmp_path / "own",
            "-n", 1, "--json",
        )  # fmt: skip
        assert code == 0
        ((configuration),) = json.loads(out)
        assert 0.1 < configuration["C"] < 1000
        assert 1e-4 < configuration["gamma"] < 1

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            (("SVC", "{table}", "--target", "sort"), "'sort' given; expected a column of"),
            (("SVC", "{table}.txt", "--target", "kind"), "ends in .csv, .csv.gz or .parquet"),
            (("SVC", "missing.csv", "--target", "kind"), "No such file"),
            (("NoSuchThing", "{table}", "--target", "kind"), "estimator='NoSuchThing' given"),
            (("SVC", "{table}", "--target", "kind", "--exclude", "x"), r"exclude=['x'] given"),
        ],
    )
    def test_what_is_wrong_is_one_line(self, metaopt, table, wrong, message):
        code, out, err = metaopt("suggest", *(word.format(table=table) for word in wrong))
        assert (code, out) == (2, "")
        assert message in err
        assert err.count("\n") == 1

    def test_an_empty_table_is_an_error_that_names_the_file(self, metaopt, tmp_path):
        (tmp_path / "empty.csv").touch()
        code, _, err = metaopt("suggest", "SVC", tmp_path / "empty.csv", "--target", "kind")
        assert code == 2
        assert "empty.csv given, which is empty" in err

    def test_a_table_of_the_target_alone_is_an_error(self, metaopt, tmp_path):
        (tmp_path / "thin.csv").write_text("kind\n1\n2\n")
        code, _, err = metaopt("suggest", "SVC", tmp_path / "thin.csv", "--target", "kind")
        assert code == 2
        assert "expected more columns" in err


class TestInfo:
    def test_json_has_all_of_it(self, metaopt, artifact):
        code, out, _ = metaopt("info", artifact, "--json")
        said = json.loads(out)
        assert code == 0
        assert said["digest"] == read_artifact(artifact).digest
        assert said["bytes"] == artifact.stat().st_size
        assert (said["format"], said["version"]) == ("warmstart-artifact", 1)
        known = said["estimators"][ESTIMATOR]
        assert (known["n_tasks"], known["n_trials"]) == (4, 120)
        assert set(known["space"]["parameters"]) == {"C", "gamma"}
        assert known["tasks"][0]["id"] == "task-0"
        assert said["card"]["licences"] == ["CC0"]

    def test_text_has_spaces_and_card(self, metaopt, artifact):
        code, out, _ = metaopt("info", artifact)
        assert code == 0
        assert f"{ESTIMATOR}: 4 tasks, 120 trials" in out
        assert any(
            line.startswith("  C: 0.0") and "logarithmic" in line for line in out.splitlines()
        )
        assert "licences:\n    CC0" in out
        assert "name-0" not in out

    def test_training_tasks_are_listed_on_request(self, metaopt, artifact):
        _, out, _ = metaopt("info", artifact, "--tasks")
        assert "task-3 name-3: 30 trials, accuracy, CC0" in out

    def test_the_shipped_artifact_is_the_default_and_small(self, metaopt):
        said = json.loads(metaopt("info", "--json")[1])
        assert {
            "sklearn.ensemble.RandomForestClassifier",
            "sklearn.ensemble.AdaBoostClassifier",
            "sklearn.svm.SVC",
            "xgboost.XGBClassifier",
        } <= set(said["estimators"])
        assert said["bytes"] < 5_000_000
        assert all(
            task["licence"] for known in said["estimators"].values() for task in known["tasks"]
        )

    def test_conditions_are_shown(self, metaopt):
        out = metaopt("info")[1]
        assert "degree: integer 1 to 5, if kernel is poly" in out

    def test_a_damaged_artifact_is_one_line(self, metaopt, artifact, tmp_path):
        damaged = tmp_path / "damaged"
        damaged.write_bytes(artifact.read_bytes()[:-7])
        code, _, err = metaopt("info", damaged)
        assert code == 2
        assert "no intact artifact" in err
        assert err.count("\n") == 1


class TestBench:
    @pytest.fixture
    def asked(self, monkeypatch):
        """Catches the options instead of running for hours."""
        asked = []

        def run(options):
            asked.append(options)
            data = {"sources": {}, "runs": [1, 2], "failures": []}
            return BenchReport(data, "the tables", [options.results / "report.json"])

        monkeypatch.setattr("metaopt.benchmarks.bench.run_benchmark", run)
        return asked

    def test_by_default_all_is_run(self, metaopt, asked):
        code, out, _ = metaopt("bench", "--jobs", 3)
        assert code == 0
        assert asked == [BenchOptions(n_jobs=3)]
        assert "the tables" in out
        assert "report.json" in out

    def test_options_reach_the_benchmark(self, metaopt, asked):
        metaopt(
            "bench", "--data", "d", "--results", "r", "--method", "tpe", "--method", "warmstart",
            "--source", "svc", "--seeds", 4, "--reference-seeds", 8, "--trials", 30, "--fold", 0,
            "--fold", 2, "--variant", "honest", "--variant", "inverted", "--jobs", 1,
        )  # fmt: skip
        (options,) = asked
        assert options == BenchOptions(
            data=Path("d"),
            results=Path("r"),
            methods=["tpe", "warmstart"],
            sources=["svc"],
            n_seeds=4,
            n_reference_seeds=8,
            n_trials=30,
            folds=[0, 2],
            variants=["honest", "inverted"],
            n_jobs=1,
        )

    @pytest.mark.parametrize(
        ("flag", "sources"), [("--pools", (*SOURCES, *POOLS)), ("--no-pools", SOURCES)]
    )
    def test_pools_can_be_asked_for_and_left_out(self, metaopt, asked, flag, sources):
        metaopt("bench", flag)
        assert tuple(asked[0].sources) == tuple(sources)

    def test_quick_and_gp_check_start_from_their_own_options(self, metaopt, asked):
        metaopt("bench", "--quick", "--jobs", 2, "--results", "r", "--trials", 7)
        metaopt("bench", "--gp-check", "--jobs", 2, "--results", "r")
        quick, check = asked
        assert (quick.n_trials, quick.folds) == (7, (0,))
        assert quick.methods == BenchOptions.quick(results=Path("r")).methods
        assert check == BenchOptions.gp_check(results=Path("r"))

    def test_json_is_the_report_without_single_runs(self, metaopt, asked):
        code, out, _ = metaopt("bench", "--json", "--results", "r")
        assert code == 0
        assert json.loads(out) == {"sources": {}, "failures": [], "files": ["r/report.json"]}

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            (("--quick", "--gp-check"), "--quick and --gp-check given"),
            (("--pools", "--source", "svc"), "--source and --pools given"),
            (("--variant", "x"), "Variants ['x'] given"),
        ],
    )
    def test_what_contradicts_is_one_line(self, metaopt, asked, wrong, message):
        code, _, err = metaopt("bench", *wrong)
        assert code == 2
        assert message in err
        assert asked == []

    def test_missing_data_are_one_line(self, metaopt, tmp_path):
        code, _, err = metaopt("bench", "--data", tmp_path, "--results", tmp_path / "r")
        assert code == 2
        assert "pass --data or set WARMSTART_DATA" in err
        assert err.count("\n") == 1


class TestDemo:
    def test_tables_of_all_data_sets_are_printed_and_pictures_written(self, metaopt, tmp_path):
        options = ("--seeds", 1, "--trials", 1, "--plots", tmp_path)
        code, out, err = metaopt(
            "demo", "--dataset", "wine", "--dataset", "breast_cancer", *options
        )
        assert code == 0
        assert "lightgbm.LGBMClassifier on wine" in out
        assert "lightgbm.LGBMClassifier on breast_cancer" in out
        assert {path.name for path in tmp_path.iterdir()} == {
            "demo-wine.png",
            "demo-breast_cancer.png",
        }
        assert "TPESampler, study 1 of 1" in err

    def test_json_is_all_that_is_printed(self, metaopt, tmp_path):
        options = ("--seeds", 1, "--trials", 3, "--plots", tmp_path, "--json")
        code, out, _ = metaopt("demo", "--dataset", "wine", *options)
        (said,) = json.loads(out)
        assert code == 0
        assert list(said["mean_lowest_loss"]["TPESampler"]) == ["1", "3"]
        assert said["proposed"] == 1.0

    def test_it_loads_no_torch(self, tmp_path):
        code = (
            "import sys\n"
            "sys.argv = 'metaopt demo --dataset wine --seeds 1 --trials 2'.split()\n"
            "from metaopt.cli import main\n"
            "try: main()\n"
            "finally: print('torch' in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert "WarmStartSampler" in done.stdout
        assert done.stdout.splitlines()[-1] == "False"

    def test_an_unknown_data_set_is_an_error_before_anything_runs(self, metaopt, tmp_path):
        options = ("--plots", tmp_path / "plots")
        code, out, err = metaopt("demo", "--dataset", "wine", "--dataset", "iris", *options)
        assert (code, out) == (2, "")
        assert "dataset='iris' given" in err
        assert not (tmp_path / "plots").exists()
