"""Packing: the critic judges m rows at once, all real or all fake (Lin, Khetan, Fanti and Oh 2018, PacGAN).

    d: (u_1, ..., u_m) -> one logit,          so that the game compares p^m with q^m, their m-fold products

A generator that forgot a mode gives itself away by what its draws have in common: of two laws as far from p in total
variation, the one that lacks modes is as a rule the farther in the products, and the more so the larger m.

The pack's logit is repeated to each of its rows, so that weights and means keep their meaning: a pack weighs what its
rows do. A penalty is on the slope in the whole pack, |grad d|^2 = sum over its rows, at one point between a real and a
fake pack. Shapes: u (B, *U) -> (B/m, m, *U) -> logits (B/m,) -> (B,).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from fairway.core.objective import Batch, Loss, Phase
from fairway.core.random import Rows
from fairway.networks.critic import MLPCritic
from fairway.networks.dcgan import ConvCritic
from fairway.objectives.adversarial import Adversarial


class Packed(nn.Module):
    """(u (B, *U), context (B, ...) or None) -> (B,), every m rows in a row with the logit of their pack.

    Args:
        critic: (u (B/m, m, *U), context (B/m, m, ...) or None) -> (B/m,) or (B/m, ...) logits.
        m: rows of a pack.

    Raises:
        ValueError: m below 1; rows that do not divide into packs.

    >>> import torch
    >>> Packed(MLPCritic(6, ()), 3)(torch.randn(12, 2)).unique().shape
    torch.Size([4])
    """

    def __init__(self, critic: nn.Module, m: int) -> None:
        super().__init__()
        if m < 1:
            raise ValueError(f"expected packs of at least 1 row, got {m}")
        self.critic, self.m = critic, m

    def forward(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        refuse_remainders(len(u), self.m)
        packs = [None if part is None else in_packs(part, self.m) for part in (u, context)]
        logits: Tensor = self.critic(*packs)
        return logits.repeat_interleave(self.m, 0)


class Packing(Adversarial):
    """`Adversarial` with a critic of packs.

    Args:
        divergence, penalty, weight, every, critic_steps, critic_hidden, views, monitor: see `Adversarial`.
        critic: your own, see `Packed`; None for the model's, with an input m times as wide.
        pack: rows that are judged at once, the paper's m; batches must divide by it.

    Raises:
        ValueError: a pack below 1; at the first batch, rows that do not divide.
    """

    def __init__(
        self,
        divergence: str = "non_saturating",
        penalty: str = "none",
        weight: float | Sequence[float] = 10.0,
        every: int = 1,
        critic_steps: int = 1,
        critic_hidden: Sequence[int] | None = None,
        views: Sequence[nn.Module] = (),
        monitor: str | None = None,
        critic: nn.Module | None = None,
        pack: int = 4,
    ) -> None:
        super().__init__(
            divergence, penalty, weight, every, critic_steps, critic_hidden, views, monitor=monitor, critic=critic
        )
        if pack < 1:
            raise ValueError(f"expected packs of at least 1 row, got {pack}")
        self.pack = pack
        self.penalty = replace(self.penalty, cost=of_packs(self.penalty.cost, pack))

    def setup(self, model: Any) -> None:
        super().setup(model)
        if not isinstance(self.critic, Packed):
            assert self.critic is not None
            self.critic = Packed(self.critic, self.pack)

    def default_critic(self, model: Any) -> nn.Module:
        return widened(super().default_critic(model), self.pack)

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        refuse_remainders(len(batch), self.pack)  # two odd halves would make an even whole, and a pack of both kinds
        return super().loss(batch, model, phase=phase, generator=generator)

    def uniforms(self, rows: Rows) -> Tensor | None:
        each = super().uniforms(rows)
        return None if each is None else each[:: self.pack].repeat_interleave(self.pack)


def in_packs(rows: Tensor, m: int) -> Tensor:
    """(B, ...) -> (B/m, m, ...)."""
    return rows.reshape(-1, m, *rows.shape[1:])


def of_packs(cost: Callable[[Tensor], Tensor], m: int) -> Callable[[Tensor], Tensor]:
    """A cost of the slope in a whole pack, from the slopes (B, *U) of logits that are repeated to each of its rows:
    the sum over a pack's rows counts its logit m times."""

    def packed(slope: Tensor) -> Tensor:
        return cost(in_packs(slope, m) / m).repeat_interleave(m, 0)

    return packed


def widened(critic: nn.Module, m: int) -> nn.Module:
    """The same network for m rows at once: beside each other in a vector, or as so many channels.

    Raises:
        ValueError: a network of another kind.
    """
    if isinstance(critic, MLPCritic):
        return MLPCritic(**{**critic.arguments, "inputs": m * critic.arguments["inputs"]})
    if isinstance(critic, ConvCritic):
        own = critic.arguments
        shape = (m * critic.channels, *own["shape"][-2:])
        return ConvCritic(**{**own, "shape": shape, "context": m * own["context"]})
    raise ValueError(
        f"expected an MLPCritic or a ConvCritic to widen, got {type(critic).__name__}: give Packing a critic=... of "
        f"packs, (B/{m}, {m}, *U) -> (B/{m},)"
    )


def refuse_remainders(rows: int, m: int) -> None:
    """Whether rows divide into packs.

    Raises:
        ValueError: says which numbers would.
    """
    if rows % m:
        near = f"{rows - rows % m} or {rows + m - rows % m}" if rows > m else f"{m}"
        raise ValueError(f"expected rows in packs of {m}, got {rows}: take batch_size={near}, or another pack")
