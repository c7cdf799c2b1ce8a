"""Flow matching: learn the velocity that carries noise to data along straight lines.

    path       u_t = (1 - t) u_0 + t eps,  u_0 data, eps ~ N(0, I)          t = 0 data, t = 1 noise
    learn      E_{t, u_0, eps} |v(u_t, t) - (eps - u_0)|^2                  its minimiser is E[eps - u_0 | u_t]
    sample     du/dt = v(u, t) from t = 1 to t = 0, starting at noise
    density    log p(u) = log N(u(1); 0, I) + integral over t of tr(dv/du)  along the line that starts at u

Papers write time the other way round (their x_1 is data); the signs here follow from t = 0 = data. The straight line
is the default; any schedule (alpha, sigma) gives the target alpha' u_0 + sigma' eps instead.
Source: Lipman et al. 2023, Flow Matching for Generative Modeling, equations 21 to 23.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.objective import Objective
from fairway.core.sampler import Sampler
from fairway.models.diffusion.default_network import CONTEXT_DROPOUT, default_network, shows_images
from fairway.models.diffusion.denoiser import Denoiser
from fairway.models.diffusion.probability_flow import Course, FlowLatent
from fairway.models.diffusion.schedule import Pair, schedule_named
from fairway.objectives.flow_matching import ConditionalFlowMatching
from fairway.samplers.ode import ProbabilityFlow

TINY = {"hidden": (8, 8)}
PATHS = ("linear", "cosine")


class FlowMatching(Denoiser):
    """A velocity field under the probability-flow ODE; density by the same ODE ("numerical").

    Args:
        event, context_event: what is modelled, and given what (labels or numbers).
        hidden: of the default network: widths of a perceptron's blocks, or channels of a U-Net at each size (None: see
            `default_network`).
        context_dropout: share of rows that lose their context in training, so that there is guidance.
        schedule: "linear" or "cosine", the path between data and noise.
        network: your own module (u (B, *U), t (B,), context (B, ...) or None) -> (B, *U) in place of the default.
    """

    accepts = ("real", "bounded", "positive", "integer", "binary")
    accepts_context = ("category", "real", "bounded", "positive", "integer", "binary")
    cites = ("lipman2023flow_matching",)
    tiny = [
        Case(Event((2,)), None, TINY),
        Case(Event((1, 2), "integer", low=0, high=2), Event((), "category", levels=3), {**TINY, "schedule": "cosine"}),
        Case(Event((1, 2, 2), "bounded", low=0.0, high=1.0), Event((2,)), TINY),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        hidden: Sequence[int] | None = None,
        context_dropout: float = CONTEXT_DROPOUT,
        schedule: str = "linear",
        network: nn.Module | None = None,
    ) -> None:
        super().__init__(event, context_event)
        if schedule not in PATHS:
            raise ValueError(
                f"expected a schedule among {', '.join(PATHS)}, whose velocities are finite, got {schedule!r}"
            )
        self.schedule = schedule_named(schedule)
        self.network = network or default_network(self, hidden, context_dropout)

    def _prediction(self, t: Tensor) -> Pair:
        return self.schedule.derivatives(t)

    def _network(self, u: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        out: Tensor = self.network(u, t, context)
        return out.to(u.dtype)

    def _velocity(self, u: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        return self._network(u, t, context)  # what the solve would give back

    def _course(self) -> Course:
        """Along t, in which the path is straight."""
        return FlowLatent._course(self)

    def default_sampler(self) -> Sampler:
        return ProbabilityFlow()

    def default_objective(self) -> Objective:
        """Tables may lie close to a curve, which is learned at little noise; images are made at the middle times."""
        return ConditionalFlowMatching("logit_normal" if shows_images(self.model_event) else "wide_normal")
