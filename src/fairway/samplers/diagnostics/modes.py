"""Do chains move between modes, or does each sit in one?

R-hat asks this of every coordinate; where the modes are known (or a function labels the draws) they answer directly.
With s_ck the share of its draws that chain c spends in mode k and s_k the mean over chains:

    switches        how often a chain's label changes from one draw to the next; 0: the chain is stuck
    disagreement    total variation 1/2 sum_k |s_ck - s_k| of each chain: 0 when all chains tell the same shares,
                    1 - 1/K when each sits in its own of K modes

Shares are right only if chains switch: pooled shares of stuck chains are those of where the chains began.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor

Label = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Modes:
    """Which mode each draw of each chain is in.

    Args:
        labels: (draws, chains), int64.
        shares: (chains, K), float64, each row sums to one.
        switches: (chains,), int64.
    """

    labels: Tensor
    shares: Tensor
    switches: Tensor

    @property
    def pooled(self) -> Tensor:
        """Shares over all chains (K,)."""
        return self.shares.mean(0)

    @property
    def disagreement(self) -> Tensor:
        """Total variation between each chain's shares and the pooled ones (chains,)."""
        return (self.shares - self.pooled).abs().sum(1) / 2

    @property
    def stuck(self) -> Tensor:
        """Chains that never left their mode (chains,), bool."""
        return self.switches == 0

    def total_variation(self, weights: Any) -> float:
        """Total variation between the pooled shares and the modes' true weights (K,), normalised here.

        Raises:
            ValueError: not one weight per mode.
        """
        weights = as_tensor(weights, "weights").to(self.shares)
        if weights.shape != self.pooled.shape:
            raise ValueError(f"expected {len(self.pooled)} weights, one per mode, got shape {tuple(weights.shape)}")
        return float((self.pooled - weights / weights.sum()).abs().sum() / 2)

    def __str__(self) -> str:
        draws, chains = self.labels.shape
        shares = ", ".join(f"{share:.3f}" for share in self.pooled.tolist())
        return (
            f"{int((self.pooled > 0).sum())} of {len(self.pooled)} modes visited; shares {shares}\n"
            f"{chains} chains of {draws} draws: {int(self.stuck.sum())} stuck in one mode, "
            f"{float(self.switches.double().mean()):.1f} switches a chain, "
            f"disagreement {float(self.disagreement.mean()):.2f} (0 all chains agree, 1 none)"
        )


def modes(draws: Any, centres: Any | Label) -> Modes:
    """Label every draw and count.

    Args:
        draws: (draws, chains, *U).
        centres: (K, *U): the nearest one is a draw's mode; or a function (N, *U) -> (N,) of integers 0, ..., K - 1.

    Raises:
        ValueError: shapes do not fit, draws are not finite, or labels are negative.

    >>> import torch
    >>> stuck = torch.tensor([-4.0, 4.0]).expand(100, 2)[..., None]
    >>> found = modes(stuck, torch.tensor([[-4.0], [4.0]]))
    >>> found.pooled.tolist(), found.stuck.tolist(), found.disagreement.tolist()
    ([0.5, 0.5], [True, True], [0.5, 0.5])
    """
    draws = as_tensor(draws, "draws").detach()
    if draws.ndim < 2:
        raise ValueError(f"expected draws of shape (draws, chains, *U), got {tuple(draws.shape)}")
    if not bool(draws.isfinite().all()):
        raise ValueError("expected finite draws: NaN and infinity are in no mode")
    if callable(centres):
        labels, count = _checked(centres(draws.flatten(0, 1)), draws), 0
    else:
        labels, count = _nearest(draws, as_tensor(centres, "centres")), len(centres)
    labels = labels.reshape(draws.shape[:2])
    count = count or int(labels.max()) + 1
    shares = torch.stack([(labels == k).double().mean(0) for k in range(count)], 1)
    return Modes(labels, shares, labels.diff(dim=0).ne(0).sum(0))


def _nearest(draws: Tensor, centres: Tensor) -> Tensor:
    if centres.shape[1:] != draws.shape[2:]:
        raise ValueError(
            f"expected centres of shape (K, {', '.join(map(str, draws.shape[2:]))}), got {tuple(centres.shape)}"
        )
    points = draws.reshape(draws.shape[0] * draws.shape[1], -1).double()
    return torch.cdist(points, centres.reshape(len(centres), -1).to(points)).argmin(1)


def _checked(labels: Any, draws: Tensor) -> Tensor:
    labels, wanted = as_tensor(labels, "labels").long(), draws.shape[0] * draws.shape[1]
    if labels.shape != (wanted,) or int(labels.min()) < 0:
        raise ValueError(f"expected labels 0, 1, ... of shape ({wanted},), got shape {tuple(labels.shape)}")
    return labels
