"""Chains that are each at a temperature of their own, on one ladder.

    p(u, k)  proportional to  exp(beta_k f(u) - zeta_k) q(u)          pi_k = q exp(beta_k f) / Z_k given k

A round draws k from p(k | u), which is a softmax over the ladder, and then moves u with a kernel that keeps pi_k; both
leave p(u, k) as it is, whatever zeta is. Each chain moves in the coordinates and with the step size that the pilot run
found at its temperature (`pilot`): u = m_k + L_k v. Shapes: chains u (B, *U), temperatures k (B,), zeta (K,) nats.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from fairway.core.random import Rows
from fairway.samplers.driver import Book
from fairway.samplers.kernel import Kernel, Noise, State
from fairway.samplers.pilot import Ladder
from fairway.samplers.target import Target, Tempered
from fairway.samplers.whitening import quarter_turn


@dataclass
class Levels:
    """What moves chains that are each at a temperature of its own.

    Args:
        steps: moves of a round. noise: of one move after the other. rows: for drawing temperatures.
        book: acceptance and gradients.
    """

    kernel: Kernel
    path: Tempered
    ladder: Ladder
    steps: int
    noise: Iterator[Noise]
    rows: Rows
    book: Book = field(default_factory=lambda: Book(0))
    state: State = None  # type: ignore[assignment]

    def conditional(self, f: Tensor, zeta: Tensor) -> Tensor:
        """p(k | u) (B, K) of chains with f (B,)."""
        betas = self.ladder.betas.to(f.device)
        energy = torch.where(betas == 0, 0.0, betas * f.double().unsqueeze(1))
        return torch.softmax(torch.nan_to_num(energy, nan=-math.inf) - zeta, 1)

    def round(self, u: Tensor, zeta: Tensor) -> tuple[Tensor, Tensor]:
        """Chains u (B, *U) after drawing temperatures k (B,) and moving at them; and k."""
        edges = self.conditional(self.path.f(u), zeta).cumsum(1)
        k = (edges < self.rows.uniform().to(edges).unsqueeze(1)).sum(1).clamp(max=len(self.ladder) - 1)
        self.book.gradients += 2
        return self.move(u, k), k

    def forget(self) -> None:
        """Start a new book, which goes on counting gradients."""
        self.book.close_block()
        gradients, self.book = self.book.gradients, Book(0)
        self.book.gradients = gradients

    def move(self, u: Tensor, k: Tensor) -> Tensor:
        """Some moves at temperatures k."""
        here = Own(self.ladder.means[k], self.ladder.factors[k])
        target = here.target(self.path.at(self.ladder.betas.to(u)[k]))
        state = self.kernel.init(target, here.to_round(u))
        state = quarter_turn(replace(state, step=self.ladder.steps[k]))
        for _ in range(self.steps):
            state, info = self.kernel.step(target, state, next(self.noise))
            self.book.record(state, info)
        self.state = state
        return here.from_round(state.u)


@dataclass(frozen=True)
class Own:
    """Coordinates of chains that are each at a temperature of its own: as `Whitening`, one for each chain.

    Args:
        mean: (B, D). factor: (B, D, D) lower triangular, or (B, D) a diagonal.
    """

    mean: Tensor
    factor: Tensor

    def to_round(self, u: Tensor) -> Tensor:
        """u -> v, (B, *U) both."""
        centred = u.flatten(1) - self.mean
        if self.factor.ndim == 2:
            return (centred / self.factor).reshape(u.shape)
        return torch.linalg.solve_triangular(self.factor, centred.unsqueeze(2), upper=False).reshape(u.shape)

    def from_round(self, v: Tensor) -> Tensor:
        """v -> u."""
        flat = v.flatten(1)
        moved = flat * self.factor if self.factor.ndim == 2 else (self.factor @ flat.unsqueeze(2)).squeeze(2)
        return (self.mean + moved).reshape(v.shape)

    def target(self, at: Target) -> Target:
        """A density of u in these coordinates."""
        known: dict[str, Any] = {"event": at.event, "dtype": at.dtype, "device": at.device}
        return _Owned(lambda v: at.value(self.from_round(v)), **known, at=at, own=self)


@dataclass(frozen=True)
class _Owned(Target):
    at: Target = None  # type: ignore[assignment]
    own: Own = None  # type: ignore[assignment]

    def chains(self, index: Tensor) -> Target:
        return Own(self.own.mean[index], self.own.factor[index]).target(self.at.chains(index))

    def value_and_grad(self, v: Tensor) -> tuple[Tensor, Tensor]:
        value, grad = self.at.value_and_grad(self.own.from_round(v))
        factor, flat = self.own.factor, grad.flatten(1)
        turned = flat * factor if factor.ndim == 2 else (factor.mT @ flat.unsqueeze(2)).squeeze(2)
        return value, turned.reshape(v.shape)
