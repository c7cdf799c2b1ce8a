"""EDM: targets of scale 1 at every level, and what it learns in a few hundred steps."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.models.diffusion.edm import EDM
from fairway.samplers.heun import Heun
from fairway.training.fit import fit


def test_inputs_and_targets_have_scale_one_at_every_level():
    """Karras et al. 2022, appendix B.6: what makes the preconditioning what it is."""
    model, n = EDM(Event((1,)), hidden=(8,)).double(), 40_000
    rows = Rows(0, n, dtype=torch.float64)
    data, noise, seen = rows.normal(1), rows.normal(1), []
    model.network.forward = lambda u, t, c: seen.append(float(u.var())) or u
    for t in (0.0, 0.3, 0.6, 1.0):
        level = torch.full((n,), t, dtype=torch.float64)
        (alpha, sigma), (p, q) = ((c.unsqueeze(1) for c in f(level)) for f in (model.schedule, model._prediction))
        model._network(alpha * data + sigma * noise, level, None)
        assert float((p * data + q * noise).var()) == pytest.approx(1.0, abs=0.03)
    assert seen == pytest.approx([1.0] * 4, abs=0.03)


def test_draws_in_thirty_five_strokes_by_default():
    sampler = EDM(Event((2,)), hidden=(8,)).default_sampler()
    assert isinstance(sampler, Heun)
    assert (2 * sampler.steps - 1, sampler.grid, sampler.churn) == (35, "karras", 0.0)


def test_it_learns_two_humps_in_data_units():
    side = (Rows(11, 600).uniform() < 0.7).float() * 2 - 1
    x = torch.stack([1000 + 40 * (side + 0.3 * Rows(12, 600).normal()), -7e-3 + 3e-3 * Rows(13, 600).normal()], 1)
    model = fit("edm", x, hidden=(48, 48), steps=400, seed=0, lr=3e-3)
    draws = model.sample(2000, generator=0)
    assert float((draws[:, 0] > 1000).float().mean()) == pytest.approx(0.7, abs=0.07)
    torch.testing.assert_close(draws.std(0) / x.std(0), torch.ones(2), atol=0.2, rtol=0)
    inner = (draws[:, 0] - 1000).abs()
    assert float(((inner > 20) & (inner < 60)).float().mean()) > 0.75  # 90 % of the data: not one hump between
    held = torch.tensor([[1040.0, -7e-3], [1000.0, -7e-3]])
    near, between = model.log_prob(held).tolist()
    assert near - between > 1
