"""The radial map: space swells or shrinks around a point (Rezende and Mohamed 2015, section 4.1).

    u = z + beta h(r) (z - z0),   r = |z - z0|,  h = 1 / (alpha + r)                    latent to data
    log|det du/dz| = (D - 1) log(1 + beta h) + log(1 + beta h + beta h' r)              h' = -1 / (alpha + r)^2

It is invertible where beta > -alpha, with alpha > 0: beta = alpha m, m > -1 (the paper's appendix A.2). Rays from z0 go
to themselves, so the way back is one equation in r, and a quadratic one, whatever D is: with rho = |u - z0|

    rho = r + beta r / (alpha + r)   <=>   r^2 + p r - alpha rho = 0,   p = alpha + beta - rho

of which r is the root above 0. Both directions are closed forms.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from fairway.models.flow.transforms.amortised import LEAST, Amortised, slope_above_zero
from fairway.models.flow.transforms.transform import Transform


class Radial(Transform):
    """A radial map of vectors (B, D).

    Args:
        dims: D.
        context: width of the context that moves its parameters, 0 for none.
        hidden: widths of the network from the context to the parameters.
    """

    def __init__(self, dims: int, context: int = 0, hidden: Sequence[int] = ()) -> None:
        super().__init__()
        self.dims = dims
        start = torch.cat([0.5 * torch.randn(dims), torch.zeros(1), 1e-2 * torch.randn(1)])
        self.parameters_of = Amortised(start, context, hidden)

    def _maps(self, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """z0 (B or 1, D), alpha and beta (B or 1,)."""
        z0, a, b = self.parameters_of(context).split([self.dims, 1, 1], 1)
        alpha = LEAST + slope_above_zero(a)
        return z0, alpha.squeeze(1), (alpha * (slope_above_zero(b) - 1)).squeeze(1)

    def _ladj(self, r: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
        """log|det du/dz| (B,) at r; h + h' r is alpha h^2."""
        h = 1 / (alpha + r)
        return (self.dims - 1) * torch.log1p(beta * h) + torch.log1p(alpha * beta * h.square())

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z0, alpha, beta = self._maps(context)
        r = torch.linalg.vector_norm(z - z0, dim=1)
        return z + (beta / (alpha + r)).unsqueeze(1) * (z - z0), self._ladj(r, alpha, beta)

    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z0, alpha, beta = self._maps(context)
        rho = torch.linalg.vector_norm(u - z0, dim=1)
        r = _root(rho, alpha, beta)
        return z0 + (u - z0) / (1 + beta / (alpha + r)).unsqueeze(1), -self._ladj(r, alpha, beta)


def _root(rho: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """The r >= 0 with r + beta r / (alpha + r) = rho, by the form of the quadratic's root that cancels nothing."""
    p, q = alpha + beta - rho, alpha * rho
    sum_of_sizes = p.abs() + (p.square() + 4 * q).sqrt()
    return torch.where(p > 0, 2 * q / sum_of_sizes, sum_of_sizes / 2)
