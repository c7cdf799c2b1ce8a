"""NCSN: a network that says the noise, weighed by the noise's variance, drawn from by annealed Langevin dynamics."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows
from fairway.models.diffusion.ncsn import NCSN
from fairway.samplers.annealed_langevin import AnnealedLangevin
from fairway.samplers.heun import Heun
from fairway.samplers.noise_grid import noise_levels
from fairway.training.fit import fit


class Waves(torch.nn.Module):
    def forward(self, u, t, context=None):
        return torch.sin(3 * u.flip(1) + t[:, None])


def test_the_score_is_the_noise_over_sigma():
    """Song and Ermon 2020, technique 3; and a network that says nothing has the score of N(0, I) under noise."""
    model, rows = NCSN(Event((2,)), network=Waves()).double(), Rows(0, 20, dtype=torch.float64)
    u, t = 5 * rows.normal(2), 0.01 + 0.99 * rows.uniform()
    sigma = (0.01 * 1000**t)[:, None]
    said = Waves()(u / (1 + sigma**2).sqrt(), t) / (1 + sigma**2).sqrt() / sigma
    torch.testing.assert_close(model._score_at(u, t), said - u / (1 + sigma**2))
    torch.testing.assert_close(model._score_at(u, t), -model._network(u, t, None) / sigma)


def test_the_loss_is_the_paper_s_at_lambda_sigma_squared():
    """Song and Ermon 2019, eq. 5 and 6, without their half: E sigma^2 |s + eps / sigma|^2 / D."""
    model, n = NCSN(Event((2,)), network=Waves()).double(), 50
    u, rows = Rows(1, n, dtype=torch.float64).normal(2), Rows(2, n, dtype=torch.float64)
    loss = model.default_objective().loss(Batch(u), model, phase=Phase(), generator=rows).total
    t, eps = model.default_objective()._draw_times(model.schedule, rows.spawn(0)), rows.spawn(1).normal(2)
    sigma = (0.01 * 1000**t)[:, None]
    error = model._score_at(u + sigma * eps, t) + eps / sigma
    torch.testing.assert_close(loss, (sigma.square() * error.square()).mean())


def test_levels_are_geometric():
    model = NCSN(Event((2,)), least=0.02, most=4.0, levels=8, chain_steps=7, hidden=(8,))
    sampler = model.default_sampler()
    assert isinstance(sampler, AnnealedLangevin)
    assert (sampler.levels, sampler.steps) == (8, 7)
    sigmas = [level.sigma for level in noise_levels(model.schedule, sampler.levels)]
    wanted = torch.logspace(*torch.tensor([4.0, 0.02]).log10().tolist(), 8, dtype=torch.float64)
    torch.testing.assert_close(torch.tensor(sigmas, dtype=torch.float64), wanted, rtol=1e-6, atol=0)


@pytest.mark.parametrize("options", [{"levels": 0}, {"chain_steps": 0}, {"least": 2.0, "most": 1.0}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match="expected"):
        NCSN(Event((2,)), **options)


@pytest.mark.parametrize("objective", ["denoising", "sliced_score_matching"])
def test_it_learns_two_humps_in_data_units(objective):
    side = (Rows(11, 600).uniform() < 0.7).float() * 2 - 1
    x = torch.stack([1000 + 40 * (side + 0.3 * Rows(12, 600).normal()), -7e-3 + 3e-3 * Rows(13, 600).normal()], 1)
    model = fit("ncsn", x, hidden=(48, 48), steps=500, seed=0, lr=3e-3, objective=objective)
    draws, flow = model.sample(1000, generator=0), model.sample(1000, generator=0, sampler=Heun(30))
    for found, off in ((draws, 0.15), (flow, 0.06)):  # Langevin moves weigh humps by what is between them
        assert float((found[:, 0] > 1000).float().mean()) == pytest.approx(0.7, abs=off)
        torch.testing.assert_close(found.std(0) / x.std(0), torch.ones(2), atol=0.25, rtol=0)
