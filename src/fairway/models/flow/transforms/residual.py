"""Residual transforms: z = u + g(u) with a contraction g (Behrmann et al. 2019, Invertible residual networks).

    |g(u) - g(v)| <= L |u - v|, L < 1      hence invertible: u <- z - g(u) converges from anywhere, error ~ L^k (Banach)
    ladj = log det(I + dg/du)              exact for few entries, else by its power series (see `power_series`)

The two-sided slope lies in [1 - L, 1 + L]: a block moves a little, depth moves far. The gradient through `to_data` is
the implicit one, and its adjoint system (I + J)^T y = w contracts as well.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from fairway.core.random import Rows
from fairway.models.flow.transforms.fixed_point import fixed_point, solved
from fairway.models.flow.transforms.power_series import Roulette, exact_log_det, truncated_log_det, unbiased_log_det
from fairway.models.flow.transforms.transform import Transform
from fairway.networks.lipschitz import LipschitzNetwork


class Residual(Transform):
    """u + g(u).

    Args:
        branch: g, on rows (B, *shape), with a Lipschitz constant below 1.
        exact: whether the log-determinant is exact, or from its series.
        seed: of the fixed probes of a series.
    """

    one_by_one = frozenset({"to_data"})

    def __init__(self, branch: LipschitzNetwork, exact: bool, seed: int = 0) -> None:
        super().__init__()
        self.branch, self.exact, self.seed = branch, exact, seed

    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        value, push = self.branch.frozen(context).with_push(u)
        return u + value, exact_log_det(push, u) if self.exact else truncated_log_det(push, u, self.seed)

    def to_latent_unbiased(self, u: Tensor, context: Tensor | None, rows: Rows) -> tuple[Tensor, Tensor]:
        """z and an estimate of ladj (B,) whose mean over the noise is the whole series."""
        roulette = Roulette.draw(rows, u)
        order, back = roulette.order, roulette.order.argsort()
        value, push = self.branch.frozen(None if context is None else context[order]).with_push(u[order])
        return u + value[back], unbiased_log_det(push, roulette)[back]

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        u = self.data_of(z, context)
        return u, -self.to_latent(u, context)[1]

    def latent_of(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        """z alone, without the price of its log-determinant."""
        return u + self.branch(u, context)

    def data_of(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """u alone, by fixed-point iteration; carries the implicit gradient."""
        with torch.no_grad():
            branch = self.branch.frozen(context)
            u, _ = fixed_point(lambda u: z - branch(u), z)
        return solved(lambda u: self.latent_of(u, context), u, z, _adjoint)


def _adjoint(transposed: Callable[[Tensor], Tensor], w: Tensor) -> Tensor:
    """y with (I + J)^T y = w: the contraction y <- w - J^T y."""
    return fixed_point(lambda y: w - (transposed(y) - y), w)[0]
