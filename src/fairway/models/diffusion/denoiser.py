"""The base of the diffusion family: one network, and a 2 x 2 solve for everything else.

    u_t = alpha u_0 + sigma eps          what the network sees
    y   = p     u_0 + q     eps          what the network predicts, E[. | u_t]

A prediction type is the two numbers (p, q): the data (1, 0), the noise (0, 1), the velocity (alpha', sigma').
With d = alpha q - sigma p the two lines give

    u_0 = (q u_t - sigma y) / d,     eps = (alpha y - p u_t) / d
    velocity  v = alpha' u_0 + sigma' eps          du/dt of the probability flow
    score     s = -eps / sigma                     gradient of log p_t (Tweedie)

t (B,) in [0, 1], 0 = data; u (B, *U) in model units, where data have scale 1 and the noise is N(0, I).
"""

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from fairway.core.capability import HasDenoiser
from fairway.core.model import Model
from fairway.core.numerics import expand_as_rows, standard_normal_log_prob
from fairway.core.sampler import Sampler
from fairway.models.diffusion.schedule import Pair, Schedule
from fairway.samplers.ode import ProbabilityFlow


def solve(u: Tensor, y: Tensor, level: Pair, prediction: Pair) -> Pair:
    """(u_0, eps) from u = alpha u_0 + sigma eps and y = p u_0 + q eps; coefficients (B,)."""
    alpha, sigma, p, q = (expand_as_rows(c, u) for c in (*level, *prediction))
    d = alpha * q - sigma * p
    return (q * u - sigma * y) / d, (alpha * y - p * u) / d


class Denoiser(HasDenoiser, Model):
    """Subclasses give a schedule, a prediction type and a network."""

    nearest: ClassVar[float] = 1e-3  # smallest t at which a score is read off: at t = 0 it is 0 / 0
    schedule: Schedule

    @abstractmethod
    def _prediction(self, t: Tensor) -> Pair:
        """(p, q), each (B,): the network predicts p u_0 + q eps."""

    @abstractmethod
    def _network(self, u: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        """y (B, *U)."""

    def _data_and_noise(self, u: Tensor, t: Tensor, context: Tensor | None) -> Pair:
        """E[u_0 | u_t] and E[eps | u_t]."""
        return solve(u, self._network(u, t, context), self.schedule(t), self._prediction(t))

    def _denoise(self, u: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        return self._data_and_noise(u, t, context)[0]

    def _velocity(self, u: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        data, noise = self._data_and_noise(u, t, context)
        alpha, sigma = (expand_as_rows(c, u) for c in self.schedule.derivatives(t))
        return alpha * data + sigma * noise

    def _score_at(self, u: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        t = t.clamp(min=self.nearest)
        _, noise = self._data_and_noise(u, t, context)
        return -noise / expand_as_rows(self.schedule(t)[1], u)

    def _log_prior(self, u: Tensor) -> Tensor:
        return standard_normal_log_prob(u)

    def default_sampler(self) -> Sampler:
        return ProbabilityFlow()
