"""The planar flow: more ridges, more shapes; exact both ways; learns from data and under a context."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import seeded
from fairway.models.flow.planar import PlanarFlow
from fairway.models.flow.transforms.planar import Planar
from fairway.training.fit import fit


def two_clumps(n=2000):
    generator = torch.Generator().manual_seed(0)
    side = torch.randint(0, 2, (n, 1), generator=generator) * 2.0 - 1
    return torch.cat([2 * side, torch.zeros(n, 1)], 1) + 0.5 * torch.randn(n, 2, generator=generator)


def test_a_ridge_splits_a_gaussian_in_two():
    x = two_clumps()
    model = fit("planar", x, transforms=3, steps=200, lr=2e-2, seed=0)
    gaussian = fit("gaussian", x)
    assert float(model.log_prob(x).mean() - gaussian.log_prob(x).mean()) > 0.25
    drawn = model.sample(2000, generator=0)[:, 0]
    assert float((drawn.abs() < 0.5).float().mean()) < 0.15 and float(drawn.gt(0).float().mean()) == pytest.approx(
        0.5, abs=0.1
    )


def test_draws_know_their_density_in_the_pass_that_makes_them():
    with seeded(0):
        model = PlanarFlow(Event((3,)), transforms=5).double().eval()
    for parameter in model.parameters():
        parameter.data.normal_(0, 1.0)
    x, log_prob = model.sample_and_log_prob(50, generator=0)
    torch.testing.assert_close(log_prob, model.log_prob(x), atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(model.decode(model.encode(x)), x, atol=1e-9, rtol=0)


def test_it_has_as_many_maps_as_asked_for_each_with_its_numbers():
    model = PlanarFlow(Event((5,)), transforms=7)
    assert sum(isinstance(m, Planar) for m in model.modules()) == 7
    assert sum(p.numel() for p in model.parameters()) == 7 * 11
