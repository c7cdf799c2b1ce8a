"""MintNet: invertible networks of masked convolutions (Song, Meng and Ermon 2019).

    T = T_K o ... o T_1,   every T_k triangular, in alternating order,   ladj = sum of log diagonals: exact, one pass

A residual network made invertible by masks alone: each layer's Jacobian is triangular with a positive diagonal, so its
determinant is read off, as in an autoregressive flow, but each entry moves through a network that is increasing in
that entry itself. `to_data` is a fixed-point iteration in all entries at once, with a sure way behind it (see
`transforms/mint.py`). Images are squeezed `levels` times, (C, H, W) -> (4C, H/2, W/2), and pass through masked
convolutions; vectors through triangular matrices.
"""

from collections.abc import Sequence
from typing import Any

from torch import nn

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.objective import Optimisation
from fairway.models.flow.flow import Flow
from fairway.models.flow.image_flow import checked_levels, image_shape
from fairway.models.flow.transforms.levels import squeezed_levels
from fairway.models.flow.transforms.mint import Mint
from fairway.models.flow.transforms.transform import Transform


class MintNet(Flow):
    """A chain of triangular residual layers.

    Args:
        event, context_event: see `Model`.
        transforms: number of layers, on images of every level.
        hidden: two numbers of hidden units per entry, on images per channel (None: (16, 16), fewer where there are
            more than 32 entries, on images (4, 4)).
        levels: squeezes of an image (None: 2 where the size allows); 0 takes it as a vector.
        base, embedding: see `Flow`.

    Raises:
        ValueError: not two numbers of hidden units, levels that the size does not allow.

    >>> flow = MintNet(Event((3,)), transforms=2, hidden=(4, 4))
    >>> flow.sample(5, generator=0).shape
    torch.Size([5, 3])
    """

    cites = ("song2019mintnet",)
    optimisation = Optimisation(lr=1e-2, ema=0.99, clip=5.0)
    tiny = [
        Case(Event((2,)), None, {"transforms": 3, "hidden": (4, 4)}),
        Case(Event((1, 4, 4), "integer", low=0, high=7), None, {"transforms": 2, "hidden": (2, 2), "levels": 1}),
        Case(Event((3,)), Event((), "category", levels=3), {"transforms": 2, "hidden": (4, 3)}),
        Case(Event((2,), "bounded", low=-1.0, high=3.0), Event((2,)), {"transforms": 2, "hidden": (4, 4)}),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        transforms: int = 6,
        hidden: Sequence[int] | None = None,
        levels: int | None = None,
        base: Any = "normal",
        embedding: nn.Module | None = None,
    ) -> None:
        super().__init__(event, context_event, base=base, embedding=embedding)
        self.levels = checked_levels(self.model_event, levels)
        units = 4 if self.levels else min(16, max(2, 512 // self.dims))
        self.layers, self.hidden = transforms, hidden or (units, units)
        self.transform = squeezed_levels(self.shape, self.levels, self._steps)

    def _steps(self, shape: tuple[int, ...]) -> list[Transform]:
        return [Mint(shape, self.hidden, self.context_dims, reverse=bool(i % 2)) for i in range(self.layers)]

    @property
    def shape(self) -> tuple[int, ...]:
        return (image_shape(self.model_event) or (self.dims,)) if self.levels else (self.dims,)
