"""Swaps of replicas between temperatures: their chances, who goes where, round trips, and what they say of the ladder.

    P(swap k, k+1) = min(1, exp((beta_k+1 - beta_k)(f(u_k) - f(u_k+1))))

Refusals add up to the barrier Lambda(beta_k) = r_0 + ... + r_k-1, a function of beta that hardly depends on where the
temperatures stand; temperatures at equal parts of it have equal refusals (Syed, Bouchard-Côté, Deligiannidis & Doucet
2022). With d_k = beta_k+1 - beta_k each pair is a stepping stone, a ratio of constants by the bridge halfway:

    log Z_k+1 / Z_k = log E_k exp(d_k f / 2) - log E_k+1 exp(-d_k f / 2)

Shapes: betas (K,), f (K, C) nats, pairs (K - 1, C); C chains side by side.
"""

import math

import torch
from torch import Tensor

from fairway.samplers.kernel import probability

FLAT = 0.02  # refusals that every pair is thought to have at least, so that no two temperatures meet


def swap_chance(betas: Tensor, f: Tensor) -> Tensor:
    """The probability (K - 1, C) that neighbours change places, for betas (K,) and f (K, C)."""
    return probability(betas.diff().unsqueeze(1) * (f[:-1] - f[1:]))


def exchange(swapped: Tensor) -> Tensor:
    """Which temperature's replica each temperature (K, C) is given, where pairs (K - 1, C) that share no member swap.

    >>> exchange(torch.tensor([[True], [False], [True]])).T.tolist()
    [[1, 0, 3, 2]]
    """
    here = torch.arange(len(swapped) + 1, device=swapped.device).unsqueeze(1).expand(-1, swapped.shape[1])
    none = torch.zeros_like(swapped[:1])
    return here + torch.cat([swapped, none]).long() - torch.cat([none, swapped]).long()


class RoundTrips:
    """Follows replicas through their swaps, and counts their ways from beta = 0 to 1 and back to 0.

    >>> trips = RoundTrips(2, 1)
    >>> for _ in range(4):
    ...     trips.update(exchange(torch.tensor([[True]])))
    >>> trips.count            # the first replica has been up and down twice; the second began at the top, and once
    3
    """

    def __init__(self, temperatures: int, chains: int) -> None:
        self.stage = torch.zeros(temperatures, chains, dtype=torch.long)  # 1: has been at 0; 2: and at the top since
        self.stage[0] = 1
        self.count = 0

    def update(self, order: Tensor) -> None:
        """One round of swaps, as given by `exchange`."""
        self.stage = self.stage.to(order.device).gather(0, order)
        self.count += int((self.stage[0] == 2).sum())
        self.stage[0] = 1
        self.stage[-1] *= 1 + (self.stage[-1] == 1)


def evenly(betas: Tensor, acceptance: Tensor) -> list[float]:
    """As many temperatures, between which swaps are refused equally often, as far as acceptances (K - 1,) tell.

    >>> evenly(torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64), torch.tensor([0.4, 0.8]))[1] < 0.5
    True
    """
    refused = (1 - acceptance.double().cpu()).clamp(min=FLAT)
    barrier = torch.cat([refused.new_zeros(1), refused.cumsum(0)])
    wanted = torch.linspace(0, float(barrier[-1]), len(betas), dtype=torch.float64)[1:-1]
    k = torch.searchsorted(barrier, wanted).clamp(1, len(betas) - 1)
    part = (wanted - barrier[k - 1]) / (barrier[k] - barrier[k - 1])
    start, end = betas.double().cpu()[k - 1], betas.double().cpu()[k]
    return [0.0, *torch.lerp(start, end, part).tolist(), 1.0]


def stepping_stones(betas: Tensor, f: Tensor) -> tuple[float, float]:
    """log Z and its standard error, from f (rounds, K, C) at betas (K,)."""
    half = betas.diff().to(f).unsqueeze(1) / 2
    up = torch.logsumexp(half * f[:, :-1], 0)  # (K - 1, C), of each chain
    down = torch.logsumexp(-half * f[:, 1:], 0)
    chains = up.shape[1]
    total = float((up.logsumexp(1) - down.logsumexp(1)).sum())
    if chains == 1:
        return total, math.inf
    others = ~torch.eye(chains, dtype=torch.bool, device=f.device)
    without = [(up[:, keep].logsumexp(1) - down[:, keep].logsumexp(1)).sum() for keep in others]
    left_out = torch.stack(without)
    return total, float((left_out - left_out.mean()).square().sum() * (chains - 1) / chains) ** 0.5
