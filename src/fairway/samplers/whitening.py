"""Coordinates in which a population is round: what a kernel with one step size wants.

    u = m + L v,      m, L L^T  mean and covariance of a population        v has mean 0 and covariance I

The density of v is that of u up to the constant |det L|, so a kernel that leaves one invariant leaves the other, and a
random walk, Langevin or Hamiltonian move in v is one with a full mass matrix (L L^T)^-1 in u: a target whose condition
number is in the millions looks like N(0, I). L is the Cholesky factor while there are ten points per entry, beyond that
(images) and where the population is flat it is the diagonal of standard deviations.

>>> import torch
>>> u = torch.randn(500, 2, dtype=torch.float64) @ torch.tensor([[1.0, 0.999], [0.0, 0.001]], dtype=torch.float64)
>>> v = Whitening.of(u).to_round(u)
>>> [[round(abs(float(c)), 6) for c in row] for row in v.T.cov()]
[[1.0, 0.0], [0.0, 1.0]]
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fairway.samplers.hmc import Rolling
from fairway.samplers.kernel import State
from fairway.samplers.target import Target

ENOUGH = 10  # points per entry that a full covariance takes
ROUNDING = 1e-10  # a spread, in units of the mean or of other entries, that says nothing
QUARTER = math.pi / 2  # of the period of a harmonic motion of unit frequency
LEAPFROGS = 3  # of a mean trajectory, at most


@dataclass(frozen=True)
class Whitening:
    """u = mean + factor v.

    Args:
        mean: (D,), D the number of entries of one point.
        factor: (D, D) lower triangular, or (D,) a diagonal.
    """

    mean: Tensor
    factor: Tensor

    @classmethod
    def of(cls, u: Tensor, weights: Tensor | None = None) -> "Whitening":
        """From a population u (B, *U) with weights (B,) that sum to 1, None for equal ones."""
        flat = u.flatten(1).double()
        share = flat.new_full((len(u),), 1 / len(u)) if weights is None else weights.double()
        mean = share @ flat
        centred = (flat - mean) * (share / (1 - share.square().sum()).clamp(min=1e-12)).sqrt().unsqueeze(1)
        std = centred.square().sum(0).sqrt()
        std = torch.where(std > ROUNDING * mean.abs(), std, torch.ones_like(std))
        factor = std
        if len(u) >= ENOUGH * flat.shape[1]:
            upper = torch.linalg.qr(
                centred / std, mode="r"
            ).R  # of the covariance R^T R, without squaring its condition
            diagonal = upper.diagonal()
            if float(diagonal.abs().min()) > ROUNDING:
                factor = std.unsqueeze(1) * (diagonal.sign().unsqueeze(1) * upper).T
        return cls(mean.to(u), factor.to(u))

    @classmethod
    def standard(cls, u: Tensor, std: float = 1.0) -> "Whitening":
        """u = std v, for points like u (B, *U)."""
        return cls(torch.zeros_like(u[0].flatten()), torch.full_like(u[0].flatten(), std))

    def wider(self, factor: float) -> "Whitening":
        """The same, for a population `factor` times as wide."""
        return replace(self, factor=factor * self.factor)

    @property
    def log_det(self) -> float:
        """log |du / dv|, nats."""
        diagonal = self.factor if self.factor.ndim == 1 else self.factor.diagonal()
        return float(diagonal.double().log().sum())

    def to_round(self, u: Tensor) -> Tensor:
        """u -> v, (B, *U) both."""
        centred = u.flatten(1) - self.mean
        if self.factor.ndim == 1:
            return (centred / self.factor).reshape(u.shape)
        return torch.linalg.solve_triangular(self.factor, centred.T, upper=False).T.reshape(u.shape)

    def from_round(self, v: Tensor) -> Tensor:
        """v -> u."""
        flat = v.flatten(1)
        return (self.mean + (flat * self.factor if self.factor.ndim == 1 else flat @ self.factor.T)).reshape(v.shape)

    def target(self, target: Target) -> Target:
        """The density of v, up to a constant."""
        return _Round(
            lambda v: target.value(self.from_round(v)),
            event=target.event,
            dtype=target.dtype,
            device=target.device,
            of=target,
            by=self,
        )


@dataclass(frozen=True)
class _Round(Target):
    """A target in round coordinates; the gradient follows by the chain rule, grad_v = L^T grad_u."""

    of: Target = None  # type: ignore[assignment]
    by: Whitening = None  # type: ignore[assignment]

    def chains(self, index: Tensor) -> Target:
        return self.by.target(self.of.chains(index))

    def value_and_grad(self, v: Tensor) -> tuple[Tensor, Tensor]:
        value, grad = self.of.value_and_grad(self.by.from_round(v))
        flat, factor = grad.flatten(1), self.by.factor
        return value, (flat * factor if factor.ndim == 1 else flat @ factor).reshape(v.shape)


def quarter_turn(state: State) -> State:
    """Trajectories of a Hamiltonian kernel a quarter of a period long, which decorrelates N(0, I) best, or a few
    leapfrogs where the step size is small; other kernels' states as they are."""
    if not isinstance(state, Rolling):
        return state
    return replace(state, length=(LEAPFROGS * state.step.mean()).clamp(max=QUARTER))
