"""How data become noise: u_t = alpha(t) u_0 + sigma(t) eps, t in [0, 1], 0 = data, 1 = noise.

    linear    alpha = 1 - t,                sigma = t                  straight lines (Lipman et al. 2023)
    cosine    alpha = cos(pi t / 2),        sigma = sin(pi t / 2)      (Nichol and Dhariwal 2021, without their offset)
    vp        alpha = exp(-B(t) / 2),       sigma^2 = 1 - alpha^2      B = int beta (Song et al. 2021, eq. 11)
    sub_vp    alpha as vp,                  sigma = 1 - alpha^2        (Song et al. 2021, eq. 13)
    ve        alpha = 1,                    sigma = a (b / a)^t        geometric (Song et al. 2021, eq. 9)
    edm       alpha = 1,                    sigma^(1/7) linear in t    (Karras et al. 2022, eq. 5)

A schedule is a pure function of t; its derivatives, which velocities need, follow by forward-mode differentiation
unless they are written out. What a sampler walks along is the log signal-to-noise ratio 2 log(alpha / sigma), falling
in t; `at_log_snr` is its inverse. Only linear and cosine end in pure noise, alpha(1) = 0: `signal_left` says how much
of the data's scale is there at t = 1, against the noise.
"""

import math
from abc import ABC, abstractmethod
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

Pair = tuple[Tensor, Tensor]
BISECTIONS = 60
NEAREST = 1e-3  # in t, to an end that cannot be looked at


class Schedule(ABC):
    """t (...) -> alpha (...), sigma (...)."""

    @abstractmethod
    def __call__(self, t: Tensor) -> Pair:
        """alpha(t), sigma(t)."""

    def derivatives(self, t: Tensor) -> Pair:
        """alpha'(t), sigma'(t)."""
        t = t.contiguous()
        slopes: Pair = torch.func.jvp(self.__call__, (t,), (torch.ones_like(t),))[1]
        return slopes

    def log_snr(self, t: Tensor) -> Tensor:
        """2 log(alpha / sigma)."""
        alpha, sigma = self(t)
        return 2 * (alpha.log() - sigma.log())

    def at_log_snr(self, log_snr: Tensor) -> Tensor:
        """The t at which the log signal-to-noise ratio is this, within [0, 1]; by bisection unless written out."""
        low, high = torch.zeros_like(log_snr), torch.ones_like(log_snr)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            early = self.log_snr(middle) > log_snr
            low, high = torch.where(early, middle, low), torch.where(early, high, middle)
        return (low + high) / 2

    @cached_property
    def inside(self) -> tuple[float, float]:
        """The first and the last t at which there are both data and noise: an end without one of them is 0 / 0."""
        alpha, sigma = self(torch.tensor([0.0, 1.0], dtype=torch.float64))
        return (0.0 if sigma[0] > 0 else NEAREST), (1.0 if alpha[1] > 0 else 1 - NEAREST)

    @property
    def signal_left(self) -> float:
        """alpha(1) / sigma(1): 0 where t = 1 is pure noise."""
        alpha, sigma = self(torch.ones((), dtype=torch.float64))
        return float(alpha / sigma)


class Linear(Schedule):
    """alpha = 1 - t, sigma = t."""

    def __call__(self, t: Tensor) -> Pair:
        return 1 - t, t

    def derivatives(self, t: Tensor) -> Pair:
        return -torch.ones_like(t), torch.ones_like(t)

    def at_log_snr(self, log_snr: Tensor) -> Tensor:
        return torch.sigmoid(-log_snr / 2)


class Cosine(Schedule):
    """alpha = cos(pi t / 2), sigma = sin(pi t / 2)."""

    def __call__(self, t: Tensor) -> Pair:
        # the sine of what is left: cos(pi / 2) is 6e-17, and t = 1 is pure noise
        return torch.sin((1 - t) * (math.pi / 2)), torch.sin(t * (math.pi / 2))

    def derivatives(self, t: Tensor) -> Pair:
        alpha, sigma = self(t)
        return -sigma * (math.pi / 2), alpha * (math.pi / 2)

    def at_log_snr(self, log_snr: Tensor) -> Tensor:
        return torch.atan(torch.exp(-log_snr / 2)) * (2 / math.pi)


class VP(Schedule):
    """Variance preserving: du = -beta u / 2 dt + sqrt(beta) dw with beta linear in t.

    Args:
        first, last: beta at t = 0 and t = 1.

    Raises:
        ValueError: not 0 < first <= last.
    """

    def __init__(self, first: float = 0.1, last: float = 20.0) -> None:
        _check_ends("beta", first, last)
        self.first, self.last = first, last

    def _log_alpha(self, t: Tensor) -> Tensor:
        return -t * (self.first / 2 + t * ((self.last - self.first) / 4))

    def __call__(self, t: Tensor) -> Pair:
        log_alpha = self._log_alpha(t)
        return log_alpha.exp(), torch.sqrt(-torch.expm1(2 * log_alpha))

    def derivatives(self, t: Tensor) -> Pair:
        (alpha, sigma), beta = self(t), self.first + t * (self.last - self.first)
        return -beta / 2 * alpha, beta / 2 * alpha.square() / sigma

    def at_log_snr(self, log_snr: Tensor) -> Tensor:
        return self._at_log_alpha(F.logsigmoid(log_snr) / 2)

    def _at_log_alpha(self, log_alpha: Tensor) -> Tensor:
        half, quarter = self.first / 2, (self.last - self.first) / 4
        return -2 * log_alpha / (half + torch.sqrt(half**2 - 4 * quarter * log_alpha))


class SubVP(VP):
    """Like VP with sigma = 1 - alpha^2, below its noise at every t.

    Args:
        first, last: beta at t = 0 and t = 1.
    """

    def __call__(self, t: Tensor) -> Pair:
        log_alpha = self._log_alpha(t)
        return log_alpha.exp(), -torch.expm1(2 * log_alpha)

    def derivatives(self, t: Tensor) -> Pair:
        alpha, beta = self(t)[0], self.first + t * (self.last - self.first)
        return -beta / 2 * alpha, beta * alpha.square()

    def at_log_snr(self, log_snr: Tensor) -> Tensor:
        noise = torch.exp(-log_snr / 2)  # sigma / alpha = 1 / alpha - alpha
        return self._at_log_alpha(-torch.asinh(noise / 2))


class VE(Schedule):
    """Variance exploding: alpha = 1, and the noise grows geometrically.

    Args:
        least, most: sigma at t = 0 and t = 1, in units of the data's scale.

    Raises:
        ValueError: not 0 < least < most.
    """

    def __init__(self, least: float = 0.01, most: float = 50.0) -> None:
        _check_ends("sigma", least, most)
        self.least, self.most = least, most

    def __call__(self, t: Tensor) -> Pair:
        return torch.ones_like(t), self.least * torch.exp(t * math.log(self.most / self.least))

    def derivatives(self, t: Tensor) -> Pair:
        return torch.zeros_like(t), self(t)[1] * math.log(self.most / self.least)

    def at_log_snr(self, log_snr: Tensor) -> Tensor:
        return (-log_snr / 2 - math.log(self.least)) / math.log(self.most / self.least)


class EDM(Schedule):
    """alpha = 1, and sigma^(1/rho) is linear in t: small steps where sigma is small.

    Args:
        least, most: sigma at t = 0 and t = 1, in units of the data's scale.
        rho: how small; 7 in the paper.

    Raises:
        ValueError: not 0 < least < most, or rho not positive.
    """

    def __init__(self, least: float = 0.002, most: float = 80.0, rho: float = 7.0) -> None:
        _check_ends("sigma", least, most)
        if not 0 < rho < math.inf:
            raise ValueError(f"expected rho above 0, got {rho}")
        self.least, self.most, self.rho = least, most, rho

    def _root(self, t: Tensor) -> Tensor:
        first, last = self.least ** (1 / self.rho), self.most ** (1 / self.rho)
        return first + t * (last - first)

    def __call__(self, t: Tensor) -> Pair:
        return torch.ones_like(t), self._root(t) ** self.rho

    def derivatives(self, t: Tensor) -> Pair:
        slope = self.most ** (1 / self.rho) - self.least ** (1 / self.rho)
        return torch.zeros_like(t), self.rho * slope * self._root(t) ** (self.rho - 1)

    def at_log_snr(self, log_snr: Tensor) -> Tensor:
        first, last = self.least ** (1 / self.rho), self.most ** (1 / self.rho)
        return (torch.exp(-log_snr / (2 * self.rho)) - first) / (last - first)


def _check_ends(what: str, first: float, last: float) -> None:
    if not 0 < first <= last < math.inf or (what == "sigma" and first == last):
        raise ValueError(f"expected {what} to grow from above 0, got {first} at t = 0 and {last} at t = 1")


SCHEDULES: dict[str, type[Schedule]] = {
    "linear": Linear,
    "cosine": Cosine,
    "vp": VP,
    "sub_vp": SubVP,
    "ve": VE,
    "edm": EDM,
}


def schedule_named(name: str) -> Schedule:
    """A schedule by name.

    Raises:
        ValueError: unknown name.
    """
    if name not in SCHEDULES:
        raise ValueError(f"expected a schedule among {', '.join(SCHEDULES)}, got {name!r}")
    return SCHEDULES[name]()
