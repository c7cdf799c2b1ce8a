"""The mathematics of the monotone rational-quadratic spline (Durkan et al. 2019, Neural Spline Flows).

K bins between knots (x_k, y_k) on [-B, B]^2, slopes d_k at the knots, the identity outside. Within a bin of width w,
height h and mean slope s = h / w, at xi = (u - x_k) / w, with q = xi (1 - xi):

    den = s + (d_k + d_{k+1} - 2 s) q          z = y_k + h (s xi^2 + d_k q) / den                        (eq. 4)
    dz/du = s^2 N / den^2                      N = d_{k+1} xi^2 + 2 s q + d_k (1 - xi)^2                 (eq. 5)

and back by the root of a quadratic (eq. 6 to 8), whose discriminant and root are clamped: rounding takes neither out of
its range, whatever the parameters. phi = (K widths, K heights, K - 1 slopes), each raw: (3 K - 1, *shape of u); sizes
are softmaxes with a floor, slopes softplus with a floor, and phi = 0 is the identity.

The gradient is written out (`pull`), once for both directions: automatic differentiation would keep thirty arrays of
the size of phi and read each of them twice. Where this is compiled, the bin is found by a sweep of comparisons that
fuses into one loop over the entries, without an index; eagerly it is an index and a gather.
"""

import math
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_SIZE, LEAST_SLOPE = 1e-3, 1e-3  # of a bin, as a share of the box; of a knot
UNIT_SLOPE = math.log(math.expm1(1 - LEAST_SLOPE))  # raw 0 is slope 1


class Bin(NamedTuple):
    """The bin that each value lies in: its left knot, sizes and slopes, each in the shape of the values."""

    x: Tensor
    y: Tensor
    width: Tensor
    height: Tensor
    left: Tensor
    right: Tensor
    number: Tensor


Found = tuple[Tensor, Bin]  # shares of the box (2, K, *shape), and the bin of each value


@dataclass(frozen=True)
class Spline:
    """The pure functions of a spline.

    Args:
        bins: K.
        bound: B.
    """

    bins: int
    bound: float

    # -- the bin of a value -------------------------------------------------------------------------------------
    @property
    def stretch(self) -> float:
        """d size / d share."""
        return 2 * self.bound * (1 - LEAST_SIZE * self.bins)

    def shares(self, phi: Tensor) -> Tensor:
        """(2, K, *shape): softmaxes of the widths and heights."""
        return phi[: 2 * self.bins].unflatten(0, (2, self.bins)).softmax(1)

    def found(self, value: Tensor, phi: Tensor, axis: int) -> Found:
        """Shares and the bin of each value, along the widths (axis 0) or the heights (axis 1)."""
        shares = self.shares(phi)
        if torch.compiler.is_compiling():
            return shares, self._by_sweep(value, phi, axis)
        return shares, self._by_index(value, shares, phi[2 * self.bins :], axis)

    def _by_index(self, value: Tensor, shares: Tensor, raw: Tensor, axis: int) -> Bin:
        sides = (0, 0) * value.ndim  # `pad` counts axes from the last
        edges = torch.add(_floors(self, value.ndim, value.dtype, value.device), shares.cumsum(1), alpha=self.stretch)
        edges = F.pad(edges, (*sides, 1, 0), value=-self.bound)
        left = (value >= edges[axis, 1:-1]).sum(0, keepdim=True)
        both = left + _ends(value.ndim, value.device)
        near, far = edges.gather(1, both.expand(2, *both.shape)).unbind(1)
        slopes = _slope(F.pad(raw, (*sides, 1, 1)).gather(0, both))
        (x, y), (width, height) = near.unbind(0), (far - near).unbind(0)
        return Bin(x, y, width, height, slopes[0], slopes[1], left[0])

    def _by_sweep(self, value: Tensor, phi: Tensor, axis: int) -> Bin:
        """Without an array of knots, an index or a reduction: all of it is one loop over the entries."""
        raw, one = phi[2 * self.bins :].unbind(0), torch.ones_like(value)
        sizes = [self._sizes(phi[: self.bins]), self._sizes(phi[self.bins : 2 * self.bins])]
        knot = [-self.bound * one, -self.bound * one]
        zero = torch.zeros_like(value)  # as a raw slope it is 1
        found = [*knot, sizes[0][0], sizes[1][0], zero, raw[0], zero]
        for k in range(1, self.bins):
            knot = [knot[0] + sizes[0][k - 1], knot[1] + sizes[1][k - 1]]
            right = raw[k] if k < self.bins - 1 else zero
            here = [*knot, sizes[0][k], sizes[1][k], raw[k - 1], right, k * one]
            beyond = value >= knot[axis]
            found = [torch.where(beyond, new, old) for new, old in zip(here, found, strict=True)]
        x, y, width, height, left, right, number = found
        return Bin(x, y, width, height, _slope(left), _slope(right), number)

    def _sizes(self, raw: Tensor) -> list[Tensor]:
        """Sizes of the bins, one tensor each."""
        parts = raw.unbind(0)
        top = reduce(torch.maximum, parts)
        powers = [(part - top).exp() for part in parts]
        scale = self.stretch / reduce(torch.add, powers)
        return [power * scale + 2 * self.bound * LEAST_SIZE for power in powers]

    # -- both directions --------------------------------------------------------------------------------------------
    def to_latent(self, u: Tensor, phi: Tensor) -> tuple[Tensor, Tensor, Found]:
        """z and log dz/du, and what was found on the way."""
        _, b = found = self.found(u, phi, 0)
        inside = (u > -self.bound) & (u < self.bound)
        z, ladj = _within(b, (u - b.x) / b.width)
        return torch.where(inside, z, u), torch.where(inside, ladj, 0.0), found

    def to_data(self, z: Tensor, phi: Tensor) -> tuple[Tensor, Tensor, Found]:
        """u and log du/dz, and what was found on the way."""
        _, b = found = self.found(z, phi, 1)
        inside = (z > -self.bound) & (z < self.bound)
        xi = _root(b, z - b.y)
        ladj = _within(b, xi)[1]
        return torch.where(inside, b.x + xi * b.width, z), torch.where(inside, -ladj, 0.0), found

    def solve(self, z: Tensor, phi: Tensor, out: Tensor) -> Tensor:
        """u alone, into `out`."""
        b = self.found(z, phi, 1)[1]
        return torch.where(z.abs() < self.bound, torch.addcmul(b.x, _root(b, z - b.y), b.width), z, out=out)

    # -- their gradients ------------------------------------------------------------------------------------------
    def pull(self, u: Tensor, phi: Tensor, found: Found, along_z: Tensor, along_ladj: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient of along_z . z + along_ladj . log dz/du with respect to u and phi."""
        shares, b = found
        inside = (u > -self.bound) & (u < self.bound)
        a, c = torch.where(inside, along_z, 0.0), torch.where(inside, along_ladj, 0.0)
        along_u, width, height, left, right = _slopes_of_a_bin(b, (u - b.x) / b.width, a, c)
        knots = torch.arange(self.bins, device=u.device, dtype=b.number.dtype).reshape(-1, *([1] * u.ndim))
        here, below = knots == b.number, knots < b.number
        size, knot = torch.stack([width, height]).unsqueeze(1), torch.stack([-along_u, a]).unsqueeze(1)
        # A bin's left knot moves with every size before it: along x as u moves, backwards.
        slope = shares * torch.where(here, size, torch.where(below, knot, 0.0))
        sizes = (slope - shares * slope.sum(1, keepdim=True)) * self.stretch
        raw = torch.where(here[:-1], right * _slope_change(b.right), 0.0)
        raw = raw + torch.where(here[1:], left * _slope_change(b.left), 0.0)
        return torch.where(inside, along_u, along_z), torch.cat([sizes.flatten(0, 1), raw])

    def pull_inverse(
        self, u: Tensor, phi: Tensor, found: Found, along_u: Tensor, along_ladj: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The gradient of along_u . u + along_ladj . log du/dz with respect to z and phi, at the u that was reached.

        u moves with z and phi so that z(u; phi) stays z: that is the other direction's gradient, along
        -(total slope in u) / (dz/du).
        """
        b = found[1]
        inside = (u > -self.bound) & (u < self.bound)
        xi = (u - b.x) / b.width
        slope = torch.where(inside, _within(b, xi)[1].exp(), 1.0)
        bend = torch.where(inside, _log_slope_change(b, xi) / b.width, 0.0)
        along_z = (along_u - along_ladj * bend) / slope
        return along_z, self.pull(u, phi, found, -along_z, -along_ladj)[1]


@lru_cache
@torch.inference_mode(False)  # whoever asks first: later ones may want a gradient
def _floors(spline: Spline, ndim: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(K, 1, ...): where the bins would end if they had the least size alone."""
    ends = torch.arange(1, spline.bins + 1, dtype=dtype, device=device) * (2 * spline.bound * LEAST_SIZE) - spline.bound
    return ends.reshape(-1, *([1] * ndim))


@lru_cache
@torch.inference_mode(False)
def _ends(ndim: int, device: torch.device) -> Tensor:
    """(2, 1, ...): 0 for the left end, 1 for the right."""
    return torch.arange(2, device=device).reshape(-1, *([1] * ndim))


def _slope(raw: Tensor) -> Tensor:
    """Slopes at knots; raw 0 is 1."""
    return F.softplus(raw + UNIT_SLOPE) + LEAST_SLOPE


def _slope_change(slope: Tensor) -> Tensor:
    """d slope / d raw."""
    return -torch.expm1(LEAST_SLOPE - slope)


def _within(b: Bin, xi: Tensor) -> tuple[Tensor, Tensor]:
    """z and log dz/du at xi in [0, 1] of a bin (eq. 4 and 5)."""
    s, rest = b.height / b.width, 1 - xi
    q = xi * rest
    den = s + (b.left + b.right - 2 * s) * q
    slope = b.right * xi * xi + 2 * s * q + b.left * rest * rest
    z = b.y + b.height * (s * xi * xi + b.left * q) / den
    return z, 2 * (s / den).log() + slope.log()


def _root(b: Bin, rise: Tensor) -> Tensor:
    """xi in [0, 1] at which the bin has risen by `rise` (eq. 6 to 8), in the form without cancellation."""
    s = b.height / b.width
    bend = rise * (b.left + b.right - 2 * s)
    first, second, third = b.height * (s - b.left) + bend, b.height * b.left - bend, -s * rise
    discriminant = (second * second - 4 * first * third).clamp(min=0.0)
    xi = 2 * third / (-second - discriminant.sqrt())
    return xi.clamp(0.0, 1.0)


def _log_slope_change(b: Bin, xi: Tensor) -> Tensor:
    """d log(dz/du) / d xi."""
    s, rest = b.height / b.width, 1 - xi
    q, ends = xi * rest, b.left + b.right - 2 * s
    slope = b.right * xi * xi + 2 * s * q + b.left * rest * rest
    return 2 * (b.right * xi + s * (rest - xi) - b.left * rest) / slope - 2 * ends * (rest - xi) / (s + ends * q)


def _slopes_of_a_bin(b: Bin, xi: Tensor, a: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of a z + c log dz/du with respect to u, width, height, left and right slope.

    Those of the left knot are minus that of u, and a.
    """
    s, rest, per_width = b.height / b.width, 1 - xi, 1 / b.width
    q = xi * rest
    ends = b.left + b.right - 2 * s
    den = s + ends * q
    slope = b.right * xi * xi + 2 * s * q + b.left * rest * rest
    per_den, per_slope = 1 / den, 1 / slope
    risen = (s * xi * xi + b.left * q) * per_den
    lift, turn, twist = a * b.height * per_den, c * per_den, c * per_slope
    along_xi = lift * s * slope * per_den + 2 * twist * (b.right * xi + s * (rest - xi) - b.left * rest)
    along_xi = along_xi - 2 * turn * ends * (rest - xi)
    along_s = lift * (xi * xi - risen * (1 - 2 * q)) + 2 * (c / s - turn * (1 - 2 * q) + twist * q)
    left = q * (lift * (1 - risen) - 2 * turn) + twist * rest * rest
    right = twist * xi * xi - q * (lift * risen + 2 * turn)
    along_u = along_xi * per_width
    return along_u, -(along_u * xi + along_s * s * per_width), a * risen + along_s * per_width, left, right
