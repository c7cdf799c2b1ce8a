"""Coupling: one half passes through and says how the other half moves (NICE, RealNVP, NSF).

    u = [a, b]   z = [a, T(b; phi(a, c))]   Jacobian triangular, ladj = sum of the univariate ladjs

Inverting costs one pass of the same conditioner. Halves are contiguous; a permutation in front decides what they are.
The batch lies last in memory: halves are then blocks, and the parameters of one kind lie together. The conditioner
sees its inputs within +-LIMIT: far outside of the data it says what it said at the rim, and nothing overflows.
"""

import torch
from torch import Tensor, nn

from fairway.models.flow.transforms.transform import Transform
from fairway.models.flow.transforms.univariate import Univariate

LIMIT = 1e3  # standard deviations


class Coupling(Transform):
    """A coupling of vectors (B, d), d >= 2.

    Args:
        dims: d.
        univariate: the map of each moved entry.
        conditioner: network (B, kept + context) -> (B, parameters * moved), all of one parameter first; one that has
            `columns` is asked with the batch last.
        swap: move the first half instead of the second.

    Raises:
        ValueError: fewer than two entries.
    """

    def __init__(self, dims: int, univariate: Univariate, conditioner: nn.Module, swap: bool) -> None:
        super().__init__()
        if dims < 2:
            raise ValueError(f"a coupling needs an entry to keep and one to move: expected at least 2, got {dims}")
        self.first, self.univariate, self.conditioner, self.swap = dims // 2, univariate, conditioner, swap

    @staticmethod
    def sizes(dims: int, swap: bool) -> tuple[int, int]:
        """(kept, moved) entries."""
        first = dims // 2
        return (dims - first, first) if swap else (first, dims - first)

    def _phi(self, kept: Tensor, moved: int, context: Tensor | None) -> Tensor:
        """(kept, B) -> (parameters, moved, B)."""
        inputs = kept.clamp(-LIMIT, LIMIT)
        inputs = inputs if context is None else torch.cat([inputs, context.T])
        batch_last = getattr(self.conditioner, "columns", None)
        phi: Tensor = self.conditioner(inputs.T).T if batch_last is None else batch_last(inputs)
        return phi.unflatten(0, (self.univariate.parameters, moved))

    def _apply_map(self, x: Tensor, context: Tensor | None, inverse: bool) -> tuple[Tensor, Tensor]:
        a, b = x.T[: self.first], x.T[self.first :]
        kept, moved = (b, a) if self.swap else (a, b)
        phi = self._phi(kept, len(moved), context)
        moved, ladj = (self.univariate.to_data if inverse else self.univariate.to_latent)(moved, phi)
        return torch.cat([moved, kept] if self.swap else [kept, moved]).T, ladj.sum(0)

    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._apply_map(u, context, inverse=False)

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._apply_map(z, context, inverse=True)
