"""FRAME: the law nearest to a reference with the data's mean responses to fixed filters.

    p(u) = exp(D sum_k lambda_k h_k(u)) q(u) / Z,      q = N(0, I),  D: entries of u

Only lambda (K,) learns; h_k are fixed statistics, by default the soft counts of `networks.filter_bank`. The likelihood
is concave in lambda, with gradient E_data[h] - E_p[h] (per entry), so the best lambda is where the means agree. Of all
laws with these means p has the least KL(p || q), and for a uniform q the greatest entropy:

    for any r with E_r[h] = E_p[h]:       KL(r || q) = KL(r || p) + KL(p || q)

hence the name: filters, random fields and maximum entropy (Zhu, Wu & Mumford 1998, section 3; with differentiable
statistics and a Gaussian q, Lu, Zhu & Wu 2016, section 3). What no filter sees is as in q. An image of a texture is
many draws in one: its mean over positions is close to that over images.

E_p[h] is taken over persistent chains (`objectives.response_matching`): of Langevin moves for vectors, of Hamiltonian
trajectories for images.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.objective import Objective, Optimisation
from fairway.core.sampler import Sampler
from fairway.models.energy.energy import EBM
from fairway.networks.filter_bank import ImageStatistics, VectorStatistics
from fairway.objectives.response_matching import ResponseMatching
from fairway.samplers.driver import Fixed
from fairway.samplers.hmc import HMC
from fairway.samplers.mcmc import MCMC

LEAPFROGS = 8  # of a trajectory on images


class FRAME(EBM):
    """exp(D lambda . h(u)) q(u) / Z with fixed statistics h.

    Args:
        event: what is modelled (no context). context_event: None.
        statistics: your own module (B, *U) -> (B, K), fixed, of entries near 1 in size, bounded (else Z need not be
            finite); `fit(u)`, where it has one, sees some training rows in model units first. None for soft counts of
            filters: Gabor for images, directions for vectors.
        chain_steps: gradients of a draw.

    >>> FRAME(Event((2,))).eval().responses(torch.zeros(5, 2)).shape
    torch.Size([5, 44])
    """

    accepts_context = ()
    free_level: ClassVar[bool] = (
        False  # no constant can be added to lambda . h, so noise contrast would be inconsistent
    )
    cites = ("zhu1998frame", "lu2016frame")
    optimisation = Optimisation(lr=3e-2, betas=(0.5, 0.999), clip=None, ema=0.99)
    tiny: ClassVar[list[Case]] = [
        Case(Event((2,)), None, {"chain_steps": 20}),
        Case(Event((1, 6, 6), "bounded", low=0.0, high=1.0), None, {"chain_steps": 20}),
        Case(Event((2, 2), "integer", low=0, high=3), None, {"chain_steps": 20}),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        statistics: nn.Module | None = None,
        chain_steps: int = 200,
    ) -> None:
        tilt = Tilt(_default_statistics(event) if statistics is None else statistics, event)
        super().__init__(event, context_event, chain_steps=chain_steps, network=tilt)

    def default_objective(self) -> Objective:
        if not self.event.image:
            return ResponseMatching()
        return ResponseMatching(chains=64, steps=1, jumps=0, kernel=HMC(0.02, leapfrogs=LEAPFROGS))

    def default_sampler(self) -> Sampler:
        """Langevin moves of vectors; of images, whose curvature differs by thousands between frequencies, trajectories
        of as many gradients."""
        if not self.event.image:
            return super().default_sampler()
        steps = -(-self.chain_steps // LEAPFROGS)
        kernel = HMC(float(self.step_size), leapfrogs=LEAPFROGS)
        return MCMC(kernel, Fixed(steps, warmup=0 if len(self.chains) else self.chain_steps))

    def _start(self, u: Tensor) -> None:
        """Let the statistics see some training rows, before the first step."""
        fit: Any = getattr(self.network.statistics, "fit", None)
        if fit is not None:
            fit(u)

    def responses(self, x: Any, *, batch_size: int | None = None) -> Tensor:
        """h(x): (*L, *E) in data units -> (*L, K); counted data at the centre of their cell."""
        return self._over_rows(lambda x, c, start: self._responses(self._to_model(x)[0]), x, None, batch_size)

    def _responses(self, u: Tensor) -> Tensor:
        tilt: Any = self.network
        h: Tensor = tilt.responses(u)
        return h


class Tilt(nn.Module):
    """f(u) = D lambda . h(u), (B, D) -> (B, 1), with one lambda for each of K fixed statistics."""

    def __init__(self, statistics: nn.Module, event: Event) -> None:
        super().__init__()
        self.statistics = statistics.requires_grad_(False)
        self.shape = tuple(s or 1 for s in event.shape)
        with torch.no_grad():
            outputs = self.responses(torch.zeros(1, *self.shape)).shape[1]
        self.multipliers = nn.Parameter(torch.zeros(outputs))

    def responses(self, u: Tensor) -> Tensor:
        """(B, K).

        Raises:
            ValueError: statistics of another shape.
        """
        h: Tensor = self.statistics(u.reshape(len(u), *self.shape))
        if h.ndim != 2 or len(h) != len(u):
            raise ValueError(f"expected statistics (B, *{self.shape}) -> (B, K), got {tuple(h.shape)} for B = {len(u)}")
        return h

    def forward(self, u: Tensor) -> Tensor:
        h = self.responses(u)
        return u[0].numel() * (h @ self.multipliers.to(h.dtype)).unsqueeze(1)


def _default_statistics(event: Event) -> nn.Module:
    shape = tuple(s or 1 for s in event.shape)
    return ImageStatistics(shape) if event.image else VectorStatistics(event.dims)
