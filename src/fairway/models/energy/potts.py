"""A Potts model: levels at sites, a field at each site and a coupling of every pair.

    log p(x) = sum_i h_i(x_i) + sum_{i < j} J_ij(x_i, x_j) - log Z

The law of greatest entropy with the data's frequencies f_i(a) and f_ij(a, b), which it has where the likelihood's
gradient, the data's frequencies minus its own, is zero. Given the other sites a site is a softmax of h_i plus L - 1
couplings, so a round of Gibbs sampling costs L^2 q for each chain. Fields are the logs of the data's frequencies plus
what is learned: at J = 0 the model has the data's sites, and f_beta = beta f leads from there to p.

Fields and couplings are not unique: any g_i(a) can go from one to the other. In the zero-sum gauge, sum_a h_i(a) = 0
and sum_a J_ij(a, b) = sum_b J_ij(a, b) = 0, couplings hold what no field can explain, so their norms say which sites
touch in a folded protein. What a site couples to all others with (its entropy, its kinship) is taken off:

    F_ij = |J_ij| (Frobenius),     score_ij = F_ij - F_i. F_.j / F_..          the average product correction

Source: Ekeberg et al. 2013 (gauge, score); Figliuzzi, Barrat-Charlaix & Weigt 2018 (learning by chains).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.objective import Objective, Optimisation
from fairway.core.sampler import Sampler
from fairway.models.energy.base_rates import TiltedRates
from fairway.objectives.persistent import PersistentContrastiveDivergence
from fairway.samplers.driver import Fixed
from fairway.samplers.gibbs import Gibbs
from fairway.samplers.mcmc import MCMC


class Potts(TiltedRates):
    """Categories with all pairs coupled; for sequences that are aligned, every position is a site.

    Args:
        event: what is modelled, of a fixed shape and with levels.
        context_event: none is taken.
        chain_steps: rounds of a draw from where the chains of training ended; without any, twice as many from the
            base rates.

    >>> model = Potts(Event((3,), "category", levels=4))
    >>> model.sample(5, generator=0).shape, model.contacts().shape
    (torch.Size([5, 3]), torch.Size([3, 3]))
    """

    accepts = ("integer", "binary", "category", "tokens")
    cites = ("ekeberg2013plm", "figliuzzi2018bml", "tieleman2008persistent")
    optimisation = Optimisation(lr=3e-3, betas=(0.5, 0.999), weight_decay=0.01, ema=0.99)
    tiny = [
        Case(Event((3,), "category", levels=3), None, {"chain_steps": 20}),
        Case(Event((2, 2), "integer", low=-1, high=1), None, {"chain_steps": 20}),
    ]

    def __init__(self, event: Event, context_event: Event | None = None, *, chain_steps: int = 200) -> None:
        super().__init__(event, context_event)
        if chain_steps < 1:
            raise ValueError(f"expected chain_steps >= 1, got {chain_steps}")
        self.chain_steps, self.sites, self.levels = chain_steps, event.dims, int(event.levels or 2)
        self.field_shift = nn.Parameter(torch.zeros(self.sites, self.levels))
        self.coupling = nn.Parameter(torch.zeros(self.sites, self.levels, self.sites, self.levels))
        self._register_chains(self.model_event.shape)

    # -- parameters ---------------------------------------------------------------------------------------------
    @property
    def fields(self) -> Tensor:
        """h (L, q): those of the base rates, and what is learned."""
        return self.log_rates + self.field_shift

    @property
    def couplings(self) -> Tensor:
        """J (L, q, L, q): J_ij(a, b) = J_ji(b, a), and none of a site with itself."""
        twice = self.coupling + self.coupling.permute(2, 3, 0, 1)
        apart = 1 - torch.eye(self.sites, dtype=twice.dtype, device=twice.device)
        return 0.5 * twice * apart[:, None, :, None]

    def _couplings_of(self, site: int) -> Tensor:
        """(L, q, q): J_j,site(b, a) for all j, 0 for j = site."""
        towards = 0.5 * (self.coupling[:, :, site] + self.coupling[site].permute(1, 2, 0))
        towards[site] = 0.0
        return towards

    @torch.no_grad()
    def zero_sum(self) -> tuple[Tensor, Tensor]:
        """The same law with fields (L, q) and couplings (L, q, L, q) whose sums over the levels of a site are zero."""
        J, h = self.couplings, self.fields
        over_second = J.mean(3, keepdim=True)
        over_both = over_second.mean(1, keepdim=True)
        h = h + (over_second - over_both).sum((2, 3))
        return h - h.mean(1, keepdim=True), J - J.mean(1, keepdim=True) - over_second + over_both

    @torch.no_grad()
    def contacts(self, gap: int | None = None) -> Tensor:
        """(L, L) symmetric: how strongly two sites are coupled directly, above what either is with all; 0 for itself.

        Args:
            gap: a level (0, ..., q - 1) that says nothing of contact, left out of the norms.

        Raises:
            ValueError: a level that is not there, or fewer than two sites.
        """
        if self.sites < 2 or (gap is not None and gap not in range(self.levels)):
            raise ValueError(f"expected two sites or more and a gap in 0..{self.levels - 1}; got {self.sites}, {gap}")
        kept = [a for a in range(self.levels) if a != gap]
        norms = self.zero_sum()[1][:, kept][..., kept].square().sum((1, 3)).sqrt()
        means = norms.sum(0) / (self.sites - 1)
        score = norms - means.outer(means) / means.mean().clamp(min=torch.finfo(norms.dtype).tiny)
        return score.fill_diagonal_(0.0)

    # -- the density --------------------------------------------------------------------------------------------
    def _places(self, u: Tensor) -> Tensor:
        """(B, L): which row of a table (L q, ...) belongs to the level of each site."""
        first = torch.arange(self.sites, device=u.device) * self.levels
        return u.reshape(len(u), -1).long() + first

    def _tilt(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        seen = F.one_hot(u.reshape(len(u), -1).long(), self.levels).to(self.dtype).flatten(1)
        pairs = seen @ self.couplings.flatten(2).flatten(0, 1)
        return (seen * (self.field_shift.flatten() + 0.5 * pairs)).sum(1)

    # -- chains -------------------------------------------------------------------------------------------------
    @property
    def blocks(self) -> int:
        """The sites."""
        return self.sites

    def _resample(self, u: Tensor, block: int, uniforms: Tensor) -> Tensor:
        redrawn = u.reshape(len(u), -1).clone()
        self._redraw(redrawn, self._places(u), block, 1.0, uniforms.flatten(1))
        return redrawn.reshape(u.shape)

    def _path_round(self, u: Tensor, before: float, after: float, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        redrawn, places = u.reshape(len(u), -1).clone(), self._places(u)
        for site in range(self.sites):
            self._redraw(redrawn, places, site, after, uniforms.flatten(1))
        return redrawn.reshape(u.shape), (after - before) * self._tilt(u)

    def _redraw(self, u: Tensor, places: Tensor, site: int, beta: float, uniforms: Tensor) -> None:
        """One site of u (B, L) given the others, in place, with the place of its level."""
        learned = self.field_shift[site] + F.embedding_bag(places, self._couplings_of(site).flatten(0, 1), mode="sum")
        edges = torch.add(self.log_rates[site], learned, alpha=beta).softmax(1).cumsum(1)
        level = (uniforms[:, site : site + 1] * edges[:, -1:] > edges).sum(1).clamp(max=self.levels - 1)
        u[:, site], places[:, site] = level.to(u.dtype), level + site * self.levels

    def default_objective(self) -> Objective:
        return PersistentContrastiveDivergence(chains=512, steps=1, reborn=0.0, jumps=0, penalty=0.0, kernel=Gibbs())

    def default_sampler(self) -> Sampler:
        rounds = self.chain_steps if len(self.chains) else 2 * self.chain_steps
        return MCMC(Gibbs(), Fixed(rounds, warmup=0))
