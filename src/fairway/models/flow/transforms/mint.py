"""The layer of MintNet: a residual network whose maps are all triangular (Song, Meng and Ermon 2019).

    z = t u + A_3 tanh(A_2 tanh(A_1 u + b_1 + C c) + b_2) + b_3,      t > 0, A_l triangular, diagonals d_l >= 0
    dz/du is triangular with diagonal  t + d_3 tanh'(.) d_2 tanh'(.) d_1 >= t,    ladj = sum of its logarithms, exact

Hidden units come in several copies of every entry. The paper asks that the product of the diagonals be >= 0; tanh is
odd, so signs can be moved into the other weights and all diagonals be positive. A bounded network makes z onto R^D.
No entry depends on later ones, and two ways lead back, row by row until the residual is rounding:

    fixed point   u <- u - a (T(u) - z) / diag dT/du      the paper's: fast where it converges; a is halved where the
                                                          residual grew
    one by one    given the others as they stand, solve each entry's equation, which is increasing in it: after k
                  sweeps the first k entries are right, so D sweeps are enough, from anywhere
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fairway.models.flow.transforms.fixed_point import Look, Map, damped, fixed_point, solved
from fairway.models.flow.transforms.increasing_root import increasing_root
from fairway.models.flow.transforms.masked_conv import MaskedMap
from fairway.models.flow.transforms.transform import Transform
from fairway.models.flow.transforms.univariate import log_scale

GAINS = (3.0, 2.0, 0.5)  # of the maps at the start: units that bend within the data, a network that adds little
ROUNDINGS = 8.0  # of the terms of z that a residual may be off


class Given(NamedTuple):
    """What the context decides: scale t and shift (B, C, ...), and the first hidden units' shift (B, K C, ...)."""

    scale: Tensor
    shift: Tensor
    hidden: Tensor


class Mint(Transform):
    """Rows (B, C, *size) to rows alike.

    Args:
        shape: (D,) or (C, H, W).
        hidden: two numbers of hidden units per entry of a vector, per channel of an image.
        context_dims: width of the context, 0 for none.
        reverse: whether the last entry comes first.

    Raises:
        ValueError: not two positive numbers of hidden units.
    """

    one_by_one = frozenset({"to_data"})

    def __init__(
        self, shape: tuple[int, ...], hidden: Sequence[int], context_dims: int = 0, reverse: bool = False
    ) -> None:
        super().__init__()
        if len(hidden) != 2 or min(hidden) < 1:
            raise ValueError(f"expected two numbers of hidden units, each at least 1, got hidden={tuple(hidden)}")
        channels, image = shape[0], len(shape) == 3
        self.channels, self.hidden, self.reverse = channels, tuple(hidden), reverse
        copies = zip((1, *hidden), (*hidden, 1), GAINS, strict=True)
        self.maps = nn.ModuleList(MaskedMap(channels, image, a, b, gain) for a, b, gain in copies)
        self.raw_scale = nn.Parameter(torch.zeros(channels))
        self.context = nn.Linear(context_dims, (2 + hidden[0]) * channels, bias=False) if context_dims else None
        nn.init.zeros_(self._maps[2].bias)

    # -- the two directions -------------------------------------------------------------------------------------
    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        u = self._ordered(u)
        z, diagonal = self._forward(u, self._given(context, u))
        return self._ordered(z), diagonal.log().flatten(1).sum(1)

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        ordered = self._ordered(z)
        with torch.no_grad():
            u = self._inverted(ordered, context)
            diagonal = self._forward(u, self._given(context, u))[1]
        u = solved(lambda u: self._forward(u, self._given(context, u))[0], u, ordered, _adjoint(diagonal))
        u = self._ordered(u)
        return u, -self.to_latent(u, context)[1]

    # -- forward ------------------------------------------------------------------------------------------------
    def _forward(self, u: Tensor, given: Given) -> tuple[Tensor, Tensor]:
        """z and the diagonal of dz/du, both like u."""
        first, second, third = self._maps
        a = torch.tanh(first.through(u, first.kernel) + given.hidden)
        b = torch.tanh(second.through(a, second.kernel) + _per_channel(second.bias, u))
        z = given.scale * u + third.through(b, third.kernel) + given.shift
        slope = first.diagonal[:, 0].reshape(1, *first.diagonal[:, 0].shape, *[1] * (u.ndim - 2))
        slope = self._copies(1 - b.square()) * _mixed(second.diagonal, self._copies(1 - a.square()) * slope)
        return z, given.scale + _mixed(third.diagonal, slope)[:, 0]

    def _given(self, context: Tensor | None, like: Tensor) -> Given:
        scale, shift, hidden = self.raw_scale, self._maps[2].bias, self._maps[0].bias
        if self.context is None or context is None:
            return Given(*(_per_channel(a, like) for a in (log_scale(scale).exp(), shift, hidden)))
        sizes = [self.channels, self.channels, self.channels * self.hidden[0]]
        more = self.context(context).split(sizes, 1)
        scale, shift, hidden = (a + b for a, b in zip((scale, shift, hidden), more, strict=True))
        return Given(*(_per_channel(a, like) for a in (log_scale(scale).exp(), shift, hidden)))

    def _copies(self, h: Tensor) -> Tensor:
        return h.unflatten(1, (-1, self.channels))

    def _ordered(self, u: Tensor) -> Tensor:
        return u.flip(list(range(1, u.ndim))) if self.reverse else u

    @property
    def _maps(self) -> list[MaskedMap]:
        return list(self.maps)  # type: ignore[arg-type]

    # -- the inverse --------------------------------------------------------------------------------------------
    def _inverted(self, z: Tensor, context: Tensor | None) -> Tensor:
        given = self._given(context, z)
        u, done = damped(lambda u: self._look(u, z, given), z / given.scale)
        left = ~done & z.flatten(1).isfinite().all(1)
        if bool(left.any()):
            u[left] = self._one_by_one(z[left], self._given(None if context is None else context[left], z[left]))
        return u

    def _look(self, u: Tensor, z: Tensor, given: Given) -> Look:
        """T(u) - z, the diagonal, and which rows (B,) are off by no more than rounding."""
        value, diagonal = self._forward(u, given)
        kernel = self._maps[2].kernel.flatten(1)
        terms = (given.scale * u).abs() + z.abs() + given.shift.abs() + _per_channel(kernel.abs().sum(1), u)
        near = (value - z).abs() <= ROUNDINGS * torch.finfo(u.dtype).eps * terms
        return value - z, diagonal, near.flatten(1).all(1)

    def _one_by_one(self, z: Tensor, given: Given) -> Tensor:
        u = z / given.scale
        for _ in range(z[0].numel()):
            u = self._sweep(u, z, given)
            if bool(self._look(u, z, given)[2].all()):
                break
        return u

    def _sweep(self, u: Tensor, z: Tensor, given: Given) -> Tensor:
        """Every entry solved for, given those before it as they stand."""
        first, second, third = self._maps
        extra = [1] * (u.ndim - 2)
        d1, d2, d3 = (m.diagonal for m in (first, second, third))
        d1 = d1[:, 0].reshape(1, *d1[:, 0].shape, *extra)
        one = self._copies(first.through(u, first.before) + given.hidden)
        a = torch.tanh(one + d1 * u.unsqueeze(1))
        two = self._copies(second.through(a.flatten(1, 2), second.before) + _per_channel(second.bias, u))
        b = torch.tanh(two + _mixed(d2, a))
        rest = given.shift + third.through(b.flatten(1, 2), third.before) - z

        def equation(y: Tensor) -> tuple[Tensor, Tensor]:
            a = torch.tanh(one + d1 * y.unsqueeze(1))
            b = torch.tanh(two + _mixed(d2, a))
            slope = (1 - b.square()) * _mixed(d2, (1 - a.square()) * d1)
            return given.scale * y + _mixed(d3, b)[:, 0] + rest, given.scale + _mixed(d3, slope)[:, 0]

        reach = _per_channel(d3[0].sum(0), u)
        return increasing_root(equation, -(rest + reach) / given.scale, (reach - rest) / given.scale)


def _adjoint(diagonal: Tensor) -> Callable[[Map, Tensor], Tensor]:
    """y with J^T y = g, J triangular: y <- y + (g - J^T y) / diag J, which is right after D steps at most."""
    steps = diagonal[0].numel() + 1
    return lambda transposed, g: fixed_point(lambda y: y + (g - transposed(y)) / diagonal, g / diagonal, steps)[0]


def _mixed(diagonal: Tensor, h: Tensor) -> Tensor:
    """(outputs, inputs, C) on (B, inputs, C, *size) -> (B, outputs, C, *size)."""
    return torch.einsum("ijc,bjc...->bic...", diagonal, h)


def _per_channel(a: Tensor, like: Tensor) -> Tensor:
    """(channels,) or (B, channels) -> (B or 1, channels, 1, ...) beside rows like these."""
    return a.reshape(-1, a.shape[-1], *[1] * (like.ndim - 2))
