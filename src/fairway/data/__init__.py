"""Data by name, by path or as an array: `load("digits")`, `load("table.csv")`, `load(x)`;
`stream("shards/")` for data that stay on disk.

A `Dataset` carries what a number about it needs to be compared fairly: its event, its protocol and its digest.
Importing this package is light: the table of names needs no torch, and scikit-learn, pandas and Pillow are imported
only by the dataset that asks for them.

>>> "digits" in datasets
True
"""

from typing import TYPE_CHECKING, Any

from fairway.data.registry import DATASETS, datasets

if TYPE_CHECKING:
    from fairway.data.dataset import Dataset, load
    from fairway.data.streaming import Stream, stream

__all__ = ["DATASETS", "Dataset", "Stream", "datasets", "load", "stream"]


def __getattr__(name: str) -> Any:
    """Load what needs torch when it is asked for."""
    if name in ("Dataset", "load"):
        from fairway.data import dataset

        return getattr(dataset, name)
    if name in ("Stream", "stream"):
        from fairway.data import streaming

        return getattr(streaming, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
