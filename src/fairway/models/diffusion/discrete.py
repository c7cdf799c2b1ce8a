"""Schedules of T discrete steps, with a smooth curve through them.

    q(x_i | x_i-1) = N(sqrt(1 - beta_i) x_i-1, beta_i),  i = 1, ..., T      =>     abar_i = prod_{j <= i} (1 - beta_j)
    alpha(i / T) = sqrt(abar_i),   sigma(i / T) = sqrt(1 - abar_i)

    linear    beta_i in equal steps from (1000 / T) 1e-4 to (1000 / T) 0.02     (Ho et al. 2020, section 4)
    cosine    abar_i = f(i / T) / f(0),  f(t) = cos^2((t + 0.008) / 1.008 pi / 2),  beta_i at most 0.999
                                                                      (Nichol and Dhariwal 2021, eq. 17)

Between the grid points L = -log abar follows a monotone rational quadratic (Gregory and Delbourgo 1982): with r the
slope L'(i / T), c the chord of a step and x in [0, 1] the place within it,

    L = L_i + (L_i+1 - L_i) (c x^2 + r_i x (1 - x)) / (c + (r_i + r_i+1 - 2 c) x (1 - x))

It passes through every L_i, has a continuous slope, never falls, and is undone by one quadratic equation: a model of
discrete steps is then one of all t in [0, 1], whose flow, density and samplers are those of every other denoiser.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from fairway.core.numerics import under_transform
from fairway.models.diffusion.schedule import Pair, Schedule

FIRST, LAST, REFERENCE = 1e-4, 0.02, 1000  # the paper's betas and its number of steps
OFFSET, MOST = 0.008, 0.999


def linear_betas(levels: int) -> Tensor:
    """beta_1, ..., beta_T (T,), float64: the paper's line, as steep as makes T steps as noisy as its thousand.

    Raises:
        ValueError: so few steps that a beta is 1 or more.
    """
    scale = REFERENCE / levels
    if not scale * LAST < 1:
        raise ValueError(
            f"expected levels of at least {math.floor(REFERENCE * LAST) + 1} for linear betas, got {levels}; "
            "take cosine betas"
        )
    return torch.linspace(scale * FIRST, scale * LAST, levels, dtype=torch.float64)


def cosine_betas(levels: int) -> Tensor:
    """beta_1, ..., beta_T (T,), float64."""
    t = torch.linspace(0, 1, levels + 1, dtype=torch.float64)
    signal = torch.cos((t + OFFSET) / (1 + OFFSET) * (math.pi / 2)).square()
    return (1 - signal[1:] / signal[:-1]).clamp(max=MOST)


BETAS: dict[str, Callable[[int], Tensor]] = {"linear": linear_betas, "cosine": cosine_betas}


def betas_named(name: str, levels: int) -> Tensor:
    """beta_1, ..., beta_T (T,), float64, by name.

    Raises:
        ValueError: an unknown name, or fewer than two steps.
    """
    if name not in BETAS:
        raise ValueError(f"expected betas among {', '.join(BETAS)}, got {name!r}")
    if levels < 2:
        raise ValueError(f"expected levels of at least 2, got {levels}")
    return BETAS[name](levels)


class Discrete(Schedule):
    """Variance preserving, through the paper's levels at t = i / T.

    Args:
        betas: beta_1, ..., beta_T (T,), T at least 2, each within (0, 1).

    Raises:
        ValueError: another shape, or a beta outside.

    >>> schedule = Discrete(linear_betas(1000))
    >>> alpha, sigma = schedule(torch.tensor([0.0, 1.0], dtype=torch.float64))
    >>> [round(float(a), 6) for a in alpha], float(sigma[0])
    ([1.0, 0.006353], 0.0)
    """

    def __init__(self, betas: Tensor) -> None:
        if betas.ndim != 1 or len(betas) < 2 or not bool(((betas > 0) & (betas < 1)).all()):
            raise ValueError(f"expected betas (T,) within (0, 1), T at least 2, got {tuple(betas.shape)}")
        self.levels = len(betas)
        steps = -torch.log1p(-betas.double())
        decay = F.pad(steps.cumsum(0), (1, 0))
        self._knots = torch.stack([decay, _slopes(steps * self.levels)])  # L_i and L'(i / T), (2, T + 1)
        self._at_hand: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def __call__(self, t: Tensor) -> Pair:
        decay, _ = self._decay(t)
        return torch.exp(-decay / 2), torch.sqrt(-torch.expm1(-decay))

    def derivatives(self, t: Tensor) -> Pair:
        decay, slope = self._decay(t)
        alpha, sigma = torch.exp(-decay / 2), torch.sqrt(-torch.expm1(-decay))
        return -slope / 2 * alpha, slope / 2 * alpha.square() / sigma

    def log_snr(self, t: Tensor) -> Tensor:
        return -torch.log(torch.expm1(self._decay(t)[0]))

    def at_log_snr(self, log_snr: Tensor) -> Tensor:
        decay = F.softplus(-log_snr)  # L = log(1 + sigma^2 / alpha^2)
        knots = self._table(decay)
        index = torch.searchsorted(knots[0].contiguous(), decay.detach().contiguous(), right=True)
        index = (index - 1).clamp(0, self.levels - 1)
        return ((index + _undone(decay, *self._step(knots, index), self.levels)) / self.levels).clamp(0, 1)

    def _decay(self, t: Tensor) -> Pair:
        """L(t) = -log alpha^2 and its slope."""
        knots = self._table(t)
        index = (t.detach() * self.levels).long().clamp(0, self.levels - 1)
        (low, high), (left, right), chord = self._step(knots, index)
        x = t * self.levels - index
        inner = x * (1 - x)
        below = chord + (left + right - 2 * chord) * inner
        decay = low + (high - low) * (chord * x.square() + left * inner) / below
        slope = right * x.square() + 2 * chord * inner + left * (1 - x).square()
        return decay, chord.square() * slope / below.square()

    def _step(self, knots: Tensor, index: Tensor) -> tuple[Pair, Pair, Tensor]:
        """L and L' at both ends of a step, and its chord."""
        (low, left), (high, right) = knots[:, index], knots[:, index + 1]
        return (low, high), (left, right), (high - low) * self.levels

    def _table(self, like: Tensor) -> Tensor:
        """The knots where t is and as it is; kept, unless made within a transform whose wrapper they would keep."""
        key = (like.device, like.dtype)
        found = self._at_hand.get(key)
        if found is None:
            found = self._knots.to(like.device, like.dtype)
            if not under_transform():
                self._at_hand[key] = found
        return found


def _slopes(chords: Tensor) -> Tensor:
    """L' at the knots (T + 1,) from the chords (T,): geometric means inside, and lines continued at the ends."""
    inside = torch.sqrt(chords[:-1] * chords[1:])
    first = torch.maximum(2 * chords[:1] - inside[:1], chords[:1] / 2)
    last = torch.maximum(2 * chords[-1:] - inside[-1:], chords[-1:] / 2)
    return torch.cat([first, inside, last])


def _undone(decay: Tensor, ends: Pair, slopes: Pair, chord: Tensor, levels: int) -> Tensor:
    """The x in [0, 1] at which a step has this L: the root of a x^2 + b x - c that does not cancel."""
    (low, _), (left, right) = ends, slopes
    above, bend = (decay - low) * levels, left + right - 2 * chord
    a, b, c = chord * (chord - left) + above * bend, chord * left - above * bend, chord * above
    root = torch.sqrt((b.square() + 4 * a * c).clamp(min=0))
    return (2 * c / (b + root)).clamp(0, 1)
