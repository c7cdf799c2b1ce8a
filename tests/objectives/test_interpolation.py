"""Paths start at data and end at the model's own law; noise on the way leaves both ends and the minimiser alone."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows
from fairway.models.diffusion.interpolant import Interpolant
from fairway.objectives.interpolation import Interpolation, bump

SOURCE = torch.tensor([[4.0], [6.0]])


class Field(torch.nn.Module):
    """A velocity as a function (u, t), recorded where it was asked."""

    def __init__(self, velocity):
        super().__init__()
        self.velocity, self.asked = velocity, []

    def forward(self, u, t, context=None):
        self.asked.append((u, t))
        return self.velocity(u, t.unsqueeze(1))


def loss_of(field, u, weight=None, source=SOURCE, **options):
    model = Interpolant(Event((1,)), source=source, bandwidth=1e-6, network=field).double()
    objective, rows = Interpolation("uniform", **options), Rows(0, len(u), dtype=torch.float64)
    return float(objective.loss(Batch(u, weight=weight), model, phase=Phase(), generator=rows).total)


def zero(u, t):
    return torch.zeros_like(u)


def test_paths_lead_from_the_data_to_the_source():
    field = Field(zero)
    assert loss_of(field, torch.zeros(2000, 1).double()) == pytest.approx((16 + 36) / 2, rel=0.05)
    ((u, t),) = field.asked
    ends = (u.squeeze(1) / t).round(decimals=3)
    assert set(ends.tolist()) == {4.0, 6.0}


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_the_velocity_of_the_path_s_law_is_the_minimiser(noise):
    """N(0, 1) to N(0, 1): u_t ~ N(0, V), V = (1 - t)^2 + t^2 + gamma^2, and v = V' u / (2 V)."""

    def loss(scale):
        def velocity(u, t):
            gamma, slope = bump(t, noise)
            variance = (1 - t) ** 2 + t**2 + gamma**2
            return scale * u * (2 * t - 1 + gamma * slope) / variance

        model = Interpolant(Event((1,)), network=Field(velocity)).double()
        rows = Rows(1, 20_000, dtype=torch.float64)
        batch = Batch(rows.spawn(9).normal(1))
        return float(Interpolation("uniform", noise=noise).loss(batch, model, phase=Phase(), generator=rows).total)

    assert loss(1.0) < min(loss(0.8), loss(1.2))


def test_noise_comes_in_both_signs_and_ends_with_the_path():
    field = Field(zero)
    loss_of(field, torch.zeros(500, 1).double(), noise=0.7)
    ((u, t),) = field.asked
    plus, minus, at = u[:500], u[500:], t[:500].unsqueeze(1)
    assert u.shape == (1000, 1) and torch.equal(t[:500], t[500:])
    line = (plus + minus) / 2 / at
    torch.testing.assert_close(line.round(), line, atol=1e-3, rtol=0)
    z = (plus - minus) / 2 / bump(at, 0.7)[0]
    assert float(z.std()) == pytest.approx(1.0, abs=0.1)
    gamma, _ = bump(torch.tensor([0.0, 0.5, 1.0]), 2.0)
    torch.testing.assert_close(gamma, torch.tensor([0.0, 2 * 0.5**0.5, 0.0]), atol=0.03, rtol=0)


def test_the_slope_of_the_noise_is_its_derivative():
    t = torch.linspace(0.01, 0.99, 30, dtype=torch.float64, requires_grad=True)
    gamma, slope = bump(t, 1.3)
    torch.testing.assert_close(torch.autograd.grad(gamma.sum(), t)[0], slope.detach())


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_weights_weigh_rows(noise):
    u = torch.cat([torch.zeros(64, 1), torch.full((64, 1), 9.0)]).double()
    weight = torch.cat([torch.ones(64), torch.zeros(64)]).double()
    far = loss_of(Field(zero), u, noise=noise)
    assert loss_of(Field(zero), u, weight, noise=noise) == pytest.approx(loss_of(Field(zero), u[:64], noise=noise))
    assert loss_of(Field(zero), u, weight, noise=noise) != pytest.approx(far, rel=0.01)


def test_transport_shortens_the_paths():
    u = torch.where(Rows(0, 256).integers(2) == 0, -1.0, 1.0).unsqueeze(1).double()
    source = torch.tensor([[-2.0], [2.0]])
    near = loss_of(Field(zero), u, source=source, coupling="optimal_transport")
    assert near < 0.5 * loss_of(Field(zero), u, source=source)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="at least 0"):
        Interpolation(noise=-1.0)
    with pytest.raises(ValueError, match="times"):
        Interpolation("cosine")
