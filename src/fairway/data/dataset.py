"""A dataset, and the one door to it: `load(name | path | array)`.

A likelihood is a number about data *under a protocol*: MNIST as 256 grey levels, binarised once or binarised anew in
each epoch are three data sets whose numbers must never be ranked together. A `Dataset` therefore carries, beside its
tensor in data units, the event (support), the protocol and a digest of its bytes; `describe()` is what a run folder
keeps, and `load(source, **options)` with that record's entries gives the same bytes again.

>>> data = load("ring", n=100)
>>> data.x.shape, data.protocol
(torch.Size([100, 2]), 'real')
>>> train, held_out = data.split(0.2)
>>> len(train), len(held_out)
(80, 20)
"""

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.event import Event
from fairway.core.extent import chunks
from fairway.data.files import Columns, column_indices, map_file, read_file, split_key
from fairway.data.image_folder import read_image_folder
from fairway.data.memory_map import LARGE, as_mapped, columns_of, is_mapped
from fairway.data.registry import datasets
from fairway.data.split import split_rows


def protocol_of(event: Event) -> str:
    """The protocol that an event states by itself.

    >>> protocol_of(Event((8, 8), "integer", low=0, high=16)), protocol_of(Event((3,)))
    ('grey levels 0..16', 'real')
    """
    if event.kind == "integer" and event.low is not None and event.high is not None:
        return f"{'grey levels' if event.image else 'integers'} {int(event.low)}..{int(event.high)}"
    if event.kind == "bounded":
        return f"bounded {event.low}..{event.high}"
    return event.kind if event.kind not in ("category", "tokens") else f"{event.kind}, {event.levels} levels"


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Observations in data units, with what makes a number about them comparable.

    Args:
        x: (n, *event.shape), in data units.
        event: the support of one observation.
        labels: (n,) class labels, or (n, H, W) maps of classes as high and wide as the images, or None; a context only
            for those who ask.
        label_names, column_names: what the labels and the columns of a table are called.
        name: short name. source: name or path as the user typed it.
        protocol: how the values came to be ("grey levels 0..255", "static binarisation"); by default what the
            event says. Numbers under different protocols are never ranked.
        options: what `load` was told besides the source (n, seed, protocol, columns); JSON-ready.
        validation, test: official splits, where the publishers made them.
        mapped: x is a file that is mapped into memory; it is never copied as a whole.

    Raises:
        ValueError: a shape that does not fit the event, or labels of another length.

    >>> import torch
    >>> data = Dataset(torch.zeros(4, 2), Event((2,)))
    >>> len(data), data.protocol
    (4, 'real')
    """

    x: Tensor
    event: Event
    labels: Tensor | None = None
    label_names: tuple[str, ...] | None = None
    column_names: tuple[str, ...] | None = None
    name: str = "array"
    source: str = "array"
    protocol: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    validation: "Dataset | None" = None
    test: "Dataset | None" = None
    mapped: bool = False

    def __post_init__(self) -> None:
        if len(self.event.shape) != self.x.ndim - 1:
            raise ValueError(f"expected x of shape (n, *{tuple(self.event.shape)}), got {tuple(self.x.shape)}")
        if self.labels is not None:
            self._check_labels(self.labels)
        object.__setattr__(self, "protocol", self.protocol or protocol_of(self.event))

    def _check_labels(self, labels: Tensor) -> None:
        """A class for each row or, of images, for each pixel."""
        one, map_ = (len(self.x),), (len(self.x), *self.event.shape[-2:])
        if labels.shape != one and not (self.event.image and labels.shape == map_):
            or_maps = f" or {map_}" if self.event.image else ""
            raise ValueError(f"expected labels of shape {one}{or_maps}, got {tuple(labels.shape)}")

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        return f"Dataset(name={self.name!r}, n={len(self)}, event={self.event}, protocol={self.protocol!r})"

    @property
    def label_event(self) -> Event | None:
        """What the labels are as a context: classes without order, as many as have names; None without labels.

        Raises:
            ValueError: labels that are fractions or negative.
        """
        if self.labels is None:
            return None
        one = Event.infer_context(self.labels.flatten())
        levels = max(one.levels or 1, len(self.label_names or ()))
        return replace(one, shape=tuple(self.labels.shape[1:]), levels=levels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over dtype, shape and bytes of x and of the labels."""
        seen = hashlib.sha256()
        for part in (self.x,) if self.labels is None else (self.x, self.labels):
            seen.update(f"{part.dtype}{tuple(part.shape)}".encode())
            for chunk in chunks(part.detach()):
                seen.update(chunk.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return seen.hexdigest()

    def describe(self) -> dict[str, Any]:
        """JSON-ready record for a run folder: source, name, protocol, digest, n, event, options, official test."""
        test = {} if self.test is None else {"test": {"n": len(self.test), "digest": self.test.digest}}
        return {
            "source": self.source,
            "name": self.name,
            "protocol": self.protocol,
            "digest": self.digest,
            "n": len(self),
            "event": self.event.to_dict(),
            "options": dict(self.options),
            **test,
        }

    def rows(self, index: Tensor) -> "Dataset":
        """The observations at `index` (int64, (m,)) with their labels, without official splits; a copy.

        Raises:
            ValueError: more of a mapped array than memory should hold.
        """
        if self.mapped and len(index) * self.x[0].nbytes > LARGE:
            raise ValueError(
                f"expected fewer rows of the mapped {self.name} at a time, got {len(index)}; save them apart"
            )
        labels = None if self.labels is None else self.labels[index]
        return replace(self, x=self.x[index], labels=labels, validation=None, test=None, mapped=False)

    def split(self, fraction: float | None = None, seed: int = 0) -> tuple["Dataset", "Dataset"]:
        """(train, held_out): the official test split where there is one and `fraction` is None, else shuffled rows.

        Args:
            fraction: the share to hold out; None means the official test split, or 0.1 where there is none.
            seed: of the shuffle; ignored with an official split.

        Raises:
            ValueError: fewer than two rows, or a fraction outside (0, 1).
        """
        if fraction is None and self.test is not None:
            return replace(self, validation=None, test=None), self.test
        train, held_out = split_rows(len(self), 0.1 if fraction is None else fraction, seed)
        return self.rows(train), self.rows(held_out)

    def select(self, columns: Columns) -> "Dataset":
        """A table with some of its columns, by name or number.

        Raises:
            ValueError: not a table, or an unknown column.
        """
        if self.x.ndim != 2:
            raise ValueError(f"expected a table (n, d) to choose columns from, got {tuple(self.x.shape)}")
        index = column_indices(columns, self.column_names, self.x.shape[1])
        names = None if self.column_names is None else tuple(self.column_names[i] for i in index)
        event = replace(self.event, shape=(len(index),))

        def chosen(part: Dataset) -> Dataset:
            return replace(part, x=columns_of(part.x, index, part.mapped), event=event, column_names=names)

        return self._with_parts(chosen)

    def _with_event(self, event: Event) -> "Dataset":
        """The same values under another event, checked; its own statement of protocol replaces the old one."""
        protocol = self.protocol if event == self.event else protocol_of(event)

        def under(part: Dataset) -> Dataset:
            return replace(part, x=event.check_data(part.x, part.name), event=event, protocol=protocol)

        return self._with_parts(under)

    def _with_parts(self, change: "Callable[[Dataset], Dataset]") -> "Dataset":
        """Apply a change to the data and to its official splits alike."""
        validation, test = (None if part is None else change(part) for part in (self.validation, self.test))
        return replace(change(self), validation=validation, test=test)


def load(
    source: Any,
    *,
    folder: str | PathLike[str] | None = None,
    protocol: str | None = None,
    columns: Columns | None = None,
    event: Event | None = None,
    stream: bool = False,
    **options: Any,
) -> Dataset:
    """Data by registered name, by path, or as an array-like.

    Args:
        source: a name (`fairway.data.datasets` lists them), a file (.npy, .npz, file.npz:key, .csv, .tsv, .txt,
            each also .gz, .parquet), a folder of images, or an array-like (n, d), (n, h, w), (n, c, h, w). A .npy
            file above 1 GiB is mapped instead of read, and so stays an array that is mapped (`np.memmap`).
        folder: where to look for a named dataset's files, instead of $FAIRWAY_DATA.
        protocol: for a named dataset one that it offers ("grey", "fixed"); for own data a word of one's own.
        columns: names or numbers of the columns of a table to keep.
        event: the support, where the inferred one is not meant.
        stream: leave the data on disk; the same as `fairway.data.stream(source, ...)`, which may be no `Dataset`.
        **options: what the named dataset's function takes (n and seed for the procedural ones), or `stream`.

    Raises:
        FileNotFoundError: no such name or path; says what is near.
        ValueError: data that cannot be used; says where and what to do.
        ImportError: a package of `fairway[data]` is not installed.

    >>> load([[0.5, 1.0], [2.5, 3.0]]).event.kind
    'real'
    """
    if stream:
        if folder is not None or not isinstance(source, str | PathLike):
            raise ValueError(f"expected a path to stream, got {source!r:.80}; map it: np.load(path, mmap_mode='r')")
        from fairway.data.streaming import stream as open_stream

        opened: Dataset = open_stream(source, protocol=protocol, columns=columns, event=event, **options)
        return opened
    if isinstance(source, str) and source in datasets:
        given = {"folder": folder, "protocol": protocol, **options}
        data = _from_name(source, {name: value for name, value in given.items() if value is not None})
        return _adjusted(data, columns, event)
    if options or folder is not None:
        names = sorted(options) + ["folder"] * (folder is not None)
        raise ValueError(f"expected no {', '.join(names)} with own data, got {source!r:.80}; they belong to named data")
    if isinstance(source, Dataset):
        return _adjusted(source if protocol is None else replace(source, protocol=protocol), columns, event)
    if isinstance(source, str | PathLike):
        return from_path(str(source), protocol, columns, event)
    if is_mapped(source):
        return _from_map(source, protocol, columns, event)
    return _from_array(source, protocol, columns, event)


def _adjusted(data: Dataset, columns: Columns | None, event: Event | None) -> Dataset:
    """Apply what does not depend on where the data come from."""
    if columns is not None:
        data = replace(data.select(columns), options={**data.options, "columns": list(columns)})
    return data if event is None else data._with_event(event)


def _from_name(name: str, given: dict[str, Any]) -> Dataset:
    """Call the registered function with what it takes; all but the folder is written to the options."""
    function = datasets[name]
    takes = list(inspect.signature(function).parameters)
    unknown = sorted(set(given) - set(takes))
    if unknown:
        raise ValueError(f"expected options of {name} among ({', '.join(takes)}), got {', '.join(unknown)}")
    options = {key: value for key, value in given.items() if key != "folder"}
    return replace(function(**given), source=name, options=options)


def _from_array(x: Any, protocol: str | None, columns: Columns | None, event: Event | None) -> Dataset:
    """An array-like; the column names of a frame are kept."""
    names = tuple(map(str, x.columns)) if hasattr(x, "columns") else None
    if columns is not None:
        x = x if names else as_tensor(x)
        if x.ndim != 2:
            raise ValueError(f"expected a table (n, d) to choose columns from, got {tuple(x.shape)}")
        index = column_indices(columns, names, x.shape[1])
        x = x.iloc[:, index] if names else x[:, index]
        names = tuple(names[i] for i in index) if names else None
    options = {} if columns is None else {"columns": list(columns)}
    known = {"protocol": protocol or "", "column_names": names, "options": options}
    return _checked(as_tensor(x), event, "x", **known)


def _from_map(x: Any, protocol: str | None, columns: Columns | None, event: Event | None, **known: Any) -> Dataset:
    """An array whose memory is a file: not copied."""
    what = known.get("name", "x")
    x = as_mapped(x, what)
    if x.ndim == 0 or (x.ndim == 1 and x.is_floating_point()):
        raise ValueError(f"expected {what} of shape (n, d) or images (n, h, w), got {tuple(x.shape)}; save x[:, None]")
    if columns is not None:
        if x.ndim != 2:
            raise ValueError(f"expected a table (n, d) in {what} to choose columns from, got {tuple(x.shape)}")
        x = columns_of(x, column_indices(columns, None, x.shape[1]), mapped=True)
        known = {"options": {"columns": list(columns)}, **known}
    return _checked(x, event, what, protocol=protocol or "", mapped=True, **known)


def from_path(
    source: str, protocol: str | None, columns: Columns | None, event: Event | None, mapped: bool = False
) -> Dataset:
    """A file or a folder of images; `mapped`: map a .npy file of any size."""
    path, _ = split_key(source)
    if not source or not path.exists():
        raise FileNotFoundError(_not_found(source, path))
    options = {
        key: value for key, value in {"protocol": protocol, "columns": columns and list(columns)}.items() if value
    }
    named = {"name": path.resolve().name, "source": source, "protocol": protocol or ""}
    known: dict[str, Any] = {**named, "options": options}
    if path.suffix.lower() == ".npy" and path.is_file() and (mapped or path.stat().st_size > LARGE):
        known["options"] = {**options, "stream": True}
        return _from_map(map_file(path), columns=columns, event=event, **known)
    if not path.is_dir():
        x, names = read_file(source, columns)
        return _checked(x, event, path.name, column_names=names, **known)
    if columns is not None:
        raise ValueError(f"expected columns= with a table, got the folder of images {source!r}; leave it out")
    x, labels, label_names = read_image_folder(path)
    event = event or Event(tuple(x.shape[1:]), "integer", low=0, high=255)
    return _checked(x, event, path.name, labels=labels, label_names=label_names, **known)


def _checked(x: Tensor, event: Event | None, what: str, **known: Any) -> Dataset:
    """Infer the event where none was given, refuse what no model can fit (NaN is for the model to refuse)."""
    event = event or Event.infer(x, what)
    return Dataset(event.check_data(x, what), event, **known)


def _not_found(source: str, path: Path) -> str:
    """What was looked for and what is near: dataset names and the files beside it."""
    expected = f"expected the name of a dataset or an existing path, got {source!r}"
    near = get_close_matches(source, list(datasets), n=1, cutoff=0.5)
    hints = [f"did you mean the dataset {near[0]!r}?"] if near else []
    if not path.parent.is_dir():
        return "; ".join([expected, *hints, f"the folder {path.parent} does not exist"])
    beside = sorted(entry.name for entry in path.parent.iterdir() if not entry.name.startswith("."))
    alike = get_close_matches(path.name, beside, n=3, cutoff=0.5)
    if alike:
        hints.append(f"near it: {', '.join(alike)}")
    elif not near:
        hints.append(f"in {path.parent}: {', '.join(beside[:8]) or 'nothing'}; datasets: {', '.join(datasets)}")
    return "; ".join([expected, *hints])
