"""What critic and generator minimise, per row, as functions of the critic's raw logits on real and fake rows.

                    critic                                          generator
    minimax         softplus(-r) + softplus(f)                      -softplus(f)       Goodfellow et al. 2014, eq. 1
    non_saturating  softplus(-r) + softplus(f)                      softplus(-f)       the same, section 3
    smoothed        0.9 softplus(-r) + 0.1 softplus(r) + softplus(f)   softplus(-f)    Salimans et al. 2016, 3.4
    wasserstein     f - r                                           -f                 Arjovsky et al. 2017
    hinge           relu(1 - r) + relu(1 + f)                       -f                 Lim and Ye 2017
    least_squares   (r - 1)^2 / 2 + f^2 / 2                         (f - 1)^2 / 2      Mao et al. 2017
    relativistic    softplus(f - r)                                 softplus(r - f)    Jolicoeur-Martineau 2018

r = d(real), f = d(fake), (B,) each; softplus(-a) = -log sigma(a) and softplus(a) = -log(1 - sigma(a)). Minimax is the
game of the proof: with the best critic, r = log p / q, its value is log 4 - 2 JS(p, q). A generator should not play it:
where the critic is sure of a fake (f -> -inf) its slope in f, -sigma(f), vanishes, that of softplus(-f), sigma(f) - 1,
goes to -1. The f-divergences of `objectives.f_gan` are in the same table by their names.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from fairway.objectives.f_gan import F_GANS

Logits = Callable[[Tensor, Tensor], Tensor]
SMOOTHING = 0.1  # how far the target of real rows is from 1


@dataclass(frozen=True)
class Divergence:
    """What the two players minimise, per row, from raw logits.

    Args:
        critic: (real (B,), fake (B,)) -> (B,).
        generator: (fake (B,), real (B,)) -> (B,).
        both: whether the generator's loss depends on real rows.
    """

    critic: Logits
    generator: Logits
    both: bool = False


def non_saturating_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Logits (B,), (B,) -> (B,): cross-entropy of telling real from fake, nats."""
    return F.softplus(-real) + F.softplus(fake)


def non_saturating_generator(fake: Tensor, real: Tensor) -> Tensor:
    """Logits (B,), (B,) -> (B,): cross-entropy of being taken for real, nats."""
    return F.softplus(-fake)


def minimax_generator(fake: Tensor, real: Tensor) -> Tensor:
    """Logits (B,), (B,) -> (B,): log(1 - sigma(fake)), nats."""
    return -F.softplus(fake)


def smoothed_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Logits (B,), (B,) -> (B,): real rows are to be told with probability 0.9, not 1; fakes as they are."""
    return (1 - SMOOTHING) * F.softplus(-real) + SMOOTHING * F.softplus(real) + F.softplus(fake)


def wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Logits (B,), (B,) -> (B,): minus the critic's estimate of the distance."""
    return fake - real


def wasserstein_generator(fake: Tensor, real: Tensor) -> Tensor:
    """Logits (B,), (B,) -> (B,)."""
    return -fake


def hinge_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Logits (B,), (B,) -> (B,): no gain from logits beyond +-1."""
    return F.relu(1 - real) + F.relu(1 + fake)


def least_squares_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Logits (B,), (B,) -> (B,): 1 for real rows, 0 for fakes."""
    return 0.5 * ((real - 1).square() + fake.square())


def least_squares_generator(fake: Tensor, real: Tensor) -> Tensor:
    """Logits (B,), (B,) -> (B,)."""
    return 0.5 * (fake - 1).square()


def relativistic_critic(real: Tensor, fake: Tensor) -> Tensor:
    """Logits (B,), (B,) -> (B,): cross-entropy of telling which of a pair is real, nats."""
    return F.softplus(fake - real)


def relativistic_generator(fake: Tensor, real: Tensor) -> Tensor:
    """Logits (B,), (B,) -> (B,): the same with the roles exchanged."""
    return F.softplus(real - fake)


DIVERGENCES = {
    "wasserstein": Divergence(wasserstein_critic, wasserstein_generator),
    "non_saturating": Divergence(non_saturating_critic, non_saturating_generator),
    "minimax": Divergence(non_saturating_critic, minimax_generator),
    "smoothed": Divergence(smoothed_critic, non_saturating_generator),
    "hinge": Divergence(hinge_critic, wasserstein_generator),
    "least_squares": Divergence(least_squares_critic, least_squares_generator),
    "relativistic": Divergence(relativistic_critic, relativistic_generator, both=True),
    **{name: Divergence(law.critic, law.generator) for name, law in F_GANS.items()},
}
