from __future__ import annotations

import csv
import gzip
import io
import json
import logging
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import openml_server
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openml_server import BOOSTING, FOREST, WEKA, FakeOpenML, serving

from warmstart.errors import MissingDependencyError, OpenMLError, WarmStartWarning
from warmstart.history import History
from warmstart.openml import FetchProgress, RetryPolicy, fetch_histories
from warmstart.openml import client as client_module
from warmstart.openml import reading as reading_module
from warmstart.openml.client import connect, server_url
from warmstart.openml.flows import Component, Flow, canonical_estimator
from warmstart.openml.measures import measure_of
from warmstart.openml.progress import progress_shown
from warmstart.openml.transport import Transport, is_whole_document
from warmstart.openml.values import parse_value, refers_to_object
from warmstart.store import HistoryStore

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("WARMSTART_DATA", ROOT.parent / "shared" / "data"))
SERVER = DATA.parent / "openml_server" / "serve.py"
needs_server = pytest.mark.skipif(
    not (SERVER.exists() and DATA.exists()),
    reason=f"compares with recorded OpenML runs behind {SERVER}, which are not part of the "
    "repository; all other tests here use a server of their own",
)

ESTIMATORS = {
    FOREST: "sklearn.ensemble.RandomForestClassifier",
    BOOSTING: "sklearn.ensemble.AdaBoostClassifier",
    7707: "sklearn.svm.SVC",
    WEKA: "weka.J48",
}
AT_ONCE = RetryPolicy(first_wait_seconds=0.001)


def fetch(flows: list[int], store: HistoryStore, fake: FakeOpenML, **options):
    options = {"requests_per_second": None, "retries": AT_ONCE, "progress": False} | options
    return fetch_histories(flows, store=store, server=fake.url, **options)


@pytest.fixture
def store(tmp_path):
    return HistoryStore(tmp_path / "store", fsync=False)


@pytest.fixture
def small_requests(monkeypatch):
    """Makes a few hundred runs take many requests."""
    monkeypatch.setattr(client_module, "EVALUATIONS_PER_REQUEST", 50)
    monkeypatch.setattr(client_module, "IDS_PER_REQUEST", 20)
    monkeypatch.setattr(reading_module, "IDS_PER_REQUEST", 20)


def typed(configuration):
    """Values with their types, since 1 == 1.0 == True."""
    return {name: (type(value), value) for name, value in configuration.items()}


def stored_trials(store: HistoryStore):
    """(estimator, task, run id) and trial of everything in a store, repetitions included."""
    return [
        ((history.info.estimator, history.info.task, trial.run_id), trial)
        for history in store.histories()
        for trial in history.trials()
    ]


def expected_runs(fake: FakeOpenML, flows: list[int], tasks=None):
    return {
        (ESTIMATORS[run.flow_id], f"openml-task-{run.task_id}", str(run.run_id)): run
        for run in fake.runs
        if run.flow_id in flows
        and run.task_id != openml_server.LEARNING_CURVE_TASK
        and (tasks is None or run.task_id in tasks)
    }


def assert_exact(store: HistoryStore, fake: FakeOpenML, flows: list[int], tasks=None) -> None:
    """Every run is there once, with its score and all its values."""
    trials = stored_trials(store)
    runs = expected_runs(fake, flows, tasks)
    assert sorted(key for key, _ in trials) == sorted(runs)
    for key, trial in trials:
        assert typed(trial.configuration) == typed(runs[key].configuration)
        assert trial.loss == 1 - runs[key].accuracy
        assert trial.measures["accuracy"] == runs[key].accuracy
        assert trial.measures.get("roc_auc") == runs[key].auc


class TestValues:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("100", 100),
            ("-1", -1),
            ("100.0", 100.0),
            ("3.246200115445935e-05", 3.246200115445935e-05),
            ("1e-05", 1e-05),
            ("True", True),
            ("false", False),
            ("None", None),
            ("null", None),
            ("gini", "gini"),
            ('"gini"', "gini"),
            ('"a \\"b\\" \\u00fc"', 'a "b" ü'),
            ('"None"', "None"),
            ('""', ""),
            ('"half', '"half'),
            ("0.1.2", "0.1.2"),
            ("1_000", "1_000"),
            ("007", "007"),
            ("nan", "nan"),
            ("Infinity", "Infinity"),
            ("1e999", "1e999"),
            ("[100, 50]", "[100, 50]"),
            ("(100,)", "(100,)"),
            ("9" * 5000, "9" * 5000),
        ],
    )
    def test_text_becomes_the_value_it_stands_for(self, text, value):
        assert typed({"x": parse_value(text)}) == typed({"x": value})

    @given(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
    )
    def test_numbers_and_constants_survive_as_plain_text_and_as_json(self, value):
        assert typed({"x": parse_value(str(value))}) == typed({"x": value})
        assert typed({"x": parse_value(json.dumps(value))}) == typed({"x": value})

    @given(st.text())
    def test_any_text_survives_as_json(self, text):
        assert parse_value(json.dumps(text)) == text

    @given(st.text())
    def test_any_text_can_be_read(self, text):
        assert isinstance(parse_value(text), str | int | float | bool | None)
        assert refers_to_object(text) in (True, False)

    def test_parts_of_a_flow_are_told_from_lists(self):
        reference = {"oml-python:serialized_object": "component_reference", "value": {"key": "x"}}
        assert refers_to_object(json.dumps([reference]))
        assert refers_to_object(json.dumps({"a": {"oml:serialized_object": "type"}}))
        assert not refers_to_object("[100, 50]")
        assert not refers_to_object("[half")
        assert not refers_to_object("[" * 100_000)


def prefixes(root: Component) -> dict[int, str]:
    return {i: "__".join(prefix) for i, prefix in Flow.from_component(root).prefixes.items()}


class TestFlows:
    @pytest.mark.parametrize(
        ("old", "canonical"),
        [
            ("sklearn.ensemble.forest.RandomForestClassifier", ESTIMATORS[FOREST]),
            ("sklearn.ensemble._forest.RandomForestClassifier", ESTIMATORS[FOREST]),
            ("sklearn.ensemble.weight_boosting.AdaBoostClassifier", ESTIMATORS[BOOSTING]),
            ("sklearn.svm.classes.SVC", "sklearn.svm.SVC"),
            ("sklearn.svm._classes.SVC", "sklearn.svm.SVC"),
            ("sklearn.svm.SVC", "sklearn.svm.SVC"),
            (
                "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
                "sklearn.ensemble.HistGradientBoostingClassifier",
            ),
            ("sklearn.naive_bayes.GaussianNB", "sklearn.naive_bayes.GaussianNB"),
            (
                "sklearn.feature_extraction.text.TfidfVectorizer",
                "sklearn.feature_extraction.text.TfidfVectorizer",
            ),
            ("xgboost.sklearn.XGBClassifier", "xgboost.XGBClassifier"),
            ("weka.J48", "weka.J48"),
            ("mlr.classif.ranger", "mlr.classif.ranger"),
        ],
    )
    def test_an_estimator_has_the_name_it_is_imported_by_today(self, old, canonical):
        assert canonical_estimator(old) == canonical

    def test_the_predictor_of_a_pipeline_is_found_wherever_the_server_lists_it(self):
        svc = Component(2, "sklearn.svm.classes.SVC")
        scaler = Component(3, "sklearn.preprocessing.data.StandardScaler")
        for children in ({"svc": svc, "scaler": scaler}, {"scaler": scaler, "svc": svc}):
            root = Component(1, "sklearn.pipeline.Pipeline", children)
            assert Flow.from_component(root).estimator == "sklearn.svm.SVC"

    def test_the_last_step_is_tuned_where_all_are_transformers(self):
        children = {
            "a": Component(2, "sklearn.preprocessing.data.StandardScaler"),
            "b": Component(3, "sklearn.decomposition.pca.PCA"),
        }
        root = Component(1, "sklearn.pipeline.Pipeline", children)
        assert Flow.from_component(root).estimator == "sklearn.decomposition.PCA"

    def test_a_pipeline_of_transformers_is_not_taken_for_the_predictor(self):
        inner = Component(2, "sklearn.pipeline.Pipeline", {"x": Component(3, "a.SimpleImputer")})
        root = Component(
            1, "sklearn.pipeline.Pipeline", {"svc": Component(4, "sklearn.svm.SVC"), "pre": inner}
        )
        assert Flow.from_component(root).estimator == "sklearn.svm.SVC"

    def test_a_pipeline_in_a_pipeline_is_searched_too(self):
        inner = Component(2, "sklearn.pipeline.Pipeline", {"svc": Component(3, "sklearn.svm.SVC")})
        root = Component(1, "sklearn.pipeline.Pipeline", {"model": inner})
        assert Flow.from_component(root).estimator == "sklearn.svm.SVC"
        assert prefixes(root) == {1: "pipeline", 2: "model", 3: ""}

    def test_names_are_bare_inside_the_tuned_estimator_and_short_outside(self):
        tree = Component(3, "sklearn.tree.tree.DecisionTreeClassifier")
        boosting = Component(2, "x.AdaBoostClassifier", {"base_estimator": tree})
        imputer = Component(5, "sklearn.impute.SimpleImputer")
        columns = Component(4, "x.ColumnTransformer", {"imputer": imputer})
        root = Component(
            1, "sklearn.pipeline.Pipeline", {"columns": columns, "boosting": boosting}
        )
        assert prefixes(root) == {
            1: "pipeline", 2: "", 3: "base_estimator", 4: "columns", 5: "imputer",
        }  # fmt: skip

    @given(st.recursive(st.just({}), lambda inner: st.dictionaries(st.sampled_from("abc"), inner)))
    def test_no_two_components_share_a_prefix(self, tree):
        n = 0

        def build(children: dict) -> Component:
            nonlocal n
            n += 1
            flow_id = n
            return Component(
                flow_id,
                "sklearn.pipeline.Pipeline" if flow_id % 2 else "x.Model",
                {key: build(child) for key, child in children.items()},
            )

        found = prefixes(build(tree))
        assert len(found) == n
        assert len(set(found.values())) == n

    def test_two_values_of_one_name_are_an_error(self):
        flow = Flow.from_component(Component(1, "x.Model"))

        class Parameter:
            flow_id, flow_name, parameter_name, value = 1, "x.Model", "C", "1"

        with pytest.raises(OpenMLError, match="two values of 'C'"):
            flow.configuration([Parameter, Parameter])

    def test_a_component_that_the_flow_lacks_is_named_by_its_class(self):
        flow = Flow.from_component(Component(1, "x.Model"))

        class Parameter:
            flow_id, flow_name, parameter_name, value = 7, "y.z.Other(a=b)", "C", "1"

        assert flow.configuration([Parameter]) == {"other__C": 1}


class TestMeasures:
    def test_losses_are_lower_for_better_runs(self):
        assert measure_of("predictive_accuracy").loss(0.75) == 0.25
        assert measure_of("root_mean_squared_error").loss(3.0) == 3.0

    def test_a_measure_of_unknown_direction_is_an_error(self):
        with pytest.raises(OpenMLError, match="'scimark_benchmark' given; expected one of pred"):
            measure_of("scimark_benchmark")


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


@contextmanager
def transport(
    time: Time, *, rate: float | None = None, seed: int = 0, **retries: float
) -> Iterator[Transport]:
    sent = Transport(
        rate, retries=RetryPolicy(**retries), seed=seed, sleep=time.sleep, clock=time.clock
    )
    try:
        yield sent
    finally:
        sent.close()


class TestTransport:
    def test_requests_leave_no_faster_than_the_limit(self):
        time = Time()
        with serving(FakeOpenML()) as fake, transport(time, rate=20) as sent:
            for _ in range(10):
                sent.get(f"{fake.url}/flow/{FOREST}", {})
        assert time.slept == pytest.approx([0.05] * 9)

    def test_repetitions_count_against_the_limit(self):
        time = Time()
        faults = dict.fromkeys(range(1, 5), "error")
        with (
            serving(FakeOpenML(faults=faults)) as fake,
            transport(time, rate=2, first_wait_seconds=0.0) as sent,
        ):
            sent.get(f"{fake.url}/flow/{FOREST}", {})
        assert time.now == pytest.approx(4 * 0.5)

    @pytest.mark.parametrize("fault", ["error", "busy", "drop", "cut", "short", "stranger"])
    def test_each_fault_is_got_over(self, fault):
        time = Time()
        with (
            serving(FakeOpenML(faults={1: fault, 2: fault})) as fake,
            transport(time, first_wait_seconds=1.0) as sent,
        ):
            response = sent.get(f"{fake.url}/flow/{FOREST}", {})
        assert is_whole_document(response.content)
        assert sent.n_requests == 3
        assert sent.n_retries == 2
        first, second = time.slept
        assert 0.5 <= first <= 1.0 <= second <= 2.0

    def test_waits_double_up_to_a_bound_and_vary_by_the_seed(self):
        def waits(seed: int) -> list[float]:
            time = Time()
            faults = dict.fromkeys(range(1, 7), "error")
            with (
                serving(FakeOpenML(faults=faults)) as fake,
                transport(time, seed=seed, first_wait_seconds=1, longest_wait_seconds=8) as sent,
            ):
                sent.get(f"{fake.url}/flow/{FOREST}", {})
            return time.slept

        assert all(
            bound / 2 <= wait <= bound
            for wait, bound in zip(waits(0), [1, 2, 4, 8, 8, 8], strict=True)
        )
        assert waits(0) == waits(0) != waits(1)

    def test_a_busy_server_says_how_long_to_wait(self):
        time = Time()
        with (
            serving(FakeOpenML(faults={1: "busy"}, retry_after="7")) as fake,
            transport(time) as sent,
        ):
            sent.get(f"{fake.url}/flow/{FOREST}", {})
        assert time.slept == [7.0]

    def test_a_busy_server_may_say_until_when_to_wait(self):
        time = Time()
        until = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
        with (
            serving(FakeOpenML(faults={1: "busy"}, retry_after=until)) as fake,
            transport(time) as sent,
        ):
            sent.get(f"{fake.url}/flow/{FOREST}", {})
        assert 50 < time.slept[0] <= 60

    def test_a_wait_beyond_the_bound_is_not_waited_for(self):
        time = Time()
        with (
            serving(FakeOpenML(faults={1: "busy"}, retry_after="3600")) as fake,
            transport(time) as sent,
            pytest.raises(OpenMLError, match="HTTP 429, which asks to wait for 3600 s"),
        ):
            sent.get(f"{fake.url}/flow/{FOREST}", {})
        assert time.slept == []

    def test_repetitions_end(self):
        time = Time()
        faults = dict.fromkeys(range(1, 100), "drop")
        with (
            serving(FakeOpenML(faults=faults)) as fake,
            transport(time, n_retries=3) as sent,
            pytest.raises(OpenMLError, match="after 4 attempts: no answer"),
        ):
            sent.get(f"{fake.url}/flow/{FOREST}", {})
        assert sent.n_requests == len(fake.paths) == 4

    def test_a_server_that_never_answers_is_an_error(self):
        time = Time()
        with (
            serving(FakeOpenML(faults={1: "stop", 2: "stop"})) as fake,
            transport(time, n_retries=1, timeout_seconds=0.05) as sent,
            pytest.raises(OpenMLError, match="after 2 attempts: no answer"),
        ):
            sent.get(f"{fake.url}/flow/{FOREST}", {})

    def test_the_api_key_is_in_no_error(self):
        time = Time()
        with transport(time, n_retries=0) as sent, pytest.raises(OpenMLError) as caught:
            sent.get("http://127.0.0.1:1/flow/1", {"api_key": "secret"})
        assert "secret" not in str(caught.value)
        assert caught.value.__suppress_context__

    def test_an_error_that_openml_calls_transient_is_got_over(self, monkeypatch):
        answers = [openml_server.error(107), openml_server.error(107)]
        answer = FakeOpenML.answer
        monkeypatch.setattr(
            FakeOpenML,
            "answer",
            lambda self, path: answers.pop() if answers else answer(self, path),
        )
        with serving(FakeOpenML()) as fake, transport(Time()) as sent:
            assert sent.get(f"{fake.url}/flow/{FOREST}", {}).status_code == 200

    @pytest.mark.parametrize("rate", [0, -1.0])
    def test_a_limit_must_be_positive(self, rate):
        with pytest.raises(OpenMLError, match="requests_per_second"):
            Transport(rate, retries=RetryPolicy(), seed=0)

    @pytest.mark.parametrize("wrong", [{"n_retries": -1}, {"timeout_seconds": 0}])
    def test_a_retry_policy_must_make_sense(self, wrong):
        with pytest.raises(OpenMLError, match="RetryPolicy"):
            RetryPolicy(**wrong)

    @given(st.integers(min_value=0, max_value=59))
    def test_no_beginning_of_a_document_is_a_whole_one(self, n):
        body = b'<oml:a xmlns:oml="http://openml.org/openml"><oml:b/></oml:a>\n'
        assert is_whole_document(body)
        assert not is_whole_document(body[:n])


@pytest.fixture
def openml():
    """The real package, whose settings a test must leave as they were."""
    import openml

    before = openml.config.get_config_as_dict(), openml._api_calls._send_request
    handlers = list(logging.root.handlers)
    yield openml
    assert before == (openml.config.get_config_as_dict(), openml._api_calls._send_request)
    assert logging.root.handlers == handlers


class TestClient:
    def test_the_configuration_of_openml_is_put_back_after_success_and_failure(
        self, openml, store
    ):
        with serving(FakeOpenML()) as fake:
            fetch([FOREST], store, fake)
            with pytest.raises(OpenMLError):
                fetch([999], store, fake)

    def test_the_users_key_is_sent_to_the_users_server_only(self, openml, monkeypatch):
        monkeypatch.setattr(openml.config, "apikey", "secret")
        monkeypatch.setattr(openml.config, "server", "http://127.0.0.1:1/api/v1/xml")
        with transport(Time()) as sent:
            with connect(None, None, sent):
                assert openml.config.apikey == "secret"
            with connect("http://127.0.0.1:2", None, sent):
                assert openml.config.apikey == ""
            with connect("http://127.0.0.1:2", "other", sent):
                assert openml.config.apikey == "other"

    def test_files_are_cached_outside_of_the_users_cache_and_removed(
        self, openml, store, tmp_path
    ):
        with serving(FakeOpenML()) as fake:
            before = set(Path(openml.config.get_cache_directory()).parent.rglob("*"))
            fetch([FOREST], store, fake)
            assert set(Path(openml.config.get_cache_directory()).parent.rglob("*")) == before

    def test_a_missing_package_is_named_with_the_line_that_installs_it(self, store, monkeypatch):
        monkeypatch.setitem(sys.modules, "openml", None)
        monkeypatch.setitem(sys.modules, "requests", None)  # which comes with openml
        with pytest.raises(MissingDependencyError, match=r'pip install "warmstart\[openml\]"'):
            fetch_histories([FOREST], store=store, progress=False)

    def test_an_unknown_version_of_the_package_is_an_error(self, openml, store, monkeypatch):
        with monkeypatch.context() as patched:
            patched.delattr(openml._api_calls, "_send_request")
            with pytest.raises(MissingDependencyError, match=r"expected 0\.15"):
                fetch_histories([FOREST], store=store, progress=False)

    def test_an_address_may_be_that_of_the_server_or_of_its_api(self):
        for address in ("http://x:1", "http://x:1/", "http://x:1/api/v1/xml/"):
            assert server_url(address) == "http://x:1/api/v1/xml"

    def test_importing_the_module_does_not_import_openml(self):
        code = "import sys, warmstart.openml; print({'openml', 'requests'} & {*sys.modules})"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "set()"


class TestFetch:
    @pytest.mark.parametrize("json_values", [False, True])
    def test_every_run_arrives_once_with_all_its_values(self, store, json_values):
        with serving(FakeOpenML(json_values=json_values)) as fake:
            report = fetch([FOREST, BOOSTING, WEKA], store, fake)
        assert_exact(store, fake, [FOREST, BOOSTING, WEKA])
        n_curves = 3 * openml_server.N_RUNS
        assert (report.n_listed, report.n_skipped) == (len(fake.runs), n_curves)
        assert (report.n_known, report.n_stored) == (0, len(fake.runs) - n_curves)
        assert report.n_requests == len(fake.paths)
        assert report.n_retries == 0

    @pytest.mark.parametrize("json_values", [False, True])
    def test_faults_lose_and_repeat_nothing(self, store, small_requests, json_values):
        with serving(FakeOpenML(json_values=json_values, fault_every=3)) as fake:
            report = fetch([FOREST, BOOSTING], store, fake)
        assert_exact(store, fake, [FOREST, BOOSTING])
        assert report.n_retries > 10
        assert report.n_requests == len(fake.paths)

    def test_only_the_tasks_asked_for_arrive(self, store):
        with serving(FakeOpenML()) as fake:
            fetch([FOREST], store, fake, tasks=[3, 6])
        assert_exact(store, fake, [FOREST], [3, 6])

    def test_histories_say_where_they_come_from(self, store):
        with serving(FakeOpenML()) as fake:
            fetch([FOREST], store, fake)
        info = store.infos(task="openml-task-6")[0]
        assert (info.source, info.metric, info.name) == ("openml", "accuracy", "tac & <toe>")
        assert (info.dataset, info.licence) == ("openml-dataset-906", "CC0")
        assert info.descriptor["metafeatures"]["NumberOfInstances"] == 200
        trial = store.histories(task="openml-task-6")[0].trials()[0]
        assert trial.time == "2018-06-12T12:00:00"
        assert trial.proposed_by == ""

    def test_a_data_set_without_qualities_has_no_descriptor(self, store):
        with serving(FakeOpenML()) as fake:
            fetch([FOREST], store, fake, tasks=[openml_server.UNDESCRIBED_TASK])
        (info,) = store.infos()
        assert info.descriptor is None
        assert info.licence == "CC0"

    def test_another_measure_makes_a_history_of_its_own(self, store):
        with serving(FakeOpenML()) as fake:
            fetch([FOREST], store, fake, tasks=[3])
            fetch([FOREST], store, fake, tasks=[3], measure="area_under_roc_curve", also=())
        (by_auc,) = [h for h in store.histories() if h.info.metric == "roc_auc"]
        runs = {str(run.run_id): run for run in fake.runs if run.auc is not None}
        assert len(by_auc) == sum(
            run.task_id == 3 and run.flow_id == FOREST for run in runs.values()
        )
        assert all(trial.loss == 1 - runs[trial.run_id].auc for trial in by_auc.trials())

    def test_requests_are_few_and_no_setup_is_asked_for_twice(self, store, small_requests):
        with serving(FakeOpenML()) as fake:
            report = fetch([FOREST], store, fake)
        asked = fake.setups_asked_for()
        assert sorted(asked) == sorted(
            {run.setup_id for run in expected_runs(fake, [FOREST]).values()}
        )
        n_lists = sum(path.startswith("setup/") for path in fake.paths)
        assert n_lists == -(-len(asked) // 20)
        assert report.n_requests < 40

    def test_a_second_call_fetches_nothing(self, store):
        with serving(FakeOpenML()) as fake:
            fetch([FOREST], store, fake)
            n_before = len(fake.paths)
            report = fetch([FOREST], store, fake)
            again = fake.paths[n_before:]
        assert (report.n_stored, report.n_known) == (0, report.n_listed - report.n_skipped)
        assert not [path for path in again if path.startswith(("setup/", "data/"))]
        assert_exact(store, fake, [FOREST])

    def test_new_runs_are_added_to_known_ones(self, store):
        fake = FakeOpenML()
        everything, fake.runs = fake.runs, fake.runs[:50]
        with serving(fake):
            fetch([FOREST], store, fake)
            fake.runs = everything
            fetch([FOREST], store, fake)
        assert_exact(store, fake, [FOREST])

    @pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
    def test_a_killed_fetch_goes_on_where_it_was(self, tmp_path, store, small_requests, share):
        code = (
            "import sys\n"
            "from warmstart.openml import client, fetch_histories, reading\n"
            "from warmstart.store import HistoryStore\n"
            "client.EVALUATIONS_PER_REQUEST = 50\n"
            "client.IDS_PER_REQUEST = reading.IDS_PER_REQUEST = 20\n"
            "store = HistoryStore(sys.argv[2])\n"
            f"fetch_histories([{FOREST}], store=store, server=sys.argv[1],\n"
            "                requests_per_second=None, progress=False)\n"
        )
        with serving(FakeOpenML()) as undisturbed:
            fetch([FOREST], store, undisturbed)
        stop_at = int(share * len(undisturbed.paths))
        directory = str(tmp_path / "killed")
        with serving(FakeOpenML(faults={stop_at: "stop"})) as fake:
            with subprocess.Popen([sys.executable, "-c", code, fake.url, directory]) as child:
                assert fake.stopped.wait(60)
                child.send_signal(signal.SIGKILL)
            assert child.returncode == -signal.SIGKILL

            killed = HistoryStore(directory)
            runs = expected_runs(fake, [FOREST])
            survivors = {key for key, _ in stored_trials(killed)}
            # All answers but the last had been stored when the next request left; of these, the
            # runs that share their setup with a later one don't count.
            users = Counter(run.setup_id for run in runs.values())
            answered = set(fake.setups_asked_for()[: -2 * 20])
            assert {
                key
                for key, run in runs.items()
                if run.setup_id in answered and users[run.setup_id] == 1
            } <= survivors

            fake.faults = {}
            fake.paths.clear()
            report = fetch([FOREST], killed, fake)
        assert report.n_known == len(survivors)
        assert report.n_stored == len(runs) - len(survivors)
        assert set(fake.setups_asked_for()) == {
            run.setup_id for key, run in runs.items() if key not in survivors
        }
        assert_exact(killed, fake, [FOREST])

    def test_setups_that_the_server_lost_are_counted(self, store):
        fake = FakeOpenML()
        lost = fake.runs[8].setup_id
        complete = fake.setups

        def setups(filters):
            wanted = [i for i in filters["setup"].split(",") if int(i) != lost]
            return complete({"setup": ",".join(wanted)}) if wanted else openml_server.error(674)

        fake.setups = setups
        with serving(fake):
            report = fetch([FOREST], store, fake)
        n_lost = sum(run.setup_id == lost and run.task_id != 14 for run in fake.runs)
        assert n_lost > 0
        assert report.n_skipped == openml_server.N_RUNS + n_lost
        assert fake.setups_asked_for().count(lost) == 2

    def test_tasks_that_the_server_does_not_list_are_taken_as_they_are(self, store):
        fake = FakeOpenML()
        fake.tasks = lambda filters: openml_server.error(480)
        with serving(fake), pytest.warns(WarmStartWarning, match="taken to be on supervised"):
            report = fetch([FOREST], store, fake)
        assert report.n_stored == report.n_listed

    def test_an_unknown_flow_is_an_error_before_anything_is_stored(self, store):
        with serving(FakeOpenML()) as fake, pytest.raises(OpenMLError, match="give flow 999"):
            fetch([FOREST, 999], store, fake)
        assert len(store) == 0

    def test_a_flow_without_runs_is_an_error(self, store):
        with (
            serving(FakeOpenML()) as fake,
            pytest.raises(OpenMLError, match=r"no runs of flow 6969 .* on tasks \[77\]"),
        ):
            fetch([FOREST], store, fake, tasks=[77])
        assert len(store) == 0

    def test_a_server_of_another_kind_is_an_error(self, store):
        faults = dict.fromkeys(range(1, 1000), "stranger")
        with (
            serving(FakeOpenML(faults=faults)) as fake,
            pytest.raises(OpenMLError, match="without a whole OpenML document"),
        ):
            fetch([FOREST], store, fake)
        assert len(store) == 0

    def test_an_answer_of_another_form_is_an_error(self, store):
        fake = FakeOpenML()
        fake.evaluations = lambda filters: openml_server.document("evaluations")
        with serving(fake), pytest.raises(OpenMLError, match="can't read"):
            fetch([FOREST], store, fake)
        assert len(store) == 0

    def test_a_server_that_is_not_there_is_an_error(self, store):
        with pytest.raises(OpenMLError, match=r"after 7 attempts: no answer \(ConnectionError\)"):
            fetch([FOREST], store, FakeOpenML(url="http://127.0.0.1:1"))
        assert len(store) == 0

    def test_a_failure_in_the_middle_keeps_what_was_stored_whole(self, store, small_requests):
        faults = dict.fromkeys(range(30, 1000), "error")
        with serving(FakeOpenML(faults=faults)) as fake:
            with pytest.raises(OpenMLError, match="HTTP 500"):
                fetch([FOREST], store, fake)
            assert 0 < len(store) < len(expected_runs(fake, [FOREST]))
            fake.faults = {}
            fetch([FOREST], store, fake)
        assert_exact(store, fake, [FOREST])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"flows": []}, r"flows=\[\] given"),
            ({"flows": ["6969"]}, "flows="),
            ({"flows": [0]}, "flows="),
            ({"flows": None}, "flows=None given"),
            ({"tasks": [-3]}, "tasks="),
            ({"tasks": []}, "tasks="),
            ({"server": "localhost:80"}, "server='localhost:80' given"),
            ({"measure": "beauty"}, "measure='beauty' given"),
            ({"requests_per_second": 0}, "requests_per_second=0 given"),
        ],
    )
    def test_bad_arguments_are_named(self, store, options, message):
        with pytest.raises(OpenMLError, match=message):
            fetch_histories(**{"flows": [FOREST], "store": store, "progress": False} | options)

    def test_one_flow_may_be_given_bare_and_tasks_as_an_array(self, store):
        with serving(FakeOpenML()) as fake:
            fetch(WEKA, store, fake, tasks=np.array([3]))
        assert_exact(store, fake, [WEKA], [3])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestProgress:
    def test_a_callback_sees_all_steps(self, store, small_requests):
        steps: list[FetchProgress] = []
        with serving(FakeOpenML()) as fake:
            report = fetch([FOREST], store, fake, progress=steps.append)
        assert steps[0].n_total is None
        assert {step.n_total for step in steps[1:]} == {report.n_listed}
        done = [step.n_done for step in steps]
        assert done == sorted(done)
        assert done[-1] == report.n_listed
        assert steps[-1].n_requests == report.n_requests
        assert (steps[-1].flow, steps[-1].estimator) == (FOREST, ESTIMATORS[FOREST])

    def test_lines_are_written_where_there_is_no_terminal(self):
        stream = io.StringIO()
        with progress_shown(True, stream) as report:
            report(FetchProgress(1, "x", 0, None, 1, 0))
            for n_done in range(0, 1001, 7):
                report(FetchProgress(1, "x", n_done, 1000, n_done, 2))
            report(FetchProgress(1, "x", 1000, 1000, 1001, 2))
        lines = stream.getvalue().splitlines()
        assert lines[0] == "OpenML flow 1 (x): listing runs; 1 requests, 0 repeated"
        assert lines[-1] == "OpenML flow 1 (x): 1000/1000 runs; 1001 requests, 2 repeated"
        assert len(lines) == 12

    def test_a_bar_is_drawn_on_a_terminal(self):
        stream = Terminal()
        with progress_shown(True, stream) as report:
            report(FetchProgress(1, "x", 0, None, 1, 0))
            report(FetchProgress(1, "x", 500, 1000, 9, 0))
        assert "500/1000" in stream.getvalue()
        assert "\n" * 3 not in stream.getvalue()

    def test_nothing_is_shown_where_that_is_asked_for(self):
        stream = Terminal()
        with progress_shown(False, stream) as report:
            report(FetchProgress(1, "x", 0, None, 1, 0))
        assert stream.getvalue() == ""


def test_the_example_runs(tmp_path):
    with serving(FakeOpenML()) as fake:
        done = subprocess.run(
            [sys.executable, ROOT / "examples" / "ingest_openml.py",
             "--server", fake.url, "--store", tmp_path / "store"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    assert done.stdout.startswith("80 runs added, 0 known")
    assert "tac & <toe>: 40 runs, the best with a loss of" in done.stdout
    assert "80/80 runs" in done.stderr


# Against the local OpenML server, with the runs that it serves

COLUMN_PREFIXES = (
    "randomforestclassifier__",
    "adaboostclassifier__",
    "svc__",
    "columntransformer__numeric__",
)
CONSTANTS = {"True": True, "False": False, "None": None}


@contextmanager
def local_server(*options: str) -> Iterator[str]:
    command = [sys.executable, str(SERVER), "--data", str(DATA), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def read_rows(flow: int, tasks: list[int] | None) -> dict[tuple[str, str], dict[str, str]]:
    """Rows of a flow's table of runs, by task and run id (which counts the rows)."""
    name = {FOREST: "random_forest", BOOSTING: "adaboost", 7707: "svc"}[flow]
    with gzip.open(DATA / "openml_runs" / f"{name}.csv.gz", "rt", newline="") as lines:
        return {
            (f"openml-task-{row['task_id']}", str(flow * 100_000 + i)): row
            for i, row in enumerate(csv.DictReader(lines), 1)
            if tasks is None or int(row["task_id"]) in tasks
        }


def read_cell(text: str) -> object:
    """A cell as a Python value; numbers with a point or an exponent are floats."""
    if text in CONSTANTS:
        return CONSTANTS[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def expected_configuration(row: dict[str, str]) -> dict[str, object]:
    configuration = {}
    for column, text in row.items():
        if "__" in column and text:
            for prefix in COLUMN_PREFIXES:
                column = column.removeprefix(prefix)
            configuration[column] = read_cell(text)
    return configuration


def assert_equals_tables(histories: list[History], flows: list[int], tasks: list[int] | None):
    for flow in flows:
        rows = read_rows(flow, tasks)
        trials = [
            ((history.info.task, trial.run_id), trial)
            for history in histories
            if history.info.estimator == ESTIMATORS[flow]
            for trial in history.trials()
        ]
        assert sorted(key for key, _ in trials) == sorted(rows)
        for key, trial in trials:
            assert typed(trial.configuration) == typed(expected_configuration(rows[key]))
            assert trial.measures["accuracy"] == float(rows[key]["predictive_accuracy"])
            assert trial.loss == 1 - trial.measures["accuracy"]
            auc = rows[key].get("area_under_roc_curve")
            assert trial.measures.get("roc_auc") == (float(auc) if auc else None)


FAULTS = ("--fail-every", "7", "--truncate-every", "11", "--rate-limit", "20")


@needs_server
@pytest.mark.parametrize("values", [(), ("--json-values",)])
def test_runs_of_two_tasks_are_exact_through_all_faults_of_the_local_server(store, values):
    with local_server(*FAULTS, *values) as url:
        fetch_histories(
            [7707], tasks=[3, 6], store=store, server=url, retries=AT_ONCE, progress=False,
            requests_per_second=18,
        )  # fmt: skip
    assert_equals_tables(store.histories(), [7707], [3, 6])


@needs_server
@pytest.mark.slow
@pytest.mark.parametrize("options", [(), (*FAULTS, "--json-values")])
def test_all_runs_of_the_local_server_are_exact(store, options):
    flows = [FOREST, BOOSTING, 7707]
    with local_server(*options) as url:
        report = fetch_histories(
            flows, store=store, server=url, requests_per_second=20, progress=False
        )
    assert report.n_stored == 35_000 + 30_400 + 28_053
    assert_equals_tables(store.histories(), flows, None)


@needs_server
@pytest.mark.slow
def test_all_runs_of_the_local_server_are_exact_through_kills(tmp_path):
    code = (
        "import sys\n"
        "from warmstart.openml import fetch_histories\n"
        "from warmstart.store import HistoryStore\n"
        "store = HistoryStore(sys.argv[2])\n"
        "fetch_histories([6969, 6970, 7707], store=store, server=sys.argv[1],\n"
        "                requests_per_second=20, progress=lambda _: print('step', flush=True))\n"
    )
    directory = str(tmp_path / "store")
    with local_server(*FAULTS) as url:
        for n_steps in (20, 60, 90, 10**6):
            command = [sys.executable, "-c", code, url, directory]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
                for n, _ in enumerate(child.stdout):
                    if n == n_steps:
                        child.send_signal(signal.SIGKILL)
                        break
    assert child.returncode == 0
    assert_equals_tables(HistoryStore(directory).histories(), [FOREST, BOOSTING, 7707], None)
