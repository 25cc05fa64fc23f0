"""A small OpenML server for tests: a few hundred invented runs, and faults on demand.

It speaks as much of OpenML's REST API as ingestion reads. What clients should end up with is in
``FakeOpenML.runs``, as Python values: text and XML are made from them, never the other way.
"""

from __future__ import annotations

import gzip
import json
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

FOREST, BOOSTING, WEKA = 6969, 6970, 103
TASKS = {3: "tic", 6: "tac & <toe>", 13: "toe", 14: "curve"}
UNDESCRIBED_TASK = 13  # its data set has no qualities, which OpenML calls an error
LEARNING_CURVE_TASK = 14
N_RUNS = 40  # of a flow on a task
QUALITIES = {"NumberOfInstances": 200.0, "NumberOfFeatures": 7.0, "NumberOfClasses": 2.0}

_PIPELINE = "sklearn.pipeline.Pipeline"
_IMPUTER = "sklearn.preprocessing.imputation.Imputer"
_REFERENCE = json.dumps(
    {"oml-python:serialized_object": "component_reference", "value": {"key": "x"}}
)


@dataclass(frozen=True)
class FakeRun:
    """One run, and what a client should read of it."""

    run_id: int
    flow_id: int
    task_id: int
    setup_id: int
    accuracy: float
    auc: float | None
    configuration: Mapping[str, object]


@dataclass(frozen=True)
class FakeFlow:
    """A flow's tree as XML, and which component and parameter each name stands for."""

    xml: str
    parameters: Mapping[str, tuple[int, str, str]]  # name -> component id, its name, parameter


def tag(name: str, content: object) -> str:
    return f"<oml:{name}>{content}</oml:{name}>"


def tags(**fields: object) -> str:
    return "".join(tag(name, escape(str(content))) for name, content in fields.items())


def component(flow_id: int, name: str, steps: Sequence[str] = (), **children: str) -> str:
    order = [
        {"oml-python:serialized_object": "component_reference", "value": {"key": key}}
        for key in steps
    ]
    parameters = tags(name="steps", default_value=json.dumps(order)) if steps else ""
    return (
        tags(id=flow_id, uploader=1, name=name, version=1, external_version="x")
        + (tag("parameter", parameters) if steps else "")
        + "".join(
            tag("component", tag("identifier", key) + tag("flow", child))
            for key, child in children.items()
        )
    )


FLOWS = {
    FOREST: FakeFlow(
        # The predictor is listed first; only "steps" tells that it comes last.
        component(
            FOREST,
            f"{_PIPELINE}(imputer={_IMPUTER},forest=sklearn.ensemble.forest.RandomForestClassifier)",
            steps=["imputer", "forest"],
            forest=component(1011, "sklearn.ensemble.forest.RandomForestClassifier"),
            imputer=component(1012, _IMPUTER),
        ),
        {
            name: (1011, "sklearn.ensemble.forest.RandomForestClassifier", name)
            for name in ("criterion", "max_features", "bootstrap", "max_depth", "label")
        }
        | {"imputer__strategy": (1012, _IMPUTER, "strategy")},
    ),
    BOOSTING: FakeFlow(
        component(
            BOOSTING,
            f"{_PIPELINE}(columns=...,boosting=...)",
            columns=component(
                1021,
                "sklearn.compose._column_transformer.ColumnTransformer",
                numeric=component(1022, _PIPELINE, imputer=component(1023, _IMPUTER)),
                nominal=component(1024, _PIPELINE, imputer=component(1025, _IMPUTER)),
            ),
            boosting=component(
                1026,
                "sklearn.ensemble.weight_boosting.AdaBoostClassifier",
                base_estimator=component(1027, "sklearn.tree.tree.DecisionTreeClassifier"),
            ),
        ),
        {
            "learning_rate": (1026, "sklearn.ensemble.weight_boosting.AdaBoostClassifier",
                              "learning_rate"),
            "base_estimator__max_depth": (1027, "sklearn.tree.tree.DecisionTreeClassifier",
                                          "max_depth"),
            "numeric__imputer__strategy": (1023, _IMPUTER, "strategy"),
            "nominal__imputer__strategy": (1025, _IMPUTER, "strategy"),
        },
    ),
    WEKA: FakeFlow(
        component(WEKA, "weka.J48"),
        {"C": (WEKA, "weka.J48", "C"), "M": (WEKA, "weka.J48", "M")},
    ),
}  # fmt: skip


def draw_configuration(flow_id: int, rng: random.Random) -> dict[str, object]:
    """A configuration as the flow's runs have them; not all set all hyperparameters."""
    if flow_id == WEKA:
        return {"C": rng.random(), "M": rng.randrange(1, 20)}
    if flow_id == BOOSTING:
        return {
            "learning_rate": 10.0 ** rng.uniform(-8, 2),
            "base_estimator__max_depth": float(rng.randrange(1, 10)),
            "numeric__imputer__strategy": rng.choice(["mean", "median"]),
            "nominal__imputer__strategy": "most_frequent",
        }
    configuration: dict[str, object] = {
        "criterion": rng.choice(["gini", "entropy"]),
        "max_features": rng.choice([rng.random(), "sqrt"]),
        "bootstrap": rng.random() < 0.5,
        "max_depth": rng.choice([None, rng.randrange(1, 30)]),
        "imputer__strategy": rng.choice(["mean", "median", "most_frequent"]),
    }
    if rng.random() < 0.3:
        configuration["label"] = 'a<b & "ü"'
    return configuration


def draw_runs() -> list[FakeRun]:
    """All runs; each tenth shares the setup of the one before."""
    rng = random.Random(0)
    runs: list[FakeRun] = []
    for flow_id in FLOWS:
        for i in range(N_RUNS * len(TASKS)):
            configuration = draw_configuration(flow_id, rng)
            setup_id = flow_id * 10_000 + i
            if i % 10 == 9:
                setup_id, configuration = runs[-1].setup_id, dict(runs[-1].configuration)
            auc = rng.random() if flow_id == FOREST and i % 3 else None
            task_id = list(TASKS)[i % len(TASKS)]
            run_id = flow_id * 1000 + i
            run = FakeRun(run_id, flow_id, task_id, setup_id, rng.random(), auc, configuration)
            runs.append(run)
    return runs


@dataclass
class FakeOpenML:
    """What the server has, does, and has been asked.

    Attributes:
        json_values: Whether hyperparameter values are JSON, as openml-python uploads them.
        faults: What happens to a request, by its number from 1: "error" (HTTP 500), "busy" (429),
            "drop" (no answer), "cut" (half of what Content-Length says), "short" (half, and
            Content-Length agrees), "stranger" (a web page), "stop" (never answers).
        fault_every: Each so many requests, one of ``fault_cycle`` happens, in turn.
        retry_after: What "busy" asks for.
        paths: Of all requests, in their order.
        stopped: Set once a request has hit "stop".
    """

    json_values: bool = False
    faults: Mapping[int, str] = field(default_factory=dict)
    fault_every: int = 0
    fault_cycle: Sequence[str] = ("error", "drop", "busy", "cut", "short")
    retry_after: str = "0"
    runs: list[FakeRun] = field(default_factory=draw_runs)
    paths: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_fault(self, path: str) -> str:
        with self.lock:
            self.paths.append(path)
            n = len(self.paths)
        if n in self.faults:
            return self.faults[n]
        if self.fault_every and n % self.fault_every == 0:
            return self.fault_cycle[n // self.fault_every % len(self.fault_cycle)]
        return ""

    def setups_asked_for(self) -> list[int]:
        """Ids of the setups that clients have asked for."""
        lists = [path for path in self.paths if path.startswith("setup/list/setup/")]
        return [int(setup_id) for path in lists for setup_id in path.split("/")[3].split(",")]

    def answer(self, path: str) -> tuple[int, str]:
        """Status and document for a path below the API's root."""
        words = path.strip("/").split("/")
        if words[1:2] == ["list"] or words[:2] == ["data", "qualities"]:
            kind, filters = words[0], dict(zip(words[2::2], words[3::2], strict=False))
            match kind:
                case "evaluation":
                    return self.evaluations(filters)
                case "setup":
                    return self.setups(filters)
                case "task":
                    return self.tasks(filters)
                case "user":
                    user = tag("user", tags(id=1, username="nobody"))
                    return document("users", user)
                case "estimationprocedure":
                    fields = tags(id=1, ttid=1, name="10-fold", type="crossvalidation")
                    procedure = tag("estimationprocedure", fields)
                    return document("estimationprocedures", procedure, procedure)
                case "data":
                    return qualities(int(words[2]))
        if words[0] == "flow" and int(words[1]) in FLOWS:
            return document("flow", FLOWS[int(words[1])].xml)
        if words[0] == "data" and int(words[1]) - 900 in TASKS:
            name = TASKS[int(words[1]) - 900]
            about = tags(id=words[1], name=name, version=1, format="ARFF", url="x", licence="CC0")
            return document("data_set_description", about)
        return error(181)

    def evaluations(self, filters: Mapping[str, str]) -> tuple[int, str]:
        wanted = [
            run
            for run in self.runs
            if str(run.flow_id) == filters["flow"]
            and str(run.task_id) in filters.get("task", str(run.task_id)).split(",")
        ]
        scores = {
            "predictive_accuracy": [(run, run.accuracy) for run in wanted],
            "area_under_roc_curve": [(run, run.auc) for run in wanted if run.auc is not None],
        }[filters["function"]]
        scores[1:1] = scores[:1]  # two engines evaluated the first run
        start, limit = int(filters["offset"]), int(filters["limit"])
        items = [
            tags(
                run_id=run.run_id, task_id=run.task_id, setup_id=run.setup_id, flow_id=run.flow_id,
                flow_name="x", data_id=run.task_id + 900, data_name=TASKS[run.task_id],
                function=filters["function"], upload_time="2018-06-12 12:00:00", uploader=1,
                value=repr(value),
            )
            for run, value in scores[start : start + limit]
        ]  # fmt: skip
        return (
            document("evaluations", *(tag("evaluation", i) for i in items))
            if items
            else error(542)
        )

    def setups(self, filters: Mapping[str, str]) -> tuple[int, str]:
        wanted = set(map(int, filters["setup"].split(",")))
        found = {run.setup_id: run for run in self.runs if run.setup_id in wanted}
        items = []
        for setup_id, run in found.items():
            items.append(tags(setup_id=setup_id, flow_id=run.flow_id) + self.parameters(run))
        return document("setups", *(tag("setup", i) for i in items)) if items else error(674)

    def parameters(self, run: FakeRun) -> str:
        texts = {name: self.text(value) for name, value in run.configuration.items()}
        owners = FLOWS[run.flow_id].parameters
        rows = [(*owners[name], text) for name, text in texts.items()]
        # What every setup of openml-python's also has: a part of the flow, and one without value.
        rows += [(*next(iter(owners.values()))[:2], "estimator", _REFERENCE)]
        rows += [(*next(iter(owners.values()))[:2], "unset", "")]
        return "".join(
            tag(
                "parameter",
                tags(
                    id=i, flow_id=owner, flow_name=name, full_name=f"{name}(1)_{parameter}",
                    parameter_name=parameter, data_type="", default_value="", value=text,
                ),
            )
            for i, (owner, name, parameter, text) in enumerate(rows)
        )  # fmt: skip

    def text(self, value: object) -> str:
        return json.dumps(value, ensure_ascii=False) if self.json_values else str(value)

    def tasks(self, filters: Mapping[str, str]) -> tuple[int, str]:
        wanted = [
            task_id for task_id in map(int, filters["task_id"].split(",")) if task_id in TASKS
        ]
        items = []
        for task_id in wanted:
            kind = 3 if task_id == LEARNING_CURVE_TASK else 1
            kind_name = {1: "Supervised Classification", 3: "Learning Curve"}[kind]
            items.append(
                tags(
                    task_id=task_id, task_type_id=kind, task_type=kind_name, did=task_id + 900,
                    name=TASKS[task_id], status="active",
                )
                + '<oml:input name="estimation_procedure">1</oml:input>'
            )  # fmt: skip
        return document("tasks", *(tag("task", i) for i in items)) if items else error(482)


def qualities(dataset_id: int) -> tuple[int, str]:
    if dataset_id == UNDESCRIBED_TASK + 900:
        return error(362)
    rows = [tag("quality", tags(name=name, value=value)) for name, value in QUALITIES.items()]
    return document("data_qualities", *rows)


def document(name: str, *content: str, status: int = 200) -> tuple[int, str]:
    body = "".join(content)
    return status, f'<oml:{name} xmlns:oml="http://openml.org/openml">{body}</oml:{name}>'


def error(code: int) -> tuple[int, str]:
    return document("error", tags(code=code, message="No such thing"), status=412)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        fake: FakeOpenML = self.server.fake  # type: ignore[attr-defined]
        path = self.path.removeprefix("/api/v1/xml/").partition("?")[0]
        fault = fake.next_fault(path)
        if fault == "stop":
            fake.stopped.set()
            fake.closing.wait()
        if fault in ("drop", "stop"):
            self.close_connection = True
        elif fault == "error":
            self.reply(500, "text/plain", "Oh no")
        elif fault == "busy":
            self.reply(429, "text/plain", "Too many requests")
        elif fault == "stranger":
            self.reply(200, "text/html", "<html><body>Welcome</body></html>")
        else:
            self.reply(fake.answer(path)[0], "text/xml", fake.answer(path)[1], fault)

    def reply(self, status: int, kind: str, text: str, fault: str = "") -> None:
        # Half of a document that arrives whole has to be readable, so "short" is not compressed.
        body = text.encode() if fault == "short" else gzip.compress(text.encode())
        sent = body[: len(body) // 2] if fault in ("cut", "short") else body
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(sent if fault == "short" else body)))
        if fault != "short":
            self.send_header("Content-Encoding", "gzip")
        if status == 429:
            self.send_header("Retry-After", self.server.fake.retry_after)  # type: ignore[attr-defined]
        if fault:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(fake: FakeOpenML) -> Iterator[FakeOpenML]:
    """Serve on a free port of this machine; ``fake.url`` is the address to give to clients."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.fake = fake  # type: ignore[attr-defined]
    fake.url = f"http://127.0.0.1:{server.server_address[1]}/api/v1/xml"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        fake.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
