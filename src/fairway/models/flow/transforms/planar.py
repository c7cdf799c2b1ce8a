"""The planar map: a ridge function pushes space along one direction (Rezende and Mohamed 2015, section 4.1).

    u = z + v tanh(w.z + b)                                       from the latent to the data: one pass
    log|det du/dz| = log(1 + (w.v) h'),  h' = 1 - tanh^2          a rank-one determinant: O(D), not O(D^3)

It is invertible where w.v > -1. The learned direction is moved along w until it is (the paper's appendix A.1):

    v = v0 + (m(w.v0) - w.v0) w / |w|^2,   m increasing, m > -1, m(0) = 0

(the paper's m(x) = log(1 + e^x) - 1 is not 0 at 0: its move grows without bound as w -> 0). The way back is one
equation per row in the number a = w.z + b, increasing, whatever D is:

    a + c tanh(a) = w.u + b,  c = w.v > -1,        z = u - v tanh(a)

By its symmetry take the right side s >= 0. On a >= 0 the left side is concave for c > 0 and convex for c < 0, so
Newton's steps from a point left of the root (concave) or right of it (convex) go to the root and never past it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from fairway.models.flow.transforms.amortised import Amortised, slope_above_zero
from fairway.models.flow.transforms.transform import Transform

STEPS = 60  # of Newton; six are the rule, and the last ones double the digits
START = 0.5  # length of w as built


class Planar(Transform):
    """A planar map of vectors (B, D).

    Args:
        dims: D.
        context: width of the context that moves its parameters, 0 for none.
        hidden: widths of the network from the context to the parameters.
    """

    one_by_one = frozenset({"to_latent"})

    def __init__(self, dims: int, context: int = 0, hidden: Sequence[int] = ()) -> None:
        super().__init__()
        self.dims = dims
        normal = torch.randn(dims)
        w = START * normal / normal.norm().clamp(min=1e-6)
        self.parameters_of = Amortised(torch.cat([1e-2 * torch.randn(dims), w, torch.zeros(1)]), context, hidden)

    def _maps(self, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """v, w (B or 1, D), b and c = w.v (B or 1,)."""
        v, w, b = self.parameters_of(context).split([self.dims, self.dims, 1], 1)
        wv, square = (w * v).sum(1, keepdim=True), w.square().sum(1, keepdim=True)
        c = slope_above_zero(wv) - 1
        v = v + (c - wv) * w / square.clamp(min=torch.finfo(w.dtype).tiny)
        return v, w, b.squeeze(1), torch.where(square > 0, c, wv).squeeze(1)

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v, w, b, c = self._maps(context)
        h = torch.tanh((z * w).sum(1) + b)
        return z + v * h.unsqueeze(1), torch.log1p(c * (1 - h.square()))

    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v, w, b, c = self._maps(context)
        h = torch.tanh(ridge_root((u * w).sum(1) + b, c))
        return u - v * h.unsqueeze(1), -torch.log1p(c * (1 - h.square()))


def ridge_root(s: Tensor, c: Tensor) -> Tensor:
    """The a with a + c tanh(a) = s, entrywise, c > -1; every entry on its own.

    It is found without gradient. Two more of Newton's steps, with gradient, then leave the value as it is and carry
    exact first and second (and third) derivatives with respect to s and c: each doubles the order of its start.
    """
    with torch.no_grad():
        a = s.sign() * _root_from_one_side(s.abs(), c.expand_as(s))
    for _ in range(2):
        h = torch.tanh(a)
        a = a - (a + c * h - s) / (1 + c * (1 - h.square()))
    return a


def _root_from_one_side(s: Tensor, c: Tensor) -> Tensor:
    """`ridge_root` for s >= 0, without gradient."""
    line = s / (1 + c)  # where the tangent at 0 meets s: left of the root for c > 0, right of it for c < 0
    a = torch.where(c > 0, torch.maximum(line, s - c), torch.minimum(line, s - c))
    tolerance, onward, done = 4 * torch.finfo(s.dtype).eps, -c.sign(), torch.zeros_like(s, dtype=torch.bool)
    for _ in range(STEPS):
        h = torch.tanh(a)
        step = (a + c * h - s) / (1 + c * (1 - h.square()))
        a = torch.where(done, a, a - step)  # a row that has arrived stays, whoever its neighbours are
        done = done | (step * onward <= tolerance * (1 + a))  # a step back is one of rounding
        if not torch.compiler.is_compiling() and bool(done.all()):
            break
    return a
