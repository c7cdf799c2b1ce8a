"""Statistics of fixed filters: how often each response exceeds each of some levels, softly counted.

    r = filter * u at a position,      h_kj(u) = mean over positions of sigmoid((r_k - e_kj) / w_k)       in (0, 1)

e_kj: J levels (quantiles of the data's responses, by `fit`; of N(0, 1) before), w_k: half of their mean distance.
All that h says of r_k is its smoothed distribution function at J places; it is bounded, so every exp(lambda . h) q has
a finite integral.

    images    the pixel itself, the Laplacian of its four neighbours, and at each wavelength a Laplacian of a Gaussian
              and Gabor filters, even and odd, at equal angles; beyond the image there are zeros, the mean in model
              units, so that pixels at the rim are asked as often as others
    vectors   each entry; (u_i +- u_j) / sqrt 2 for each pair in up to 8 dimensions, 4 D random directions beyond

Filters have norm 1 and, but for the pixel, mean 0: under N(0, I) every response is N(0, 1) or nearly so. The banks of
Zhu, Wu & Mumford 1998 (FRAME, section 4.1) are of this kind; there the counts are hard.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core.config import Configurable

PAIRS = 8  # most entries of a vector of which all pairs are looked at
ENVELOPE = 0.4  # standard deviation of a filter, in wavelengths
FINEST = 0.1  # width of a count, against 1 for the response to white noise: finer ones would only stiffen the chains
MEASURED = 200_000  # responses of a filter by which its levels are set


class Statistics(Configurable, nn.Module, ABC):
    """Fixed functions (B, *U) -> (B, K) of the responses of F filters: write `responses`.

    Args:
        filters: F.
        levels: J, so that K = F J.
    """

    role: ClassVar[str] = "network"
    edges: Tensor
    width: Tensor

    def __init__(self, filters: int, levels: int) -> None:
        super().__init__()
        if levels < 1:
            raise ValueError(f"expected a positive number of levels, got {levels}")
        self.filters, self.levels, self.outputs = filters, levels, filters * levels
        edges = torch.special.ndtri(self._shares()).float().expand(filters, levels)
        self.register_buffer("edges", edges.clone())
        self.register_buffer("width", _widths(edges))

    def _shares(self) -> Tensor:
        return torch.arange(1, self.levels + 1, dtype=torch.float64) / (self.levels + 1)

    @abstractmethod
    def responses(self, u: Tensor) -> list[Tensor]:
        """(B, filters, positions), for each group of filters that meet the same positions."""

    @torch.no_grad()
    def fit(self, u: Tensor) -> None:
        """Put the levels at quantiles of the responses of rows u (n, *U)."""
        self.edges.copy_(torch.cat([self._quantiles(r) for r in self.responses(u)]))
        self.width.copy_(_widths(self.edges))

    def _quantiles(self, r: Tensor) -> Tensor:
        pooled = r.transpose(0, 1).flatten(1)
        few = pooled[:, :: -(-pooled.shape[1] // MEASURED)].double()
        return torch.quantile(few, self._shares().to(few), dim=1).T

    def forward(self, u: Tensor) -> Tensor:
        parts, first = [], 0
        for r in self.responses(u):
            last = first + r.shape[1]
            edges, width = (v[first:last].to(r.dtype) for v in (self.edges, self.width))
            excess = (r.unsqueeze(2) - edges.unsqueeze(2)) / width.reshape(-1, 1, 1)
            parts.append(torch.sigmoid(excess).mean(3).flatten(1))
            first = last
        return torch.cat(parts, 1)


class ImageStatistics(Statistics):
    """Of Gabor filters and Laplacians, channel by channel: (B, H, W) or (B, C, H, W) -> (B, K).

    Args:
        shape: (H, W) or (C, H, W).
        wavelengths: of the filters, pixels.
        orientations: angles between 0 and pi.
        levels: at which each response is counted.

    >>> ImageStatistics((12, 12), wavelengths=(4,), orientations=2, levels=5)(torch.zeros(3, 12, 12)).shape
    torch.Size([3, 35])
    """

    def __init__(
        self,
        shape: Sequence[int],
        wavelengths: Sequence[float] = (3.0, 6.0),
        orientations: int = 4,
        levels: int = 7,
    ) -> None:
        if orientations < 1 or not all(w > 2 for w in wavelengths):
            raise ValueError(f"expected orientations >= 1 and wavelengths > 2, got {orientations} and {wavelengths}")
        banks = [_neighbours(), *(_bank(w, orientations) for w in wavelengths)]
        channels = shape[0] if len(shape) == 3 else 1
        super().__init__(channels * (1 + sum(len(bank) for bank in banks)), levels)
        self.shape, self.channels, self.scales = (channels, *shape[-2:]), channels, len(banks)
        for k, bank in enumerate(banks):
            self.register_buffer(f"bank{k}", bank.unsqueeze(1), persistent=False)

    def responses(self, u: Tensor) -> list[Tensor]:
        """Pixels, their Laplacians, then one wavelength after the other, at all positions."""
        images = u.reshape(-1, 1, *self.shape[1:])
        banks = [getattr(self, f"bank{k}").to(u.dtype) for k in range(self.scales)]
        maps = [images, *(F.conv2d(images, bank, padding=bank.shape[-1] // 2) for bank in banks)]
        return [m.reshape(len(u), self.channels * m.shape[1], -1) for m in maps]


class VectorStatistics(Statistics):
    """Of entries and of directions that mix them: (B, D) -> (B, K).

    Args:
        dims: D.
        levels: at which each response is counted.

    >>> VectorStatistics(2, levels=5)(torch.zeros(3, 2)).shape
    torch.Size([3, 20])
    """

    directions: Tensor

    def __init__(self, dims: int, levels: int = 11) -> None:
        directions = _directions(dims)
        super().__init__(directions.shape[1], levels)
        self.register_buffer("directions", directions, persistent=False)

    def responses(self, u: Tensor) -> list[Tensor]:
        """One group (B, F, 1)."""
        return [(u.reshape(len(u), -1) @ self.directions.to(u.dtype)).unsqueeze(2)]


def _widths(edges: Tensor) -> Tensor:
    """(F,): half of the mean distance of a filter's levels."""
    span = (edges.amax(1) - edges.amin(1)) / (2 * max(edges.shape[1] - 1, 1))
    return span.float().clamp(min=FINEST) if edges.shape[1] > 1 else torch.full((len(edges),), 0.5)


def _half(wavelength: float) -> int:
    return math.ceil(2 * ENVELOPE * wavelength)


def _neighbours() -> Tensor:
    """(1, 3, 3): four times the pixel less its neighbours."""
    return torch.tensor([[[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]]]) / math.sqrt(20)


def _bank(wavelength: float, orientations: int) -> Tensor:
    """(F, k, k): a Laplacian of a Gaussian and Gabor filters of one wavelength, even and odd."""
    half, std = _half(wavelength), ENVELOPE * wavelength
    axis = torch.arange(-half, half + 1, dtype=torch.float64)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    square = (x.square() + y.square()) / std**2
    envelope = torch.exp(-square / 2)
    filters = [(2 - square) * envelope]
    for k in range(orientations):
        angle = math.pi * k / orientations
        phase = 2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / wavelength
        filters += [phase.cos() * envelope, phase.sin() * envelope]
    bank = torch.stack(filters)
    bank = bank - envelope * (bank.sum((1, 2)) / envelope.sum()).reshape(-1, 1, 1)
    return (bank / bank.flatten(1).norm(dim=1).reshape(-1, 1, 1)).float()


def _directions(dims: int) -> Tensor:
    """(D, F) of norm 1."""
    eye = torch.eye(dims)
    if dims > PAIRS:
        mixed = torch.randn(dims, 4 * dims, generator=torch.Generator().manual_seed(0))
        return torch.cat([eye, mixed / mixed.norm(dim=0)], 1)
    pairs = [(eye[i] + sign * eye[j]) / math.sqrt(2) for i in range(dims) for j in range(i) for sign in (1, -1)]
    return torch.cat([eye, *[pair.unsqueeze(1) for pair in pairs]], 1)
