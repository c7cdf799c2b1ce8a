"""Denoisers against diffusers, denoising-diffusion-pytorch, torchcfm and flow_matching, on one thread.

One process, CPU time, medians of repeats that take turns; ratio = peer / ours. Each side as it comes: ours chooses its
precision and memory layout itself (bfloat16 and channels last where the processor has AVX512-BF16 or AMX; `float32`
rows say what is left without), peers run in float32 as in their own examples.

    train                 a step on 32 x 32 x 1 images, batch 32, U-Nets of base 64 and three sizes, ours with as many
                          parameters as each peer's. Ours is a step of `fit` with clipping, averages and log; theirs
                          zero_grad, loss, backward, clip, AdamW
    sample                a stroke of DDIM by the same U-Nets, batch 32
    strokes               evaluations until the draws of the exact denoiser of a mixture are as near to the flow's own
                          ends as diffusers' DDIM brings them in 50; ours by DPM-Solver++ as it comes
    small                 a stroke of Euler's rule on a line, 64 rows, a perceptron 3 - 64 - 64 - 2, the loop compiled
    likelihood            log density of 64 rows in two dimensions by the probability flow of an exact velocity, each
                          side with as few steps as keep its largest error under 0.014 nats: theirs by Euler's rule,
                          its default, and by the best of its rules; ours by its own
    coupling              noise paired with data at batch 256, 512 and 1,024 in two dimensions; theirs draws pairs from
                          the exact plan, with repetitions, ours assigns in blocks of 64, every point once

Before anything is timed: both sides noise the same images alike, walk the same DDIM path under one exact denoiser, and
agree on draws and densities. Writes benchmarks/results/diffusion.json and exits 1 where a goal is missed.

    python benchmarks/diffusion.py                       about 15 minutes
    python benchmarks/diffusion.py --rows "small"        rows whose name has this word, into the file that is there
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

import argparse
import importlib.metadata
import json
import logging
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import _diffusion_peers as peers
import _record
import torch
from torch import Tensor, nn

from fairway.core.event import Event
from fairway.core.low_precision import fast_bfloat16
from fairway.core.random import Rows, seeded
from fairway.models.diffusion.ddpm import DDPM
from fairway.models.diffusion.flow_matching import FlowMatching
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.networks.unet import UNet
from fairway.objectives.couplings import OptimalTransport
from fairway.samplers.compiled_loop import CompiledLoop
from fairway.samplers.ddim import DDIM
from fairway.samplers.dpm_solver import DPMSolver
from fairway.training.fit import loop

torch.set_num_threads(1)
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

NAME, IMAGE, BATCH, REPEATS = "diffusion", Event((1, 32, 32)), 32, 7
HIDDEN, BLOCKS = {"diffusers": (64, 128, 208), "lucidrains": (64, 128, 176)}, 2  # as many parameters as theirs
PRECISIONS = {"ours": "auto", "ours, float32": "float32"}
STROKES, SMALL_ROWS, SMALL_STEPS, ERROR, DENSITIES = 50, 64, 50, 0.014, 64
BF16 = fast_bfloat16("cpu")
GOALS = {
    "train, diffusers": 1.45 if BF16 else 0.9,
    "train, lucidrains": 2.3 if BF16 else 1.2,
    "sample, diffusers": 1.7 if BF16 else 0.9,
    "strokes, diffusers": 2.5,
    "small, flow_matching": 1.0,  # and 70 microseconds
    "small, diffusers": 1.0,
    "likelihood, flow_matching euler": 10.0,
    "likelihood, flow_matching rk4": 1.0,
    "coupling 256, torchcfm": 7.0,
    "coupling 512, torchcfm": 15.0,
    "coupling 1024, torchcfm": 35.0,
}
MOST_MICROSECONDS = 70.0  # of a compiled stroke of the small network, on an idle core
METHODS = ("euler", "rk4")  # of flow_matching
Side = Callable[[], Any]
Row = dict[str, Any]


def timed(sides: dict[str, Side], repeats: int = REPEATS, inner: int = 1) -> dict[str, float]:
    """Median CPU milliseconds of each side; sides take turns."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        side()
    for _ in range(repeats):
        for name, side in sides.items():
            began = time.process_time()
            for _ in range(inner):
                side()
            found[name].append(1e3 * (time.process_time() - began) / inner)
    return {name: median(values) for name, values in found.items()}


def rows_of(kind: str, milliseconds: dict[str, float], **more: Any) -> Iterator[Row]:
    """A row for each peer: everything that is not ours."""
    for peer, theirs in milliseconds.items():
        if peer not in ("ours", "ours, float32"):
            row = {"row": f"{kind}, {peer}", "ours_ms": milliseconds["ours"], "peer_ms": theirs}
            row |= {"ratio": theirs / milliseconds["ours"]}
            if "ours, float32" in milliseconds:
                row["ratio_float32"] = theirs / milliseconds["ours, float32"]
            yield row | more


def agree(what: str, ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    """Both sides compute the same thing."""
    gap = float((ours.double() - theirs.double()).abs().max())
    if not gap <= tolerance:
        raise SystemExit(f"{what}: the two sides differ by {gap:g}, more than {tolerance:g}")


# ---------------------------------------------------------------------------------------------------------- images
def ours(peer: str) -> UNet:
    """Our network with as many parameters as a peer's."""
    with seeded(0):
        return UNet(1, hidden=HIDDEN[peer], blocks=BLOCKS)


def theirs(peer: str) -> nn.Module:
    """A peer's network."""
    with seeded(0):
        return peers.diffusers_network() if peer == "diffusers" else peers.lucidrains_network()


def check_noise() -> None:
    """The same levels: alpha and sigma of step i."""
    model, scheduler = DDPM(IMAGE, hidden=(8,)), peers.DDPMScheduler(num_train_timesteps=peers.STEPS)
    x, noise = torch.randn(4, 1, 32, 32), torch.randn(4, 1, 32, 32)
    step = torch.tensor([0, 10, 500, 999])
    alpha, sigma = (c.reshape(-1, 1, 1, 1) for c in model.schedule((step.double() + 1) / peers.STEPS))
    agree("noised images", alpha * x + sigma * noise, scheduler.add_noise(x, noise, step), 1e-4)


def parameters(network: nn.Module) -> int:
    """How many numbers are learned."""
    return sum(p.numel() for p in network.parameters())


def train() -> Iterator[Row]:
    """A step of training, at each peer's size."""
    check_noise()
    for peer, its_step in (("diffusers", peers.diffusers_step), ("lucidrains", peers.lucidrains_step)):
        network, images = theirs(peer), torch.rand(BATCH * 8, 1, 32, 32)
        sizes = {"ours": parameters(ours(peer)), peer: parameters(network)}
        if abs(sizes["ours"] / sizes[peer] - 1) > 0.03:
            raise SystemExit(f"expected equal sizes, got {sizes}")
        runs = {name: steps(ours(peer), images, kind) for name, kind in PRECISIONS.items()}
        step = its_step(network)
        sides: dict[str, Side] = {name: lambda run=run: next(run) for name, run in runs.items()}
        found = timed(sides | {peer: lambda step=step, x=images[:BATCH]: step(x)})
        for run in runs.values():
            run.close()
        yield from rows_of("train", found, parameters=sizes)


def steps(network: UNet, images: Tensor, precision: str) -> Any:
    """`fit`, step by step."""
    how: dict[str, Any] = {"steps": 10**6, "batch_size": BATCH, "validation": 0, "compile": "off", "threads": 1}
    return loop(DDPM(IMAGE, network=network), images, precision=precision, **how)


def check_ddim() -> None:
    """The same path under one exact denoiser, from their levels."""
    model = mixture(DDPM(Event((2,)), hidden=(8,)).schedule)
    u = Rows(0, 50, dtype=torch.float64).normal(2)

    def noise(u: Tensor, step: Tensor) -> Tensor:
        return model.expected(u.double(), torch.full((len(u),), (float(step) + 1) / peers.STEPS).double())[1]

    ours = DDIM(STROKES, grid="time").run(model, 50, context=None, generator=Rows(0, 50), init=u).samples
    agree("DDIM", ours, peers.diffusers_ddim(noise, u, STROKES), 0.02)  # the last of our levels is 0.001, theirs 0


def sample() -> Iterator[Row]:
    """A stroke of DDIM."""
    check_ddim()
    strokes, model = 4, DDPM(IMAGE, network=ours("diffusers")).eval()
    model.network.to(memory_format=torch.channels_last)
    u = torch.randn(BATCH, 1, 32, 32)
    sampler, network = DDIM(strokes, grid="time"), theirs("diffusers").eval()

    def exact() -> None:
        with torch.no_grad():
            sampler.run(model, BATCH, context=None, generator=Rows(0, BATCH), init=u)

    sides: dict[str, Side] = {
        "ours": lambda: model.sample(BATCH, sampler=sampler, init=u, generator=0),
        "ours, float32": exact,
        "diffusers": lambda: peers.diffusers_ddim(lambda u, t: network(u, t, return_dict=False)[0], u, strokes),
    }
    found = {name: value / strokes for name, value in timed(sides).items()}
    yield from rows_of("sample", found)


# ------------------------------------------------------------------------------------------------------- exact laws
WEIGHTS, VARIANCES = (0.5, 0.3, 0.2), (0.04, 0.09, 0.02)
MEANS = ((-1.0, 0.4), (0.9, 0.8), (0.6, -1.2))


def law() -> tuple[Tensor, Tensor, Tensor]:
    """Weights, means and covariances of three round components in two dimensions."""
    weights, means, variances = (torch.tensor(part, dtype=torch.float64) for part in (WEIGHTS, MEANS, VARIANCES))
    return weights, means, torch.eye(2, dtype=torch.float64) * variances.reshape(3, 1, 1)


def mixture(schedule: Any, prediction: str = "noise") -> MixtureDenoiser:
    """That law, seen at every level in closed form."""
    return MixtureDenoiser(*law(), schedule=schedule, prediction=prediction).double()


def exact_log_prob(x: Tensor) -> Tensor:
    """Its density."""
    weights, means, covariances = law()
    components = torch.distributions.MultivariateNormal(means, covariances)
    return (weights.log() + components.log_prob(x.unsqueeze(1))).logsumexp(1)


def strokes() -> Iterator[Row]:
    """How many evaluations reach what DDIM reaches in 50."""
    model = mixture(DDPM(Event((2,)), hidden=(8,)).schedule)
    u = Rows(0, 2000, dtype=torch.float64).normal(2)

    def ours(sampler: Any) -> tuple[Tensor, float]:
        drawn = sampler.run(model, len(u), context=None, generator=Rows(0, len(u)), init=u)
        return drawn.samples, drawn.evaluations

    def noise(u: Tensor, step: Tensor) -> Tensor:
        return model.expected(u.double(), torch.full((len(u),), (float(step) + 1) / peers.STEPS).double())[1]

    def error(x: Tensor) -> float:
        return float((x - end).square().sum(1).mean().sqrt())

    end = ours(DPMSolver(2000))[0]
    goal = error(peers.diffusers_ddim(noise, u, STROKES))
    for steps in range(2, STROKES + 1):
        x, evaluations = ours(DPMSolver(steps))
        if error(x) <= goal:
            yield {
                "row": "strokes, diffusers", "ours_strokes": evaluations, "peer_strokes": STROKES,
                "peer_error": goal, "ours_error": error(x), "ratio": STROKES / evaluations,
            }  # fmt: skip
            return
    yield {"row": "strokes, diffusers", "ours_strokes": math.inf, "peer_strokes": STROKES, "ratio": 0.0}


class Perceptron(nn.Module):
    """3 - 64 - 64 - 2."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))

    def forward(self, u: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
        return self.layers(torch.cat([u, t.unsqueeze(1)], 1))


def small() -> Iterator[Row]:
    """A stroke of a small network."""
    with seeded(0):
        network = Perceptron()
    model, u = FlowMatching(Event((2,)), network=network).eval(), torch.randn(SMALL_ROWS, 2)
    compiled = CompiledLoop(DDIM(SMALL_STEPS, grid="time"))
    euler = peers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000)

    def ours(sampler: Any = compiled) -> Tensor:
        return model.sample(SMALL_ROWS, sampler=sampler, init=u, generator=0)

    def reversed_in_time(x: Tensor, t: Tensor, **_: Any) -> Tensor:
        return -network(x, (1 - t).expand(len(x)))

    solver = peers.ODESolver(velocity_model=reversed_in_time)

    def flow_matching() -> Tensor:
        with torch.no_grad():
            return solver.sample(x_init=u, step_size=1 / SMALL_STEPS, method="euler")

    def diffusers() -> Tensor:
        euler.set_timesteps(SMALL_STEPS)
        x = u
        with torch.no_grad():
            for t in euler.timesteps:
                x = euler.step(network(x, t.expand(len(x)) / 1000), t, x, return_dict=False)[0]
        return x

    agree("Euler's rule", ours(), flow_matching(), 0.02)  # our first level is 1, theirs too; the last steps differ
    sides = {"ours": ours, "ours, float32": lambda: ours(compiled.sampler)}
    found = timed(sides | {"flow_matching": flow_matching, "diffusers": diffusers}, 3 * REPEATS)
    found = {name: value / SMALL_STEPS for name, value in found.items()}
    eager = found.pop("ours, float32")
    yield from rows_of("small", found, ours_us=1e3 * found["ours"], eager_us=1e3 * eager)


def likelihood() -> Iterator[Row]:
    """Log density by the flow of one exact velocity."""
    exact = mixture(FlowMatching(Event((2,)), hidden=(8,)).schedule, "data")

    class Velocity(nn.Module):
        def forward(self, u: Tensor, t: Tensor, context: Tensor | None = None) -> Tensor:
            return exact._velocity(u, t)

    model = FlowMatching(Event((2,)), network=Velocity()).double().eval()
    x = exact.sample(DENSITIES, generator=0).double()
    truth = exact_log_prob(x)
    solver = peers.ODESolver(velocity_model=lambda x, t, **_: -exact._velocity(x, (1 - t).expand(len(x))))

    def ours(steps: int) -> Tensor:
        model.density_steps = steps
        return model.log_prob(x)

    def base(z: Tensor) -> Tensor:
        return -(z.square() / 2).sum(1) - math.log(2 * math.pi)

    def theirs(steps: int, method: str) -> Tensor:
        return solver.compute_likelihood(
            x_1=x, log_p0=base, step_size=1 / steps, method=method, exact_divergence=True, enable_grad=False
        )[1]

    def fewest(answer: Callable[[int], Tensor]) -> int:
        steps = [round(4 * 2 ** (k / 2)) for k in range(22)]
        return next(n for n in steps if float((answer(n) - truth).abs().max()) <= ERROR)

    mine, needed = fewest(ours), {method: fewest(lambda n, method=method: theirs(n, method)) for method in METHODS}
    sides: dict[str, Side] = {"ours": lambda: ours(mine)}
    sides |= {f"flow_matching {method}": lambda method=method, n=n: theirs(n, method) for method, n in needed.items()}
    for row, method in zip(rows_of("likelihood", timed(sides, 3)), METHODS, strict=True):
        yield row | {"ours_steps": mine, "peer_steps": needed[method]}


def coupling() -> Iterator[Row]:
    """Pairs of noise and data."""
    for batch in (256, 512, 1024):
        yield from coupled(batch, *(torch.randn(batch, 2, generator=torch.Generator().manual_seed(k)) for k in (0, 1)))


def coupled(batch: int, u: Tensor, end: Tensor) -> Iterator[Row]:
    """Pairs of u and end (batch, 2)."""
    plan, ours, generator = peers.OTPlanSampler(method="exact"), OptimalTransport(), torch.Generator().manual_seed(0)
    index, pairs = ours.match(u, end, None, generator), plan.sample_plan(end, u)
    if len(index.unique()) != batch:
        raise SystemExit("a coupling that leaves points out")
    chosen = {"ours": (u, end[index]), "torchcfm": pairs, "as they come": (u, end)}
    costs = {name: float((a - b).square().sum(1).mean()) for name, (a, b) in chosen.items()}
    if not max(costs["ours"], costs["torchcfm"]) < costs["as they come"] / 2:
        raise SystemExit(f"a coupling that does not couple: {costs}")
    sides: dict[str, Side] = {
        "ours": lambda: ours.match(u, end, None, generator),
        "torchcfm": lambda: plan.sample_plan(end, u),
    }
    used = len(pairs[0].unique(dim=0)) / batch
    yield from rows_of(f"coupling {batch}", timed(sides, REPEATS, 3), costs=costs, peer_points_used=used)


KINDS = {f.__name__: f for f in (train, sample, strokes, small, likelihood, coupling)}


def passed(row: Row) -> bool:
    """Whether a row reaches its goal."""
    return row["ratio"] >= GOALS[row["row"]] and row.get("ours_us", 0.0) <= MOST_MICROSECONDS


def main() -> int:
    """Measure, write, judge."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", default="", help=f"one of {', '.join(KINDS)}; all by default")
    asked, began, path = options.parse_args(), time.perf_counter(), _record.RESULTS / f"{NAME}.json"
    before = json.loads(path.read_text())["rows"] if asked.rows and path.exists() else []
    for kind, measure in KINDS.items():
        if asked.rows in ("", kind):
            for row in measure():
                before = [r for r in before if r["row"] != row["row"]] + [row | {"goal": GOALS[row["row"]]}]
                us = f", {row['ours_us']:.0f} us" if "ours_us" in row else ""
                verdict = "ok  " if passed(row) else "MISS"
                print(f"{verdict} {row['row']}: {row['ratio']:.2f} (goal {GOALS[row['row']]}){us}", flush=True)
    versions = {
        name: importlib.metadata.version(name)
        for name in ("diffusers", "denoising-diffusion-pytorch", "torchcfm", "flow_matching")
    }
    order = list(GOALS)
    rows = sorted(before, key=lambda row: order.index(row["row"]))
    _record.write(NAME, began, {"rows": rows, "bfloat16": BF16, "versions": versions})
    return int(not all(map(passed, rows)))


if __name__ == "__main__":
    sys.exit(main())
