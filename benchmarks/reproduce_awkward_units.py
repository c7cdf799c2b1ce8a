"""Units that break naive code: two columns, of scale 40 at 1,000 and of scale 3e-3 at -7e-3.

Every model with a density must integrate to 1 +- 0.01 in data units, and samples of every model must have the data's
means (within 0.25 standard deviations) and standard deviations (within 25 %). The data are bent, so that no single
Gaussian fits. Writes benchmarks/results/awkward_units.json; exits 1 if a goal is missed.

    python benchmarks/reproduce_awkward_units.py        about 6 minutes on 2 cores
"""

import sys
import time

import _record
import torch

import fairway as fw

MODELS = ("gaussian", "gmm", "made", "vae", "real_nvp", "wgan_gp", "ebm", "flow_matching")
CELLS, SPAN, BUDGET, ROWS = 120, 6, "20s", 4_000


def data() -> torch.Tensor:
    """(n, 2) float64: a bent Gaussian at awkward units."""
    z = torch.randn(ROWS, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    bent = z[:, 1] * 0.6 + 0.5 * (z[:, 0].square() - 1)
    return torch.stack([1_000 + 40 * z[:, 0], -7e-3 + 3e-3 * bent], 1)


def mass(model: fw.Model, x: torch.Tensor) -> float:
    """The integral of the density over a box of 6 standard deviations each way, by the midpoint rule."""
    centre, half = x.mean(0), SPAN * x.std(0)
    ticks = (torch.arange(CELLS, dtype=torch.float64) + 0.5) / CELLS * 2 - 1
    grid = torch.cartesian_prod(ticks, ticks) * half + centre
    cell = (2 * half / CELLS).prod()
    return float(model.log_prob(grid).double().exp().sum() * cell)


def main() -> int:
    """Fit, integrate, compare moments."""
    began, x, rows, missed = time.perf_counter(), data(), [], 0
    for name in MODELS:
        model = fw.fit(name, x, budget=BUDGET, seed=0)
        samples = model.sample(ROWS, generator=0).double()
        integral = mass(model, x) if "log_prob" in model.capabilities else None
        shift = float(((samples.mean(0) - x.mean(0)) / x.std(0)).abs().max())
        ratio = (samples.std(0) / x.std(0)).tolist()
        ok = (integral is None or abs(integral - 1) <= 0.01) and shift <= 0.25 and all(0.75 <= r <= 1.25 for r in ratio)
        rows.append({"model": name, "integral": integral, "mean_shift": shift, "std_ratio": ratio, "ok": ok})
        shown = "none" if integral is None else f"{integral:.4f}"
        print(f"{'ok  ' if ok else 'MISS'} {name}: integral {shown}, mean off by {shift:.3f} std, std ratio {ratio}")
        missed |= not ok
    _record.write("awkward_units", began, {"rows": rows, "seed": 0, "budget": BUDGET})
    return missed


if __name__ == "__main__":
    sys.exit(main())
