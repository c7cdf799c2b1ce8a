"""TarFlow: a transformer autoregressive flow (Zhai et al. 2024, Normalizing Flows are Capable Generative Models).

    an image as T patches of P entries;   z_t = x_t e^{s_t} + m_t,   (s_t, m_t) = transformer(x_0, ..., x_{t-1})
    blocks read the patches forwards and backwards in turn;   log p(u) = log N(z; 0, I) + sum of all s

Masked autoregressive flow in blocks of patches, with causal attention in the place of a masked perceptron: exact
density in one pass, draws patch by patch with keys and values kept. What makes its pictures sharp are two habits, each
a part here: train on data with a little noise and take it off the draws by one step along the flow's own score
(`NoisyMLE` and `Tweedie`), and draw with guidance towards the context (`Guided`), for which the context is dropped in
training now and then. Unlike the paper's, the first patch moves too, by what the context says, and scales are bounded.
Vectors are flows of tokens of one entry. Shapes: u (B, D) with D = T P.
"""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from fairway.core.capability import CapabilityError, HasGuidance
from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.objective import Optimisation
from fairway.core.random import Rows
from fairway.models.flow.flow import Flow
from fairway.models.flow.transforms.attention import CausalAttention
from fairway.models.flow.transforms.permutation import Permutation
from fairway.models.flow.transforms.transform import Chain
from fairway.models.flow.transforms.univariate import affine
from fairway.networks.causal_transformer import CausalTransformer

TOKENS = 64  # at most, where the size of a token is not given


class TarFlow(HasGuidance, Flow):
    """A chain of causal transformers over patches.

    Args:
        event, context_event: see `Model`.
        transforms: number of blocks, which read in alternating order.
        width, layers, heads: of each block's transformer.
        patch: side of a square patch of an image, or entries of a vector in one token; None for the smallest that
            gives at most 64 tokens.
        dropout: share of each layer's output dropped in training (None: 0.1 for images, 0 for tables).
        context_dropout: share of rows that lose their context in training, without which there is no guidance.
        base, embedding: see `Flow`.

    Raises:
        ValueError: a patch that does not divide an image's sides or leaves a single token.

    >>> flow = TarFlow(Event((1, 4, 4)), transforms=2, width=8, layers=1, heads=2, patch=2)
    >>> flow.sample(3, generator=0).shape, flow.tokens
    (torch.Size([3, 1, 4, 4]), 4)
    """

    least_dims = 2
    transform: Chain
    cites = ("zhai2024tarflow", "ho2021classifier_free")
    optimisation = Optimisation(lr=2e-3, betas=(0.9, 0.95), ema=0.995)
    tiny = [
        Case(Event((2,)), None, {"transforms": 2, "width": 8, "layers": 1, "heads": 2}),
        Case(Event((1, 2, 4), "integer", low=0, high=7), None, {"transforms": 2, "width": 8, "layers": 1, "heads": 2}),
        Case(
            Event((3,)), Event((), "category", levels=3),
            {"transforms": 3, "width": 8, "layers": 1, "heads": 2, "patch": 2},
        ),
        Case(
            Event((2,), "bounded", low=-1.0, high=3.0), Event((2,)),
            {"transforms": 2, "width": 8, "layers": 1, "heads": 2},
        ),
    ]  # fmt: skip

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        transforms: int = 4,
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
        patch: int | None = None,
        dropout: float | None = None,
        context_dropout: float = 0.1,
        base: Any = "normal",
        embedding: nn.Module | None = None,
    ) -> None:
        super().__init__(event, context_event, base=base, embedding=embedding)
        dropout = (0.1 if event.image else 0.0) if dropout is None else dropout
        order, size = tokens_of(tuple(s or 1 for s in self.model_event.shape), patch)
        self.tokens = math.ceil(self.dims / size)
        self.guided = self.context_dims > 0 and context_dropout > 0

        def block(reverse: bool) -> CausalAttention:
            network = CausalTransformer(
                self.tokens, size, affine.parameters * size, self.context_dims, width, layers, heads, dropout,
                context_dropout,
            )  # fmt: skip
            return CausalAttention(self.dims, network, size, reverse)

        self.transform = Chain([Permutation(order), *(block(bool(i % 2)) for i in range(transforms))])

    @property
    def strokes(self) -> float:
        """One step per token, in every block."""
        return float(self.tokens)

    def _sample_guided(self, n: int, context: Tensor | None, rows: Rows, scale: float) -> Tensor:
        if not self.guided or context is None:
            why = "its context was never dropped (context_dropout=0)" if self.context_dims else "it has no context"
            raise CapabilityError(f"{self.name()} cannot be guided: {why}")
        u = self.base.sample(self.dims, rows)
        order, *blocks = self.transform.links
        for block in reversed(blocks):
            u, _ = cast(CausalAttention, block).to_data_guided(u, context, scale)
        u, _ = cast(Permutation, order).to_data(u)
        return u.reshape(n, *(s or 1 for s in self.model_event.shape))


def tokens_of(shape: tuple[int, ...], patch: int | None) -> tuple[Tensor, int]:
    """The order (D,) that lays an observation out token by token, and the entries of a token.

    Args:
        shape: (D,), (H, W) or (C, H, W).
        patch: see `TarFlow`.

    Raises:
        ValueError: see `TarFlow`.
    """
    if len(shape) not in (2, 3):
        dims = math.prod(shape)
        size = patch or math.ceil(dims / TOKENS)
        if not 1 <= size < dims:
            raise ValueError(f"expected a patch of at least 1 and fewer than all {dims} entries, got {size}")
        return torch.arange(dims), size
    channels, height, width = (1, *shape)[-3:]
    side = patch or _smallest_side(height, width)
    if side < 1 or height % side or width % side or (height, width) == (side, side):
        raise ValueError(
            f"expected a patch whose side divides {height} x {width} and leaves more than one, got {side}; "
            "crop or pad the images, or give another patch"
        )
    grid = torch.arange(channels * height * width).reshape(channels, height // side, side, width // side, side)
    return grid.permute(1, 3, 0, 2, 4).flatten(), channels * side * side


def _smallest_side(height: int, width: int) -> int:
    """The smallest common divisor that leaves at most 64 patches, or else the largest that leaves more than one."""
    sides = [s for s in range(1, min(height, width) + 1) if height % s == width % s == 0 and height * width > s * s]
    return next((s for s in sides if height * width <= TOKENS * s * s), sides[-1] if sides else 1)
