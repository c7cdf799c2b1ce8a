"""Score-based generation by a stochastic differential equation: three ways to noise, one to learn (Song et al. 2021).

    forward   du = f u dt + g dw,     so that u_t = alpha u_0 + sigma eps                              (eq. 5)
    vp        f = -beta / 2,  g^2 = beta                            the limit of DDPM                  (eq. 11)
    sub_vp    f = -beta / 2,  g^2 = beta (1 - e^(-2 int beta))      less noise at every t              (eq. 12)
    ve        f = 0,          g^2 = (sigma^2)'                      the limit of NCSN                  (eq. 9)
    backward  du = (f u - g^2 score) dt + g dw                                                         (eq. 6)
    density   by the flow du/dt = f u - g^2 score / 2, which has the same marginals                    (eq. 13 and 39)

The paper's network says eps, with score = -eps / sigma. Then E[u_0 | u_t] = (u_t - sigma eps) / alpha: at the end of vp
alpha is 0.007, and what the network is wrong by is magnified 150 times, in the density's flow too. Here it says

    y = (sigma u_0 - alpha eps) / sqrt(S),    S = alpha^2 + sigma^2,    eps = (sigma u_t / sqrt(S) - alpha y) / sqrt(S)

of scale 1 at every level: its own loss |y|^2 weighs an error of the noise by S / alpha^2, like the paper's sigma^2
|score|^2 where data are left and like an error of the data where they are not. Along the angle a = atan(sigma / alpha),
w = u_t / sqrt(S) moves as dw/da = -y: whatever y is, the density is that of a flow no steeper than its network.
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
from fairway.samplers.reverse_sde import PredictorCorrector, ReverseSDE

SDES = ("vp", "sub_vp", "ve")
TINY = {"hidden": (8, 8)}


class ScoreSDE(NetworkDenoiser):
    """A denoiser under the paper's equations; density by the probability flow ("numerical").

    Draws follow the equation back as the paper's best do: with Langevin corrections for "ve", without for the others.

    Args:
        event, context_event: what is modelled, and given what (labels or numbers).
        schedule: "vp", "sub_vp" or "ve".
        hidden: of the default network: widths of a perceptron's blocks, or channels of a U-Net at each size (None: see
            `default_network`).
        context_dropout: share of rows that lose their context in training, so that there is guidance.
        network: your own module (u (B, *U), t (B,), context (B, ...) or None) -> (B, *U) in place of the default.

    Raises:
        ValueError: another schedule.

    >>> model = ScoreSDE(Event((2,)), hidden=(8,))
    >>> model.name(), type(model.default_sampler()).__name__
    ('score_sde', 'ReverseSDE')
    """

    least_density_steps = 24  # the first of them spans all levels with little noise
    cites = ("song2021score_sde",)
    tiny = [
        Case(Event((2,)), None, TINY),
        Case(Event((1, 2), "integer", low=0, high=2), Event((), "category", levels=3), {**TINY, "schedule": "sub_vp"}),
        Case(Event((1, 2, 2), "bounded", low=0.0, high=1.0), Event((2,)), {**TINY, "schedule": "ve"}),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        schedule: str = "vp",
        hidden: Sequence[int] | None = None,
        context_dropout: float = CONTEXT_DROPOUT,
        network: nn.Module | None = None,
    ) -> None:
        if schedule not in SDES:
            raise ValueError(f"expected a schedule among {', '.join(SDES)}, got {schedule!r}")
        super().__init__(event, context_event, schedule_named(schedule), prediction_named("edm"))
        self.network = network or default_network(self, hidden, context_dropout)
        self.corrected = schedule == "ve"

    def default_objective(self) -> Objective:
        return Denoising("uniform")

    def default_sampler(self) -> Sampler:
        return PredictorCorrector() if self.corrected else ReverseSDE()
