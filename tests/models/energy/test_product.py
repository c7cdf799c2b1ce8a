"""Energies add in data units; of Gaussians the product is known."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows, seeded
from fairway.metrics.log_normaliser import grid_log_normaliser
from fairway.models.classical.gaussian import Gaussian
from fairway.models.energy.energy import EBM
from fairway.models.energy.product import Product
from fairway.training.fit import fit

SCALE = torch.tensor([40.0, 3e-3], dtype=torch.float64)
MIX = torch.tensor([[1.0, 0.0], [0.6, 0.8]], dtype=torch.float64)


@pytest.fixture(scope="module")
def experts():
    """Gaussians trained apart: on correlated data; on shifted, wider data; and in data units, not standardised."""
    noise = [Rows(seed, 600, dtype=torch.float64).normal(2) for seed in range(3)]
    first = fit("gaussian", SCALE * (noise[0] @ MIX.T) + torch.tensor([1000.0, 0.0]))
    second = fit("gaussian", SCALE * (2 * noise[1] + 1) + torch.tensor([1000.0, 0.0]))
    third = fit("gaussian", SCALE * (noise[2] - 1) + torch.tensor([1000.0, 0.0]), preprocess=False)
    return first, second, third


def in_data_units(model):
    """Mean and precision of a Gaussian, data units, float64."""
    x = model.preprocess.to_data(model.means.detach())[0].double()
    unit = torch.diag(getattr(model.preprocess, "std", torch.ones(2)).double())
    return x, torch.linalg.inv(unit @ model.covariances()[0].detach().double() @ unit)


def precision_weighted(experts, powers):
    pairs = [in_data_units(model) for model in experts]
    precision = sum(w * p for w, (_, p) in zip(powers, pairs, strict=True))
    mean = torch.linalg.solve(precision, sum(w * p @ m for w, (m, p) in zip(powers, pairs, strict=True)))
    return mean, torch.linalg.inv(precision)


POWERS = (1.0, 2.0, 0.5)


def test_of_gaussians_it_is_the_gaussian_with_the_weighted_precision(experts):
    product = Product.of(experts, powers=POWERS)
    mean, covariance = precision_weighted(experts, POWERS)
    exact = torch.distributions.MultivariateNormal(mean, covariance)
    x = torch.tensor([1000.0, 0.0]) + SCALE * 3 * Rows(9, 200, dtype=torch.float64).normal(2)
    total = product.energy(x) + exact.log_prob(x)
    torch.testing.assert_close(total, total[:1].expand(200), rtol=1e-6, atol=1e-6)


def test_draws_have_its_moments(experts):
    draws = Product.of(experts, powers=POWERS).sample(3000, generator=0).double()
    mean, covariance = precision_weighted(experts, POWERS)
    assert float(((draws.mean(0) - mean) / covariance.diagonal().sqrt()).abs().max()) < 0.1
    units = covariance.diagonal().sqrt().outer(covariance.diagonal().sqrt())
    torch.testing.assert_close(draws.T.cov() / units, covariance / units, atol=0.1, rtol=0)


def test_the_score_is_the_sum_of_scores(experts):
    x = torch.tensor([1000.0, 0.0]) + SCALE * Rows(9, 10, dtype=torch.float64).normal(2)
    expected = sum(w * model.score(x) for w, model in zip(POWERS, experts, strict=True))
    found = Product.of(experts, powers=POWERS).score(x)
    torch.testing.assert_close(found * SCALE, expected * SCALE, rtol=1e-6, atol=1e-6)


def test_on_a_range_an_expert_sharpens_and_a_negative_one_takes_away():
    """Densities of (0, 1): the jacobian of the logit must be counted once, not once for each expert."""
    event = Event((1,), "bounded", low=0.0, high=1.0)
    x = torch.sigmoid(Rows(0, 400, dtype=torch.float64).normal(1))
    expert = Gaussian(event).fit(x)
    grid = torch.linspace(0.001, 0.999, 999, dtype=torch.float64).unsqueeze(1)
    log_p = expert.log_prob(grid)
    for powers in ((1.0, 1.0), (2.0, -1.0)):
        energy = Product.of([expert, expert], powers=powers).energy(grid)
        torch.testing.assert_close(-energy, sum(powers) * log_p, rtol=1e-8, atol=1e-8)


def test_experts_without_a_normaliser_are_multiplied_too():
    with seeded(0):
        experts = [EBM(Event((2,)), hidden=(8,)).double().eval() for _ in range(2)]
    product, x = Product.of(experts, powers=(0.5, 0.5)), Rows(0, 20, dtype=torch.float64).normal(2)
    torch.testing.assert_close(product.energy(x), 0.5 * (experts[0].energy(x) + experts[1].energy(x)))
    log_Z, *each = (grid_log_normaliser(model, points=101).value for model in (product, *experts))
    assert log_Z < sum(each) / 2  # Cauchy and Schwarz


def test_counted_experts_are_drawn_level_by_level():
    x = torch.cat([Rows(0, 300).integers(3, 2), Rows(1, 100).integers(2, 2)])
    experts = [fit("independent", x), fit("independent", 2 - x)]
    product = Product.of(experts)
    every = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    p = torch.softmax(sum(m.log_prob(every) for m in experts).double(), 0)
    torch.testing.assert_close(torch.softmax(-product.energy(every).double(), 0), p)
    draws = product.sample(2000, generator=0).long()
    share = torch.bincount(draws[:, 0] * 3 + draws[:, 1], minlength=9) / 2000
    torch.testing.assert_close(share.double(), p, atol=0.04, rtol=0)


def test_an_expert_without_an_energy_is_refused():
    with pytest.raises(ValueError, match="energy"):
        Product(Event((2,)), models=("vae", "gaussian"))
