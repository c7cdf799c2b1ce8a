"""The base of the diffusion family: one network, and a 2 x 2 solve for everything else.

    u_t = alpha u_0 + sigma eps          what the network sees
    y   = p     u_0 + q     eps          what the network predicts, E[. | u_t]

A prediction type is the two numbers (p, q): the data (1, 0), the noise (0, 1), the velocity (alpha', sigma').
With d = alpha q - sigma p the two lines give

    u_0 = (q u_t - sigma y) / d,     eps = (alpha y - p u_t) / d
    velocity  v = alpha' u_0 + sigma' eps          du/dt of the probability flow
    score     s = -eps / sigma                     gradient of log p_t (Tweedie)

All schedules are one path at different speeds and scales: with tan(a) = sigma / alpha and w = u_t / |(alpha, sigma)|,

    w = cos(a) u_0 + sin(a) eps,     dw/da = cos(a) E[eps | w] - sin(a) E[u_0 | w]

which is smooth at both ends, where dt is not (sigma of `vp` starts like sqrt(t)). The density and the latent are
integrated along a, see `probability_flow`.

t (B,) in [0, 1], 0 = data; u (B, *U) in model units, where data have scale 1 and the noise is N(0, I).
"""

import math
from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from fairway.core.capability import HasDenoiser
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.numerics import expand_as_rows, standard_normal_log_prob
from fairway.core.preprocessing import Preprocessing
from fairway.core.random import Rows
from fairway.core.sampler import Sampler
from fairway.models.diffusion.default_network import units
from fairway.models.diffusion.probability_flow import Course, FlowLatent
from fairway.models.diffusion.schedule import Pair, Schedule
from fairway.samplers.dpm_solver import DPMSolver

LEAST_ANGLE, LEAST_SIGNAL = 1e-3, 1e-5


def solve(u: Tensor, y: Tensor, level: Pair, prediction: Pair) -> Pair:
    """(u_0, eps) from u = alpha u_0 + sigma eps and y = p u_0 + q eps; coefficients (B,)."""
    alpha, sigma, p, q = (expand_as_rows(c, u) for c in (*level, *prediction))
    d = alpha * q - sigma * p
    return (q * u - sigma * y) / d, (alpha * y - p * u) / d


class Denoiser(FlowLatent, HasDenoiser, Model):
    """Subclasses give a schedule, a prediction type and a network."""

    draws_roughly = True
    density_steps = 45  # 1e-4 nats in every row of a mixture's tail; 30 reach it on average
    nearest: ClassVar[float] = 1e-3  # smallest t at which a score is read off: at t = 0 it is 0 / 0
    schedule: Schedule

    def preprocessing(self, event: Event) -> Preprocessing:
        return units(event)

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
        t = t.clamp(*self.schedule.inside)
        data, noise = self._data_and_noise(u, t, context)
        alpha, sigma = (expand_as_rows(c, u) for c in self.schedule.derivatives(t))
        return alpha * data + sigma * noise

    def _score_at(self, u: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        t = t.clamp(min=self.nearest)
        _, noise = self._data_and_noise(u, t, context)
        return -noise / expand_as_rows(self.schedule(t)[1], u)

    def _prior_scale(self, like: Tensor) -> Tensor:
        """Standard deviation at t = 1 of data of scale 1, a number in the dtype of `like`."""
        alpha, sigma = self.schedule(like.new_ones((), dtype=torch.float64))
        return torch.hypot(alpha, sigma).to(like.dtype)

    def _prior(self, rows: Rows) -> Tensor:
        noise = super()._prior(rows)
        return noise * self._prior_scale(noise)

    def _log_prior(self, u: Tensor) -> Tensor:
        """N(0, alpha(1)^2 + sigma(1)^2), as for data of scale 1."""
        scale = self._prior_scale(u)
        return standard_normal_log_prob(u / scale) - u[0].numel() * scale.log()

    def _turn(self, w: Tensor, angle: Tensor, context: Tensor | None) -> Tensor:
        """dw/da at w (B, *U) and an angle.

        The network is not asked nearer to the data than `LEAST_ANGLE`, where eps is a difference of two like numbers
        over a small one: there the velocity is proportional to the angle (eps = -sigma score).
        """
        near, angle = (angle / LEAST_ANGLE).clamp(max=1), angle.clamp(LEAST_ANGLE, math.pi / 2 - LEAST_SIGNAL)
        t = self.schedule.at_log_snr(-2 * angle.tan().log()).clamp(0, 1).expand(len(w))
        scale = expand_as_rows(torch.hypot(*self.schedule(t)), w)
        data, noise = self._data_and_noise(w * scale, t, context)
        return near * (angle.cos() * noise - angle.sin() * data)

    def _arc(self) -> tuple[float, float, float]:
        """The angles at t = 0 and t = 1, and |(alpha, sigma)| at t = 0."""
        alpha, sigma = self.schedule(torch.tensor([0.0, 1.0], dtype=torch.float64))
        first, last = torch.atan2(sigma, alpha).tolist()
        return first, last, math.hypot(float(alpha[0]), float(sigma[0]))

    def _course(self) -> Course:
        """Along the angle, in which every schedule is smooth."""
        return Course(self._turn, *self._arc())

    def _log_base(self, z: Tensor) -> Tensor:
        return standard_normal_log_prob(z)

    def default_sampler(self) -> Sampler:
        return DPMSolver()
