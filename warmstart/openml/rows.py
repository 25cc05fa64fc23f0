"""Data sets from OpenML, with their rows."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from warmstart.openml.client import Data, connect
from warmstart.openml.transport import RetryPolicy, Transport

_REQUESTS_PER_SECOND = 10.0


def fetch_data(
    dataset_ids: Sequence[int],
    *,
    server: str | None = None,
    apikey: str | None = None,
    retries: RetryPolicy | None = None,
) -> dict[int, Data]:
    """Get data sets by their ids.

    Args:
        dataset_ids: Of data sets, not of tasks.
        server: Address of the REST API; None: the one that ``openml`` is configured for.
        apikey: None: the user's own, if the server is.
        retries: How requests that fail are repeated.

    Raises:
        OpenMLError: If the server refuses, or does not answer.
        MissingDependencyError: If ``openml`` is not installed.
    """
    transport = Transport(_REQUESTS_PER_SECOND, retries=retries or RetryPolicy(), seed=0)
    with closing(transport), connect(server, apikey, transport) as client:
        return {dataset_id: client.data(dataset_id) for dataset_id in dataset_ids}
