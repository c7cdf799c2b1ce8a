"""Real tables that come with scikit-learn: nothing to download, columns of very different scale.

`wine` has proline near 750 beside hue near 1, `breast_cancer` areas near 650 beside fractal dimensions near 0.004:
a density in data units must survive both.
"""

from typing import Any

import torch

from fairway.core.event import Event
from fairway.data.dataset import Dataset
from fairway.data.optional import need


def wine() -> Dataset:
    """Chemical analysis of wines from three cultivars: (178, 13) float64, 3 classes.

    References:
        Aeberhard, Coomans and de Vel (1994), UCI repository.

    Raises:
        ImportError: scikit-learn is not installed.

    >>> wine().x.shape
    torch.Size([178, 13])
    """
    return _table("wine", need("sklearn.datasets", "the dataset wine").load_wine())


def breast_cancer() -> Dataset:
    """Measurements of cell nuclei, Wisconsin diagnostic set: (569, 30) float64, 2 classes.

    References:
        Street, Wolberg and Mangasarian (1993), UCI repository.

    Raises:
        ImportError: scikit-learn is not installed.
    """
    return _table("breast_cancer", need("sklearn.datasets", "the dataset breast_cancer").load_breast_cancer())


def _table(name: str, bunch: Any) -> Dataset:
    """A scikit-learn bunch as a table of reals."""
    x = torch.tensor(bunch.data, dtype=torch.float64)
    return Dataset(
        x,
        Event(tuple(x.shape[1:])),
        labels=torch.tensor(bunch.target, dtype=torch.int64),
        label_names=tuple(map(str, bunch.target_names)),
        column_names=tuple(map(str, bunch.feature_names)),
        name=name,
        source=name,
    )
