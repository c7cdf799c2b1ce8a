"""Glow: ActNorm, a learned rotation of the channels, an affine coupling, again and again (Kingma and Dhariwal 2018).

    step:    z = Coupling(W (e^s u + t))        log|det| = H W sum s + H W sum log|diag| + sum s(a)     (table 1)
    level:   squeeze, steps, and half of the channels is done, under the learned prior N(mu(a), sigma(a)^2) given the
             other half: one more coupling, b' = (b - mu(a)) / sigma(a), so that the base stays N(0, I)
    vectors: the same steps with W (D, D) and a perceptron in the coupling

ActNorm starts from training rows before the first step. The context enters every coupling, and the conditional prior
is one of them. Draws at a temperature (`sampler=Temperature(0.7)`) scale the base noise.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.objective import Optimisation
from fairway.models.flow.coupling_chain import perceptron
from fairway.models.flow.flow import Flow
from fairway.models.flow.image_flow import WAVES, Shape, checked_levels, image_shape, multi_scale
from fairway.models.flow.transforms.actnorm import ActNorm, start_from
from fairway.models.flow.transforms.conv1x1 import Conv1x1
from fairway.models.flow.transforms.coupling import Coupling
from fairway.models.flow.transforms.image_coupling import ImageCoupling
from fairway.models.flow.transforms.linear import Linear
from fairway.models.flow.transforms.transform import Chain, Transform
from fairway.models.flow.transforms.univariate import affine
from fairway.networks.conv import ConvNet

START_ROWS = 1024
IMAGES, VECTORS = (64, 64), (128, 128)


class Glow(Flow):
    """A multi-scale flow of images (C, H, W) or (H, W), or a flow of vectors of at least two entries.

    Args:
        event, context_event: see `Model`.
        transforms: steps of flow, in each level of an image (None: 4), or of a vector (None: 8).
        hidden: widths of each coupling's network; None for (64, 64) channels, or (128, 128) units for vectors.
        levels: how often an image is halved (None: twice, or as often as its size allows); 0 for a flow of vectors.
        dropout: share of the networks' hidden units dropped in training.
        base, embedding: see `Flow`.

    Raises:
        ValueError: a height or width that cannot be halved `levels` times.

    >>> flow = Glow(Event((1, 4, 4)), transforms=1, hidden=(4,))
    >>> flow.sample(3, generator=0).shape
    torch.Size([3, 1, 4, 4])
    """

    least_dims = 2
    cites = ("kingma2018glow",)
    optimisation = Optimisation(lr=2e-3, ema=0.995, clip=5.0)
    tiny = [
        Case(Event((2,)), None, {"transforms": 2, "hidden": (8,)}),
        Case(Event((3,)), Event((), "category", levels=3), {"transforms": 2, "hidden": (8,)}),
        Case(Event((1, 4, 4), "integer", low=0, high=7), None, {"transforms": 1, "hidden": (4,)}),
        Case(Event((2, 4)), Event((2,)), {"transforms": 1, "hidden": (4,)}),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        transforms: int | None = None,
        hidden: Sequence[int] | None = None,
        levels: int | None = None,
        dropout: float = 0.0,
        base: Any = "normal",
        embedding: nn.Module | None = None,
    ) -> None:
        super().__init__(event, context_event, base=base, embedding=embedding)
        self.levels = checked_levels(self.model_event, levels)
        self.hidden = tuple(hidden or (IMAGES if self.levels else VECTORS))
        self.steps, self.dropout = (4 if self.levels else 8) if transforms is None else transforms, dropout
        image = image_shape(self.model_event)
        if self.levels and image is not None:
            self.transform = multi_scale(image, self.levels, self._steps_of)
        else:
            self.transform = Chain([link for i in range(self.steps) for link in self._step(i)])

    @property
    def compiles(self) -> bool:
        """On vectors: many small operations; on images convolutions take the time."""
        return not self.levels

    @property
    def shape(self) -> tuple[int, ...]:
        return (image_shape(self.model_event) if self.levels else None) or (self.dims,)

    def _step(self, index: int) -> list[Transform]:
        """One step of a flow of vectors."""
        kept, moved = Coupling.sizes(self.dims, False)
        network = perceptron(self.context_dims, self.hidden, self.dropout)(kept, affine.parameters * moved)
        return [ActNorm(self.dims), Linear(self.dims, seed=index), Coupling(self.dims, affine, network, False)]

    def _steps_of(self, shape: Shape, last: bool) -> list[Transform]:
        """The steps of one level, and the prior of the half that is done after it."""
        links: list[Transform] = []
        for i in range(self.steps):
            links += [ActNorm(shape[0]), Conv1x1(shape[0], seed=i), self._coupling(shape[0])]
        return links if last else [*links, self._coupling(shape[0])]

    def _coupling(self, channels: int) -> Transform:
        kept, moved = ImageCoupling.sizes(channels)
        network = ConvNet(kept, affine.parameters * moved, self.hidden, self.context_dims, self.dropout, WAVES)
        return ImageCoupling(channels, affine, network)

    def _start(self, u: Tensor) -> None:
        """See training rows before the first step."""
        rows = u[:START_ROWS].reshape(-1, *self.shape)
        context = rows.new_zeros(len(rows), self.context_dims) if self.context_dims else None  # the networks give 0
        start_from(self.transform, rows, context)
