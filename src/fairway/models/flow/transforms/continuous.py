"""A continuous transform: data flow to the latent along an ordinary differential equation.

    du/dt = v(u, t),  u(0) = u,  u(1) = z,      ladj = int_0^1 tr(dv/du) dt           (Chen et al. 2018, theorem 1)
    kinetic  = int |v|^2 dt                     jacobian = int |dv/du|_F^2 dt         (Finlay et al. 2020)

All three integrals ride along with u in one classical Runge-Kutta solve on a fixed grid, and gradients go back through
its steps. Slopes are pushed forward along K directions e: the identity's D for the exact trace, sum_i e_i'(dv/du) e_i;
above D = 16 random signs, for which E[e e'] = I makes e'(dv/du)e and |(dv/du)e|^2 unbiased (Hutchinson; Grathwohl et
al. 2019, section 3.1). Signs are drawn once a solve. In evaluation they are fixed, so that a density is a function of
its argument, and the way back undoes the way there; training hands in fresh ones, a row's own.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fairway.core.ode import EXACT_TRACE, grid, integrate
from fairway.core.random import Rows
from fairway.models.flow.transforms.transform import Transform

FINER = 4  # grid of evaluation against that of training
PROBES = EXACT_TRACE  # directions of evaluation where the trace is estimated: no dearer than the last exact one

Slopes = Callable[[Tensor, Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]


class Path(NamedTuple):
    """Where a solve ended, (B, D), and its integrals (B,)."""

    end: Tensor
    ladj: Tensor
    kinetic: Tensor
    jacobian: Tensor


class Continuous(Transform):
    """The flow of a velocity field, from t = 0 (data) to t = 1 (latent).

    Args:
        network: (u (B, D), t (B,), context (B, C) or None) -> velocity (B, D); smooth. One that has `with_tangents`
            (see `networks.tangent_mlp`) is asked for its slopes, any other is differentiated.
        dims: D.
        steps: Runge-Kutta steps in training; evaluation takes four times as many.
        exact: the exact trace, or Hutchinson's estimate.
    """

    one_by_one = frozenset({"to_latent", "to_data"})

    def __init__(self, network: nn.Module, dims: int, steps: int, exact: bool) -> None:
        super().__init__()
        self.network, self.dims, self.steps, self.exact = network, dims, steps, exact

    @property
    def solve_steps(self) -> int:
        """Steps of a solve in the present mode."""
        return self.steps if self.training else FINER * self.steps

    def to_latent(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        end, ladj, _, _ = self.path(u, context)
        return end, ladj

    def to_data(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        end, ladj, _, _ = self._solve(z, context, self._directions(z, None), 1.0, 0.0)
        return end, ladj

    def path(self, u: Tensor, context: Tensor | None = None, rows: Rows | None = None) -> Path:
        """From data to latent with all integrals; signs of an estimate from `rows`, or the fixed ones."""
        return self._solve(u, context, self._directions(u, rows), 0.0, 1.0)

    def move(self, u: Tensor, start: float, end: float, steps: int, context: Tensor | None = None) -> Tensor:
        """u (B, D) at `start` carried to `end` on a grid of its own, without integrals."""

        def field(value: Tensor, t: Tensor) -> Tensor:
            out: Tensor = self.network(value, t.expand(len(value)), context)
            return out

        return integrate(field, u, grid(start, end, steps, u))

    def _directions(self, like: Tensor, rows: Rows | None) -> Tensor:
        """(K, B or 1, D): the identity, or signs / sqrt(K), so that sums over K are traces either way."""
        if self.exact:
            return torch.eye(self.dims, dtype=like.dtype, device=like.device).unsqueeze(1)
        if rows is not None:
            return _signs(rows.uniform(self.dims)).unsqueeze(0)
        fixed = Rows(0, PROBES, dtype=like.dtype, device=like.device).uniform(1, self.dims)
        return _signs(fixed) / PROBES**0.5

    def _solve(self, u: Tensor, context: Tensor | None, directions: Tensor, start: float, end: float) -> Path:
        slopes: Slopes = getattr(self.network, "with_tangents", self._differentiated)

        def field(state: Tensor, t: Tensor) -> Tensor:
            velocity, pushed = slopes(state[:, : self.dims], t, directions, context)
            trace = (pushed * directions).sum((0, 2))
            kinetic, jacobian = velocity.square().sum(1), pushed.square().sum((0, 2))
            return torch.cat([velocity, torch.stack([trace, kinetic, jacobian], 1)], 1)

        state = torch.cat([u, u.new_zeros(len(u), 3)], 1)
        state = integrate(field, state, grid(start, end, self.solve_steps, u))
        return Path(state[:, : self.dims], *state[:, self.dims :].unbind(1))

    def _differentiated(
        self, u: Tensor, t: Tensor, directions: Tensor, context: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """What `with_tangents` gives, of any network, by forward differentiation."""

        def along(direction: Tensor) -> Any:
            field = lambda v: self.network(v, t.expand(len(v)), context)  # noqa: E731
            return torch.func.jvp(field, (u,), (direction.expand_as(u),))

        velocity, pushed = torch.func.vmap(along, randomness="different")(directions)
        return velocity[0], pushed


def _signs(uniform: Tensor) -> Tensor:
    return (uniform < 0.5).to(uniform.dtype) * 2 - 1
