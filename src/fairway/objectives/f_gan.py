"""f-divergences as games: the variational bound of Nowozin, Cseke and Tomioka (2016), tables 1, 2 and 6.

    D_f(p || q) = E_q f(p / q)  >=  E_p T - E_q f*(T),       f*(t) = sup_u u t - f(u),    equal at T = f'(p / q)

p the data, q the generator, f convex with f(1) = 0. The critic's raw logit v becomes T = g(v) by an activation g that
keeps T where f* is finite and grows with v, so that a larger logit always means "more real". Reverse KL, Neyman and
Hellinger are therefore g(-v) of the paper's table. `composed` is f*(g(v)) with the exponentials cancelled by hand.

    name                f(u)                              f*(t)                       t below   g(v)
    kl                  u log u                           e^(t-1)                     inf       v
    reverse_kl          -log u                            -1 - log(-t)                0         -e^-v
    jeffreys            (u - 1) log u                     W + 1/W + t - 2             inf       v + 1 - e^-v
    pearson             (u - 1)^2                         t^2/4 + t, or -1 if t < -2  inf       v
    neyman              (u - 1)^2 / u                     2 - 2 sqrt(1 - t)           1         1 - e^-v
    squared_hellinger   (sqrt u - 1)^2 / 2                t / (1 - 2t)                1/2       (1 - e^-v) / 2
    jensen_shannon      (u log u - (u+1) log((u+1)/2))/2  -log(2 - e^2t) / 2          log 2/2   (log 2 - softplus(-v))/2
    total_variation     |u - 1| / 2                       t, or -1/2 if t < -1/2      1/2       tanh(v) / 2
    gan                 u log u - (u+1) log(u+1)          -log(1 - e^t)               0         -softplus(-v)

W is Lambert's function of e^(1-t). Divergences are those of `metrics.divergence`, whose Jensen-Shannon is half of
u log u - (u + 1) log((u + 1) / 2); the GAN's own f has f(1) = -log 4, hence D = 2 JS - log 4. The generator minimises
the bound itself, -f*(g(v)) over its draws.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from fairway.core.numerics import LOG_2

Function = Callable[[Tensor], Tensor]
NEWTON = 60  # iterations for Lambert's function, of which about six are used


@dataclass(frozen=True)
class FGAN:
    """One f-divergence as a game, entry by entry.

    Args:
        f: of the ratio u > 0. conjugate: f* of t in the domain. activation: g, logit -> t.
        composed: logit -> f*(g(logit)).
        limit: supremum of the domain of f*.
    """

    f: Function
    conjugate: Function
    activation: Function
    composed: Function
    limit: float

    def critic(self, real: Tensor, fake: Tensor) -> Tensor:
        """Logits (B,), (B,) -> (B,): minus the bound on the divergence."""
        return self.composed(fake) - self.activation(real)

    def generator(self, fake: Tensor, real: Tensor) -> Tensor:
        """Logits (B,), (B,) -> (B,): what of the bound depends on the generator."""
        return -self.composed(fake)


def lambert(log_x: Tensor) -> Tensor:
    """W with W e^W = x, for log x: the root of w + log w = log x by Newton's method, w > 0.

    >>> lambert(torch.tensor(1.0).double()).item()  # W e^W = e
    1.0
    """
    w = torch.where(log_x > 1, log_x, log_x.clamp(max=1).exp() / 2)
    for _ in range(NEWTON):
        w = w * (1 + log_x - w.log()) / (1 + w)
    return w


def _jeffreys_conjugate(t: Tensor) -> Tensor:
    w = lambert(1 - t)
    return w + 1 / w + t - 2


def _pearson_conjugate(t: Tensor) -> Tensor:
    return torch.where(t >= -2, t.square() / 4 + t, -1.0)


def _jensen_shannon(u: Tensor) -> Tensor:
    return (torch.xlogy(u, u) - (u + 1) * ((u + 1) / 2).log()) / 2


F_GANS = {
    "kl": FGAN(lambda u: torch.xlogy(u, u), lambda t: (t - 1).exp(), lambda v: v, lambda v: (v - 1).exp(), math.inf),
    "reverse_kl": FGAN(
        lambda u: -u.log(), lambda t: -1 - (-t).log(), lambda v: -(-v).exp(), lambda v: v - 1, 0.0
    ),
    "jeffreys": FGAN(
        lambda u: (u - 1) * u.log(), _jeffreys_conjugate,
        lambda v: v - torch.expm1(-v), lambda v: torch.expm1(v) + v, math.inf,
    ),
    "pearson": FGAN(
        lambda u: (u - 1).square(), _pearson_conjugate, lambda v: v, _pearson_conjugate, math.inf
    ),
    "neyman": FGAN(
        lambda u: (u - 1).square() / u, lambda t: 2 - 2 * (1 - t).sqrt(),
        lambda v: -torch.expm1(-v), lambda v: -2 * torch.expm1(-v / 2), 1.0,
    ),
    "squared_hellinger": FGAN(
        lambda u: (u.sqrt() - 1).square() / 2, lambda t: t / (1 - 2 * t),
        lambda v: -torch.expm1(-v) / 2, lambda v: torch.expm1(v) / 2, 0.5,
    ),
    "jensen_shannon": FGAN(
        _jensen_shannon, lambda t: -(2 - (2 * t).exp()).log() / 2,
        lambda v: (LOG_2 - F.softplus(-v)) / 2, lambda v: (F.softplus(v) - LOG_2) / 2, LOG_2 / 2,
    ),
    "total_variation": FGAN(
        lambda u: (u - 1).abs() / 2, lambda t: t.clamp(min=-0.5), lambda v: v.tanh() / 2, lambda v: v.tanh() / 2, 0.5
    ),
    "gan": FGAN(
        lambda u: torch.xlogy(u, u) - (u + 1) * (u + 1).log(), lambda t: -torch.log(-torch.expm1(t)),
        lambda v: -F.softplus(-v), F.softplus, 0.0,
    ),
}  # fmt: skip
