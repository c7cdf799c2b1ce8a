"""Conjugates against a brute-force supremum, and the bound against the divergence of two Gaussians."""

import math

import pytest
import torch

from fairway.metrics.divergence.generators import F_DIVERGENCES
from fairway.objectives.f_gan import F_GANS, lambert

X = torch.linspace(-9, 10, 40_001, dtype=torch.float64)
LOG_P = -0.5 * X.square() - 0.5 * math.log(2 * math.pi)
LOG_Q = -0.5 * (X - 0.8).square() / 1.44 - math.log(1.2) - 0.5 * math.log(2 * math.pi)
STEP = float(X[1] - X[0])
LOGITS = torch.linspace(-4, 4, 161, dtype=torch.float64)


def integral(values):
    return float((values * STEP).sum())


def supremum(law, t):
    """sup_u u t - f(u) by a grid of log u, sharpened by three more around the best."""
    low, high = torch.full_like(t, -40.0), torch.full_like(t, 40.0)
    for _ in range(14):
        grid = low + (high - low) * torch.linspace(0, 1, 401, dtype=t.dtype).unsqueeze(1)
        best = (grid.exp() * t - law.f(grid.exp())).max(0)
        width, centre = (high - low) / 100, grid.gather(0, best.indices.unsqueeze(0)).squeeze(0)
        low, high = centre - width, centre + width
    return best.values


@pytest.mark.parametrize("name", list(F_GANS))
def test_conjugates_are_suprema(name):
    law = F_GANS[name]
    t = law.activation(LOGITS)
    t = t[t < min(law.limit, 3.5) - 1e-3]
    torch.testing.assert_close(law.conjugate(t), supremum(law, t), rtol=2e-8, atol=2e-8)


@pytest.mark.parametrize("name", list(F_GANS))
def test_the_conjugate_of_the_conjugate_is_f(name):
    """sup_t u t - f*(t), reached at t = f'(u)."""
    law = F_GANS[name]
    u = torch.linspace(0.05, 6, 120).double().requires_grad_()
    (t,) = torch.autograd.grad(law.f(u).sum(), u)
    keep = (u - 1).abs() > 1e-6  # total variation has a kink there
    torch.testing.assert_close((u * t - law.conjugate(t))[keep], law.f(u)[keep], rtol=1e-9, atol=1e-9)
    for other in (t - 0.05, torch.minimum(t + 0.05, t + (law.limit - t) / 2)):
        assert (u * other - law.conjugate(other) <= law.f(u) + 1e-12).all()


@pytest.mark.parametrize("name", list(F_GANS))
def test_activations_grow_and_stay_where_the_conjugate_is_finite(name):
    law = F_GANS[name]
    t = law.activation(LOGITS)
    assert (t.diff() > 0).all() and (t < law.limit).all()
    torch.testing.assert_close(law.composed(LOGITS), law.conjugate(t), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", list(F_GANS))
def test_f_is_that_of_the_metrics(name):
    if name == "gan":
        u = torch.linspace(0.1, 5, 50).double()
        jensen_shannon = 2 * F_GANS["jensen_shannon"].f(u)
        torch.testing.assert_close(F_GANS["gan"].f(u), jensen_shannon - (u + 1) * math.log(2))
        assert F_GANS["gan"].f(torch.ones(())).item() == pytest.approx(-math.log(4))
        return
    r = torch.linspace(-2, 2, 41).double()
    torch.testing.assert_close(F_GANS[name].f(r.exp()), F_DIVERGENCES[name].per_q(r))


@pytest.mark.parametrize("name", [n for n in F_GANS if n != "pearson"])
def test_the_bound_is_tight_at_the_ratio_and_below_elsewhere(name):
    """Two Gaussians by quadrature; P is the narrower, so that all of these but Neyman's are finite."""
    law, r = F_GANS[name], LOG_P - LOG_Q
    p, q = LOG_P.exp(), LOG_Q.exp()
    if name == "neyman":
        p, q, r = q, p, -r
    u = r.exp().requires_grad_()
    (best,) = torch.autograd.grad(law.f(u).sum(), u)
    best = best.clamp(max=law.limit)  # rounding
    divergence = integral(q * law.f(u.detach()))
    assert integral(p * best) - integral(q * law.conjugate(best)) == pytest.approx(divergence, abs=1e-6)
    for logit in (r, r + 0.3, torch.zeros_like(r)):
        bound = integral(p * law.activation(logit)) - integral(q * law.composed(logit))
        assert bound <= divergence + 1e-9


def test_pearson_is_infinite_where_the_data_are_wider():
    """p^2 / q grows without end; the bound of clamped critics follows it up."""
    law = F_GANS["pearson"]
    wide, narrow = torch.exp(-0.5 * (X / 1.6).square()) / 1.6, torch.exp(-0.5 * X.square())
    ratio = wide / narrow
    bounds = [
        integral(wide * (t := 2 * (ratio.clamp(max=m) - 1)) - narrow * law.conjugate(t)) for m in (10.0, 100.0, 1000.0)
    ]
    assert bounds[0] < bounds[1] - 1 < bounds[2] - 2
    assert law.conjugate(torch.tensor([-2.0, -5.0])).tolist() == [-1.0, -1.0]


def test_two_gaussians_have_the_known_divergence():
    law, r = F_GANS["kl"], LOG_P - LOG_Q
    kl = math.log(1.2) + (1 + 0.64) / (2 * 1.44) - 0.5
    assert integral(LOG_Q.exp() * law.f(r.exp())) == pytest.approx(kl, abs=1e-8)


def test_lambert():
    w = torch.linspace(0.01, 9, 50).double()
    torch.testing.assert_close(lambert(w.log() + w), w)
