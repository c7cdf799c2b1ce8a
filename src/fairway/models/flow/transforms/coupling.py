"""Coupling: one half passes through and says how the other half moves (NICE, RealNVP).

    u = [a, b]   z = [a, T(b; phi(a, c))]   Jacobian triangular, ladj = sum of the univariate ladjs

Inverting costs one pass of the same conditioner. Halves are contiguous; a permutation in front decides what they are.
"""

import torch
from torch import Tensor, nn

from fairway.models.flow.transforms.transform import Transform
from fairway.models.flow.transforms.univariate import Univariate


class Coupling(Transform):
    """A coupling of vectors (B, d), d >= 2.

    Args:
        dims: d.
        univariate: the map of each moved entry.
        conditioner: network (B, kept + context) -> (B, parameters * moved).
        swap: move the first half instead of the second.
    """

    def __init__(self, dims: int, univariate: Univariate, conditioner: nn.Module, swap: bool) -> None:
        super().__init__()
        self.first, self.univariate, self.conditioner, self.swap = dims // 2, univariate, conditioner, swap

    @staticmethod
    def sizes(dims: int, swap: bool) -> tuple[int, int]:
        """(kept, moved) entries."""
        first = dims // 2
        return (dims - first, first) if swap else (first, dims - first)

    def _phi(self, kept: Tensor, moved: int, context: Tensor | None) -> Tensor:
        inputs = kept if context is None else torch.cat([kept, context], 1)
        phi: Tensor = self.conditioner(inputs)
        return phi.unflatten(1, (self.univariate.parameters, moved)).movedim(1, 0)

    def _apply_map(self, x: Tensor, context: Tensor | None, inverse: bool) -> tuple[Tensor, Tensor]:
        a, b = x[:, : self.first], x[:, self.first :]
        kept, moved = (b, a) if self.swap else (a, b)
        phi = self._phi(kept, moved.shape[1], context)
        moved, ladj = (self.univariate.to_data if inverse else self.univariate.to_latent)(moved, phi)
        return torch.cat([moved, kept] if self.swap else [kept, moved], 1), ladj.sum(1)

    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._apply_map(u, context, inverse=False)

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._apply_map(z, context, inverse=True)
