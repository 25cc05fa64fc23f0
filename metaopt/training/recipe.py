"""The recipe of the shipped artifact: runs from OpenML and of our own, and surrogates of others.

``make artifact SERVER=… DATA=…`` makes it anew: ``metaopt openml`` reads the runs of flows 6969,
6970 and 7707 into a store; ``metaopt train`` learns from that store, from ``metaopt/histories``
(runs of our own, made by ``metaopt collect``), and from the surrogates in the data directory. What
it makes depends on the runs that the server lists; the same runs make the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from metaopt.training.progress import Report, progress_shown
from metaopt.training.selection import Histories, canonical_name, read_histories
from metaopt.training.trainer import TrainingReport, meta_train
from warmstart.errors import HistoryError
from warmstart.history import History

#: How the histories of surrogates are sampled; the card says it.
SAMPLING: Final = {"n_random": 1000, "n_local": 500, "n_rounds": 2, "n_best": 50}


def train_artifact(
    store: Histories | None = None,
    surrogates: str | os.PathLike[str] | None = None,
    *,
    out: str | os.PathLike[str],
    estimators: Collection[str] | None = None,
    exclude: Collection[str] = (),
    fewest_tasks: int = 1,
    seed: int = 0,
    base: str | os.PathLike[str] | None = None,
    progress: bool | Report | None = None,
) -> TrainingReport:
    """Train on a store of histories and on the surrogates in a data directory.

    ``metaopt train --store STORE --surrogates DATA --out FILE`` calls this. Of the estimators
    in surrogates, two are for benchmarks only; the card says so.

    Args:
        store: As ``histories`` of ``meta_train``; None: only the surrogates.
        surrogates: Data directory, with ``surrogates/`` and ``openml_runs/tasks.csv`` in it;
            needs ``onnxruntime``. None: only the store.
        out: Where to write the artifact.
        estimators: As for ``meta_train``.
        exclude: As for ``meta_train``.
        fewest_tasks: As for ``meta_train``.
        seed: Of all random choices.
        base: As for ``meta_train``.
        progress: As for ``meta_train``.

    Raises:
        HistoryError: As ``meta_train``; also if neither store nor surrogates are given.
        FileNotFoundError: If there are no data in the directory.
        ArtifactError: If the artifact can't be written.
    """
    if store is None and surrogates is None:
        raise HistoryError(
            "Neither store nor surrogates given; expected at least one of them to learn from."
        )
    histories = [] if store is None else read_histories(store)
    card: dict[str, Any] = {}
    with progress_shown(progress) as report:
        if surrogates is not None:
            wanted = None if estimators is None else {canonical_name(e) for e in estimators}
            histories += _surrogate_histories(Path(surrogates), wanted, seed, report)
            card["surrogates"] = {
                "what": "Histories of source 'yahpo' are answers of YAHPO Gym's neural surrogates "
                "of real runs: random configurations, then rounds of neighbours of the best.",
                "sampling": dict(SAMPLING),
            }
        return meta_train(
            histories,
            out,
            estimators=estimators,
            exclude=exclude,
            fewest_tasks=fewest_tasks,
            seed=seed,
            base=base,
            card=card,
            progress=report,
        )


def _surrogate_histories(
    data: Path, wanted: Collection[str] | None, seed: int, report: Report
) -> Iterator[History]:
    from metaopt.benchmarks.data_directory import data_directory
    from metaopt.benchmarks.refinement import surrogate_training_histories
    from metaopt.benchmarks.surrogates import SCENARIOS

    sources = [
        source
        for source, scenario in SCENARIOS.items()
        if wanted is None or scenario.estimator in wanted
    ]
    directory = data_directory(data)
    for n_done, source in enumerate(sources):
        yield from surrogate_training_histories(directory, source, seed=seed, **SAMPLING)
        report("sampling surrogates", n_done + 1, len(sources))
