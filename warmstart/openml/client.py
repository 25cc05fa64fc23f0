"""The ``openml`` package, borrowed for a while: our server, our transport, and back as it was.

``openml`` keeps its server, API key and cache directory in module globals. ``connect`` sets
them, and gives the package our transport, for the length of a ``with`` block; a lock lets one
block run at a time. Other threads must not use ``openml`` meanwhile: they would see this block's
server (not its transport, which answers to its own thread only).
"""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from warmstart.errors import MissingDependencyError, OpenMLError
from warmstart.openml.flows import Component, Flow
from warmstart.openml.transport import Transport

logger = logging.getLogger("warmstart.openml")

T = TypeVar("T")

EVALUATIONS_PER_REQUEST = 10_000  # OpenML's own limit
# Ids travel in the URL; OpenML's web server, as most, takes 8 kB of it.
IDS_PER_REQUEST = 350

# Guards the globals of another package, so it has to be one for the whole process.
_borrowed = threading.RLock()


class Run(NamedTuple):
    """A run as listed with one evaluation of it; ``value`` is None if the server gives none."""

    run_id: int
    task_id: int
    setup_id: int
    dataset_id: int
    dataset_name: str
    time: str
    uploader: str
    value: float | None


class Task(NamedTuple):
    """A task as listed; ``kind`` is OpenML's, such as "Supervised Classification"."""

    task_id: int
    dataset_id: int
    name: str
    kind: str


@dataclass(frozen=True)
class Dataset:
    """What OpenML says of a data set; ``qualities`` are its meta-features, None if not known."""

    dataset_id: int
    licence: str | None = None
    qualities: Mapping[str, float] | None = None


class Data(NamedTuple):
    """A data set with its rows; ``y`` is None where OpenML names no target."""

    name: str
    licence: str
    X: Any
    y: Any
    categorical: tuple[str, ...]


class Client:
    """Reads an OpenML server through the ``openml`` package; made by ``connect``.

    All methods raise ``AnswerError`` where the server refuses, or says what ``openml`` can't
    read, and ``OpenMLError`` where it doesn't answer.
    """

    def __init__(self, package: Any, server: str) -> None:
        self._openml = package
        self.server = server

    def flow(self, flow_id: int) -> Flow:
        """Get a flow by its id."""
        with _fresh_cache(self._openml):
            return self._call(
                f"flow {flow_id}",
                lambda: Flow.from_component(
                    Component.from_flow(self._openml.flows.get_flow(flow_id))
                ),
            )

    def runs(
        self, function: str, flow_id: int, tasks: Collection[int] | None
    ) -> Iterator[list[Run]]:
        """List a flow's runs by pages, with their values of one measure.

        Args:
            function: OpenML's name of the measure.
            flow_id: Whose runs.
            tasks: On these tasks; None: on all.
        """
        chunks = [None] if tasks is None else _chunks(sorted(tasks), IDS_PER_REQUEST)
        for chunk in chunks:
            offset = 0
            # A page may be shorter than asked for without being the last: a run that several
            # engines evaluated fills several places of it. Only an empty page ends the list.
            while page := self._call(
                f"the list of evaluations of flow {flow_id}",
                self._openml.evaluations.list_evaluations,
                function,
                flows=[flow_id],
                tasks=chunk,
                size=EVALUATIONS_PER_REQUEST,
                offset=offset,
            ):
                yield [_run(evaluation) for evaluation in page.values()]
                offset += EVALUATIONS_PER_REQUEST

    def tasks(self, task_ids: Collection[int]) -> dict[int, Task]:
        """List tasks by id; without those that the server does not know."""
        found: dict[int, Task] = {}
        for chunk in _chunks(sorted(task_ids), IDS_PER_REQUEST):
            page = self._call(
                "a list of tasks",
                self._openml.tasks.list_tasks,
                task_id=chunk,
                status="all",
                output_format="dataframe",
            )
            for row in page.to_dict("records"):
                task = Task(int(row["tid"]), int(row["did"]), row["name"], row["task_type"])
                found[task.task_id] = task
        return found

    def setups(self, setup_ids: Sequence[int]) -> dict[int, list[Any]]:
        """The parameters of some setups, by setup id, as ``OpenMLParameter`` objects.

        Unknown setups are left out, after the server has been asked for them twice.
        """
        found: dict[int, list[Any]] = {}
        for _ in range(2):
            missing = [setup_id for setup_id in setup_ids if setup_id not in found]
            for chunk in _chunks(missing, IDS_PER_REQUEST):
                page = self._call("a list of setups", self._openml.setups.list_setups, setup=chunk)
                found |= {i: list((s.parameters or {}).values()) for i, s in page.items()}
        return found

    def dataset(self, dataset_id: int) -> Dataset:
        """Licence and qualities of a data set; without what the server refuses or lacks."""
        with _fresh_cache(self._openml):
            for qualities in (True, False):
                try:
                    found = self._call(
                        f"data set {dataset_id}",
                        self._openml.datasets.get_dataset,
                        dataset_id,
                        download_data=False,
                        download_qualities=qualities,
                    )
                except AnswerError as error:
                    logger.info("%s", error)
                else:
                    return Dataset(
                        dataset_id, found.licence, found.qualities if qualities else None
                    )
        return Dataset(dataset_id)

    def data(self, dataset_id: int) -> Data:
        """Get a data set with its rows, by its id."""
        with _fresh_cache(self._openml):
            found = self._call(
                f"data set {dataset_id}",
                self._openml.datasets.get_dataset,
                dataset_id,
                download_data=True,
            )
            target = found.default_target_attribute
            X, y, categorical, names = self._call(
                f"the rows of data set {dataset_id}", found.get_data, target=target
            )
        nominal = [name for name, is_nominal in zip(names, categorical, strict=True) if is_nominal]
        return Data(found.name, found.licence or "", X, y, tuple(nominal))

    def _call(self, what: str, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        try:
            return function(*args, **kwargs)
        except OpenMLError:
            raise
        except self._openml.exceptions.PyOpenMLError as error:
            raise AnswerError(f"{self.server} does not give {what}: {error}") from error
        except (LookupError, TypeError, ValueError, AttributeError, AssertionError) as error:
            raise AnswerError(
                f"{self.server} gives {what} in a form that openml "
                f"{self._openml.__version__} can't read ({error!r}); expected OpenML's REST API."
            ) from error


class AnswerError(OpenMLError):
    """The server answered, but with an error of OpenML's own, or with what ``openml`` can't read.

    Asking again would bring the same.
    """


@contextmanager
def connect(server: str | None, apikey: str | None, transport: Transport) -> Iterator[Client]:
    """Borrow the ``openml`` package.

    Args:
        server: Where OpenML's REST API is; None: where the user's ``openml`` configuration says.
        apikey: None: the user's, but only for the user's own server.
        transport: Sends the requests.

    Raises:
        MissingDependencyError: If ``openml`` is not installed, or not in a version known here.
        OpenMLError: If ``server`` is no address.
    """
    url = None if server is None else server_url(server)
    package = import_openml()
    config, calls = package.config, package._api_calls
    with _borrowed, ExitStack() as stack:
        url = url or config.server
        if apikey is None:
            apikey = config.apikey if url == config.server else ""
        owner, original = threading.get_ident(), calls._send_request

        def send(request_method: str, url: str, data: Any, **rest: Any) -> Any:
            # Other threads, and what this module does not ask for, go the package's own way.
            if threading.get_ident() != owner or request_method != "get" or any(rest.values()):
                return original(request_method, url, data, **rest)
            return transport.get(url, data)

        for module, name, value in (
            (config, "server", url),
            (config, "apikey", apikey),
            # There is no public way to see an answer's headers, or to set a timeout.
            (calls, "_send_request", send),
        ):
            stack.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, value)
        stack.enter_context(_quiet_root_logger())
        yield Client(package, url)


def import_openml() -> Any:
    """The ``openml`` package.

    Raises:
        MissingDependencyError: If it is not installed, or not in a version known here.
    """
    install = 'pip install "warmstart[openml]"'
    try:
        import openml
        import openml._api_calls
    except ImportError as error:
        raise MissingDependencyError(
            f"Reading from OpenML needs the openml package ({error}); run: {install}"
        ) from error
    if not hasattr(openml._api_calls, "_send_request"):
        raise MissingDependencyError(
            f"openml {openml.__version__} given; expected 0.15; run: {install}"
        )
    return openml


def server_url(server: str) -> str:
    """The address of a server's XML API, given that or the server's own address.

    >>> server_url("http://localhost:8080")
    'http://localhost:8080/api/v1/xml'
    """
    parts = urlsplit(server)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise OpenMLError(
            f"server={server!r} given; expected an address such as "
            "https://www.openml.org/api/v1/xml."
        )
    server = server.rstrip("/")
    return server if parts.path.strip("/") else f"{server}/api/v1/xml"


@contextmanager
def _fresh_cache(package: Any) -> Iterator[None]:
    """Let ``openml`` cache files in a directory of this block's own.

    A cache that outlived the block could hold files cut short by a kill, which ``openml`` would
    then take for whole; the history store is all that has to last.
    """
    before = package.config.get_config_as_dict()["cachedir"]
    with tempfile.TemporaryDirectory(prefix="warmstart-openml-") as directory:
        package.config.set_root_cache_directory(directory)
        try:
            yield
        finally:
            package.config.set_root_cache_directory(before)


@contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """Keep ``openml``, which logs through the root logger, from setting that up as a side effect.

    Nothing changes where the user has set up logging. What users have to see is warned of, not
    logged.
    """
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)


def _run(evaluation: Any) -> Run:
    return Run(
        run_id=int(evaluation.run_id),
        task_id=int(evaluation.task_id),
        setup_id=int(evaluation.setup_id),
        dataset_id=int(evaluation.data_id),
        dataset_name=str(evaluation.data_name),
        time=str(evaluation.upload_time),
        uploader=str(evaluation.uploader_name or evaluation.uploader),
        value=evaluation.value,
    )


def _chunks(items: Iterable[int], size: int) -> list[list[int]]:
    listed = list(items)
    return [listed[i : i + size] for i in range(0, len(listed), size)]
