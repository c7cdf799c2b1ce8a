"""What is done to real and fake rows alike before the critic sees them: the game then compares T p with T q.

    instance noise    T p = p * N(0, s^2 I)                 both laws have a density everywhere, so that their ratio is
                                                            finite however thin the sets are that they live on
    augmentation      T p = E_a [law of a(u)],  u ~ p       as many rows as one likes from a few

(Soenderby et al. 2017; Arjovsky and Bottou 2017; Karras et al. 2020, ADA). Nothing is lost where T, as a map of laws,
is invertible: T p = T q only if p = q, and the generator learns rows that were never turned or cut. A flip is a mixture
(1 - p/2) I + (p/2) F, invertible for every p but 1; a random turn, at p = 1, leaves no way to tell what was upright.
Hence no operation is certain. How far to go the critic says: r = E sign d(real) is 0 where it guesses and 1 where it
knows the real rows by heart; p rises while r is above a target and falls below it.

A view works in model units, draws from `rows` alone, is differentiable in u, and treats every row by itself. Its memory
is buffers, which move when the critic does (`observe`), once per batch that the critic learns from.
Shapes: u (B, *U); images (B, C, H, W) or (B, H, W).
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from fairway.core import parallel
from fairway.core.config import Configurable
from fairway.core.numerics import expand_as_rows
from fairway.core.random import Rows
from fairway.core.registry import Registry

OPERATIONS = ("flip", "turn", "shift", "brightness", "contrast", "cutout")
MOST = 0.8  # of the probability: beyond, operations leak into draws (Karras et al. 2020, section 2.2)
SHIFT, BRIGHTNESS, CONTRAST, CUT = 8, 0.2, 0.5, 0.5  # a side's 8th; model units; powers of 2; share of a side
# Buffers are vectors of one entry: code compiled by torch 2.13 loses what is written into a float64 scalar on the CPU.


class View(Configurable, nn.Module, ABC):
    """What the critic is shown instead of a row."""

    role: ClassVar[str] = "view"

    @abstractmethod
    def forward(self, u: Tensor, rows: Rows) -> Tensor:
        """(B, *U) -> (B, *U), by noise of the rows."""

    def observe(self, real_logits: Tensor) -> None:
        """What the critic said of the real rows of one of its batches, (B, ...), after their view was drawn."""


class InstanceNoise(View):
    """Gaussian noise on every entry.

    Args:
        std: its standard deviation, model units.
        fade: batches of the critic's over which it falls to 0, in a straight line; 0 for never. The critic learns from
            `critic_steps` batches a step (under "extragradient" from one, twice).

    Raises:
        ValueError: a deviation or a number below 0.

    >>> InstanceNoise(0.5)(torch.zeros(2, 3), Rows(0, 2)).equal(0.5 * Rows(0, 2).normal(3))
    True
    """

    seen: Tensor

    def __init__(self, std: float = 0.1, fade: int = 0) -> None:
        super().__init__()
        if not std >= 0 or fade < 0:
            raise ValueError(f"expected std and fade of at least 0, got std={std}, fade={fade}")
        self.std, self.fade = std, fade
        self.register_buffer("seen", torch.zeros(1, dtype=torch.int64))

    def forward(self, u: Tensor, rows: Rows) -> Tensor:
        noise = self.std * rows.normal(*u.shape[1:])
        return u + (noise * (1 - self.seen / self.fade).clamp_min(0) if self.fade else noise)

    def observe(self, real_logits: Tensor) -> None:
        self.seen.add_(1)


class AdaptiveAugmentation(View):
    """Images flipped, turned by quarters (squares), shifted round the edges, brightened, stretched in contrast and cut
    out, each operation with probability p per row; p follows what the critic knows of the real rows.

    The mean sign asks for a loss under which a logit of 0 means "as likely real as fake": non-saturating, smoothed,
    hinge. The level of a Wasserstein or a relativistic critic is free: fix p there, with target=None. The paper adapts
    p from four batches at once; here it moves a little at every one.

    Args:
        probability: p at the start, 0 to 0.8; it rises no further.
        target: of the mean sign of d(real); None to leave p as it is.
        span: real rows in which p may go from 0 to 1; the paper's is half a million, of runs over 25 million.

    Raises:
        ValueError: a probability or target out of range, a span below 1; rows that are no images.
    """

    p: Tensor

    def __init__(self, probability: float = 0.0, target: float | None = 0.6, span: int = 500_000) -> None:
        super().__init__()
        if not 0 <= probability <= MOST:
            raise ValueError(
                f"expected a probability in [0, {MOST}], got {probability}: what happens to nearly every image is "
                "learned as a part of the data"
            )
        if (target is not None and not -1 <= target <= 1) or span < 1:
            raise ValueError(f"expected a target in [-1, 1] and a span of at least 1, got {target} and {span}")
        self.target, self.span = target, span
        self.register_buffer("p", torch.tensor([float(probability)]))

    def forward(self, u: Tensor, rows: Rows) -> Tensor:
        if u.ndim not in (3, 4):
            raise ValueError(
                f"expected images (B, C, H, W) or (B, H, W), got {tuple(u.shape)}: for tables take InstanceNoise"
            )
        count = len(OPERATIONS)
        uniforms, (bright, stretch) = rows.uniform(2 * count), rows.normal(2).unbind(1)
        on = dict(zip(OPERATIONS, (uniforms[:, :count] < self.p).unbind(1), strict=True))
        coin, turns, down, right, *centre = uniforms[:, count:].unbind(1)
        (height, width), quarters = u.shape[-2:], 4 * turns.mul(on["turn"])
        u = rearranged(
            u,
            on["flip"] & (coin < 0.5),
            quarters.long() if height == width else None,
            _steps(down, height) * on["shift"],
            _steps(right, width) * on["shift"],
        )
        u = u + expand_as_rows(BRIGHTNESS * bright * on["brightness"], u)
        u = u * expand_as_rows(torch.exp2(CONTRAST * stretch * on["contrast"]), u)
        return u * ~_over_channels(on["cutout"][:, None, None] & _boxes(centre, height, width), u)

    def observe(self, real_logits: Tensor) -> None:
        if self.target is None:
            return
        share = parallel.mean(real_logits.sign().mean())  # the same p in every process
        step = len(real_logits) * parallel.size() / self.span
        self.p.copy_((self.p + step * torch.sign(share - self.target)).clamp(0.0, MOST))


def rearranged(u: Tensor, flip: Tensor, turns: Tensor | None, down: Tensor, right: Tensor) -> Tensor:
    """Images (B, ..., H, W), each flipped left to right, then turned counterclockwise, then shifted round the edges.

    A permutation of the pixels of each image, as one gather.

    Args:
        flip: (B,) booleans.
        turns: (B,) quarters of a turn, 0 to 3, of squares; None for no turn.
        down, right: (B,) pixels.
    """
    height, width = u.shape[-2:]
    i = (torch.arange(height, device=u.device)[:, None] - down[:, None, None]) % height  # where (i, j) comes from
    j = (torch.arange(width, device=u.device)[None, :] - right[:, None, None]) % width
    if turns is not None:
        odd, half, end = (turns % 2 == 1)[:, None, None], (turns >= 2)[:, None, None], width - 1
        i, j = torch.where(odd, j, i), torch.where(odd, end - i, j)
        i, j = torch.where(half, end - i, i), torch.where(half, end - j, j)
    j = torch.where(flip[:, None, None], width - 1 - j, j)
    source = _over_channels(i * width + j, u).expand(u.shape)
    return u.flatten(-2).gather(-1, source.flatten(-2)).view_as(u)


def _steps(uniforms: Tensor, side: int) -> Tensor:
    """Whole pixels (B,), as likely any of -k, ..., k: an eighth of the side, or one."""
    most = max(1, side // SHIFT)
    return (uniforms * (2 * most + 1)).long() - most


def _boxes(centre: list[Tensor], height: int, width: int) -> Tensor:
    """(B, H, W): pixels in a box of half the sides around a point anywhere in the image."""
    inside = [
        (torch.arange(side, device=at.device) + 0.5 - side * at[:, None]).abs() < CUT * side / 2
        for at, side in zip(centre, (height, width), strict=True)
    ]
    return inside[0][:, :, None] & inside[1][:, None, :]


def _over_channels(pixels: Tensor, u: Tensor) -> Tensor:
    """(B, H, W) -> (B, 1, H, W) where images have channels."""
    return pixels.unsqueeze(1) if u.ndim == 4 else pixels


VIEWS = {
    "instance_noise": "fairway.objectives.views:InstanceNoise",
    "adaptive_augmentation": "fairway.objectives.views:AdaptiveAugmentation",
}

views = Registry("view", VIEWS)
