"""Fits without data: a Gaussian is found exactly, curved potentials closely, and log Z is bounded from below."""

import math

import pytest
import torch

import fairway as fw
from fairway.core.event import Event
from fairway.core.numerics import standard_normal_log_prob
from fairway.samplers.target import Target, function_target
from fairway.training.run_folder import read_config
from fairway.training.variational import approximate


def gaussian(u):
    """Correlated, far from the origin: log Z = 7."""
    factor = torch.tensor([[1.0, 0.0], [-1.2, 0.5]], dtype=u.dtype)  # Cholesky factor of the precision, transposed
    return standard_normal_log_prob((u - torch.tensor([2.0, -1.0], dtype=u.dtype)) @ factor) + math.log(0.5) + 7


def two_arcs(z):
    """The first potential of Rezende and Mohamed 2015, table 1: a ring, heavy on its left and its right."""
    ring = -0.5 * ((z.norm(dim=1) - 2) / 0.4).square()
    left, right = (-0.5 * ((z[:, 0] + sign * 2) / 0.6).square() for sign in (1, -1))
    return ring + torch.logaddexp(left, right)


def log_z(log_prob, half=8.0, points=801):
    axis = torch.linspace(-half, half, points, dtype=torch.float64)
    return float(log_prob(torch.cartesian_prod(axis, axis)).logsumexp(0)) + 2 * math.log(2 * half / (points - 1))


def test_a_gaussian_is_recovered_exactly():
    model = approximate("real_nvp", gaussian, 2, steps=400, transforms=2, hidden=(), lr=3e-2, batch_size=128)
    assert model.log_Z.relation == "lower" and model.log_Z.value == pytest.approx(7, abs=5e-3)
    assert model.log_Z.info["ess"] > 0.99 * 4096
    x = model.sample(4000, generator=1)
    torch.testing.assert_close(x.mean(0), torch.tensor([2.0, -1.0]), atol=0.15, rtol=0)
    assert (model.log_prob(x) - gaussian(x) + 7).abs().mean() < 0.05


def test_a_flow_that_draws_entry_by_entry_learns_through_its_inverse():
    model = approximate("maf", gaussian, 2, steps=120, transforms=1, hidden=(8,), lr=5e-2, batch_size=64, warm_up=20)
    assert 6.7 < model.log_Z.value < 7 + 3 * model.log_Z.standard_error


@pytest.mark.parametrize(
    ("name", "options"),
    [("planar", {"transforms": 8, "warm_up": 100}), ("real_nvp", {"hidden": (32,), "transforms": 4, "warm_up": 300})],
)
def test_a_curved_density_is_followed_and_log_z_bounded(name, options):
    model = approximate(name, two_arcs, 2, steps=400, lr=1e-2, batch_size=128, **options)
    found, exact = model.log_Z, log_z(two_arcs)
    assert exact - 0.8 < found.value < exact + 3 * found.standard_error
    assert found.info["importance"] == pytest.approx(exact, abs=4 * found.info["importance_error"] + 0.05)
    sides = (model.sample(1000, generator=0)[:, 0] > 0).float().mean()
    assert 0.2 < sides < 0.8  # neither arc is left out


def test_the_same_seed_gives_the_same_fit_and_the_target_stays_as_it_was():
    with torch.no_grad():
        energy = fw.fit("gaussian", torch.randn(200, 2))
    before = {name: value.clone() for name, value in energy.state_dict().items()}
    options = {"steps": 20, "transforms": 2, "hidden": (8,), "seed": 3, "draws": 64}
    one, two = (approximate("real_nvp", energy, **options) for _ in range(2))
    assert torch.equal(one.sample(5, generator=0), two.sample(5, generator=0)) and one.log_Z == two.log_Z
    assert all(torch.equal(value, before[name]) for name, value in energy.state_dict().items())


def test_targets_and_shapes_of_other_kinds(tmp_path):
    options = {"steps": 3, "transforms": 2, "hidden": (8,), "draws": 16}
    image = approximate("real_nvp", function_target(lambda u: -u.square().flatten(1).sum(1), (2, 2)), **options)
    assert image.event == Event((2, 2)) and image.sample(3, generator=0).shape == (3, 2, 2)
    model = approximate("real_nvp", gaussian, 2, out=tmp_path, **options)
    assert torch.equal(fw.load(tmp_path).sample(3, generator=0), model.sample(3, generator=0))
    assert read_config(tmp_path)["objective"]["target"] == {"external": "target"}


def test_what_it_refuses():
    with pytest.raises(TypeError, match="expected the shape of one point"):
        approximate("planar", gaussian)
    with pytest.raises(TypeError, match="expected a log density, a Target or a model, got float"):
        approximate("planar", 1.0, 2)
    with pytest.raises(TypeError, match="its score alone"):
        approximate("planar", Target(None, lambda u: -u, event=Event((2,))))
    with pytest.raises(fw.core.capability.CapabilityError, match="needs a model that answers 'sample_and_log_prob'"):
        approximate("vae", gaussian, 2)
