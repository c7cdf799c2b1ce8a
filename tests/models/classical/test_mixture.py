"""A mixture's density, marginals and conditionals, against scipy and numerical integration."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.random import seeded
from fairway.models.classical.mixture import GMM, _precision_factor
from fairway.training.fit import fit

FORMS = ("full", "tied", "diagonal", "spherical")


def mixture(event, components=3, covariance="full", seed=0, units=None):
    """Random parameters in float64; units fitted to data where given."""
    with seeded(seed):
        model = GMM(event, components=components, covariance=covariance).double()
        for parameter in model.parameters():
            parameter.data.normal_(0, 0.5)
    if units is not None:
        model.preprocess.fit(units)
    return model.eval()


def odd_units(n=400):
    """Columns of scale 40 at 1,000 and 3e-3 at -7e-3."""
    noise = torch.randn(n, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return noise * torch.tensor([40, 3e-3]) + torch.tensor([1000, -7e-3])


# -- density --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("covariance", FORMS)
def test_density_is_scipys(covariance):
    model = mixture(Event((3,)), covariance=covariance)
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    weights, means = model.logits.softmax(0).tolist(), model.means.detach().numpy()
    parts = [
        w * multivariate_normal(m, s).pdf(x.numpy())
        for w, m, s in zip(weights, means, model.covariances().detach().numpy(), strict=True)
    ]
    np.testing.assert_allclose(model.log_prob(x).exp().numpy(), np.sum(parts, 0), rtol=1e-10)


@pytest.mark.parametrize("covariance", FORMS)
def test_components_come_back_as_they_were_set(covariance):
    source = mixture(Event((3,)), covariance=covariance)
    model = GMM(Event((3,)), components=3, covariance=covariance).double()
    model.set_components(source.logits.softmax(0), source.means, source.covariances())
    torch.testing.assert_close(model.covariances(), source.covariances())
    torch.testing.assert_close(model.means, source.means)
    torch.testing.assert_close(model.logits.softmax(0), source.logits.softmax(0))


def test_the_precision_factor_survives_bad_conditioning():
    """Scales from 1 to 1e-6 within a matrix: forming the inverse first loses the digits that this keeps."""
    scale = torch.tensor([1.0, 1e-3, 1e-6]).double()
    correlated = torch.tensor([[1.0, 0.9, 0.5], [0.9, 1.0, 0.7], [0.5, 0.7, 1.0]]).double()
    covariance = scale * correlated * scale.unsqueeze(1)
    factor = _precision_factor(covariance.unsqueeze(0))[0]
    assert torch.equal(factor, factor.tril()) and bool((factor.diagonal() > 0).all())
    scaled = (scale.unsqueeze(1) * factor) @ (scale.unsqueeze(1) * factor).mT
    torch.testing.assert_close(scaled, torch.linalg.inv(correlated), rtol=1e-9, atol=0)


def test_float32_fits_nearly_singular_clusters():
    x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    x[:, 1] = x[:, 0] + 1e-3 * x[:, 1]
    model = fit("gmm", x, components=2)
    exact = fit("gmm", x.double(), components=2)
    assert float(model.log_prob(x).mean()) == pytest.approx(float(exact.log_prob(x.double()).mean()), abs=0.05)


@pytest.mark.parametrize("covariance", FORMS)
def test_density_integrates_to_one_in_data_units(covariance):
    model = mixture(Event((2,)), covariance=covariance, units=odd_units())
    x, y = (torch.linspace(-1, 1, 301, dtype=torch.float64) * s * 14 + c for s, c in ((40, 1000), (3e-3, -7e-3)))
    mass = model.log_prob(torch.cartesian_prod(x, y)).exp().sum() * (x[1] - x[0]) * (y[1] - y[0])
    assert float(mass) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("covariance", FORMS)
def test_samples_have_the_mixtures_moments(covariance):
    model = mixture(Event((2,)), covariance=covariance)
    x = model.sample(20_000, generator=0)
    w, m, s = model.logits.softmax(0), model.means, model.covariances()
    mean = w @ m
    second = torch.einsum("k,kij->ij", w, s + torch.einsum("ki,kj->kij", m, m)) - torch.outer(mean, mean)
    torch.testing.assert_close(x.mean(0), mean.detach(), atol=0.03, rtol=0.02)
    torch.testing.assert_close(x.T.cov(), second.detach(), atol=0.05, rtol=0.05)


def test_images_of_many_pixels_are_drawn_without_a_matrix_per_row():
    """2,000 draws of 20 x 20 pixels: a factor per row would take 2.5 GB."""
    model = GMM(Event((20, 20)), components=2)
    assert model.sample(2_000, generator=0).shape == (2_000, 20, 20)


# -- marginals and conditionals -------------------------------------------------------------------------------------
@pytest.mark.parametrize("covariance", FORMS)
def test_marginal_is_the_integral_over_the_rest(covariance):
    model = mixture(Event((2,)), covariance=covariance, units=odd_units())
    y = torch.linspace(-1, 1, 2001, dtype=torch.float64) * 3e-3 * 14 - 7e-3
    observed = torch.tensor([True, False])
    for first in (920.0, 1000.0, 1055.0):
        line = torch.stack([torch.full_like(y, first), y], 1)
        total = model.log_prob(line).exp().sum() * (y[1] - y[0])
        marginal = model.log_marginal(torch.tensor([first, torch.nan]).double(), observed).exp()
        assert float(marginal) == pytest.approx(float(total), rel=1e-6)


def test_marginal_under_a_curved_map_too():
    """Positive data: the log-determinant of the observed entries alone belongs to the marginal."""
    model = mixture(Event((2,), "positive"))
    y = torch.linspace(-12, 12, 4001, dtype=torch.float64).exp()
    line = torch.stack([torch.full_like(y, 2.0), y], 1)
    total = torch.trapezoid(model.log_prob(line).exp(), y)
    marginal = model.log_marginal(torch.tensor([[2.0, 1.0]]).double(), torch.tensor([True, False])).exp()
    assert float(marginal) == pytest.approx(float(total), rel=1e-4)


@pytest.mark.parametrize("covariance", FORMS)
def test_conditional_is_joint_over_marginal_and_its_samples_follow(covariance):
    model = mixture(Event((2,)), covariance=covariance, units=odd_units())
    y = torch.linspace(-1, 1, 2001, dtype=torch.float64) * 3e-3 * 10 - 7e-3
    given = model.conditional(torch.tensor([960.0, torch.nan]).double(), torch.tensor([True, False]))
    density = given.log_prob(torch.stack([torch.zeros_like(y), y], 1)).exp()  # the observed entry is replaced
    step = y[1] - y[0]
    assert float(density.sum() * step) == pytest.approx(1.0, abs=1e-6)
    mean = (density * y).sum() * step
    std = ((density * (y - mean).square()).sum() * step).sqrt()
    drawn = given.sample(8_000, generator=0)
    assert torch.equal(drawn[:, 0], torch.full((8_000,), 960.0).double())
    assert float(drawn[:, 1].mean() - mean) == pytest.approx(0.0, abs=float(std) * 0.05)
    assert float(drawn[:, 1].std() / std) == pytest.approx(1.0, abs=0.05)


def test_completions_of_many_rows_and_patterns_keep_what_is_observed():
    model = mixture(Event((3,)))
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    observed = torch.rand(40, 3, generator=torch.Generator().manual_seed(3)) > 0.5
    done = model.complete(torch.where(observed, x, torch.nan), observed, 5, generator=0)
    assert done.shape == (40, 5, 3) and bool(done.isfinite().all())
    kept = observed.unsqueeze(1).expand_as(done)
    assert torch.equal(done[kept], x.unsqueeze(1).expand_as(done)[kept])
    assert bool((done[~kept] != x.unsqueeze(1).expand_as(done)[~kept]).all())
    assert torch.equal(model.complete(torch.where(observed, x, torch.nan), observed, 3, generator=0), done[:, :3])


def test_nothing_observed_is_the_mixture_itself_and_everything_is_the_row():
    model = mixture(Event((3,)))
    x = torch.randn(1, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    nothing, everything = torch.zeros(3, dtype=torch.bool), torch.ones(3, dtype=torch.bool)
    assert float(model.log_marginal(x, nothing)) == pytest.approx(0.0, abs=1e-12)
    torch.testing.assert_close(model.log_marginal(x, everything), model.log_prob(x))
    drawn = model.complete(x, nothing, 8_000, generator=0)[0]
    torch.testing.assert_close(drawn.mean(0), (model.logits.softmax(0) @ model.means).detach(), atol=0.06, rtol=0)
    assert torch.equal(model.complete(x, everything, 2, generator=0)[0], x.expand(2, 3))


def test_conditional_of_a_component_is_bishops_formula():
    model = mixture(Event((3,)), components=1)
    observed = torch.tensor([True, False, True])
    x = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mean, covariance = model.conditional_of(0, x, observed)
    precision = torch.linalg.inv(model.covariances()[0])
    torch.testing.assert_close(covariance, 1 / precision[1:2, 1:2])  # eq. 2.73: the inverse of the precision's block
    shift = (x[:, observed] - model.means[0, observed]) @ precision[1, observed] / precision[1, 1]
    torch.testing.assert_close(mean[:, 0], model.means[0, 1] - shift)


# -- gaps in the data -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("covariance", FORMS)
def test_rows_with_gaps_are_learned_and_scored(covariance):
    x = odd_units(300)
    x[:, 1] = x[:, 1] + (x[:, 0] - 1000) * 5e-5
    full = fit("gmm", x, components=1, covariance=covariance, prior=0.0)
    x[::4, 1] = torch.nan
    model = fit("gmm", x, components=1, covariance=covariance, prior=0.0)
    assert model.event.missing
    score = model.log_prob(x)
    assert bool(score.isfinite().all())
    torch.testing.assert_close(score[0], model.log_marginal(x[0], torch.tensor([True, False])))
    drawn, expected = model.sample(20_000, generator=0).double(), full.sample(20_000, generator=0).double()
    torch.testing.assert_close(drawn.std(0) / expected.std(0), torch.ones(2).double(), atol=0.15, rtol=0)


# -- events and refusals --------------------------------------------------------------------------------------------
def test_counted_data_are_a_bound():
    x = torch.randint(0, 9, (60, 3, 3), generator=torch.Generator().manual_seed(0))
    model = fit("gmm", x, components=2)
    with pytest.raises(CapabilityError, match="ask bound"):
        model.log_prob(x)
    assert model.bound(x, generator=0).shape == (60,)
    assert model.sample(4, generator=0).shape == (4, 3, 3)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"components": 0}, "expected components as a positive integer, got 0"),
        ({"covariance": "diag"}, "expected covariance full, tied, diagonal or spherical, got 'diag'"),
    ],
)
def test_options_that_cannot_be(options, says):
    with pytest.raises(ValueError, match=says):
        GMM(Event((2,)), **options)


def test_more_components_than_rows():
    with pytest.raises(ValueError, match=r"at least as many rows as components \(10\), got 4"):
        fit("gmm", odd_units(4))


def test_it_costs_no_network():
    assert GMM(Event((2,))).strokes == 0.0 and GMM(Event((2,))).likelihood == "exact"
