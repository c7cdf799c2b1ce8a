"""The no-U-turn sampler: roll until the trajectory would come back, and pick a point of it.

A trajectory doubles, forwards or backwards by a fair coin, until its two ends approach each other: with rho the sum of
the momenta and p-, p+ those at the ends, it turns where (rho - (p- + p+)/2) . p- <= 0 or the same with p+. The test is
made on every block of 2^j leaves at a place that a power of two divides, so that any point of the tree would have built
the same tree. Within a half the point is drawn in proportion to exp(-H); between the old tree and the new half it is
the new one with probability min(1, W_new / W_old), which favours far moves (Hoffman & Gelman 2014; Betancourt 2017).

Chains double together, so the leaf and the level are the same for all, and chains that are done drop out of the batch:
one gradient call serves all that are left. A leaf is picked with one uniform number per half, rescaled after each use.
Adaptation as for HMC (step size and scale over all chains); model units.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fairway.core.capability import Capability, HasEnergy, HasScore
from fairway.core.numerics import event_sum, expand_as_rows
from fairway.samplers.adaptation import Adaptation, Pooled
from fairway.samplers.hmc import DIVERGENT, kinetic, leapfrog, rates
from fairway.samplers.kernel import Info, Kernel, Noise, State, accept, shape_of, start_state
from fairway.samplers.target import Target


class NUTS(Kernel):
    """Hamiltonian Monte Carlo that finds the length of each trajectory.

    Args:
        step: leapfrog step size; where its adaptation starts.
        doublings: most doublings of one trajectory, 2^doublings - 1 leapfrogs.
    """

    coupled = True
    static = False
    wanted_acceptance = 0.8

    def __init__(self, step: float = 0.1, doublings: int = 10) -> None:
        if step <= 0 or not 1 <= doublings <= 20:
            raise ValueError(f"expected step > 0 and doublings from 1 to 20, got {step} and {doublings}")
        self.step_size, self.doublings = step, doublings

    @property
    def requires(self) -> tuple[type[Capability], ...]:
        return (HasEnergy, HasScore)  # a score exists on continuous units alone

    def noise(self, target: Target) -> dict[str, tuple[str, tuple[int, ...]]]:
        each: tuple[str, tuple[int, ...]] = ("uniform", (self.doublings,))
        return {"momentum": ("normal", shape_of(target.event)), "direction": each, "leaf": each, "merge": each}

    def init(self, target: Target, u: Tensor) -> State:
        return start_state(self, target, u)

    def adaptation(self, state: State, steps: int) -> Adaptation:
        return Pooled(state, steps, self.wanted_acceptance)

    def step(self, target: Target, state: State, noise: Noise) -> tuple[State, Info]:
        tree = Tree.root(state, noise["momentum"])
        going = torch.arange(len(state.u), device=state.u.device)
        for level in range(self.doublings):
            if not len(going):
                break
            uniforms = {name: noise[name][going, level] for name in ("direction", "leaf", "merge")}
            going = tree.double(target, going, 2**level, uniforms)
        moved = accept(state, torch.ones_like(tree.divergent), u=tree.u, value=tree.value, grad=tree.grad)
        leaves = tree.leaves.clamp(min=1)
        return moved, Info(tree.accepted / leaves, tree.divergent, float(tree.leaves.mean()))


@dataclass
class Edge:
    """One end of each trajectory: u (B, *U), p (B, *U) and the gradient."""

    u: Tensor
    p: Tensor
    grad: Tensor

    def at(self, index: Tensor) -> "Edge":
        return Edge(self.u[index], self.p[index], self.grad[index])

    def put(self, index: Tensor, other: "Edge") -> None:
        self.u[index], self.p[index], self.grad[index] = other.u, other.p, other.grad


@dataclass
class Tree:
    """The trajectories of all chains: two edges, the point picked so far, and what the tests need.

    Args:
        back, ahead: the edges.
        u, value, grad: the point picked.
        energy: (B,) H at the root. scaled, mix: as `leapfrog` takes them.
        rho: (B, *U) sum of the momenta. log_weight: (B,) log of the sum of exp(H_root - H).
        accepted, leaves: (B,) sum of min(1, exp(H_root - H)) over the leaves, and how many.
    """

    back: Edge
    ahead: Edge
    u: Tensor
    value: Tensor
    grad: Tensor
    energy: Tensor
    scaled: Tensor
    mix: Tensor | None
    rho: Tensor
    log_weight: Tensor
    accepted: Tensor
    leaves: Tensor
    divergent: Tensor

    @classmethod
    def root(cls, state: State, p: Tensor) -> "Tree":
        """Trajectories of one point."""
        back, ahead = (Edge(state.u.clone(), p.clone(), state.grad.clone()) for _ in range(2))
        zero = torch.zeros_like(state.value)
        scaled, _, mix = rates(state)
        return cls(
            back, ahead, state.u.clone(), state.value.clone(), state.grad.clone(), kinetic(p) - state.value,
            scaled.expand_as(state.u), mix, p.clone(),
            zero, zero.clone(), zero.clone(), torch.zeros_like(zero, dtype=torch.bool),
        )  # fmt: skip

    def double(self, target: Target, going: Tensor, size: int, uniforms: Noise) -> Tensor:
        """Double the trajectories of the chains `going`; returns those that go on."""
        forward = uniforms["direction"] < 0.5
        half = Half.grow(target.chains(going), self, going, size, forward, uniforms["leaf"])
        self.accepted[going] += half.accepted
        self.leaves[going] += half.leaves
        self.divergent[going] |= half.divergent
        whole = (~half.stopped).nonzero().squeeze(1)
        index = going[whole]
        taken = uniforms["merge"][whole] < (half.log_weight[whole] - self.log_weight[index]).exp()
        new, where = whole[taken], index[taken]
        self.u[where], self.value[where], self.grad[where] = half.u[new], half.value[new], half.grad[new]
        self.log_weight[index] = torch.logaddexp(self.log_weight[index], half.log_weight[whole])
        self.rho[index] += half.rho[whole]
        ahead = forward[whole]
        self.ahead.put(index[ahead], half.edge.at(whole[ahead]))
        self.back.put(index[~ahead], half.edge.at(whole[~ahead]))
        return index[~turning(self.rho[index], self.back.p[index], self.ahead.p[index])]


def turning(rho: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """(B,): whether a stretch of a trajectory whose momenta add up to rho has begun to come back."""
    inner = rho - 0.5 * (first + last)
    return (event_sum(inner * first) <= 0) | (event_sum(inner * last) <= 0)


@dataclass
class Half:
    """The new half of each trajectory; fields as in `Tree`. Where `stopped` it turned or diverged and is dropped."""

    edge: Edge
    u: Tensor
    value: Tensor
    grad: Tensor
    rho: Tensor
    log_weight: Tensor
    accepted: Tensor
    leaves: Tensor
    divergent: Tensor
    stopped: Tensor

    @classmethod
    def grow(cls, target: Target, tree: Tree, going: Tensor, size: int, forward: Tensor, uniform: Tensor) -> "Half":
        """`size` leaves from the edge ahead where `forward` (B,), from the edge behind elsewhere."""
        side = expand_as_rows(forward, tree.u)
        edge = Edge(
            *(torch.where(side, a[going], b[going]) for a, b in zip(_parts(tree.ahead), _parts(tree.back), strict=True))
        )
        scaled = torch.where(side, tree.scaled[going], -tree.scaled[going])
        energy, zero = tree.energy[going], torch.zeros_like(tree.energy[going])
        no = torch.zeros_like(forward)
        half = cls(edge, edge.u, zero, edge.grad, torch.zeros_like(edge.p), zero - torch.inf, zero, zero, no, no)
        marks: list[tuple[Tensor, Tensor]] = []  # momentum and rho at the start of the blocks that are open
        for leaf in range(size):
            u, value, grad, p = leapfrog(target, half.edge.u, half.edge.grad, half.edge.p, scaled, mix=tree.mix)
            gain = energy + value - kinetic(p)
            uniform = half._take(Edge(u, p, grad), value, torch.nan_to_num(gain, nan=-torch.inf), uniform)
            marks = half._check(leaf, p, marks)
            if size > 1 and bool(half.stopped.all()):
                break
        return half

    def _take(self, edge: Edge, value: Tensor, gain: Tensor, uniform: Tensor) -> Tensor:
        """One more leaf of log weight `gain` (B,): pick it, or keep what was picked; returns the uniforms left over."""
        alive = ~self.stopped
        self.divergent = self.divergent | (alive & ~(gain > -DIVERGENT))
        self.accepted = self.accepted + alive * gain.clamp(max=0.0).exp()
        self.leaves = self.leaves + alive
        total = torch.logaddexp(self.log_weight, gain)
        share = (gain - total).exp()
        picked = uniform < share
        rows = expand_as_rows(picked, edge.u)
        self.u, self.grad = torch.where(rows, edge.u, self.u), torch.where(rows, edge.grad, self.grad)
        self.value, self.log_weight = torch.where(picked, value, self.value), total
        self.edge, self.stopped = edge, self.stopped | self.divergent
        # what is left of the uniform number is uniform again, within the part that it fell into
        return torch.where(picked, uniform / share, (uniform - share) / (1 - share))

    def _check(self, leaf: int, p: Tensor, marks: list[tuple[Tensor, Tensor]]) -> list[tuple[Tensor, Tensor]]:
        """Test every block of leaves that ends at this one; `marks` are the blocks that are still open, oldest first.

        A leaf with an even number opens a block for each power of two that divides its place; the first of them serves
        all, so one mark is kept a leaf. An odd leaf closes as many blocks as its number ends in ones.
        """
        before, self.rho = self.rho, self.rho + p
        if leaf % 2 == 0:
            return [*marks, (p, before)]
        closing = (~leaf & (leaf + 1)).bit_length() - 1
        for first, rho in marks[-closing:]:
            self.stopped = self.stopped | turning(self.rho - rho, first, p)
        return marks[: len(marks) - closing + 1] if closing > 1 else marks


def _parts(edge: Edge) -> tuple[Tensor, Tensor, Tensor]:
    return edge.u, edge.p, edge.grad
