"""Denoising diffusion probabilistic models: T small steps into noise, and the same steps back, learned.

    q(x_i | x_i-1) = N(sqrt(1 - beta_i) x_i-1, beta_i),   q(x_i-1 | x_i, x_0) = N(., b_i),   t = i / T
    p(x_i-1 | x_i) = N(mean with E[x_0 | x_i] for x_0, v_i)                                  (Ho et al. 2020, eq. 7)
    learn    E_{t, x_0, eps} |E[eps | x_t] - eps|^2                             "L_simple" (2020, eq. 14)
    v_i      beta_i, or learned between it and the smaller b_i = beta_i sigma_i-1^2 / sigma_i^2:
             log v_i = w log beta_i + (1 - w) log b_i                           (Nichol and Dhariwal 2021, eq. 15)
    bound    of this hierarchy of T latents, see `variational_bound`

The levels are points on a schedule of all t in [0, 1] (`discrete`), on which every sampler walks and log_prob
integrates. Near pure noise E[x_0 | x_t] = (x_t - sigma E[eps | x_t]) / alpha magnifies what a network is wrong by, near
the data its converse does; so the network says F, and both follow from it without a division:

    E[x_0 | x_t] = alpha x_t + sigma F,     E[eps | x_t] = sigma x_t - alpha F,     v = -F

F = 0 and v_i = beta_i are right for data from N(0, I); b_i, the variance of q, would be for data of one point: draws by
it are those of `Ancestral`. What is regressed is the prediction: "noise" (the paper's), "data" or "v", the same F under
three weights, alpha^2, sigma^2 and 1.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from fairway.core.capability import HasBound
from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.numerics import expand_as_rows
from fairway.core.objective import Objective
from fairway.core.random import Rows
from fairway.core.sampler import Sampler
from fairway.models.diffusion.default_network import CONTEXT_DROPOUT, default_network
from fairway.models.diffusion.discrete import Discrete, betas_named
from fairway.models.diffusion.network_denoiser import NetworkDenoiser
from fairway.models.diffusion.prediction import prediction_named
from fairway.models.diffusion.schedule import Pair
from fairway.models.diffusion.variational_bound import costs, error_of, step_cost
from fairway.objectives.denoising import Denoising
from fairway.objectives.hybrid_denoising import HybridDenoising
from fairway.samplers.reverse_steps import ReverseSteps

PREDICTED = ("noise", "data", "v")
Terms = tuple[Tensor, Tensor, Tensor]
TINY = {"hidden": (8, 8), "levels": 4, "betas": "cosine"}


class DDPM(HasBound, NetworkDenoiser):
    """T steps back from noise; log_prob by the probability flow ("numerical"), bound by the steps themselves.

    Of a network that is not perfect, the steps and the flow have different densities: the bound is one on the first,
    from which `sample` draws, and is near the second as far as the network is near perfect.

    Args:
        event, context_event: what is modelled, and given what (labels or numbers).
        levels: T, which is also the number of network evaluations of a draw.
        betas: "linear" or "cosine".
        prediction: what is regressed: "noise", "data" or "v".
        learned_variance: whether the variances of the steps back are learned.
        hidden: of the default network: widths of a perceptron's blocks, or channels of a U-Net at each size (None: see
            `default_network`).
        context_dropout: share of rows that lose their context in training, so that there is guidance.
        network: your own module (u (B, *U), t (B,), context (B, ...) or None) -> F (B, *U) in place of the default;
            under a learned variance (B, 2 U_1, ...): F, then 2 w - 1, one after the other along the first axis of U.

    Class attributes:
        bound_evaluations: network evaluations of one draw of the bound, for levels drawn at random where T is larger.

    Raises:
        ValueError: unknown betas or prediction, or too few levels.

    >>> model = DDPM(Event((2,)), levels=50, hidden=(8,))
    >>> model.name(), model.draw(3, generator=0).evaluations, "bound" in model.capabilities
    ('ddpm', 50.0, True)
    """

    bound_evaluations: ClassVar[int] = 100
    least_density_steps = 24
    cites = ("ho2020ddpm", "nichol2021improved")
    tiny = [
        Case(Event((2,)), None, {**TINY, "learned_variance": True}),
        Case(Event((1, 2), "integer", low=0, high=2), Event((), "category", levels=3), {**TINY, "prediction": "v"}),
        Case(Event((1, 2, 2), "bounded", low=0.0, high=1.0), Event((2,)), {**TINY, "levels": 25, "betas": "linear"}),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        levels: int = 1000,
        betas: str = "linear",
        prediction: str = "noise",
        learned_variance: bool = False,
        hidden: Sequence[int] | None = None,
        context_dropout: float = CONTEXT_DROPOUT,
        network: nn.Module | None = None,
    ) -> None:
        if prediction not in PREDICTED:
            raise ValueError(f"expected a prediction among {', '.join(PREDICTED)}, got {prediction!r}")
        schedule = Discrete(betas_named(betas, levels))
        super().__init__(event, context_event, schedule, prediction_named(prediction))
        self.network = network or default_network(self, hidden, context_dropout, outputs=1 + learned_variance)
        self.levels, self.learned_variance = levels, learned_variance

    @property
    def times(self) -> Tensor:
        """t of the T levels (T,), float64, rising."""
        return torch.arange(1, self.levels + 1, dtype=torch.float64) / self.levels

    def _said(self, u: Tensor, t: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """F and 2 w - 1 (None where it is not learned), (B, *U) each."""
        out: Tensor = self.network(u, t, context).to(u.dtype)  # of scale 1 at every level
        if not self.learned_variance:
            return out, None
        wanted = (len(u), 2 * u.shape[1], *u.shape[2:])
        if out.shape != wanted:
            raise ValueError(
                f"expected a network of learned variances to return {wanted}, the answer and its variance along dim 1, "
                f"got {tuple(out.shape)}"
            )
        answer, between = out.chunk(2, 1)
        return answer, between

    def _from(self, answer: Tensor, u: Tensor, t: Tensor) -> Pair:
        alpha, sigma = (expand_as_rows(c, u) for c in self.schedule(t))
        return alpha * u + sigma * answer, sigma * u - alpha * answer

    def _data_and_noise(self, u: Tensor, t: Tensor, context: Tensor | None) -> Pair:
        return self._from(self._said(u, t, context)[0], u, t)

    def _network(self, u: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        """What is regressed."""
        return self._regressed(*self._data_and_noise(u, t, context), t)

    def _regressed(self, data: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """p u_0 + q eps, of the truth or of what is expected."""
        p, q = (expand_as_rows(c, data) for c in self._prediction(t))
        return p * data + q * noise

    def _reverse_terms(self, u: Tensor, t: Tensor, s: Tensor, context: Tensor | None) -> Terms:
        """E[u_0 | u_t], E[eps | u_t], and log(v / b) = w log(beta / b) of the step to s."""
        answer, between = self._said(u, t, context)
        # beta / b = sigma_t^2 / sigma_s^2 for any two levels of a variance preserving schedule
        span = expand_as_rows(2 * (self.schedule(t)[1].log() - self.schedule(s)[1].log()), u)
        excess = span.expand(u.shape) if between is None else (between + 1) / 2 * span
        return *self._from(answer, u, t), excess

    def _step_cost(self, u: Tensor, noise: Tensor, answers: Terms, t: Tensor, s: Tensor) -> Tensor:
        """KL(q(u_s | u_t, u_0) | p(u_s | u_t)) (B,), nats, from what the network said at u_t."""
        data, expected, excess = answers
        gain = torch.expm1(self.schedule.log_snr(s) - self.schedule.log_snr(t))
        error = error_of(u, noise, data, expected, self.schedule(t))
        return step_cost(error, expand_as_rows(gain, u), excess)

    def _bound_terms(self, u: Tensor, context: Tensor | None, rows: Rows) -> dict[str, Tensor]:
        return costs(self, u, context, rows, self.times, self.bound_evaluations)

    def default_objective(self) -> Objective:
        return HybridDenoising() if self.learned_variance else Denoising("uniform")

    def default_sampler(self) -> Sampler:
        return ReverseSteps()
