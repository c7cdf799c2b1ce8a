"""Ten whole sampling loops whose results another library publishes, by our rules between levels.

The network is x t / (t + 1), read as the noise or as v, the start an arithmetic ramp: sums are known to two decimals.
"""

import json
import math
import os
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from fairway.samplers.ddim import DDIM, Ancestral, posterior_variance
from fairway.samplers.dpm_solver import DPMSolver
from fairway.samplers.noise_grid import Level

STEPS, SHAPE = 1000, (4, 3, 8, 8)


@pytest.fixture(scope="module")
def reference():
    """../shared/reference beside the checkout, or beside $FAIRWAY_DATA."""
    data = os.environ.get("FAIRWAY_DATA")
    roots = [Path(data).parent] if data else []
    roots.append(Path(__file__).parents[3] / "shared")
    found = [path for root in roots if (path := root / "reference/diffusion_steps/reference.json").exists()]
    if not found:
        pytest.skip("no reference/diffusion_steps")
    return json.loads(found[0].read_text())


@pytest.fixture(scope="module")
def ramp():
    """arange(768) / 768, laid out channel, height, width, batch."""
    return (torch.arange(768, dtype=torch.float64) / 768).reshape(3, 8, 8, 4).permute(3, 0, 1, 2).contiguous()


class Discrete:
    """Levels of a linear beta schedule of 1,000 steps; time -1 is the end, of a given share of data."""

    def __init__(self, case):
        beta = torch.linspace(case["beta_start"], case["beta_end"], STEPS, dtype=torch.float64)
        self.share = (1 - beta).cumprod(0).tolist()
        self.final = self.share[0] if case.get("final_abar") == "abar_0" else 1.0

    def level(self, time):
        share = self.final if time < 0 else self.share[time]
        return Level(float(time), math.sqrt(share), math.sqrt(1 - share))


def predictor(case):
    """u at a level -> the data, clipped where the case says so."""

    def predict(u, level):
        out = u * (level.t / (level.t + 1))
        if case["prediction"] == "v":
            data = level.alpha * u - level.sigma * out
        else:
            data = (u - level.sigma * out) / level.alpha
        return data.clamp(*case["clip_x0"]) if "clip_x0" in case else data

    return predict


def walk(rule, u, levels):
    for here, there in pairwise(levels):
        u = rule(u, here, there)
    return u


def cases(reference, sampler):
    found = [case for case in reference["cases"] if case["sampler"].startswith(sampler)]
    assert found
    return found


def check(found, case):
    assert float(found.abs().mean()) == pytest.approx(case["abs_mean"], abs=case.get("tolerance_mean", 1e-3))
    if "abs_sum" in case:
        assert float(found.abs().sum()) == pytest.approx(case["abs_sum"], abs=case["tolerance_sum"])


def test_five_of_ddim(reference, ramp):
    for case in cases(reference, "ddim"):
        schedule, u = Discrete(case), ramp
        if "start" in case:  # a ramp noised with the same ramp backwards
            level = schedule.level(100)
            backwards = ((767 - ramp * 768) / 768).contiguous()
            u = level.alpha * ramp + level.sigma * backwards
        levels = [schedule.level(t) for t in [*case["times"], -1]]
        check(walk(DDIM(eta=0.0).rule(predictor(case), torch.empty, None), u, levels), case)


def test_two_of_ddpm(reference, ramp):
    for case in cases(reference, "ddpm"):
        schedule, noise = Discrete(case), torch.Generator().manual_seed(0)
        levels = [schedule.level(t) for t in range(STEPS - 1, -2, -1)]
        rule = Ancestral().rule(predictor(case), lambda g=noise: torch.randn(SHAPE, generator=g).double(), None)
        check(walk(rule, ramp, levels), case)


def test_two_of_dpm_solver(reference, ramp):
    for case in cases(reference, "dpm_solver"):
        schedule = Discrete(case)
        levels = [schedule.level(t) for t in [*case["times"], case["final_time"]]]
        check(walk(DPMSolver().rule(predictor(case), torch.empty, None), ramp, levels), case)


def test_one_of_edm(reference, ramp):
    """Euler's steps along sigma are DDIM's at alpha = 1; its data have scale 1/2."""
    (case,) = cases(reference, "euler")
    roots = torch.linspace(case["sigma_max"] ** (1 / 7), case["sigma_min"] ** (1 / 7), case["steps"]).double()
    levels = [Level(0.0, 1.0, s) for s in [*(roots**7).tolist(), 0.0]]

    def predict(u, level):
        half, sigma = case["sigma_data"], level.sigma
        scale, time = math.sqrt(sigma**2 + half**2), math.log(sigma) / 4
        out = u / scale * (time / (time + 1))
        return half**2 / scale**2 * u + sigma * half / scale * out

    start = ramp * math.sqrt(case["sigma_max"] ** 2 + 1)
    check(walk(DDIM(eta=0.0).rule(predict, torch.empty, None), start, levels), case)


def test_posterior_variances(reference):
    known = reference["posterior_variances_linear_1e-4_0.02"]
    schedule = Discrete({"beta_start": 1e-4, "beta_end": 0.02})
    for times, wanted in known["ddim eta=1 variance (t, previous t)"].items():
        here, there = (schedule.level(int(t)) for t in times.split(","))
        assert posterior_variance(here, there) == pytest.approx(wanted, abs=known["tolerance"])
    for time, wanted in known["ddpm beta_tilde"].items():
        here, there = schedule.level(int(time)), schedule.level(int(time) - 1)
        assert posterior_variance(here, there) == pytest.approx(wanted, abs=known["tolerance"])
