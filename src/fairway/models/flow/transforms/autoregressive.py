"""The masked autoregressive map: every entry moves given those before it (MAF, IAF, autoregressive NSF).

    z_i = T(u_i; phi_i(u of lower rank, c))        Jacobian triangular, ladj = sum of the univariate ladjs

u -> z is one parallel pass of a masked network. z -> u goes entry by entry, *incrementally*: the units of the network
that depend on the entries so far are computed once and kept, so that all D steps together use every weight once and
cost one pass, not D (fixed-point iteration costs as many passes as it takes). The gradient through it comes from the
implicit function theorem, by one triangular solve that costs one pass, too.
"""

import torch
from torch import Tensor

from fairway.models.flow.transforms.coupling import LIMIT
from fairway.models.flow.transforms.implicit import attached, wants_gradient
from fairway.models.flow.transforms.transform import Transform
from fairway.models.flow.transforms.univariate import Univariate
from fairway.networks.masked import MaskedMLP
from fairway.networks.masked_adjoint import solve_transposed
from fairway.networks.masked_steps import MaskedSteps


class Autoregressive(Transform):
    """A masked autoregressive map of vectors (B, D).

    Args:
        univariate: the map of each entry.
        network: of D variables and as many outputs as the univariate map has parameters.

    Raises:
        ValueError: another number of outputs.
    """

    one_by_one = frozenset({"to_data"})

    def __init__(self, univariate: Univariate, network: MaskedMLP) -> None:
        super().__init__()
        if network.outputs != univariate.parameters or network.features != 1:
            raise ValueError(
                f"expected a masked network of {univariate.parameters} outputs and one feature per variable, "
                f"got {network.outputs} and {network.features}"
            )
        self.univariate, self.network = univariate, network

    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        z, ladj = self._map(u.T, context)
        return z.T, ladj.sum(0)

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            u, ladj = self._invert(z.T, context)
        if not wants_gradient(self, z, context):
            return u.T, ladj
        if self.training and self.network.dropout.p:
            raise ValueError("draws that carry a gradient need one network all the way: expected dropout=0 in training")
        residual = z.T - self._map(u, context)[0]
        u = attached(u, residual, lambda g: self._solve(u.detach(), context, g))
        return u.T, -self._map(u, context)[1].sum(0)

    def _map(self, u: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """(D, B) -> z and ladjs (D, B), in parallel."""
        return self.univariate.to_latent(u, self.network.columns(u.clamp(-LIMIT, LIMIT), context))

    def _invert(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """(D, B) -> u (D, B) and the ladj (B,), one entry after the other; the ladj at the end, for all at once."""
        z = z[self.network.inward]
        with torch.inference_mode():  # many small operations, and none to be remembered
            u, phi = self._entries(z, context, far=False)
            if not bool(u.abs().amax() <= LIMIT):  # the network must not see what lies beyond
                u, phi = self._entries(z, context, far=True)
        return u[self.network.rank], self.univariate.to_data(z, phi)[1].sum(0)

    def _entries(self, z: Tensor, context: Tensor | None, far: bool) -> tuple[Tensor, Tensor]:
        """z (D, B) -> u (D, B) and phi (P, D, B), all by rank.

        Args:
            far: whether the inputs of the network must be held within their limit.
        """
        steps = MaskedSteps(self.network, z.shape[1], context, keep=True)
        u = torch.empty_like(z) if far else steps.inputs
        for entry, value, seen in zip(z.unbind(0), u.unbind(0), steps.inputs.unbind(0), strict=True):
            self.univariate.solve(entry, steps.step(), value)
            if far:
                torch.clamp(value, -LIMIT, LIMIT, out=seen)
        phi = steps.outputs.unflatten(0, (len(z), self.univariate.parameters))  # type: ignore[union-attr]
        return u, phi.transpose(0, 1)

    def _solve(self, u: Tensor, context: Tensor | None, g: Tensor) -> Tensor:
        """J^-T g at u, all (D, B)."""
        seen = u.clamp(-LIMIT, LIMIT)
        with torch.no_grad():
            phi = self.network.columns(seen, context)
        with torch.enable_grad():
            phi = phi.requires_grad_()
            z, ladj = self.univariate.to_latent(u, phi)
            (phi_slope,) = torch.autograd.grad(z.sum(), phi)  # each entry of z sees its own parameters alone
        slopes = ladj.detach().exp(), phi_slope, (seen == u).to(u.dtype)
        return solve_transposed(self.network, seen, context, g, slopes)
