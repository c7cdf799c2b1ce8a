"""Noise-conditional score networks: the score at every size of noise, and Langevin dynamics from large to small.

    u_t = u_0 + sigma eps,     sigma_1 > ... > sigma_L in geometric steps            (Song and Ermon 2019, section 4.2)
    learn    E sigma^2 |s(u_t; sigma) + eps / sigma|^2 = E |noise - eps|^2           (2019, eq. 5 and 6)
    network  s = -noise / sigma,   noise = (sigma w - network(w)) / sqrt(S),         S = 1 + sigma^2,  w = u_t / sqrt(S)
    sample   L levels of Langevin moves, each with steps a = r sigma_i^2             (2019, algorithm 1)

Without noise a score is learned only where data are, and Langevin moves never learn how much of the data is in which
hump; with noise they meet. The paper draws one of L levels; here log sigma is uniform between the two ends, which has
all levels in it: the flow that the density is integrated along passes between them, and how many there are is the
sampler's choice. The largest sigma is a few times the data's scale (1 in model units), about the largest distance
between two of them (Song and Ermon 2020, technique 1). There E[u_0 | u_t] = u_t - sigma noise magnifies what a network
is wrong by; so it is asked for what the line sigma w, exact for data from N(0, I), leaves to say. The loss is the same.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.numerics import expand_as_rows
from fairway.core.objective import Objective
from fairway.core.sampler import Sampler
from fairway.models.diffusion.default_network import CONTEXT_DROPOUT, default_network
from fairway.models.diffusion.network_denoiser import NetworkDenoiser
from fairway.models.diffusion.prediction import prediction_named
from fairway.models.diffusion.schedule import VE
from fairway.objectives.denoising import Denoising
from fairway.samplers.annealed_langevin import AnnealedLangevin

TINY = {"hidden": (8, 8), "levels": 4, "chain_steps": 10}


class NCSN(NetworkDenoiser):
    """A score network over geometric noise levels; density by the probability flow ("numerical").

    Args:
        event, context_event: what is modelled, and given what (labels or numbers).
        least, most: smallest and largest sigma, in units of the data's scale.
        levels: noise levels of a draw; 15 between these ends are the paper's ratio of 0.6 from one to the next.
        chain_steps: Langevin moves at each.
        hidden: of the default network: widths of a perceptron's blocks, or channels of a U-Net at each size (None: see
            `default_network`).
        context_dropout: share of rows that lose their context in training, so that there is guidance.
        network: your own module (u (B, *U), t (B,), context (B, ...) or None) -> (B, *U) in place of the default.

    Raises:
        ValueError: not 0 < least < most, no level or no move.
    """

    least_density_steps = 24
    cites = ("song2019ncsn", "song2020ncsnv2")
    tiny = [
        Case(Event((2,)), None, TINY),
        Case(Event((1, 2), "integer", low=0, high=7), Event((), "category", levels=3), TINY),
        Case(Event((1, 2, 2), "bounded", low=0.0, high=1.0), Event((2,)), TINY),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        least: float = 0.01,
        most: float = 10.0,
        levels: int = 15,
        chain_steps: int = 100,
        hidden: Sequence[int] | None = None,
        context_dropout: float = CONTEXT_DROPOUT,
        network: nn.Module | None = None,
    ) -> None:
        if levels < 1 or chain_steps < 1:
            raise ValueError(f"expected levels and chain_steps of at least 1, got {levels} and {chain_steps}")
        super().__init__(event, context_event, VE(least, most), prediction_named("noise"))
        self.network = network or default_network(self, hidden, context_dropout)
        self.levels, self.chain_steps = levels, chain_steps

    def _network(self, u: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        """The noise (B, *U): what it is for data from N(0, I), less what the network says."""
        sigma = expand_as_rows(self.schedule(t)[1], u)
        scale = torch.sqrt(1 + sigma.square())
        return (sigma * u / scale - super()._network(u, t, context)) / scale

    def default_objective(self) -> Objective:
        return Denoising("uniform")

    def default_sampler(self) -> Sampler:
        return AnnealedLangevin(self.levels, self.chain_steps)
