"""The whole evaluation: each experiment of each estimator and fold is kept as it ends."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from metaopt.evaluation.experiments import EXPERIMENTS, Workshop
from metaopt.evaluation.options import BUDGETS, FACTORS, LEVELS, EvaluationOptions
from metaopt.evaluation.page import write_page
from metaopt.evaluation.subjects import Subject, subjects_of
from metaopt.evaluation.summary import summarise
from metaopt.training.progress import Report, progress_shown
from metaopt.training.selection import Histories, canonical_name, read_histories
from warmstart.artifact import Artifact, read_artifact
from warmstart.durable import write_atomically
from warmstart.errors import ArtifactError, HistoryError
from warmstart.history import History
from warmstart.knowledge import shipped_artifact
from warmstart.prior_file import estimators_in

FORMAT: Final = "metaopt-evaluation"
VERSION: Final = 2
REPORT: Final = "evaluation.json"
_FEWEST_FAMILIES: Final = 4  # fewer can't be split into some to learn from and some to predict
# Another number when what an experiment does has changed: kept results are then made anew.
_EXPERIMENTS_VERSION: Final = 3


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation.

    Attributes:
        data: All figures, as in ``evaluation.json``.
        files: What was written: that file, pages and pictures.
    """

    data: Mapping[str, Any]
    files: tuple[Path, ...]


def bundled_histories() -> Path:
    """Where the history store lies that comes with this repository."""
    return Path(__file__).parents[1] / "histories"


def evaluate(
    artifact: str | os.PathLike[str] | None = None,
    histories: Histories | Sequence[str | os.PathLike[str]] | None = None,
    *,
    out: str | os.PathLike[str],
    estimators: Collection[str] | None = None,
    options: EvaluationOptions | None = None,
    progress: bool | Report | None = None,
) -> Evaluation:
    """Measure what an artifact's model is worth on tasks that it was not trained on.

    For each estimator and fold of families, priors are learned from the other folds by the code
    that trained the artifact, and what the sampler's model then predicts is compared with what
    was recorded. Beside that, the artifact itself is judged on its own training tasks. Each
    result is kept in ``out/pieces`` as it is made; an evaluation that was stopped goes on there.

    Args:
        artifact: The path; None: the one that is shipped.
        histories: A store, its path, several paths, or ``History`` objects; None: the store that
            comes with this repository.
        out: Directory of ``evaluation.json``, of the pages ``evaluation.md`` and
            ``evaluation.html``, and of their pictures; made if it is not there.
        estimators: Names of those to evaluate; None: all that the artifact knows and that there
            are histories of.
        options: How thoroughly.
        progress: As for ``meta_train``.

    Raises:
        ArtifactError: If the artifact is not there, damaged, or of another kind.
        HistoryError: If there is no store at a path, or nothing to judge of one of
            ``estimators`` or at all.
    """
    options = options or EvaluationOptions()
    path = shipped_artifact() if artifact is None else Path(artifact)
    read = read_artifact(path)
    known = estimators_in(read)
    if isinstance(estimators, str):
        raise HistoryError("A text given for estimators; expected a list of names.")
    wanted = None if estimators is None else sorted({canonical_name(e) for e in estimators})
    subjects = _subjects(_read(histories), known, wanted)
    place = _directory(out)
    started = time.perf_counter()
    results: dict[str, Any] = {}
    with progress_shown(progress) as report:
        for subject in subjects:
            results[subject.estimator] = _evaluate_subject(subject, read, options, place, report)
    data = {
        "format": FORMAT,
        "version": VERSION,
        "artifact": {"file": path.name, "digest": read.digest, "bytes": path.stat().st_size},
        "options": options.to_json(),
        "budgets": list(BUDGETS),
        "levels": list(LEVELS),
        "factors": list(FACTORS),
        "seconds": time.perf_counter() - started,
        "estimators": {
            name: summarise(pieces, options, subject)
            for (name, pieces), subject in zip(results.items(), subjects, strict=True)
        },
    }
    plain = _without_nan(data)
    write_atomically(place / REPORT, (json.dumps(plain, indent=1) + "\n").encode(), fsync=False)
    return Evaluation(plain, (place / REPORT, *write_page(plain, place)))


def _read(histories: Histories | Sequence[str | os.PathLike[str]] | None) -> list[History]:
    if histories is None:
        histories = bundled_histories()
        if not (histories / "store.json").exists():
            raise HistoryError(
                "No histories given, and this installation brings none; expected a store: a path "
                "to one, or 'metaopt/histories' of a checkout of the repository."
            )
    if isinstance(histories, Sequence) and all(
        isinstance(one, str | os.PathLike) for one in histories
    ):
        paths = [histories] if isinstance(histories, str) else list(histories)
        return [history for path in paths for history in read_histories(path)]
    return read_histories(histories)  # type: ignore[arg-type]


def _subjects(
    histories: Sequence[History], known: Collection[str], wanted: Sequence[str] | None
) -> list[Subject]:
    unknown = sorted(set(wanted or ()) - set(known))
    if unknown:
        raise ArtifactError(
            f"estimators={unknown} given; expected some that the artifact knows: {sorted(known)}."
        )
    found = subjects_of(histories, known if wanted is None else wanted)
    enough = [one for one in found if len(one.families) >= _FEWEST_FAMILIES]
    missing = sorted(set(wanted or ()) - {one.estimator for one in enough})
    if missing or not enough:
        raise HistoryError(
            f"{len(histories)} histories given, of which "
            f"{ {one.estimator: len(one.families) for one in found} } families of data sets can "
            f"be judged; expected at least {_FEWEST_FAMILIES} of "
            f"{missing or 'an estimator that the artifact knows'}: name more stores."
        )
    return enough


def _directory(out: str | os.PathLike[str]) -> Path:
    place = Path(out)
    try:
        (place / "pieces").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"out={str(place)!r} given, where no directory can be made ({error}); expected the "
            "path of a directory."
        ) from error
    return place


def _evaluate_subject(
    subject: Subject, artifact: Artifact, options: EvaluationOptions, place: Path, report: Report
) -> list[Mapping[str, Any]]:
    """The result of each experiment and fold, those that are kept read again."""
    digest = subject.digest()
    wanted = [
        (name, fold)
        for fold in range(options.n_folds)
        for name, experiment in EXPERIMENTS.items()
        if fold < experiment.n_folds(options)
    ]
    pieces: list[Mapping[str, Any]] = []
    shop: Workshop | None = None
    for n_done, (name, fold) in enumerate(wanted):
        key = [_EXPERIMENTS_VERSION, artifact.digest, digest, options.to_json()]
        file = place / "pieces" / _file_name(subject.estimator, name, fold)
        piece = _kept(file, key)
        if piece is None:
            if shop is None or shop.fold != fold:
                shop = Workshop(subject, fold, options, artifact)
            piece = _run(name, shop) | {"key": key}
            write_atomically(file, json.dumps(piece).encode(), fsync=False)
        pieces.append(piece)
        report(f"evaluating {subject.estimator}", n_done + 1, len(wanted))
    return pieces


def _run(name: str, shop: Workshop) -> dict[str, Any]:
    shop.facts.clear()
    started = time.perf_counter()
    arms = EXPERIMENTS[name].run(shop)
    seconds = time.perf_counter() - started
    return _without_nan(
        {
            "experiment": name,
            "fold": shop.fold,
            "seconds": seconds,
            "facts": dict(shop.facts),
            "arms": arms,
        }
    )


def _kept(file: Path, key: Sequence[Any]) -> dict[str, Any] | None:
    """A result that was made of the same things; ``None`` if there is none that can be read."""
    try:
        piece = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return piece if isinstance(piece, dict) and piece.get("key") == key else None


def _file_name(*parts: object) -> str:
    plain = re.sub(r"[^A-Za-z0-9.]+", "_", "-".join(map(str, parts)))
    # Names that read alike without their punctuation are told apart by a digest.
    return f"{plain}-{hashlib.blake2b(repr(parts).encode(), digest_size=4).hexdigest()}.json"


def _without_nan(value: Any) -> Any:
    """Plain values; numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(name): _without_nan(one) for name, one in value.items()}
    if isinstance(value, str):
        return value
    if isinstance(value, Iterable):
        return [_without_nan(one) for one in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
