"""A product of experts: what all of them find likely.

    log p(x) = sum_k w_k log p_k(x) - log Z          energies add, in data units, whatever units each expert has

Z is unknown even where each p_k is normalised, so a product is an energy and is drawn by Markov chains. Each expert
can rule a region out, where a mixture lets each add one: powers w above 1 sharpen an expert, below 1 flatten it, below
0 take away what it likes (and need not leave a finite Z). Of Gaussians the product is the Gaussian with precision
P = sum_k w_k S_k^-1 and mean P^-1 sum_k w_k S_k^-1 m_k.

Experts trained apart are put together by `Product.of([a, b], powers=...)`; by name they learn together, by the contrast
of data and chains that was found for them (Hinton 2002, Training Products of Experts by Minimizing Contrastive
Divergence). Chains start at draws of the experts in turn. Counted data that all experts dequantise are multiplied
before the floor, as densities of the real number in the cell.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from fairway.core.capability import HasEnergy
from fairway.core.event import Event
from fairway.core.model import Case, Model
from fairway.core.objective import Objective
from fairway.core.preprocessing import Preprocessing
from fairway.core.random import Rows
from fairway.core.sampler import Sampler
from fairway.models.classical.composite import Composite, one_each
from fairway.objectives.persistent import PersistentContrastiveDivergence
from fairway.samplers.driver import Fixed
from fairway.samplers.gibbs import Gibbs
from fairway.samplers.langevin import Langevin
from fairway.samplers.mcmc import MCMC

TINY = {"models": ("gmm", "gmm"), "chain_steps": 10}
FLOWS = {"models": ("planar", "planar"), "chain_steps": 5}


class Product(HasEnergy, Composite):
    """prod_k p_k(x)^w_k / Z of models with energies.

    Args:
        event, context_event: of every expert.
        models: the experts, trained or not; or names, built on the event with their defaults.
        powers: w, the exponents; None for 1 each. A fit leaves them.
        chain_steps: moves of a draw, after half as many in which each chain finds its step size.
        units: see `Composite`.

    Raises:
        ValueError: experts without an energy, of other events, or that do not measure counted data alike.

    >>> from fairway.models.classical.gaussian import Gaussian
    >>> one = Gaussian(Event((1,))).eval()
    >>> both = Product.of([one, one])
    >>> bool(torch.allclose(both.energy(torch.ones(1, 1)), 2 * one.energy(torch.ones(1, 1))))
    True
    """

    cites = ("hinton2002poe",)
    tiny: ClassVar[list[Case]] = [
        Case(Event((2,)), None, {**TINY, "powers": (1.0, 0.5)}),
        Case(Event((2, 2), "integer", low=0, high=3), None, TINY),
        Case(Event((2,)), Event((), "category", levels=3), FLOWS),
    ]
    powers: Tensor

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        models: Sequence[str | Model] = ("gmm", "gmm"),
        powers: Sequence[float] | None = None,
        chain_steps: int = 300,
        units: Sequence[Preprocessing] | None = None,
    ) -> None:
        super().__init__(event, context_event, models, units)
        for model in self.models:
            if not isinstance(model, HasEnergy):
                raise ValueError(f"expected models with an energy, got {model.name()}")  # type: ignore[operator]
        self.chain_steps = chain_steps
        self.register_buffer("powers", one_each(powers, len(self.models), "powers"))

    def default_objective(self) -> Objective:
        return PersistentContrastiveDivergence(penalty=0.0, kernel=Gibbs() if self.model_event.counted else None)

    def default_sampler(self) -> Sampler:
        kernel = Gibbs() if self.model_event.counted else Langevin(0.1, metropolis=True)
        return MCMC(kernel, Fixed(self.chain_steps, warmup=-(-self.chain_steps // 2)))

    def _log_unnorm(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        x, ladj, inside = self._point(u)
        total = -ladj
        for k, power in enumerate(self.powers):
            v, own = self._at_component(k, x)
            total = total + power * (self._component(k)._log_unnorm(v, self._context_for(k, context)) + own)
        return torch.where(inside, total, -torch.inf).to(self.dtype)

    def _chains(self, context: Tensor | None, rows: Rows) -> Tensor:
        """Draws of the experts in turn, one for each row."""
        index = torch.arange(rows.start, rows.start + rows.n, device=self.device) % len(self.models)
        starts = [self._from_component(k, self._start_of(k, context, rows.spawn(k))) for k in range(len(self.models))]
        return torch.stack(starts)[index, torch.arange(rows.n, device=self.device)]

    def _start_of(self, k: int, context: Tensor | None, rows: Rows) -> Tensor:
        """Where chains would start that draw from expert k: its own chains, or draws of it; in its units."""
        if not hasattr(self._component(k), "_chains"):
            return self._draw_component(k, rows.n, context, rows)
        start: Tensor = self._component(k)._chains(self._context_for(k, context), rows)
        return start
