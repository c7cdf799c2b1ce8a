"""What the training loop costs: `fit` against a loop written by hand, on the same steps of 0.5 to 1 ms.

By hand: AdamW with a warm-up and a cosine, the gradient's norm clipped at 1, an average of the weights, batches from a
permutation per epoch, and every 50 steps a row with the means of loss and norm. `fit` does the same, and checks every
number, keeps the last good state, listens to signals and could be resumed. Rounds of 100 steps of each side take turns;
the ratio is the median over the rounds. First both sides' weights after 400 steps are held against each other.

Writes benchmarks/results/loop_overhead.json; exits 1 where `fit` takes more than 1.05 times the other's CPU time.

    python benchmarks/loop_overhead.py        about two minutes on one core
"""

import copy
import math
import sys
import time
from collections.abc import Iterator
from statistics import median

import _record
import torch

from fairway.core.config import lookup
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.objective import Optimisation
from fairway.core.random import seeded
from fairway.data.order import ORDER, permutation
from fairway.objectives.mle import MLE
from fairway.training.fit import loop
from fairway.training.loop import Run

torch.set_num_threads(1)
ROWS, BATCH, STEPS, ROUND, ROUNDS, GOAL = 10_000, 128, 10_000, 100, 41, 1.05
HOW = Optimisation(lr=1e-3, clip=1.0, ema=0.999)
STEPS_OF = {
    "gmm, 2-D": (2, "gmm", {"components": 4, "covariance": "diagonal"}),
    "real_nvp, 1 transform": (2, "real_nvp", {"transforms": 1, "hidden": (32,)}),
    "real_nvp, 2-D": (2, "real_nvp", {"transforms": 2, "hidden": (32,)}),
    "real_nvp, 16-D": (16, "real_nvp", {"transforms": 2, "hidden": (64,)}),
    "made, 16-D": (16, "made", {"hidden": (64, 64), "dropout": 0.0}),
}


def data(dims: int) -> torch.Tensor:
    noise = torch.randn(ROWS, dims, generator=torch.Generator().manual_seed(0))
    return noise + noise.roll(1, 1).square()


def built(name: str, dims: int, options: dict[str, object]) -> Model:
    """A new model, whose weights are averaged whatever its own habit."""
    with seeded(0):
        model: Model = lookup("model", name)(Event((dims,)), **options)
    model.optimisation = HOW
    return model


def fitted(model: Model, x: torch.Tensor) -> Iterator[Run]:
    """`fit`, step by step; nothing is held out, since the other side evaluates nothing."""
    yield from loop(model, x, objective=MLE(), steps=STEPS, batch_size=BATCH, validation=0, compile="off", threads=1)


def by_hand(model: Model, u: torch.Tensor) -> Iterator[list[torch.Tensor]]:
    """The plain loop, step by step; yields the averages."""
    parameters = list(model.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=HOW.lr, betas=HOW.betas, weight_decay=0, fused=True)
    averages, rows, log, epoch, order = [p.detach().clone() for p in parameters], [], [], -1, torch.empty(0)
    model.train()
    for step in range(STEPS):
        parts, start, left = [], step * BATCH, BATCH
        while left:
            if start // ROWS != epoch:
                epoch = start // ROWS
                order = permutation(ROWS, 0, ORDER, epoch)
            part = order[start % ROWS : start % ROWS + left]
            parts, start, left = [*parts, part], start + len(part), left - len(part)
        loss = -model._log_prob(u[torch.cat(parts)]).mean() / u.shape[1]
        rate = HOW.lr * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / STEPS))
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, HOW.clip)
        optimiser.step()
        with torch.no_grad():
            share = 1 - min(HOW.ema, (1 + step) / (10 + step))
            torch._foreach_lerp_(averages, [p.detach() for p in parameters], share)
        log.append(torch.stack([loss.detach(), norm]))
        if (step + 1) % 50 == 0:
            rows.append({"step": step + 1, "lr": rate, "means": torch.stack(log).mean(0).tolist()})
            log = []
        yield averages


def seconds(side: Iterator[object], steps: int) -> float:
    """CPU seconds of so many steps."""
    began = time.process_time()
    for _ in range(steps):
        next(side)
    return time.process_time() - began


def measure(name: str) -> dict[str, float]:
    """Milliseconds of a step on both sides, and their ratio."""
    dims, model_name, options = STEPS_OF[name]
    x, model = data(dims), built(model_name, dims, options)
    twin = copy.deepcopy(model)
    twin.preprocess.fit(x)
    ours, hand = fitted(model, x), by_hand(twin, twin._to_model(x)[0])
    run = next(ours)
    averages = next(hand)
    seconds(ours, 399), seconds(hand, 399)
    for (key, ours_now), hand_now in zip(run.average.shadow.items(), averages, strict=True):
        if not torch.allclose(ours_now, hand_now, atol=1e-6):
            raise SystemExit(f"{name}: the two sides differ in {key} by {float((ours_now - hand_now).abs().max()):g}")
    pairs = [(seconds(ours, ROUND), seconds(hand, ROUND)) for _ in range(ROUNDS)]
    milliseconds = [1e3 / ROUND * median(side) for side in zip(*pairs, strict=True)]
    ours.close()
    return {"fit_ms": milliseconds[0], "by_hand_ms": milliseconds[1], "ratio": median(a / b for a, b in pairs)}


def main() -> int:
    began, rows = time.perf_counter(), []
    print(f"{'step':<22} {'fit ms':>8} {'by hand':>8} {'ratio':>6}")
    for name in STEPS_OF:
        row = measure(name)
        rows.append({"name": name, **row})
        print(f"{name:<22} {row['fit_ms']:8.3f} {row['by_hand_ms']:8.3f} {row['ratio']:6.3f}")
    _record.write("loop_overhead", began, {"goal": GOAL, "rows": rows})
    return int(any(row["ratio"] > GOAL for row in rows))


if __name__ == "__main__":
    sys.exit(main())
