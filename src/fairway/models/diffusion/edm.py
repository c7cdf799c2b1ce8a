"""EDM: a denoiser whose network has inputs and targets of scale 1 at every noise level (Karras et al. 2022).

    u_t = u_0 + sigma eps,  sigma^(1/7) linear in t from 0.002 to 80
    D(u; sigma) = c_skip u + c_out F(c_in u, t),      c_skip = 1 / (1 + sigma^2),  c_out = sigma c_in,
                                                      c_in = 1 / sqrt(1 + sigma^2)                       (table 1)
    learn    E |F - (u_0 - c_skip u_t) / c_out|^2,    log sigma ~ N(-1.2, 1.2^2)                         (eq. 8)
    sample   Heun along sigma, 18 levels, 35 strokes                                                     (algorithm 2)

The paper's sigma_data is 1 here: model units are standardised. At low noise F says what is left of the noise, at high
noise the data, so that its errors are not magnified at either end.
"""

from collections.abc import Sequence

from torch import nn

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.objective import Objective
from fairway.core.sampler import Sampler
from fairway.models.diffusion.default_network import CONTEXT_DROPOUT, default_network
from fairway.models.diffusion.network_denoiser import NetworkDenoiser
from fairway.models.diffusion.prediction import prediction_named
from fairway.models.diffusion.schedule import schedule_named
from fairway.objectives.denoising import Denoising
from fairway.samplers.heun import Heun

TINY = {"hidden": (8, 8)}


class EDM(NetworkDenoiser):
    """A preconditioned denoiser under the EDM schedule; density by the probability flow ("numerical").

    Args:
        event, context_event: what is modelled, and given what (labels or numbers).
        hidden: of the default network: widths of a perceptron's blocks, or channels of a U-Net at each size (None: see
            `default_network`).
        context_dropout: share of rows that lose their context in training, so that there is guidance.
        network: your own module (u (B, *U), t (B,), context (B, ...) or None) -> (B, *U) in place of the default.
    """

    least_density_steps = 24  # fewer do not see what happens within the last power of ten of sigma
    cites = ("karras2022edm",)
    tiny = [
        Case(Event((2,)), None, TINY),
        Case(Event((1, 2), "integer", low=0, high=2), Event((), "category", levels=3), TINY),
        Case(Event((1, 2, 2), "bounded", low=0.0, high=1.0), Event((2,)), TINY),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        hidden: Sequence[int] | None = None,
        context_dropout: float = CONTEXT_DROPOUT,
        network: nn.Module | None = None,
    ) -> None:
        super().__init__(event, context_event, schedule_named("edm"), prediction_named("edm"))
        self.network = network or default_network(self, hidden, context_dropout)

    def default_objective(self) -> Objective:
        return Denoising("log_normal")

    def default_sampler(self) -> Sampler:
        return Heun()
