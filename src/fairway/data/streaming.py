"""Data that stay on disk: a table in parquet shards, a folder of images, a mapped .npy file.

A `Stream` takes the place of an array in `fit`. It knows its event, how many rows there are, which files they lie in
and how large these are; rows are read when a batch wants them. What it promises:

    order     a function of (seed, epoch): batch k is the same whatever was read before, so a run resumes at k
    memory    the batches that are read ahead, and some thousand rows on which units are measured and models monitored
    digest    of the files' names and sizes (and footers, of parquet): a changed file is noticed, see each kind

>>> stream("no/such/folder")
Traceback (most recent call last):
    ...
FileNotFoundError: expected an existing path to stream, got 'no/such/folder'
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from fairway.core.event import Event
from fairway.core.registry import did_you_mean
from fairway.data.dataset import Dataset, from_path, protocol_of
from fairway.data.files import Columns

Rows = tuple[Tensor, Tensor | None]  # x (n, *E) and labels (n,) or None
SAMPLE = 4096  # rows that are held in memory


class Reader(Protocol):
    """Batch k of a stream, or this process's part of it."""

    def __call__(self, position: int, /) -> Rows: ...


@dataclass
class About:
    """What a stream is called and what it was told.

    Args:
        name, source, protocol, options: as of a `Dataset`.
        workers: processes that read ahead; 0 reads between steps. What is read does not depend on it.
    """

    name: str
    source: str
    protocol: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    workers: int = 0


class Stream(ABC):
    """Observations on disk, in data units.

    Attributes:
        event: the support of one observation. label_event: of its label, where there are labels.
        label_names: what the labels are called, where they have names.
        about: name, source, options.
    """

    event: Event
    label_event: Event | None = None
    label_names: tuple[str, ...] | None = None
    test: None = None

    def __init__(self, about: About) -> None:
        self.about = about

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    @abstractmethod
    def parts(self) -> Iterable[tuple[str, bytes]]:
        """What the digest covers: a name and what is known of it, for every file."""

    @abstractmethod
    def choose(self, count: int, *key: int) -> Tensor:
        """Sorted numbers of rows from all over the data, chosen by a key."""

    @abstractmethod
    def read(self, index: Tensor) -> Rows:
        """Rows by number (sorted), in memory.

        Raises:
            ValueError: a damaged file, or values that the event does not allow; names the file.
        """

    @abstractmethod
    def reader(self, seed: int, size: int, share: tuple[int, int], without: Tensor) -> Reader:
        """The endless sequence of batches.

        Args:
            seed: of the order. size: rows per batch and process.
            share: this process's number and the number of processes that share each batch.
            without: sorted numbers of rows that are left out.
        """

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, n={len(self)}, event={self.event})"

    @property
    def name(self) -> str:
        """Short name."""
        return self.about.name

    @property
    def protocol(self) -> str:
        """How the values came to be; numbers under different protocols are never ranked."""
        return self.about.protocol or protocol_of(self.event)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what `parts` lists."""
        seen = hashlib.sha256()
        for name, known in self.parts():
            seen.update(f"{len(name.encode())} {name} {len(known)} ".encode() + known)
        return seen.hexdigest()

    def describe(self) -> dict[str, Any]:
        """JSON-ready record for a run folder, as of a `Dataset`."""
        return {
            "source": self.about.source,
            "name": self.name,
            "protocol": self.protocol,
            "digest": self.digest,
            "n": len(self),
            "event": self.event.to_dict(),
            "options": {**self.about.options, "stream": True},
        }

    def sample(self, count: int = SAMPLE, seed: int = 0) -> Dataset:
        """Some rows in memory, chosen by the seed: for a look, or for what takes no stream."""
        x, labels = self.read(self.choose(min(count, len(self)), seed))
        return Dataset(x, self.event, labels, self.label_names, name=self.name, protocol=self.protocol)

    def split(self, fraction: float | None = None, seed: int = 0) -> Any:
        """Refused: the rows of a stream are on disk."""
        raise ValueError(f"expected a folder of its own for rows kept from the stream {self.name}, got a share of it")


def stream(
    source: str | PathLike[str],
    *,
    columns: Columns | None = None,
    labels: str | None = None,
    protocol: str | None = None,
    event: Event | None = None,
    workers: int = 0,
) -> Any:
    """Data that stay on disk.

    Args:
        source: a folder of parquet files or of images (at any depth), one parquet file, or a .npy file.
        columns: names or numbers of the columns of a table to keep.
        labels: the column of a parquet table that holds class labels 0, 1, ...; images are labelled by subfolders.
        protocol: a word of one's own for how the values came to be.
        event: the support, where the inferred one is not meant.
        workers: processes that read ahead.

    Returns:
        A `Stream`; of a .npy file a `Dataset` whose x is mapped.

    Raises:
        FileNotFoundError: no such path.
        ValueError: nothing that can be streamed, or damaged files.
        ImportError: a package of `fairway[streams]` is not installed.
    """
    path = Path(source).expanduser()
    if path.suffix.lower() == ".npy" and not path.is_dir():
        if labels is not None:
            raise ValueError(f"expected labels= with parquet files, got {path}; pass them as context=")
        return from_path(str(source), protocol, columns, event, mapped=True)
    told = {"protocol": protocol, "columns": columns and list(columns), "labels": labels}
    options = {key: value for key, value in told.items() if value}
    about = About(path.resolve().name, str(source), protocol or "", options, workers)
    if _shards(path):
        from fairway.data.parquet_stream import ParquetStream

        return ParquetStream(_shards(path), about, columns, labels, event)
    if not path.is_dir():
        _refuse(path)
    if columns is not None or labels is not None:
        raise ValueError(
            f"expected columns= and labels= with parquet files, got {path}, which has none; leave them out"
        )
    from fairway.data.image_stream import ImageStream

    return ImageStream(path, about, event)


def _shards(path: Path) -> list[Path]:
    """The parquet files at a path, in the order of their names."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".parquet" else []
    found = sorted(file for file in path.rglob("*.parquet") if file.is_file())
    return [file for file in found if not any(part.startswith((".", "_")) for part in file.relative_to(path).parts)]


def _refuse(path: Path) -> None:
    """Neither a folder nor a file that can be streamed."""
    if path.is_file():
        raise ValueError(f"expected a folder, a .parquet or a .npy file to stream, got {path.name!r}; convert it")
    near = did_you_mean(path.name, [entry.name for entry in path.parent.iterdir()]) if path.parent.is_dir() else ""
    raise FileNotFoundError(f"expected an existing path to stream, got {str(path)!r}{near}")
