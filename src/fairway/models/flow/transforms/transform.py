"""An invertible map between data side u and latent side z, both (B, *shape), and chains of them.

z = T(u),  ladj = log|det dT/du|        log p(u) = log p(z) + ladj
chain:  ladj of T_k o ... o T_1 is the sum of the links' ladjs
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from torch import Tensor, nn


class Transform(nn.Module, ABC):
    """An invertible map; both directions return the log-determinant of the direction taken, (B,)."""

    @property
    def one_by_one(self) -> frozenset[str]:
        """Directions that go entry after entry, or search: many small steps instead of one pass."""
        return frozenset().union(*(part.one_by_one for part in _parts(self)))

    @abstractmethod
    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """u (B, *shape) -> z (B, *shape) and log|det dz/du| (B,)."""

    @abstractmethod
    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z (B, *shape) -> u (B, *shape) and log|det du/dz| (B,)."""


def _parts(module: nn.Module) -> Iterator[Transform]:
    """The transforms directly inside a module, lists seen through."""
    for child in module.children():
        if isinstance(child, Transform):
            yield child
        else:
            yield from _parts(child)


class Chain(Transform):
    """Transforms one after the other, data side first.

    Args:
        links: applied in this order towards the latent.
    """

    def __init__(self, links: Sequence[Transform]) -> None:
        super().__init__()
        self.links = nn.ModuleList(links)

    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = None
        for link in self.links:
            u, ladj = link.to_latent(u, context)  # type: ignore[operator]
            total = ladj if total is None else total + ladj
        return u, u.new_zeros(len(u)) if total is None else total

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        total = None
        for link in reversed(self.links):
            z, ladj = link.to_data(z, context)  # type: ignore[operator]
            total = ladj if total is None else total + ladj
        return z, z.new_zeros(len(z)) if total is None else total


class Inverse(Transform):
    """A transform taken the other way round: what was slow is fast.

    Args:
        transform: whose directions are swapped.
    """

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.transform = transform

    @property
    def one_by_one(self) -> frozenset[str]:
        """Those of the transform, swapped."""
        swapped = {"to_latent": "to_data", "to_data": "to_latent"}
        return frozenset(swapped[name] for name in self.transform.one_by_one)

    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform.to_data(u, context)

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.transform.to_latent(z, context)
