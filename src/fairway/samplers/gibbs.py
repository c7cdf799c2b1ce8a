"""Gibbs sampling: redraw one block of entries from its law given the rest, and go round.

    u_b ~ p(u_b | u_rest)    for b = 1, ..., blocks;  one round is one step

Every redraw leaves p invariant, and so does the round (Geman & Geman 1984). A model that knows its blocks redraws them
itself (`HasGibbs`: the two layers of a Boltzmann machine, the colours of a lattice). Any other model of discrete data
is taken entry by entry: p(u_i = k | rest) is the softmax over the levels k of log p at u with u_i = k, so a round
costs entries x levels values. One uniform number per entry decides, by inversion of the cumulated probabilities; a
model with hidden units says how many it takes (`gibbs_uniforms`).
"""

import math

import torch
from torch import Tensor

from fairway.core.capability import Capability
from fairway.samplers.kernel import Info, Kernel, Noise, State, shape_of
from fairway.samplers.target import Target


class Gibbs(Kernel):
    """One round over all blocks per step.

    Args:
        shuffled: take the blocks in an order drawn anew for every step (the same for all chains), instead of one after
            the other; the law stays the same, the chain is then reversible.

    >>> from fairway.core.event import Event
    >>> from fairway.samplers import Target, draw
    >>> pair = Target(lambda u: 2.0 * (u[:, 0] == u[:, 1]).double(), event=Event((2,), "binary"))
    >>> draws = draw(pair, 4000, sampler="gibbs", generator=0)
    >>> abs(float((draws.samples[:, 0] == draws.samples[:, 1]).double().mean()) - 1 / (1 + math.exp(-2.0))) < 0.03
    True
    """

    gradients = 0.0

    def __init__(self, shuffled: bool = False) -> None:
        self.shuffled = shuffled

    @property
    def requires(self) -> tuple[type[Capability], ...]:
        return ()  # either of two will do: `init` says which are missing

    def noise(self, target: Target) -> dict[str, tuple[str, tuple[int, ...]]]:
        shape = shape_of(target.event) if target.uniforms is None else target.uniforms
        sources: dict[str, tuple[str, tuple[int, ...]]] = {"redraw": ("uniform", shape)}
        return {**sources, "order": ("common", ())} if self.shuffled else sources

    def init(self, target: Target, u: Tensor) -> State:
        """The state of chains that stand at u.

        Raises:
            TypeError: a target without blocks to redraw that is not a density of discrete data either.
        """
        if target.resample is None and (target.log_prob is None or not target.event.levels):
            raise TypeError(
                f"Gibbs sampling needs a model with blocks to redraw, or a density of discrete data; "
                f"got {target.event}: take langevin, hmc or nuts for continuous data"
            )
        value = target.value(u)
        return State(u, value, value.new_zeros(0), torch.ones_like(value))

    def step(self, target: Target, state: State, noise: Noise) -> tuple[State, Info]:
        u, value = state.u, state.value
        blocks = target.blocks if target.resample is not None else math.prod(shape_of(target.event))
        for block in self._order(blocks, noise):
            if target.resample is not None:
                u = target.resample(u, block, noise["redraw"])
            else:
                u, value = redraw_entry(target, u, block, noise["redraw"])
        return State(u, value, state.grad, state.step), Info(torch.ones_like(state.step), gradients=float(blocks))

    def _order(self, blocks: int, noise: Noise) -> list[int]:
        if not self.shuffled:
            return list(range(blocks))
        seed = int(float(noise["order"]) * 2**24)
        return [int(b) for b in torch.randperm(blocks, generator=torch.Generator().manual_seed(seed))]


def redraw_entry(target: Target, u: Tensor, entry: int, uniforms: Tensor) -> tuple[Tensor, Tensor]:
    """u (B, *U) with one entry (its flat index) redrawn given the others, and the log density (B,) there."""
    levels, low = int(target.event.levels or 2), int(target.event.low or 0)
    flat = u.flatten(1)
    variants = flat.unsqueeze(0).repeat(levels, 1, 1)
    variants[:, :, entry] = torch.arange(low, low + levels, device=u.device).to(u.dtype).unsqueeze(1)
    value = target.value(variants.reshape(levels * len(u), *u.shape[1:])).reshape(levels, len(u))
    cumulated = value.double().softmax(0).cumsum(0)
    chosen = (uniforms.flatten(1)[:, entry].double() * cumulated[-1] > cumulated).sum(0).clamp(max=levels - 1)
    rows = torch.arange(len(u), device=u.device)
    return variants[chosen, rows].reshape(u.shape), value[chosen, rows]
