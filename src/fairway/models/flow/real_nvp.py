"""RealNVP: affine couplings (Dinh, Sohl-Dickstein and Bengio 2017, Density estimation using Real NVP).

    z_a = u_a,   z_b = u_b e^{s(u_a)} + t(u_a)        log|det| = sum s(u_a)         (eq. 4 to 6)

Both directions cost one pass: exact density and one-stroke samples. On vectors, halves alternate between the even and
odd entries and random splits, so that every entry moves given its neighbours and given far ones. On images, each level
couples under a checkerboard, then by channels after a squeeze, and half of the channels is done (section 3.4 to 3.6,
see `image_flow`); below 16 pixels a side they are flattened, unless levels are asked for. Scales are bounded smoothly
and conditioners start at zero: the flow starts as the identity.
"""

from collections.abc import Sequence
from typing import Any

from torch import nn

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.objective import Optimisation
from fairway.models.flow.coupling_chain import coupling_chain, perceptron
from fairway.models.flow.flow import Flow
from fairway.models.flow.image_flow import Shape, checked_levels, image_shape, real_nvp_images
from fairway.models.flow.transforms.transform import Chain
from fairway.models.flow.transforms.univariate import affine

IMAGES, VECTORS = (32, 32), (128, 128)
LEAST_SIDE = 16  # pixels


def _small(image: Shape | None) -> bool:
    return image is not None and min(image[1:]) < LEAST_SIDE


class RealNVP(Flow):
    """A chain of affine couplings.

    Args:
        event, context_event: see `Model`.
        transforms: number of couplings, in each level of an image.
        hidden: widths of each conditioner; None for (128, 128) units, or (32, 32) channels for images.
        levels: how often an image is squeezed and halved; 0 for a flow of flattened vectors. None: twice, or as often
            as its size allows, and 0 below 16 pixels a side. There a perceptron sees every pixel at once and takes ten
            times as many steps: on 8 x 8 digits, after 30 seconds on one busy core, 2.08 bits per dimension against
            2.11 and 2.19 (two seeds). It is the better of the two only in a hurry: with minutes, ask for `levels=2`,
            which reached 2.03 against 2.07.
        dropout: share of the conditioners' hidden units dropped in training (None: 0.2 for flattened images, of which
            a small set is soon learned by heart, else 0).
        base, embedding: see `Flow`.

    Raises:
        ValueError: a height or width that cannot be halved `levels` times.

    >>> flow = RealNVP(Event((2,)), transforms=2, hidden=(8,))
    >>> flow.sample(3, generator=0).shape
    torch.Size([3, 2])
    """

    least_dims = 2
    cites = ("dinh2017real_nvp",)
    optimisation = Optimisation(lr=2e-3, ema=0.995, clip=5.0)
    tiny = [
        Case(Event((2,)), None, {"transforms": 3, "hidden": (8,)}),
        Case(Event((1, 2, 3), "integer", low=0, high=7), None, {"transforms": 2, "hidden": (8,)}),
        Case(Event((1, 4, 4), "integer", low=0, high=7), None, {"transforms": 2, "hidden": (4,), "levels": 2}),
        Case(Event((3,)), Event((), "category", levels=3), {"transforms": 3, "hidden": (8,)}),
        Case(Event((2,), "bounded", low=-1.0, high=3.0), Event((2,)), {"transforms": 2, "hidden": (8,)}),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        transforms: int = 8,
        hidden: Sequence[int] | None = None,
        levels: int | None = None,
        dropout: float | None = None,
        base: Any = "normal",
        embedding: nn.Module | None = None,
    ) -> None:
        super().__init__(event, context_event, base=base, embedding=embedding)
        image = image_shape(self.model_event)
        self.levels = 0 if levels is None and _small(image) else checked_levels(self.model_event, levels)
        widths = hidden or (IMAGES if self.levels else VECTORS)
        if dropout is None:
            dropout = 0.2 if image is not None and not self.levels else 0.0
        if image is not None and self.levels:
            self.transform = real_nvp_images(image, self.levels, transforms, widths, self.context_dims, dropout)
        else:
            shape = tuple(s or 1 for s in self.model_event.shape)
            conditioner = perceptron(self.context_dims, widths, dropout)
            self.transform = Chain(coupling_chain(shape, affine, transforms, conditioner, "shuffle"))

    @property
    def shape(self) -> tuple[int, ...]:
        return (image_shape(self.model_event) if self.levels else None) or (self.dims,)

    @property
    def compiles(self) -> bool:
        """On tables: many small operations; on images products of matrices take the time."""
        return not self.event.image
