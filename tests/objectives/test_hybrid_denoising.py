"""The hybrid loss: the mean learns from denoising alone, the variances from the bound, and where their minimum is."""

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows
from fairway.models.diffusion.ddpm import DDPM
from fairway.models.diffusion.edm import EDM
from fairway.objectives.hybrid_denoising import HybridDenoising

STD, LEVELS = 0.5, 6


class Exact(torch.nn.Module):
    """F for data N(0, STD^2), and the variances of its steps with one number added to w."""

    def __init__(self):
        super().__init__()
        self.schedule, self.shift = None, torch.nn.Parameter(torch.zeros(()))

    def forward(self, u, t, context=None):
        (alpha, sigma), (later, rest) = self.schedule(t), self.schedule((t - 1 / LEVELS).clamp(min=1e-3))
        total, left = alpha.square() * STD**2 + sigma.square(), later.square() * STD**2 + rest.square()
        answer = (alpha * sigma * (STD**2 - 1) / total).unsqueeze(1) * u
        variance = left - (alpha * later * STD**2 + alpha / later * rest.square()).square() / total
        smaller = rest.square() * (1 - (alpha * rest / (later * sigma)).square())
        share = (variance / smaller).log() / (2 * (sigma / rest).log()) + self.shift
        return torch.cat([answer, (2 * share - 1).unsqueeze(1).expand_as(u)], 1)


@pytest.fixture
def exact():
    network = Exact()
    model = DDPM(Event((1,)), levels=LEVELS, betas="cosine", learned_variance=True, network=network)
    network.schedule = model.schedule
    return model.double()


def loss(model, n=40_000, std=STD, **options):
    u = std * Rows(1, n, dtype=torch.float64).normal(*model.model_event.shape)
    rows = Rows(0, n, dtype=torch.float64)
    return HybridDenoising(**options).loss(Batch(u, None), model, phase=Phase(), generator=rows)


def test_the_exact_variances_are_the_minimum(exact):
    """The slope along the shift of w is zero there, and has the right sign on both sides."""

    def slope(shift):
        exact.network.shift.data.fill_(shift)
        (found,) = torch.autograd.grad(loss(exact, bound_weight=1.0).total, exact.network.shift)
        return float(found)

    below, at, above = slope(-0.1), slope(0.0), slope(0.1)
    assert below < -0.05 and above > 0.05
    assert abs(at) < 0.1 * min(-below, above)


def test_the_steps_add_up_to_the_denoising_term_of_the_bound(exact):
    n = 40_000
    u = STD * Rows(5, n, dtype=torch.float64).normal(1)
    whole = exact._bound_terms(u, None, Rows(6, n, dtype=torch.float64))["denoising"].detach().mean()
    assert float(loss(exact).terms["bound_steps"].detach()) == pytest.approx(float(whole), rel=0.03)


def test_the_mean_does_not_learn_from_the_bound():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = DDPM(Event((3,)), levels=30, learned_variance=True, hidden=(8,)).double()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, 0, 0.3)

    def gradients(weight):
        model.zero_grad()
        loss(model, 200, bound_weight=weight).total.backward()
        return model.network.last[1].weight.grad.split(3)  # rows of the answer, then of its variance

    (mean, variance), (other, tenfold) = gradients(1e-3), gradients(1e-2)
    torch.testing.assert_close(other, mean)
    torch.testing.assert_close(tenfold, 10 * variance)
    assert float(variance.norm()) > 0


def test_the_total_is_the_weighted_sum(exact):
    found = loss(exact, 100, bound_weight=0.5)
    torch.testing.assert_close(found.total, found.terms["denoising_error"] + 0.5 * found.terms["bound_steps"])


def test_steps_are_the_papers():
    t, s, first = HybridDenoising()._draw_steps(10, Rows(0, 20_000, dtype=torch.float64))
    step = (t * 10).round()
    torch.testing.assert_close(step / 10, t)
    assert torch.bincount(step.long(), minlength=11)[1:].min() > 1800 and int(step.min()) == 1
    torch.testing.assert_close(s[~first], t[~first] - 0.1)
    assert bool((step[first] == 1).all()) and bool((s > 0).all())


def test_wrong_models_and_weights_are_refused():
    for model in (EDM(Event((2,)), hidden=(8,)), DDPM(Event((2,)), hidden=(8,))):
        with pytest.raises(CapabilityError, match="learned_variance=True"):
            HybridDenoising().check(model)
    with pytest.raises(ValueError, match="bound_weight above 0"):
        HybridDenoising(0.0)
