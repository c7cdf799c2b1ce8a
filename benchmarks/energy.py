"""A step of persistent contrastive divergence against torchebm's. One process, one thread, CPU time.

Both sides train the same perceptron f with energy |u|^2 / 2 - f(u) by Adam, with 1,024 chains, and as many unadjusted
Langevin moves of the same step size for as many chains. First energies, a chain's drift and the gradient of the weights
from the same negatives are compared. Ours moves chains by one compiled function (`Compiled(Langevin(...))`, which the
peer has no like of; "eager" is without). "As it comes" is what `fit("ebm", x)` does: a Metropolis test at every move
and a jump offered to every chain, which the peer has not. Where the time goes: theirs makes a graph for every
move; here the slope of a perceptron is written out (`networks.pullback`). Ours is a whole step of `fit`, with averaged
weights, clipping and log. Medians of alternating repeats.

Then the quality that the peer reaches on the two-dimensional data of reproduce_energy.py with a perceptron of the same
widths, in as many steps (Langevin steps of .01, 10 moves, Adam at 1e-3).

Writes benchmarks/results/energy.json; exits 1 under a goal.

    .venv-bench/bin/python benchmarks/energy.py        about four minutes on one core
"""

import statistics
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import _record
import torch
from reproduce_energy import LAWS, ROWS, divergence
from torch import Tensor, nn
from torchebm.core import BaseModel
from torchebm.losses import ContrastiveDivergence
from torchebm.samplers import LangevinDynamics

from fairway.core.event import Event
from fairway.core.random import seeded
from fairway.models.energy.energy import EBM
from fairway.networks.mlp import MLP
from fairway.objectives.persistent import PersistentContrastiveDivergence
from fairway.samplers.compiled import Compiled
from fairway.samplers.kernel import Kernel
from fairway.samplers.langevin import Langevin
from fairway.training.fit import loop

torch.set_num_threads(1)
CHAINS, STEP, LR, REPEATS, STEPS, HIDDEN = 1024, 0.05, 1e-3, 15, 40, (128, 128)
TABLE = 10_000  # rows that ours shuffles and picks from; the peer is given batches
CASES = ((2, 128, 5), (2, 128, 10), (2, 128, 20), (64, 128, 10))  # dimensions, batch, moves (10 is the peer's default)
GOAL, QUALITY_STEPS = 1.5, 4000


class Energy(BaseModel):
    """|u|^2 / 2 - f(u), the peer's way."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, u: Tensor) -> Tensor:
        """(B,) nats."""
        return 0.5 * u.square().sum(1) - self.network(u).squeeze(1)


def network(dims: int) -> nn.Module:
    """Always the same f."""
    with seeded(0):
        return MLP(dims, 1, HIDDEN)


def rows(dims: int, batch: int) -> Tensor:
    """(batch, dims)."""
    return torch.randn(batch, dims, generator=torch.Generator().manual_seed(0))


def check(dims: int, batch: int) -> float:
    """The largest difference in energies up to a constant, in scores and in the weights' gradients."""
    f, u, other = network(dims), rows(dims, batch), 0.5 + rows(dims, batch)
    model, energy = EBM(Event((dims,)), network=f), Energy(f)
    level = model._log_unnorm(u) + energy(u)
    off = float((level - level.mean()).detach().abs().max())
    point = u.clone().requires_grad_()
    (slope,) = torch.autograd.grad(energy(point).sum(), point)
    found = model._value_and_score(u)
    assert found is not None
    off = max(off, float((found[1] + slope).abs().max()))
    theirs = ContrastiveDivergence(energy, LangevinDynamics(energy, STEP), energy_reg_weight=0.0)
    ours = (model._log_unnorm(other) - model._log_unnorm(u)).mean()
    grads = [torch.autograd.grad(loss, list(f.parameters())) for loss in (theirs.compute_loss(u, other), ours)]
    return max(off, *(float((a - b).abs().max()) for a, b in zip(*grads, strict=True)))


def our_steps(dims: int, batch: int, moves: int, kernel: Kernel | None) -> Iterator[None]:
    """A fit, step by step: with this kernel and nothing else, or as it comes."""
    objective = PersistentContrastiveDivergence(CHAINS, moves)
    if kernel is not None:
        objective = PersistentContrastiveDivergence(CHAINS, moves, penalty=0.001, kernel=kernel, jumps=0)
    model = EBM(Event((dims,)), network=network(dims))
    for _ in loop(
        model, rows(dims, TABLE), objective=objective, preprocess=False, validation=0, steps=10**6, batch_size=batch,
        lr=LR, compile="off", precision="float32", checkpoint_every=10**6,
    ):  # fmt: skip
        yield


def their_steps(dims: int, batch: int, moves: int) -> Iterator[None]:
    """The peer's loss with Adam."""
    yield from trained(Energy(network(dims)), rows(dims, batch).expand(1, -1, -1), moves, STEP)


def trained(energy: Energy, batches: Any, moves: int, step: float) -> Iterator[None]:
    """The loop of the peer's documentation, over batches again and again."""
    sampler = LangevinDynamics(energy, step)
    loss_of = ContrastiveDivergence(energy, sampler, moves, persistent=True, buffer_size=CHAINS, init_steps=0)
    optimiser = torch.optim.Adam(energy.parameters(), LR)
    while True:
        for x in batches:
            loss, _ = loss_of(x)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            yield


def milliseconds(sides: dict[str, Iterator[None]]) -> dict[str, float]:
    """Median CPU time of a step of each side, in turn."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for steps in sides.values():
        for _ in range(STEPS):
            next(steps)
    for _ in range(REPEATS):
        for name, steps in sides.items():
            began = time.process_time()
            for _ in range(STEPS):
                next(steps)
            found[name].append(1e3 * (time.process_time() - began) / STEPS)
    return {name: round(statistics.median(values), 3) for name, values in found.items()}


class Judged:
    """The peer's energy with what `divergence` asks of a model."""

    def __init__(self, energy: Energy, mean: Tensor, std: Tensor) -> None:
        self.inner, self.mean, self.std = energy, mean, std

    def energy(self, x: Tensor) -> Tensor:
        """(B,) nats, data units."""
        return self.inner((x - self.mean) / self.std)


def quality(name: str) -> dict[str, Any]:
    """KL(data || peer's model) after as many steps as ours are given."""
    x = LAWS[name].rows(ROWS, 0)
    mean, std = x.mean(0), x.std(0)
    u = ((x - mean) / std).float()
    pick = torch.randint(ROWS, (QUALITY_STEPS, 128), generator=torch.Generator().manual_seed(0))
    with seeded(0):
        energy = Energy(network(2))
    began, steps = time.process_time(), trained(energy, (u[index] for index in pick), 10, 0.01)
    for _ in range(QUALITY_STEPS):
        next(steps)
    seconds = round(time.process_time() - began, 1)
    kl, _ = divergence(Judged(energy, mean.float(), std.float()), LAWS[name])  # type: ignore[arg-type]
    return {"data": name, "kl": round(kl, 3), "cpu_seconds": seconds}


def main() -> int:
    """Check, measure, write, judge."""
    began, found = time.perf_counter(), []
    for dims, batch, moves in CASES:
        off = check(dims, batch)
        if off > 1e-5:
            print(f"the sides differ by {off:.1e} in {dims} dimensions")
            return 1
        ms = milliseconds({
            "fairway": our_steps(dims, batch, moves, Compiled(Langevin(STEP))),
            "fairway, eager": our_steps(dims, batch, moves, Langevin(STEP)),
            "fairway, as it comes": our_steps(dims, batch, moves, None),
            "torchebm": their_steps(dims, batch, moves),
        })  # fmt: skip
        times = {name: round(ms["torchebm"] / value, 2) for name, value in ms.items() if name != "torchebm"}
        row = {"dims": dims, "batch": batch, "moves": moves, "ms": ms, "times": times, "differ_by": off}
        found.append({**row, "goal": GOAL, "ok": times["fairway"] >= GOAL})
        print(found[-1], flush=True)
    reached = [quality(name) for name in LAWS]
    print(reached)
    _record.write(
        "energy", began, {"steps": found, "peer_quality": reached, "peers": {"torchebm": version("torchebm")}}
    )
    return int(not all(row["ok"] for row in found))


if __name__ == "__main__":
    sys.exit(main())
