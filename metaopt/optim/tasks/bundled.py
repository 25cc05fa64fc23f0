"""The data sets that come with scikit-learn, as tensors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import torch
from torch import Tensor

# breast_cancer and wine stay unseen: the benchmark's tier of new data needs some.
IMAGES: Final = ("digits",)
TABLES: Final = ("digits", "diabetes", "iris")


@dataclass(frozen=True)
class DataSet:
    """One data set.

    Attributes:
        x: ``(n, n_inputs)`` float32, each column with mean 0 and deviation 1 (images: all
            pixels together).
        y: ``(n,)`` classes as int64, or standardised targets as float32.
        n_outputs: Number of classes; 1 for regression.
    """

    x: Tensor
    y: Tensor
    n_outputs: int


@cache
def load_data_set(name: str) -> DataSet:
    """Load one of scikit-learn's bundled data sets by the name of its loader.

    Args:
        name: Such as ``"digits"`` for ``sklearn.datasets.load_digits``.

    Raises:
        ValueError: If scikit-learn bundles no such data set.
    """
    from sklearn import datasets

    loader = getattr(datasets, f"load_{name}", None)
    if loader is None:
        raise ValueError(f"data set {name!r} given; expected one of {sorted({*TABLES, *IMAGES})}.")
    bunch = loader()
    x = torch.tensor(bunch.data, dtype=torch.float32)
    centred = x - x.mean(0)
    x = centred / (centred.std() if name in IMAGES else centred.std(0).clamp_min(1e-6))
    if "target_names" in bunch:
        y = torch.tensor(bunch.target, dtype=torch.int64)
        return DataSet(x, y, int(y.max()) + 1)
    y = torch.tensor(bunch.target, dtype=torch.float32)
    return DataSet(x, (y - y.mean()) / y.std(), 1)
