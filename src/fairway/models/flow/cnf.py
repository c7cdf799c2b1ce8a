"""Continuous normalizing flow: the change of variables at the limit of infinitely many small steps.

    du/dt = v(u, t),   u(0) = u data,   u(1) = z ~ N(0, I)
    log p(u) = log N(u(1); 0, I) + int_0^1 tr(dv/du)(u(t), t) dt                  (Chen et al. 2018, theorem 1)

Any smooth field gives an invertible map: nothing is masked or split, and the trace of the Jacobian takes the place of
a determinant. Both directions are one solve of the same equation. The trace is exact while D <= 16 ("numerical": the
solver's error alone), Hutchinson's estimate above ("estimate"; Grathwohl et al. 2019, FFJORD); training pays for long
and crooked paths (Finlay et al. 2020), which is why a coarse fixed grid is enough. Shapes: u, z (B, D), t in [0, 1].
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fairway.core.capability import HasPath
from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.objective import Objective, Optimisation
from fairway.core.ode import EXACT_TRACE, METHODS
from fairway.core.random import Rows
from fairway.models.flow.flow import Flow
from fairway.models.flow.transforms.continuous import Continuous
from fairway.networks.tangent_mlp import TangentMLP
from fairway.objectives.kinetic_mle import KineticMLE

TRACES = ("exact", "hutchinson")
WITNESSES = 64  # latents on which the solver is checked for the log


class CNF(HasPath, Flow):
    """A flow along a learned velocity field.

    Args:
        event, context_event: see `Model`.
        hidden: widths of the field's perceptron.
        solver_steps: Runge-Kutta steps of a solve in training, four network evaluations each; evaluation takes four
            times as many steps.
        trace: "exact" or "hutchinson"; None for exact while D <= 16.
        network: a smooth module of your own (u (B, D), t (B,), context (B, C) or None) -> (B, D) in place of the
            perceptron.
        base, embedding: see `Flow`.

    Raises:
        ValueError: no step, or an unknown trace.

    >>> flow = CNF(Event((2,)), hidden=(8,))
    >>> flow.sample(3, generator=0).shape, flow.likelihood
    (torch.Size([3, 2]), 'numerical')
    """

    transform: Continuous
    cites = ("chen2018neural_ode", "grathwohl2019ffjord", "finlay2020rnode")
    optimisation = Optimisation(lr=5e-3, ema=0.995)
    tiny = [
        Case(Event((2,)), None, {"hidden": (8, 8), "solver_steps": 8}),
        Case(Event((1, 2, 3), "integer", low=0, high=7), None, {"hidden": (8,)}),
        Case(Event((3,)), Event((), "category", levels=3), {"hidden": (8,), "solver_steps": 8}),
        Case(Event((2,), "bounded", low=-1.0, high=3.0), Event((2,)), {"hidden": (8,), "solver_steps": 8}),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        hidden: Sequence[int] = (64, 64, 64),
        solver_steps: int = 4,
        trace: str | None = None,
        network: nn.Module | None = None,
        base: Any = "normal",
        embedding: nn.Module | None = None,
    ) -> None:
        super().__init__(event, context_event, base=base, embedding=embedding)
        if solver_steps < 1:
            raise ValueError(f"expected solver_steps of at least 1, got {solver_steps}")
        if trace not in (None, *TRACES):
            raise ValueError(f"expected trace among {', '.join(TRACES)} or None, got {trace!r}")
        exact = self.dims <= EXACT_TRACE if trace is None else trace == "exact"
        network = network or TangentMLP(self.dims, self.context_dims, hidden)
        self.transform = Continuous(network, self.dims, solver_steps, exact)

    def default_objective(self) -> Objective:
        return KineticMLE()

    @property
    def likelihood(self) -> str:
        return "numerical" if self.transform.exact else "estimate"

    @property
    def strokes(self) -> float:
        """One solve."""
        return float(METHODS["rk4"] * self.transform.solve_steps)

    def _log_prob_and_path(self, u: Tensor, context: Tensor | None, rows: Rows) -> tuple[Tensor, dict[str, Tensor]]:
        path = self.transform.path(u.flatten(1), context, rows)
        return self.base.log_prob(path.end) + path.ladj, {"kinetic": path.kinetic, "jacobian": path.jacobian}

    def _log_prob_estimate(self, u: Tensor, context: Tensor | None, rows: Rows) -> Tensor:
        """(B,): log p(u), or an estimate whose mean over `rows` it is."""
        return self._log_prob_and_path(u, context, rows)[0]

    @torch.no_grad()
    def health(self) -> dict[str, float]:
        """Network evaluations of a solve, and how far draws move when its steps are halved (model units)."""
        steps = self.transform.solve_steps
        z = Rows(0, WITNESSES, dtype=self.dtype, device=self.device).normal(self.dims)
        context = z.new_zeros(WITNESSES, self.context_dims) if self.context_dims else None
        once, twice = (self.transform.move(z, 1.0, 0.0, n, context) for n in (steps, 2 * steps))
        error = float((once - twice).abs().max())
        return {"evaluations": float(METHODS["rk4"] * steps), "solver_error": error}
