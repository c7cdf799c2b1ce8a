"""Reading ahead: what batches are made of, one piece after the other, through torchdata's `StatefulDataLoader`.

Which pieces come, and what is in each, is a function of a position; so a run that goes on at a position needs nothing
else, whatever the number of worker processes. A loader is started there and reads nothing before it.
"""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch


class Loader:
    """Pieces by position, read ahead in the order of `requests`.

    Args:
        read: request -> piece, in a worker process where there are any; its ValueErrors are raised here.
        requests: position -> endless (position, request) pairs from there on.
        workers: processes that read; 0 reads here.
        ahead: pieces that each worker reads before they are asked for.
    """

    def __init__(
        self,
        read: Callable[[Any], Any],
        requests: Callable[[Any], Iterator[tuple[Any, Any]]],
        workers: int = 0,
        ahead: int = 2,
    ) -> None:
        self.pieces, self.requests, self.workers, self.ahead = _Pieces(read), requests, workers, ahead
        self._pieces: Iterator[tuple[Any, Any, str]] | None = None
        need_torchdata()

    def __call__(self, position: Any) -> Any:
        """The piece at a position: at once where it is the next one, else after a new start."""
        at, piece, error = (None, None, "") if self._pieces is None else next(self._pieces)
        if at != position:
            self._pieces = self._start(position)
            at, piece, error = next(self._pieces)
        if error:
            self._pieces = None
            raise ValueError(error)
        return piece

    def _start(self, position: Any) -> Iterator[tuple[Any, Any, str]]:
        self._pieces = None  # ends the workers of an earlier start
        with warnings.catch_warnings():  # torchdata 0.11 tells torch that it is there by a function that went away
            warnings.filterwarnings("ignore", "'set_vital' is deprecated", UserWarning)
            loader = need_torchdata()(
                self.pieces,
                batch_size=None,
                sampler=_Requests(self.requests, position),
                num_workers=self.workers,
                prefetch_factor=self.ahead if self.workers else None,
                generator=torch.Generator().manual_seed(0),  # seeds the workers: the global one stays untouched
                snapshot_every_n_steps=1 << 30,
                collate_fn=_as_it_is,
            )
        return iter(loader)


class _Pieces(torch.utils.data.Dataset[Any]):
    """What a worker does with a request."""

    def __init__(self, read: Callable[[Any], Any]) -> None:
        self.read = read

    def __getitem__(self, request: Any) -> tuple[Any, Any, str]:
        position, what = request
        try:
            return position, self.read(what), ""
        except ValueError as error:
            return position, None, str(error)


class _Requests(torch.utils.data.Sampler[Any]):
    """The requests from a position on."""

    def __init__(self, requests: Callable[[Any], Iterator[Any]], position: Any) -> None:
        self.requests, self.position = requests, position

    def __iter__(self) -> Iterator[Any]:
        return self.requests(self.position)


def _as_it_is(piece: Any) -> Any:
    return piece


def need_torchdata() -> Any:
    """torchdata's loader.

    Raises:
        ImportError: it is not installed; says what to install.
    """
    try:
        from torchdata.stateful_dataloader import StatefulDataLoader
    except ImportError as error:
        raise ImportError(
            "expected the package torchdata for streams, got none; pip install 'fairway[streams]'"
        ) from error
    return StatefulDataLoader
