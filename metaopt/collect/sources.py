"""Data sets from a directory, from single files, from scikit-learn, and generated ones."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast, get_args

import numpy as np
import pandas as pd

from metaopt.collect.data_set import DataSet, Kind, data_set
from warmstart.errors import DescriptorError

INDEX: Final = "index.csv"
TARGET: Final = "target"
_BUNDLED: Final[Mapping[str, Kind]] = {
    "iris": "classification",
    "wine": "classification",
    "breast_cancer": "classification",
    "digits": "classification",
    "diabetes": "regression",
}


def read_data(path: str | Path, *, target: str = TARGET, licence: str = "") -> list[DataSet]:
    """The data sets in a directory, or the one in a file.

    Args:
        path: A CSV or Parquet file, or a directory of such files. Where the directory has an
            ``index.csv``, its columns ``name``, ``task`` (classification or regression),
            ``categorical_features`` (names, by spaces), ``openml_dataset_id``, ``family``,
            ``licence`` and ``recipe`` (JSON) say what is known; only ``name`` has to be there.
        target: The column of the target.
        licence: Of those whose licence is not said.

    Raises:
        FileNotFoundError: If there is no such file or directory.
        DescriptorError: If a file has no target, or is no data set.
    """
    path = Path(path)
    if path.is_file():
        return [_from_file(path, {}, target, licence)]
    if not path.is_dir():
        raise FileNotFoundError(f"No data at {path}: expected a file or a directory.")
    if (path / INDEX).is_file():
        index = pd.read_csv(path / INDEX, dtype=str, keep_default_na=False)
        if "name" not in index.columns:
            raise DescriptorError(f"{path / INDEX} has no column 'name'; expected one.")
        rows = index.to_dict("records")
        return [_from_file(_file_of(path, row["name"]), row, target, licence) for row in rows]
    files = sorted(f for f in path.iterdir() if f.name.endswith(_ENDINGS))
    if not files:
        raise FileNotFoundError(f"No data in {path}: expected files ending in {_ENDINGS}.")
    return [_from_file(file, {}, target, licence) for file in files]


_ENDINGS: Final = (".csv", ".csv.gz", ".parquet")


def write_data(data_sets: Sequence[DataSet], directory: str | Path) -> None:
    """Write data sets as ``read_data`` reads them, such as samples to take to another machine.

    Args:
        data_sets: Of different names.
        directory: Made if it is not there.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    rows = []
    for data in data_sets:
        frame = pd.concat([data.X, pd.Series(data.y, name=TARGET)], axis=1)
        frame.to_csv(
            directory / f"{data.name}.csv.gz",
            index=False,
            compression={"method": "gzip", "mtime": 1},
        )
        openml_id = data.id.removeprefix("openml-dataset-")
        rows.append(
            {
                "name": data.name,
                "task": data.kind,
                "n_rows": data.n_rows,
                "n_features": data.X.shape[1],
                "n_classes": data.n_classes or "",
                "openml_dataset_id": "" if openml_id == data.id else openml_id,
                "categorical_features": " ".join(data.categorical),
                "family": data.family,
                "licence": data.licence,
                "recipe": json.dumps(data.recipe) if data.recipe else "",
            }
        )
    pd.DataFrame(rows).to_csv(directory / INDEX, index=False)


def _file_of(directory: Path, name: str) -> Path:
    for ending in _ENDINGS:
        if (directory / f"{name}{ending}").is_file():
            return directory / f"{name}{ending}"
    raise FileNotFoundError(f"No data of {name!r} in {directory}, which its {INDEX} lists.")


def _from_file(path: Path, known: Mapping[str, str], target: str, licence: str) -> DataSet:
    name = known.get("name") or path.name.removesuffix(".gz").rpartition(".")[0]
    if path.name.endswith(".parquet"):
        frame = pd.read_parquet(path)
    else:
        frame = pd.read_csv(path, low_memory=False)
    if target not in frame.columns:
        raise DescriptorError(
            f"Data set {name!r} has no column {target!r}; expected the target among "
            f"{list(frame.columns)}."
        )
    said = known.get("task") or None
    if said not in (None, *get_args(Kind)):
        raise DescriptorError(
            f"Data set {name!r} has task={said!r}; expected one of {get_args(Kind)}."
        )
    openml_id = known.get("openml_dataset_id", "").removesuffix(".0")
    return data_set(
        name,
        frame.drop(columns=target),
        frame[target],
        kind=cast(Kind | None, said),
        categorical=_column_names(known.get("categorical_features", ""), list(frame.columns)),
        id=f"openml-dataset-{openml_id}" if openml_id else "",
        family=known.get("family", ""),
        licence=known.get("licence") or licence,
        recipe=json.loads(known["recipe"]) if known.get("recipe") else None,
    )


def _column_names(text: str, columns: Sequence[str]) -> list[str]:
    """The columns in a text that has spaces between them, and perhaps within."""
    names: list[str] = []
    words = text.split()
    while words:
        length = next((n for n in range(len(words), 0, -1) if " ".join(words[:n]) in columns), 1)
        names.append(" ".join(words[:length]))
        words = words[length:]
    return names


def bundled_data() -> list[DataSet]:
    """The small data sets that come with scikit-learn."""
    from sklearn import datasets

    listed = []
    for name, kind in _BUNDLED.items():
        loaded = getattr(datasets, f"load_{name}")(as_frame=True)
        listed.append(
            data_set(
                f"sklearn_{name}",
                loaded.data,
                loaded.target,
                kind=kind,
                licence="BSD-3-Clause (scikit-learn)",
            )
        )
    return listed


def openml_data(
    dataset_ids: Sequence[int], *, server: str | None = None, apikey: str | None = None
) -> list[DataSet]:
    """Data sets from OpenML, by their ids, with the targets that OpenML names.

    Args:
        dataset_ids: Which.
        server: Address of the REST API; None for the one that ``openml`` is configured for.
        apikey: None for the user's own.

    Raises:
        OpenMLError: If the server has no such data set, or can't be read.
        DescriptorError: If OpenML names no target of it.
    """
    from warmstart.openml.rows import fetch_data

    listed = []
    for dataset_id, found in fetch_data(dataset_ids, server=server, apikey=apikey).items():
        if found.y is None:
            raise DescriptorError(f"Data set {dataset_id} of OpenML has no target; expected one.")
        listed.append(
            data_set(
                found.name,
                found.X,
                found.y,
                categorical=[name for name in found.categorical if name in found.X.columns],
                id=f"openml-dataset-{dataset_id}",
                licence=found.licence,
            )
        )
    return listed


def generated_data(*, seed: int = 0) -> list[DataSet]:
    """Regressions of kinds that collections lack: one family for each generator.

    Linear with many or few columns that matter, low rank, few informative among noise, and
    positions along curved surfaces.

    Args:
        seed: Of all of them.
    """
    from sklearn import datasets as make

    rng = np.random.default_rng(seed)

    def state() -> int:
        return int(rng.integers(2**31))

    tables: dict[str, tuple[str, tuple[np.ndarray, np.ndarray]]] = {
        "generated_linear_dense": (
            "generated_linear",
            make.make_regression(400, 20, n_informative=20, noise=30.0, random_state=state()),
        ),
        "generated_linear_few_informative": (
            "generated_linear",
            make.make_regression(300, 50, n_informative=5, noise=10.0, random_state=state()),
        ),
        "generated_linear_low_rank": (
            "generated_linear",
            make.make_regression(
                500, 30, n_informative=15, effective_rank=5, noise=1.0, random_state=state()
            ),
        ),
        "generated_sparse_uncorrelated": (
            "generated_sparse",
            make.make_sparse_uncorrelated(500, 15, random_state=state()),
        ),
        "generated_swiss_roll": (
            "generated_swiss_roll",
            make.make_swiss_roll(600, noise=0.5, random_state=state()),
        ),
        "generated_s_curve": (
            "generated_s_curve",
            make.make_s_curve(400, noise=0.1, random_state=state()),
        ),
    }
    tables["generated_steps"] = ("generated_steps", _steps(500, 12, rng))
    tables["generated_interactions"] = ("generated_interactions", _interactions(500, 10, rng))
    tables["generated_heavy_tails"] = ("generated_heavy_tails", _heavy_tails(600, 8, rng))
    return [
        data_set(
            name,
            pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])]),
            y,
            kind="regression",
            family=family,
            licence="generated",
        )
        for name, (family, (X, y)) in tables.items()
    ]


def _steps(n: int, d: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A sum of steps along each column, as trees fit it best."""
    X = rng.random((n, d))
    at, height = rng.random((3, d)), rng.normal(size=(3, d))
    return X, ((at[:, None] < X) * height[:, None]).sum(axis=(0, 2)) + rng.normal(0, 0.3, n)


def _interactions(n: int, d: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A quadratic form, of which no column alone says anything."""
    X = rng.normal(size=(n, d))
    A = np.triu(rng.normal(size=(d, d)), 1)
    return X, np.einsum("ni,ij,nj->n", X, A, X) + rng.normal(size=n)


def _heavy_tails(n: int, d: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A smooth function of skewed columns, with noise of heavy tails."""
    X = rng.lognormal(size=(n, d))
    y: Any = np.sqrt(X[:, 0]) * np.log1p(X[:, 1]) + 0.5 * np.sin(X[:, 2])
    return X, y + 0.3 * rng.standard_t(2, n)
