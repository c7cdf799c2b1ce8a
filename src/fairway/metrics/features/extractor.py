"""Features: in what coordinates two sets of rows are compared.

    e: (n, *E) -> (n, F)      raw, the row itself; a classifier's last hidden layer; Inception; any module

A distance "in features" is a distance between the laws of e(x) and e(y). It is 0 for any two laws that e cannot tell
apart, and its size means something for this e alone; so an extractor has a `name` that says what it is, down to its
weights, and the name is part of the protocol of every number (`protocol_of`).

>>> raw(torch.zeros(5, 2, 3)).shape, raw.name
(torch.Size([5, 6]), 'raw')
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from fairway.core.arrays import as_tensor

BATCH = 500  # rows that go through an extractor at once


class Extractor(Protocol):
    """A callable (n, *E) -> (n, F) that says what it is.

    Args:
        name: what its numbers must have in common to be compared: kind, training, weights, resize.
    """

    @property
    def name(self) -> str: ...

    def __call__(self, x: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class Named:
    """A function (n, *E) -> (n, F) under a name."""

    name: str
    function: Callable[[Tensor], Tensor]

    def __call__(self, x: Tensor, /) -> Tensor:
        return self.function(x)


def _flat(x: Tensor) -> Tensor:
    return x.flatten(1)


raw = Named("raw", _flat)


def known(extractor: Extractor) -> Extractor:
    """For features (n, F) that were extracted before: returns them as they are, under the extractor's name."""
    return Named(extractor.name, _flat)


class ModuleFeatures:
    """Your own network as an extractor: evaluated in eval mode, on its own device, without gradients.

    Args:
        module: (n, *E) float32 -> (n, F).
        name: what to call it in protocols; a digest of its weights is added.
        prepare: what is done to rows first, (n, *E) -> what the module takes; resize: how to say so.

    >>> net = nn.Linear(2, 3)
    >>> _ = net.requires_grad_(False).weight.fill_(1), net.bias.fill_(0)
    >>> ModuleFeatures(net, "ones")(torch.tensor([[1.0, 2.0]]))
    tensor([[3., 3., 3.]])
    """

    def __init__(
        self, module: nn.Module, name: str, *, prepare: Callable[[Tensor], Tensor] | None = None, resize: str = "none"
    ) -> None:
        self.module, self.prepare, self.resize = module, prepare, resize
        self.name = f"{name} {digest(module.state_dict().values())}, resize {resize}"

    @torch.no_grad()
    def __call__(self, x: Tensor, /) -> Tensor:
        was_training = self.module.training
        first = next(self.module.parameters(), torch.zeros(()))
        self.module.eval()
        try:
            return self.module(self.prepare(x) if self.prepare else x.float().to(first.device))
        finally:
            self.module.train(was_training)


def digest(tensors: Iterable[Tensor]) -> str:
    """Eight hexadecimal digits of the SHA-256 of tensors' bytes."""
    seen = hashlib.sha256()
    for tensor in tensors:
        seen.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return seen.hexdigest()[:8]


@torch.no_grad()
def features_of(extractor: Extractor, x: Any, what: str = "samples") -> Tensor:
    """Features (n, F) of rows (n, *E), float64 on the CPU.

    Raises:
        ValueError: no rows, features of another shape, or values that are not finite.
    """
    rows = as_tensor(getattr(x, "x", x), what).detach()
    if rows.ndim < 2:
        raise ValueError(f"expected {what} of shape (n, *E), got {tuple(rows.shape)}")
    parts = [extractor(part).detach().double().cpu() for part in rows.split(BATCH)]
    if any(part.ndim != 2 for part in parts) or sum(map(len, parts)) != len(rows):
        raise ValueError(f"expected features (n, F) from {extractor.name!r}, got {tuple(parts[0].shape)} for a batch")
    found = torch.cat(parts)
    if not bool(torch.isfinite(found).all()):
        bad = int((~torch.isfinite(found).all(1)).nonzero()[0])
        raise ValueError(f"expected finite features of {what} under {extractor.name!r}, got NaN or inf in row {bad}")
    return found


def both(samples: Any, data: Any, extractor: Extractor) -> tuple[Tensor, Tensor]:
    """Features of samples (n, F) and of data (m, F).

    Raises:
        ValueError: as `features_of`; fewer than two rows; two numbers of features.
    """
    a, b = features_of(extractor, samples, "samples"), features_of(extractor, data, "data")
    if min(len(a), len(b)) < 2:
        raise ValueError(f"expected at least 2 samples and 2 data rows, got {len(a)} and {len(b)}")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"expected samples and data with as many features, got {a.shape[1]} and {b.shape[1]}")
    return a, b


def protocol_of(extractor: Extractor, *sizes: int, split: str = "", **settings: Any) -> str:
    """What two numbers must share to be compared: extractor (with its resize), sizes, split, settings.

    >>> protocol_of(raw, 100, 80, split="test", k=3)
    'features raw; n 100, 80; split test; k 3'
    """
    parts = [f"features {extractor.name}", f"n {', '.join(map(str, sizes))}", f"split {split or 'not stated'}"]
    return "; ".join(parts + [f"{key} {value}" for key, value in settings.items()])
