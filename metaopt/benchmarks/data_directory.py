"""Where the real runs and surrogates lie; they are not part of the project."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import pandas as pd


def data_directory(given: str | Path | None = None) -> Path:
    """The directory of real runs and surrogates: ``given``, ``$WARMSTART_DATA`` or the default.

    Raises:
        FileNotFoundError: If there is none.
    """
    for candidate in (given, os.environ.get("WARMSTART_DATA"), "../shared/data"):
        if candidate is not None:
            path = Path(candidate)
            if (path / "openml_runs").is_dir():
                return path
            if candidate is given:
                break
    raise FileNotFoundError(
        f"No benchmark data at {given or '../shared/data'}: expected openml_runs/ and surrogates/ "
        "there; pass --data or set WARMSTART_DATA."
    )


@lru_cache(maxsize=4)
def read_qualities(data: Path) -> pd.DataFrame:
    """OpenML's data qualities, one row a task."""
    return pd.read_csv(data / "openml_runs" / "tasks.csv")


def qualities_of(row: pd.Series) -> dict[str, float]:
    """The known qualities in a row of ``read_qualities``."""
    values = row.drop(["task_id", "dataset_id", "name"]).astype(float)
    return {str(name): float(value) for name, value in values.dropna().items()}
