"""An energy-based model: any scalar function is a density, up to a constant nobody knows.

    log p(u) = f(u) + log q(u) - log Z,   q = N(0, I),   Z = E_q[exp f(u)]

f: (B, D) -> (B,) is a network, so p tilts the reference q towards the data; energy = -log p + const, nats. The score
grad f(u) - u needs no Z, and Langevin chains need nothing else; the Metropolis test makes them exact at temperature 1.

A chain takes long to find its way from q to the data, so the chains that trained f (`objectives.persistent`) are kept:
`chains` (K, *U) is a buffer, saved with the weights, and row i of a draw goes on from a chain of its own. They started
at q too, none at data; a model without chains starts there, and `sample(n, init=..., sampler=...)` anywhere. Data are
standardised (counted data dequantised without a logit: Langevin dynamics wants bounded curvature).
Source: Du & Mordatch 2019, Implicit Generation and Modeling with Energy-Based Models; the Gaussian reference is the
exponential tilting of Nijkamp et al. 2019, section 3.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fairway.core.capability import HasEnergy
from fairway.core.event import Event
from fairway.core.model import Case, Model
from fairway.core.objective import Objective
from fairway.core.preprocessing import Preprocessing, continuous, dequantised
from fairway.core.random import Rows
from fairway.core.sampler import Sampler
from fairway.networks.joined import joined, width
from fairway.networks.mlp import MLP
from fairway.objectives.persistent import PersistentContrastiveDivergence
from fairway.samplers.driver import Fixed
from fairway.samplers.langevin import Langevin
from fairway.samplers.mcmc import MCMC

TINY = {"hidden": (16, 16), "chain_steps": 20}


class EBM(HasEnergy, Model):
    """exp(f(u)) N(u; 0, I) / Z with a perceptron f.

    Args:
        event, context_event: what is modelled, and given what (labels or numbers).
        hidden: widths of the default network.
        chain_steps: Langevin moves of a draw.
        network: your own module (B, D) -> (B, 1) in place of the default; it sees the context beside the point.
    """

    accepts = ("real", "bounded", "positive", "integer", "binary")
    accepts_context = ("category", "real")
    cites = ("du2019ebm", "tieleman2008persistent")
    tiny = [
        Case(Event((2,)), None, TINY),
        Case(Event((2, 2), "integer", low=0, high=3), Event((), "category", levels=3), TINY),
        Case(Event((1, 2, 2), "bounded", low=0.0, high=1.0), Event((2,)), TINY),
    ]
    chains: Tensor
    contexts: Tensor
    step_size: Tensor

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        hidden: Sequence[int] = (256, 256, 256),
        chain_steps: int = 200,
        network: nn.Module | None = None,
    ) -> None:
        super().__init__(event, context_event)
        self.chain_steps = chain_steps
        given = None if self.context_preprocess is None else self.context_preprocess.model_event
        self.network = network or MLP(self.model_event.dims + width(given), 1, hidden, residual=True)
        shape = [s or 1 for s in self.model_event.shape]
        self.register_buffer("chains", torch.zeros(0, *shape))
        self.register_buffer("contexts", torch.zeros(0, width(given)))
        self.register_buffer("step_size", torch.tensor(0.05))

    def preprocessing(self, event: Event) -> Preprocessing:
        return dequantised(event) if event.counted else continuous(event)

    def _log_unnorm(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        f: Tensor = self.network(joined(u, context)).squeeze(-1)
        return f - 0.5 * u.flatten(1).square().sum(1)

    def _chains(self, context: Tensor | None, rows: Rows) -> Tensor:
        """Where draws start: row i at its own persistent chain (of the nearest context), or at q without any."""
        if not len(self.chains):
            return rows.normal(*self.chains.shape[1:])
        if context is not None:
            distance = torch.cdist(joined(context), self.contexts)
            return self.chains[(distance + 1e-4 * rows.uniform(len(self.chains))).argmin(1)]
        order = torch.randperm(len(self.chains), generator=rows.shared())
        index = torch.arange(rows.start, rows.start + rows.n) % len(self.chains)
        return self.chains[order[index].to(self.chains.device)]

    def _keep(self, chains: Tensor, contexts: Tensor, step_size: Tensor) -> None:
        """What training hands over: chains (K, *U), their contexts (K, C), and the step size that suits them."""
        self.chains, self.contexts, self.step_size = chains.clone(), contexts.clone(), step_size.clone()

    def default_objective(self) -> Objective:
        return PersistentContrastiveDivergence()

    def default_sampler(self) -> Sampler:
        kernel = Langevin(float(self.step_size), metropolis=True)
        return MCMC(kernel, Fixed(self.chain_steps, warmup=0 if len(self.chains) else self.chain_steps))
