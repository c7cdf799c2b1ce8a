"""Features against the densities and the sums they stand for."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch
from fairway.core.random import Rows, seeded
from fairway.models.classical.mixture import GMM
from fairway.objectives import em_centred
from fairway.objectives.em_features import Features, pays, whitening

FORMS = ("full", "tied", "diagonal", "spherical")


def mixture(dims, covariance, components=3):
    """Random components, near scale one, float64."""
    with seeded(1):
        model = GMM(Event((dims,)), components=components, covariance=covariance).double()
        for parameter in model.parameters():
            parameter.data.normal_(0, 0.5)
    return model


def correlated(n, dims, offset=0.0):
    """Rows whose columns have other scales and lean on each other."""
    scale = torch.logspace(-2, 2, dims, dtype=torch.float64)
    lean = torch.eye(dims).double() + 0.7 * torch.ones(dims, dims).double().tril(-1)
    return Rows(0, n, dtype=torch.float64).normal(dims) @ lean * scale + offset


def featured(x, covariance, weight=None):
    weight = torch.ones_like(x[:, 0]) if weight is None else weight
    features = Features(*whitening(x, weight, covariance))
    return features, features.white(x)


@pytest.mark.parametrize("covariance", FORMS)
@pytest.mark.parametrize("dims", [1, 2, 3, 6, 7])
@torch.no_grad()
def test_the_joint_density_is_linear_in_them(dims, covariance):
    x, model = Rows(0, 40, dtype=torch.float64).normal(dims) + 0.3, mixture(dims, covariance)
    features, y = featured(x, covariance)
    theta, _ = features.parameters(model)
    phi = features.fill(y, y.new_empty(features.width, 40))
    torch.testing.assert_close((theta @ phi).mT, model.log_joint(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("covariance", FORMS)
@pytest.mark.parametrize("weighted", [False, True])
@torch.no_grad()
def test_their_sums_are_those_about_the_means(covariance, weighted):
    x, model = Rows(0, 3_000, dtype=torch.float64).normal(4), mixture(4, covariance)
    weight = Rows(7, 3_000, dtype=torch.float64).uniform() if weighted else None
    features, y = featured(x, covariance, weight)
    ours = features.sums(features.parameters(model)[0], y, weight)
    peer = em_centred.sums(model, Batch(x, None, weight))
    torch.testing.assert_close(ours.log_prob, peer.log_prob)
    torch.testing.assert_close(ours.weight, peer.weight)
    found, expected = features.in_model_units(ours.moments()), peer.moments()
    torch.testing.assert_close(found.count, expected.count)
    torch.testing.assert_close(found.means, expected.means + model.means)
    torch.testing.assert_close(found.scatter, expected.scatter)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_white_rows_have_no_mean_and_unit_covariance(covariance, dtype):
    x = correlated(5_000, 5, offset=1e3).to(dtype)
    _, y = featured(x, covariance)
    got = y[:5].double().cov(correction=0)
    torch.testing.assert_close(y[:5].double().mean(1), torch.zeros(5).double(), atol=1e-2, rtol=0)
    torch.testing.assert_close(got.diagonal(), torch.ones(5).double(), atol=3e-3, rtol=0)
    assert covariance == "diagonal" or float((got - torch.eye(5)).abs().max()) < 3e-3


def test_the_whitening_is_in_numbers_of_the_rows_precision():
    centre, factor = whitening(correlated(500, 4, offset=1e5).float(), torch.ones(500), "full")
    inverse = torch.linalg.inv(factor)
    assert torch.equal(centre, centre.float().double())
    torch.testing.assert_close(inverse, inverse.float().double(), rtol=1e-10, atol=1e-12)


def test_constant_and_repeated_columns_are_whitened_too():
    x = Rows(0, 100, dtype=torch.float64).normal(2)
    x = torch.cat([x, x[:, :1], torch.full((100, 1), 7.0)], 1)
    _, y = featured(x, "full")
    assert bool(y.isfinite().all()) and float(y.abs().max()) < 1e3


@torch.no_grad()
def test_sharpness_grows_as_components_narrow_or_leave():
    x = Rows(0, 400, dtype=torch.float64).normal(2)
    features, _ = featured(x, "full")
    model, sharp = GMM(Event((2,)), components=1).double(), []
    for spread, place in ((1.0, 0.0), (0.01, 0.0), (1.0, 100.0)):
        model.set_components(
            torch.ones(1), torch.full((1, 2), place), spread**2 * torch.eye(2).double().expand(1, 2, 2)
        )
        sharp.append(features.parameters(model)[1])
    assert sharp[0] < 3 and sharp[1] > 3e3 and sharp[2] > 3e3


def test_they_pay_on_few_dimensions():
    assert pays("full", 16, 32) and pays("tied", 30, 10) and not pays("full", 16, 1) and not pays("full", 784, 500)
    assert pays("diagonal", 784, 10)
