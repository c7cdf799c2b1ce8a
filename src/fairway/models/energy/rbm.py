"""A restricted Boltzmann machine: binary observations and binary hidden units, joined by pairwise weights.

    p(v, h) = exp(b'v + c'h + v'W h) / Z               log sum_h p Z = b'v + sum_j softplus(c_j + (v'W)_j)
    p(h_j = 1 | v) = sigmoid(c_j + (v'W)_j),           p(v_i = 1 | h) = sigmoid(b_i + (W h)_i)

The units of a layer are independent given the other layer, so a round of Gibbs sampling is two matrix products: all of
h given v, then all of v given h. What is learned are W and the biases of centred units, v - m and h - 1/2,

    b = log-odds of m + s - W 1/2,   c = a - W'm       m: the data's means (the base rates), s = a = 0 at first,

the same machine on axes of which W and the biases are nearly independent (Montavon & Müller 2012): at W = 0 it has the
data's marginals (Hinton 2012, section 8). All that is learned times beta leads from these base rates to p:

    f_beta(v) = beta s'(v - m) + sum_j log cosh(beta x_j / 2),   x = a + W'(v - m)

(Salakhutdinov & Murray 2008, eq. 16 and 17), which is how log Z is measured. Energies have the constant that makes
E_q exp(f) = Z with q the base rates, so this Z is not that of the first line.
Source: Smolensky 1986; trained by persistent contrastive divergence (Tieleman 2008).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core.capability import HasLatent
from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.objective import Objective, Optimisation
from fairway.core.sampler import Sampler
from fairway.models.energy.base_rates import TiltedRates
from fairway.objectives.persistent import PersistentContrastiveDivergence
from fairway.samplers.driver import Fixed
from fairway.samplers.gibbs import Gibbs
from fairway.samplers.mcmc import MCMC

SPREAD = 0.01  # of the first weights: large enough to tell hidden units apart


class RBM(TiltedRates, HasLatent):
    """Binary vectors or images, with `encode` for the hidden units' probabilities.

    Args:
        event: what is modelled, binary, of a fixed shape.
        context_event: none is taken.
        hidden: hidden units.
        chain_steps: rounds of a draw from where the chains of training ended; without any, twice as many from the
            base rates.

    >>> model = RBM(Event((4,), "binary"), hidden=3)
    >>> model.sample(5, generator=0).shape, model.encode(torch.zeros(4)).shape
    (torch.Size([5, 4]), torch.Size([3]))
    """

    accepts = ("binary",)
    cites = (
        "smolensky1986harmony", "tieleman2008persistent", "hinton2012practical", "montavon2012centering",
        "salakhutdinov2008ais",
    )  # fmt: skip
    optimisation = Optimisation(lr=5e-3, betas=(0.5, 0.999), weight_decay=0.02, ema=0.99)
    tiny = [
        Case(Event((4,), "binary"), None, {"hidden": 3, "chain_steps": 20}),
        Case(Event((2, 2), "binary"), None, {"hidden": 5, "chain_steps": 20}),
    ]

    def __init__(
        self, event: Event, context_event: Event | None = None, *, hidden: int = 500, chain_steps: int = 200
    ) -> None:
        super().__init__(event, context_event)
        if hidden < 1 or chain_steps < 1:
            raise ValueError(f"expected hidden >= 1 and chain_steps >= 1, got {hidden}, {chain_steps}")
        self.hidden, self.chain_steps = hidden, chain_steps
        self.weight = nn.Parameter(SPREAD * torch.randn(event.dims, hidden))
        self.visible_shift = nn.Parameter(torch.zeros(event.dims))
        self.hidden_shift = nn.Parameter(torch.zeros(hidden))
        self._register_chains(self.model_event.shape)

    # -- parameters ---------------------------------------------------------------------------------------------
    @property
    def means(self) -> Tensor:
        """m (D,): how often each entry is 1 in the data."""
        return self.log_rates[:, 1].exp()

    @property
    def log_odds(self) -> Tensor:
        """(D,): of m."""
        off, on = self.log_rates.unbind(1)
        return on - off

    @property
    def visible_bias(self) -> Tensor:
        """b (D,)."""
        return self.log_odds + self.visible_shift - 0.5 * self.weight.sum(1)

    @property
    def hidden_bias(self) -> Tensor:
        """c (H,)."""
        return self.hidden_shift - self.means @ self.weight

    # -- the density --------------------------------------------------------------------------------------------
    def _centred(self, u: Tensor) -> Tensor:
        """v - m, (B, D)."""
        return u.reshape(len(u), -1).to(self.dtype) - self.means

    def _inputs(self, centred: Tensor) -> Tensor:
        """x = c + W'v, (B, H)."""
        return torch.addmm(self.hidden_shift, centred, self.weight)

    def _tilt(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        centred = self._centred(u)
        inputs = self._inputs(centred)
        return centred @ self.visible_shift + (F.softplus(inputs) - 0.5 * inputs - math.log(2)).sum(1)

    # -- hidden units -------------------------------------------------------------------------------------------
    @property
    def latent_event(self) -> Event:
        """Probabilities of the hidden units."""
        return Event((self.hidden,), "bounded", low=0.0, high=1.0)

    def _encode(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        return self._inputs(self._centred(u)).sigmoid()

    def _decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """The likeliest v given h (B, H)."""
        likely = self._logits(z.to(self.dtype) - 0.5, 1.0) > 0
        return likely.to(self.dtype).reshape(len(z), *self.chains.shape[1:])

    def _logits(self, centred: Tensor, beta: float) -> Tensor:
        """Of v = 1 given h - 1/2 (B, H), (B, D)."""
        return torch.addmm(self.log_odds + beta * self.visible_shift, centred, self.weight.T, alpha=beta)

    # -- chains -------------------------------------------------------------------------------------------------
    @property
    def blocks(self) -> int:
        """One: the visible units, through hidden ones that are drawn on the way."""
        return 1

    @property
    def gibbs_uniforms(self) -> tuple[int, ...]:
        """One for each unit: visible, then hidden."""
        return (self.event.dims + self.hidden,)

    def _resample(self, u: Tensor, block: int, uniforms: Tensor) -> Tensor:
        return self._round(u, self._inputs(self._centred(u)), 1.0, uniforms)

    def _path_round(self, u: Tensor, before: float, after: float, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        centred = self._centred(u)
        inputs = self._inputs(centred)
        gained = (F.softplus(after * inputs) - F.softplus(before * inputs) - 0.5 * (after - before) * inputs).sum(1)
        return self._round(u, inputs, after, uniforms), gained + (after - before) * (centred @ self.visible_shift)

    def _round(self, u: Tensor, inputs: Tensor, beta: float, uniforms: Tensor) -> Tensor:
        """v given h given v at a place on the path."""
        visible, hidden = uniforms.tensor_split([self.event.dims], dim=1)
        h = (hidden < (beta * inputs).sigmoid()).to(self.dtype)
        return (visible < self._logits(h - 0.5, beta).sigmoid()).to(u.dtype).reshape(u.shape)

    def default_objective(self) -> Objective:
        return PersistentContrastiveDivergence(chains=512, steps=1, reborn=0.0, jumps=0, penalty=0.0, kernel=Gibbs())

    def default_sampler(self) -> Sampler:
        rounds = self.chain_steps if len(self.chains) else 2 * self.chain_steps
        return MCMC(Gibbs(), Fixed(rounds, warmup=0))
