"""Markov chains against blackjax, numpyro, pyro and torchebm: same density, step size and number of leapfrog steps.

One process, one thread, CPU time. Two densities, a 100-d correlated Gaussian and a 2-D ring of eight modes, with 64 and
1,024 chains. First every side must draw from the same law (means, variances and covariances of its trace within Monte
Carlo error of the truth, acceptance equal to blackjax's); then milliseconds per draw of all chains, with and without
compilation, and the smallest bulk ESS per second. Writes benchmarks/results/mcmc.json and exits 1 under a goal:

    torchebm's time / ours, eager, everywhere                      at least 2
    draws per second against pyro, 64 chains, eager                at least 60 times
    blackjax's time / ours, 100-d, 1,024 chains, eager             at least 1.5
    blackjax's time / ours, 2-D, 1,024 chains, compiled            at least 2.5

Where blackjax wins (few chains, tiny targets) is printed too.

    python benchmarks/mcmc.py              about 5 minutes on one core
    python benchmarks/mcmc.py --nuts       also the peers' NUTS at the same step size, 64 chains (minutes more)
"""

import _mcmc_peers as peers  # sets the environment to one thread before anything else is imported

# isort: split
import importlib.metadata
import sys
import time
from typing import Any

import _record
import numpy as np
import torch

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.samplers.compiled import Compiled
from fairway.samplers.diagnostics import ess_bulk
from fairway.samplers.driver import Fixed
from fairway.samplers.hmc import HMC
from fairway.samplers.langevin import Langevin
from fairway.samplers.target import Target

ALARM = 5.0  # standard errors at which two laws, or two acceptance rates, are not the same
CHAINS = (64, 1024)
DRAWS = {"100-d correlated Gaussian": (200, 40), "2-D ring of 8 modes": (200, 200)}
PROBLEMS = (peers.Gaussian(), peers.Ring())
VERSIONS = ("blackjax", "jax", "numpyro", "pyro-ppl", "torchebm")


# -------------------------------------------------------------------------------------------------------- our side
def ours(kernel: Any) -> Any:
    """A builder of `_mcmc_peers.measure` from (problem) -> kernel."""

    def build(problem: Any, chains: int, draws: int) -> peers.Peer:
        torch._dynamo.reset()  # every size compiles afresh, as in a process of its own
        target = Target(problem.torch_log_prob(), event=Event((problem.dim,)), dtype=torch.float32)
        built, driver = kernel(problem), Fixed(steps=draws, warmup=0)

        def peer(start: np.ndarray, seed: int) -> np.ndarray:
            run = driver.run(built, target, torch.from_numpy(start), Rows(seed, chains), trace=True)
            assert run.trace is not None
            return run.trace.numpy()

        return peer

    return build


def hmc(problem: Any) -> HMC:
    """Fixed step size, fixed length."""
    return HMC(step=problem.step, leapfrogs=problem.leapfrogs, jitter=0)


HMC_SIDES = {
    "fairway": ours(hmc),
    "fairway compiled": ours(lambda problem: Compiled(hmc(problem))),
    "blackjax": peers.blackjax_hmc,
    "numpyro": peers.numpyro_hmc,
    "torchebm": peers.torchebm_hmc,
}
LANGEVIN_SIDES = {
    "fairway Langevin": ours(lambda problem: Langevin(problem.step**2)),
    "torchebm Langevin": peers.torchebm_langevin,
}
NUTS_SIDES = {"blackjax NUTS": peers.blackjax_nuts, "numpyro NUTS": peers.numpyro_nuts}


# --------------------------------------------------------------------------------------------------------- checking
def check_law(sides: dict[str, peers.Side], problem: Any) -> None:
    """Every side draws from the same law, and HMC accepts as often as blackjax's.

    Raises:
        SystemExit: names the side that does not.
    """
    reference = sides.get("blackjax")
    for name, side in sides.items():
        if "Langevin" not in name and (z := peers.law_z(side.trace, problem)) > ALARM:
            raise SystemExit(f"{name} does not draw from the {problem.name}: a moment is {z:.1f} standard errors off")
        if reference is not None and name in HMC_SIDES:
            both = [s.moved for s in (side, reference)]
            error = float(np.sqrt(sum(m.var(ddof=1) / len(m) for m in both)))
            if abs(both[0].mean() - both[1].mean()) > ALARM * error + 1e-4:
                raise SystemExit(f"{name} accepts {both[0].mean():.4f}, blackjax {both[1].mean():.4f} ({problem.name})")


def row(name: str, side: peers.Side, problem: Any, chains: int) -> dict[str, Any]:
    """What is recorded of one side."""
    seconds = side.ms_per_draw * side.draws / 1000
    return {
        "side": name,
        "problem": problem.name,
        "chains": chains,
        "ms_per_draw": round(side.ms_per_draw, 4),
        "first_call_s": round(side.first_s, 2),
        "min_bulk_ess_per_s": round(float(ess_bulk(side.trace).min()) / seconds, 1),
        "acceptance": round(float(side.moved.mean()), 4),
        "law_z": round(peers.law_z(side.trace, problem), 2),
        "threads": round(side.threads, 2),
    }


def run_problem(problem: Any, nuts: bool) -> list[dict[str, Any]]:
    """All sides on one problem."""
    rows = []
    for chains, draws in zip(CHAINS, DRAWS[problem.name], strict=True):
        sides = peers.measure(HMC_SIDES | LANGEVIN_SIDES, problem, chains, draws, repeats=7)
        if nuts and chains == 64:
            sides |= peers.measure(NUTS_SIDES, problem, chains, 30, repeats=1)
        check_law(sides, problem)
        rows += [row(name, side, problem, chains) for name, side in sides.items()]
    rows.append(pyro_row(problem))
    for r in rows:
        print("  ".join(f"{key} {value}" for key, value in r.items()), flush=True)
    return rows


def pyro_row(problem: Any, draws: int = 100) -> dict[str, Any]:
    """pyro runs chains one after the other: its draws per second with one chain are those with 64."""
    side = peers.measure({"pyro": peers.pyro_hmc}, problem, 1, draws, repeats=3)["pyro"]
    acceptance = round(float(side.moved.mean()), 4)
    return {
        "side": "pyro",
        "problem": problem.name,
        "chains": 1,
        "ms_per_draw": side.ms_per_draw,
        "acceptance": acceptance,
    }


# ---------------------------------------------------------------------------------------------------------- judging
def goals(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each goal with what was reached."""
    ms = {(r["side"], r["problem"], r["chains"]): r["ms_per_draw"] for r in rows}
    wide, ring = (problem.name for problem in PROBLEMS)
    found = [
        (
            f"torchebm / fairway, {name}, {chains} chains",
            ms["torchebm", name, chains] / ms["fairway", name, chains],
            2.0,
        )
        for name in (wide, ring)
        for chains in CHAINS
    ]
    found += [
        (f"draws per second of pyro, {name}, 64 chains", 64 * ms["pyro", name, 1] / ms["fairway", name, 64], 60.0)
        for name in (wide, ring)
    ]
    found += [
        (f"blackjax / fairway, {wide}, 1,024 chains", ms["blackjax", wide, 1024] / ms["fairway", wide, 1024], 1.5),
        (
            f"blackjax / fairway compiled, {ring}, 1,024 chains",
            ms["blackjax", ring, 1024] / ms["fairway compiled", ring, 1024],
            2.5,
        ),
    ]
    return [{"what": what, "times": round(times, 2), "goal": goal, "ok": times >= goal} for what, times, goal in found]


def where_blackjax_wins(rows: list[dict[str, Any]]) -> list[str]:
    """In words, with the factor, for the faster of our two ways."""
    ms = {(r["side"], r["problem"], r["chains"]): r for r in rows}
    lines = []
    for (side, problem, chains), theirs in ms.items():
        if side != "blackjax":
            continue
        best = min(
            (ms[ours, problem, chains] for ours in ("fairway", "fairway compiled")), key=lambda r: r["ms_per_draw"]
        )
        factor = best["ms_per_draw"] / theirs["ms_per_draw"]
        if factor > 1:
            lines.append(f"{problem}, {chains} chains: blackjax is {factor:.1f} times as fast as {best['side']}")
        eager = ms["fairway", problem, chains]["ms_per_draw"]
        if eager > theirs["ms_per_draw"]:
            lines.append(
                f"{problem}, {chains} chains: blackjax is {eager / theirs['ms_per_draw']:.1f} times as fast as eager"
            )
        compiled = ms["fairway compiled", problem, chains]["first_call_s"]
        if compiled > theirs["first_call_s"]:
            lines.append(
                f"{problem}, {chains} chains: blackjax compiles in {theirs['first_call_s']} s, ours in {compiled} s"
            )
    return lines


def main() -> int:
    """Run, write, judge."""
    began = time.perf_counter()
    rows = [r for problem in PROBLEMS for r in run_problem(problem, "--nuts" in sys.argv)]
    judged, wins = goals(rows), where_blackjax_wins(rows)
    versions = {name: importlib.metadata.version(name) for name in VERSIONS}
    _record.write("mcmc", began, {"rows": rows, "goals": judged, "blackjax_wins": wins, "peers": versions})
    for goal in judged:
        print(f"{'ok  ' if goal['ok'] else 'MISS'} {goal['what']}: {goal['times']} times (goal {goal['goal']})")
    print(*wins, sep="\n")
    return int(not all(goal["ok"] for goal in judged))


if __name__ == "__main__":
    sys.exit(main())
