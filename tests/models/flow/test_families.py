"""One test for every flow: the same promises, in double and single precision, redrawn and trained, with and without a
context.

As built, zero-initialised heads hide a wrong sign; so parameters are redrawn from N(0, 0.3^2), or have seen data. What
a family cannot hold to the last digit is named in `LOOSE`: the continuous flow and the residual flow solve numerically.
"""

import subprocess
import sys

import pytest
import torch

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.random import seeded
from fairway.models.registry import models
from fairway.testing.density import mass
from fairway.testing.latents import log_abs_det
from fairway.testing.subject import Subject, redraw, subject

SMALL = {"transforms": 2, "hidden": (8,)}
FAMILIES = {
    "nice": ("nice", SMALL),
    "real_nvp": ("real_nvp", SMALL),
    "glow": ("glow", SMALL),
    "maf": ("maf", SMALL),
    "iaf": ("iaf", SMALL),
    "nsf": ("nsf", {**SMALL, "bins": 4}),
    "nsf_autoregressive": ("nsf", {**SMALL, "bins": 4, "kind": "autoregressive"}),
    "planar": ("planar", {"transforms": 3}),
    "radial": ("radial", {"transforms": 3}),
    "cnf": ("cnf", {"hidden": (8, 8)}),
    "i_resnet": ("i_resnet", {"transforms": 2, "hidden": (8,)}),
    "mintnet": ("mintnet", {"transforms": 2, "hidden": (4, 4)}),
    "tarflow": ("tarflow", {"transforms": 2, "width": 8, "layers": 1, "heads": 2}),
}
LOOSE = {"cnf": 1e-5, "i_resnet": 1e-5}  # of log-determinants and of the way back
CONTEXTS = {"alone": None, "given": Event((2,))}
EVERY = [(family, context) for family in FAMILIES for context in CONTEXTS]


def case(family: str, context: str = "alone", dims: int = 2) -> Case:
    return Case(Event((dims,)), CONTEXTS[context], FAMILIES[family][1])


def built(family: str, context: str, state: str, dims: int = 2) -> Subject:
    return subject(state, models[FAMILIES[family][0]], case(family, context, dims))


def fresh(family: str, dims: int, dtype: torch.dtype = torch.float64, spread: float = 0.3, context: str = "alone"):
    """An instance with random parameters and units of scale 1."""
    with seeded(3):
        model = models[FAMILIES[family][0]](Event((dims,)), CONTEXTS[context], **FAMILIES[family][1])
    redraw(model, spread=spread)
    return model.to(dtype).eval().requires_grad_(False)


def rows(n: int, dims: int, scale: float = 1.0, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    noise = torch.randn(n, dims, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (scale * noise).to(dtype)


@pytest.mark.parametrize("state", ["redrawn", "trained"])
@pytest.mark.parametrize(("family", "context"), EVERY)
def test_the_density_integrates_to_one(family, context, state):
    s = built(family, context, state)
    total = mass(s).total
    total = total if abs(total - 1) < 1e-3 else wide(s)  # a chart of the bulk misses outliers far away
    assert total == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("state", ["redrawn", "trained"])
@pytest.mark.parametrize(("family", "context"), EVERY)
def test_log_determinants_are_those_of_automatic_differentiation(family, context, state):
    s = built(family, context, state, dims=3)
    x, c = s.rows(6)
    model, tolerance = s.model, LOOSE.get(family, 1e-8)
    c = None if c is None else model._context_rows(c, (6,))
    u = model._to_model(x)[0]
    z, ladj = model._to_latent(u, c)
    close(ladj, log_abs_det(lambda v: model._to_latent(v, c)[0], u), tolerance)
    again, back = model._from_latent(z, c)
    close(back, -ladj, tolerance)
    close(again, u, LOOSE.get(family, 1e-9))
    with torch.no_grad():
        lifted = torch.autograd.functional.jacobian(lambda v: model._from_latent(v, c)[0].sum(0), z.detach())
    close(back, torch.linalg.slogdet(lifted.transpose(0, 1)).logabsdet, 10 * tolerance)


@pytest.mark.parametrize("direction", ["density", "draws"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_log_determinant_carries_the_gradient(family, direction):
    """A step of every parameter against a finite difference, in both directions."""
    model = fresh(family, 3).requires_grad_(True)
    u = rows(4, 3)

    def ladj():
        way = model._to_latent if direction == "density" else model._from_latent
        return way(u, None)[1].sum()

    slopes = torch.autograd.grad(ladj(), list(model.transform.parameters()), allow_unused=True)
    along = [rows(1, p.numel(), seed=i).reshape(p.shape) for i, p in enumerate(model.transform.parameters())]
    step, ends = 1e-6, []
    for sign in (1, -2):
        with torch.no_grad():
            for p, d in zip(model.transform.parameters(), along, strict=True):
                p += sign * step * d
            ends.append(float(ladj()))
    expected = (ends[0] - ends[1]) / (2 * step)
    got = sum(float((g * d).sum()) for g, d in zip(slopes, along, strict=True) if g is not None)
    rel = 1e-2 if family == "i_resnet" else 1e-4  # its norms come from power iterations, held fixed in a gradient
    assert got == pytest.approx(expected, rel=rel, abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "single"])
@pytest.mark.parametrize(("family", "context"), EVERY)
def test_there_and_back_also_far_out(family, context, dtype):
    model = fresh(family, 3, dtype, context=context)
    x = torch.cat([rows(40, 3, dtype=dtype), 10 * rows(40, 3, seed=1, dtype=dtype).sign()])
    c = None if context == "alone" else rows(80, 2, seed=2, dtype=dtype)
    again = model.decode(model.encode(x, c), c)
    tolerance = LOOSE.get(family, 1e-9) if dtype == torch.float64 else 1e-4
    close(again, x, tolerance * float(x.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["double", "single"])
@pytest.mark.parametrize(("spread", "scale"), [(100.0, 1.0), (0.3, 1e4)], ids=["wild parameters", "wild inputs"])
@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_wild_gives_nan_or_stops(family, spread, scale, dtype):
    model = fresh(family, 3, dtype, spread)
    x = rows(20, 3, scale, dtype=dtype)
    answers = model.log_prob(x), model.encode(x), model.decode(x), model.sample(20, generator=0)
    assert not any(bool(answer.isnan().any()) for answer in answers)


@pytest.mark.parametrize("family", FAMILIES)
def test_asked_again_it_says_the_same_and_rows_stand_alone(family):
    model, x = fresh(family, 3), rows(7, 3)
    assert torch.equal(model.log_prob(x), model.log_prob(x))
    close(model.log_prob(x[2:3]), model.log_prob(x)[2:3], 1e-7)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_can_be_fitted_again(family):
    x = rows(256, 2) * torch.tensor([3.0, 0.1]) + 5
    model = models[FAMILIES[family][0]](Event((2,)), **FAMILIES[family][1])
    for _ in range(2):
        model.fit(x, steps=5, batch_size=32, seed=0, progress=False)
        assert bool(model.log_prob(x).isfinite().all())


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_fresh_process_says_the_same(family, tmp_path):
    model, x = fresh(family, 2, torch.float32), rows(5, 2, dtype=torch.float32)
    model.save(tmp_path / "run")
    code = (
        "import sys, torch, fairway as fw; m = fw.load(sys.argv[1]); "
        "print(*m.log_prob(torch.tensor(eval(sys.argv[2]))).tolist())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run"), str(x.tolist())]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    torch.testing.assert_close(torch.tensor([float(v) for v in said]), model.log_prob(x), rtol=1e-5, atol=1e-5)


def wide(s: Subject, reach: float = 16.0, cells: int = 800) -> float:
    """The mass on a wide square in model units."""
    side = ((torch.arange(cells, dtype=torch.float64) + 0.5) / cells * 2 - 1) * reach
    context = None if s.context is None else s.model._context_rows(s.contexts(1), (1,))
    with torch.no_grad():
        parts = [
            s.model._log_prob(points, None if context is None else context.expand(len(points), -1)).exp().sum()
            for points in (torch.cartesian_prod(row, side) for row in side.split(100))
        ]
    return float(sum(parts)) * (2 * reach / cells) ** 2


def close(got: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    torch.testing.assert_close(got.detach(), expected.detach(), rtol=tolerance, atol=tolerance)
