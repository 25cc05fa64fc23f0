"""Requests to an OpenML server: no faster than asked, repeated when they fail, whole or not.

The ``openml`` package retries some failures, but reads no ``Retry-After``, has no timeout and
no rate limit, and takes half a document for an answer. So it is given this transport
(see ``client.py``), which returns only answers that OpenML itself wrote, to the last byte.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from xml.parsers import expat

from warmstart.errors import OpenMLError

logger = logging.getLogger("warmstart.openml")

USER_AGENT = "warmstart (openml-python)"
_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_DATABASE_DOWN = b"<oml:code>107</oml:code>"  # an error that OpenML itself calls transient


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and after what wait, a failed request is repeated.

    Before its k-th repetition a request waits ``first_wait_seconds * 2 ** (k - 1)``, at most
    ``longest_wait_seconds``, less up to half of it by chance; longer if the server says so in
    ``Retry-After``. A server that asks for more than ``longest_wait_seconds`` is given up.
    """

    n_retries: int = 6
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 120.0
    timeout_seconds: float = 120.0

    def __post_init__(self) -> None:
        waits = (self.first_wait_seconds, self.longest_wait_seconds)
        if self.n_retries < 0 or min(waits) < 0 or not self.timeout_seconds > 0:
            raise OpenMLError(f"{self} given; expected no negative numbers and a timeout above 0.")


class _Failed(Exception):
    """A request that is worth repeating; ``wait`` is what the server asks for, in seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class Transport:
    """Sends GET requests one after another; counts them. Close it after use."""

    def __init__(
        self,
        requests_per_second: float | None,
        *,
        retries: RetryPolicy,
        seed: int,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open a session that keeps its connection.

        Args:
            requests_per_second: The most requests that leave in any second; None: no limit.
            retries: What to do about failures.
            seed: Of the generator that shortens waits by chance.
            sleep: Waits for a number of seconds.
            clock: Tells the time in seconds.
        """
        import requests  # comes with openml

        if requests_per_second is not None and not requests_per_second > 0:
            raise OpenMLError(
                f"requests_per_second={requests_per_second!r} given; "
                "expected a positive number, or None for no limit."
            )
        self.n_requests = 0
        self.n_retries = 0
        self._interval = 1 / requests_per_second if requests_per_second else 0.0
        self._retries = retries
        self._random = random.Random(seed)
        self._sleep = sleep
        self._clock = clock
        self._earliest = clock()
        self._session = requests.Session()
        self._session.headers["User-Agent"] = USER_AGENT
        self._failures = requests.RequestException

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def get(self, url: str, params: Mapping[str, Any]) -> Any:
        """Send a request until it is answered.

        Returns:
            A ``requests.Response`` whose body is a whole OpenML document, perhaps of an error.

        Raises:
            OpenMLError: If no repetition was answered.
        """
        for n_failed in range(self._retries.n_retries + 1):
            try:
                return self._get_once(url, params)
            except _Failed as failure:
                wait = max(self._back_off_seconds(n_failed), failure.wait)
                too_long = wait > self._retries.longest_wait_seconds
                if too_long or n_failed == self._retries.n_retries:
                    raise OpenMLError(_gave_up(url, n_failed + 1, failure)) from None
                logger.info("%s: %s; next attempt in %.1f s", url, failure, wait)
                self.n_retries += 1
                self._sleep(wait)
        raise AssertionError("the last failure raises")

    def _get_once(self, url: str, params: Mapping[str, Any]) -> Any:
        now = self._clock()
        if now < self._earliest:
            self._sleep(self._earliest - now)
        self._earliest = max(now, self._earliest) + self._interval
        self.n_requests += 1
        try:
            response = self._session.get(url, params=params, timeout=self._retries.timeout_seconds)
        except self._failures as error:
            # Not its text, which holds the whole URL and with it the API key.
            raise _Failed(f"no answer ({type(error).__name__})") from None
        if response.status_code in _TRANSIENT_STATUS:
            wait = _retry_after(response.headers.get("Retry-After", ""))
            raise _Failed(f"HTTP {response.status_code}", wait)
        if not is_whole_document(response.content):
            raise _Failed(f"HTTP {response.status_code} without a whole OpenML document")
        if response.status_code != 200 and _DATABASE_DOWN in response.content:
            raise _Failed("the server's database is down")
        if "charset" not in response.headers.get("Content-Type", ""):
            response.encoding = "utf-8"  # XML's default; that of HTTP would be Latin-1
        return response

    def _back_off_seconds(self, n_failed: int) -> float:
        wait = self._retries.first_wait_seconds * 2.0**n_failed
        return min(wait, self._retries.longest_wait_seconds) * self._random.uniform(0.5, 1.0)


def is_whole_document(body: bytes) -> bool:
    """Whether a body is well-formed XML with a root element of OpenML's.

    Half a body is never well-formed, whatever length the server announced.
    """
    roots: list[str] = []
    parser = expat.ParserCreate()

    def at_root(name: str, _: object) -> None:
        roots.append(name)
        parser.StartElementHandler = None  # only the root matters, and calls cost time

    parser.StartElementHandler = at_root
    try:
        parser.Parse(body, True)
    except expat.ExpatError:
        return False
    return roots[0].startswith("oml:")


def _retry_after(header: str) -> float:
    """Seconds to wait by a ``Retry-After`` header, a number or a date; 0 if it says nothing."""
    if header.strip().isdecimal():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _gave_up(url: str, n_attempts: int, failure: _Failed) -> str:
    wait = f", which asks to wait for {failure.wait:.0f} s" if failure.wait else ""
    return (
        f"No answer from the OpenML server after {n_attempts} attempts: {failure}{wait}, for "
        f"{url}. Check its address, or try again later: what was stored stays, the rest follows."
    )
